"""`port-hook check` of the example receiver: output, saved requests, started commands and rejected options."""

from __future__ import annotations

import json
import os
import re
import select
import signal
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest
import trustme

from port_hook_cli.actions.samples import create_vm_action
from port_hook_cli.check.catalog import BY_SLUG, CHECKS, CheckGroup
from port_hook_cli.check.forgeries import FORGERIES
from port_hook_cli.cli.app import main
from port_hook_cli.cli.exit_codes import ExitCode
from port_hook_cli.runtime import Runtime
from tests.conftest import Result, Run
from tests.factories import SECRET, a_capture
from tests.prepared import Popen
from tests.processes import environment, port_hook, running
from tests.record_schemas import checked
from tests.sandboxes import a_sandbox, environ_of
from tests.servers import handler
from tests.sockets import free_port
from tests.stores import keep, last_listener, project_file
from tests.terminal_streams import Screen, on_a_terminal

POSIX = pytest.mark.skipif(sys.platform == "win32", reason="signals are POSIX")
ENV = {"PORT_CLIENT_SECRET": SECRET.reveal()}
EXAMPLE_HANDLER = (Path(__file__).parents[2] / "examples" / "handler.py").read_text("utf-8")
ACCEPTS_OLD = ("abs(now - int(timestamp)) > TOLERANCE_S", "False")
VERIFIES_NOTHING = ("if not secret or ", "return True\n    if not secret or ")
IGNORES_FORGERIES = ('return self._respond(401, {"error": "this was not signed by Port"})', "return time.sleep(600)")
CI_PAGE = Path(__file__).parents[2] / "docs" / "test" / "ci.md"
WORKS_TWICE = ("return is_new\n", "return True\n")
PORTS_ADDRESS = ('os.environ.get("PORT_API_URL", "https://api.port.io")', '"https://api.us.port.io"')
SHOWS_SECRET = (
    'print(f"listening',
    'print(os.environ["PORT_CLIENT_SECRET"], "\\x1b[31m", flush=True)\n    print(f"listening',
)
# Servers do this after an error: they respond, and close the connection without a `Connection: close` header.
ANSWERS_ONCE = """
import http.server, sys

class Once(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    has_answered = False

    def do_POST(self):
        self.rfile.read(int(self.headers["content-length"]))
        if self.has_answered:
            self.close_connection = True
            return
        self.has_answered = True
        self.send_response(202)
        self.send_header("content-length", "0")
        self.end_headers()

http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Once).serve_forever()
"""


Checking = Callable[..., Result]


def receiver(folder: Path, *changes: tuple[str, str]) -> list[str]:
    """Write the example receiver, with mistakes, and return the words that start it on a free port, after its port."""
    text = EXAMPLE_HANDLER
    for before, after in changes:
        assert text.count(before) == 1, before
        text = text.replace(before, after)
    (folder / "backend.py").write_text(text, "utf-8")
    port = str(free_port())
    return ["--to", port, "--", sys.executable, "backend.py", port]


def check(folder: Path, *words: str, code: int, **options: Any) -> subprocess.CompletedProcess[str]:
    """Run a check as a process."""
    done = port_hook(folder, "check", *words, text=True, **options)
    assert done.returncode == code, f"{done.stdout}{done.stderr}"
    return done


@pytest.fixture
def checking(run: Run, folder: Path) -> Checking:
    """Run a check with a command in the test's process: `checking(*words, code=0)`."""

    def check_here(*words: str, code: int) -> Result:
        done = run("check", *words, env=environment(folder))
        assert done.code == code, f"{done.out}{done.err}"
        return done

    return check_here


def accepts_connections(port: str) -> bool:
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", int(port))) == 0


def is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


# --- a check with a command


