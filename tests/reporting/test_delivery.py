"""A saved report is sent once and in order, wherever it was interrupted."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from port_hook_cli.errors import PortApiError, RunEndedError, StoreError
from port_hook_cli.reporting.command_report import LiveReport
from port_hook_cli.reporting.delivery import ReportDelivery, may_succeed_later
from port_hook_cli.reporting.kept_report import KeptReport, KeptReports, ReportState, call_record
from port_hook_cli.reporting.spool import MAX_BATCH_BYTES
from port_hook_cli.runs.updates import Call, LogLevel, Purpose, RunReport, RunStatus, plan_report
from port_hook_cli.text.remark import Remark
from tests.factories import RUN_ID

NODE_RUN = "wfnr_abc123"


class CutOff(Exception):
    """Stands for the killing of the process."""


class Api:
    """A fake of Port's API in memory. Before or after a call takes effect, `fate` may raise an error."""

    def __init__(self, fate: Callable[[], Exception | None] = lambda: None) -> None:
        self.fate = fate
        self.logs: list[str] = ["of someone else"]
        self.ends: list[str] = []

    async def get_run(self, run_id: str) -> Mapping[str, Any]:
        return {"id": run_id, "status": self.ends[0] if self.ends else "IN_PROGRESS"}

    async def run_logs(self, _: str, *, offset: int = 0) -> Sequence[Mapping[str, Any]]:
        return [{"message": message} for message in self.logs[offset:]]

    async def send(self, call: Call, *, is_taken: Callable[[], Awaitable[bool]] | None = None) -> Mapping[str, Any]:
        self._meet_fate()
        if self.ends:
            raise RunEndedError("ended")
        body = call.body or {}
        if call.purpose is Purpose.LOG:
            self.logs += [body["message"]] if "message" in body else [log["message"] for log in body["logs"]]
        if call.wanted:
            self.ends.append(call.wanted)
        self._meet_fate()
        return {}

    def _meet_fate(self) -> None:
        if error := self.fate():
            raise error


def a_state(run_id: str = RUN_ID) -> ReportState:
    plan = plan_report(run_id, RunReport(status=RunStatus.SUCCESS))
    return ReportState(
        run_id=run_id,
        api_url="http://127.0.0.1:9",
        created_at=1.0,
        level=LogLevel.INFO if run_id == NODE_RUN else None,
        last=tuple(call_record(call) for call in plan.last_calls),
    )


