"""`trigger WORKFLOW --from NODE`: the rest of a workflow, with the outputs of its last run in a sandbox."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from port_hook_cli.cli.exit_codes import ExitCode
from port_hook_cli.engines.renderer import Renderer
from tests.cli.workflow_handler import Reporting, serving
from tests.conftest import Run
from tests.sandboxes import a_sandbox, a_sequence, a_webhook, environ_of

INPUTS = {"required": ["version"], "properties": {"version": {"type": "string"}}}


class Failing(Reporting):
    """A handler with a failing `/ship`, until it is repaired."""

    is_broken = True

    async def handle(self, request: web.Request) -> web.Response:
        response = await super().handle(request)
        return web.Response(status=500) if request.path == "/ship" and self.is_broken else response


def three_nodes(url: str) -> dict[str, Any]:
    body = {"version": "{{ .outputs.trigger.version }}", "ready": '{{ .outputs["check"].response.data.ready }}'}
    condition = {"type": "CONDITION", "outlets": [{"identifier": "yes", "expression": "true"}]}
    workflow = a_sequence(
        a_webhook("check", f"{url}/builds/check"),
        {"identifier": "is_ready", "config": condition},
        a_webhook("ship", f"{url}/ship", body=body),
        a_webhook("tell", f"{url}/tell", body={"shipped": "{{ .outputs.ship.response.status }}"}),
        identifier="flow",
        trigger={"type": "SELF_SERVE_TRIGGER", "userInputs": INPUTS},
    )
    workflow["connections"][2]["sourceOutletIdentifier"] = "yes"
    return workflow


@pytest.fixture
def handler(folder: Path, run: Run) -> Iterator[Failing]:
    """The handler, after a run in the sandbox that failed at the node ship."""
    with serving(Failing()) as found, Renderer() as renderer:
        workflow = three_nodes(found.url)
        (folder / "flow.json").write_text(json.dumps(workflow), "utf-8")
        with a_sandbox(workflows=[workflow], renders=renderer) as sandbox:
            found.api = environ_of(sandbox)
            failed = run("trigger", "flow", "--via-port", "--wait", "30", "--input", "version=1", env=found.api)
            assert failed.code == ExitCode.FAILED
            found.requests.clear()
            found.is_broken = False
            yield found


def test_workflow_runs_from_a_failed_node_to_its_end(run: Run, handler: Failing) -> None:
    result = run("trigger", "flow.json", "--from", "ship", "--to", handler.url, env=handler.api)
    assert (result.code, handler.paths) == (0, ["/ship", "/tell"])
    assert json.loads(handler.requests[0][1]) == {"version": "1", "ready": True}
    assert json.loads(handler.requests[1][1]) == {"shipped": 202}
    # Nodes with effects are listed before any request.
    kept, repeated = result.err.split("note: these nodes acted in the run wfr_")[1:]
    assert "and do not run again:\n  check  WEBHOOK  SUCCESS  wfnr_" in kept
    assert "and can run again:\n  ship  WEBHOOK  FAILED  wfnr_" in repeated
    assert "is_ready" not in result.err
    first, *others = run("trigger", "flow", "--from", "ship", "--to", handler.url, "--json", env=handler.api).records
    assert handler.paths[2:] == ["/ship", "/tell"]
    assert (first["type"], first["workflow"], first["from"]) == ("retry", "flow", "ship")
    assert [(each["node"], each["result"]) for each in first["not_run_again"]] == [("check", "SUCCESS")]
    assert [(each["node"], each["result"]) for each in first["run_again"]] == [("ship", "FAILED")]
    assert [each["type"] for each in others] == ["node", "node", "workflow_run"]


def test_first_node_lists_no_earlier_node(run: Run, handler: Failing) -> None:
    result = run("trigger", "flow.json", "--from", "check", "--to", handler.url, env=handler.api)
    assert (result.code, handler.paths) == (0, ["/builds/check", "/ship", "/tell"])
    assert "note: no node before check acted in the run wfr_" in result.err


def test_given_outputs_replace_the_last_run(run: Run, handler: Failing, folder: Path) -> None:
    (folder / "outputs.json").write_text('{"start": {"version": "2"}, "ship": {"response": {"status": 1}}}', "utf-8")
    options = ("--with", "outputs=outputs.json", "--output", "check.response.data.ready=false")
    result = run("trigger", "flow.json", "--from", "ship", *options, "--to", handler.url, env=handler.api)
    assert (result.code, handler.paths) == (0, ["/ship", "/tell"])
    assert json.loads(handler.requests[0][1]) == {"version": "2", "ready": False}
    assert json.loads(handler.requests[1][1]) == {"shipped": 202}
    outlet = 'is_ready={"selectedOutlet": {"identifier": "yes"}}'
    for words, paths in (
        (("flow.json", "--from", "ship", "--output", "tell={}"), ["/ship"]),
        (("flow.json", "--from", "check", "--output", outlet), ["/builds/check", "/ship", "/tell"]),
        (
            ("flow.json#start", "--input", "version=3", "--output", 'check={"response": {"data": {"ready": 5}}}'),
            ["/ship", "/tell"],
        ),
    ):
        handler.requests.clear()
        assert run("trigger", *words, "--to", handler.url, env=handler.api).code == 0
        assert handler.paths == paths


def test_from_rejects_invalid_nodes_and_options(run: Run, handler: Failing, folder: Path) -> None:
    for args, words in (
        (("flow.json", "--from", "other"), "The workflow flow has no node other."),
        (("flow.json", "--from", "start"), "--from start is a trigger"),
        (("flow.json#ship", "--from", "ship"), "but --from runs the workflow from a node to its end"),
        (("flow", "--via-port", "--from", "ship"), "Port does not document how to run a workflow from a node"),
        (
            ("flow.json", "--from", "ship", "--with", "outputs=none.json"),
            "--with outputs=none.json has no output of check, which",
        ),
        (("a.json", "--from", "ship"), "--from is for workflows"),
    ):
        (folder / "none.json").write_text("{}", "utf-8")
        (folder / "a.json").write_text(
            '{"identifier": "a", "trigger": {"type": "self-service"}, '
            '"invocationMethod": {"type": "WEBHOOK", "url": "http://127.0.0.1:1"}}',
            "utf-8",
        )
        result = run("trigger", *args, env=handler.api)
        assert (result.code, handler.requests) == (ExitCode.USAGE, [])
        assert words in result.err
