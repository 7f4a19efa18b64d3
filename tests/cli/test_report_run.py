from __future__ import annotations

import io
import json
import os
import signal
import subprocess
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from queue import SimpleQueue
from typing import BinaryIO

import pytest

from port_hook_cli.captures.store.capture_store import open_store
from port_hook_cli.cli.app import main
from port_hook_cli.cli.exit_codes import ExitCode
from port_hook_cli.runtime import Runtime
from port_hook_cli.sandbox import ApiEvent, Sandbox
from tests.conftest import Run
from tests.factories import RUN_ID, a_capture, an_invocation
from tests.processes import running
from tests.sandboxes import a_sandbox, environ_of
from tests.stores import keep

NODE_RUN = "wfnr_abc123"


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    with a_sandbox(runs=[RUN_ID]) as running:
        yield running


@pytest.fixture
def env(sandbox: Sandbox) -> dict[str, str]:
    return environ_of(sandbox)


def messages(sandbox: Sandbox, run_id: str = RUN_ID) -> list[str]:
    return [log["message"] for log in sandbox.runs[run_id].logs]


def test_report_run_sends_logs_fields_and_status(run: Run, sandbox: Sandbox, env: dict[str, str]) -> None:
    result = run(
        "report-run",
        RUN_ID,
        *("--status", "success", "--label", "Deployed", "--summary", "All good"),
        *("--link", "https://ci.example.com/7", "--link", "https://x.example", "--external-run-id", "gh-7"),
        *("--log", "one", "--log", "two"),
        env=env,
    )
    assert (result.code, result.err) == (ExitCode.OK, "")
    told = "reported 2 log entries, statusLabel, link, summary, externalRunId, status SUCCESS"
    assert result.out == f"{RUN_ID}: {told}\n"
    state = sandbox.runs[RUN_ID]
    assert (state.report.status, state.report.status_label, state.report.summary) == ("SUCCESS", "Deployed", "All good")
    assert (state.report.link, state.report.external_run_id) == (
        ["https://ci.example.com/7", "https://x.example"],
        "gh-7",
    )
    assert messages(sandbox) == ["one", "two"]


def test_report_run_json_has_the_reported_fields(run: Run, env: dict[str, str]) -> None:
    result = run("report-run", RUN_ID, "--json", "--status", "failure", "--log", "x", "--summary", "s", env=env)
    assert result.records == [
        {
            "schema": "port-hook/report/1",
            "run_id": RUN_ID,
            "status": "FAILURE",
            "logs_sent": 1,
            "fields": ["summary"],
            "page": None,
            "dry_run": False,
        }
    ]


def test_report_run_exits_9_when_the_run_has_ended(run: Run, sandbox: Sandbox, env: dict[str, str]) -> None:
    run("report-run", RUN_ID, "--status", "success", env=env)
    result = run("report-run", RUN_ID, "--status", "failure", "--log", "late", env=env)
    assert (result.code, result.out) == (ExitCode.RUN_ENDED, "")
    assert f"The run {RUN_ID} has already ended with SUCCESS" in result.err
    assert messages(sandbox) == []


def test_log_messages_alone_are_sent_to_an_ended_run(run: Run, sandbox: Sandbox, env: dict[str, str]) -> None:
    run("report-run", RUN_ID, "--status", "success", env=env)
    result = run("report-run", RUN_ID, "--log", "late", env=env)
    assert (result.code, result.err) == (ExitCode.OK, "")
    assert run("report-run", RUN_ID, "--log-file", "-", stdin=b"later\n", env=env).code == ExitCode.OK
    assert messages(sandbox) == ["late", "later"]


def test_hint_for_the_last_run_suggests_other_runs(run: Run, env: dict[str, str], folder: Path) -> None:
    keep(folder, a_capture(an_invocation()))
    run("report-run", "last", "--status", "success", env=env)
    result = run("report-run", "last", "--status", "failure", env=env)
    assert result.code == ExitCode.RUN_ENDED
    assert (
        f"hint: `last` is {RUN_ID}. Pass another run ID (`port-hook captures` lists them), or send only log messages."
        in result.err
    )


def test_log_file_over_the_limit_is_sent_completely(
    run: Run, sandbox: Sandbox, env: dict[str, str], folder: Path
) -> None:
    text = "".join(f"line {number} ä\n" for number in range(100_000))
    (folder / "build.log").write_text(text, encoding="utf-8")
    assert run("report-run", RUN_ID, "--log-file", "build.log", env=env).code == ExitCode.OK
    assert len(messages(sandbox)) == 2
    assert "".join(messages(sandbox)) == text.rstrip("\n")


