"""`port-hook demo`."""

from __future__ import annotations

import asyncio
import json
import secrets
import shutil
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from port_hook_cli.cli.exit_codes import ExitCode
from port_hook_cli.cli.option_groups import command
from port_hook_cli.invocations.headers import Headers
from port_hook_cli.invocations.models import Exchange, Invocation
from port_hook_cli.invocations.view import format_time
from port_hook_cli.runtime import Runtime

if TYPE_CHECKING:
    from port_hook_cli.sandbox import Sandbox

_NEXT = """\
Next, in the folder of the clone, run each of these in its own terminal:
  (umask 077; port-hook sandbox --port 8790 > .env)
        simulates Port's API and writes a client secret that only you can read
  port-hook listen --tunnel none
        shows, explains and saves what arrives
  port-hook replay examples/payloads/create_vm.json --to 8787
        signs an invocation and sends it

`port-hook listen --tunnel none --forward-to 8000` forwards to your handler.
Continue with README.md; `port-hook --help` lists the commands.
"""


@command
def demo(ctx: typer.Context) -> ExitCode:
    """Show a complete example on this machine; needs no Port account, tunnel or internet.

    Starts a stand-in for Port's API, a sample handler and the listener on loopback. Sends a signed invocation of the
    action "Create VM" through them, and then the same invocation with a changed body.
    """
    return asyncio.run(_demo(ctx.obj))


async def _demo(runtime: Runtime) -> ExitCode:
    with tempfile.TemporaryDirectory(prefix="port-hook-demo-") as folder:
        async with _stage(runtime, Path(folder)) as (sandbox, url, shown):
            invocation = _invocation(runtime, sandbox)
            _say('2. A user runs the action "Create VM". Port signs the invocation and sends it:\n', runtime)
            await _send(invocation, url)
            _show(shown[0], runtime)
            run = await asyncio.wait_for(sandbox.wait_for_end(_run_id(invocation)), 10)
            _say(
                f"3. The handler has done its work and reported it. The run in Port is now {run.report.status}.\n",
                runtime,
            )
            _say("4. The same request, but with its body changed on the way (2 CPUs became 64):\n", runtime)
            await _send(_tampered(invocation), url)
            _show(shown[1], runtime)
            _say(_NEXT + _where_it_is(runtime), runtime)
    verified = shown[0].verdict.status == "valid" and run.report.status == "SUCCESS"
    return ExitCode.OK if verified and shown[1].response and shown[1].response.status == 401 else ExitCode.FAILED  # noqa: PLR2004


@asynccontextmanager
async def _stage(runtime: Runtime, folder: Path) -> AsyncIterator[tuple[Sandbox, str, list[Exchange]]]:
    """Start all parts and print their URLs; yield the sandbox, the listener's URL and what the listener received."""
    from port_hook_cli.invocations.routes import Routes
    from port_hook_cli.listener.observers import Observer
    from port_hook_cli.listener.policy import Policy
    from port_hook_cli.listener.serving import ListenPlan, served
    from port_hook_cli.port_api.access import PortAccess
    from port_hook_cli.port_api.settings import Settings
    from port_hook_cli.sandbox import Sandbox
    from port_hook_cli.sandbox.listening import sample_handler

    class Shown(Observer):
        def exchanged(self, exchange: Exchange) -> None:
            shown.append(exchange)

        def notice(self, text: str) -> None:
            _say(text, runtime)

    shown: list[Exchange] = []
    async with (
        Sandbox.start(now=runtime.now) as sandbox,
        PortAccess.known(
            Settings(api_url=sandbox.url, client_id=sandbox.client_id, client_secret=sandbox.client_secret), runtime
        ).client() as api,
    ):
        runtime.keep_secret(sandbox.client_secret.reveal())

        async def work(run_id: str) -> None:
            await api.add_log(run_id, "dev-env is up: 2 CPUs, 4 GB, eu-west-1")
            await api.patch_run(run_id, {"status": "SUCCESS"})

        async with sample_handler(work) as handler_url:
            policy = Policy(secret=sandbox.client_secret, routes=Routes(default=handler_url))
            plan = ListenPlan(policy=policy, port=0, store=folder / "captures.db")
            async with served(plan, runtime, Shown()) as serving:
                _say("1. Everything runs on this machine:\n", runtime)
                _say(f"  Port's API (a stand-in)  {sandbox.url}", runtime)
                _say(f"  the listener             {serving.url}", runtime)
                _say(f"  a handler                {handler_url}\n", runtime)
                yield sandbox, serving.url, shown


def _invocation(runtime: Runtime, sandbox: Sandbox) -> Invocation:
    from port_hook_cli.actions.samples import create_vm
    from port_hook_cli.runs.ids import make_run_id
    from port_hook_cli.signatures.signing import TimestampUnit, signed_headers

    run_id = make_run_id(secrets.choice)
    sandbox.add_run(run_id, action="create_vm", blueprint="vm")
    document = create_vm(run_id, at=format_time(runtime.now()))
    body = json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode()
    stamp = TimestampUnit.SECONDS.stamp(runtime.now())
    headers = Headers((("content-type", "application/json"), *signed_headers(body, sandbox.client_secret, stamp)))
    return Invocation(
        id=runtime.new_id(), received_at=runtime.now(), method="POST", target="/", headers=headers, body=body
    )


def _where_it_is(runtime: Runtime) -> str:
    """Return how to make the commands above work if `port-hook` is not on PATH, or ""."""
    if shutil.which("port-hook", path=runtime.environ.get("PATH")):
        return ""
    return f"\nport-hook is in {Path(sys.executable).parent}; add that folder to your PATH to use the commands above.\n"


def _run_id(invocation: Invocation) -> str:
    from port_hook_cli.invocations.payload import read_payload

    return read_payload(invocation.body, invocation.headers).run_id or ""


def _tampered(invocation: Invocation) -> Invocation:
    return replace(invocation, body=invocation.body.replace(b'"cpu":2', b'"cpu":64'))


async def _send(invocation: Invocation, url: str) -> None:
    from port_hook_cli.http.client import HttpClient

    async with HttpClient(timeout_s=10) as client:
        await client.send(invocation, url)


def _say(text: str, runtime: Runtime) -> None:
    print(text, file=runtime.stdout, flush=True)


def _show(exchange: Exchange, runtime: Runtime) -> None:
    """Show an exchange as `listen` does, without the `report-run` command: the handler reports the run."""
    from port_hook_cli.captures.view.exchange import exchange_lines
    from port_hook_cli.runs.view import report_command
    from port_hook_cli.terminal.console import Output
    from port_hook_cli.text.layout import fit

    command = report_command(exchange.payload.run_id or "", failed=False)
    lines = (line for line in exchange_lines(exchange, app_url=None) if line.plain.strip() != command)
    output = Output(runtime.stdout, runtime.environ)
    output.print(*fit(lines, output.width))
    _say("", runtime)
