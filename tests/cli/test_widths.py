"""Tables and blocks on terminals of 60 to 120 columns, with long names."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TypeAlias

import pytest

from port_hook_cli.captures.view.capture import BLOCK_INDENT, capture_lines
from port_hook_cli.captures.view.captures import captures_table
from port_hook_cli.captures.view.compact import compact_line
from port_hook_cli.check.catalog import BY_SLUG
from port_hook_cli.check.view import check_table
from port_hook_cli.doctor.check import CheckResult, CheckState, result_lines
from port_hook_cli.invocations.headers import Headers
from port_hook_cli.invocations.models import Capture, Delivery, Response, Simulated, Status, Verdict
from port_hook_cli.runs.port_run import PortRun, RunKind
from port_hook_cli.runs.run_view import runs_table
from port_hook_cli.text.layout import fit
from port_hook_cli.text.styled import Styled, cell_width
from tests.captures.listing import listed
from tests.factories import NOW, RUN_ID, a_body, a_capture, a_document, an_invocation

REPORT = "port-hook report-run"
LONG = "provision_an_environment_for_the_team_of_漢字_and_wait_for_it"
UNREACHABLE = Delivery(url="http://127.0.0.1:8000/", fault="unreachable", error="connection refused")


def long_captures() -> Iterator[Capture]:
    """Captures with the longest names and the longest cells in each column."""
    for document in (
        a_document(action=LONG),
        a_document(context={"runId": "wfnr_KgiLcLh0whiSghsS", "workflowRunId": "wfr_KgiLcLh0whiSghsS"}),
    ):
        invocation = an_invocation(a_body(document), replay_of="0123456789ab")
        verdict = Verdict(status=Status.UNCHECKED)
        yield a_capture(invocation, verdict=verdict, delivery=UNREACHABLE, response=Response(status=502))
    for name in ("a" * 200, "🚀" * 40, "e\u0301" * 60, "\x1b[31m\n\x07" * 9, "deploy (to production) " * 5):
        simulated = Simulated(failure="fail-first")
        yield a_capture(an_invocation(a_body(a_document(action=name)), replay_of="0123456789ab"), simulated=simulated)
    unsigned = an_invocation(b"{}", headers=Headers())
    yield a_capture(unsigned, verdict=Verdict(status=Status.MISSING), response=Response(status=401))


def table(width: int) -> Iterable[Styled]:
    return captures_table(listed(*long_captures()), now=NOW, width=width)


def compact(width: int) -> Iterable[Styled]:
    return (compact_line(capture, width) for capture in long_captures())


def blocks(width: int) -> Iterable[Styled]:
    for capture in long_captures():
        yield from fit(capture_lines(capture, app_url=None, width=width), width, indent=BLOCK_INDENT)


def runs(width: int) -> Iterable[Styled]:
    found = [PortRun(id=RUN_ID, kind=RunKind.ACTION, name=LONG, status="WAITING_FOR_APPROVAL", created_at="2023-01-01")]
    return runs_table(found, {RUN_ID}, now=NOW, width=width)


def checks(width: int) -> Iterable[Styled]:
    return check_table(frozenset(BY_SLUG), width)


def doctor(width: int) -> Iterable[Styled]:
    return result_lines(
        [CheckResult(check="tunnel", subject="x", state=CheckState.PROBLEM, message="401 " * 40)], width
    )


View: TypeAlias = Callable[[int], Iterable[Styled]]
RESPONSES: dict[View, set[str]] = {
    table: {"502!", "401"},
    compact: {"502!", "401"},
    blocks: {"502", "401"},
    runs: {"WAITING_FOR_APPROVAL"},
}


@pytest.mark.parametrize("width", [60, 80, 100, 120])
@pytest.mark.parametrize("view", [table, compact, blocks, runs, checks, doctor], ids=lambda view: view.__name__)
def test_view_fits_and_shows_the_response(view: View, width: int) -> None:
    lines = [line.plain for line in view(width)]
    assert max(cell_width(line) for line in lines if REPORT not in line) <= width  # users copy it whole
    if view in {table, compact}:
        assert sum("(replay" in line for line in lines) == sum("(replay" in line.plain for line in view(1000))
    words = {word.strip(",") for line in lines if not line.endswith(" hidden") for word in line.split()}
    assert words >= RESPONSES.get(view, set())
    whole = {word.strip(",") for line in view(1000) for word in line.plain.split()}
    assert {word for word in words if "…" not in word} <= whole  # no word is broken


@pytest.mark.parametrize(("width", "hidden"), [(40, "time, signature, run"), (60, "run"), (80, "")])
def test_narrow_table_names_its_hidden_columns_and_keeps_both_ends_of_a_name(width: int, hidden: str) -> None:
    lines = [line.plain for line in table(width)]
    assert (lines[0] == f"{hidden}: hidden") is bool(hidden)
    assert any("prov" in line and "…" in line and "(replay)" in line for line in lines)
    assert any("wfnr_KgiLcLh0whiSghsS" in line for line in lines) is not bool(hidden)
