"""What Port's API receives, on the wire."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from tests.factories import NOW, RUN_ID, SECRET
from tests.port_clients import port_client
from tests.servers import Handler, handler

# One response that serves for a token, a run and a log alike.
DOCUMENT = json.dumps(
    {"ok": True, "accessToken": "a-token", "expiresIn": 3600, "run": {"id": RUN_ID}, "runLogs": []}
).encode()
RESPONSE = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nconnection: close\r\ncontent-length: %d\r\n\r\n%s" % (
    len(DOCUMENT),
    DOCUMENT,
)


@pytest.fixture
def port() -> Iterator[Handler]:
    with handler(RESPONSE) as it:
        yield it


async def test_call_has_the_headers_required_by_port_and_a_content_type_only_with_a_body(port: Handler) -> None:
    async with port_client(api_url=port.url, client_id="id", client_secret=SECRET, now=lambda: NOW) as api:
        await api.get_run(RUN_ID)
        await api.add_log(RUN_ID, "ünïcode")
        await api.patch_run(RUN_ID, {"status": "SUCCESS"})
    token, run, log, status = port.requests
    assert [request.line.split()[0] for request in port.requests] == ["POST", "GET", "POST", "PATCH"]
    assert [request.value("content-type") for request in (token, log, status)] == ["application/json"] * 3
    assert run.value("content-type") is None
    assert run.body == b""
    assert json.loads(token.body) == {"clientId": "id", "clientSecret": SECRET.reveal()}
    assert log.body == '{"message":"ünïcode"}'.encode()
    assert {request.value("accept") for request in port.requests} == {"application/json"}
    assert {request.value("accept-encoding") for request in port.requests} == {"identity"}
    assert token.value("authorization") is None
    assert {request.value("authorization") for request in (run, log, status)} == {"Bearer a-token"}
