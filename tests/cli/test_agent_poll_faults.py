"""`port-hook agent --poll` with an API that loses responses, repeats runs, or lists as many as it can."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic
from typing import Any, TypeAlias

import pytest
from aiohttp import web

from port_hook_cli.cli.app import main
from port_hook_cli.engines.encryption import encrypt_aes_gcm
from port_hook_cli.errors import ExitCode
from port_hook_cli.runtime import Runtime
from port_hook_cli.text.secret import Secret
from tests.conftest import Result, Run
from tests.servers import Handler, application, handler

CLAIM, ACK, LIST = "POST /v1/actions/runs/claim-pending", "PATCH /v1/actions/runs/ack", "GET /v1/actions/runs"
TOKEN = {"accessToken": "t", "expiresIn": 3600, "tokenType": "Bearer"}
RUN, OTHER = "r_QOz6WoOB1Q2lmhZZ", "r_QOz6WoOB1Q2lmhZY"
ELSEWHERE = "https://hooks.internal.example/vm"

Poll: TypeAlias = Callable[..., Result]


class Lost:
    """A call whose response is lost."""


@dataclass
class ScriptedPort:
    """Port's API with fixed responses: each call takes the next of its route, the last one stays; others get 404."""

    responses: Mapping[str, Sequence[Any]]
    url: str = ""
    moments: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))

    async def respond(self, request: web.Request) -> web.StreamResponse:
        route = f"{request.method} {request.path}"
        self.moments[route].append(monotonic())
        if request.path == "/v1/auth/access_token":
            return web.json_response(TOKEN)
        script = self.responses.get(route)
        if script is None:
            return web.json_response({"ok": False}, status=404)
        found = script[min(len(self.moments[route]), len(script)) - 1]
        if isinstance(found, Lost):
            assert request.transport is not None
            request.transport.abort()
            return web.Response()
        return web.json_response(found)


@contextmanager
def scripted_port(responses: Mapping[str, Sequence[Any]]) -> Iterator[ScriptedPort]:
    port = ScriptedPort(responses)
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", port.respond)
    with application(app) as port.url:
        yield port


@pytest.fixture
def poll(run: Run, folder: Path) -> Poll:
    (folder / "map.json").write_text("[{}]")

    def invoke(port: ScriptedPort, *options: str) -> Result:
        env = {"PORT_API_URL": port.url, "PORT_CLIENT_ID": "id", "PORT_CLIENT_SECRET": "0123456789abcdef"}
        return run("agent", "--poll", "--mapping", "map.json", *options, env=env)

    return invoke


@pytest.fixture
def backend() -> Iterator[Handler]:
    with handler() as it:
        yield it


def a_run(url: str, run_id: str = RUN) -> dict[str, Any]:
    payload = {"type": "WEBHOOK", "url": url, "agent": True, "synchronized": True, "body": {"id": run_id}}
    return {"id": run_id, "payload": payload}


def runs(*given: dict[str, Any]) -> dict[str, Any]:
    return {"ok": True, "runs": list(given)}


def acknowledged(count: int) -> dict[str, Any]:
    return {"ok": True, "ackedCount": count}


def test_acknowledgment_whose_response_is_lost_is_not_repeated_as_if_another_agent_had_the_run(
    poll: Poll, backend: Handler
) -> None:
    with scripted_port({CLAIM: [runs(a_run(backend.url))], ACK: [Lost(), acknowledged(0)]}) as port:
        result = poll(port, "--send", "--count", "1")
    assert (len(port.moments[ACK]), backend.requests) == (1, [])
    assert f"warning: It is not known whether {RUN} was acknowledged, so nothing was sent." in result.err
    assert f"hint: To report it: port-hook report-run {RUN}" in result.err
    assert "another agent" not in result.err


def test_run_whose_acknowledgment_was_lost_is_sent_if_port_hands_it_out_again(poll: Poll, backend: Handler) -> None:
    with scripted_port({CLAIM: [runs(a_run(backend.url))], ACK: [Lost(), acknowledged(1)]}) as port:
        result = poll(port, "--send", "--count", "2")
    assert (result.code, len(backend.requests)) == (0, 1)


