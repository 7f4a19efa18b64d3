"""The fields read from the beginning of a large body equal its complete values."""

from __future__ import annotations

import json
from typing import Any

from port_hook_cli.invocations.beginning import BEGINNING_BYTES, read_beginning
from port_hook_cli.invocations.headers import Headers
from port_hook_cli.invocations.models import Payload
from tests.factories import RUN_ID, a_body, a_document


def read(body: bytes, **known: Any) -> Payload:
    return read_beginning(body, Headers(), **{"run_id": None, "action": None, **known})


def test_every_beginning_of_a_body_can_be_read() -> None:
    body = a_body()
    found = [read(body[:size]) for size in range(len(body) + 1)]
    assert found[0].user is None
    assert [each.user for each in found] == sorted((each.user for each in found), key=bool)
    assert found[-1].inputs == a_document()["payload"]["properties"]
    assert all(each.inputs.items() <= found[-1].inputs.items() for each in found)


def test_any_bytes_are_read() -> None:
    for body in [
        b"", b"[1]", b"{", b'{"a"', b'{"a":', b"{1:", b"\xff{", b'{"a":' * 5_000, b"[" * 99_999, b"{" + b"[" * 9_999,
    ]:  # fmt: skip
        assert read(body).action is None
    assert read(b'{"inputs": {"cpu": 2, "memory": 40').inputs == {"cpu": 2}  # a number at the end may be incomplete


def test_values_of_any_depth_are_read() -> None:
    """Python can read deeper values than it can write. The difference depends on the version of Python."""
    for depth in range(900, 1_010):
        read(b'{"a":' + b"[" * depth + b"]" * depth + b',"b":1')


def test_values_from_the_whole_body_are_used() -> None:
    found = read(b'{"x": "', run_id="wfnr_abc", action="deploy")
    assert (found.kind, found.run_id, found.action, found.problem) == ("workflow-node", "wfnr_abc", "deploy", None)
    assert read(b"{", run_id=RUN_ID).kind == "action-run"
    body = json.dumps({"x": "y" * BEGINNING_BYTES, "action": "late"}).encode()
    assert read(body).action is None
