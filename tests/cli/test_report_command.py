"""`port-hook report-run RUN -- COMMAND` and `--pending`."""

from __future__ import annotations

import json
import os
import select
import signal
import stat
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from queue import SimpleQueue
from typing import TypeAlias

import psutil
import pytest

from port_hook_cli.cli.exit_codes import ExitCode
from port_hook_cli.reporting.kept_report import KeptReports
from port_hook_cli.sandbox import ApiEvent, Sandbox
from tests import prepared
from tests.conftest import Run
from tests.factories import RUN_ID
from tests.flaky_port import Fault, FlakyPort, a_flaky_port, environ_of_flaky
from tests.prepared import Popen
from tests.processes import environment, port_hook, running
from tests.sandboxes import a_sandbox, environ_of

NODE_RUN = "wfnr_abc123"
Pending: TypeAlias = tuple[FlakyPort, dict[str, str]]
BUSY = Fault(status=429, headers={"retry-after": "0"})
GONE = Fault(status=404, body=b'{"ok":false,"error":"not_found","message":"no"}')
LOST_AFTER = Fault(lose=True, after=True)
WAIT_LONG = Fault(status=429, headers={"retry-after": "3600"})
"""Port asks for a pause, but port-hook does not wait."""


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    with a_sandbox(runs=[RUN_ID]) as running:
        yield running


@pytest.fixture
def env(sandbox: Sandbox) -> dict[str, str]:
    return {**environ_of(sandbox), "PATH": os.environ["PATH"]}


def python(program: str) -> tuple[str, ...]:
    return ("--", sys.executable, "-c", program)


def messages(sandbox: Sandbox, run_id: str = RUN_ID) -> list[str]:
    return [log["message"] for log in sandbox.runs[run_id].logs]


def reports(home: Path) -> list[Path]:
    folder = home / ".port-hook" / "reports"
    return sorted(folder.iterdir()) if folder.exists() else []


def test_command_output_is_shown_byte_for_byte_and_reported_as_text(
    run: Run, sandbox: Sandbox, env: dict[str, str], tmp_path: Path
) -> None:
    program = r"import os; os.write(1, b'\x1b[31mone\xff\x1b[0m\r\n'); os.write(2, b'two\n'); os.write(1, b'three')"
    result = run("report-run", RUN_ID, *python(program), env=env)
    assert (result.code, result.raw) == (ExitCode.OK, b"\x1b[31mone\xff\x1b[0m\r\nthree")
    assert result.err.startswith(f"two\nnote: {RUN_ID}: reported ")
    assert result.err.endswith(", status SUCCESS\n")
    lines = "\n".join(messages(sandbox)).split("\n")
    assert sorted(lines) == ["one\ufffd", "three", "two"]
    assert lines.index("one\ufffd") < lines.index("three")
    assert sandbox.runs[RUN_ID].report.status == "SUCCESS"
    assert reports(tmp_path / "home") == []


def test_failed_command_ends_the_run_as_failure_with_its_last_lines(
    run: Run, sandbox: Sandbox, env: dict[str, str]
) -> None:
    result = run("report-run", RUN_ID, *python("print('broken'); raise SystemExit(3)"), env=env)
    assert result.code == 3
    state = sandbox.runs[RUN_ID]
    assert (state.report.status, state.report.summary) == ("FAILURE", "The command ended with exit code 3.\n\nbroken")


def test_command_of_a_node_run_ends_it_as_failed_and_completed(run: Run, sandbox: Sandbox, env: dict[str, str]) -> None:
    options = ("--log-level", "debug", "--output", '{"a": 1}')
    result = run("report-run", NODE_RUN, *options, *python("print('broken'); raise SystemExit(3)"), env=env)
    assert result.code == 3
    state = sandbox.runs[NODE_RUN]
    assert (state.report.status, state.report.result, state.report.output) == ("COMPLETED", "FAILED", {"a": 1})
    assert [(log["level"], log["message"]) for log in state.logs] == [("DEBUG", "broken")]


