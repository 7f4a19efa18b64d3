from __future__ import annotations

import json
import shutil
import signal
import sqlite3
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from port_hook_cli.captures.store.capture_store import open_store
from port_hook_cli.cli.exit_codes import ExitCode
from port_hook_cli.invocations.models import Capture, Delivery, Response, Status, Verdict
from tests.conftest import Run
from tests.databases import edit
from tests.factories import NOW, RUN_ID, a_body, a_capture, a_document, an_invocation
from tests.processes import running
from tests.stores import keep

LISTENED = (
    a_capture(an_invocation(id="aa0000000001", received_at=NOW)),
    a_capture(
        an_invocation(
            a_body(a_document(action="delete_vm", context={"runId": "r_0000000000000000"})),
            id="bb0000000002",
            received_at=NOW + 3600,
        ),
        verdict=Verdict(status=Status.INVALID),
        response=Response(status=401),
    ),
)


def outcome(id_: str, *, handler: int | None, response: int | None, fault: str | None = None) -> Capture:
    """A forwarded capture with its outcome."""
    is_forwarded = handler is not None or fault is not None
    return a_capture(
        an_invocation(id=id_),
        delivery=Delivery(url="http://127.0.0.1:1/", status=handler, fault=fault) if is_forwarded else None,
        response=None if response is None else Response(status=response),
    )


OUTCOMES = (
    outcome("aa0000000001", handler=200, response=200),
    outcome("bb0000000002", handler=503, response=503),
    outcome("cc0000000003", handler=None, response=502, fault="unreachable"),
    outcome("dd0000000004", handler=None, response=401),
    outcome("ee0000000005", handler=None, response=None),
    outcome("ff0000000006", handler=404, response=404),
)


@pytest.fixture
def outcomes(folder: Path) -> None:
    keep(folder, *OUTCOMES)


def test_captures_are_found_by_their_outcome(run: Run, outcomes: None) -> None:
    rows: tuple[tuple[tuple[str, ...], str], ...] = (
        (("--status", "503"), "b"),
        (("--status", "5xx"), "cb"),
        (("--status", "4XX"), "fd"),
        (("--failed",), "fedcb"),
        (("--failed", "--jq", '.action == "create_vm"', "CREATE", "--since", "2023-01-01"), "fedcb"),
    )
    for options, found in rows:
        assert "".join(name[0] for name in shown(run("captures", *options).out)) == found
        assert "".join(record["id"][0] for record in run("captures", *options, "--json").records) == found


def test_capture_with_an_invalid_outcome_has_no_status(run: Run, outcomes: None, folder: Path) -> None:
    with closing(sqlite3.connect(folder / ".port-hook" / "captures.db")) as database:
        database.execute("UPDATE captures SET response = '{', delivery = NULL WHERE id = 'aa0000000001'")
        database.commit()
    result = run("captures", "--status", "200")
    assert (result.code, shown(result.out)) == (0, [])
    assert run("captures", "--failed").code == ExitCode.STORE


def test_captures_are_found_by_a_jq_expression(run: Run, kept: None) -> None:
    for expression, found in (
        ('.action == "delete_vm"', ["bb0000000002"]),
        ('.context.runId | startswith("r_")', ["bb0000000002", "aa0000000001"]),
        (".missing", []),
    ):
        assert shown(run("captures", "--jq", expression).out) == found


def test_captures_prints_how_often_a_jq_expression_failed(run: Run, kept: None) -> None:
    result = run("captures", "--jq", ".action.b")
    assert "note: the --jq expression failed for 2 captures, for example with: " in result.err
    assert "No captures match." in result.err


def test_captures_rejects_an_invalid_jq_expression(run: Run, kept: None) -> None:
    result = run("captures", "--jq", ".a |")
    assert (result.code, result.out) == (ExitCode.USAGE, "")
    assert "The --jq expression is invalid: jq: compile error" in result.err


@pytest.mark.extended
def test_captures_stops_an_endless_jq_expression(run: Run, kept: None) -> None:
    result = run("captures", "--jq", 'if type == "null" then 1 else [range(1e12)] end')
    assert result.code == ExitCode.USAGE
    assert "port-hook stopped the --jq expression" in result.err


@pytest.fixture
def kept(folder: Path) -> None:
    keep(folder, *LISTENED)


def shown(lines: str) -> list[str]:
    """The IDs in a listing."""
    return [line.split()[2] for line in lines.splitlines()[1:]]


def test_captures_lists_the_latest_first(run: Run, kept: None) -> None:
    result = run("captures")
    assert result.code == ExitCode.OK
    assert result.err == ""
    assert shown(result.out) == ["bb0000000002", "aa0000000001"]
    assert result.out.splitlines()[1].endswith("bb0000000002  invalid    401     delete_vm  r_0000000000000000")