def test_mistake_is_printed_with_its_fix_and_the_saved_requests(checking: Checking, folder: Path, run: Run) -> None:
    done = checking("--only", "old", "--only", "no-signature", *receiver(folder, ACCEPTS_OLD, SHOWS_SECRET), code=1)
    first, finding, fix, saved, last = done.out.splitlines()
    assert first == "  signature  ✓ 1 of 2"
    assert finding.startswith("             ✗ accepts an old timestamp: a request signed 10 minutes ago got 202")
    assert fix.strip().startswith("fix: Respond with 401 if x-port-timestamp ")
    assert saved.strip().startswith("--only old  port-hook show ")
    assert last.startswith("2 checks in ")
    assert last.endswith(": 1 passed, 1 failed.")
    shown = run("show", saved.split()[4])
    assert "port-hook-check/old" in shown.out
    assert re.search(r"Sending about \d valid requests to http\S+\. Each may start real work\.", done.err)
    assert "The last lines" not in done.err  # they hold no error


def test_last_lines_of_the_command_are_printed_if_they_hold_an_error(checking: Checking, folder: Path) -> None:
    shows_error = (SHOWS_SECRET[0], f"print('ValueError: x', flush=True)\n    {SHOWS_SECRET[1]}")
    done = checking("--only", "old", *receiver(folder, ACCEPTS_OLD, shows_error), code=1)
    # The receiver also wrote its secret, and a color.
    assert "The last lines of the command's output:\n  ValueError: x\n  ***\n  listening on" in done.err


def test_handler_passes_when_it_closes_connections_unannounced(checking: Checking, folder: Path) -> None:
    (folder / "once.py").write_text(ANSWERS_ONCE, "utf-8")
    port = str(free_port())
    command = ["--to", port, "--", sys.executable, "once.py", port]
    done = checking("--json", "--only", "not-object", "--only", "fields", *command, code=0)
    findings = [json.loads(line) for line in done.out.splitlines()]
    assert {each["check"]: each["status"] for each in findings[:-1]} == {"not-object": "passed", "fields": "passed"}


def test_warning_fails_a_strict_check(checking: Checking, folder: Path) -> None:
    done = checking("--only", "same-run", "--strict", *receiver(folder, WORKS_TWICE), code=1)
    assert "! does its work twice if a run is delivered twice: " in done.out
    assert "0 passed, 1 warning." in done.out


def test_missing_verification_is_one_finding_with_its_twelve_checks(checking: Checking, folder: Path) -> None:
    done = checking("--only", "signature", *receiver(folder, VERIFIES_NOTHING), code=1)
    assert done.out.count("✗ ") == done.out.count("✗ does not verify signatures and accepts ") == 1
    (listed,) = [line.split("12 checks: ")[1].split(", ") for line in done.out.splitlines() if "12 checks: " in line]
    assert set(listed) == FORGERIES.keys()
    assert "timestamps in milliseconds" not in done.out


def test_forgery_without_a_response_proves_nothing_and_ends_with_13(checking: Checking, folder: Path) -> None:
    words = ("--only", "valid", "--only", "no-signature", "--timeout", "0.5", *receiver(folder, IGNORES_FORGERIES))
    done = checking("--json", *words, code=ExitCode.UNPROVED)
    reason = "the handler did not respond to two invalid requests"
    assert f"warning: nothing is proved, because there is no result for no-signature: {reason}" in done.err
    assert "hint: If the handler needs more time to respond, raise --timeout." in done.err
    assert done.records[-1]["outcome"] == "unproved"


@pytest.mark.once
def test_correct_handler_passes_every_check_of_the_command_on_the_ci_page_and_is_ended(folder: Path) -> None:
    (line,) = [line for line in CI_PAGE.read_text("utf-8").splitlines() if "run: port-hook check" in line]
    _, _, words = line.partition("port-hook check ")
    port = receiver(folder)[1]
    (folder / "backend.py").rename(folder / "app.py")
    (folder / "create_vm.yaml").write_text(json.dumps(create_vm_action()), "utf-8")
    words = words.replace("8000", port).replace("python3 app.py", f"{sys.executable} app.py {port}")
    done = check(folder, "--json", "--within", "120", *words.split(), code=0)
    *findings, summary = [checked(json.loads(line)) for line in done.stdout.splitlines()]
    assert {each["check"]: each["seen"] for each in findings if each["status"] in {"failed", "warning"}} == {}
    assert {each["status"] for each in findings if each["group"] == "reports"} == {"passed"}
    assert len({each["check"] for each in findings}) == len(findings) == summary["checks"] > 30
    assert summary["passed"] == sum(each["status"] == "passed" for each in findings)
    assert f" valid requests to http://127.0.0.1:{port}/. " in done.stderr
    assert (folder / "check.xml").exists()
    assert not accepts_connections(port)


