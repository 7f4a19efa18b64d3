from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from email.utils import formatdate
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from port_hook_cli.errors import PortApiError, RunEndedError
from port_hook_cli.port_api.client import PortApi
from port_hook_cli.port_api.retries import FailedAttempt, RetryPolicy
from port_hook_cli.runs.updates import REQUEST_LIMIT, encode_body
from port_hook_cli.text.secret import Secret
from tests.factories import NOW, RUN_ID, SECRET
from tests.flaky_port import Fault, FlakyPort
from tests.port_clients import port_client
from tests.servers import Handler, handler
from tests.sockets import free_port

LOST = Fault(lose=True)
LOST_BUT_TAKEN = Fault(lose=True, after=True)
BUSY = Fault(status=503)
LIMITED = Fault(status=429, headers={"retry-after": "1"})
ISSUED = {"ok": True, "accessToken": "a-token", "expiresIn": 3600}
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)
NAMES = ["ok", "run", "runs", "runLogs", "logs", "action", "workflow", "version", "error", "message", "details", "id"]
DOCUMENTS = st.dictionaries(st.sampled_from(NAMES), VALUES, max_size=5).map(lambda each: json.dumps(each).encode())


class Pauses(list[float]):
    """Records pauses without waiting."""

    async def sleep(self, seconds: float) -> None:
        self.append(seconds)


@asynccontextmanager
async def flaky(
    *script: Fault | None, tokens: tuple[Fault | None, ...] = (), **options: Any
) -> AsyncIterator[tuple[FlakyPort, PortApi, Pauses]]:
    pauses = Pauses()
    async with FlakyPort(script, tokens).serve() as port:
        fields = {"api_url": port.url, "client_id": "id", "client_secret": SECRET, "sleep": pauses.sleep}
        async with port_client(**{**fields, "now": lambda: NOW, **options}) as api:
            yield port, api, pauses


async def test_token_is_replaced_once_when_it_is_rejected_later() -> None:
    async with flaky() as (port, api, pauses):
        await api.get_run(RUN_ID)
        port.good.clear()
        await api.add_log(RUN_ID, "hello")
        assert [call.token for call in port.calls] == ["token-0", "token-0", "token-1"]
        assert pauses == []


async def test_new_token_is_not_replaced_when_it_is_rejected_and_not_shown() -> None:
    async with flaky(Fault(status=401, body=b"{}")) as (port, api, _):
        with pytest.raises(PortApiError, match="401 Unauthorized") as caught:
            await api.get_run(RUN_ID)
        assert port.tokens == ["token-0"]
        assert "PORT_CLIENT_SECRET" in caught.value.hint
        assert "PORT_REGION" in caught.value.hint
    async with flaky(Fault(status=422, body=b"bad a-token-of-port-0")) as (port, api, _):
        port.token_name = "a-token-of-port"
        with pytest.raises(PortApiError, match=r"bad \*\*\*"):
            await api.add_log(RUN_ID, "x")


async def test_token_is_replaced_when_it_expires() -> None:
    clock = [NOW]
    async with flaky(now=lambda: clock[0]) as (port, api, _):
        await api.get_run(RUN_ID)
        clock[0] += 3600 - 29
        await api.get_run(RUN_ID)
        assert [call.token for call in port.calls] == ["token-0", "token-1"]
    async with flaky() as (port, api, _):
        port.expires_in = "soon"  # counts as 0
        await api.get_run(RUN_ID)
        await api.get_run(RUN_ID)
        assert port.tokens == ["token-0", "token-1"]


async def test_wrong_credentials_are_not_retried_and_not_shown() -> None:
    echo = json.dumps({"ok": False, "error": "invalid_credentials", "message": f"no {SECRET.reveal()}"}).encode()
    async with flaky(tokens=(Fault(status=401, body=echo),)) as (port, api, pauses):
        with pytest.raises(PortApiError) as caught:
            await api.get_run(RUN_ID)
        assert pauses == []
        assert port.calls == []
        assert "invalid_credentials: no ***" in caught.value.message
        assert SECRET.reveal() not in caught.value.message


async def test_internal_error_of_port_has_a_hint_to_try_again_later() -> None:
    async with flaky(*[Fault(status=500, body=b"oops")] * 5) as (_, api, pauses):
        with pytest.raises(PortApiError, match=r"500 Internal Server Error .*oops \(tried 5 times\)") as caught:
            await api.get_run(RUN_ID)
    assert caught.value.hint == "Port has a problem. Try again later."
    assert len(pauses) == 4


