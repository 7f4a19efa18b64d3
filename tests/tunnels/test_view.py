"""What a user reads of a tunnel: its state, its URL, why, and how often it was lost."""

from __future__ import annotations

import pytest

from port_hook_cli.tunnels.report import TunnelReport, TunnelState, tunnel_lines, tunnel_summary

ONE, TWO = "https://one.example/hook", "https://two.example/hook"


def one_line(state: TunnelState, **fields: object) -> str:
    (line,) = tunnel_lines(TunnelReport(state=state, url=ONE, **fields))  # type: ignore[arg-type] # as given
    return line


@pytest.mark.parametrize("state", [TunnelState.OPEN, TunnelState.REACHABLE])
def test_a_tunnel_that_works_is_shown_with_its_url(state: TunnelState) -> None:
    assert one_line(state).endswith(f": {ONE}")
    assert state.name.lower() in one_line(state)


def test_the_latency_of_the_probe_is_shown_in_whole_milliseconds() -> None:
    assert "in 12 ms" in one_line(TunnelState.REACHABLE, latency_ms=12.4)
    assert " ms" not in one_line(TunnelState.REACHABLE)
    assert "in 0 ms" in one_line(TunnelState.REACHABLE, latency_ms=0.0)


@pytest.mark.parametrize("state", [TunnelState.UNREACHABLE, TunnelState.TAKEN, TunnelState.LOST])
def test_a_tunnel_that_does_not_work_is_shown_in_capitals_with_the_reason(state: TunnelState) -> None:
    assert f" {state.name}: the reason" in one_line(state, reason="the reason")
    assert "the reason" not in one_line(state)
    assert f" {state.name}" in one_line(state)


def test_long_reason_is_truncated_and_escaped() -> None:
    line = one_line(TunnelState.UNREACHABLE, reason="\x1b[2J" + "x" * 1000)
    assert "\x1b" not in line
    assert len(line) < 450


def test_a_changed_url_is_shown_below_the_old_one_between_empty_lines() -> None:
    report = TunnelReport(state=TunnelState.OPEN, url=TWO, previous_url=ONE)
    first, headline, old, new, last = tunnel_lines(report)
    assert (first, last) == ("", "")
    assert headline.startswith("***")
    assert ONE in old
    assert TWO in new
    assert TWO not in old


@pytest.mark.parametrize(
    ("lost", "end"), [(0, f": {ONE}"), (1, "; lost 1 time"), (2, "; lost 2 times"), (10, "; lost 10 times")]
)
def test_the_summary_says_how_often_the_tunnel_was_lost(lost: int, end: str) -> None:
    assert tunnel_summary(TunnelReport(state=TunnelState.OPEN, url=ONE), lost).endswith(end)
