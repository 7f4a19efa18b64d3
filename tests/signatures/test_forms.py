from __future__ import annotations

import gzip
import json

from hypothesis import given
from hypothesis import strategies as st

from port_hook_cli.invocations.headers import Headers
from port_hook_cli.javascript.stringify import MAX_DEPTH, stringify
from port_hook_cli.signatures.budget import Budget
from port_hook_cli.signatures.forms import (
    MAX_INDENTED_CHARACTERS,
    Form,
    Serialization,
    byte_forms,
    json_forms,
    serializations,
    unwrap,
)
from tests.javascript.json_texts import JSON_TEXTS

NONE = Headers()


def in_bytes(body: bytes, headers: Headers = NONE) -> list[Form]:
    return list(byte_forms(unwrap(body, headers, Budget())))


def in_json(body: bytes, headers: Headers = NONE) -> list[Form]:
    return list(json_forms(unwrap(body, headers, Budget()), Budget()))


def readings(body: bytes, headers: Headers = NONE) -> dict[str, bytes]:
    return {form.name: form.body for form in in_json(body, headers)}


def written(text: str) -> list[Serialization]:
    return list(serializations(text, Budget()))


@given(JSON_TEXTS)
def test_indented_python_forms_equal_json_dumps(text: str) -> None:
    found = [serialization.text for serialization in written(text)]
    document = json.loads(text)
    assert stringify(text, "    ") in found
    assert json.dumps(document, indent=4) in found
    assert json.dumps(document, indent=4, ensure_ascii=False) in found


def test_deeply_nested_document_does_not_have_python_forms() -> None:
    assert {serialization.name for serialization in written("[" * 3_900 + "]" * 3_900)} >= {"js"}
    assert written("[" * 100_000 + "]" * 100_000) == []


def test_nesting_around_the_limits_of_python_raises_no_exception() -> None:
    for depth in (975, 990, 3_000, 9_990):
        # The depth at which Python fails depends on its version, and is different for reading and writing.
        text = "[" * depth + "]" * depth
        found = written(text)
        assert all(serialization.text.count("[") == depth for serialization in found)
        assert any(serialization.name == "js" for serialization in found) is (depth <= MAX_DEPTH)


def test_only_whole_characters_and_the_first_byte_order_mark_are_decoded() -> None:
    assert all("decoded" not in form.name for form in in_bytes(b"\xff\xfe[\x00]"))
    found = {form.name: form.body for form in in_bytes(b"\xef\xbb\xbf" * 2)}
    assert found["without-bom"] == b"\xef\xbb\xbf"
    assert b"[1,2]" not in readings(b"[1,2]").values()
    assert all(form.body != b"[1,2]\n" for form in in_bytes(b"[1,2]\n"))


def test_indented_forms_are_omitted_when_they_would_be_too_large() -> None:
    text = "[" * 900 + "1," * 30_000 + "1" + "]" * 900
    found = {serialization.name for serialization in written(text)}
    assert "js" in found
    assert not {reading for reading in found if "indented" in reading}

    found = {serialization.name for serialization in written(f'["{"x" * MAX_INDENTED_CHARACTERS}"]')}
    assert found == {"js", "python", "python-compact", "python-unescaped"}


def test_lone_surrogate_has_only_escaped_forms() -> None:
    found = {name for name in readings(b'[ "\\ud800" ]') if "newline" not in name}
    assert found == {"js", "python", "python-compact", "js-indented-2", "js-indented-4", "js-indented-tab"}


def test_signed_form_name_lists_the_steps_in_order() -> None:
    body = gzip.compress('\ufeff{"a": "ë"}'.encode("utf-16"))
    found = [form.name for form in in_bytes(body)]
    assert found[:2] == ["decoded-gzip", "decoded-gzip+decoded-utf-16"]
    assert "decoded-gzip+decoded-utf-16+without-bom" in found
    assert readings(body)["decoded-gzip+decoded-utf-16+without-bom+js"] == '{"a":"ë"}'.encode()


@given(
    st.one_of(st.binary(), st.binary().map(gzip.compress), st.text().map(lambda text: text.encode("utf-16"))),
    st.sampled_from(["", "gzip", "deflate", "br"]),
    st.one_of(st.text(), st.sampled_from(["text/plain; charset=latin1", "a/b;charset=utf-7", "charset=punycode"])),
)
def test_forms_of_any_bytes_have_causes_and_are_never_raw(body: bytes, encoding: str, content_type: str) -> None:
    headers = Headers((("content-encoding", encoding), ("content-type", content_type)))
    forms = [*in_bytes(body, headers), *in_json(body, headers)]
    assert all(form.causes and form.name != "raw" for form in forms)
