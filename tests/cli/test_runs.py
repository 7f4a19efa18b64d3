"""`runs`, with a sandbox in place of Port."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from port_hook_cli.captures.store.capture_store import open_store
from port_hook_cli.cli.exit_codes import ExitCode
from port_hook_cli.engines.renderer import Renderer
from port_hook_cli.invocations.models import Delivery
from port_hook_cli.invocations.targets import address_of
from port_hook_cli.runs.missed import find_missed
from port_hook_cli.runs.port_run import PortRun, RunKind
from port_hook_cli.sandbox import ApiEvent, Sandbox
from tests.cli.test_trigger_workflow_in_port import INPUTS, deploy_service
from tests.cli.workflow_handler import NodeHandler, serving
from tests.conftest import Run
from tests.factories import RUN_ID, a_body, a_capture, a_document, an_invocation
from tests.flaky_port import Fault, a_flaky_port
from tests.sandboxes import a_sandbox, environ_of
from tests.servers import Handler
from tests.servers import handler as serve_handler
from tests.sockets import free_port
from tests.stores import keep, kept

OTHER_RUN = "r_" + "b" * 16
REQUEST = {"type": "WEBHOOK", "url": "https://x.example/hook", "method": "POST", "synchronized": False, "body": {}}


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    with a_sandbox(runs=[RUN_ID, OTHER_RUN]) as running:
        running.runs[RUN_ID].invocation.payload = dict(REQUEST)
        yield running


@pytest.fixture
def ask(run: Run, sandbox: Sandbox) -> Callable[..., Any]:
    return lambda *args: run("runs", *args, env=environ_of(sandbox))


def end(sandbox: Sandbox, run_id: str, status: str = "SUCCESS") -> None:
    sandbox.runs[run_id].update({"status": status}, time.time())


def test_run_in_progress_says_what_ends_it_and_how_the_handler_responded(
    ask: Callable[..., Any], sandbox: Sandbox, folder: Path
) -> None:
    delivery = Delivery(url="http://127.0.0.1:8000/", status=202)
    keep(folder, a_capture(an_invocation(id="a" * 12), delivery=delivery))
    sandbox.runs[RUN_ID].logs.append({"message": "one\x1b[2J\ntwo", "createdAt": "2026-05-01T00:00:00Z"})
    result = ask(RUN_ID)
    assert (result.code, result.err) == (0, "")
    head, *lines = result.out.splitlines()
    assert head == f"{RUN_ID}  create_vm  IN_PROGRESS"
    assert "  request    POST https://x.example/hook" in lines
    assert "  captured   aaaaaaaaaaaa, signature valid, handler 202" in lines
    waits = "The handler responded with 202. The run stays IN_PROGRESS until the handler reports its result."
    assert f"  waits      {waits}" in lines
    assert lines[lines.index(f"  waits      {waits}") + 1].strip() == f"port-hook report-run {RUN_ID} --status success"
    assert lines[-2].endswith("one\\x1b[2J")
    assert lines[-1].strip() == "two"


def test_record_of_the_last_run_has_its_capture_and_its_log(
    ask: Callable[..., Any], sandbox: Sandbox, folder: Path
) -> None:
    keep(folder, a_capture(an_invocation(id="a" * 12)))
    sandbox.runs[RUN_ID].logs += [{"message": str(number)} for number in range(120)]
    (record,) = ask("last", "--json").records
    assert (record["run_id"], record["capture"]["id"], record["synchronized"]) == (RUN_ID, "a" * 12, False)
    assert [entry["message"] for entry in record["log"]] == [str(number) for number in range(120)]
    assert record["ends_with"] == [{"run_id": RUN_ID, "what": "report"}]


def test_list_shows_captured_runs_and_filters(ask: Callable[..., Any], sandbox: Sandbox, folder: Path) -> None:
    keep(folder, a_capture())
    sandbox.runs[OTHER_RUN].start.action = "other"
    sandbox.runs[OTHER_RUN].created_at += 60
    end(sandbox, OTHER_RUN)
    other, first = ask("--json").records
    assert (other["run_id"], other["captured"], other["log"]) == (OTHER_RUN, False, None)
    assert (first["run_id"], first["captured"]) == (RUN_ID, True)
    header, *rows = ask().out.splitlines()
    assert header.split() == ["started", "run", "state", "action", "captured"]
    assert [row.split()[-4:] for row in rows] == [
        [OTHER_RUN, "SUCCESS", "other", "no"],
        [RUN_ID, "IN_PROGRESS", "create_vm", "yes"],
    ]
    listed: list[tuple[tuple[str, ...], list[str]]] = [
        (("--active",), [RUN_ID]),
        (("--action", "other"), [OTHER_RUN]),
        (("--limit", "1"), [OTHER_RUN]),
        (("--since", "2099-01-01"), []),
        (("--since", "1d..2099-01-01"), [OTHER_RUN, RUN_ID]),
        (("--since", "2000-01-01..1d"), []),
    ]
    for args, expected in listed:
        assert [each["run_id"] for each in ask(*args, "--json").records] == expected, args
    assert "No runs match." in ask("--since", "2099-01-01").err
    assert "more runs were found. Raise --limit to list 2" in ask("--limit", "1").err


@pytest.mark.parametrize(("status", "code"), [("SUCCESS", ExitCode.OK), ("FAILURE", ExitCode.FAILED)])
def test_watch_follows_a_run_until_it_ends(run: Run, status: str, code: ExitCode) -> None:
    reads: list[ApiEvent] = []

    def on_event(event: ApiEvent) -> None:
        if "/logs" in event.path:
            reads.append(event)
            port.runs[RUN_ID].logs.append({"message": f"entry {len(reads)}"})
            if len(reads) == 2:
                end(port, RUN_ID, status)

    with a_sandbox(runs=[RUN_ID], on_event=on_event) as port:
        result = run("runs", RUN_ID, "--watch", env=environ_of(port))
    assert result.code == code
    assert [line for line in result.out.splitlines() if "entry" in line or RUN_ID in line] == [
        f"{RUN_ID}  create_vm  IN_PROGRESS",
        f"             port-hook report-run {RUN_ID} --status success",
        "  log          entry 1",
        "  log          entry 2",
        f"{RUN_ID} {status}",
    ]


ANONYMOUS = "r_" + "d" * 16
HERE = "http://localhost:8787/hook"


@pytest.fixture
def handler() -> Iterator[Handler]:
    with serve_handler() as running:
        yield running


@pytest.fixture
def missed(sandbox: Sandbox, folder: Path) -> Sandbox:
    """A sandbox with a missed run of this store's listener, a captured run, and a run of another URL."""
    captured, elsewhere = "r_" + "c" * 16, sandbox.runs[OTHER_RUN]
    keep(folder, a_capture(an_invocation(a_body(a_document(context={"runId": captured})))))
    with open_store(None, folder) as store:
        for number in range(150):
            store.record_address(address_of(f"https://a{number}.example"), float(number))
        store.record_address(address_of("http://127.0.0.1:8787/"), 1000.0)
        assert len(store.addresses()) == 100
    body = {"title": "dev", "context": {"runId": RUN_ID}}
    sandbox.runs[RUN_ID].invocation.payload = {**REQUEST, "url": HERE, "body": body, "headers": {"X-A": "ä"}}
    sandbox.runs[captured] = replace(sandbox.runs[RUN_ID], id=captured)
    elsewhere.invocation.payload = {**REQUEST, "headers": {"RUN_ID": OTHER_RUN}}
    elsewhere.start.action = "other"
    sandbox.runs[ANONYMOUS] = replace(elsewhere, id=ANONYMOUS)
    return sandbox


