"""The limits of a store: captures, bytes, and the saved beginning of rejected bodies."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import pytest

from port_hook_cli.captures.documents.capture_fields import REJECTED_BODY_LIMIT
from port_hook_cli.captures.store.capture_store import CaptureStore, open_store
from port_hook_cli.errors import StoreError
from port_hook_cli.invocations.headers import Headers
from port_hook_cli.invocations.models import Capture, Status, Verdict
from tests.factories import NOW, a_capture, an_invocation

MIB = 1024 * 1024
UNSIGNED = Verdict(status=Status.MISSING)
Opens = Callable[..., CaptureStore]


@pytest.fixture
def opens(folder: Path) -> Opens:
    return lambda **limits: open_store(None, folder, create=True, **limits)


def verified(number: int, body: bytes = b"{}") -> Capture:
    # A clock that goes backward does not change which captures are the latest.
    return a_capture(an_invocation(body, id=f"ff{number:06}", received_at=NOW - number))


def unverified(number: int, body: bytes = b"{}") -> Capture:
    return a_capture(an_invocation(body, id=f"00{number:06}", headers=Headers()), verdict=UNSIGNED)


def refuse(store: CaptureStore, *captures: Capture) -> None:
    store.write([store.row(replace(capture, rejected=True)) for capture in captures], [])


def kept(store: CaptureStore) -> tuple[list[int], list[int]]:
    """Return the numbers of the verified captures and of the others, oldest first."""
    ids = [capture.invocation.id for capture in store.select()][::-1]
    first, second = ([int(name[2:]) for name in ids if name[:2] == start] for start in ("ff", "00"))
    return first, second


def size_on_disk(store: CaptureStore) -> int:
    return sum(path.stat().st_size for path in store.path.parent.glob("captures.db*") if path.suffix != ".db-shm")


def test_unverified_captures_never_evict_verified_captures(opens: Opens) -> None:
    with opens(max_captures=100) as store:
        store.add([verified(number) for number in range(90)])
        for number in range(500):
            refuse(store, unverified(number))
    with opens() as store:
        assert kept(store) == (list(range(90)), list(range(490, 500)))


def test_verified_captures_evict_the_oldest_unverified_captures_first(opens: Opens) -> None:
    with opens(max_captures=100) as store:
        refuse(store, *(unverified(number) for number in range(100)))
        store.add([verified(number) for number in range(60)])
    with opens(max_captures=100) as store:
        assert kept(store) == (list(range(60)), list(range(60, 100)))
        store.add([verified(number) for number in range(60, 250)])
    with opens() as store:
        assert kept(store) == (list(range(150, 250)), [99])


def test_latest_failure_stays_in_a_store_full_of_verified_captures(opens: Opens) -> None:
    with opens(max_captures=100) as store:
        store.add([verified(number) for number in range(200)])
        refuse(store, unverified(1), unverified(2))
    with opens() as store:
        assert store.get("last").invocation.id == "00000002"
        assert kept(store) == (list(range(100, 200)), [2])


def test_rejected_replay_counts_as_unverified(opens: Opens) -> None:
    with opens(max_captures=10) as store:
        store.add([verified(number) for number in range(10)])
        refuse(store, *(verified(number) for number in range(100, 200)))
    with opens() as store:
        assert kept(store)[0] == [*range(10), 199]


def test_store_file_stays_near_its_limit_and_retains_verified_captures(opens: Opens) -> None:
    limit = 12 * MIB
    with opens(max_size=limit) as store:
        store.add([verified(number, os.urandom(MIB)) for number in range(5)])
        for number in range(200):
            refuse(store, unverified(number, os.urandom(REJECTED_BODY_LIMIT)))
            # The extra space is the 16 MiB between two trims, and the same size again for SQLite's log.
            assert size_on_disk(store) < limit + 36 * MIB
        for number in range(40):
            store.complete([unverified(number)])
    with opens() as store:
        genuine, others = kept(store)
    assert genuine == list(range(5))
    assert 10 < len(others) < 30
    assert others[-1] == 199


def test_verified_captures_over_the_byte_limit_evict_the_oldest(opens: Opens) -> None:
    with opens(max_size=4 * MIB) as store:
        store.add([unverified(number, b"x" * 12_000) for number in range(10)])
        for number in range(20):
            store.add([verified(number, os.urandom(MIB))])
    with opens() as store:
        assert kept(store) == ([17, 18, 19], [7, 8, 9])  # three captures of 13 kB fit into one percent
    with opens(max_size=MIB) as store:
        store.add([verified(99, os.urandom(2 * MIB))])
        assert kept(store)[0] == [99]


def test_limits_hold_when_several_listeners_share_a_file(opens: Opens) -> None:
    with opens(max_captures=50) as first, opens(max_captures=50) as second:
        for number in range(300):
            (first if number % 2 else second).add([verified(number)])
            refuse(second, unverified(number))
        assert len(kept(first)[0]) <= 50 + 2 * 64
    with opens() as store:
        assert kept(store) == (list(range(250, 300)), [299])


def test_large_store_is_trimmed_after_a_twentieth_of_its_limit(opens: Opens) -> None:
    with opens(max_captures=2_000) as store:
        store.add([verified(number) for number in range(2_000)])  # the first write trims the store
        store.add([verified(number) for number in range(2_000, 2_100)])
        assert len(kept(store)[0]) == 2_100
        store.add([verified(2_100)])
        assert kept(store)[0] == list(range(101, 2_101))


def test_unknown_id_error_does_not_mention_deleted_captures_when_numbers_have_gaps(opens: Opens) -> None:
    with opens(max_captures=10) as store:
        store.add([verified(1)])
        refuse(store, *(unverified(number) for number in range(100)))
    with opens() as store, pytest.raises(StoreError, match="91 older captures were deleted"):
        store.get("00000005")


def test_rejected_body_is_truncated_with_its_size_and_hash(opens: Opens) -> None:
    body = os.urandom(3 * MIB)
    with opens() as store:
        store.add([unverified(0, body)])  # forwarded, so saved completely
        assert (store.get("last").invocation.body, store.get("last").invocation.truncated) == (body, None)
        refuse(store, unverified(1, body))
        invocation = store.get("last").invocation
    assert invocation.body == body[:REJECTED_BODY_LIMIT]
    assert invocation.truncated is not None
    assert invocation.truncated.size == len(body)
    assert invocation.truncated.sha256 == sha256(body).hexdigest()
