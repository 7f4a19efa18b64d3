"""`port-hook listen`."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from port_hook_cli.adapters.settings import ONLY_THE_SECRET
from port_hook_cli.commands.credentials import read_settings
from port_hook_cli.commands.options import Json, Org, SecretFile, Store, Tolerance, finite
from port_hook_cli.core.answering import OK, BadAnswer, parse_answer
from port_hook_cli.core.expectations import Expectation
from port_hook_cli.core.forwarding import BadTarget, Routes, parse_target
from port_hook_cli.core.listening import Policy
from port_hook_cli.core.models import Answer
from port_hook_cli.core.redaction import Secret
from port_hook_cli.core.tunnel_choice import BadTunnel, TunnelChoice, TunnelKind, parse_tunnel
from port_hook_cli.errors import ExitCode, SettingsError, UsageError
from port_hook_cli.runtime import Runtime

if TYPE_CHECKING:
    from port_hook_cli.commands.session import Session

# `ssh -R` to a server of one's own may end behind a name of one's own.
_BESIDE_OWN_URL = frozenset({TunnelKind.NONE, TunnelKind.SSH})


def listen(
    ctx: typer.Context,
    port: Annotated[
        int, typer.Option(metavar="N", help="The port to listen on; 0 takes any free one.", min=0, max=65535)
    ] = 8787,
    host: Annotated[
        str,
        typer.Option(
            metavar="ADDRESS", help="The address to listen on. Anything but loopback is open to your network."
        ),
    ] = "127.0.0.1",
    path: Annotated[str, typer.Option(metavar="P", help="Serve only this path and what lies below it.")] = "/",
    forward_to: Annotated[
        str | None,
        typer.Option(metavar="URL|PORT", help="Your handler. A URL with a path sets the path, else Port's is kept."),
    ] = None,
    route: Annotated[
        list[str] | None,
        typer.Option(metavar="ACTION=URL", help="Send one action's invocations to another handler (repeatable)."),
    ] = None,
    tunnel: Annotated[
        str | None,
        typer.Option(
            metavar="NAME|URL",
            help="How to be reachable from Port: auto (the first that is usable), none, ngrok, cloudflared, smee, "
            "localhost.run, serveo.net, a.pinggy.io, ssh://USER@HOST, https://smee.io/CHANNEL. Default: auto.",
        ),
    ] = None,
    public_url: Annotated[
        str | None, typer.Option(metavar="URL", help="The public URL of a tunnel that you run yourself.")
    ] = None,
    domain: Annotated[str | None, typer.Option(metavar="NAME", help="Your static domain (--tunnel ngrok).")] = None,
    accept_host_key: Annotated[
        str | None,
        typer.Option(metavar="SHA256:…", help="Take an SSH server's key with this fingerprint without asking."),
    ] = None,
    probe_interval: Annotated[
        float,
        typer.Option(
            metavar="S",
            help="Ask for yourself through the public URL so often; 0 never does.",
            min=0,
            callback=finite,
        ),
    ] = 30.0,
    exit_on_tunnel_loss: Annotated[
        float | None,
        typer.Option(
            metavar="S", help="Exit 10 when nobody gets through the tunnel for so long.", min=0, callback=finite
        ),
    ] = None,
    copy: Annotated[bool, typer.Option("--copy", help="Copy the public URL to the clipboard.")] = False,
    retarget: Annotated[
        list[str] | None,
        typer.Option(
            metavar="ACTION", help="Point this action of Port's at the public URL until the end (repeatable)."
        ),
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask before --retarget changes anything.")] = False,
    tolerance: Tolerance = 300.0,
    strict: Annotated[
        bool, typer.Option("--strict", help="Forward only what is signed over its raw bytes ('valid').")
    ] = False,
    refuse_replays: Annotated[
        bool, typer.Option("--refuse-replays", help="Answer 401 to a signature that was seen within the tolerance.")
    ] = False,
    allow_unverified: Annotated[
        bool, typer.Option("--allow-unverified", help="Judge signatures, but forward what fails all the same.")
    ] = False,
    no_verify: Annotated[
        bool, typer.Option("--no-verify", help="Judge nothing; works without a client secret.")
    ] = False,
    respond: Annotated[
        str | None,
        typer.Option(metavar="STATUS[:BODY|:@FILE]", help="Answer this instead of forwarding. Default: 200."),
    ] = None,
    delay: Annotated[
        float, typer.Option(metavar="S", help="Wait so long before answering.", min=0, callback=finite)
    ] = 0.0,
    fail_first: Annotated[int, typer.Option(metavar="N", help="Answer 500 to the first N invocations.", min=0)] = 0,
    forward_timeout: Annotated[
        float,
        typer.Option(metavar="S", help="How long the handler may take; 0 waits for ever.", min=0, callback=finite),
    ] = 30.0,
    only: Annotated[
        list[str] | None,
        typer.Option(metavar="ACTION", help="Show and forward only this action; others get 200 (repeatable)."),
    ] = None,
    count: Annotated[int | None, typer.Option(metavar="N", help="Stop after N invocations.", min=1)] = None,
    once: Annotated[bool, typer.Option("--once", help="Stop after one invocation.")] = False,
    timeout: Annotated[
        float | None,
        typer.Option(
            metavar="S", help="Stop after so long; exit 1 if --count was not reached.", min=0, callback=finite
        ),
    ] = None,
    expect_status: Annotated[
        str | None, typer.Option(metavar="CODE|2xx", help="Exit 1 unless every answer had this status.")
    ] = None,
    compact: Annotated[bool, typer.Option("--compact", help="One line per invocation.")] = False,
    full: Annotated[bool, typer.Option("--full", help="Everything about each invocation (the default).")] = False,
    json_: Json = False,
    store: Store = None,
    max_captures: Annotated[int, typer.Option(metavar="N", help="Keep the newest N captures.", min=1)] = 10_000,
    keep_secrets: Annotated[
        bool, typer.Option("--keep-secrets", help="Save authorization headers and cookies unmasked.")
    ] = False,
    max_body: Annotated[int, typer.Option(metavar="BYTES", help="Answer 413 to larger bodies.", min=1)] = 10
    * 1024
    * 1024,
    secret_file: SecretFile = None,
    org: Org = None,
) -> ExitCode:
    """Receive Port's invocations: verify, explain, save, forward and answer them.

    Without --forward-to each verified invocation is answered 200. What cannot be verified is shown, explained,
    saved, answered 401 and not forwarded.
    """
    runtime: Runtime = ctx.obj
    _refuse_contradictions(
        {"--compact": compact, "--full": full},
        {"--allow-unverified": allow_unverified, "--no-verify": no_verify},
        {"--allow-unverified": allow_unverified, "--strict": strict},
        {"--no-verify": no_verify, "--strict": strict},
        {"--no-verify": no_verify, "--refuse-replays": refuse_replays},
        {"--json": json_, "--compact": compact},
        {"--json": json_, "--full": full},
        {"--respond": bool(respond), "--forward-to": bool(forward_to)},
        {"--once": once, "--count": count is not None},
    )
    from port_hook_cli.commands.asking import asker
    from port_hook_cli.commands.reaching import Reaching
    from port_hook_cli.commands.serving import Plan
    from port_hook_cli.commands.session import Retarget, Session

    reaching = Reaching(
        choice=_tunnel(tunnel, public_url, domain, accept_host_key),
        public_url=_public_url(public_url),
        domain=domain,
        accept_host_key=accept_host_key,
        probe_interval_s=probe_interval,
        exit_after_s=exit_on_tunnel_loss,
    )
    policy = Policy(
        secret=None if no_verify else _secret(runtime, org, secret_file),
        routes=_routes(forward_to, route or [], path),
        tolerance_s=tolerance,
        strict=strict,
        allow_unverified=allow_unverified,
        refuse_replays=refuse_replays,
        only=frozenset(only or ()),
        respond=_answer(respond, runtime.cwd) if respond else OK,
        delay_s=delay,
        fail_first=fail_first,
        scheme="https" if reaching.is_https else "http",
    )
    plan = Plan(
        policy=policy,
        host=host,
        port=port,
        store=store,
        max_captures=max_captures,
        keep_secrets=keep_secrets,
        max_body=max_body,
        forward_timeout_s=forward_timeout,
        count=1 if once else count,
        timeout_s=timeout,
        expect=Expectation.parse(expect_status) if expect_status else None,
    )
    session = Session(
        plan=plan,
        reaching=reaching,
        ask=asker(runtime),
        copy=copy,
        retarget=Retarget(actions=retarget, settings=read_settings(runtime, org=org, secret_file=secret_file), yes=yes)
        if retarget
        else None,
    )
    return asyncio.run(_run(session, runtime, app_url=_app_url(runtime, org), compact=compact, as_json=json_))


async def _run(session: Session, runtime: Runtime, *, app_url: str | None, compact: bool, as_json: bool) -> ExitCode:
    from port_hook_cli.adapters.screen import JsonScreen, TextScreen
    from port_hook_cli.commands.session import run_session

    broken, loop = asyncio.Event(), asyncio.get_running_loop()

    def on_broken() -> None:
        loop.call_soon_threadsafe(broken.set)

    screen = (
        JsonScreen(runtime.stdout, runtime.stderr, on_broken=on_broken)
        if as_json
        else TextScreen(
            runtime.stdout,
            runtime.stderr,
            environ=runtime.environ,
            compact=compact,
            app_url=app_url,
            on_broken=on_broken,
        )
    )
    return await run_session(session, runtime, screen, broken)


def _secret(runtime: Runtime, org: str | None, secret_file: str | None) -> Secret:
    return read_settings(runtime, org=org, secret_file=secret_file, needs=ONLY_THE_SECRET).require_secret()


def _app_url(runtime: Runtime, org: str | None) -> str | None:
    """Return where the pages of runs are; a settings file that is broken costs the link, not the listener."""
    try:
        return read_settings(runtime, org=org, secret_file=None, needs=("api_url",)).app_url
    except SettingsError:
        return None


def _refuse_contradictions(*groups: dict[str, bool]) -> None:
    for group in groups:
        if all(group.values()):
            raise UsageError(f"{' and '.join(group)} contradict each other", hint="leave one of them out")


def _tunnel(text: str | None, public_url: str | None, domain: str | None, host_key: str | None) -> TunnelChoice:
    """Return the tunnel to open: the one that was named, else none beside a URL of the user's own, else any."""
    try:
        choice = parse_tunnel(text or (TunnelKind.NONE if public_url else TunnelKind.AUTO))
    except BadTunnel as error:
        raise UsageError(f"--tunnel: {error}", hint="`port-hook listen --help` lists them") from None
    _refuse_contradictions(
        {"--public-url": bool(public_url), f"--tunnel {choice.name}": choice.kind not in _BESIDE_OWN_URL},
        {"--domain": bool(domain), f"--tunnel {choice.name}": choice.kind is not TunnelKind.NGROK},
        {"--accept-host-key": bool(host_key), f"--tunnel {choice.name}": choice.kind is not TunnelKind.SSH},
    )
    return choice


