from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from port_hook_cli.javascript.stringify import NotJson
from port_hook_cli.signatures.signable import as_port_sends, as_written


def test_what_is_in_the_form_already_is_signed_as_it_is() -> None:
    signable = as_port_sends('{"a":"Zoë"}'.encode())
    assert (signable.body, signable.difference) == ('{"a":"Zoë"}'.encode(), "")


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\n\n"])
def test_a_line_end_at_the_end_is_all_that_is_said_where_it_is_all(end: bytes) -> None:
    signable = as_port_sends(b'{"a":1}' + end)
    assert signable.body == b'{"a":1}'
    assert signable.difference == "without the line end at the end of the file"


def test_another_form_is_named_with_both_lengths() -> None:
    signable = as_port_sends(b'{"a": 1.0}')
    assert signable.body == b'{"a":1}'
    assert signable.difference == "as compact JSON, as Port does (7 bytes; the file has 10)"


def test_a_byte_order_mark_is_not_signed() -> None:
    assert as_port_sends(b"\xef\xbb\xbf{}").body == b"{}"


@pytest.mark.parametrize("content", [b"", b"{", b"{'a':1}", b"\xff", b"NaN", b'{"a":1}}'])
def test_what_is_not_json_is_refused(content: bytes) -> None:
    with pytest.raises(NotJson):
        as_port_sends(content)


def test_a_byte_that_is_not_utf8_is_named() -> None:
    with pytest.raises(NotJson, match="byte 3 is not UTF-8"):
        as_port_sends(b'{"\xff":1}')


@given(st.recursive(st.none() | st.booleans() | st.integers(-999, 999) | st.text(), st.lists, max_leaves=5))
def test_what_is_signed_is_the_same_document_and_signing_it_again_changes_nothing(document: object) -> None:
    signed = as_port_sends(json.dumps(document).encode())
    assert json.loads(signed.body) == document
    assert as_port_sends(signed.body).difference == ""


@given(st.binary())
def test_any_bytes_can_be_signed_as_they_are(content: bytes) -> None:
    assert (as_written(content).body, as_written(content).difference) == (content, "")
