"""Every URL of docs/reference/inspector-api.md, with a store and beside a listener."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from port_hook_cli.actions.encrypted_inputs import Decryption
from port_hook_cli.captures.exports.formats import EXPORT_FORMATS
from port_hook_cli.captures.store.capture_store import open_store
from port_hook_cli.cli.encryption import build_decrypter
from port_hook_cli.engines.encryption import encrypt_aes_gcm
from port_hook_cli.inspector.run_records import graph
from port_hook_cli.invocations.handlers import Handler
from port_hook_cli.invocations.headers import Headers
from port_hook_cli.invocations.models import (
    Capture,
    Delivery,
    MessageOrigin,
    Response,
    Simulated,
    Status,
    Truncation,
    Verdict,
)
from port_hook_cli.kafka.messages import message_headers
from port_hook_cli.port_api.access import PortAccess
from port_hook_cli.replay.editing import Assignment, Edits
from port_hook_cli.runtime import Runtime
from port_hook_cli.sandbox import Sandbox
from port_hook_cli.signatures.messages import verify_received
from port_hook_cli.signatures.signing import sign, signed_message
from port_hook_cli.text.remark import say_nothing
from port_hook_cli.text.secret import Secret
from tests.factories import NOW, RUN_ID, SECRET, a_body, a_capture, a_document, an_invocation, signed
from tests.inspectors import WITH_CHANGE, beside_listener, keep, over_store
from tests.receivers import Seen
from tests.sandboxes import a_sandbox, environ_of, sandbox_with
from tests.servers import handler

DOCUMENT = Path("docs/reference/inspector-api.md")
ID = "0123456789ab"
EXPORTS = [row.name for row in EXPORT_FORMATS]
AS_CAPTURED = {"har", "capture", "headers", "postman"}
MakeRuntime = Callable[..., Runtime]


@pytest.fixture
def store(tmp_path: Path) -> Path:
    return tmp_path / "captures.db"


def documented(heading: str) -> Any:
    """Return the first JSON block below a heading of the documentation."""
    page = (Path(__file__).parents[2] / DOCUMENT).read_text("utf-8")
    part = page.split(f"### `{heading}`")[1]
    block = re.search(r"```json\n(.*?)```", part, re.DOTALL)
    assert block is not None
    return json.loads(block[1])


def fields_of(value: Any) -> Any:
    """Return the names of the fields in a JSON document, at all levels."""
    if isinstance(value, dict):
        return {name: fields_of(inner) for name, inner in value.items()}
    if isinstance(value, list) and value and isinstance(value[0], dict):
        return [fields_of(value[0])]
    return None


def answered(**overrides: Any) -> Capture:
    fields: dict[str, Any] = {
        "delivery": Delivery(url="http://127.0.0.1:1/", status=202, latency_ms=12.5, body=b"", headers=Headers()),
        "response": Response(status=202, headers=Headers((("x-a", "b"),)), body=b"ok"),
    }
    return a_capture(**fields | overrides)


def access_to(sandbox: Sandbox, runtime: MakeRuntime) -> PortAccess:
    """Return the access of a user who has set the sandbox's credentials."""
    return PortAccess(runtime(env=environ_of(sandbox)), say_nothing)


async def test_rows_have_the_documented_fields_and_pages_follow_each_other(runtime: MakeRuntime, store: Path) -> None:
    found = [answered(invocation=an_invocation(id=f"{number:012x}", received_at=NOW + number)) for number in range(7)]
    keep(store, found)
    async with over_store(runtime(), store) as client:
        page = await client.get("/api/captures", limit=3)
        assert fields_of(page) == fields_of(documented("GET /api/captures"))
        assert page["captures"][0]["handler"] == {"status": 202, "fault": None, "latency_ms": 12.5}
        seqs = [row["seq"] for row in page["captures"]]
        while page["next"]:
            page = await client.get("/api/captures", limit=3, **{"from": page["next"]})
            seqs += [row["seq"] for row in page["captures"]]
        assert seqs == [7, 6, 5, 4, 3, 2, 1]
        assert (await client.get("/api/spans"))["spans"] == [[7, 1]]
        histogram = await client.get("/api/histogram", buckets=2, since=NOW, until=NOW + 8)
        assert histogram["buckets"] == [[4, 0], [3, 0]]


