"""The tunnel providers, one row each, and the addresses of tunnels in `--tunnel`.

To add a provider, write a module and add its row here. The rows define the help of `--tunnel`, the values that it
accepts, the order of `auto`, and the table in docs/receive/public-url.md.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from urllib.parse import SplitResult, urlsplit

from port_hook_cli.errors import UsageError
from port_hook_cli.frozen import frozen

_SERVICES = ("localhost.run", "serveo.net", "a.pinggy.io")
_OTHER_NAMES = {"serveo": "serveo.net", "pinggy": "a.pinggy.io", "pinggy.io": "a.pinggy.io"}
_SERVER_HINT = "Write it as ssh://USER@HOST, ssh://USER@HOST:PORT or ssh://USER@HOST:PORT/REMOTE_PORT."
_MAX_PORT = 65535
_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
_OWN_HOST = re.compile(r"([\w-]+\.)+[A-Za-z]{2,}(:\d{1,5})?(/\S*)?")
_DOMAIN = re.compile(r"(?=.{1,253}$)[a-z0-9]([a-z0-9-]{0,62})(\.[a-z0-9-]{1,63})+", re.IGNORECASE)
YOUR_URL = "https://HOST"
_URL_HINT = f"Write the URL of your own tunnel as {YOUR_URL}."


def read_server(text: str) -> str | None:
    """Return the service or `ssh://` URL in `--tunnel TEXT`, or None for other text.

    Raises UsageError for an invalid URL.
    """
    service = _OTHER_NAMES.get(text, text)
    if service in _SERVICES:
        return service
    if text == "ssh":
        raise UsageError(
            "--tunnel ssh is invalid: the server is missing.", hint=f"{_SERVER_HINT} Or use {' or '.join(_SERVICES)}."
        )
    return _checked_server(text) if text.startswith("ssh://") else None


def _checked_server(text: str) -> str:
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        raise UsageError(
            f"--tunnel {text!r} is invalid: the port must be from 1 to {_MAX_PORT}.", hint=_SERVER_HINT
        ) from None
    if port == 0:
        raise UsageError(f"--tunnel {text!r} is invalid: the port must be from 1 to {_MAX_PORT}.", hint=_SERVER_HINT)
    if not parts.hostname:
        raise UsageError(f"--tunnel {text!r} is invalid: the server is missing.", hint=_SERVER_HINT)
    remote = parts.path.strip("/")
    if parts.query or parts.fragment or (remote and not (remote.isdecimal() and int(remote) <= _MAX_PORT)):
        raise UsageError(
            f"--tunnel {text!r} is invalid: it may contain only user, host, port and remote port.", hint=_SERVER_HINT
        )
    return text


_CHANNEL_HINT = "Write it as https://smee.io/CHANNEL, or smee://HOST/CHANNEL for another server."


def read_channel(text: str) -> str | None:
    """Return the channel's URL in `--tunnel TEXT`: `https://smee.io/CHANNEL`, or `smee://HOST/CHANNEL`.

    Returns None for other text. Raises UsageError for a URL without a channel.
    """
    if not text.startswith(("https://", "http://", "smee://")):
        return None
    parts = _parts(text, _CHANNEL_HINT if text.startswith("smee:") else _URL_HINT)
    if parts.hostname != "smee.io" and parts.scheme != "smee":
        return None
    if not parts.hostname or not parts.path.strip("/"):
        raise UsageError(f"--tunnel {text!r} is invalid: the channel is missing.", hint=_CHANNEL_HINT)
    scheme = "http" if parts.hostname in _LOOPBACK else "https"
    return parts._replace(scheme=scheme if parts.scheme == "smee" else parts.scheme).geturl().rstrip("/")


def _parts(text: str, hint: str) -> SplitResult:
    try:
        parts = urlsplit(text)
        _ = parts.port  # a bad port raises ValueError
    except ValueError:
        raise UsageError(f"--tunnel {text!r} is not a valid URL.", hint=hint) from None
    return parts


_NGROK = "ngrok://"


def read_domain(text: str) -> str | None:
    """Return `--tunnel ngrok://DOMAIN` in lowercase, or None for other text.

    Raises UsageError for an invalid domain.
    """
    if not text.startswith(_NGROK):
        return None
    domain = text.removeprefix(_NGROK).rstrip("/")
    if not _DOMAIN.fullmatch(domain):
        raise UsageError(
            f"--tunnel {text!r} is invalid: {domain!r} is not a domain.",
            hint="Write it as ngrok://name.ngrok-free.app or ngrok://hooks.example.com.",
        )
    return _NGROK + domain.lower()


@frozen
class TunnelChoice:
    """The value of `--tunnel`: the name of a provider, `auto` or `none`, and the server or channel of the provider."""

    provider: str
    address: str | None = None

    @property
    def name(self) -> str:
        """The choice as the user writes it after `--tunnel`."""
        return self.address or self.provider


AUTO = TunnelChoice("auto")
NO_TUNNEL = TunnelChoice("none")
OWN_URL = "url"
"""The provider of a choice whose address is the URL of a tunnel that the user runs."""


@frozen(kw_only=True)
class Automatic:
    """The settings by which `--tunnel auto` uses a provider.

    `check` is the import path of a function that takes `environ`, `home` and `can_ask`. The function returns a
    `Usable`, or a `NotUsable` if the provider is not set up on this machine. It doesn't open or download anything.
    `address` is the address that `auto` opens. `setup` says how the user makes the provider usable.
    """

    check: str
    setup: str
    address: str | None = None


@frozen(kw_only=True)
class Provider:
    """A tunnel provider.

    `opener` is the import path of an async function that takes an `Opening` and returns a `Tunnel`. The function is
    imported when the tunnel is opened. `values` are the values of `--tunnel` for the help and the docs. `read_address`
    returns the address in a value, or None for a value that is not an address of this provider. It raises UsageError.
    `auto` is None for a provider that the user must choose by name. A relay responds to Port itself, and feeds
    `Opening.source` with the requests that it received. `page`, `needs` and `notes` are for the docs.
    """

    name: str
    opener: str
    values: tuple[str, ...]
    page: str
    needs: str
    notes: str
    read_address: Callable[[str], str | None] | None = None
    auto: Automatic | None = None
    is_relay: bool = False


# The providers are in the order of the help and the docs. `auto` uses the first usable provider.
PROVIDERS = (
    Provider(
        name="ngrok",
        opener="port_hook_cli.tunnels.ngrok.tunnel:open_ngrok",
        values=("ngrok", "ngrok://DOMAIN"),
        read_address=read_domain,
        auto=Automatic(
            check="port_hook_cli.tunnels.ngrok.tunnel:check_usable", setup="set NGROK_AUTHTOKEN and install ngrok"
        ),
        page="ngrok.md",
        needs="an ngrok account",
        notes="a fixed public URL with a domain",
    ),
    Provider(
        name="cloudflared",
        opener="port_hook_cli.tunnels.cloudflared.tunnel:open_cloudflared",
        values=("cloudflared",),
        auto=Automatic(check="port_hook_cli.tunnels.cloudflared.tunnel:check_usable", setup="install cloudflared"),
        page="cloudflared.md",
        needs="the `cloudflared` program, but no account",
        notes="the public URL is different each time",
    ),
    Provider(
        name="ssh",
        opener="port_hook_cli.tunnels.ssh.opening:open_ssh",
        values=("localhost.run", "serveo.net", "a.pinggy.io", "ssh://USER@HOST"),
        read_address=read_server,
        auto=Automatic(
            check="port_hook_cli.tunnels.ssh.opening:check_usable",
            setup="use `--tunnel localhost.run`",
            address="localhost.run",
        ),
        page="ssh.md",
        needs="the `ssh` extra",
        notes="a public service or your own server",
    ),
    Provider(
        name="smee",
        opener="port_hook_cli.tunnels.smee.channel:open_smee",
        values=("smee", "https://smee.io/CHANNEL"),
        read_address=read_channel,
        is_relay=True,
        page="smee.md",
        needs="nothing",
        notes="a relay: Port gets the relay's response, not your handler's",
    ),
)


def parse_tunnel(text: str) -> TunnelChoice:
    """Return the choice in `--tunnel TEXT`. Schemes may be in upper case. Raises UsageError."""
    scheme, mark, rest = text.partition("://")
    scheme, rest = (scheme.lower(), rest) if mark else ("", text)
    _refuse_credentials(scheme, rest)
    text = f"{scheme}{mark}{rest}"
    for choice in (AUTO, NO_TUNNEL):
        if text == choice.name:
            return choice
    for provider in PROVIDERS:
        if provider.read_address and (address := provider.read_address(text)):
            return TunnelChoice(provider.name, address)
        if text == provider.name:
            return TunnelChoice(provider.name)
    return _own_url(text)


def _own_url(text: str) -> TunnelChoice:
    if text.startswith(("https://", "http://")):
        if not (parts := _parts(text, _URL_HINT)).hostname or parts.port == 0:
            raise UsageError(f"--tunnel {text!r} is not a valid URL.", hint=_URL_HINT)
        return TunnelChoice(OWN_URL, text)
    hint = f"Use one of {', '.join(all_values())}."
    if _OWN_HOST.fullmatch(text):
        ngrok = f" For an ngrok domain, pass --tunnel {_NGROK}{text}." if "ngrok" in text else ""
        hint = f"For your own tunnel, pass --tunnel https://{text}.{ngrok}"
    raise UsageError(f"--tunnel {text!r} is not a known tunnel.", hint=hint)


def _refuse_credentials(scheme: str, rest: str) -> None:
    """Raise UsageError, which doesn't repeat them, for credentials in `SCHEME://REST`. A user of SSH may be there."""
    authority = re.split("[/?#]", rest, maxsplit=1)[0]
    # A password may contain a slash. Then the text before the slash does not end with a port.
    part = rest if "@" not in authority and re.search(r":(?!\d*$)", authority) else authority
    user, at, host = part.rpartition("@")
    if not at or (scheme in {"", "ssh"} and ":" not in user):
        return
    raise UsageError(
        "The value of --tunnel contains credentials, and other users of this machine can read command lines.",
        hint="Leave out the password, and use a key or your SSH agent."
        if scheme == "ssh"
        else f"Pass --tunnel {scheme or 'https'}://{host}{rest.removeprefix(part)}.",
    )


