from __future__ import annotations

import json
from pathlib import Path

import pytest

from port_hook_cli.captures.documents.capture_file import to_capture
from port_hook_cli.cli.exit_codes import ExitCode
from port_hook_cli.invocations.models import Response, Status, Verdict
from tests.conftest import Run
from tests.factories import a_body, a_capture, a_document, an_invocation, signed
from tests.stores import keep

MOVED = {**a_document(status="DONE"), "kind": "run"}
del MOVED["resourceType"]
BEFORE = a_capture(an_invocation(id="aa0000000001"), response=Response(status=500, body=b'{"ok":false,"id":1}'))
AFTER = a_capture(
    an_invocation(a_body(MOVED), id="bb0000000002", headers=signed(a_body(MOVED)).plus(("x-new", "1"))),
    verdict=Verdict(status=Status.INVALID),
    response=Response(status=200, body=b'{"ok":true,"id":2}'),
)


@pytest.fixture(autouse=True)
def _kept(folder: Path) -> None:
    keep(folder, BEFORE, AFTER)


def test_diff_lists_what_changed_and_exits_with_1(run: Run) -> None:
    result = run("diff", "aa00", "last")
    assert (result.code, result.err) == (ExitCode.FAILED, "")
    assert result.out.splitlines() == [
        "- aa0000000001",
        "+ bb0000000002",
        "outcome",
        "  ~ verdict  valid → invalid",
        "  ~ response  500 → 200",
        "body",
        f'  ~ /status  {json.dumps(a_document()["status"])} → "DONE"',
        '  > /kind  "run" (from /resourceType)',
        "headers",
        "  + x-new  1",
        "response",
        "  ~ /ok  false → true",
        "  ~ /id  1 → 2",
    ]


def test_diff_colors_each_kind_of_change_and_both_sides(run: Run) -> None:
    changed, reverse = (run("diff", *names, env={"FORCE_COLOR": "1"}).out for names in (("aa", "bb"), ("bb", "aa")))
    yellow, green, red, cyan = ("\x1b[33m", "\x1b[32m", "\x1b[31m", "\x1b[36m")
    end = "\x1b[0m"
    assert f"{red}- {end}" in changed
    assert f"{green}+ {end}" in changed
    assert f"{yellow}~ verdict{end}  {red}valid{end} → {green}invalid{end}" in changed
    assert f"{cyan}> /kind{end}" in changed
    assert f"{green}+ x-new{end}" in changed
    assert f"{red}- x-new{end}" in reverse


def test_diff_of_a_capture_with_itself_exits_with_0(run: Run, folder: Path) -> None:
    assert run("diff", "aa00", "aa0000000001").code == 0
    (folder / "c.json").write_text(json.dumps(to_capture(BEFORE)))
    result = run("diff", "aa00", "c.json")
    assert (result.code, result.out.splitlines()[-1]) == (0, "No differences.")


def test_diff_leaves_out_signature_and_timestamp(run: Run, folder: Path) -> None:
    later = a_capture(an_invocation(headers=signed(a_body(), timestamp="1700000100"), id="cc0000000003"))
    keep(folder, a_capture(an_invocation(id="dd0000000004")), later)
    assert run("diff", "cc00", "dd00").code == 0


def test_diff_prints_one_record(run: Run) -> None:
    (record,) = run("diff", "aa00", "bb00", "--json").records
    assert (record["schema"], record["same"]) == ("port-hook/diff/1", False)
    assert (record["a"], record["b"]) == ("aa0000000001", "bb0000000002")
    assert [change["path"] for change in record["response"]] == ["/ok", "/id"]
    moved = {"kind": "moved", "path": "/kind", "from": "/resourceType", "before": '"run"', "after": '"run"'}
    assert moved in record["body"]


def test_diff_ignores_paths_and_headers(run: Run) -> None:
    ignored = ["--ignore", "status", "--ignore", "/kind", "--ignore", "header:X-New", "--ignore", "ok"]
    (record,) = run("diff", "aa00", "bb00", "--json", *ignored).records
    assert [change["path"] for change in record["body"]] == ["/kind"]  # the other path of the move is not ignored
    assert record["headers"] == []
    assert [change["path"] for change in record["response"]] == ["/id"]
    (record,) = run("diff", "aa00", "bb00", "--json", *ignored, "--ignore", "resourceType").records
    assert record["body"] == []


def test_bodies_of_the_same_json_in_different_bytes_are_the_same_with_a_note(run: Run, folder: Path) -> None:
    (folder / "p.json").write_text(json.dumps(a_document(), indent=1))
    result = run("diff", "aa00", "p.json")
    assert result.code == 0
    assert result.out.splitlines()[2:] == ["The bodies are the same JSON in different bytes.", "No differences."]


def test_incomplete_comparison_is_a_difference_even_if_everything_is_ignored(run: Run, folder: Path) -> None:
    for name, value in (("p.json", 1), ("q.json", 2)):
        (folder / name).write_text(json.dumps({"a": dict.fromkeys(map(str, range(501)), value)}))
    result = run("diff", "p.json", "q.json", "--ignore", "a")
    assert result.code == ExitCode.FAILED
    assert "There are more changes. These are the first 500." in result.out


def test_diff_rejects_an_invalid_ignore_option(run: Run) -> None:
    for ignored in ("header:", "a..b", "tags[]", ""):
        assert run("diff", "aa00", "bb00", "--ignore", ignored).code == ExitCode.USAGE


def test_diff_compares_only_the_bodies_of_payloads_in_files(run: Run, folder: Path) -> None:
    (folder / "p.json").write_bytes(a_body())
    (folder / "q.json").write_bytes(a_body(MOVED))
    assert run("diff", "aa00", "p.json").code == 0
    assert run("diff", "p.json", "-", stdin=a_body()).code == 0
    (record,) = run("diff", "p.json", "q.json", "--json").records
    assert (record["a"], record["headers"], record["facts"]) == ("p.json", [], [])
    assert record["body"]


def test_diff_rejects_missing_and_invalid_captures(run: Run) -> None:
    assert run("diff", "aa00", "ff00").code == ExitCode.STORE
    assert run("diff", "aa00", "").code == ExitCode.USAGE
    assert run("diff", "-", "-").code == ExitCode.USAGE
