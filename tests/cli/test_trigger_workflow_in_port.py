"""`trigger WORKFLOW --via-port`, with a sandbox that has the workflow."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from port_hook_cli.cli.exit_codes import ExitCode
from port_hook_cli.engines.renderer import Renderer
from tests.cli.workflow_handler import Reporting, serving
from tests.conftest import Run
from tests.sandboxes import a_sandbox, environ_of
from tests.servers import application

EXAMPLE = Path(__file__).parents[2] / "examples" / "workflows" / "deploy_service.json"
INPUTS = ("--input", "service=cart", "--input", "version=2.0")
FOLLOWED = ("--via-port", "--wait", "30")


def deploy_service(url: str) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(EXAMPLE.read_text("utf-8").replace("https://hooks.example.com", url))
    return document


def other_triggers(url: str) -> dict[str, Any]:
    """A workflow with several triggers."""
    document = deploy_service(url)
    document["identifier"] = "several"
    for name, kind in (("hourly", "SCHEDULE_TRIGGER"), ("changed", "EVENT_TRIGGER"), ("other", "SELF_SERVE_TRIGGER")):
        document["nodes"].append({"identifier": name, "config": {"type": kind}})
        document["connections"].append({"sourceIdentifier": name, "targetIdentifier": "check"})
    return document


@pytest.fixture
def handler() -> Iterator[Reporting]:
    """The handler of the workflows in a sandbox. `api` is the environment for that sandbox."""
    with serving(Reporting()) as found, Renderer() as renderer:
        workflows = [deploy_service(found.url), other_triggers(found.url)]
        with a_sandbox(workflows=workflows, renders=renderer) as sandbox:
            found.api = environ_of(sandbox)
            yield found


def test_workflow_runs_in_port_and_is_shown_node_by_node(run: Run, handler: Reporting) -> None:
    handler.log = "deployed \x1b[2J"
    result = run("trigger", "deploy_service", *FOLLOWED, *INPUTS, env=handler.api)
    assert (result.code, result.err) == (0, "")
    assert "log        WARN  deployed" in result.out
    assert "\x1b[2J" not in result.out
    assert handler.paths == ["/builds/check", "/deploy"]
    assert json.loads(handler.requests[0][1]) == {"service": "cart", "version": "2.0"}
    first, *_, last = result.out.splitlines()
    assert first.startswith("Deploy service  version 1  wfr_")
    assert first.endswith("IN_PROGRESS")
    assert last.startswith("wfr_")
    assert last.endswith("  SUCCESS")
    words = ["trigger  SELF_SERVE", "check  WEBHOOK", '{"response":{"status":200,"data":{"ready":true}}}']
    words += [
        "is_ready  CONDITION",
        "the outlet ready",
        "deploy  WEBHOOK",
        '{"runId":7}',
        "https://ci.example.com/services/cart",
    ]
    places = [result.out.index(word) for word in words]
    assert places == sorted(places)


def test_json_has_a_record_for_each_node_and_for_the_run(run: Run, handler: Reporting) -> None:
    handler.log = "deployed \x1b[2J"
    *nodes, end = run("trigger", "several#trigger", *FOLLOWED, *INPUTS, "--json", env=handler.api).records
    assert end["logs"] == [handler.log]
    assert [(each["type"], each["node"], each["node_type"], each["result"]) for each in nodes] == [
        ("node", "check", "WEBHOOK", "SUCCESS"),
        ("node", "is_ready", "CONDITION", "SUCCESS"),
        ("node", "deploy", "WEBHOOK", "SUCCESS"),
    ]
    assert nodes[1]["outlet"] == "ready"
    assert nodes[2]["output"] == {"runId": 7}
    assert {each["run_id"] for each in nodes} == {end["run_id"]}
    assert (end["type"], end["status"], end["result"], end["in_progress"]) == (
        "workflow_run", "COMPLETED", "SUCCESS", None,
    )  # fmt: skip


def test_without_wait_the_run_is_only_started(run: Run, handler: Reporting) -> None:
    result = run("trigger", "deploy_service", "--via-port", *INPUTS, env=handler.api)
    assert (result.code, len(result.out.splitlines()), result.err) == (0, 1, "")
    (record,) = run("trigger", "deploy_service", "--via-port", *INPUTS, "--json", env=handler.api).records
    assert (record["type"], record["workflow"], record["logs"]) == ("workflow_run", "deploy_service", [])


def test_unsuccessful_run_exits_1(run: Run, handler: Reporting) -> None:
    for result in ("FAILED", "CANCELLED"):
        handler.result = result
        found = run("trigger", "deploy_service", *FOLLOWED, *INPUTS, env=handler.api)
        assert (found.code, found.out.rstrip().endswith(result)) == (ExitCode.FAILED, True)


def test_port_checks_the_inputs_of_a_workflow(run: Run, handler: Reporting) -> None:
    result = run("trigger", "deploy_service", *FOLLOWED, env=handler.api)
    assert (result.code, "must have required property 'service'" in result.err) == (ExitCode.PORT_API, True)
    assert handler.requests == []


def test_workflow_of_a_file_must_exist_in_port(run: Run, handler: Reporting, folder: Path) -> None:
    result = run("trigger", str(EXAMPLE), *FOLLOWED, *INPUTS, env=handler.api)
    assert (result.code, handler.paths) == (0, ["/builds/check", "/deploy"])  # at the URLs of the workflow in Port
    other = {**json.loads(EXAMPLE.read_text("utf-8")), "identifier": "other"}
    (folder / "other.json").write_text(json.dumps(other), "utf-8")
    missing = run("trigger", "other.json", *FOLLOWED, *INPUTS, env=handler.api)
    assert missing.code == ExitCode.PORT_API
    assert "Port has no workflow other." in missing.err
    assert "Create the workflow in Port" in missing.err


def test_error_shows_an_unknown_identifier(run: Run, handler: Reporting) -> None:
    whole = run("trigger", "nothing", "--via-port", env=handler.api)
    assert (whole.code, "Port has no action, automation or workflow nothing." in whole.err) == (7, True)
    node = run("trigger", "nothing#check", "--to", handler.url, env=handler.api)
    assert (node.code, "Port has no workflow nothing." in node.err) == (7, True)


def test_options_unsupported_by_port_are_rejected_before_a_run_starts(
    run: Run, handler: Reporting, folder: Path
) -> None:
    for arguments, message in (
        (("deploy_service#deploy",), "Port cannot run the node deploy alone"),
        (("deploy_service#nothing",), "in Port has no node nothing"),
        (("several",), "has several triggers: "),
        (("several#hourly",), "The trigger hourly has the type SCHEDULE_TRIGGER. Port does not document"),
        (("several#changed",), "The trigger changed has the type EVENT_TRIGGER. Port does not document"),
        (("deploy_service", "--to", "1"), "--to has no effect"),
        (("deploy_service", "--with", "outputs=o.json"), "--with outputs has no effect"),
        (("deploy_service", "--output", "a.b=1"), "--output has no effect"),
        (("deploy_service", "--respond", "a=b"), "--respond has no effect"),
        (("deploy_service", "--with", "entity=o.json"), "--with entity has no effect"),
        (("deploy_service", "--with", "user=o.json"), "--with user has no effect"),
    ):
        (folder / "o.json").write_text('{"identifier": "x", "email": "a@example.com"}', "utf-8")
        result = run("trigger", *arguments, "--via-port", *INPUTS, env=handler.api)
        assert (result.code, message in result.err) == (ExitCode.USAGE, True), result.err
        assert handler.requests == []


def test_node_of_a_workflow_in_port_is_sent_from_this_machine(run: Run, handler: Reporting) -> None:
    result = run("trigger", "deploy_service#deploy", "--to", handler.url, *INPUTS, env=handler.api)
    assert (result.code, handler.paths) == (0, ["/deploy"])
    assert "note: the workflow deploy_service was read from Port, version 1\n" in result.err


@contextmanager
def a_port(workflow: Mapping[str, Any], run: Any, *, status: int = 201) -> Iterator[dict[str, str]]:
    """A simulated Port API with one workflow. It responds with `run` to a start and to a read, without a log or checks.

    Yields the environment for it.
    """

    async def respond(request: web.Request) -> web.Response:
        if request.path == "/v1/auth/access_token":
            return web.json_response({"ok": True, "accessToken": "t", "expiresIn": 100})
        if request.path.startswith("/v1/actions") or request.path.endswith("/logs"):
            return web.json_response({"ok": False, "error": "not_found", "message": "no"}, status=404)
        if request.path == "/v1/workflows/deploy_service":
            return web.json_response({"ok": True, "workflow": workflow})
        return web.json_response(run, status=status if request.method == "POST" else 200)

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", respond)
    with application(app) as url:
        yield {"PORT_CLIENT_ID": "id", "PORT_CLIENT_SECRET": "a-secret-value", "PORT_API_URL": url}


def test_unavailable_log_does_not_end_the_run(run: Run) -> None:
    shown = {"identifier": "wfr_QOz6WoOB1Q2lmhZZ", "status": "COMPLETED", "result": "SUCCESS"}
    with a_port(deploy_service("http://127.0.0.1:1"), {"ok": True, "run": shown}) as env:
        result = run("trigger", "deploy_service", *FOLLOWED, *INPUTS, env=env)
    assert (result.code, result.out.splitlines()[-1]) == (0, "wfr_QOz6WoOB1Q2lmhZZ  SUCCESS")
    assert result.err.count("the log of wfr_QOz6WoOB1Q2lmhZZ is not shown: ") == 1


def test_unreported_run_exits_1_with_the_command_to_report_it(run: Run) -> None:
    node_run = {"identifier": "wfnr_QOz6WoOB1Q2lmhZZ", "node": {"identifier": "deploy"}, "status": "IN_PROGRESS"}
    shown = {"identifier": "wfr_1", "status": "IN_PROGRESS", "result": None, "nodeRuns": [node_run]}
    options = ("--via-port", "--wait", "0.2", *INPUTS)
    with a_port(deploy_service("http://127.0.0.1:1"), {"ok": True, "workflowRun": shown}) as env:
        result = run("trigger", "deploy_service", *options, env=env)
        *nodes, end = run("trigger", "deploy_service", *options, "--json", env=env).records
    assert result.code == ExitCode.FAILED
    assert result.out.count("port-hook report-run wfnr_QOz6WoOB1Q2lmhZZ --status success") == 1
    last = "error: wfr_1 did not end within 0.2 s: the node deploy (wfnr_QOz6WoOB1Q2lmhZZ) is IN_PROGRESS"
    assert result.err.splitlines()[-1] == last
    assert (nodes, end["status"]) == ([], "IN_PROGRESS")
    assert end["in_progress"] == {"node": "deploy", "node_run_id": "wfnr_QOz6WoOB1Q2lmhZZ"}


def test_response_without_a_run_is_an_error(run: Run) -> None:
    runs: tuple[dict[str, Any], ...] = (
        {},
        {"run": {"identifier": ""}},
        {"run": {"identifier": "wfr_\x1b"}},
        {"run": []},
    )
    for shown in runs:
        with a_port(deploy_service("http://127.0.0.1:1"), {"ok": True, **shown}) as env:
            result = run("trigger", "deploy_service", *FOLLOWED, *INPUTS, env=env)
        assert (result.code, "did not respond with a workflow run" in result.err) == (ExitCode.PORT_API, True)


def test_no_output_shows_a_secret_input_of_a_workflow(run: Run, folder: Path) -> None:
    long = "a-value-that-is-a-secret"
    workflow = deploy_service("http://127.0.0.1:1")
    workflow["nodes"][0]["config"]["userInputs"]["properties"]["key"] = {"type": "string", "encryption": "aes256-gcm"}
    (folder / "i.json").write_text(json.dumps({"service": "a", "key": long}), "utf-8")
    node_run = {"identifier": "wfnr_1", "node": {"identifier": "check"}, "status": "COMPLETED", "result": "FAILED"}
    node_run |= {"output": {"error": {"message": long}}, "links": [f"https://example.com/{long}"]}
    shown = {"identifier": "wfr_1", "status": "COMPLETED", "result": "FAILED", "nodeRuns": [node_run]}
    refusal = {"ok": False, "error": "invalid", "message": f"{long} is too long"}
    arguments = ("trigger", "deploy_service", *FOLLOWED, "--input", "@i.json")
    with a_port(workflow, refusal, status=422) as env:
        refused = run(*arguments, env=env)
    with a_port(workflow, {"ok": True, "workflowRun": shown}) as env:
        failed = run(*arguments, env=env)
        record = run(*arguments, "--json", env=env)
    assert (refused.code, failed.code) == (ExitCode.PORT_API, ExitCode.FAILED)
    assert "*** is too long" in refused.err
    assert "https://example.com/***" in failed.out
    assert long not in refused.err + failed.out + record.out