def test_non_utf8_log_file_is_sent_with_replacement_characters(
    run: Run, sandbox: Sandbox, env: dict[str, str], folder: Path
) -> None:
    (folder / "build.log").write_bytes(b"\xff\xfe\x00\x1b[2J\n")
    assert run("report-run", RUN_ID, "--log-file", "build.log", env=env).code == ExitCode.OK
    assert messages(sandbox) == ["\ufffd\ufffd\x00\x1b[2J"]


def test_report_run_reads_a_summary_from_a_file(run: Run, sandbox: Sandbox, env: dict[str, str], folder: Path) -> None:
    (folder / "summary.md").write_text("# Dönè\n", encoding="utf-8")
    assert run("report-run", RUN_ID, "--summary", "@summary.md", env=env).code == ExitCode.OK
    assert sandbox.runs[RUN_ID].report.summary == "# Dönè\n"


def test_report_run_exits_8_before_any_call_when_a_file_does_not_exist(run: Run) -> None:
    for options in (("--summary", "@nowhere"), ("--log-file", "nowhere")):
        result = run("report-run", RUN_ID, *options)
        assert result.code == ExitCode.STORE
        assert "nowhere" in result.err


def test_report_run_sends_a_node_run_the_fields_and_statuses_of_workflows(
    run: Run, sandbox: Sandbox, env: dict[str, str]
) -> None:
    options = ("--status", "failure", "--label", "Broken", "--log", "x", "--link", "https://x.example")
    result = run("report-run", NODE_RUN, *options, env=env)
    assert result.code == ExitCode.OK
    assert "note: a node run has no label" in result.err
    assert result.out == f"{NODE_RUN}: reported 2 log entries, links, status FAILED\n"
    state = sandbox.runs[NODE_RUN]
    assert (state.report.status, state.report.result, state.report.link) == (
        "COMPLETED",
        "FAILED",
        ["https://x.example"],
    )
    assert messages(sandbox, NODE_RUN) == ["x", "Label: Broken"]


def test_report_run_dry_run_prints_each_call_in_order_without_credentials(run: Run) -> None:
    result = run(
        "report-run",
        RUN_ID,
        *("--dry-run", "--status", "success", "--summary", "ü\x1b[2J", "--log", "one", "--log-file", "-"),
        stdin=b"two\n",
        env={"PORT_API_URL": "http://127.0.0.1:9/v1/"},
    )
    base = f"http://127.0.0.1:9/v1/actions/runs/{RUN_ID}"
    assert (result.code, result.err) == (ExitCode.OK, "")
    assert result.out.splitlines() == [
        f"POST {base}/logs",
        '{"message":"one"}',
        f"POST {base}/logs",
        '{"message":"two"}',
        f"PATCH {base}",
        '{"summary":"ü\\u001b[2J"}',
        f"PATCH {base}",
        '{"status":"SUCCESS"}',
    ]


def test_report_run_exits_2_when_the_report_is_empty(run: Run) -> None:
    result = run("report-run", RUN_ID)
    assert result.code == ExitCode.USAGE
    assert "The report is empty." in result.err
    assert all(option in result.err for option in ("--status", "--log", "--summary", "--label", "--link", "--output"))


def test_report_run_suggests_the_run_id_in_a_pasted_url_before_any_call(run: Run) -> None:
    result = run("report-run", f"https://app.port.io/organization/run?runId={RUN_ID}", "--log", "x")
    assert result.code == ExitCode.USAGE
    assert f"Did you mean {RUN_ID}?" in result.err


def test_report_run_prints_a_note_and_continues_when_the_run_id_is_unusual(
    run: Run, sandbox: Sandbox, env: dict[str, str]
) -> None:
    sandbox.runs[RUN_ID].report.external_run_id = "gh-7"
    result = run("report-run", "gh-7", "--log", "x", env=env)
    assert result.code == ExitCode.OK
    assert result.err.startswith("note: gh-7 does not look like a run ID")
    assert messages(sandbox) == ["x"]


def test_report_run_explains_what_to_check_when_port_does_not_know_the_run(run: Run, env: dict[str, str]) -> None:
    result = run("report-run", RUN_ID[:-1], "--log", "x", env=env)
    assert result.code == ExitCode.PORT_API
    assert "404 Not Found" in result.err
    assert "PORT_REGION" in result.err


