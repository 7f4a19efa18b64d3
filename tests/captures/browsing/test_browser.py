"""Searches, lists and counts agree with the store, whatever is added, deleted or planted in it."""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from port_hook_cli.captures.browsing.browser import CaptureSearch, StoreBrowser
from port_hook_cli.captures.browsing.query import CaptureQuery
from port_hook_cli.captures.database.schema import LATEST
from port_hook_cli.captures.missing import AmbiguousCapture, NoSuchCapture
from port_hook_cli.captures.store.capture_store import open_store
from port_hook_cli.errors import StoreError
from port_hook_cli.invocations.models import Capture, Delivery, Response, Status, Verdict
from tests.databases import edit, replace_database
from tests.factories import NOW, RUN_ID, a_body, a_capture, a_document, an_invocation

ALPHABET = 'abAB xyzé日"\\\n\0%_*😀'
bodies = st.lists(
    st.one_of(st.text(ALPHABET, max_size=12).map(str.encode), st.binary(max_size=12)), min_size=1, max_size=8
)


def captures(contents: Sequence[bytes], start: int = 0) -> list[Capture]:
    return [
        a_capture(an_invocation(body, id=f"{number:012x}", received_at=NOW + number, target="/"))
        for number, body in enumerate(contents, start)
    ]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "captures.db"


def fill(path: Path, found: Sequence[Capture], **options: Any) -> None:
    with open_store(path, path.parent, create=True, **options) as store:
        store.add(found)


@contextmanager
def browsing(path: Path) -> Iterator[StoreBrowser]:
    with closing(StoreBrowser(path)) as browser:
        browser.catch_up()
        yield browser


def find_all(browser: StoreBrowser, query: CaptureQuery) -> CaptureSearch:
    search = browser.search(query)
    assert browser.advance(search)
    return search


def seqs(browser: StoreBrowser, **query: Any) -> list[int]:
    """Return the numbers of all matches, after checking that pages and spans agree on them."""
    wanted = CaptureQuery(**query)
    pages: list[int] = []
    latest: int | None = None
    while page := browser.page(wanted, latest=latest, limit=3):
        pages += page[:2]
        latest = page[2] if len(page) > 2 else 0
    search = find_all(browser, wanted)
    spans = search.spans()
    assert [seq for high, low in spans.spans for seq in range(high, low - 1, -1)] == pages
    assert (spans.matches, spans.is_complete) == (len(pages), True)
    assert browser.page(wanted, limit=1000, oldest_first=True) == pages[::-1]
    assert browser.matching(wanted, range(1, 100)) == pages[::-1]
    assert sum(total for total, _ in search.histogram(now=NOW + 10_000, buckets=7).buckets) == len(pages)
    return pages


def folded(body: bytes) -> bytes:
    return body.lower()


@given(contents=bodies, needle=st.text(ALPHABET.replace("\0", ""), min_size=1, max_size=5), data=st.data())
def test_text_search_matches_python(contents: list[bytes], needle: str, data: st.DataObject) -> None:
    body = data.draw(st.sampled_from(contents)).decode("utf-8", "ignore").replace("\0", "")
    if body and data.draw(st.booleans()):
        start = data.draw(st.integers(0, len(body) - 1))
        needle = body[start : start + data.draw(st.integers(1, 6))].swapcase() if body.isascii() else body[start:]
    with TemporaryDirectory() as folder:
        path = Path(folder) / "captures.db"
        fill(path, captures(contents))
        with browsing(path) as browser:
            found = seqs(browser, text=needle)
    expected = [number for number, body in enumerate(contents, 1) if folded(needle.encode()) in folded(body)][::-1]
    # A short text may also be in the headers, which are the same for all captures except for the signature.
    if len(needle) > 2 and not needle.isalnum():
        assert found == expected
    assert set(expected) <= set(found)


def test_text_is_found_in_target_headers_and_all_of_the_body_in_either_case(path: Path) -> None:
    a, b, c, d = captures([b'{"a":"Needle"}', b"{}", b"{}", b'{"a":"' + b"x" * 1_200_000 + b'needle"}'])
    b = replace(b, invocation=replace(b.invocation, target="/needle?x=1"))
    c = replace(c, invocation=replace(c.invocation, headers=c.invocation.headers.plus(("x-a", "NEEDLE"))))
    fill(path, [a, b, c, d])
    with browsing(path) as browser:
        assert seqs(browser, text="nEEdle") == [4, 3, 2, 1]
        assert seqs(browser, text="needle?x") == [2]