def keep(home: Path, lines: int, run_id: str = RUN_ID) -> KeptReports:
    home.mkdir(exist_ok=True)
    reports = KeptReports(home)
    report = reports.create(a_state(run_id), "0123456789ab")
    for number in range(lines):
        # Each line is a separate batch, and many lines are the same.
        report.spool.add_lines(b"%d\n" % (number // 2 % 3) * 60_000)
    report.release()
    return reports


def opened(reports: KeptReports) -> KeptReport:
    """Open the only report."""
    (folder,) = reports.folders()
    report = reports.open(folder)
    assert report is not None
    return report


async def send(reports: KeptReports, api: Api) -> bool:
    """Send the rest of the only report. Return whether all of it was sent."""
    report = opened(reports)
    delivery = ReportDelivery(report)
    try:
        await delivery.begin(api)
        await delivery.send_lines(api)
        await delivery.finish(api)
    except (CutOff, PortApiError):
        return False
    finally:
        report.release()
    return delivery.is_complete


@pytest.mark.parametrize("seed", range(5))
async def test_report_interrupted_anywhere_is_sent_once_and_in_order(tmp_path: Path, seed: int) -> None:
    chance = random.Random(seed)  # noqa: S311 - guards nothing
    reports = keep(tmp_path / "kept", 6)
    api = Api(lambda: CutOff() if chance.random() < 0.3 else None)
    while not await send(reports, api):
        pass
    expected = "".join(f"{number // 2 % 3}\n" * 60_000 for number in range(6)).rstrip("\n")
    assert "\n".join(api.logs[1:]) == expected
    assert api.ends == ["SUCCESS"]


async def test_status_of_a_node_run_is_sent_once_when_port_may_have_taken_it(tmp_path: Path) -> None:
    fates: list[Exception | None] = [None, None, None, CutOff()]
    reports = keep(tmp_path / "kept", 1, NODE_RUN)
    api = Api(lambda: fates.pop(0) if fates else None)
    assert not await send(reports, api)
    assert api.ends == ["SUCCESS"]
    assert await send(reports, api)
    assert api.ends == ["SUCCESS"]


async def test_blank_lines_are_not_sent_alone(tmp_path: Path) -> None:
    reports = keep(tmp_path / "kept", 0)
    report = opened(reports)
    report.spool.add_lines(b"\n \n")
    report.release()
    api = Api()
    assert await send(reports, api)
    assert api.logs == ["of someone else"]


async def test_lines_after_blank_lines_are_sent_once_when_the_report_is_interrupted(tmp_path: Path) -> None:
    reports = keep(tmp_path / "kept", 0)
    report = opened(reports)
    lines = b"a\n" * (MAX_BATCH_BYTES // 2)
    for batch in (b"\n" * MAX_BATCH_BYTES, lines, b"b\n"):
        report.spool.add_lines(batch)
    report.release()
    fates = [None, None, CutOff()]  # before and after the first call, and before the second call
    api = Api(lambda: fates.pop(0) if fates else None)
    assert not await send(reports, api)
    assert await send(reports, api)
    assert api.logs[1:] == [lines.decode().rstrip(), "b"]


def test_report_in_progress_is_not_opened_by_another_process(tmp_path: Path) -> None:
    reports = keep(tmp_path / "kept", 1)
    first = opened(reports)
    assert reports.open(*reports.folders()) is None
    first.release()


@pytest.mark.parametrize("text", ["", "[]", '{"version": 2}'])
def test_unknown_state_raises_a_store_error(tmp_path: Path, text: str) -> None:
    reports = keep(tmp_path / "kept", 1)
    (folder,) = reports.folders()
    (folder / "state.json").write_bytes(text.encode("latin-1"))
    with pytest.raises(StoreError, match="cannot read"):
        reports.open(folder)


def test_damaged_value_raises_a_store_error(tmp_path: Path) -> None:
    reports = keep(tmp_path / "kept", 1)
    (folder,) = reports.folders()
    state = json.loads((folder / "state.json").read_bytes())
    damages: list[dict[str, Any]] = [{"api_url": 5}, {"first_made": "1"}, {"level": "loud"}, {"first": [{}]}]
    for damage in damages:
        (folder / "state.json").write_text(json.dumps({**state, **damage}), "utf-8")
        with pytest.raises(StoreError, match="cannot read"):
            reports.open(folder)


def test_only_temporary_problems_are_retried() -> None:
    rows: list[tuple[Any, Any]] = [
        (PortApiError("x"), True),
        (PortApiError("x", status=429), True),
        (PortApiError("x", status=500), True),
        (PortApiError("x", status=499), False),
        (PortApiError("x", status=404), False),
        (RunEndedError("x"), False),
    ]
    for problem, may in rows:
        assert may_succeed_later(problem) is may


class Live:
    """A live report with one line, and its notes. `fates` are the results of the first calls."""

    def __init__(self, home: Path, fates: Sequence[PortApiError]) -> None:
        self.notes, self.noted = list[str](), asyncio.Event()
        self.report = opened(keep(home, 0))
        self.report.spool.add_lines(b"one\n")
        self.api = Api(self._fate)
        self._fates = list(fates)
        self.live = LiveReport(self.report, self._open, self._note, first_pause_s=0)

    def _fate(self) -> PortApiError | None:
        if self._fates:
            return self._fates.pop(0)
        self.live.finish()
        return None

    def _note(self, remark: Remark) -> None:
        self.notes.append(remark.text)
        self.noted.set()

    @asynccontextmanager
    async def _open(self) -> AsyncIterator[Api]:
        yield self.api


async def test_live_report_notes_only_the_first_failure_and_retries(tmp_path: Path) -> None:
    world = Live(tmp_path / "kept", [PortApiError("Port is busy.", status=503)] * 3)
    await asyncio.wait_for(world.live.run(), 5)
    assert world.notes == ["Port is busy. The command continues, and port-hook tries again."]
    assert (world.api.logs[1:], world.api.ends) == (["one"], ["SUCCESS"])


@pytest.mark.parametrize(
    ("problem", "note"),
    [
        (
            PortApiError("No.", status=404),
            "No. The command continues. port-hook saves its output and tries again when it ends.",
        ),
        (RunEndedError("Over."), "The run has ended. The command continues, but its output is not reported."),
    ],
)
async def test_live_report_waits_for_the_command_to_end_when_a_retry_cannot_help(
    tmp_path: Path, problem: PortApiError, note: str
) -> None:
    world = Live(tmp_path / "kept", [problem, problem])
    running = asyncio.create_task(world.live.run())
    await asyncio.wait_for(world.noted.wait(), 5)
    for _ in range(10):  # iterations of the event loop, enough for a retry
        await asyncio.sleep(0)
    assert (world.notes, world.api.logs[1:], running.done()) == ([note], [], False)
    world.live.finish()
    with pytest.raises(type(problem)):
        await asyncio.wait_for(running, 5)
