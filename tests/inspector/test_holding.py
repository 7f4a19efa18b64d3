"""Holding requests through the inspector's API: validation, events, and the terminal's key beside it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from port_hook_cli.errors import UsageError
from port_hook_cli.inspector.holding import MAX_RESPONSE, read_manual_response
from port_hook_cli.invocations.headers import Headers
from port_hook_cli.invocations.models import Capture, Simulated
from port_hook_cli.listener.observers import Observer
from port_hook_cli.runtime import Runtime
from tests.factories import a_body, a_capture, a_document, an_invocation, signed
from tests.inspector.test_api import documented, fields_of
from tests.inspectors import InspectorClient, beside_listener, keep, over_store
from tests.servers import handler

MakeRuntime = Callable[..., Runtime]


@pytest.fixture
def store(tmp_path: Path) -> Path:
    return tmp_path / "captures.db"


class Notices(Observer):
    """What the terminal shows."""

    def __init__(self) -> None:
        self.texts: list[str] = []

    def notice(self, text: str) -> None:
        self.texts.append(text)


def send(client: InspectorClient, runtime: MakeRuntime, action: str = "create_vm") -> asyncio.Task[httpx.Response]:
    assert client.serving is not None
    body = a_body(a_document(action=action))
    headers = dict(signed(body, timestamp=str(int(runtime().now()))))
    headers.pop("Host")
    return asyncio.create_task(client.http.post(client.serving.url, content=body, headers=headers))


async def test_pages_and_the_terminal_hold_release_and_respond_to_the_same_requests(
    runtime: MakeRuntime, store: Path
) -> None:
    notices = Notices()
    with handler() as target:
        async with (
            beside_listener(runtime(), store, forward_to=target.url, observers=[notices]) as client,
            client.events() as events,
        ):
            assert client.serving is not None
            assert (await events.next("session"))["can"]["hold"] is True
            assert await events.next("held") == {"holding": False, "count": 0, "held": []}
            assert (await client.post("/api/hold", {"holding": True}))["holding"] is True
            assert (await events.next("held"))["holding"] is True
            sent = [send(client, runtime, name) for name in ("answered", "passes")]
            while (state := await events.next("held"))["count"] < 2:
                pass
            found = await client.get("/api/held")
            assert fields_of(found) == fields_of(documented("GET /api/held"))
            ids = {held["name"].split()[0]: held["id"] for held in state["held"]}
            row = (await client.get("/api/captures"))["captures"][0]
            assert (row["id"] in ids.values(), row["response"]) == (True, None)

            answer = {"status": 429, "body": "slow down", "content_type": "text/x-note", "delay_s": 0.1}
            state = await client.post(f"/api/held/{ids['answered']}/respond", answer)
            assert state["count"] == 1
            (manual,) = filter(None, [held["response"] for held in state["held"]])
            assert manual == {"status": 429, "delay_s": 0.1}
            response = await sent[0]
            assert (response.status_code, response.text) == (429, "slow down")
            assert response.headers["content-type"] == "text/x-note"
            for path in ("respond", "pass"):
                gone = await client.post(f"/api/held/{ids['answered']}/{path}", answer, expect=404)
                assert gone["error"].endswith("is not held.")
            assert (await client.post(f"/api/held/{ids['passes']}/pass"))["waits"] is False
            assert (await sent[1]).status_code == 200

            client.serving.flow.holding.toggle()  # as the key p does
            while (await events.next("held"))["holding"]:
                pass
            capture = await client.get(f"/api/captures/{ids['answered']}")
            assert capture["simulated"]["manual"] is capture["row"]["manual"] is True
            assert capture["simulated"]["text"] == "by hand, after 0.1 s"
            assert capture["delivery"] is None
    assert [json.loads(request.body)["action"] for request in target.requests] == ["passes"]
    assert [
        text.split(" (")[0].split(":")[0] for text in notices.texts if "hold" in text.lower() or "held" in text
    ] == [
        "Holding incoming requests",
        "Holding answered CREATE",
        "Holding passes CREATE",
        "Responding to answered CREATE",
        "Letting passes CREATE",
        "Released 0 held requests.",
    ]


async def test_hold_needs_true_or_false_and_holds_no_rejected_request(runtime: MakeRuntime, store: Path) -> None:
    async with beside_listener(runtime(), store) as client:
        assert client.serving is not None
        for wanted in ({}, {"holding": 1}, {"holding": "true"}):
            await client.post("/api/hold", wanted, expect=400)
        assert (await client.http.post("/api/hold", json={"holding": True})).status_code == 403
        assert (await client.get("/api/held"))["holding"] is False
        await client.post("/api/hold", {"holding": True})
        assert (await client.http.post(client.serving.url, content=b"{}")).status_code == 401
        assert (await client.get("/api/held"))["count"] == 0


async def test_inspector_without_a_listener_explains_why_it_cannot_hold_requests(
    runtime: MakeRuntime, store: Path
) -> None:
    keep(store, [a_capture(an_invocation())])
    async with over_store(runtime(), store) as client:
        session = await client.get("/api/session")
        assert session["can"]["hold"] is False
        assert session["why_not"]["hold"] == ("The inspector has no listener. Start `port-hook listen --inspect`.")
        assert await client.get("/api/held") | {"schema": None} == {
            "schema": None,
            "holding": False,
            "count": 0,
            "held": [],
        }
        await client.post("/api/hold", {"holding": True}, expect=400)


INVALID: tuple[dict[str, Any], ...] = (
    {},
    {"status": "200"},
    {"status": True},
    {"status": 199},
    {"status": 600},
    {"status": 200, "delay_s": -1},
    {"status": 200, "delay_s": 601},
    {"status": 200, "delay_s": float("nan")},
    {"status": 200, "delay_s": "1"},
    {"status": 200, "delay_s": True},
    {"status": 200, "body": {}},
    {"status": 200, "body": "\ud800"},
    {"status": 200, "body": "x" * (MAX_RESPONSE + 1)},
    {"status": 200, "content_type": "a\r\nb: c"},
    {"status": 200, "content_type": "ä"},
    {"status": 200, "content_type": "x" * 201},
    {"status": 200, "content_type": 1},
    {"status": 204, "body": "{}"},
)


def test_invalid_manual_response_is_rejected() -> None:
    for body in INVALID:
        try:
            read_manual_response(body)
        except UsageError:
            continue
        pytest.fail(str(body)[:80])


def test_manual_response_has_the_content_type_of_its_body() -> None:
    found = read_manual_response({"status": 200, "body": '{"a": 1}', "delay_s": 2})
    assert (found.response.headers, found.response.body, found.delay_s) == (
        Headers((("content-type", "application/json"),)),
        b'{"a": 1}',
        2.0,
    )
    assert "text/plain" in (
        read_manual_response({"status": 400, "body": "no"}).response.headers.get("content-type") or ""
    )
    assert read_manual_response({"status": 204}).response.headers == Headers()
    assert len(read_manual_response({"status": 200, "body": "x" * MAX_RESPONSE}).response.body) == MAX_RESPONSE


async def test_store_shows_the_manual_response_to_a_later_inspector(runtime: MakeRuntime, store: Path) -> None:
    capture: Capture = a_capture(an_invocation(), simulated=Simulated(manual=True))
    keep(store, [capture])
    async with over_store(runtime(), store) as client:
        found = await client.get(f"/api/captures/{capture.invocation.id}")
        assert (found["simulated"]["manual"], found["simulated"]["text"]) == (True, "by hand")