async def test_token_request_is_retried_when_port_is_busy() -> None:
    async with flaky(tokens=(BUSY, LOST, None)) as (port, api, pauses):
        await api.get_run(RUN_ID)
        assert len(pauses) == 2
        assert port.tokens == ["token-0"]


async def test_call_waits_as_long_as_port_asks_or_backs_off() -> None:
    asked: list[tuple[dict[str, str], float]] = [
        ({"Retry-After": "7"}, 7.0),
        ({"Retry-After": formatdate(NOW + 12, usegmt=True)}, 12.0),
        ({"Retry-After": formatdate(NOW + 12)}, 12.0),
        ({"Retry-After": formatdate(NOW + 12 + 3600).replace("-0000", "+0100")}, 12.0),
        ({"x-ratelimit-reset": "9"}, 9.0),
        ({"x-ratelimit-reset": "9", "retry-after": "7"}, 7.0),
    ]
    for headers, pause_s in asked:
        async with flaky(Fault(status=429, headers=headers)) as (port, api, pauses):
            await api.get_run(RUN_ID)
            assert (pauses, len(port.calls)) == ([pause_s], 2)
    for status, reset in ((429, "0"), (429, "soon"), (503, "9")):
        async with flaky(Fault(status=status, headers={"x-ratelimit-reset": reset})) as (_, api, pauses):
            await api.get_run(RUN_ID)
            assert [0 < pause <= 0.5 for pause in pauses] == [True]
    async with flaky(Fault(status=429, headers={"Retry-After": "600"})) as (_, api, pauses):
        with pytest.raises(PortApiError, match="429") as caught:
            await api.get_run(RUN_ID)
        assert pauses == []
        assert "10 min" in caught.value.hint


async def test_call_is_retried_with_growing_pauses_up_to_the_limit() -> None:
    notices: list[str] = []
    async with flaky(*[BUSY] * 9, on_retry=notices.append) as (port, api, pauses):
        with pytest.raises(PortApiError, match=r"503 .*tried 5 times") as caught:
            await api.add_log(RUN_ID, "x")
        assert len(port.calls) == 5
        assert pauses == sorted(pauses)
        assert all(0.25 * 2**n <= pause <= 0.5 * 2**n for n, pause in enumerate(pauses))
        assert len(notices) == 4
        assert caught.value.code == "port-api"


async def test_status_is_not_sent_again_when_port_already_has_it() -> None:
    for fault in [LOST_BUT_TAKEN, Fault(status=502, after=True), Fault(hang=True, after=True)]:
        async with flaky(fault, timeout_s=0.2 if fault.hang else 30) as (port, api, _):
            await api.patch_run(RUN_ID, {"status": "SUCCESS"})
            assert port.lines == [f"PATCH {RUN_ID}", f"GET {RUN_ID}"]


async def test_call_is_repeated_after_a_look_at_the_run_only_when_it_may_have_ended_the_run() -> None:
    patched, read = f"PATCH {RUN_ID}", f"GET {RUN_ID}"
    for fault, change, lines in (
        (LOST, {"status": "FAILURE"}, [patched, read, patched]),
        (BUSY, {"status": "FAILURE"}, [patched, read, patched]),
        (LIMITED, {"status": "FAILURE"}, [patched, patched]),
        (BUSY, {"summary": "half way"}, [patched, patched]),
        (LOST, {"summary": "half way"}, [patched, patched]),
    ):
        async with flaky(fault) as (port, api, _):
            await api.patch_run(RUN_ID, change)
            assert port.lines == lines
            assert port.run["status"] == change.get("status", "IN_PROGRESS")
    for fault in (BUSY, LOST, LIMITED):
        async with flaky(fault) as (port, api, _):
            assert (await api.get_run(RUN_ID))["id"] == RUN_ID
            assert port.lines == [read] * 2


async def test_status_is_rejected_when_the_run_ended_with_the_same_status_before_the_first_try() -> None:
    async with flaky() as (port, api, _):
        port.run["status"] = "SUCCESS"
        with pytest.raises(RunEndedError, match="already ended with SUCCESS"):
            await api.patch_run(RUN_ID, {"status": "SUCCESS"})
        assert port.lines == [f"PATCH {RUN_ID}", f"GET {RUN_ID}"]


