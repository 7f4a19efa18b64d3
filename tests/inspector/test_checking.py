"""A check of the handler from the page: its plan, its records, its limits, and its end."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from port_hook_cli.captures.store.capture_store import open_store
from port_hook_cli.invocations.headers import Headers
from port_hook_cli.invocations.models import Delivery, Status
from port_hook_cli.port_api.access import PortAccess
from port_hook_cli.port_api.settings import Settings
from port_hook_cli.runtime import Runtime
from port_hook_cli.text.secret import Secret
from tests.factories import NOW, SECRET, a_body, a_capture, an_invocation
from tests.inspectors import WITH_CHANGE, InspectorClient, beside_listener, keep, over_store
from tests.sandboxes import a_sandbox
from tests.servers import application, status_of

MakeRuntime = Callable[..., Runtime]
ID = "0123456789ab"
FORGED = ["no-signature", "no-timestamp"]
ACTION = {
    "identifier": "create_vm",
    "trigger": {"type": "self-service", "operation": "CREATE", "userInputs": {"properties": {}, "required": []}},
    "invocationMethod": {"type": "WEBHOOK", "url": "https://example.com"},
}


@pytest.fixture
def store(tmp_path: Path) -> Path:
    return tmp_path / "captures.db"


def careless(secret: Secret = SECRET) -> web.Application:
    """Return a handler that doesn't check whether a signature is present."""

    async def handle(request: web.Request) -> web.Response:
        body = await request.read()
        status = status_of(request, body, secret)
        return web.Response(status=202 if status in {Status.VALID, Status.MISSING} else 401)

    app = web.Application()
    app.router.add_post("/hooks", handle)
    return app


def forwarded_to(url: str, *, id: str = ID, received_at: float = NOW) -> Any:  # noqa: A002 - as in the models
    """Return a forwarded capture with a valid signature."""
    return a_capture(
        an_invocation(a_body(), id=id, target="/hooks", received_at=received_at),
        delivery=Delivery(url=f"{url}/hooks", status=202, latency_ms=1.0),
    )


async def checked(client: InspectorClient, body: dict[str, Any]) -> list[dict[str, Any]]:
    """Run a check, and return its records."""
    async with client.http.stream("POST", "/api/check", json=body, headers=WITH_CHANGE) as response:
        assert response.status_code == 200, await response.aread()
        assert response.headers["content-type"] == "application/x-ndjson"
        return [json.loads(line) async for line in response.aiter_lines()]


async def test_check_streams_its_records_and_saves_the_requests_of_findings(runtime: MakeRuntime, store: Path) -> None:
    with application(careless()) as url:
        keep(store, [forwarded_to(url)])
        async with over_store(runtime(), store) as client:
            begin, *findings, summary = await checked(client, {"only": ["valid", *FORGED], "skip": ["no-timestamp"]})
            found = {each["check"]: each for each in findings}
            proof, *_ = found["no-signature"]["captures"]
            shown = await client.get(f"/api/captures/{proof}")
    assert begin["type"] == "begin"
    assert (begin["target"], begin["capture"], begin["sees_reports"]) == (f"{url}/hooks", ID, False)
    assert {slug: each["status"] for slug, each in found.items()} == {"valid": "passed", "no-signature": "failed"}
    assert (summary["type"], summary["checks"], summary["failed"]) == ("summary", 2, 1)
    assert ["user-agent", "port-hook-check/no-signature"] in shown["request"]["headers"]
    assert shown["row"]["replay_of"] == ID


async def test_plan_shows_what_a_check_would_send(runtime: MakeRuntime, store: Path) -> None:
    with application(careless()) as url:
        keep(store, [forwarded_to(url)])
        async with over_store(runtime(), store) as client:
            found = await client.get("/api/check", only=["signature", "form"], skip="at-once")
            ended = await checked(client, {"only": ["signature", "form"], "skip": ["at-once"]})
            unknown = await client.get("/api/check", only="nothing")
            count = len((await client.get("/api/captures"))["captures"])
    assert [group["name"] for group in found["groups"]] == ["signature", "form", "repeats", "reports"]
    assert found["problem"] is None
    assert {**found["plan"], "type": "begin"}.items() <= ended[0].items()
    assert found["plan"]["checks"] == ended[-1]["checks"]
    assert found["plan"]["works"] > 5
    assert unknown["plan"] is None
    assert "nothing" in unknown["problem"]["error"]
    assert count == 1 + len({each for record in ended for each in record.get("captures", ())})


async def test_check_beside_a_listener_goes_directly_to_the_handler(runtime: MakeRuntime, store: Path) -> None:
    with application(careless()) as url:
        async with beside_listener(runtime(), store, forward_to=f"{url}/hooks") as client:
            keep(store, [forwarded_to(url)])
            _, finding, _ = await checked(client, {"capture": ID, "only": ["no-signature"]})
            rows = (await client.get("/api/captures"))["captures"]
            assert client.serving is not None
            refused = await client.post("/api/check", {"capture": ID, "to": client.serving.url}, expect=400)
    assert finding["status"] == "failed"
    assert {(row["id"], row["response"]) for row in rows} == {
        (ID, None),
        *((each, 202) for each in finding["captures"]),
    }
    assert "the listener itself" in refused["error"]