def test_call_of_ports_own_address_is_a_warning_that_explains_the_missing_report(
    checking: Checking, folder: Path
) -> None:
    result = checking("--only", "terminal", *receiver(folder, PORTS_ADDRESS), code=0)
    assert "has Port's address in its code: it called api.us.port.io instead of the sandbox" in result.out
    assert "PORT_API_URL" in result.out
    assert "1 warning" in result.out


def test_report_to_the_sandbox_counts_although_the_handler_called_port_first(checking: Checking, folder: Path) -> None:
    slow_work = f"""
        with contextlib.suppress(OSError):
            urllib.request.urlopen({PORTS_ADDRESS[1]})
        time.sleep(2.2)"""
    words = receiver(folder, ("        run = PortRun(run_id)", f"{slow_work}\n        run = PortRun(run_id)"))
    result = checking("--only", "terminal", "--within", "300", *words, code=0)
    assert "warning" not in result.out
    assert "1 passed" in result.out


def test_junit_report_has_a_test_for_each_check(checking: Checking, folder: Path) -> None:
    (folder / "out.xml").write_bytes(b"<testsuites/>")  # an earlier report, which is replaced
    done = checking(
        "--only", "old", "--only", "sync-status", "--junit", "out.xml", *receiver(folder, ACCEPTS_OLD), code=1
    )
    assert "note: wrote the JUnit report to out.xml" in done.err
    root = ET.fromstring((folder / "out.xml").read_bytes())  # noqa: S314 - the test's own
    tests = {each.get("name"): [part.tag for part in each] for each in root.iter("testcase")}
    assert tests == {"old": ["failure"], "sync-status": ["skipped"]}
    assert "? sync-status: not observed because it applies only to synchronous actions" in done.out
    assert [file.name for file in folder.iterdir() if "out.xml" in file.name] == ["out.xml"]


def test_junit_report_replaces_only_a_report(run: Run, folder: Path) -> None:
    path, report = folder / "out.xml", folder / "report.xml"
    report.write_bytes(b"<testsuites/>")
    others: list[Callable[[], object]] = [
        lambda: path.write_text("print()"),
        lambda: path.symlink_to(report),
        lambda: path.symlink_to(folder / "absent"),
        lambda: os.mkfifo(path),
        path.mkdir,
    ]
    for make in others:
        path.unlink(missing_ok=True)
        make()
        result = run("check", "--only", "old", "--junit", "out.xml", "--to", "9", env=ENV)
        assert (result.code, result.out) == (ExitCode.STORE, "")
        assert result.err == (
            "error: out.xml exists and is not a JUnit report.\nhint: Remove it, or pass another file name.\n"
        )
    assert report.read_bytes() == b"<testsuites/>"
    assert not (folder / "absent").exists()


def test_second_start_failing_for_another_reason_has_no_result(checking: Checking, folder: Path) -> None:
    command = receiver(folder)
    other_reason = 'import os, sys\nif "PORT_CLIENT_SECRET" not in os.environ: sys.exit("Address already in use")\n'
    docstring, future, rest = EXAMPLE_HANDLER.partition("from __future__ import annotations\n")
    (folder / "backend.py").write_text(docstring + future + other_reason + rest, "utf-8")
    done = checking("--only", "secret-unset", *command, code=ExitCode.NOT_OBSERVED)
    assert "? secret-unset: not observed because the restarted command failed for another reason: " in done.out


@POSIX
@pytest.mark.extended
def test_response_of_another_process_is_not_blamed_on_the_command(checking: Checking, folder: Path) -> None:
    """Another process takes the port while the command starts, as the command of another check can."""
    port = str(free_port())
    (folder / "other.py").write_text(
        "import http.server, sys\n"
        "handler = http.server.BaseHTTPRequestHandler\n"
        "http.server.HTTPServer(('127.0.0.1', int(sys.argv[1])), handler).serve_forever()\n",
        "utf-8",
    )
    starting = f"'{sys.executable}' other.py {port} & sleep 1; exit 3"
    done = checking("--only", "valid", "--to", port, "--", "sh", "-c", starting, code=1)
    assert "✗ does not get the requests, because another process listens on its port: " in done.out