async def test_log_to_an_ended_run_is_rejected_after_a_lost_response() -> None:
    async with flaky(LOST) as (port, api, _):
        port.run["status"] = "SUCCESS"
        with pytest.raises(RunEndedError, match="already ended with SUCCESS"):
            await api.add_log(RUN_ID, "too late")
        assert port.lines == [f"POST {RUN_ID}/logs", f"POST {RUN_ID}/logs", f"GET {RUN_ID}"]


async def test_status_fails_when_the_run_ended_with_another_status() -> None:
    async with flaky(LOST) as (port, api, _):
        port.run["status"] = "FAILURE"
        with pytest.raises(RunEndedError, match="already ended with FAILURE") as caught:
            await api.patch_run(RUN_ID, {"status": "SUCCESS"})
        assert caught.value.code == "run-ended"


async def test_status_succeeds_when_an_earlier_try_ended_the_run() -> None:
    async with flaky(LOST, None) as (port, _, pauses):

        async def end_late(seconds: float) -> None:
            pauses.append(seconds)
            port.run["status"] = "SUCCESS"

        async with port_client(
            api_url=port.url, client_id="id", client_secret=SECRET, sleep=end_late, now=lambda: NOW
        ) as late:
            await late.patch_run(RUN_ID, {"status": "SUCCESS"})
        assert port.lines[-2:] == [f"PATCH {RUN_ID}", f"GET {RUN_ID}"]


async def test_status_is_reported_as_unknown_when_the_run_cannot_be_checked() -> None:
    async with flaky(LOST, *[BUSY] * 5) as (port, api, _):
        with pytest.raises(PortApiError, match="port-hook does not know whether Port accepted the status") as caught:
            await api.patch_run(RUN_ID, {"status": "SUCCESS"})
        assert port.lines.count(f"PATCH {RUN_ID}") == 1
        assert "Check the run in Port" in caught.value.hint


async def test_status_of_a_node_run_is_not_sent_twice() -> None:
    async with flaky(LOST) as (port, api, _):
        with pytest.raises(PortApiError, match="port-hook does not know"):
            await api.patch_run("wfnr_abc", {"status": "COMPLETED", "result": "SUCCESS"})
        assert len(port.calls) == 1
        assert port.calls[0].path == "/v1/workflows/nodes/runs/wfnr_abc"


async def test_unsent_status_is_retried_without_a_check() -> None:
    pauses = Pauses()
    url = f"http://127.0.0.1:{free_port()}"
    async with port_client(api_url=url, client_id="id", client_secret=SECRET, sleep=pauses.sleep) as api:
        with pytest.raises(PortApiError, match="cannot reach") as caught:
            await api.patch_run(RUN_ID, {"status": "SUCCESS"})
    assert len(pauses) == 4
    assert url in caught.value.message
    assert caught.value.message.endswith(" (tried 5 times).")
    assert caught.value.hint == "Start the sandbox with `port-hook sandbox`, or correct PORT_API_URL."


async def test_error_about_an_unresolvable_api_has_no_error_number() -> None:
    fields: dict[str, Any] = {"client_id": "id", "client_secret": SECRET, "sleep": Pauses().sleep}
    async with port_client(api_url="http://nope.invalid", **fields) as api:
        with pytest.raises(PortApiError, match=r"cannot reach Port's API at http://nope\.invalid: ") as caught:
            await api.get_run(RUN_ID)
    assert caught.value.code == "port-api"
    assert "Errno" not in caught.value.message


async def test_ended_run_error_has_the_final_status() -> None:
    for status in [409, 422]:
        body = b'{"ok":false,"error":"run_exhausted","message":"Action run already finished execution"}'
        async with flaky(Fault(status=status, body=body)) as (port, api, _):
            port.run["status"] = "FAILURE"
            with pytest.raises(RunEndedError, match="with FAILURE"):
                await api.add_log(RUN_ID, "too late")
    async with flaky(Fault(status=409), Fault(status=404)) as (_, api, _pauses):
        with pytest.raises(RunEndedError, match=r"has already ended\. "):
            await api.add_log(RUN_ID, "too late")