FILTERED = (
    a_capture(an_invocation(id="aa0000000001"), response=Response(status=202)),
    a_capture(
        an_invocation(
            a_body(a_document(action="delete_vm", context={"runId": "r_0000000000000000"})),
            id="ab0000000002",
            received_at=NOW + 10,
        ),
        verdict=Verdict(status=Status.INVALID),
        response=Response(status=401),
    ),
    a_capture(
        an_invocation(id="bb0000000003", received_at=NOW + 20, replay_of="aa0000000001"),
        delivery=Delivery(url="http://127.0.0.1:1/", status=503, latency_ms=1.0),
        response=Response(status=503),
    ),
    a_capture(
        an_invocation(id="cc0000000004", received_at=NOW + 30),
        delivery=Delivery(url="http://127.0.0.1:1/", status=None, latency_ms=1.0, fault="refused"),
        response=Response(status=502),
    ),
    a_capture(an_invocation(id="dd0000000005", received_at=NOW + 40)),
)


def test_filter_finds_matching_captures(path: Path) -> None:
    fill(path, FILTERED)
    with browsing(path) as browser:
        assert seqs(browser, run_id=RUN_ID) == [5, 4, 3, 1]
        assert seqs(browser, id_prefix="a") == [2, 1]
        assert seqs(browser, id_prefix="aa0000000001") == [3, 1]
        assert seqs(browser, response="5xx", text="create_vm", until_s=NOW + 25) == [3]
        assert seqs(browser, text="nowhere") == []


def test_repeated_search_finds_new_captures_before_and_after_their_outcome(path: Path) -> None:
    with open_store(path, path.parent, create=True) as store:
        store.add(captures([b"first", b"needle"]))
        with browsing(path) as browser:
            assert seqs(browser, text="needle") == [2]
            late = captures([b"second needle"], 2)
            store.add(late)
            change = browser.catch_up()
            assert (change.has_new, change.changed, change.is_reset) == (True, (), False)
            assert seqs(browser, text="needle") == [3, 2]
            assert seqs(browser, text="needle", response="5xx") == []
            store.complete([replace(late[0], response=Response(status=500))])
            change = browser.catch_up()
            assert (change.has_new, change.changed) == (False, (3,))
            assert seqs(browser, text="needle", response="5xx") == [3]
            assert browser.catch_up() == change._replace(changed=())


def test_search_in_steps_finds_all_and_may_be_interrupted_by_arrivals(path: Path) -> None:
    with open_store(path, path.parent, create=True) as store:
        store.add(captures([b"needle", b"other"] * 1_000))
        with browsing(path) as browser:
            query = CaptureQuery(text="needle")
            search, steps = browser.search(query), 0
            while not browser.advance(search, for_s=0):
                assert search.seqs() == list(range(1_999, 0, -2))[: len(search.matches)]
                steps += 1
                if steps == 2:
                    store.add(captures([b"needle", b"other"], 2_000))
                    browser.catch_up()
            assert steps >= 3
            assert search.seqs() == list(range(1_999, 0, -2))
            assert browser.page(query, limit=1) == [2_001]
            assert browser.search(query) is browser.search(query)


def test_step_of_a_search_reads_few_large_bodies(path: Path) -> None:
    fill(path, captures([b'{"a":"' + b"x" * 900_000 + b'"}'] * 9))
    with browsing(path) as browser:
        for query in (CaptureQuery(text="needle"), CaptureQuery(user="a")):
            search, steps = browser.search(query), 1
            while not browser.advance(search, for_s=0):
                steps += 1
            assert steps >= 3


def test_capture_without_an_outcome_is_found_as_failed_after_a_minute(path: Path) -> None:
    now = time.time()
    fill(path, [replace(each, invocation=replace(each.invocation, received_at=now)) for each in captures([b"{}"])])
    with browsing(path) as browser:
        assert seqs(browser, handler="failed") == []
        edit(path, "UPDATE captures SET received_at = ?", values=[now - 100])
        assert seqs(browser, handler="failed") == [1]  # even if the store was not checked since


def test_search_ends_when_the_store_is_replaced_meanwhile(path: Path) -> None:
    fill(path, captures([b"needle"] * 900))
    other = path.with_name("other.db")
    fill(other, captures([b"needle"] * 3))
    with browsing(path) as browser:
        search = browser.search(CaptureQuery(text="needle"))
        assert not browser.advance(search, for_s=0)
        replace_database(path, other)
        browser.catch_up()
        assert browser.advance(search, for_s=0)
        assert browser.page(CaptureQuery(text="needle"), limit=9) == [3, 2, 1]


MANY = """
    WITH RECURSIVE numbers (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < 20000)
    INSERT INTO captures (id, received_at, method, target, status, headers, body, response)
    SELECT 'x', n, 'POST', '/', 'valid', '[]', x'', CASE WHEN n % 10 = 0 THEN '{"status":500}' END FROM numbers
"""