def test_missed_runs_went_to_a_listener_of_this_store_and_have_no_capture(
    run: Run, ask: Callable[..., Any], missed: Sandbox
) -> None:
    assert [each["run_id"] for each in ask("--missed", "--json").records] == [RUN_ID]
    end(missed, RUN_ID)
    assert [each["run_id"] for each in ask("--missed", "--json").records] == [RUN_ID]
    assert ask("--missed", "--active").err.startswith("No runs match.")
    (told,) = run("replay", "--missed", env=environ_of(missed)).err.splitlines()
    show = f"To show one, run `port-hook runs {RUN_ID}`"
    assert told == f"note: 1 missed run has ended, so it is not sent: {RUN_ID}. {show}"


def test_address_on_this_machine_counts_only_for_a_port_on_this_machine() -> None:
    run = PortRun(id=RUN_ID, kind=RunKind.ACTION, payload={"url": HERE, "body": RUN_ID})
    for url, api_is_here, is_missed in (
        ("http://127.0.0.1:8787", True, True),
        ("http://127.0.0.1:8787", False, False),
        ("http://127.0.0.1:8788", True, False),
        ("https://x.example", True, False),
        ("http://127.0.0.1:8787/another-developer", True, False),
        ("http://[", True, False),
    ):
        found = find_missed([run], (), {address_of(url)}, api_is_here=api_is_here)
        assert bool(found.anonymous) == is_missed, url