def test_command_with_fields_reports_them_before_its_lines_and_the_summary_at_the_end(
    run: Run, sandbox: Sandbox, env: dict[str, str]
) -> None:
    options = ("--label", "Building", "--link", "https://ci.example", "--external-run-id", "7", "--summary", "mine")
    result = run("report-run", RUN_ID, *options, "--log", "first", *python("print('second')"), env=env)
    assert result.code == ExitCode.OK
    state = sandbox.runs[RUN_ID]
    assert (state.report.status_label, state.report.link, state.report.external_run_id) == (
        "Building",
        ["https://ci.example"],
        "7",
    )
    assert (messages(sandbox), state.report.summary) == (["first", "second"], "mine")


@pytest.mark.parametrize(("name", "code"), [("does-not-exist", 127), ("not-executable", 126)])
def test_unstartable_command_ends_the_run_as_failure(
    run: Run, sandbox: Sandbox, env: dict[str, str], folder: Path, name: str, code: int
) -> None:
    (folder / "not-executable").write_text("")
    result = run("report-run", RUN_ID, "--", str(folder / name), env=env)
    assert result.code == code
    assert "did not start" in result.err
    assert sandbox.runs[RUN_ID].report.status == "FAILURE"
    assert "did not start" in str(sandbox.runs[RUN_ID].report.summary)


def test_command_killed_by_a_signal_gives_the_exit_code_of_a_shell(run: Run, env: dict[str, str]) -> None:
    result = run("report-run", RUN_ID, *python("import os; os.kill(os.getpid(), 9)"), env=env)
    assert result.code == 128 + 9


def test_command_does_not_run_without_credentials(run: Run, folder: Path) -> None:
    result = run("report-run", RUN_ID, *python("open('ran', 'w')"))
    assert result.code == ExitCode.SETTINGS
    assert not (folder / "ran").exists()


def test_command_does_not_run_when_its_report_cannot_be_saved(
    run: Run, env: dict[str, str], folder: Path, tmp_path: Path
) -> None:
    (tmp_path / "home" / ".port-hook").write_text("")
    result = run("report-run", RUN_ID, *python("open('ran', 'w')"), env=env)
    assert result.code == ExitCode.STORE
    assert not (folder / "ran").exists()


def test_command_rejects_contradictory_options(run: Run) -> None:
    for options, message in (
        (("--status", "success", "--", "true"), "Use either --status or a command after --, not both."),
        (("--json", "--", "true"), "Use either --json or a command after --, not both."),
        (("--dry-run", "--", "true"), "Use either --dry-run or a command after --, not both."),
        (("--log-file", "-", "--", "true"), "Use either --log-file or a command after --, not both."),
        (("--pending", "--status", "success"), "Use either --pending or --status, not both."),
        (("make", "deploy"), "Unexpected argument: make deploy."),
        (("--secret-file", "-", "--", "true"), "The secret and the command cannot both use stdin."),
    ):
        result = run("report-run", RUN_ID, *options)
        assert (result.code, message in result.err) == (ExitCode.USAGE, True), result.err


# --- failures of Port -----------------------------------------------------------------------------------------------

NUMBERED = "import sys\nfor number in range({count}): print('line', number, flush=number % 100 == 0)"


# The first calls pass, because port-hook reads the run and its log, to look up lost responses.
FLAKY = (None, None, BUSY, LOST_AFTER, None, Fault(lose=True), BUSY, None, LOST_AFTER, LOST_AFTER, None, BUSY)


def test_log_lines_are_sent_once_when_port_is_busy_and_loses_connections(run: Run) -> None:
    count = 60_000
    with a_flaky_port(FLAKY) as port:
        env = environ_of_flaky(port)
        result = run("report-run", RUN_ID, *python(NUMBERED.format(count=count)), env=env)
    expected = [f"line {number}" for number in range(count)]
    assert result.code == ExitCode.OK, result.err
    assert result.out.splitlines() == expected
    assert "\n".join(port.logs).split("\n") == expected
    assert port.run["status"] == "SUCCESS"


def test_command_continues_and_saves_its_report_when_port_is_unreachable(run: Run, tmp_path: Path) -> None:
    with a_flaky_port((WAIT_LONG,) * 3) as port:
        env = environ_of_flaky(port)
        result = run("report-run", RUN_ID, *python("print('one'); raise SystemExit(4)"), env=env)
        assert (result.code, result.out) == (4, "one\n")
        assert "Send it with `port-hook report-run --pending`" in result.err
        (kept,) = reports(tmp_path / "home")
        assert stat.S_IMODE(kept.stat().st_mode) == 0o700
        files = list(kept.iterdir())
        assert {stat.S_IMODE(file.stat().st_mode) for file in files} == {0o600}
        assert not any(b"secret-of-the-test" in file.read_bytes() or b"token-" in file.read_bytes() for file in files)
        port.script.clear()
        result = run("report-run", "--pending", env=env)
        assert result.code == ExitCode.OK, result.err
        assert result.out == f"{RUN_ID}: reported 1 log entry, summary, status FAILURE\n"
    assert (port.logs, port.run["status"]) == (["one"], "FAILURE")
    assert reports(tmp_path / "home") == []