def test_run_whose_report_is_lost_is_named_with_what_to_do(poll: Poll, backend: Handler) -> None:
    script = {CLAIM: [runs(a_run(backend.url))], ACK: [acknowledged(1)]}
    with scripted_port({**script, f"PATCH /v1/actions/runs/{RUN}": [Lost()]}) as port:
        result = poll(port, "--send", "--report", "--count", "1")
    assert (result.code, len(backend.requests)) == (ExitCode.PORT_API, 1)
    assert f"warning: port-hook does not report {RUN}, and no other agent gets it." in result.err
    assert f"hint: To report it: port-hook report-run {RUN}" in result.err


def test_run_that_was_sent_is_not_sent_again_if_port_hands_it_out_again(poll: Poll, backend: Handler) -> None:
    again, other = a_run(f"{backend.url}/a"), a_run(f"{backend.url}/b", OTHER)
    script = {CLAIM: [runs(again), runs(again, again), runs(other)], ACK: [acknowledged(1)]}
    with scripted_port(script) as port:
        result = poll(port, "--send", "--count", "2")
    assert result.code == 0
    assert [request.line for request in backend.requests] == ["POST /a HTTP/1.1", "POST /b HTTP/1.1"]


def test_run_that_port_hands_out_again_at_once_does_not_prevent_the_pause(poll: Poll, backend: Handler) -> None:
    left, last = runs(a_run(ELSEWHERE)), runs(a_run(backend.url, OTHER))
    with scripted_port({CLAIM: [left, left, left, left, last], ACK: [acknowledged(1)]}) as port:
        poll(port, "--send", "--count", "2")
    moments = port.moments[CLAIM]
    assert len(moments) == 5
    assert moments[-1] - moments[0] > 0.4  # half a second after the second and the fourth


def test_note_about_a_full_list_is_printed_once(poll: Poll) -> None:
    others = [{"id": f"r_{number}"} for number in range(999)]
    full = runs(*others, {"id": "r_999"})
    with scripted_port({LIST: [full, full, runs(*others, a_run(ELSEWHERE))]}) as port:
        result = poll(port, "--count", "1")
    assert len(port.moments[LIST]) == 3
    assert result.err.count("Port lists 1,000 runs at most") == 1


def test_run_that_comes_back_into_a_full_list_is_not_shown_again(poll: Poll) -> None:
    others = [{"id": f"r_{number}"} for number in range(1000)]
    shown, other = a_run(ELSEWHERE), a_run(ELSEWHERE, OTHER)
    script = [runs(*others[1:], shown), runs(*others), runs(*others[2:], shown, other)]
    with scripted_port({LIST: script}) as port:
        result = poll(port, "--count", "2", "--json")
    assert [record["run_id"] for record in result.records] == [RUN, OTHER]


def test_run_that_a_list_has_twice_is_shown_once(poll: Poll) -> None:
    twice, other = a_run(ELSEWHERE), a_run(ELSEWHERE, OTHER)
    with scripted_port({LIST: [runs(twice, twice, other)]}) as port:
        result = poll(port, "--count", "2", "--json")
    assert [record["run_id"] for record in result.records] == [RUN, OTHER]


def test_secret_that_a_run_repeats_is_still_masked_in_a_crash_report(
    runtime: Callable[..., Runtime], folder: Path
) -> None:
    secret = Secret("0123456789abcdef" * 2)
    mapping = {"fieldsToDecryptPaths": ["key", "other"]}
    (folder / "map.json").write_text(json.dumps([mapping]))
    texts = {"key": secret.reveal().encode(), "other": b"a value of this run"}
    document = a_run(ELSEWHERE)
    document["payload"]["body"] = {name: encrypt_aes_gcm(secret, text) for name, text in texts.items()}
    with scripted_port({LIST: [runs(document)]}) as port:
        env = {"PORT_API_URL": port.url, "PORT_CLIENT_ID": "id", "PORT_CLIENT_SECRET": secret.reveal()}
        world = runtime(env=env)
        assert main(("agent", "--poll", "--mapping", "map.json", "--count", "1"), world) == 0
    assert world.memory.secrets == {secret.reveal(), "t"}
