"""The table of `doctor`."""

from __future__ import annotations

from port_hook_cli.doctor.check import CheckResult, CheckState, result_lines

RESULTS = [
    CheckResult(check="clock", state=CheckState.OK, message="It agrees."),
    CheckResult(check="tunnel", subject="ngrok", state=CheckState.SKIPPED, message="It is not here.", next_step="Do."),
    CheckResult(check="store", state=CheckState.PROBLEM, message="bad \x1b[2J " + "word " * 20, next_step="Move it."),
]


def lines(width: int | None) -> list[str]:
    return [line.plain.rstrip() for line in result_lines(RESULTS, width)]


def test_table_shows_each_result_with_its_next_step_and_counts_them() -> None:
    shown = lines(None)
    assert shown[:4] == [
        "ok       clock         It agrees.",
        "skipped  tunnel ngrok  It is not here.",
        "                       next: Do.",
        "problem  store         bad \\x1b[2J" + " word" * 20,
    ]
    assert shown[-1] == "1 problem, no warnings."


def test_table_is_wrapped_below_its_messages_unless_the_terminal_is_narrow() -> None:
    shown = lines(60)
    assert max(map(len, shown)) <= 60
    assert all(line.startswith(" " * 23) for line in shown[4:-2])

    assert lines(30) == lines(None)

    assert [line.plain for line in result_lines(RESULTS[:1], None)][-1] == "No problems, no warnings."