def find_provider(choice: TunnelChoice) -> Provider | None:
    """Return the provider of a choice, or None for `auto` and `none`."""
    return next((provider for provider in PROVIDERS if provider.name == choice.provider), None)


def is_relay(choice: TunnelChoice) -> bool:
    """Return whether the provider of a choice responds to Port itself."""
    provider = find_provider(choice)
    return provider is not None and provider.is_relay


def refuse_host_key(choice: TunnelChoice) -> None:
    """Raise UsageError for `--accept-host-key` with a tunnel that isn't opened by SSH."""
    if choice.provider != "ssh":
        raise UsageError(
            f"--accept-host-key cannot be used with --tunnel {choice.name}.",
            hint="Leave out --accept-host-key, or use --tunnel ssh://USER@HOST.",
        )


def all_values() -> tuple[str, ...]:
    """Return the possible values of `--tunnel`."""
    values = (value for provider in PROVIDERS for value in provider.values)
    return (AUTO.name, NO_TUNNEL.name, *values, YOUR_URL)


def tunnel_help() -> str:
    """Return the help of `--tunnel`."""
    names = ", ".join(choice.name for choice, _ in automatic())
    _, *others = all_values()
    return f"The tunnel to open: auto (the first usable of {names}), {', '.join(others)} (the URL of your own tunnel)."


def automatic() -> Iterator[tuple[TunnelChoice, Automatic]]:
    """Yield the choices that `auto` tries, in order."""
    for provider in PROVIDERS:
        if provider.auto:
            yield TunnelChoice(provider.name, provider.auto.address), provider.auto
