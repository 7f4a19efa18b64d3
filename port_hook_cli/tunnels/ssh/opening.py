"""Opens SSH tunnels (`ssh -R`) through asyncssh. This optional dependency is imported when a tunnel is opened."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from port_hook_cli.errors import PackageError
from port_hook_cli.installed import install_command, install_hint
from port_hook_cli.tunnels.protocol import NotUsable, Opening, Usable

if TYPE_CHECKING:
    from port_hook_cli.tunnels.ssh.tunnel import SshTunnel


async def open_ssh(opening: Opening) -> SshTunnel:
    """Open a tunnel through `opening.address`, which is an `ssh://` URL or the name of a service.

    port-hook sends a keepalive message every `opening.keepalive_s` seconds. After three messages without a response,
    the tunnel is lost. Raises TunnelError, and PackageError if asyncssh is not installed. Cancelling this call
    disconnects from the server.
    """
    try:
        import asyncssh  # noqa: F401 - so that a missing library is reported first
    except ModuleNotFoundError as error:
        if error.name != "asyncssh":
            raise
        raise PackageError(
            "An SSH tunnel needs asyncssh, but it is not installed.", hint=install_hint("asyncssh")
        ) from None
    from port_hook_cli.tunnels.ssh.connecting import open_tunnel

    return await open_tunnel(opening)


_SERVICE = "localhost.run"


def check_usable(environ: Mapping[str, str], home: Path, *, can_ask: bool) -> Usable | NotUsable:
    """Return why localhost.run is usable, or why not.

    The user must agree before the first tunnel through localhost.run.
    """
    del environ
    if not find_spec("asyncssh"):
        return NotUsable(
            "the ssh extra is not installed", f"run `{install_command(['asyncssh'])}`, then use `--tunnel {_SERVICE}`"
        )
    reason = "the ssh extra is installed"
    if _knows_service(home):
        return Usable(reason)
    question = f"Open a public URL through {_SERVICE}? It needs no account, and it can read all requests."
    return Usable(reason, question) if can_ask else NotUsable(f"{_SERVICE} needs your consent, on a terminal")


def _knows_service(home: Path) -> bool:
    """Return whether a known_hosts file of OpenSSH or port-hook has a key of the service under its plain name."""
    for folder in (".port-hook", ".ssh"):
        with suppress(OSError):
            if _SERVICE.encode() in (home / folder / "known_hosts").read_bytes():
                return True
    return False