@pytest.mark.parametrize(
    ("payload", "is_anonymous"),
    [
        ({"body": {"context": {"runId": RUN_ID}}}, False),
        ({"body": {"callback": f"https://api.port.io/v1/actions/runs/{RUN_ID}"}}, True),
        ({"body": {}, "url": f"https://x.example/?run={RUN_ID}"}, True),
        ({"body": {}, "headers": {"x-port-run": RUN_ID}}, True),
        ({"url": "https://x.example"}, True),
    ],
)
def test_request_is_anonymous_unless_its_capture_shows_the_run(payload: dict[str, Any], is_anonymous: bool) -> None:
    assert PortRun(id=RUN_ID, kind=RunKind.ACTION, payload=payload).has_anonymous_request == is_anonymous


def test_replay_sends_missed_requests_once(
    run: Run, missed: Sandbox, folder: Path, handler: Handler, ask: Callable[..., Any]
) -> None:
    def replay(*args: str) -> Any:
        return run("replay", "--missed", "--to", handler.url, *args, env=environ_of(missed))

    refused = replay()
    assert (refused.code, handler.requests) == (ExitCode.USAGE, [])
    assert RUN_ID in refused.err
    assert "hint: Add --yes" in refused.err
    assert "context" in replay("--dry-run").out
    assert replay("--since", "2099-01-01", "--yes").err == "No missed runs.\n"
    (sent,) = replay("--yes", "--json").records
    assert sent["status"] == 200
    (request,) = handler.requests
    assert json.loads(request.body)["context"] == {"runId": RUN_ID}
    assert (saved := kept(folder)[0]).verdict.status == "valid"
    assert (saved.invocation.replay_of, saved.invocation.target) == (RUN_ID, "/hook")
    assert replay("--yes").err == "No missed runs.\n"
    assert "  captured   unknown" in ask(ANONYMOUS).out
    assert ask("--missed").err.startswith("No runs match.")
    left_out = f"note: requests without their run ID may be captured here, so they are left out: {ANONYMOUS}\n"
    assert left_out in replay("--action", "other", "--yes").err
    assert len(handler.requests) == 2
    assert replay("--action", "other", "--yes").err == f"{left_out}No missed runs.\n"


def test_run_whose_capture_was_deleted_is_left_out(run: Run, missed: Sandbox, folder: Path) -> None:
    (deleted,) = missed.runs.keys() - {RUN_ID, OTHER_RUN, ANONYMOUS}
    missed.runs[deleted].created_at = kept(folder)[0].invocation.received_at - 2
    assert run("prune", "--keep", "0", "--yes").code == 0
    for name in ("replay", "runs"):
        result = run(name, "--missed", *["--dry-run"] * (name == "replay"), env=environ_of(missed))
        assert f" were deleted, so earlier runs are left out (1): {deleted}. To send one anyway, " in result.err
        assert RUN_ID in result.out + result.err
        assert deleted not in result.out


