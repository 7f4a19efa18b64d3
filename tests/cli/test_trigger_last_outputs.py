"""`trigger WORKFLOW#NODE --with outputs=last`, and `check` alike: with the outputs of the latest run in a sandbox."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from port_hook_cli.cli.exit_codes import ExitCode
from port_hook_cli.engines.renderer import Renderer
from tests.cli.test_trigger_from_node import three_nodes
from tests.cli.workflow_handler import Reporting, serving
from tests.conftest import Result, Run
from tests.factories import SECRET
from tests.sandboxes import a_sandbox, environ_of


@pytest.fixture
def handler(folder: Path) -> Iterator[Reporting]:
    """The handler. `two.json` is the same workflow as in the sandbox of `api`."""
    with serving(Reporting()) as found, Renderer() as renderer:
        workflow, other = ({**three_nodes(found.url), "identifier": name} for name in ("two", "other"))
        (folder / "two.json").write_text(json.dumps(workflow), "utf-8")
        with a_sandbox(workflows=[workflow, other], renders=renderer) as sandbox:
            found.api = environ_of(sandbox)
            yield found


def run_in_sandbox(run: Run, handler: Reporting, workflow: str, version: str) -> Result:
    options = ("--via-port", "--wait", "30", "--input", f"version={version}", "--json")
    result = run("trigger", workflow, *options, env=handler.api)
    handler.requests.clear()
    return result


def test_node_uses_the_outputs_of_the_latest_run(run: Run, handler: Reporting) -> None:
    run_in_sandbox(run, handler, "two", "1")
    handler.ready = "soon"
    latest = run_in_sandbox(run, handler, "two", "2").records[-1]["run_id"]
    run_in_sandbox(run, handler, "other", "3")
    result = run("trigger", "two#ship", "--with", "outputs=last", "--to", handler.url, env=handler.api)
    assert (result.code, handler.paths) == (0, ["/ship"])
    assert json.loads(handler.requests[0][1]) == {"version": "2", "ready": "soon"}
    assert f"note: the outputs come from the run {latest}  SUCCESS  20" in result.err


def test_check_uses_the_outputs_of_the_latest_run(run: Run, handler: Reporting) -> None:
    run_in_sandbox(run, handler, "two", "2")
    options = ("--with", "outputs=last", "--input", "version=3", "--only", "valid", "--to", handler.url)
    result = run("check", "two.json#ship", *options, env=handler.api)
    assert "note: the outputs come from the run " in result.err
    assert json.loads(handler.requests[0][1]).items() >= {"version": "3", "ready": True}.items()


def test_input_and_output_options_override_the_last_run(run: Run, handler: Reporting) -> None:
    run_in_sandbox(run, handler, "two", "1")
    options = ("--with", "outputs=last", "--input", "version=9", "--output", "check.response.data.ready=false")
    assert run("trigger", "two.json#ship", *options, "--to", handler.url, env=handler.api).code == 0
    assert json.loads(handler.requests[0][1]) == {"version": "9", "ready": False}
    wrong = run("trigger", "two.json#ship", "--with", "outputs=last", "--input", "version:=[]", env=handler.api)
    assert (wrong.code, "version must be string" in wrong.err) == (ExitCode.USAGE, True)


def test_workflow_without_a_run_has_no_last_outputs(run: Run, handler: Reporting) -> None:
    run_in_sandbox(run, handler, "other", "1")
    result = run("trigger", "two.json#ship", "--with", "outputs=last", "--to", handler.url, env=handler.api)
    assert result.code == ExitCode.STORE
    assert "The workflow two has no run yet, so there are no last outputs." in result.err
    assert handler.requests == []


def test_error_shows_a_missing_output_of_the_last_run(run: Run, handler: Reporting) -> None:
    handler.status = 500
    latest = run_in_sandbox(run, handler, "two", "1").records[-1]["run_id"]
    handler.status = 200
    result = run("trigger", "two.json#tell", "--with", "outputs=last", "--to", handler.url, env=handler.api)
    assert result.code == ExitCode.USAGE
    assert f"The run {latest} has no output of ship, which the templates of tell use." in result.err
    options = ("--with", "outputs=last", "--output", "ship.response.status=201")
    given = run("trigger", "two.json#tell", *options, "--to", handler.url, env=handler.api)
    assert (given.code, json.loads(handler.requests[0][1])) == (0, {"shipped": 201})


def test_last_outputs_need_credentials(run: Run, handler: Reporting) -> None:
    env = {"PORT_CLIENT_SECRET": SECRET.reveal()}
    result = run("trigger", "two.json#ship", "--with", "outputs=last", "--to", handler.url, env=env)
    assert (result.code, "PORT_CLIENT_ID" in result.err) == (ExitCode.SETTINGS, True)


def test_last_outputs_are_for_one_node(run: Run, handler: Reporting) -> None:
    for name in ("two.json", "two.json#start"):
        result = run("trigger", name, "--with", "outputs=last", "--to", handler.url, env=handler.api)
        assert (result.code, "--with outputs=last needs a node" in result.err) == (ExitCode.USAGE, True)


def test_outputs_file_may_be_called_last(run: Run, handler: Reporting, folder: Path) -> None:
    (folder / "last").write_text('{"check": {"response": {"data": {"ready": 1}}}, "start": {"version": "0"}}', "utf-8")
    options = ("--with", "outputs=./last", "--to", handler.url)
    assert run("trigger", "two.json#ship", *options, env=handler.api).code == 0
    assert json.loads(handler.requests[0][1]) == {"version": "0", "ready": 1}