def test_command_continues_without_a_saved_report_when_its_run_has_ended(
    run: Run, sandbox: Sandbox, env: dict[str, str], tmp_path: Path
) -> None:
    sandbox.add_run(RUN_ID, status="SUCCESS", ended_at=1.0)
    result = run("report-run", RUN_ID, *python("print('one')"), env=env)
    assert (result.code, result.out) == (ExitCode.OK, "one\n")
    assert f"The run {RUN_ID} has already ended with SUCCESS" in result.err
    assert reports(tmp_path / "home") == []


def test_command_saves_its_report_when_port_does_not_know_the_run(run: Run, tmp_path: Path) -> None:
    with a_flaky_port((GONE,) * 9) as port:
        result = run("report-run", RUN_ID, *python("print('one')"), env=environ_of_flaky(port))
    assert (result.code, result.out) == (ExitCode.OK, "one\n")
    assert "404 Not Found" in result.err
    assert len(reports(tmp_path / "home")) == 1


@pytest.fixture
def pending(run: Run) -> Iterator[Pending]:
    """A Port that works again after it missed a report, and the environment with its URL."""
    with a_flaky_port((WAIT_LONG,) * 3) as port:
        env = environ_of_flaky(port)
        keep_a_report(run, env)
        port.script.clear()
        yield port, env


def keep_a_report(run: Run, env: Mapping[str, str], *options: str) -> None:
    result = run("report-run", RUN_ID, *options, *python("print('one')"), env=env)
    assert "--pending" in result.err, result.err


def test_pending_counts_a_status_as_sent_when_its_response_was_lost(run: Run, tmp_path: Path) -> None:
    hopeless = Fault(status=501)
    faults = (None, None, None, LOST_AFTER, hopeless, hopeless, hopeless)
    with a_flaky_port(faults) as port:
        env = environ_of_flaky(port)
        keep_a_report(run, env)
        port.script.clear()
        result = run("report-run", "--pending", env=env)
    assert (result.code, result.out) == (ExitCode.OK, f"{RUN_ID}: reported 1 log entry, status SUCCESS\n")
    assert reports(tmp_path / "home") == []


def test_pending_discards_a_report_when_its_run_has_ended_with_another_status(
    run: Run, pending: Pending, tmp_path: Path
) -> None:
    port, env = pending
    port.run["status"] = "FAILURE"
    result = run("report-run", "--pending", env=env)
    assert (result.code, "has already ended with FAILURE" in result.err) == (ExitCode.FAILED, True)
    assert reports(tmp_path / "home") == []


def test_pending_sends_nothing_to_another_api_url(
    run: Run, sandbox: Sandbox, env: dict[str, str], tmp_path: Path
) -> None:
    with a_flaky_port((WAIT_LONG,) * 3) as port:
        keep_a_report(run, environ_of_flaky(port))
    result = run("report-run", "--pending", "--json", env=env)
    assert result.code == ExitCode.FAILED
    assert [record["outcome"] for record in result.records] == ["elsewhere"]
    assert messages(sandbox) == []
    (saved,) = reports(tmp_path / "home")
    hint = f"hint: The report is in {saved}. Delete that directory to discard it."
    assert hint in run("report-run", "--pending", env=env).err


def test_pending_with_a_run_id_sends_only_its_reports(run: Run, pending: Pending) -> None:
    port, env = pending
    result = run("report-run", "r_0000000000000000", "--pending", env=env)
    assert (result.code, result.err) == (ExitCode.OK, "note: no report is pending\n")
    assert port.logs == []
    assert run("report-run", RUN_ID, "--pending", env=env).code == ExitCode.OK
    assert port.logs == ["one"]