def test_captures_lists_only_matching_captures(run: Run, kept: None) -> None:
    for options, found in (
        (("--action", "create_vm"), ["aa0000000001"]),
        (("--verdict", "invalid"), ["bb0000000002"]),
        ((RUN_ID,), ["aa0000000001"]),
        (("--since", "2023-11-14T23:00:00Z"), ["bb0000000002"]),
        (("--since", "2023-11-14T22:00:00Z..2023-11-14T23:00:00Z"), ["aa0000000001"]),
        (("--since", "..2023-11-14T23:00:00Z"), ["aa0000000001"]),
        (("DELETE_vm",), ["bb0000000002"]),
        (("%",), []),
        (("--limit", "1"), ["bb0000000002"]),
        (("--limit", "0"), ["bb0000000002", "aa0000000001"]),
        (("--limit", "99999999999999999999"), ["bb0000000002", "aa0000000001"]),
    ):
        assert shown(run("captures", *options).out) == found
        assert [record["id"] for record in run("captures", *options, "--json").records] == found


def test_captures_json_prints_one_summary_per_line(run: Run, kept: None) -> None:
    first, second = run("captures", "--json").records
    assert first["schema"] == second["schema"] == "port-hook/capture-summary/1"
    assert first["type"] == "capture"
    assert first["verdict"]["status"] == "invalid"
    assert first["response"] == {"status": 401}
    assert second["run_id"] == RUN_ID
    assert second["received_at"] == "2023-11-14T22:13:20.000Z"


def test_captures_lists_the_latest_20_by_default(run: Run, folder: Path) -> None:
    keep(folder, *(a_capture(an_invocation(id=f"{number:012x}")) for number in range(30)))
    result = run("captures")
    assert shown(result.out) == [f"{number:012x}" for number in range(29, 9, -1)]
    assert result.err == "note: there are more captures. `--limit 0` lists all\n"
    assert run("captures", "--limit", "30").err == ""


def test_captures_prints_a_hint_when_the_store_is_empty(run: Run, folder: Path) -> None:
    open_store(None, folder, create=True).close()
    result = run("captures")
    assert result.code == ExitCode.OK
    assert result.out == ""
    assert "port-hook listen" in result.err


def test_captures_prints_a_hint_when_no_capture_matches(run: Run, kept: None) -> None:
    for words, hint in (
        (("--action", "unheard-of"), "without filters"),
        (("--action", "unheard-of", "--json"), "without filters"),
        (("503",), "Pass an HTTP status with --status: `--status 503`."),
        (("last~1",), "Run `port-hook show last~1` to show one capture."),
    ):
        result = run("captures", *words)
        assert (result.code, result.out) == (ExitCode.OK, "")
        assert hint in result.err


def test_captures_exits_8_without_a_store(run: Run, folder: Path) -> None:
    result = run("captures")
    assert result.code == ExitCode.STORE
    assert "Capture store not found" in result.err
    assert not list(folder.iterdir())


def test_captures_rejects_invalid_option_values(run: Run, kept: None) -> None:
    for options in (("--since", "soon"), ("--verdict", "fine"), ("--limit", "-1"), ("--status", "bad")):
        result = run("captures", *options)
        assert result.code == ExitCode.USAGE
        assert result.out == ""


def test_watch_lists_the_latest_oldest_first_and_then_new_captures(folder: Path) -> None:
    responded = Response(status=200)
    keep(folder, *(a_capture(an_invocation(id=f"{name}0000000001"), response=responded) for name in ("aa", "bb")))
    with running(folder, "captures", "--watch", "--json", text=True) as process:
        assert [json.loads(process.stdout.readline())["id"][:2] for _ in range(2)] == ["aa", "bb"]
        keep(folder, a_capture(an_invocation(id="cc0000000001"), response=responded))
        assert json.loads(process.stdout.readline())["id"] == "cc0000000001"
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=10) == ExitCode.INTERRUPTED
        assert process.stderr.read() == ""


def test_watch_of_failed_captures_shows_rejected_requests_like_the_list(folder: Path) -> None:
    rejected = a_capture(an_invocation(id="aa0000000001"), response=Response(status=401))
    keep(folder, rejected)
    with running(folder, "captures", "--failed", "--watch", "--json", text=True) as process:
        assert json.loads(process.stdout.readline())["id"] == "aa0000000001"
        keep(folder, replace(rejected, invocation=an_invocation(id="bb0000000001")))
        assert json.loads(process.stdout.readline())["id"] == "bb0000000001"


def test_watch_ends_when_the_store_is_replaced(folder: Path) -> None:
    keep(folder, a_capture(an_invocation(id="aa0000000001"), response=Response(status=200)))
    with running(folder, "captures", "--watch", text=True) as process:
        assert "  valid      200        -  create_vm  " in process.stdout.readline()
        shutil.rmtree(folder / ".port-hook")
        assert process.wait(timeout=10) == ExitCode.STORE
        assert "captures.db was deleted or replaced.\nhint: Run the command again." in process.stderr.read()


def test_captures_are_listed_up_to_a_damaged_capture(run: Run, folder: Path) -> None:
    keep(folder, *(a_capture(an_invocation(id=f"{number:012x}")) for number in range(300)))
    edit(folder / ".port-hook" / "captures.db", "UPDATE captures SET headers = 'damaged' WHERE seq = 50")
    result = run("captures", "--limit", "0")
    assert result.code == ExitCode.STORE
    assert len(result.out.splitlines()) == 1 + 250
    assert "is damaged" in result.err
