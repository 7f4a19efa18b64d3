"""SSH tunnels (`ssh -R`), through asyncssh, an optional dependency that is imported when a tunnel is opened."""

from __future__ import annotations

from typing import TYPE_CHECKING

from port_hook_cli.errors import TunnelError
from port_hook_cli.extras import install_hint
from port_hook_cli.tunnels.protocol import Opening

if TYPE_CHECKING:
    from port_hook_cli.tunnels.ssh.tunnel import SshTunnel


async def open_ssh(opening: Opening) -> SshTunnel:
    """Open a tunnel through `opening.address`, an `ssh://` URL or the name of a service.

    A keepalive message is sent every `opening.keepalive_s` seconds; the tunnel is lost after three without a response.
    Raises TunnelError, also if asyncssh is not installed. Cancelling this disconnects.
    """
    try:
        import asyncssh  # noqa: F401 - it may be missing, which must be reported first
    except ModuleNotFoundError as error:
        if error.name != "asyncssh":
            raise
        raise TunnelError(
            "An SSH tunnel needs asyncssh, which is not installed.", hint=install_hint("asyncssh")
        ) from None
    from port_hook_cli.tunnels.ssh.connecting import open_tunnel

    return await open_tunnel(opening)