def test_spans_and_histogram_of_many_captures_are_complete(path: Path) -> None:
    fill(path, [])
    edit(path, MANY)
    with browsing(path) as browser:
        every, failed = find_all(browser, CaptureQuery()), find_all(browser, CaptureQuery(response="5xx"))
        assert every.spans().spans == ((20_000, 1),)
        assert failed.spans().matches == 2_000
        assert failed.spans(max_spans=10).spans[-1] == (19_910, 19_910)
        assert every.histogram(now=20_001, buckets=8).buckets == ((2500, 250),) * 8


def test_search_continues_after_captures_without_the_text(path: Path) -> None:
    fill(path, captures([b"needle" if number in {3, 750, 1_499} else b"other" for number in range(1_500)]))
    with browsing(path) as browser:
        assert browser.page(CaptureQuery(text="needle"), limit=9) == [1_500, 751, 4]
        assert browser.page(CaptureQuery(text="needle"), limit=9, oldest_first=True) == [4, 751, 1_500]
        assert browser.page(CaptureQuery(text="needle"), limit=9, latest=1_499, after=4) == [751]


def test_replaced_or_cleared_store_is_read_from_the_start(path: Path) -> None:
    fill(path, captures([b"old"] * 5))
    other = path.with_name("other.db")
    fill(other, captures([b"new one"] * 7))
    with browsing(path) as browser:
        replace_database(path, other)
        assert browser.catch_up().is_reset
        browser.catch_up()
        assert seqs(browser, text="new one") == [7, 6, 5, 4, 3, 2, 1]
        edit(path, "DELETE FROM captures WHERE seq > 3")
        fill(path, captures([b"new"] * 2, start=10))
        assert browser.catch_up().is_reset
        browser.catch_up()
        assert [listed.capture.invocation.id for listed in browser.rows([5, 4, 3])] == [
            f"{number:012x}" for number in (11, 10, 2)
        ]
        assert not browser.catch_up().is_reset
        edit(path, "DELETE FROM captures")
        fill(path, captures([b"last"] * 2))
        assert browser.catch_up().is_reset
        browser.catch_up()
        assert (seqs(browser), seqs(browser, text="new")) == ([2, 1], [])


def test_missing_store_is_reported_and_read_again_when_it_reappears(path: Path) -> None:
    fill(path, captures([b"needle"]))
    with browsing(path) as browser:
        away = path.with_name("away.db")
        path.rename(away)
        for _ in range(2):
            with pytest.raises(StoreError, match="Capture store not found"):
                browser.catch_up()
        assert browser.page(CaptureQuery(), limit=9) == [1]  # the rows that were read stay
        away.rename(path)
        browser.catch_up()
        assert seqs(browser, text="needle") == [1]


def test_store_upgraded_or_replaced_by_a_newer_port_hook_is_reported(path: Path) -> None:
    fill(path, captures([b"{}"]))
    newer = path.with_name("newer.db")
    fill(newer, captures([b"{}"]))
    edit(newer, "PRAGMA user_version = 99")
    with browsing(path) as browser:
        edit(path, "PRAGMA user_version = 99")
        for _ in range(2):
            with pytest.raises(StoreError, match="newer port-hook"):
                browser.catch_up()
        edit(path, f"PRAGMA user_version = {LATEST}")
        browser.catch_up()
        assert seqs(browser) == [1]
        replace_database(path, newer)
        with pytest.raises(StoreError, match="newer version of port-hook wrote"):
            browser.catch_up()


def test_emptied_index_file_of_sqlite_does_not_end_the_process(path: Path) -> None:
    with open_store(path, path.parent, create=True) as store:
        store.add(captures([b"needle"]))
        with browsing(path) as browser:
            path.with_name(path.name + "-shm").write_bytes(b"")
            assert browser.find("last")[0] == 1
            path.with_name(path.name + "-shm").write_bytes(b"")
            store.add(captures([b"needle"], 1))
            browser.catch_up()
            assert seqs(browser, text="needle") == [2, 1]


PAGE = 4096


def overwrite(path: Path, *, bodies_only: bool) -> None:
    """Overwrite all pages of a store except the first, or only the pages with parts of long bodies."""
    with path.open("r+b") as file:
        for start in range(PAGE, path.stat().st_size, PAGE):
            file.seek(start)
            # A page with part of a long value begins with the number of the next such page. Other pages begin with a
            # type.
            if not bodies_only or file.read(1) == b"\0":
                file.seek(start)
                file.write(b"\xa5" * PAGE)


def test_damaged_store_is_reported_when_its_damaged_part_is_read(path: Path) -> None:
    fill(path, captures([b"x" * 20_000] * 20))
    overwrite(path, bodies_only=True)
    with browsing(path) as browser:
        assert browser.page(CaptureQuery(), limit=2) == [20, 19]
        for read in (
            lambda: browser.page(CaptureQuery(text="needle"), limit=2),
            lambda: browser.rows([20, 19]),
            lambda: browser.find("last"),
        ):
            with pytest.raises(StoreError, match="is damaged"):
                read()
    overwrite(path, bodies_only=False)
    with pytest.raises(StoreError, match="is damaged"):
        StoreBrowser(path)