@POSIX
def test_mistake_of_a_command_with_another_secret_names_the_variable(checking: Checking, folder: Path) -> None:
    to, port, dashes, *_ = receiver(folder)
    command = f"PORT_CLIENT_SECRET=another exec {sys.executable} backend.py {port}"
    done = checking("--only", "valid", to, port, dashes, "sh", "-c", command, code=1)
    assert "most likely  another client secret" in done.out
    assert "The command gets the secret as PORT_CLIENT_SECRET." in done.out
    assert "note: client secret from" not in done.err


def test_command_is_not_started_beside_another_handler(checking: Checking, folder: Path) -> None:
    with handler() as other:
        words = ("--to", str(other.port), "--", "touch", "started")
        done = checking(*words, code=ExitCode.USAGE)
    assert "Something already listens on 127.0.0.1:" in done.err
    assert (other.requests, (folder / "started").exists()) == ([], False)


# --- signals


@contextmanager
def hanging_check(folder: Path, place: str, *words: str) -> Iterator[tuple[Popen, int]]:
    """Yield a running check with a handler that hangs at `place`, a line of the receiver, and its process ID."""
    hang = "if 'not-json' in self.headers['user-agent']:"
    lines = [hang, "    print('hangs', os.getpid(), flush=True)", "    time.sleep(600)", place]
    _, port, *_ = receiver(folder, (f"        {place}", "\n".join(f"        {line}" for line in lines)), ACCEPTS_OLD)
    (folder / "log").touch()
    words = (*words, "--timeout", "60", "--to", port)
    shell = f"exec {sys.executable} backend.py {port} >log"
    with running(folder, "check", *words, "--", "sh", "-c", shell, text=True) as process:
        until = time.monotonic() + 30
        while "hangs" not in (log := (folder / "log").read_text()) and time.monotonic() < until:
            time.sleep(0.02)
        yield process, int(log.split("hangs ")[1].split()[0])


@POSIX
@pytest.mark.parametrize(
    ("number", "code"),
    [(signal.SIGINT, ExitCode.INTERRUPTED), pytest.param(signal.SIGTERM, -signal.SIGTERM, marks=pytest.mark.extended)],
)
def test_signal_ends_a_check_and_its_handler(folder: Path, number: signal.Signals, code: int) -> None:
    only = ("--only", "old", "--only", "not-json")
    with hanging_check(folder, "body = self.rfile", *only) as (process, pid):
        assert is_running(pid)
        process.send_signal(number)
        out, err = process.communicate(timeout=30)
    assert (process.returncode, is_running(pid)) == (code, False), err
    assert ("Traceback" in err, "bug" in err) == (False, False)
    if number is signal.SIGINT:  # the findings so far
        assert "✗ accepts an old timestamp" in out
        assert "Interrupted after 1 check in " in out


# --- a running handler


def test_running_sandbox_shows_the_reports_of_the_handler(run: Run, folder: Path) -> None:
    with a_sandbox() as sandbox:
        environ = environment(folder, **environ_of(sandbox))
        _, port, _, *command = receiver(folder)
        with subprocess.Popen(command, cwd=folder, env=environ, stdout=subprocess.PIPE) as process:
            assert process.stdout
            process.stdout.readline()
            done = run("check", "--only", "terminal", "--to", port, env=environ)
            assert process.poll() is None
            process.terminate()
    assert done.code == 0
    assert "  reports    ✓ 1 of 1\n" in done.out
    assert "no sandbox" not in done.err


def test_reports_are_not_observed_without_a_sandbox_and_a_hint_explains_how(run: Run) -> None:
    with handler() as other:
        result = run("check", "--only", "reports", "--to", str(other.port), env=ENV)
    assert result.code == ExitCode.NOT_OBSERVED
    assert "note: no check has a result, so port-hook cannot rate the handler" in result.err
    assert (
        "  reports    ? terminal, once, after-work, failure-reported: not observed because no sandbox shows"
        in result.out
    )
    assert "note: without a sandbox, port-hook can't check reports or repeats\n" in result.err
    assert "hint: Add `-- COMMAND` so that port-hook starts the handler, or " in result.err