def test_failed_replay_of_a_missed_run_is_sent_again_by_failed(run: Run, missed: Sandbox, handler: Handler) -> None:
    to, env = ("--to", f"http://127.0.0.1:{free_port()}"), environ_of(missed)
    assert run("replay", "--missed", "--yes", *to, env=env).code == ExitCode.TARGET
    assert run("replay", "--failed", "--to", handler.url, env=env).code == 0
    _, request = handler.requests  # the captured request has failed too
    assert json.loads(request.body)["context"] == {"runId": RUN_ID}
    again = run("replay", "--failed", env=env).err.splitlines()
    assert again == ["Skipped 2 that have since succeeded.", "No other captures failed."]


def test_options_of_another_kind_of_listing_are_rejected(ask: Callable[..., Any]) -> None:
    assert ask("--watch").code == ExitCode.USAGE
    assert ask(RUN_ID, "--active").code == ExitCode.USAGE
    assert ask("r_1/../x").code == ExitCode.USAGE
    assert "this directory has no store.\nhint: Pass a run ID (`port-hook runs` lists them), or" in ask("last").err


@pytest.fixture
def workflow_run(run: Run) -> Iterator[Callable[..., Any]]:
    """`runs` for a sandbox with one workflow run, whose asynchronous node waits for a report."""
    with (
        serving(NodeHandler()) as nodes,
        Renderer() as renderer,
        a_sandbox(workflows=[deploy_service(nodes.url)], renders=renderer) as sandbox,
    ):
        env = environ_of(sandbox)
        run("trigger", "deploy_service", "--via-port", *INPUTS, env=env)
        while "/deploy" not in nodes.paths:  # each look is a call, which takes its time
            run("runs", env=env)
        yield lambda *args: run("runs", *args, env=env)


def test_workflow_run_and_node_run_say_which_node_waits(workflow_run: Callable[..., Any]) -> None:
    (listed,) = workflow_run("--json").records
    name, node_run = listed["run_id"], listed["node_runs"][-1]["node_run_id"]
    assert (listed["kind"], listed["name"], listed["status"]) == ("workflow-run", "deploy_service", "IN_PROGRESS")
    assert "deploy_service#deploy" in workflow_run("--active").out
    note = f"note: Port's API doesn't return the requests of node runs. In progress and not captured here: {node_run}"
    assert note in workflow_run("--missed").err
    shown = workflow_run(name).out
    assert "deploy: The request was not captured here. A synchronized node (the default) ends with" in shown
    assert f"port-hook report-run {node_run} --status success" in shown
    assert workflow_run(name, "--json").records[0]["ends_with"] == [{"run_id": node_run, "what": "response-or-report"}]
    (node,) = workflow_run(node_run, "--json").records
    assert (node["kind"], node["name"], node["node_runs"]) == ("node-run", "deploy", [])
    missing = workflow_run("wfnr_" + "z" * 16)
    assert missing.code == ExitCode.PORT_API
    assert "is not in the 200 latest workflow runs" in missing.err


def test_organization_without_workflows_lists_its_action_runs(run: Run) -> None:
    listed = json.dumps({"ok": True, "runs": [{"id": RUN_ID, "status": "NEW\x1b[2J"}, {"id": 7}, []]}).encode()
    with a_flaky_port((Fault(status=200, body=listed), Fault(status=403))) as port:
        env = {"PORT_CLIENT_ID": "id", "PORT_CLIENT_SECRET": "secret", "PORT_API_URL": port.url}
        result = run("runs", env=env)
    assert result.out.splitlines()[1].split() == ["-", RUN_ID, "NEW\\x1b[2J", "(no", "action)", "no"]
    assert "note: workflow runs are not listed: Port's API responded with 403" in result.err
