"""Filters for payload facts, the handler's latency and exact statuses."""

from __future__ import annotations

import json
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from port_hook_cli.captures.browsing.browser import StoreBrowser
from port_hook_cli.captures.browsing.query import CaptureQuery, condition_of
from port_hook_cli.captures.store.capture_store import open_store
from port_hook_cli.invocations.models import Capture, Delivery, Response, Status
from port_hook_cli.invocations.payload import read_payload
from tests.databases import edit
from tests.factories import NOW, a_capture, a_document, an_invocation

NODE = {"context": {"nodeRunId": "wfnr_1"}, "workflow": "deploy", "node": "notify", "by": "ada@example.com"}


def captured(number: int, document: Any, **parts: Any) -> Capture:
    body = document if isinstance(document, bytes) else json.dumps(document).encode()
    invocation = an_invocation(body, id=f"{number:012x}", received_at=NOW + number)
    return a_capture(invocation, payload=read_payload(body, invocation.headers), **parts)


def handled(status: int | None, latency_ms: float) -> dict[str, Any]:
    delivery = Delivery(url="", status=status, latency_ms=latency_ms, fault=None if status else "timeout")
    return {"delivery": delivery, "response": Response(status=status or 502)}


def of_user(email: str, **context: Any) -> dict[str, Any]:
    document = a_document()
    trigger = {**document["trigger"], "by": {"user": {"email": email}}}
    return {**document, "trigger": trigger, "context": {**document["context"], **context}}


CAPTURES = (
    captured(1, of_user("ada@example.com", entity="vm-1"), **handled(202, 3.5)),
    captured(2, of_user("Zoë", entity="vm-2"), **handled(404, 800)),
    captured(3, NODE, **handled(500, 1200.5)),
    captured(4, b"ada@example.com vm-1 notify deploy", **handled(None, 30_000)),
    captured(5, of_user("ada@example.com")),
)
FILTERS: list[tuple[dict[str, Any], list[int]]] = [
    ({"user": "ada@example.com"}, [5, 3, 1]),
    ({"user": "Zoë"}, [2]),
    ({"user": "ada"}, []),
    ({"entity": "vm-1"}, [1]),
    ({"workflow": "deploy"}, [3]),
    ({"node": "notify"}, [3]),
    ({"node": "notify", "workflow": "other"}, []),
    ({"user": "ada@example.com", "text": "vm-1"}, [1]),
    ({"user": "ada@example.com", "text": "v"}, [5, 3, 1]),
    ({"user": "ada@example.com", "handler": "5xx"}, [3]),
    ({"response": "502"}, [4]),
    ({"response": "404", "handler": "404"}, [2]),
    ({"handler": "403"}, []),
    ({"slower_ms": 3.5}, [4, 3, 2]),
    ({"slower_ms": 1000.0, "user": "ada@example.com"}, [3]),
]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "captures.db"


def check(browser: StoreBrowser, query: dict[str, Any], expected: list[int]) -> None:
    """Check that rows, spans, counts over time and events agree with each other."""
    wanted = CaptureQuery(**query)
    assert browser.page(wanted, limit=9) == expected
    assert browser.page(wanted, limit=2, oldest_first=True, after=1) == [seq for seq in expected[::-1] if seq > 1][:2]
    assert browser.matching(wanted, range(1, 9)) == expected[::-1]
    search = browser.search(wanted)
    browser.advance(search)
    assert [seq for high, low in search.spans().spans for seq in range(high, low - 1, -1)] == expected
    histogram = search.histogram(now=NOW + 9, buckets=3)
    assert sum(total for total, _ in histogram.buckets) == len(expected)


def test_payload_facts_and_outcomes_are_filters(path: Path) -> None:
    with open_store(path, path.parent, create=True) as store, closing(StoreBrowser(path)) as browser:
        store.add(CAPTURES[:3])
        browser.catch_up()
        store.add(CAPTURES[3:])
        browser.catch_up()
        for query, expected in FILTERS:
            check(browser, query, expected)


def test_latency_is_found_with_the_outcome(path: Path) -> None:
    with open_store(path, path.parent, create=True) as store, closing(StoreBrowser(path)) as browser:
        capture = captured(1, of_user("a"))
        headers = capture.invocation.headers.plus(("authorization", "x"))  # is masked
        store.add([replace(capture, invocation=replace(capture.invocation, headers=headers))])
        browser.catch_up()
        check(browser, {"user": "a"}, [1])
        check(browser, {"slower_ms": 0.0}, [])
        store.complete([captured(1, of_user("a"), **handled(200, 12))])
        browser.catch_up()
        check(browser, {"slower_ms": 11.9}, [1])


def test_damaged_row_does_not_have_payload_facts(path: Path) -> None:
    with open_store(path, path.parent, create=True) as store:
        store.add([captured(1, of_user("a"), **handled(200, 9)), captured(2, of_user("a"), **handled(200, 9))])
    whole = path.read_bytes()
    for planted in ("headers = 'x'", "headers = '[[1]]'", "body_size = 3", 'delivery = \'{"latency_ms":"x"}\''):
        path.write_bytes(whole)
        edit(path, f"UPDATE captures SET {planted} WHERE seq = 1")  # noqa: S608
        with closing(StoreBrowser(path)) as browser:
            query = CaptureQuery(slower_ms=1.0) if "delivery" in planted else CaptureQuery(user="a")
            assert browser.page(query, limit=9) == [2]


def test_query_values_are_parameters_and_never_part_of_the_sql() -> None:
    assert condition_of(CaptureQuery()).sql == "1"
    hostile = "') OR 1=1 --"
    condition = condition_of(
        CaptureQuery(
            text=hostile,
            action=hostile,
            run_id=hostile,
            id_prefix=hostile,
            verdicts=(Status.VALID,),
            response="5xx",
            handler="failed",
            user=hostile,
            entity=hostile,
            workflow=hostile,
            node=hostile,
            slower_ms=1.0,
            since_s=1.0,
            until_s=2.0,
        )
    )
    assert hostile not in condition.sql
    assert condition.sql.count("?") == len(condition.values)
