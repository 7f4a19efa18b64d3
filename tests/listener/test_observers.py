"""A group of observers."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

from port_hook_cli.invocations.models import Capture
from port_hook_cli.listener.observers import Observer, Observers
from port_hook_cli.tunnels.report import TunnelReport, TunnelState
from tests.factories import a_capture, an_invocation


class Everything(Observer):
    """An observer that records what it is told."""

    def __init__(self) -> None:
        self.told: list[object] = []

    def captured(self, capture: Capture) -> None:
        self.told.append(capture)

    def notice(self, text: str) -> None:
        self.told.append(text)

    def tunnel(self, report: TunnelReport) -> None:
        self.told.append(report)

    def event(self, record: Mapping[str, Any]) -> None:
        self.told.append(record)

    def close(self) -> None:
        self.told.append("closed")


class NoticesOnly(Observer):
    """An observer that overrides one method."""

    def __init__(self) -> None:
        self.notices: list[str] = []

    def notice(self, text: str) -> None:
        self.notices.append(text)


class Broken(Observer):
    """An observer with a defect."""

    def captured(self, capture: Capture) -> None:
        raise RuntimeError(capture.invocation.id)


def test_observers_receive_every_event_in_order() -> None:
    first, second, third = Everything(), NoticesOnly(), Everything()
    observers = Observers([first, second, third])
    report = TunnelReport(state=TunnelState.OPEN, url="https://a.example/")
    observers.notice("hello")
    observers.captured(a_capture())
    observers.tunnel(report)
    observers.event({"type": "ready"})
    observers.close()
    assert first.told == third.told == ["hello", a_capture(), report, {"type": "ready"}, "closed"]
    assert second.notices == ["hello"]


def test_observers_get_no_more_captures_than_the_limit() -> None:
    observer = Everything()
    observers = Observers([observer], limit=2)
    for number in range(4):
        observers.captured(a_capture(an_invocation(id=str(number))))
    observers.notice("the end")
    ids = [told.invocation.id for told in observer.told if isinstance(told, Capture)]
    assert ids == ["0", "1"]
    assert observer.told[-1] == "the end"


async def test_failing_observer_is_reported_and_does_not_stop_the_others() -> None:
    observer, problems = Everything(), []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: problems.append(context["message"]))
    Observers([Broken(), observer]).captured(a_capture())
    assert observer.told == [a_capture()]
    assert problems == ["Broken failed"]