def test_latest_valid_capture_is_the_request_except_requests_of_a_check(run: Run, folder: Path) -> None:
    keep(folder, a_capture())
    with handler() as other:  # the handler accepts everything
        results = [run("check", "--only", "no-signature", "--to", str(other.port), env=ENV) for _ in range(2)]
    assert [result.code for result in results] == [1, 1]
    note = "the latest capture with a valid signature, 0123456789ab"
    assert [note in result.err for result in results] == [True, True]


def test_secret_in_the_request_is_sent_but_neither_printed_nor_saved(run: Run, folder: Path) -> None:
    action = create_vm_action()
    method = {
        "type": "WEBHOOK",
        "url": "https://example.com/vms?token={{ .secrets.TOKEN }}",
        "headers": {"X-Token": "{{ .secrets.TOKEN }}"},
        "body": {"token": "{{ .secrets.TOKEN }}"},
    }
    (folder / "action.json").write_text(json.dumps({**action, "invocationMethod": method}), "utf-8")
    (folder / "secrets.env").write_text("TOKEN=t0k3n-0f-th3-0rg", "utf-8")
    (folder / "secrets.env").chmod(0o600)
    words = ("check", "action.json", "--with", "secrets=secrets.env", "--only", "no-signature", "--junit", "check.xml")
    with handler() as other:
        result = run(*words, "--to", str(other.port), env=ENV)
    assert result.code == 1
    sent = other.requests[0]
    assert sent.head.count(b"t0k3n-0f-th3-0rg") == 2
    assert b"t0k3n-0f-th3-0rg" in sent.body
    saved = b"".join(path.read_bytes() for path in (*(folder / ".port-hook").iterdir(), folder / "check.xml"))
    assert b'"token":"***"' in saved
    assert "t0k3n" not in result.out + result.err
    assert b"t0k3n" not in saved
    verdicts = [each["verdict"]["status"] for each in run("captures", "--json").records]
    assert set(verdicts) == {"missing", "valid"}  # of the sent bytes


def a_workflow(folder: Path, url: str) -> None:
    """Write a workflow whose trigger, `start`, is followed by `call`."""
    trigger = {"identifier": "start", "config": {"type": "SELF_SERVE_TRIGGER", "userInputs": {"properties": {}}}}
    call = {"identifier": "call", "config": {"type": "WEBHOOK", "url": url, "method": "POST"}}
    connections = [{"sourceIdentifier": "start", "targetIdentifier": "call"}]
    workflow = {"identifier": "deploy", "title": "Deploy", "nodes": [trigger, call], "connections": connections}
    (folder / "workflow.json").write_text(json.dumps(workflow), "utf-8")


def test_unrenderable_node_url_is_an_error_with_the_reason(run: Run, folder: Path) -> None:
    a_workflow(folder, "ftp://{{ .secrets.TOKEN }}/")
    (folder / "secrets.json").write_text('{"TOKEN": "t0k3n-0f-th3-0rg"}', "utf-8")
    (folder / "secrets.json").chmod(0o600)
    result = run("check", "workflow.json#call", "--with", "secrets=secrets.json", "--to", "8000", env=ENV)
    assert result.code == ExitCode.USAGE
    assert 'error: The node call\'s `url` rendered to "ftp://***/", which is not a URL' in result.err


def test_check_of_a_trigger_prints_a_note_about_the_next_node(run: Run, folder: Path) -> None:
    a_workflow(folder, "http://127.0.0.1:9/")
    said = "note: start does not send a request, so the check uses call, the next node with a request\n"
    with handler() as other:
        for name, is_said in (("start", True), ("call", False)):
            result = run("check", f"workflow.json#{name}", "--only", "no-signature", "--to", str(other.port), env=ENV)
            assert (said in result.err) is is_said
            assert other.requests


def test_missing_store_is_created_for_the_sample(run: Run, folder: Path) -> None:
    with handler() as other:
        words = ("--only", "no-signature", "--to", str(other.port), "--store", "new.db")
        result = run("check", *words, env=ENV)
    assert result.code == ExitCode.FAILED
    assert "so the check uses the sample action create_vm" in result.err
    assert "Zoë".encode() in other.requests[0].body  # JSON serializers differ in how they write this name
    assert (folder / "new.db").exists()