async def test_capture_has_the_documented_fields(runtime: MakeRuntime, store: Path) -> None:
    document = a_document()
    document["payload"]["censoredProperties"] = ["cpu"]
    invalid = Verdict(status=Status.INVALID, signed_form="python", causes=())
    simulated = Simulated(failure="fail-first", delay_s=2.5)
    keep(store, [answered(invocation=an_invocation(a_body(document)), verdict=invalid, simulated=simulated)])
    async with over_store(runtime(), store) as client:
        found = await client.get(f"/api/captures/{ID[:5]}")
    assert found["simulated"] == documented("GET /api/captures/ID")["simulated"]
    shape = documented("GET /api/captures/ID")
    row, example = found.pop("row"), shape.pop("row")
    assert set(example) - {"…"} <= set(row)
    assert fields_of(row) == fields_of(documented("GET /api/captures"))["captures"][0]
    for name in ("inputs", "headers"):
        assert found.get(name, [1])
    for place in ("response",):
        assert set(found[place].pop("body")) == set(shape["request"]["body"])
        shape[place].pop("body")
    for shown in (found, shape):
        shown["changes"] = shown["replays"] = shown["verdict"]["causes"] = None
    assert fields_of(found) == fields_of(shape)
    parts = found["verdict"]["parts"]
    assert parts["expected"] == parts["received"]
    assert parts["note"] is None


async def test_session_has_the_documented_fields_in_both_modes(runtime: MakeRuntime, store: Path) -> None:
    keep(store, [answered()])
    async with over_store(runtime(), store) as client:
        found = await client.get("/api/session")
        assert fields_of(found) == fields_of(documented("GET /api/session"))
        assert (found["mode"], found["count"], found["url"]) == ("store", 1, None)
        assert found["can"] == {
            "replay": True,
            "sign": True,
            "runs": False,
            "trigger": False,
            "check": True,
            "decrypt": False,
            "hold": False,
        }
    async with beside_listener(runtime(), store) as client:
        found = await client.get("/api/session")
        assert (found["mode"], found["url"]) == ("listen", client.serving.url if client.serving else None)


INVALID = (
    ("/api/captures/nowhere", 404),
    ("/api/captures/0", 409),
    (f"/api/captures/{ID}/tree?path=/nowhere", 404),
    (f"/api/captures/{ID}/tree?path=x", 404),
    (f"/api/captures/{ID}/tree?path=/{'9' * 5000}", 404),
    (f"/api/captures/{ID}/tree?part=delivery", 400),
    (f"/api/captures/{ID}/body?part=x", 400),
    (f"/api/captures/{ID}/export/nothing", 404),
    ("/api/compare?a=0123456789ab", 400),
    ("/api/captures?verdict=x", 400),
    ("/api/captures?since=nan", 400),
    ("/api/captures?since=1e999", 400),
    ("/api/histogram?since=-1e308&until=1e308", 400),
    ("/api/captures?limit=x", 400),
    ("/api/captures?limit=99999999999999999999", 400),
    ("/api/captures?from=²", 400),
    (f"/api/captures?text={'x' * 1001}", 400),
    (f"/api/captures?text={'x' * 20_000}", 400),
    ("/api/captures?response=9xx", 400),
    ("/api/events?response=9xx", 400),
    ("/api/nowhere", 404),
    ("/api/captures/%2e%2e/x", 404),
)


async def test_invalid_request_gets_an_error_with_a_hint(runtime: MakeRuntime, store: Path) -> None:
    keep(store, [answered(), a_capture(an_invocation(id="0aaaaaaaaaaa"))])
    async with over_store(runtime(), store) as client:
        for path, status in INVALID:
            response = await client.http.get(path)
            assert response.status_code == status, (path[:200], response.text)
            if "x" * 2_000 not in path:  # rejected by the server before the inspector sees it
                assert set(response.json()) >= {"error", "hint"}
        assert (await client.get("/api/session"))["count"] == 2


