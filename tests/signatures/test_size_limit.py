"""Up to which size a body is compared with what was signed."""

from __future__ import annotations

import json

import pytest

from port_hook_cli import Status, sign, verify

SECRET = "a-client-secret-of-thirty-two-characters"
NOW = 1_700_000_000


@pytest.mark.parametrize(
    ("size", "status"), [(2**20 - 1, Status.REENCODED), (2**20, Status.REENCODED), (2**20 + 1, Status.INVALID)]
)
def test_a_body_of_up_to_1_mib_is_recognized_in_another_form(size: int, status: Status) -> None:
    document = {"filler": "x" * (size - len(json.dumps({"filler": ""})))}
    headers, _ = sign(document, SECRET, timestamp=NOW)
    body = json.dumps(document).encode()
    assert len(body) == size
    assert verify(headers, body, SECRET, now=NOW).status is status