def test_stopped_handler_is_an_error(run: Run) -> None:
    port = str(free_port())
    result = run("check", "--to", port, env=ENV)
    assert result.code == ExitCode.TARGET
    assert result.err.splitlines()[-2].startswith(f"error: Nothing listens on http://127.0.0.1:{port}/")
    assert "-- python app.py" in result.err.splitlines()[-1]
    assert "Sending" not in result.err


def test_untrusted_certificate_is_an_error_without_findings(run: Run, folder: Path) -> None:
    authority = trustme.CA()
    authority.cert_pem.write_to_path(folder / "ca.pem")
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(tls)
    words = ("check", "--json", "--only", "no-signature", "--to")
    with handler(b"HTTP/1.1 401 Unauthorized\r\ncontent-length: 0\r\n\r\n", ssl=tls) as target:
        url = f"https://127.0.0.1:{target.port}"
        refused = run(*words, url, env=ENV)
        assert (refused.code, refused.out) == (ExitCode.TARGET, "")
        assert "unable to get local issuer certificate" in refused.err
        assert "--cacert FILE" in refused.err
        assert "Sending" not in refused.err
        assert target.requests == []
        assert run(*words, url, "--cacert", "ca.pem", env=ENV).code != ExitCode.TARGET
        assert target.requests


def test_missing_secret_is_not_needed_with_a_command(run: Run) -> None:
    result = run("check", "--to", str(free_port()))
    assert result.code == ExitCode.SETTINGS
    assert "error: No client secret is set." in result.err
    assert "add the command that starts the handler: `-- COMMAND`" in result.err


# --- options


def test_list_shows_the_wanted_checks_and_sends_nothing(run: Run) -> None:
    result = run("check", "--list")
    assert [line.split()[:3] for line in result.out.splitlines()] == [
        [str(each.group), each.slug, str(each.severity)] for each in CHECKS
    ]
    result = run("check", "--list", "--only", "repeats", "--skip", "order")
    wanted = [each.slug for each in CHECKS if each.group is CheckGroup.REPEATS and each.slug != "order"]
    assert [line.split()[1] for line in result.out.splitlines()] == wanted


@pytest.mark.parametrize(
    ("line", "message", "hint"),
    [
        ("--only nope", "Unknown check or group: 'nope'.", "port-hook check --list"),
        ("--only old --skip signature", "`only` and `skip` exclude all checks.", "Leave a name"),
        ("", "The handler to check is unknown.", "`handler = 8000` in port-hook.toml"),
        ("action.json", "https://example.com is not on this machine", "--to-its-url"),
        ("--to https://example.com/", "https://example.com/ is not on this machine", "--to"),
        ("action.json --to-its-url", "cannot ask for confirmation because this is not a terminal", "Pass --yes."),
        ("--to-its-url --to 8000", "Use either --to-its-url or --to, not both", "Leave out"),
        ("--to-its-url --yes -- x", "Use either --to-its-url or a command after --, not both.", "Leave out"),
        ("--list --json", "Use either --list or --json, not both", "Leave out"),
        ("--yes --to 8000 -- x", "Use either --yes or a command after --, not both.", "Leave out --yes"),
        ("a b --to 8000", "Unexpected argument: b.", "put -- before it"),
        ("payload.json --input a=b --to 8000", "--input has no effect: ", "use an action"),
        ("--within 0 --to 8000", "Invalid value for --within", "--help"),
        ("--to 9 -- no-such-program --to", "no-such-program --to cannot be started: ", ""),
    ],
)
def test_invalid_command_line_is_rejected(run: Run, folder: Path, line: str, message: str, hint: str) -> None:
    (folder / "action.json").write_text(json.dumps(create_vm_action()))
    (folder / "payload.json").write_text('{"a": 1}')
    result = run("check", *line.split(), env=ENV)
    assert (result.code, result.out) == (ExitCode.USAGE, "")
    *_, error, advice = result.err.splitlines()
    assert message in error
    assert hint in advice


def test_junit_report_in_a_missing_folder_is_rejected(run: Run) -> None:
    result = run("check", "--junit", "no/out.xml", "--to", "8000", env=ENV)
    assert (result.code, "no/out.xml" in result.err) == (ExitCode.STORE, True)