async def test_tree_is_read_level_by_level(runtime: MakeRuntime, store: Path) -> None:
    body = json.dumps({"a/b": {"~": [1, 2]}, "many": list(range(10_000)), "n": 9007199254740993, "s": "x" * 9000})
    keep(store, [a_capture(an_invocation(body.encode()))])
    async with over_store(runtime(), store) as client:
        level = partial(client.get, f"/api/captures/{ID}/tree")
        top = await level()
        assert [(row["key"], row["type"], row["size"]) for row in top["children"]] == [
            ("a/b", "object", 1),
            ("many", "array", 10_000),
            ("n", "number", None),
            ("s", "string", 9000),
        ]
        assert top["children"][2]["text"] == "9007199254740993"
        assert len(top["children"][3]["text"]) == 4097
        assert (await level(path="/a~1b/~0"))["children"][1]["path"] == "/a~1b/~0/1"
        part = await level(path="/many", offset=9_900, limit=99_999)
        assert (len(part["children"]), part["next"]) == (100, None)
        assert (await level(path="/many", limit=99_999))["next"] == 1000
        assert (await level(find="NTY"))["matches"] == []
        assert (await level(find="999"))["matches"][0] == "/many/999"


async def test_raw_bytes_of_each_part_are_returned(runtime: MakeRuntime, store: Path) -> None:
    binary = bytes(range(256))
    keep(store, [answered(invocation=an_invocation(binary))])
    async with over_store(runtime(), store) as client:
        response = await client.http.get(f"/api/captures/{ID}/body")
        assert response.content == binary
        assert response.headers["content-type"] == "application/octet-stream"
        assert response.headers["content-disposition"].startswith("attachment")
        assert response.headers["x-content-type-options"] == "nosniff"
        assert (await client.http.get(f"/api/captures/{ID}/body", params={"part": "response"})).content == b"ok"
        shown = (await client.get(f"/api/captures/{ID}"))["request"]["body"]
        assert (shown["text"], shown["type"]) == (None, "binary")
        assert shown["hex"][0].startswith("00000000  00 01 02")


HOSTILE = {
    "deep": b"[" * 10_000 + b"]" * 10_000,
    "many keys": json.dumps({str(number): number for number in range(20_000)}).encode(),
    "5 MB": b'{"a":"' + b"x" * 5_000_000 + b'"}',
    "lone surrogates": b'{"action":"\\ud800","context":{"runId":"\\udfff"},"\\ud800":1}',
    "NUL": b'{"action":"a\\u0000b","x":"\0"}',
    "not finite": b'{"a":NaN,"b":Infinity,"payload":{"properties":{"n":NaN}}}',
    "long number": b'{"n":' + b"9" * 10_000 + b"}",
    "long keys": json.dumps({"k" * 100_000: {"l" * 100_000: {"m" * 100_000: "needle"}}}).encode(),
    "empty": b"",
    "not UTF-8": b"\xff\xfe",
}


async def test_hostile_body_is_shown_in_bounded_responses(runtime: MakeRuntime, store: Path) -> None:
    ids = {name: f"{number:012x}" for number, name in enumerate(HOSTILE)}
    keep(store, [answered(invocation=an_invocation(HOSTILE[name], id=ids[name])) for name in HOSTILE])
    async with over_store(runtime(), store) as client:

        async def statuses(path: str, *expected: int) -> None:
            response = await client.http.get(path)
            assert response.status_code in expected, (path, response.text[:500])
            assert len(response.content) < 2_000_000
            json.loads(response.content, parse_constant=pytest.fail)

        for path in ("/api/captures", "/api/captures?text=needle", "/api/spans?text=x"):
            await statuses(path, 200)
        for name, body in HOSTILE.items():
            own = f"/api/captures/{ids[name]}"
            await statuses(own, 200)
            await statuses(f"/api/compare?a={ids[name]}&b={ids['long keys']}", 200)
            for path in (f"{own}/tree", f"{own}/tree?find=needle"):
                await statuses(path, 200, 400)
            for export in EXPORTS if len(body) < 100_000 else ():
                response = await client.http.get(f"{own}/export/{export}")
                refused = export == "postman" and b"\xff" in body  # a collection has only text
                assert response.status_code == (400 if refused else 200), (name, export, response.text[:500])