def test_report_run_never_prints_credentials(run: Run, sandbox: Sandbox, env: dict[str, str]) -> None:
    secret = sandbox.client_secret.reveal()
    good = run("report-run", RUN_ID, "--log", "x", "--json", env=env)
    bad = run("report-run", RUN_ID, "--log", "x", env={**env, "PORT_CLIENT_ID": "wrong"})
    assert (good.code, bad.code) == (ExitCode.OK, ExitCode.PORT_API)
    assert "401" in bad.err
    for shown in (good.out, good.err, bad.out, bad.err):
        assert secret not in shown
        assert "Bearer" not in shown


def test_report_run_last_means_the_run_of_the_latest_capture_with_a_run_id(
    run: Run, sandbox: Sandbox, env: dict[str, str], folder: Path
) -> None:
    bodies = {"old": b'{"context":{"runId":"r_0000000000000000"}}', "new": None, "none": b"{}"}
    invocations = (
        an_invocation(body, id=f"{name:x<12}", received_at=1_700_000_000.0 + second)
        for second, (name, body) in enumerate(bodies.items())
    )
    keep(folder, *map(a_capture, invocations))
    result = run("report-run", "last", "--status", "success", env=env)
    note = f"note: last is {RUN_ID}. Requests without a run ID don't count\n"
    assert (result.code, result.err) == (ExitCode.OK, note)
    assert sandbox.runs[RUN_ID].report.status == "SUCCESS"


def test_unverified_request_does_not_choose_the_run_that_gets_a_report(
    run: Run, sandbox: Sandbox, env: dict[str, str], folder: Path
) -> None:
    forged = an_invocation(b'{"context":{"runId":"r_0000000000000000"}}', id="f" * 12)
    keep(folder, a_capture(an_invocation()), replace(a_capture(forged), rejected=True))
    result = run("report-run", "last", "--log", "x", env=env)
    assert (result.code, result.err) == (ExitCode.OK, f"note: last is {RUN_ID}\n")
    assert messages(sandbox) == ["x"]


def test_report_run_last_fails_when_no_capture_has_a_run(run: Run, folder: Path) -> None:
    open_store(None, folder, create=True).close()
    result = run("report-run", "last", "--status", "success")
    assert result.code == ExitCode.STORE
    assert "no verified request with a run ID" in result.err


STREAMING = ("report-run", RUN_ID, "--log-file", "-", "--status", "success", "--json")


def wait_for_a_log(events: SimpleQueue[ApiEvent]) -> None:
    while not events.get(timeout=30).path.endswith("/logs"):
        pass


@contextmanager
def writing(world: Runtime, write: Callable[[BinaryIO], object]) -> Iterator[Runtime]:
    """Yield a runtime whose stdin is a pipe, into which a thread writes."""
    ours, theirs = os.pipe()
    with (
        os.fdopen(ours, "rb", buffering=0) as stdin,
        os.fdopen(theirs, "wb", buffering=0) as pipe,
        ThreadPoolExecutor(1) as thread,
    ):

        def write_all() -> None:
            with pipe:
                write(pipe)

        written = thread.submit(write_all)
        yield replace(world, stdin=stdin)
        written.result(30)


def test_report_run_sends_lines_while_the_program_still_writes(runtime: Callable[..., Runtime]) -> None:
    events: SimpleQueue[ApiEvent] = SimpleQueue()
    output, errors = io.StringIO(), io.StringIO()
    with a_sandbox(on_event=events.put) as sandbox:

        def write(pipe: BinaryIO) -> None:
            pipe.write(b"one\n")
            wait_for_a_log(events)
            assert messages(sandbox) == ["one"]
            assert sandbox.runs[RUN_ID].report.status == "IN_PROGRESS"
            pipe.write(b"two\nthree\n")

        with writing(replace(runtime(env=environ_of(sandbox)), stdout=output, stderr=errors), write) as world:
            assert (main(STREAMING, world), errors.getvalue()) == (ExitCode.OK, "")
    assert messages(sandbox) == ["one", "two\nthree"]
    assert json.loads(output.getvalue())["logs_sent"] == 2
    assert sandbox.runs[RUN_ID].report.status == "SUCCESS"