def asked(runtime: Callable[..., Runtime], words: Sequence[str], typed: bytes) -> tuple[int, str]:
    """Run a check on a terminal on which the user has typed an answer. Return its exit code and all output."""
    output = Screen()
    with on_a_terminal(runtime(env={**ENV, "TERM": "dumb", "COLUMNS": "300"})) as (world, person):
        os.write(person, typed)
        code = main(("check", *words), replace(world, stdout=output))
        while select.select([person], [], [], 0)[0]:
            output.write(os.read(person, 2**16).decode())
    return code, output.getvalue()


@POSIX
@pytest.mark.parametrize(("answer", "is_sent"), [(b"n\n", False), (b"y\n", True)])
def test_check_of_another_machine_asks_first(
    runtime: Callable[..., Runtime], folder: Path, answer: bytes, is_sent: bool
) -> None:
    action = create_vm_action()
    # Nothing listens there, and no packet leaves: it is an address of this machine in an unrecognized form.
    action["invocationMethod"]["url"] = f"http://127.1:{free_port()}/"
    (folder / "action.json").write_text(json.dumps(action))
    code, shown = asked(runtime, (str(folder / "action.json"), "--to-its-url", "--only", "old"), answer)
    assert "may start real work. Check http://" in shown
    assert code == (ExitCode.TARGET if is_sent else ExitCode.USAGE), shown
    assert ("Nothing was sent." in shown, "Nothing listens on" in shown) == (not is_sent, is_sent)


@POSIX
@pytest.mark.parametrize(("options", "answer"), [((), b"n\n"), (("-y",), b"")])
def test_running_handler_is_checked_on_a_terminal_only_after_a_question(
    runtime: Callable[..., Runtime], options: tuple[str, ...], answer: bytes
) -> None:
    with handler() as other:
        words = ("--only", "no-signature", "--to", str(other.port), *options)
        code, shown = asked(runtime, words, answer)
    question = f"valid requests may start real work. Check http://127.0.0.1:{other.port}/? [y/N] "
    assert bool(other.requests) is not bool(answer)
    assert (question in shown, "Nothing was sent." in shown, "Add `--yes`, or" in shown) == (bool(answer),) * 3
    assert code == (ExitCode.USAGE if answer else ExitCode.FAILED), shown


@POSIX
def test_check_asks_for_an_unknown_handler_on_a_terminal(runtime: Callable[..., Runtime], folder: Path) -> None:
    (folder / "action.json").write_text(json.dumps(create_vm_action()))
    with handler() as other:
        for words in (("action.json",), ()):
            code, shown = asked(runtime, (*words, "-y", "--only", "no-signature"), f"{other.port}\n".encode())
            assert (code, "Your handler (URL or port) [8000]: " in shown) == (ExitCode.FAILED, True), shown
    assert other.requests


def test_check_finds_the_handler_of_the_project_file_and_of_the_last_listen(run: Run, folder: Path) -> None:
    (folder / "payload.json").write_text('{"a": 1}')
    (folder / "action.json").write_text(json.dumps(create_vm_action()))
    with handler() as other:
        last_listener(folder, other.url)
        assert run("check", "action.json", "--only", "no-signature", env=ENV).code == ExitCode.FAILED
        last_listener(folder, "http://127.0.0.1:1")
        project_file(folder, f"handler = {other.port}\n")
        assert run("check", "payload.json", "--only", "no-signature", env=ENV).code == ExitCode.FAILED


def test_project_file_sets_neither_its_own_url_nor_the_checks(run: Run, folder: Path) -> None:
    keys = ("to-its-url = true", "yes = true", 'only = ["old"]', 'skip = ["signature"]', 'junit = "x"', "within = 1")
    project_file(folder, "\n".join(["[check]", "strict = true", *keys, ""]))
    result = run("check", "--list")
    assert len(result.out.splitlines()) == len(BY_SLUG)
    ignored = [line.split("check.")[1].split(".")[0] for line in result.err.splitlines() if "ignored in" in line]
    assert ignored == [key.partition(" ")[0] for key in keys]
    assert "note: from ./port-hook.toml: --strict\n" in result.err