async def test_huge_fields_are_cut(runtime: MakeRuntime, store: Path) -> None:
    document = a_document(action="a" * 20_000)
    long = an_invocation(a_body(document), target="/" + "t" * 20_000)
    keep(store, [a_capture(replace(long, id=f"{number:012x}")) for number in range(200)])
    async with over_store(runtime(), store) as client:
        response = await client.http.get("/api/captures", params={"limit": 200})
        assert len(response.json()["captures"]) == 200
        assert len(response.content) < 2_000_000


async def test_client_secret_is_in_no_response(runtime: MakeRuntime, store: Path) -> None:
    keep(store, [answered()])
    async with beside_listener(runtime(), store) as client:
        texts = [
            (await client.http.get(path)).text for path in ("/api/session", f"/api/captures/{ID}", "/api/captures")
        ]
        texts += [(await client.http.get(f"/api/captures/{ID}/export/{name}")).text for name in EXPORTS]
        texts.append(json.dumps(await client.post(f"/api/captures/{ID}/replay")))
    assert not [text for text in texts if SECRET.reveal() in text]


async def test_replay_beside_a_listener_is_verified_saved_and_forwarded(runtime: MakeRuntime, store: Path) -> None:
    keep(store, [answered()])
    screen = Seen()
    with handler() as target:
        async with beside_listener(runtime(), store, forward_to=target.url, observers=[screen]) as client:
            found = await client.post(f"/api/captures/{ID}/replay")
            assert found["delivery"]["status"] == 200
            (shown,) = screen.captures
            assert (shown.invocation.id, shown.invocation.replay_of) == (found["capture"], ID)
            capture = await client.get(f"/api/captures/{found['capture']}")
            row = capture["row"]
            assert (row["verdict"], row["replay_of"], row["source"]) == ("valid", ID, "replay")
            original = await client.get(f"/api/captures/{ID}")
            assert [replay["id"] for replay in original["replays"]] == [found["capture"]]
            assert [request.body for request in target.requests] == [a_body()]


async def test_replay_with_an_edited_body_is_sent_in_json_stringify_form(runtime: MakeRuntime, store: Path) -> None:
    keep(store, [answered()])
    with handler() as target:
        async with beside_listener(runtime(), store, forward_to=target.url) as client:
            await client.post(f"/api/captures/{ID}/replay", {"body": '{ "b": 1.0,\n "2": "é", "1": 1e21 }'})
            await client.post(f"/api/captures/{ID}/replay", {"set": {"/payload/properties/cpu": 8}})
            await client.post(f"/api/captures/{ID}/replay", {"sign": False})
            found = await client.post(f"/api/captures/{ID}/replay", {"body": "{\n x"}, expect=400)
            assert (found["line"], found["column"]) == (2, 2)
            for path in ("/nowhere/x", "/payload/properties/cpu/x", "x"):
                await client.post(f"/api/captures/{ID}/replay", {"set": {path: 1}}, expect=400)
            for name, value in (("body", 1), ("set", []), ("to", 1), ("sign", "no")):
                await client.post(f"/api/captures/{ID}/replay", {name: value}, expect=400)
    first, second = (request.body for request in target.requests)
    assert first == '{"1":1e+21,"2":"é","b":1}'.encode()
    assert json.loads(second)["payload"]["properties"]["cpu"] == 8


async def test_changed_value_makes_the_same_body_as_replay_set(runtime: MakeRuntime, store: Path) -> None:
    body = b'{"payload": {"cpu": 2}, "huge": 1e400, "digits": ' + b"9" * 5_000 + b"}"
    keep(store, [a_capture(an_invocation(body))])
    with handler() as target:
        async with beside_listener(runtime(), store, forward_to=target.url) as client:
            changes = b'{"set": {"/payload/cpu": 1e400, "/payload/tags": [1.0, 12345678901234567890]}}'
            address = f"/api/captures/{an_invocation(body).id}/replay"
            response = await client.http.post(
                address, content=changes, headers={**WITH_CHANGE, "content-type": "application/json"}
            )
            assert response.status_code == 200, response.text
    texts = ("payload.cpu=1e400", "+payload.tags=[1.0, 12345678901234567890]")
    edits = Edits(assignments=[Assignment.parse(text) for text in texts])
    assert [request.body for request in target.requests] == [edits.apply(body)[0]]


