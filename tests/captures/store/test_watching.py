from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from port_hook_cli.captures.store.capture_store import CaptureStore, open_store
from port_hook_cli.captures.store.statements import StoreFilter
from port_hook_cli.captures.store.watching import CaptureWatch
from port_hook_cli.invocations.models import Response
from port_hook_cli.invocations.statuses import Expectation
from tests.factories import NOW, a_capture, an_invocation

RESPONDED = Response(status=500)
OLD, OPEN, DONE, LATE, BEFORE = (
    a_capture(an_invocation(id=f"{name}0000000001", received_at=NOW)) for name in ("aa", "bb", "cc", "dd", "ee")
)


@pytest.fixture
def store(folder: Path) -> Iterator[CaptureStore]:
    with open_store(None, folder, create=True) as it:
        it.add([replace(OLD, response=RESPONDED)])
        yield it


def news(watch: CaptureWatch, now: float = NOW) -> list[str]:
    return [capture.invocation.id[:2] for capture in watch.news(now)]


def test_watch_yields_a_capture_once_when_it_has_an_outcome_or_after_a_minute(store: CaptureStore) -> None:
    store.add([BEFORE, replace(DONE, response=RESPONDED)])
    watch = CaptureWatch(store, StoreFilter(), now=NOW)
    assert [capture.invocation.id[:2] for capture in watch.latest(9)] == ["aa", "cc"]
    assert news(watch) == []
    store.add([OPEN])
    assert news(watch) == []
    store.complete([replace(BEFORE, response=RESPONDED), replace(OPEN, response=RESPONDED)])
    assert news(watch) == ["ee", "bb"]
    assert news(watch) == []
    store.add([LATE])
    assert news(watch, NOW + 60.9) == []  # the filter for failed captures has whole seconds
    assert news(watch, NOW + 61.1) == ["dd"]  # without an outcome after a minute
    assert news(watch, NOW + 62) == []


def test_watch_filter_applies_to_the_outcome(store: CaptureStore) -> None:
    watch = CaptureWatch(store, StoreFilter(response=Expectation.parse("5xx")), now=NOW)
    store.add([OPEN, DONE])
    assert news(watch) == []
    store.complete([replace(OPEN, response=RESPONDED), replace(DONE, response=Response(status=200))])
    assert news(watch) == ["bb"]


def test_watch_yields_a_slow_request_among_many_others(store: CaptureStore) -> None:
    watch = CaptureWatch(store, StoreFilter(), now=NOW)
    many = [a_capture(an_invocation(id=f"{number:012x}", received_at=NOW)) for number in range(700)]
    store.add(many)
    found = news(watch)
    assert len(found) == 200  # at most 500 captures wait, and the others are shown without an outcome
    store.complete([replace(capture, response=RESPONDED) for capture in many])
    assert len(news(watch)) == 500