PLANTED: dict[str, list[Any]] = {
    "received_at": ["x", b"\xff", 1e300, float("inf"), -5, None],
    "id": [b"\xff\xfe", "y" * 5_000, 17],
    "status": ["planted", b"\0"],
    "target": [b"\xed\xa0\x80", "a\0b", "t" * 3_000_000],
    "headers": ["[", "{}", "[[1,2]]", b"\xff", "h" * 3_000_000, "[" * 2_000],
    "causes": ["[[]]", "{", "[[1,2,3]]"],
    "delivery": ["{", '{"status":"x"}', '{"status":1e999}', b"\xff", "[" * 3_000, '{"status":[]}'],
    "response": ["null", '{"status":-1}', '{"status":99999999999999999999}', b"\x01"],
    "age_s": ["old", float("inf"), b""],
    "action": [b"\xff", "n\0n", 5],
    "body": [b"", "text", b"\xff" * 100],
    "is_verified": ["x", 7],
    "body_size": ["x", -1, 2**62],
}
CAST_TEXTS = ["target", "headers", "id", "status", "action", "delivery"]


def test_planted_value_damages_only_its_own_row(path: Path) -> None:
    fill(path, FILTERED)
    whole = path.read_bytes()
    planted = [(f"{name} = ?", [value]) for name, values in PLANTED.items() for value in values]
    not_utf_8: list[tuple[str, list[Any]]] = [(f"{name} = CAST(x'ff41ff' AS TEXT)", []) for name in CAST_TEXTS]
    for change, values in (*planted, *not_utf_8):
        path.write_bytes(whole)
        with suppress(sqlite3.IntegrityError):
            edit(path, f"UPDATE captures SET {change} WHERE seq = 3", values=values)  # noqa: S608
        check_others(path)


@pytest.mark.skipif(sqlite3.sqlite_version_info < (3, 43), reason="SQLite before 3.43 reads a text to find its length")
def test_huge_planted_value_damages_only_its_own_row(path: Path) -> None:
    fill(path, FILTERED)
    for column in ("body", "headers"):
        size = 68_000_000 if column == "body" else 3_000_000
        edit(path, f"UPDATE captures SET {column} = CAST(zeroblob({size}) AS TEXT) WHERE seq = 3")  # noqa: S608
        with browsing(path) as browser:
            _, capture = browser.find("bb")
            assert capture.payload.problem == (
                f'this capture is damaged: its "{column}" is larger than any value that port-hook saves'
            )
        check_others(path)
        edit(path, f"UPDATE captures SET {column} = '[]' WHERE seq = 3")  # noqa: S608


def check_others(path: Path) -> None:
    with browsing(path) as browser:
        rows = browser.rows(browser.page(CaptureQuery(), limit=10))
        assert [row.seq for row in rows] == [5, 4, 3, 2, 1]
        assert [row.capture.invocation.id for row in rows if row.seq != 3] == [
            "dd0000000005",
            "cc0000000004",
            "ab0000000002",
            "aa0000000001",
        ]
        assert {1, 4, 5} <= set(browser.page(CaptureQuery(text="create_vm"), limit=10))
        found = find_all(browser, CaptureQuery()).histogram(now=NOW + 50, buckets=4)
        assert sum(total for total, _ in found.buckets) == 5
        json.dumps([found.since_s, found.until_s], allow_nan=False)
        for name in ("aa", "dd"):
            browser.find(name)


def test_capture_is_found_by_a_unique_beginning_of_its_id(path: Path) -> None:
    fill(path, FILTERED)
    with browsing(path) as browser:
        assert browser.find("aa")[0] == 1
        assert browser.find("last")[0] == 5
        with pytest.raises(AmbiguousCapture):
            browser.find("a")
        for name in ("zz", "\ud800", "x" * 10_000, "aa%"):
            with pytest.raises(NoSuchCapture):
                browser.find(name)


def test_large_body_is_listed_with_fields_from_its_beginning(path: Path) -> None:
    document = a_document()
    payload = document["payload"]
    properties = {"title": "large", "log": "x" * 300_000, "after": 1}
    large = a_body({**document, "payload": {**payload, "properties": properties}})
    fill(path, captures([large, b"{" + b" " * 300_000, b"[" * 300_000]))
    with browsing(path) as browser:
        broken, empty, found = (listed.capture for listed in browser.rows([3, 2, 1]))
    read = found.payload
    assert (read.kind, read.run_id, read.action, read.user) == ("action-run", RUN_ID, "create_vm", "zoë@example.com")
    assert (read.inputs, read.problem, found.invocation.body) == ({"title": "large"}, None, b"")
    assert broken.payload.action is empty.payload.action is None