async def test_kafka_message_is_replayed_and_exported_with_a_new_signature_inside(
    runtime: MakeRuntime, store: Path
) -> None:
    value = signed_message(a_document(), SECRET, str(int(NOW)))
    message = an_invocation(value, headers=message_headers(value), origin=MessageOrigin("org.runs", 0, 1, None))
    keep(store, [a_capture(message)])
    with handler() as target:
        async with beside_listener(runtime(), store, forward_to=target.url) as client:
            for edits in ({}, {"set": {"/payload/properties/cpu": 8}}):
                await client.post(f"/api/captures/{message.id}/replay", edits)
    plain, edited = (request.body for request in target.requests)
    assert plain == value
    async with over_store(replace(runtime(), now=lambda: NOW + 60), store) as client:
        exported = await client.get(f"/api/captures/{message.id}/export/curl", sign="true")
    assert sign(value, SECRET, str(int(NOW + 60))) in exported["text"]
    at = float(json.loads(edited)["headers"]["X-Port-Timestamp"])
    assert verify_received(message_headers(edited), edited, SECRET, is_message=True, now=at).status is Status.VALID


async def test_replay_from_a_store_is_sent_to_the_handler_and_saved(runtime: MakeRuntime, store: Path) -> None:
    with handler() as target:
        delivery = Delivery(url=f"{target.url}/hook", status=200, latency_ms=1.0)
        keep(store, [answered(delivery=delivery)])
        async with over_store(runtime(), store) as client:
            found = await client.post(f"/api/captures/{ID}/replay")
            assert (found["delivery"]["status"], found["notes"]) == (200, [])
        with open_store(store, store.parent) as kept:
            saved = kept.get(found["capture"])
        assert (saved.verdict.status, saved.invocation.replay_of) == (Status.VALID, ID)
        assert saved.delivery is not None
        assert target.requests[0].line == "POST /hook HTTP/1.1"


async def test_replay_to_another_machine_is_rejected(runtime: MakeRuntime, store: Path) -> None:
    away = Delivery(url="http://page.example/", status=200, latency_ms=1.0)
    keep(store, [answered(delivery=away)])
    async with over_store(runtime(), store) as client:
        assert (await client.get(f"/api/captures/{ID}"))["replay_to"] is None
        for to in (
            "http://page.example/",
            "http://127.0.0.1@page.example/",
            "http://127.0.0.1:0/",
            "ftp://127.0.0.1/",
            "",
        ):
            await client.post(f"/api/captures/{ID}/replay", {"to": to}, expect=400)


async def test_capture_without_a_local_target_is_sent_to_the_target_of_the_last_listener(
    runtime: MakeRuntime, store: Path
) -> None:
    with handler() as target:
        keep(store, [answered(delivery=Delivery(url="http://page.example/", status=200, latency_ms=1.0))])
        with open_store(store, store.parent) as opened:
            opened.record_session(target.url)
        async with over_store(runtime(), store) as client:
            assert (await client.get(f"/api/captures/{ID}"))["replay_to"].startswith(target.url)
            await client.post(f"/api/captures/{ID}/replay")
            assert len(target.requests) == 1
        known = Handler("http://127.0.0.1:1", "the handler in ./port-hook.toml")
        async with over_store(runtime(), store, handler=known) as client:
            assert (await client.get(f"/api/captures/{ID}"))["replay_to"].startswith(known.url)
            assert (await client.get("/api/check", capture=ID))["plan"]["target"].startswith(known.url)


async def test_request_without_a_signature_is_not_sent_as_captured(runtime: MakeRuntime, store: Path) -> None:
    unsigned = an_invocation(id=ID, headers=Headers((("content-type", "application/json"),)))
    with handler() as target:
        keep(store, [answered(invocation=unsigned, delivery=Delivery(url=target.url, status=200, latency_ms=1.0))])
        for opened in (over_store(runtime(), store), beside_listener(runtime(), store, forward_to=target.url)):
            async with opened as client:
                found = await client.post(f"/api/captures/{ID}/replay", {"sign": False}, expect=400)
                assert found["error"] == f"{ID} has no signature to send as captured."
        async with beside_listener(runtime(), store, secret=None) as client:  # without verification
            await client.post(f"/api/captures/{ID}/replay", {"sign": False, "to": target.url}, expect=400)
            assert target.requests == []
            assert (await client.post(f"/api/captures/{ID}/replay", {"sign": False}))["delivery"]["status"] == 200