def test_pending_shows_an_unreadable_report_and_sends_the_others(run: Run, tmp_path: Path) -> None:
    with a_flaky_port((WAIT_LONG,) * 6) as port:
        env = environ_of_flaky(port)
        keep_a_report(run, env)
        keep_a_report(run, env)
        first, _ = reports(tmp_path / "home")
        (first / "state.json").write_text('{"version": 1, "run_id": 5}')
        port.script.clear()
        result = run("report-run", "--pending", "--json", env=env)
    assert result.code == ExitCode.FAILED
    assert [record["outcome"] for record in result.records] == ["failed", "sent"]
    assert port.logs == ["one"]


def test_pending_skips_a_report_in_use_by_another_process(run: Run, pending: Pending, tmp_path: Path) -> None:
    port, env = pending
    (folder,) = reports(tmp_path / "home")
    in_use = KeptReports(tmp_path / "home").open(folder)
    assert in_use is not None
    result = run("report-run", "--pending", env=env)
    assert (result.code, result.out) == (ExitCode.OK, "")
    assert result.err == "note: another process is sending a report now\n"
    result = run("report-run", "--pending", "--json", env=env)
    assert (result.code, [record["outcome"] for record in result.records]) == (ExitCode.OK, ["in-use"])
    assert port.logs == []
    in_use.release()
    assert run("report-run", "--pending", env=env).code == ExitCode.OK
    assert (port.logs, port.run["status"]) == (["one"], "SUCCESS")


def test_pending_does_not_delete_a_report_with_unreadable_lines(run: Run, pending: Pending, tmp_path: Path) -> None:
    port, env = pending
    (folder,) = reports(tmp_path / "home")
    (lines,) = folder.glob("log-*")
    lines.unlink()
    lines.mkdir()
    (lines / "file").touch()
    result = run("report-run", "--pending", env=env)
    assert (result.code, result.out) == (ExitCode.FAILED, "")
    assert result.err.splitlines() == [
        f"error: port-hook cannot read the report of {RUN_ID}: Is a directory.",
        "hint: Check the disk.",
        f"hint: The report is in {folder}. Delete that directory to discard it.",
    ]
    assert reports(tmp_path / "home") == [folder]
    assert port.run["status"] == "IN_PROGRESS"


def test_unsaved_log_lines_are_counted(run: Run, env: dict[str, str], tmp_path: Path) -> None:
    home = tmp_path / "home"
    # Renames the folder instead of deleting it, because port-hook may be writing its state there.
    move = f"import os; os.rename({str(home / '.port-hook')!r}, {str(home / 'moved')!r})"
    program = f"{move}; print('one'); print('two')"
    result = run("report-run", RUN_ID, *python(program), env=env)
    assert (result.code, result.out) == (ExitCode.OK, "one\ntwo\n")
    assert "warning: 2 log lines could not be saved, so they are not reported.\n" in result.err


# --- signals --------------------------------------------------------------------------------------------------------


def started(sandbox: Sandbox, folder: Path, program: str) -> AbstractContextManager[Popen]:
    env = environment(folder, **environ_of(sandbox))
    return running(folder, "report-run", RUN_ID, *python(program), env=env, start_new_session=True)


WAITS = """
import signal, sys, time
def end(number, _):
    print('got', signal.Signals(number).name, flush=True)
    sys.exit(5)
signal.signal(signal.SIGINT, end); signal.signal(signal.SIGTERM, end)
print('ready', flush=True)
signal.pause()
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, pytest.param(signal.SIGINT, marks=pytest.mark.extended)])
def test_signal_reaches_the_command_and_the_run_is_interrupted(tmp_path: Path, number: signal.Signals) -> None:
    with a_sandbox(runs=[RUN_ID]) as sandbox, started(sandbox, tmp_path, WAITS) as process:
        assert process.stdout.readline() == b"ready\n"
        process.send_signal(number)
        out, _ = process.communicate(timeout=30)
        assert (process.returncode, out) == (5, f"got {number.name}\n".encode())
        state = sandbox.runs[RUN_ID]
        assert (state.report.status, state.report.status_label) == ("FAILURE", "Interrupted")
        assert "\n".join(messages(sandbox)) == f"ready\ngot {number.name}"


# Sends itself a signal at an event of the interpreter: before the command starts, or when the HTTP client is imported.
# Then it waits for the end of a command that has started.
SIGNALED = """
import os, signal, sys, threading
from port_hook_cli.cli.app import main

moment = sys.argv.pop(1).split()

