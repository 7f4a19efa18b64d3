"""The command `port-hook demo`."""

from __future__ import annotations

import asyncio
import json
import secrets
import shlex
import shutil
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from port_hook_cli.cli.exit_codes import ExitCode
from port_hook_cli.cli.option_groups import command
from port_hook_cli.frozen import frozen
from port_hook_cli.invocations.headers import Headers
from port_hook_cli.invocations.models import Capture, Invocation
from port_hook_cli.invocations.view import format_time
from port_hook_cli.runtime import Runtime

if TYPE_CHECKING:
    from port_hook_cli.port_api.client import PortApi
    from port_hook_cli.sandbox import Sandbox

_NEXT = """\
Next, {where}your handler on port 8000:
  port-hook check --to 8000   says why it rejects requests
  port-hook listen 8000       receives requests from your organization"""
_WAIT_S = 10
_WIDTH = 80
_IN_PORT = "  in Port"
_OF_THE_BODY = ("  run ", "  inputs ")


@command
def demo(ctx: typer.Context) -> ExitCode:
    """Run a complete example on this machine.

    Starts the sandbox, a sample handler and the listener on loopback. The sandbox runs the workflow "Deploy service",
    and its node calls the listener. Then the demo sends an invocation of the action "Create VM", and the same
    invocation with a changed body.
    """
    return asyncio.run(_demo(ctx.obj))


@frozen
class _Stage:
    """The running parts of the demo. `url` is the listener's URL, and `received` contains the received captures."""

    sandbox: Sandbox
    api: PortApi
    url: str
    received: asyncio.Queue[Capture]

    async def next(self) -> Capture:
        """Return the next capture of the listener."""
        return await asyncio.wait_for(self.received.get(), _WAIT_S)


async def _demo(runtime: Runtime) -> ExitCode:
    with tempfile.TemporaryDirectory(prefix="port-hook-demo-") as folder:
        async with _stage(runtime, Path(folder)) as stage:
            invocation = _invocation(runtime, stage.sandbox)
            is_good = [
                await _run_workflow(stage, runtime),
                await _run_action(stage, invocation, runtime),
                await _change_request(stage, invocation, runtime),
            ]
            _say(_next(runtime), runtime)
    return ExitCode.OK if all(is_good) else ExitCode.FAILED


async def _run_workflow(stage: _Stage, runtime: Runtime) -> bool:
    """Let the sandbox run the workflow. Return whether the request was valid and the run succeeded."""
    from port_hook_cli.workflows.samples import DEPLOY_SERVICE, deploy_service

    _say('2. A user runs the workflow "Deploy service". Its node calls the listener:\n', runtime)
    await stage.api.call("POST", "/v1/workflows", deploy_service(stage.url))
    inputs = {"service": "cart", "version": "2.0"}
    started = await stage.api.call("POST", f"/v1/workflows/{DEPLOY_SERVICE}/runs", {"inputs": inputs})
    run_id = str(started["workflowRun"]["identifier"])
    capture = await stage.next()
    _show(capture, runtime)
    run = await asyncio.wait_for(stage.sandbox.wait_for_workflow_run(run_id), _WAIT_S)
    _say(f"The handler has reported the node. The workflow run is now {run.result}.", runtime)
    _say("Port does not document whether it signs requests of nodes. The sandbox does.\n", runtime)
    return capture.verdict.status == "valid" and run.result == "SUCCESS"


async def _run_action(stage: _Stage, invocation: Invocation, runtime: Runtime) -> bool:
    """Send the action's invocation. Return whether the invocation was valid and its run succeeded."""
    _say('3. A user runs the action "Create VM". Port signs the invocation and sends it:\n', runtime)
    await _send(invocation, stage.url)
    capture = await stage.next()
    _show(capture, runtime)
    run = await asyncio.wait_for(stage.sandbox.wait_for_end(_run_id(invocation)), _WAIT_S)
    _say(f"The handler has reported the action run, which is now {run.report.status}.\n", runtime)
    return capture.verdict.status == "valid" and run.report.status == "SUCCESS"


async def _change_request(stage: _Stage, invocation: Invocation, runtime: Runtime) -> bool:
    """Send the action's request with a changed body. Return whether the listener rejected the request."""
    _say("4. The same request, but with its body changed on the way (2 CPUs became 64):\n", runtime)
    tampered = replace(invocation, body=invocation.body.replace(b'"cpu":2', b'"cpu":64'))
    await _send(tampered, stage.url)
    capture = await stage.next()
    _show(capture, runtime, payload=False)
    _say("", runtime)
    return capture.response is not None and capture.response.status == HTTPStatus.UNAUTHORIZED