async def test_replay_announces_the_action_and_the_inputs_of_the_run_to_a_sandbox_on_this_machine(
    runtime: MakeRuntime, store: Path
) -> None:
    with handler() as target:
        keep(store, [answered(delivery=Delivery(url=target.url, status=200, latency_ms=1.0))])
        async with sandbox_with() as sandbox:
            async with over_store(runtime(), store, access=access_to(sandbox, runtime)) as client:
                await client.post(f"/api/captures/{ID}/replay", {"set": {"/payload/properties/cpu": 8}})
            found = sandbox.runs[RUN_ID]
    assert (found.start.action, found.start.properties["cpu"]) == ("create_vm", 8)


async def test_replay_to_the_inspector_itself_is_rejected(runtime: MakeRuntime, store: Path) -> None:
    keep(store, [answered()])
    async with over_store(runtime(), store) as client:
        url = f"http://localhost:{client.opened.port}/api"
        found = await client.post(f"/api/captures/{ID}/replay", {"to": url}, expect=400)
        assert "is the inspector itself" in found["error"]
        keep(store, [answered(invocation=an_invocation(id="bb"), delivery=Delivery(url=url, status=1, latency_ms=1.0))])
        assert len((await client.get("/api/captures"))["captures"]) == 2
        await client.post("/api/captures/bb/replay", expect=400)


async def test_oversized_body_and_anything_but_a_json_object_are_rejected(runtime: MakeRuntime, store: Path) -> None:
    keep(store, [answered()])
    async with beside_listener(runtime(), store) as client:
        path = f"/api/captures/{ID}/replay"
        found = await client.post(path, {"body": json.dumps("x" * 11_000_000)}, expect=400)
        assert "--max-body" in found["hint"]
        await client.post(path, {"body": "x" * 17_000_000}, expect=413)
        fields = {"x-port-hook": "1", "content-type": "application/json; charset=x-unknown"}
        for content in (b"{", b"[]", b"1", b"\xff", b"[" * 100_000, b'{"sign":1}'):
            response = await client.http.post(path, content=content, headers=fields)
            assert response.status_code == 400, content[:20]


async def test_encrypted_inputs_are_decrypted_and_saved_nowhere(runtime: MakeRuntime, store: Path) -> None:
    document = a_document()
    document["payload"]["properties"]["token"] = encrypt_aes_gcm(SECRET, b"plain-0f3b")
    document["payload"]["censoredProperties"] = ["token"]
    keep(store, [answered(invocation=an_invocation(a_body(document)))])
    decrypt: Callable[..., list[Decryption]] = build_decrypter(SECRET, None, runtime()).decrypt
    async with over_store(runtime(), store, decrypt=decrypt) as client:
        found = (await client.post(f"/api/captures/{ID}/decrypt"))["values"]
        assert [(value["text"], value["problem"]) for value in found] == [("plain-0f3b", None)]
    async with over_store(runtime(), store) as client:
        await client.post(f"/api/captures/{ID}/decrypt", expect=400)
    assert not [file for file in store.parent.rglob("*") if file.is_file() and b"plain-0f3b" in file.read_bytes()]


async def test_run_is_shown_with_its_whole_log_and_reported(runtime: MakeRuntime, store: Path) -> None:
    keep(store, [answered()])
    lines = [f"line {number}" for number in range(50)]  # with the next one, more than one response of Port's API
    with a_sandbox() as sandbox:
        sandbox.add_run(RUN_ID, action="create_vm")
        async with over_store(runtime(), store, access=access_to(sandbox, runtime)) as client:
            assert (await client.get("/api/session"))["can"]["runs"]
            found = await client.get(f"/api/runs/{RUN_ID}")
            assert (found["available"], found["run"]["status"], found["nodes"]) == (True, "IN_PROGRESS", [])
            sandbox.runs[RUN_ID].logs.extend({"message": line} for line in lines)
            report = {"status": "SUCCESS", "message": "done", "label": "ok", "link": ["https://ci.example/1"]}
            found = await client.post(f"/api/runs/{RUN_ID}/report", report)
            assert (found["run"]["status"], found["run"]["link"]) == ("SUCCESS", ["https://ci.example/1"])
            assert [entry["text"] for entry in found["logs"]] == [*lines, "done"]
            wrong: tuple[tuple[str, Any], ...] = (
                ("status", "BAD"),
                ("status", 1),
                ("link", "https://x"),
                ("link", [1]),
                ("message", {}),
            )
            for name, value in wrong:
                await client.post(f"/api/runs/{RUN_ID}/report", {name: value}, expect=400)
            # The name of a workflow run cannot lead to another URL of Port's API.
            for name in ("..", "../../actions", "x", ""):
                found = await client.get("/api/runs/wfnr_abc", workflow_run=name)
                assert (found["available"], "run ID" in found["reason"]) == (False, True)


