"""The verifiers that Port documents for Python and Node accept our signatures."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from port_hook_cli.invocations.headers import SIGNATURE_HEADER, TIMESTAMP_HEADER
from port_hook_cli.javascript.stringify import stringify
from port_hook_cli.signatures.signing import TimestampUnit, sign, signed_headers
from port_hook_cli.text.secret import Secret
from tests.factories import NOW, SECRET, a_body, a_document
from tests.javascript.json_texts import JSON_TEXTS
from tests.javascript.node import Node, running_node

STAMP = str(int(NOW))


def documented_python_verifier(signature: str, timestamp: str, body: str, secret: str) -> bool:
    """Verify like Port's documented Python sample, which compares the text after the first comma."""
    to_sign = f"{timestamp}.{body}".encode()
    expected = hmac.new(secret.encode(), to_sign, hashlib.sha256).digest()
    return base64.b64encode(expected).decode() == signature.split(",")[1]


@pytest.fixture(scope="module")
def node() -> Iterator[Node]:
    with running_node() as process:
        yield process


@given(JSON_TEXTS, st.text(st.characters(exclude_categories=["Cs"]), min_size=1))
def test_both_documented_verifiers_accept_a_body_serialized_like_node(node: Node, text: str, secret: str) -> None:
    body = stringify(text)
    signature = sign(body.encode(), Secret(secret), STAMP)
    assert documented_python_verifier(signature, STAMP, body, secret)
    assert node.verify(signature, STAMP, body, secret)


def test_documented_verifiers_disagree_about_a_body_with_spaces(node: Node) -> None:
    spaced = json.dumps(a_document(), ensure_ascii=False)
    signature = sign(spaced.encode(), SECRET, STAMP)
    assert documented_python_verifier(signature, STAMP, spaced, SECRET.reveal())
    assert not node.verify(signature, STAMP, spaced, SECRET.reveal())
    of_nodes_form = sign(stringify(spaced).encode(), SECRET, STAMP)
    assert node.verify(of_nodes_form, STAMP, spaced, SECRET.reveal())
    assert not documented_python_verifier(of_nodes_form, STAMP, spaced, SECRET.reveal())


def test_signature_matches_a_known_test_vector_and_is_in_ports_two_headers() -> None:
    assert sign(b'{"a":1}', Secret("secret"), "1700000000") == f"v1,{VECTOR}"

    headers = signed_headers(a_body(), SECRET, STAMP)
    assert headers == ((SIGNATURE_HEADER, sign(a_body(), SECRET, STAMP)), (TIMESTAMP_HEADER, STAMP))

    assert sign(b"", Secret("\ud800"), STAMP).startswith("v1,")


def test_timestamp_is_truncated_to_its_unit() -> None:
    rows: list[tuple[Any, Any]] = [(TimestampUnit.SECONDS, "12"), (TimestampUnit.MILLISECONDS, "12345")]
    for unit, text in rows:
        assert unit.stamp(12.3456) == text


VECTOR = "SfJOU3QHdD+koCQrtjuUuaR+6Zy74HHM2KIlUK5BFoY="


def test_body_of_any_size_is_signed_over_timestamp_dot_body() -> None:
    for size in (0, 2**16 - 1, 2**16):
        body = b"\xff" * size
        expected = hmac.new(SECRET.reveal().encode(), STAMP.encode() + b"." + body, hashlib.sha256).digest()
        assert sign(body, SECRET, STAMP) == f"v1,{base64.b64encode(expected).decode()}"


def test_signatures_of_several_secrets_are_correct_in_concurrent_threads() -> None:
    secrets = [Secret(f"secret {number}") for number in range(20)]
    wanted = [(secret, b"x" * size) for secret in secrets for size in range(20)] * 3
    with ThreadPoolExecutor(4) as threads:
        signed = list(threads.map(lambda pair: sign(pair[1], pair[0], STAMP), wanted))
    assert all(
        documented_python_verifier(signature, STAMP, body.decode(), secret.reveal())
        for signature, (secret, body) in zip(signed, wanted, strict=True)
    )