def test_ctrl_c_while_streaming_leaves_the_run_in_progress(tmp_path: Path) -> None:
    events: SimpleQueue[ApiEvent] = SimpleQueue()
    with a_sandbox(on_event=events.put) as sandbox:
        env = {**os.environ, **environ_of(sandbox)}
        with running(tmp_path, *STREAMING, env=env, stdin=subprocess.PIPE) as process:
            process.stdin.write(b"one\n")
            process.stdin.flush()
            wait_for_a_log(events)
            process.send_signal(signal.SIGINT)
            assert process.wait(30) == ExitCode.INTERRUPTED
            assert process.stderr.read() == b""
    assert sandbox.runs[RUN_ID].report.status == "IN_PROGRESS"


def test_report_run_reads_stdin_to_the_end_when_reporting_fails(runtime: Callable[..., Runtime]) -> None:
    errors = io.StringIO()
    with a_sandbox() as sandbox:
        sandbox.add_run(RUN_ID, status="SUCCESS", ended_at=1.0)
        world = replace(runtime(env=environ_of(sandbox)), stderr=errors)
        with writing(world, lambda pipe: pipe.write(b"x" * 1_000_000)) as piped:
            assert main(STREAMING, piped) == ExitCode.RUN_ENDED
    assert "reads the rest without sending it" in errors.getvalue()
    assert "error: The run" in errors.getvalue()


# --- workflow node runs ---------------------------------------------------------------------------------------------


def test_report_run_sends_the_output_links_and_log_level_of_a_node_run(
    run: Run, sandbox: Sandbox, env: dict[str, str], folder: Path
) -> None:
    (folder / "output.json").write_text('{"url": "https://vm.example", "size": 1}', "utf-8")
    result = run(
        "report-run",
        NODE_RUN,
        *("--status", "success", "--output", "@output.json", "--output", "size=2", "--output", "disk.gb=40"),
        *("--log", "slow disk", "--log-level", "warn", "--external-run-id", "job-7"),
        env=env,
    )
    assert (result.code, result.err) == (ExitCode.OK, "")
    assert result.out == f"{NODE_RUN}: reported 1 log entry, externalRunId, output, status SUCCESS\n"
    state = sandbox.runs[NODE_RUN]
    assert (state.report.status, state.report.result, state.report.external_run_id) == ("COMPLETED", "SUCCESS", "job-7")
    assert state.report.output == {"url": "https://vm.example", "size": 2, "disk": {"gb": 40}}
    assert [log["level"] for log in state.logs] == ["WARN"]


def test_report_run_ends_runs_with_the_results_of_their_kind(run: Run, sandbox: Sandbox, env: dict[str, str]) -> None:
    for status, result in (("failed", "FAILED"), ("failure", "FAILED"), ("cancelled", "CANCELLED")):
        node_run = f"wfnr_{status}"
        assert run("report-run", node_run, "--status", status, env=env).code == ExitCode.OK
        report = sandbox.runs[node_run].report
        assert (report.status, report.result) == ("COMPLETED", result)
    assert run("report-run", RUN_ID, "--status", "failed", env=env).code == ExitCode.OK
    assert sandbox.runs[RUN_ID].report.status == "FAILURE"


def test_report_run_rejects_options_of_another_run_type_before_any_call(run: Run) -> None:
    for run_id, options, message in (
        (RUN_ID, ("--status", "cancelled"), "An action run cannot end as cancelled."),
        (RUN_ID, ("--output", "{}"), "--output is for node runs"),
        (RUN_ID, ("--log", "x", "--log-level", "error"), "--log-level is for node runs"),
        (NODE_RUN, ("--output", "[1]"), "--output is not a JSON object."),
        (NODE_RUN, ("--link", "https://a.example") * 4, "A node run can have at most 3 links, not 4."),
        (NODE_RUN, ("--log-level", "error"), "The report is empty."),
    ):
        calls: list[ApiEvent] = []
        with a_sandbox(runs=[RUN_ID], on_event=calls.append) as sandbox:
            result = run("report-run", run_id, *options, env=environ_of(sandbox))
        assert (result.code, message in result.err) == (ExitCode.USAGE, True), result.err
        assert calls == []


def test_dry_run_record_has_the_calls_and_status_accepts_the_spelling_of_port(run: Run) -> None:
    (record,) = run("report-run", RUN_ID, "--status", "SUCCESS", "--dry-run", "--json").records
    url = f"https://api.port.io/v1/actions/runs/{RUN_ID}"
    assert record["dry_run"] is True
    assert record["calls"] == [{"method": "PATCH", "url": url, "body": {"status": "SUCCESS"}}]
