"""`python -m tests.probing PROBE_INTERVAL [TUNNEL [HANDLER]]`: `listen --json --port 0` with another probe interval."""

from __future__ import annotations

import asyncio
import sys

from port_hook_cli.cli.listen_additions import NOTHING
from port_hook_cli.cli.listen_process import run_session
from port_hook_cli.cli.listen_session import ListenTunnel
from port_hook_cli.invocations.routes import Routes
from port_hook_cli.listener.policy import Policy
from port_hook_cli.listener.serving import ListenPlan
from port_hook_cli.listener.session import Interaction, Session
from port_hook_cli.port_api.access import PortAccess
from port_hook_cli.runtime import system_runtime
from port_hook_cli.terminal.console import sayer
from port_hook_cli.tunnels.registry import NO_TUNNEL


def main(interval_s: str, tunnel: str | None = None, handler: str | None = None) -> int:
    runtime = system_runtime()
    access = PortAccess(runtime, sayer(runtime))
    policy = Policy(secret=access.settings.require_secret(), routes=Routes(default=handler))
    options = ListenTunnel(name=tunnel).read(NO_TUNNEL, probe_interval_s=float(interval_s))
    session = Session(plan=ListenPlan(policy=policy, port=0), tunnel=options)
    return asyncio.run(run_session(session, runtime, None, Interaction(), access, NOTHING))


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
