from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from port_hook_cli.javascript.stringify import NotJson
from port_hook_cli.signatures.signing import as_port_sends, signable


def test_difference_mentions_only_the_line_break_when_the_rest_is_equal() -> None:
    for end in (b"\r\n", b"\n\n"):
        signable = as_port_sends(b'{"a":1}' + end)
        assert signable.body == b'{"a":1}'
        assert signable.difference == "without the line break at the end of the file"


def test_difference_has_both_sizes_and_no_byte_order_mark_is_signed() -> None:
    signable = as_port_sends(b'{"a": 1.0}')
    assert signable.body == b'{"a":1}'
    assert signable.difference == "as compact JSON, like Port (7 bytes, while the file has 10)"

    assert as_port_sends(b"\xef\xbb\xbf{}").body == b"{}"


@pytest.mark.parametrize("content", [b"", b"\xff", b"NaN", b'{"a":1}}'])
def test_non_json_content_is_rejected(content: bytes) -> None:
    with pytest.raises(NotJson):
        as_port_sends(content)


def test_invalid_utf8_byte_is_reported() -> None:
    with pytest.raises(NotJson, match="byte 3 is not UTF-8"):
        as_port_sends(b'{"\xff":1}')


@given(st.recursive(st.none() | st.booleans() | st.integers(-999, 999) | st.text(), st.lists, max_leaves=5))
def test_signed_form_is_the_same_document_and_stays_unchanged_when_signed_again(document: object) -> None:
    signed = as_port_sends(json.dumps(document).encode())
    assert json.loads(signed.body) == document
    again = as_port_sends(signed.body)
    assert (again.body, again.difference) == (signed.body, "")


@given(st.binary())
def test_any_bytes_can_be_signed_unchanged(content: bytes) -> None:
    assert (signable(content, raw=True).body, signable(content, raw=True).difference) == (content, "")