async def test_error_response_is_shown_with_ports_message_and_a_hint() -> None:
    for status, hint in [
        (302, "PORT_API_URL"), (403, "role"), (404, "This organization has no such run"), (413, "1 MiB"), (418, ""),
        (422, "does not accept"), (499, ""),
    ]:  # fmt: skip
        body = '{"ok":false,"error":"slug","message":"wörds"}'.encode()
        async with flaky(Fault(status=status, body=body)) as (port, api, pauses):
            with pytest.raises(
                PortApiError, match=rf"{status}.*PATCH /v1/actions/runs/{RUN_ID}: slug: wörds"
            ) as caught:
                await api.patch_run(RUN_ID, {"status": "SUCCESS"})
            assert hint in caught.value.hint
            assert len(port.calls) == 1
            assert pauses == []
    refused = b'{"ok":false,"error":"run_synchronized_error","message":"Cannot manually change status"}'
    async with flaky(Fault(status=422, body=refused)) as (_, api, _pauses):
        with pytest.raises(PortApiError) as caught:
            await api.patch_run(RUN_ID, {"status": "SUCCESS"})
        assert "synchronized" in caught.value.hint


async def test_error_without_json_is_shown() -> None:
    for body in [b"<html>502</html>", b"", b"[1]", b"\xff\xfe", b"[" * 100_000]:
        async with flaky(Fault(status=404, body=body)) as (_, api, _pauses):
            with pytest.raises(PortApiError, match="404 Not Found") as caught:
                await api.get_run(RUN_ID)
            assert len(caught.value.message) < 700


async def test_response_of_another_server_is_rejected() -> None:
    for body in [b"<html>Welcome to the hotel</html>", b'{"ok":true}', b"null"]:
        async with flaky(Fault(status=200, body=body)) as (_, api, _pauses):
            with pytest.raises(PortApiError, match="not in the format of Port's API"):
                await api.get_run(RUN_ID)


@given(status=st.sampled_from([200, 201, 204, 301, 400, 404, 409, 422]), body=st.binary(max_size=80) | DOCUMENTS)
def test_any_response_is_read_or_is_a_port_api_error(status: int, body: bytes) -> None:
    def respond(request: httpx.Request) -> httpx.Response:
        if request.url.path.endswith("/access_token"):
            return httpx.Response(200, json=ISSUED)
        return httpx.Response(status, content=body)

    async def call_each() -> None:
        options: dict[str, Any] = {
            "api_url": "http://127.0.0.1:1",
            "client_id": "id",
            "client_secret": SECRET,
            "max_tries": 1,
        }
        async with port_client(transport=httpx.MockTransport(respond), **options) as api:
            for call in (
                lambda: api.get_run(RUN_ID),
                lambda: api.run_logs(RUN_ID),
                lambda: api.patch_run(RUN_ID, {"status": "SUCCESS"}),
                lambda: api.add_log(RUN_ID, "hello"),
                lambda: api.get_action("create_vm"),
                lambda: api.put_action("create_vm", {}),
                lambda: api.get_workflow("deploy"),
                lambda: api.put_workflow("deploy", {}),
                lambda: api.start_run("create_vm", {}),
            ):
                with suppress(PortApiError):
                    await call()

    asyncio.run(call_each())


async def test_invalid_address_fails_without_retries() -> None:
    for url in ["ftp://127.0.0.1", "http://[::1"]:
        pauses = Pauses()
        async with port_client(api_url=url, client_id="id", client_secret=SECRET, sleep=pauses.sleep) as api:
            with pytest.raises(PortApiError, match="cannot reach"):
                await api.get_run(RUN_ID)
        assert pauses == []


async def test_run_id_is_encoded_as_one_path_segment() -> None:
    async with flaky() as (port, api, _):
        for run_id in ("../../organization", "..", "a b?c#d"):
            await api.get_run(run_id)
        paths = [call.path for call in port.calls]
    assert paths == [
        "/v1/actions/runs/..%2F..%2Forganization?version=v2",
        "/v1/actions/runs/%2E%2E?version=v2",
        "/v1/actions/runs/a%20b%3Fc%23d?version=v2",
    ]


async def test_log_over_the_limit_is_split() -> None:
    message = "é" * 400_000 + "\n" + '"' * 600_000
    async with flaky() as (port, api, _):
        await api.add_log(RUN_ID, message)
        bodies = [call.body for call in port.calls]
    assert len(bodies) > 1
    assert all(len(encode_body(body)) <= REQUEST_LIMIT for body in bodies)
    assert "".join(body["message"] for body in bodies) == message