async def test_missing_settings_are_listed_for_runs_without_credentials(runtime: MakeRuntime, store: Path) -> None:
    keep(store, [answered()])
    async with over_store(runtime(), store) as client:
        for run_id in ("r_QOz6WoOB1Q2lmhZZ", "../../x", "x" * 3000):
            found = await client.get(f"/api/runs/{run_id.replace('/', '%2f')}")
            assert found["available"] is False
            assert found["reason"]
            assert found["hint"]


ACTION = {
    "identifier": "create_vm",
    "title": "Create VM",
    "trigger": {
        "type": "self-service",
        "operation": "CREATE",
        "userInputs": {"properties": {"cpu": {"type": "number", "title": "CPU"}}, "required": ["cpu"]},
        "blueprintIdentifier": "vm",
    },
    "invocationMethod": {"type": "WEBHOOK", "url": "https://example.com"},
}


async def test_action_is_listed_and_triggered_with_checked_inputs(
    runtime: MakeRuntime, store: Path, tmp_path: Path
) -> None:
    file = tmp_path / "action.json"
    file.write_text(json.dumps(ACTION))
    with handler() as target:
        async with beside_listener(runtime(), store, forward_to=target.url, actions=[file]) as client:
            (form,) = (await client.get("/api/actions"))["actions"]
            assert form["inputs"] == [
                {
                    "name": "cpu",
                    "title": "CPU",
                    "type": "number",
                    "format": None,
                    "description": None,
                    "required": True,
                    "default": None,
                    "enum": None,
                    "items": None,
                    "minimum": None,
                    "maximum": None,
                    "blueprint": None,
                    "encrypted": False,
                }
            ]
            found = await client.post("/api/actions/create_vm/trigger", {"inputs": {"cpu": 2}})
            assert (await client.get(f"/api/captures/{found['capture']}"))["row"]["verdict"] == "valid"
            assert json.loads(target.requests[0].body)["payload"]["properties"] == {"cpu": 2}
            assert "cpu" in (await client.post("/api/actions/create_vm/trigger", {"inputs": {}}, expect=400))["error"]
            await client.post("/api/actions/create_vm/trigger", {"inputs": [1]}, expect=400)
            await client.post("/api/actions/nowhere/trigger", {"inputs": {}}, expect=400)


async def test_triggered_action_is_sent_to_the_path_of_the_listener_and_announced_to_a_sandbox(
    runtime: MakeRuntime, store: Path, tmp_path: Path
) -> None:
    file = tmp_path / "action.json"
    file.write_text(json.dumps(ACTION))
    with handler() as target, a_sandbox() as sandbox:
        access = access_to(sandbox, runtime)
        options: dict[str, Any] = {"forward_to": target.url, "mount": "/hooks", "actions": [file], "access": access}
        async with beside_listener(runtime(), store, **options) as client:
            await client.post("/api/actions/create_vm/trigger", {"inputs": {"cpu": 2}})
        assert target.requests[0].line == "POST /hooks HTTP/1.1"
        (run,) = sandbox.runs.values()
    assert (run.start.action, run.start.properties) == ("create_vm", {"cpu": 2})


