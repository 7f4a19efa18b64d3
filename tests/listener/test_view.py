"""The messages at a session's start and end."""

from __future__ import annotations

from collections import OrderedDict
from typing import Any

from port_hook_cli.cli.listen_requests import read_routes
from port_hook_cli.invocations.models import Response
from port_hook_cli.invocations.routes import Routes
from port_hook_cli.listener.policy import Policy, Tally
from port_hook_cli.listener.view import ready_lines, summary_lines
from tests.factories import SECRET

VERIFYING = "signatures, timestamps within 300 s"
URL = "http://127.0.0.1:8787/"


def ready(*, public_url: str | None = None, **policy: Any) -> list[str]:
    return list(ready_lines(Policy(**{"secret": SECRET} | policy), url=URL, public_url=public_url))


def test_ready_lines_show_the_public_url_as_set_in_retargeted_actions() -> None:
    lines = list(ready_lines(Policy(secret=SECRET), url=URL, public_url="https://a.example/", retargeted=True))
    assert "Public URL    https://a.example/   set in Port until this listener ends" in lines


def beside(label: str, lines: list[str]) -> list[str]:
    return [line[14:] for line in lines if line[:14].rstrip() == label]


def test_ready_lines_show_the_url_the_response_and_how_to_stop() -> None:
    assert ready() == [
        "Listening on  http://127.0.0.1:8787/",
        'Responding    200 {"ok": true} (no handler)',
        f"Verifying     {VERIFYING}",
        "Stop with Ctrl-C.",
        "",
    ]


def test_ready_lines_show_the_public_url_as_a_separate_word() -> None:
    (line,) = beside("Public URL", ready(public_url="https://x.ngrok.app/hooks"))
    assert line.split()[0] == "https://x.ngrok.app/hooks"


BY_ROUTE = ["scale=http://h:2", "blueprint:vm=http://h:3"]


def test_ready_lines_describe_what_is_done_with_requests() -> None:
    cases: list[tuple[dict[str, Any], str, list[str]]] = [
        ({"routes": Routes(default="http://h:1")}, "Forwarding", ["everything -> http://h:1"]),
        (
            {"routes": read_routes("http://h:1", BY_ROUTE, "/")},
            "Forwarding",
            ["scale -> http://h:2", "blueprint:vm -> http://h:3", "everything else -> http://h:1"],
        ),
        ({"routes": read_routes(None, BY_ROUTE[:1], "/")}, "Forwarding", ["scale -> http://h:2"]),
        ({"routes": read_routes(None, BY_ROUTE[:1], "/")}, "Responding", ['200 {"ok": true} (no handler)']),
        ({"respond": Response(status=503, body=b"\xff\x1b[2J")}, "Responding", ["503 (no handler)"]),
        ({"max_in_flight": 3}, "In flight", ["at most 3 (--max-in-flight). Other requests wait."]),
        ({"fail_first": 2}, "Failing", ["the first 2 invocations with 500 (--fail-first)"]),
        ({"respond": None}, "Responding", ["by closing the connection (--respond drop)"]),
        ({"delay_s": 1.5}, "Delaying", ["each response by 1.5 s (--delay)"]),
    ]
    for policy, label, lines in cases:
        assert beside(label, ready(**policy)) == lines


def test_ready_lines_describe_what_is_verified() -> None:
    cases: list[tuple[dict[str, Any], str]] = [
        ({"secret": None}, "nothing (--verify off)"),
        ({"strict": True}, "Only signatures over the raw body are accepted (--verify strict)"),
        ({"allow_unverified": True}, "Even unverified requests are forwarded (--verify warn)"),
        ({"tolerance_s": 12.5}, "timestamps within 12.5 s"),
    ]
    for policy, words in cases:
        assert words in beside("Verifying", ready(**policy))[0]


def test_ready_lines_never_contain_the_secret() -> None:
    assert not any(SECRET.reveal() in line for line in ready())


def waiting(count: int) -> OrderedDict[str, bool]:
    return OrderedDict((f"r_{number:016}", False) for number in range(count))


def test_summary_is_one_line_of_counts_when_no_run_waits() -> None:
    cases: list[tuple[Tally, str]] = [
        (Tally(), "0 received, 0 verified, 0 rejected, 0 handler failures"),
        (
            Tally(received=7, verified=4, rejected=3, handler_failures=1),
            "7 received, 4 verified, 3 rejected, 1 handler failure",
        ),
        (
            Tally(received=1, handler_failures=2, skipped=1),
            "1 received, 0 verified, 0 rejected, 2 handler failures, 1 skipped (--only)",
        ),
        (
            Tally(received=5, verified=2, unsaved=3),
            "5 received, 2 verified, 0 rejected, 3 not saved, 0 handler failures",
        ),
    ]
    for tally, line in cases:
        assert list(summary_lines(tally)) == [line]


def test_summary_suggests_status_failure_when_the_handler_of_a_run_failed() -> None:
    _, told, *lines = summary_lines(Tally(waiting=OrderedDict({"r_good": False, "r_bad": True})))
    assert told == "2 runs stay IN_PROGRESS unless they are synchronized or your handler has reported their results:"
    assert lines == ["  port-hook report-run r_good --status success", "  port-hook report-run r_bad --status failure"]


def test_summary_lists_the_latest_5_waiting_runs_and_counts_the_rest() -> None:
    _, told, *lines = summary_lines(Tally(waiting=waiting(12)))
    assert told.startswith("12 runs stay IN_PROGRESS ")
    assert [line.split()[2] for line in lines[:5]] == [f"r_{number:016}" for number in range(7, 12)]
    assert lines[5:] == ["  and 7 more: port-hook captures"]


def test_summary_shows_an_unsafe_run_id_without_a_command() -> None:
    for run_id in ("$(reboot)", "r_1; reboot", "--help", "r_\x1b]0;owned\x07\x1b[2J\u202e", "r" * 100_000):
        _, told, line = summary_lines(Tally(waiting=OrderedDict({run_id: False})))
        assert told.startswith("1 run stays IN_PROGRESS ")
        assert line.startswith("  run ")
        assert "report-run" not in line
        assert line.isprintable()
        assert len(line) < 220