async def test_run_logs_reads_one_page() -> None:
    page = json.dumps({"ok": True, "runLogs": [{"message": "x"}]}).encode()
    async with flaky(Fault(status=200, body=page)) as (port, api, _):
        assert await api.run_logs(RUN_ID, offset=50) == [{"message": "x"}]
        assert port.calls[0].path == f"/v1/actions/runs/{RUN_ID}/logs?limit=50&offset=50"


async def test_client_works_with_an_empty_secret() -> None:
    async with flaky(Fault(status=404), client_secret=Secret("")) as (_, api, _pauses):
        with pytest.raises(PortApiError, match="An internal error"):
            await api.get_run(RUN_ID)


async def test_put_action_is_retried_when_the_response_is_lost() -> None:
    async with flaky(BUSY, None, LOST_BUT_TAKEN, Fault(status=429, headers={"retry-after": "7"})) as (
        port,
        api,
        pauses,
    ):
        port.actions["create_vm"] = {"id": "a", "identifier": "create_vm"}
        assert await api.get_action("create_vm") == {"id": "a", "identifier": "create_vm"}
        shown = await api.put_action("create_vm", {"identifier": "create_vm", "title": "T"})
        assert shown == {"id": "a", "identifier": "create_vm", "title": "T"}
        assert [call.method for call in port.calls] == ["GET", "GET", "PUT", "PUT", "PUT"]
    assert pauses[-1] == 7
    async with flaky(Fault(status=200, body=b'{"ok":true}')) as (_, api, _):
        assert await api.put_action("create_vm", {"title": "T"}) == {"title": "T"}


async def test_action_errors_show_what_failed() -> None:
    for status, reading, changing in [
        (401, "401", "401"),
        (403, "have no permission to read the action a b", "have no permission to change the action a b"),
        (404, "Port has no action or automation a b.", "Port has no action or automation a b."),
        (409, "identifier_taken", "identifier_taken"),
        (413, "413", "413"),
        (422, "the changed action", "the changed action"),
    ]:
        body = b'{"ok":false,"error":"identifier_taken","message":"m"}'
        async with flaky(*[Fault(status=status, body=body)] * 4) as (port, api, _):
            for call, expected in ((api.get_action("a b"), reading), (api.put_action("a b", {}), changing)):
                with pytest.raises(PortApiError) as problem:
                    await call
                assert expected in problem.value.message
                assert type(problem.value) is PortApiError
                assert "run" not in problem.value.hint
            assert {call.path for call in port.calls} == {"/v1/actions/a%20b"}


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


PROBLEM = PortApiError("Port is busy.", hint="wait")


class Waits:
    """The retries of a call. Records pauses and notes without waiting."""

    def __init__(self) -> None:
        self.pauses: list[float] = []
        self.notes: list[str] = []
        self._retries = RetryPolicy(sleep=self._sleep, on_retry=self.notes.append).begin()

    async def _sleep(self, seconds: float) -> None:
        self.pauses.append(seconds)

    async def fail(self, *, wait_s: float | None = None, spent_s: float = 0.0) -> None:
        await self._retries.wait(FailedAttempt(problem=PROBLEM, wait_s=wait_s, spent_s=spent_s))


async def test_pauses_of_a_call_total_at_most_30_seconds() -> None:
    waits = Waits()
    await waits.fail(wait_s=20)
    await waits.fail(wait_s=10)
    with pytest.raises(PortApiError) as caught:
        await waits.fail(wait_s=1)
    assert waits.pauses == [20, 10]
    assert waits.notes == ["Port is busy. Trying again in 20 s.", "Port is busy. Trying again in 10 s."]
    assert (caught.value.message, caught.value.hint) == (
        "Port is busy (tried 3 times).",
        "Port asks you to wait 1 s.",
    )


async def test_timed_out_attempts_count_toward_the_30_seconds() -> None:
    waits = Waits()
    await waits.fail(spent_s=15)
    with pytest.raises(PortApiError):
        await waits.fail(spent_s=15)
    assert len(waits.pauses) == 1


async def test_error_has_no_attempt_count_after_a_single_attempt() -> None:
    waits = Waits()
    with pytest.raises(PortApiError) as caught:
        await waits.fail(wait_s=31)
    assert (caught.value.message, waits.pauses) == ("Port is busy.", [])