@asynccontextmanager
async def _stage(runtime: Runtime, folder: Path) -> AsyncIterator[_Stage]:
    """Start all parts of the demo and print their URLs."""
    from port_hook_cli.engines.renderer import Renderer
    from port_hook_cli.invocations.routes import Routes
    from port_hook_cli.listener.observers import Observer
    from port_hook_cli.listener.policy import Policy
    from port_hook_cli.listener.serving import ListenPlan, served
    from port_hook_cli.port_api.access import PortAccess
    from port_hook_cli.port_api.settings import Settings
    from port_hook_cli.runs.updates import is_node_run
    from port_hook_cli.sandbox import Sandbox, Sending
    from port_hook_cli.sandbox.listening import sample_handler

    class Shown(Observer):
        def captured(self, capture: Capture) -> None:
            received.put_nowait(capture)

        def notice(self, text: str) -> None:
            _say(text, runtime)

    received = asyncio.Queue[Capture]()
    with Renderer() as renderer:
        async with (
            Sandbox.start(sending=Sending(renders=renderer), now=runtime.now) as sandbox,
            PortAccess.known(
                Settings(api_url=sandbox.url, client_id=sandbox.client_id, client_secret=sandbox.client_secret), runtime
            ).client() as api,
        ):
            runtime.keep_secret(sandbox.client_secret.reveal())

            async def work(run_id: str) -> None:
                if is_node_run(run_id):
                    await api.patch_run(run_id, {"status": "COMPLETED", "result": "SUCCESS"})
                    return
                await api.add_log(run_id, "dev-env is up: 2 CPUs, 4 GB, eu-west-1")
                await api.patch_run(run_id, {"status": "SUCCESS"})

            async with sample_handler(work) as handler_url:
                policy = Policy(secret=sandbox.client_secret, routes=Routes(default=handler_url))
                plan = ListenPlan(policy=policy, port=0, store=folder / "captures.db")
                async with served(plan, runtime, Shown()) as serving:
                    _say("1. Everything runs on this machine:\n", runtime)
                    _say(f"  the sandbox, as Port  {sandbox.url}", runtime)
                    _say(f"  the listener          {serving.url}", runtime)
                    _say(f"  a handler             {handler_url}\n", runtime)
                    yield _Stage(sandbox, api, serving.url, received)


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


def _next(runtime: Runtime) -> str:
    """Return the next steps, with the command that activates the environment if `port-hook` is not on PATH."""
    if shutil.which("port-hook", path=runtime.environ.get("PATH")) is not None:
        return _NEXT.format(where="with ")
    folder = Path(sys.executable).parent
    shown = str(folder.relative_to(runtime.cwd) if folder.is_relative_to(runtime.cwd) else folder)
    if sys.platform == "win32":
        command = f'$env:PATH = "{shown};$env:PATH"'
    elif (folder / "activate").exists():
        command = f". {shlex.quote(f'{shown}/activate')}"
    else:
        command = f"PATH={shlex.quote(str(folder))}:$PATH"
    return _NEXT.format(where=f"in a terminal with `{command}` and ")


def _run_id(invocation: Invocation) -> str:
    from port_hook_cli.invocations.payload import read_payload

    return read_payload(invocation.body, invocation.headers).run_id or ""


async def _send(invocation: Invocation, url: str) -> None:
    from port_hook_cli.http.client import HttpClient

    async with HttpClient(timeout_s=10) as client:
        await client.send(invocation, url)


def _say(text: str, runtime: Runtime) -> None:
    print(text, file=runtime.stdout, flush=True)


def _show(capture: Capture, runtime: Runtime, *, payload: bool = True) -> None:
    """Show a capture like `listen`, but without the next steps in Port, because the handler reports the run.

    Without `payload`, leave out the details from the body.
    """
    from port_hook_cli.captures.view.capture import BLOCK_INDENT, capture_lines
    from port_hook_cli.terminal.console import Output
    from port_hook_cli.text.layout import fit

    output = Output(runtime.stdout, runtime.environ)
    width = min(output.width, _WIDTH)
    hidden = (_IN_PORT,) if payload else (_IN_PORT, *_OF_THE_BODY)
    lines = capture_lines(capture, app_url=None, width=width, shows_command=False)
    output.print(*fit((line for line in lines if not line.plain.startswith(hidden)), width, indent=BLOCK_INDENT))