def on_event(event, args):
    if moment and [event, *args][:len(moment)] == moment:
        moment.clear()
        os.kill(os.getpid(), signal.SIGTERM)
        for thread in threading.enumerate():
            if thread.name == 'command-end':
                thread.join()

sys.addaudithook(on_event)
sys.exit(main())
"""


@pytest.mark.parametrize("moment", ["subprocess.Popen", pytest.param("import httpx", marks=pytest.mark.extended)])
def test_run_is_interrupted_by_a_signal_while_its_command_or_the_http_client_is_starting(
    sandbox: Sandbox, env: dict[str, str], tmp_path: Path, moment: str
) -> None:
    words = [sys.executable, "-c", SIGNALED, moment, "report-run", RUN_ID, "--", "sleep", "30"]
    environ = environment(tmp_path, **env)
    start = subprocess.run if moment == "import httpx" else prepared.run  # which may have imported it
    ended = start(words, cwd=tmp_path, env=environ, stderr=subprocess.PIPE, check=False, timeout=25)
    assert ended.returncode == 128 + signal.SIGTERM, ended.stderr
    report = sandbox.runs[RUN_ID].report
    assert (report.status, report.status_label) == ("FAILURE", "Interrupted")


LOUD = """
import signal, sys
signal.signal(signal.SIGINT, signal.SIG_IGN)
sys.stdout.write(('x' * 99 + '\\n') * 50_000)
"""


def test_command_runs_while_port_hangs_and_ctrl_c_ends_the_wait_after_it(tmp_path: Path) -> None:
    with a_flaky_port((Fault(hang=True),) * 9) as port:
        env = environment(tmp_path, **environ_of_flaky(port))
        with running(
            tmp_path, "report-run", RUN_ID, *python(LOUD), env=env, stdin=None, start_new_session=True
        ) as process:
            assert process.stdout.read(5_000_000) == (b"x" * 99 + b"\n") * 50_000
            while not select.select([process.stderr], [], [], 0.2)[0]:
                process.send_signal(signal.SIGINT)  # the first ones may still reach the command, which ignores them
            assert b"The report was interrupted" in process.stderr.read()
            assert process.wait(30) == 0
    assert len(reports(tmp_path)) == 1


def test_command_gets_a_broken_pipe_when_the_reader_of_its_output_ends(tmp_path: Path) -> None:
    words = ["report-run", RUN_ID, "--", "sh", "-c", "while echo y; do :; done"]
    with (
        a_sandbox(runs=[RUN_ID]) as sandbox,
        running(tmp_path, *words, env=environment(tmp_path, **environ_of(sandbox))) as process,
    ):
        assert process.stdout.readline() == b"y\n"
        process.stdout.close()
        assert b"status FAILURE" in process.stderr.read()
        assert process.wait(30) == 128 + signal.SIGPIPE
        assert sandbox.runs[RUN_ID].report.status == "FAILURE"


@pytest.mark.extended
def test_lines_are_reported_while_the_command_runs_and_survive_a_kill(tmp_path: Path) -> None:
    events: SimpleQueue[ApiEvent] = SimpleQueue()
    with a_sandbox(runs=[RUN_ID], on_event=events.put) as sandbox, started(sandbox, tmp_path, WAITS) as process:
        while not (event := events.get(timeout=30)).path.endswith("/logs") or event.method != "POST":
            pass
        assert messages(sandbox) == ["ready"]
        outliving = psutil.Process(process.pid).children()
        process.kill()
        process.communicate(timeout=30)
        for command in outliving:
            command.kill()
        env = environment(tmp_path, **environ_of(sandbox))
        done = port_hook(tmp_path, "report-run", "--pending", "--json", env=env)
        assert done.returncode == 0
        assert json.loads(done.stdout)["outcome"] == "open"
        assert messages(sandbox) == ["ready"]
        assert sandbox.runs[RUN_ID].report.status == "IN_PROGRESS"
    assert reports(tmp_path) == []


def test_background_process_with_open_output_does_not_block_the_command(
    run: Run, sandbox: Sandbox, env: dict[str, str]
) -> None:
    program = "import subprocess; subprocess.Popen(['sleep', '5']); print('done')"
    result = run("report-run", RUN_ID, *python(program), env=env)
    assert (result.code, result.out, messages(sandbox)) == (ExitCode.OK, "done\n", ["done"])