async def test_action_is_checked_with_the_help_of_a_sandbox(runtime: MakeRuntime, store: Path, tmp_path: Path) -> None:
    file = tmp_path / "action.json"
    file.write_text(json.dumps(ACTION))
    with open_store(store, tmp_path, create=True):
        pass
    with a_sandbox() as sandbox, application(careless(sandbox.client_secret)) as url:
        settings = Settings(client_id=sandbox.client_id, client_secret=sandbox.client_secret, api_url=sandbox.url)
        options = {"access": PortAccess.known(settings, runtime()), "secret": sandbox.client_secret}
        async with over_store(runtime(), store, actions=[file], **options) as client:
            unaddressed = await client.get("/api/check", action="create_vm")
            body = {"action": "create_vm", "inputs": {}, "to": f"{url}/hooks", "only": ["no-signature"]}
            begin, finding, _ = await checked(client, body)
    assert unaddressed["plan"] is None
    assert "https://example.com" in unaddressed["problem"]["error"]
    assert (begin["name"], begin["capture"], begin["sees_reports"]) == ("create_vm", None, True)
    assert finding["status"] == "failed"


async def test_request_of_an_earlier_check_is_not_the_latest_capture(runtime: MakeRuntime, store: Path) -> None:
    probe = an_invocation(
        a_body(), id="ba9876543210", received_at=NOW + 60, headers=Headers((("user-agent", "port-hook-check/valid"),))
    )
    keep(store, [forwarded_to("http://127.0.0.1:1"), a_capture(probe)])
    async with over_store(runtime(), store) as client:
        assert (await client.get("/api/check"))["plan"]["capture"] == ID


IMPOSSIBLE: tuple[tuple[dict[str, Any], str], ...] = (
    ({"to": "https://handler.example/"}, "only handlers on this machine"),
    ({"to": "http://127.0.0.1.handler.example/"}, "only handlers on this machine"),
    ({"to": "not a target"}, "is not a target"),
    ({"capture": ID}, "was not forwarded to a handler on this machine"),
    ({"capture": ID, "action": "create_vm"}, "not both"),
    ({"action": "create_vm", "to": "8000"}, "The action create_vm is not in the files"),
    ({"to": 8000}, "is not text"),
    ({"only": "signature"}, "is not a list"),
    ({"only": ["nothing"], "to": "8000"}, "Unknown check or group"),
    ({"inputs": []}, "this machine"),
    ({"inputs": [1]}, "is not an object"),
)


async def test_impossible_check_is_rejected(runtime: MakeRuntime, store: Path) -> None:
    elsewhere = Delivery(url="https://handler.example/", status=202, latency_ms=1.0)
    keep(store, [a_capture(an_invocation(a_body(), id=ID), delivery=elsewhere)])
    async with over_store(runtime(), store) as client:
        for body, error in IMPOSSIBLE:
            assert error in (await client.post("/api/check", body, expect=400))["error"]
        own = await client.post("/api/check", {"to": str(client.opened.port)}, expect=400)
        assert "the inspector itself" in own["error"]
        assert (await client.post("/api/check", {"capture": "ffff", "to": "8000"}, expect=404))["hint"]
    async with over_store(runtime(), store, secret=None) as client:
        assert (await client.get("/api/session"))["can"]["check"] is False
        assert "no client secret" in (await client.post("/api/check", {"to": "1"}, expect=400))["error"]
        assert "no client secret" in (await client.get("/api/check"))["problem"]["error"]


@asynccontextmanager
async def silent_handler() -> AsyncIterator[tuple[str, asyncio.Event, asyncio.Event]]:
    """Run a handler that never responds. Yield its URL, and the events of the first request and of its end."""
    begun, ended = asyncio.Event(), asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if await reader.read(65_536):  # a check also looks whether the port accepts connections
            begun.set()
            while await reader.read(65_536):
                pass
            ended.set()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", begun, ended


async def test_one_check_runs_at_a_time_and_ends_with_its_page(runtime: MakeRuntime, store: Path) -> None:
    keep(store, [forwarded_to("http://127.0.0.1:1")])
    async with silent_handler() as (url, begun, ended), asyncio.timeout(20), over_store(runtime(), store) as client:
        body = {"to": url, "only": ["valid"]}
        async with client.http.stream("POST", "/api/check", json=body, headers=WITH_CHANGE) as response:
            lines = response.aiter_lines()  # collecting it would close the stream
            assert json.loads(await anext(lines))["type"] == "begin"
            await begun.wait()
            assert "Another check" in (await client.post("/api/check", body, expect=409))["error"]
        await ended.wait()
        async with client.http.stream("POST", "/api/check", json=body, headers=WITH_CHANGE) as response:
            assert response.status_code == 200


async def test_check_ends_when_the_token_is_replaced(runtime: MakeRuntime, store: Path) -> None:
    keep(store, [forwarded_to("http://127.0.0.1:1")])
    async with silent_handler() as (url, begun, ended), asyncio.timeout(20), over_store(runtime(), store) as client:
        body = {"to": url, "only": ["valid"]}
        async with client.http.stream("POST", "/api/check", json=body, headers=WITH_CHANGE) as response:
            assert response.status_code == 200
            await begun.wait()
            once = client.opened.url_for_once()
            for _ in range(2):
                await client.http.get(once, headers={"authorization": ""})
            await ended.wait()