def _public_url(text: str | None) -> str | None:
    if text and not text.startswith(("https://", "http://")):
        raise UsageError(f"--public-url {text!r} is no URL", hint="write it as https://…")
    return text


def _routes(forward_to: str | None, routes: list[str], path: str) -> Routes:
    by_action = {}
    for text in routes:
        action, equals, target = text.partition("=")
        if not (action and equals and target):
            raise UsageError(f"--route {text!r} is not ACTION=URL", hint="write it as --route create_vm=8001")
        by_action[action] = _target(target, "--route")
    if not path.startswith("/") or "?" in path:
        raise UsageError(f"--path {path!r} is not a path", hint="write it as --path /webhook")
    return Routes(default=_target(forward_to, "--forward-to") if forward_to else None, by_action=by_action, mount=path)


def _target(text: str, option: str) -> str:
    try:
        return parse_target(text)
    except BadTarget as error:
        raise UsageError(f"{option}: {error}", hint="give a port, host:port or a URL") from None


def _answer(text: str, cwd: Path) -> Answer:
    try:
        return parse_answer(text, lambda name: (cwd / name).read_bytes())
    except BadAnswer as error:
        raise UsageError(
            f"--respond: {error}", hint="write it as 503, 200:'{\"ok\":true}' or 200:@answer.json"
        ) from None
    except OSError as error:
        raise UsageError(f"--respond: cannot read the file: {error.strerror}", hint="check the path after @") from None