def test_graph_of_a_workflow_shows_the_state_of_its_nodes() -> None:
    definition = {
        "nodes": [
            {"identifier": "start", "title": "Start", "config": {"type": "SELF_SERVE_TRIGGER"}},
            {"identifier": "call", "config": {"type": "WEBHOOK"}},
        ],
        "connections": [{"sourceIdentifier": "start", "targetIdentifier": "call"}],
    }
    run = {"nodeRuns": [{"identifier": "wfnr_1", "node": {"identifier": "call"}, "status": "IN_PROGRESS"}]}
    first, second = graph(definition, run)
    assert (first["id"], first["next"], first["status"]) == ("start", ["call"], None)
    assert (second["type"], second["status"], second["run_id"]) == ("WEBHOOK", "IN_PROGRESS", "wfnr_1")


def test_graph_is_built_from_any_response() -> None:
    values: tuple[Any, ...] = (None, 1, "x", [], [1, "x", []], {}, [{"node": {"identifier": ["x"]}}], [{"node": 1}])
    for value in values:
        for fields in ({"nodes": value}, {"connections": value}):
            graph(fields, {"nodeRuns": value})


async def test_exported_requests_are_newly_signed_on_request(runtime: MakeRuntime, store: Path) -> None:
    cut = an_invocation(id="cc", truncated=Truncation(size=10**6, sha256="0" * 64))
    keep(store, [answered(), a_capture(cut)])
    now = NOW + 86_400
    fresh, captured = sign(a_body(), SECRET, str(int(now))), sign(a_body(), SECRET, str(int(NOW)))
    signed_here = {"curl", "httpie", "python", "http", "lambda"}
    async with over_store(replace(runtime(), now=lambda: now), store) as client:
        for name in EXPORTS:
            found = await client.get(f"/api/captures/{ID}/export/{name}", sign="true")
            assert found["signed"] is (name in signed_here)
            assert (fresh in found["text"], captured in found["text"]) == (found["signed"], name in AS_CAPTURED)
        found = await client.get(f"/api/captures/{ID}/export/curl")
        assert (found["signed"], captured in found["text"]) == (False, True)
        assert (await client.get("/api/captures/cc/export/curl", sign="true"))["signed"] is False
        assert (await client.http.get(f"/api/captures/{ID}/export/curl?sign=x")).status_code == 400
    async with over_store(runtime(), store, secret=None) as client:
        found = await client.get(f"/api/captures/{ID}/export/curl", sign="true")
        assert (found["signed"], captured in found["text"]) == (False, True)


async def test_two_captures_are_compared(runtime: MakeRuntime, store: Path) -> None:
    other = an_invocation(a_body(a_document(action="delete_vm")), id="bb", target="/x")
    keep(store, [answered(), answered(invocation=other)])
    async with over_store(runtime(), store) as client:
        found = await client.get("/api/compare", a=ID, b="bb")
    assert found["body"] == [{"path": "/action", "kind": "changed", "before": '"create_vm"', "after": '"delete_vm"'}]
    assert [change["path"] for change in found["facts"]] == ["target"]
    assert (found["a"]["id"], found["b"]["id"], found["complete"]) == (ID, "bb", True)
    row = documented("GET /api/captures")["captures"][0]
    assert found["a"].keys() == found["b"].keys() == row.keys()


async def test_replay_has_a_note_when_the_verdict_of_a_capture_is_wrong(runtime: MakeRuntime, store: Path) -> None:
    planted = an_invocation(headers=signed(a_body(), secret=Secret("the-secret-of-a-stranger-0123456789")))
    with handler() as target:
        keep(store, [a_capture(planted, delivery=Delivery(url=target.url, status=200, latency_ms=1.0))])
        async with over_store(runtime(), store) as client:
            (note,) = (await client.post(f"/api/captures/{planted.id}/replay"))["notes"]
    assert note.startswith("Its signature does not match the client secret in use")


async def test_read_only_store_gets_a_note_instead_of_the_replay(runtime: MakeRuntime, tmp_path: Path) -> None:
    place = tmp_path / "place"
    place.mkdir()
    store = place / "captures.db"
    with handler() as target:
        delivery = Delivery(url=target.url, status=200, latency_ms=1.0)
        keep(store, [answered(delivery=delivery)])
        async with over_store(runtime(), store) as client:
            # Deleted during the inspector's run. Nothing can be added to it, even by a test that runs as root.
            store.rename(place / "away.db")
            found = await client.post(f"/api/captures/{ID}/replay")
            assert found["capture"] is None
            assert "not saved" in found["notes"][0]
            assert len(target.requests) == 1
