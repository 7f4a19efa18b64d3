"""The first difference between a body and its signed form."""

from __future__ import annotations

import json
import time

from hypothesis import given
from hypothesis import strategies as st

from port_hook_cli.signatures.difference import first_difference


def differing(raw: bytes, signed: bytes) -> tuple[int, bytes, bytes] | None:
    found = first_difference(raw, signed)
    return found and (found.offset, found.raw.differs, found.signed.differs)


def test_difference_ends_where_both_bodies_are_equal_again() -> None:
    document = {"a": 1, "b": [1.5, "é"], "c": {}}
    spaced, compact = json.dumps(document).encode(), json.dumps(document, separators=(",", ":")).encode()
    assert differing(spaced, compact) == (5, b" ", b"")
    assert differing(b'{"n":1.0,"m":2}', b'{"n":1,"m":2}') == (6, b".0", b"")
    assert differing(b"{}", b"{}\n") == (2, b"", b"\n")
    assert differing(b"", b"x") == (0, b"", b"x")
    assert differing(b"same", b"same") is None


def test_difference_begins_with_a_whole_character() -> None:
    assert differing('"\u00e9"'.encode(), '"\u00e8"'.encode()) == (1, b"\xc3\xa9", b"\xc3\xa8")
    assert differing('{"a":"\u00e9"}'.encode(), b'{"a":"\\u00e9"}') == (6, b"\xc3\xa9", b"\\u00e9")


@given(st.binary(max_size=300), st.binary(max_size=300), st.binary(max_size=300), st.binary(max_size=300))
def test_excerpts_are_parts_of_the_bodies_at_the_offset(start: bytes, one: bytes, other: bytes, end: bytes) -> None:
    raw, signed = start + one + end, start + other + end
    found = first_difference(raw, signed)
    assert (found is None) == (raw == signed)
    if found is not None:
        assert raw[: found.offset] == signed[: found.offset]
        assert found.raw.differs != found.signed.differs or len(found.raw.differs) == 120
        for body, (before, differs, after) in ((raw, found.raw), (signed, found.signed)):
            assert body[: found.offset].endswith(before)
            assert body[found.offset :].startswith(differs + after)
            assert len(before) <= 32
            assert len(after) <= 32


def test_difference_of_large_bodies_is_found_quickly() -> None:
    body = b" " * 10_000_000
    started = time.process_time()
    assert differing(body, body[:-1]) == (9_999_999, b" ", b"")
    assert differing(b"ab" * 5_000_000, b"ba" * 5_000_000) is not None
    assert time.process_time() - started < 1
