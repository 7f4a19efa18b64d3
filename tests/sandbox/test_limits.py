"""A sandbox limits what it accepts, because a client can add entities, secrets and logs without end."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from port_hook_cli.sandbox.limits import BYTES_OF_A_MARK, StateSize, read_token, signed_token
from port_hook_cli.sandbox.messages import ApiRequest, ApiResponse
from port_hook_cli.sandbox.routes import _ADDING, ROUTES, respond
from port_hook_cli.sandbox.run import Phase
from port_hook_cli.sandbox.state import InitialData, SandboxState
from port_hook_cli.sandbox.state_file import MOST_FILE_MARKS
from port_hook_cli.sandbox.workflows.walking import upsert_entity
from port_hook_cli.workflows.nodes import NodeResult
from tests.factories import RUN_ID

LIMIT = 20_000
LONG = "x" * 3000
INITIAL = InitialData()
ENTITIES = "/v1/blueprints/vm/entities"


def a_state(max_bytes: int = LIMIT, **options: Any) -> SandboxState:
    state = SandboxState(now=lambda: 1_700_000_000.0, max_bytes=max_bytes, **options)
    state.begin(INITIAL)
    return state


def call(state: SandboxState, method: str, path: str, body: Mapping[str, Any] | None = None) -> ApiResponse:
    """Call a route like the server, which saves the changes after each call."""
    content = b"" if body is None else json.dumps(body).encode()
    path, _, query = path.partition("?")
    given = respond(
        state,
        ApiRequest(
            method=method,
            segments=tuple(path.split("/")[1:]),
            query=dict(each.split("=") for each in query.split("&") if each),
            token=state.issue_token(),
            body=content,
        ),
    )
    state.changes()
    state.clear_changes()
    return given


def filled(state: SandboxState) -> SandboxState:
    """Add entities until the sandbox rejects an entity."""
    for number in range(100):
        entity = {"identifier": f"vm-{number}", "title": LONG}
        if call(state, "POST", ENTITIES, entity).status == 507:
            return state
    raise AssertionError("the sandbox accepts entities without end")


WEBHOOK = {"type": "WEBHOOK", "url": "http://127.0.0.1:9"}
ACTION = {"identifier": "a", "trigger": {"type": "self-service"}, "invocationMethod": WEBHOOK}


def test_full_sandbox_rejects_more() -> None:
    state = filled(a_state())
    given = call(state, "PATCH", f"{ENTITIES}/vm-0", {"title": LONG})
    assert (given.status, given.document["error"]) == (507, "sandbox_full")
    assert "reached its limit of 20000 bytes" in given.document["message"]
    assert state.size.total < LIMIT + 2 * len(LONG)


def test_full_sandbox_accepts_deletions_and_then_more() -> None:
    state = filled(a_state())
    for number in range(2):
        assert call(state, "DELETE", f"{ENTITIES}/vm-{number}").status == 200
    assert call(state, "POST", ENTITIES, {"identifier": "more"}).status == 201


def test_full_sandbox_starts_runs_and_deletes_the_oldest_ended_runs() -> None:
    state = filled(a_state())
    first, *others = (
        call(state, "POST", "/v1/actions/create_vm/runs", {"properties": {"title": LONG}}).run_id for _ in range(3)
    )
    assert call(state, "PATCH", f"/v1/actions/runs/{first}", {"status": "SUCCESS"}).status == 200
    assert list(state.runs) == [first, *others]  # its request is not sent yet
    state.runs[str(first)].invocation.phase = Phase.SENT
    assert call(state, "GET", "/v1/actions/runs").status == 200
    assert list(state.runs) == others


def test_everything_added_by_a_client_counts() -> None:
    cases: list[tuple[str, str, dict[str, Any]]] = [
        ("POST", "/v1/organization/secrets", {"secretValue": LONG}),
        ("POST", "/v1/teams", {"description": LONG}),
        ("POST", f"/v1/actions/runs/{RUN_ID}/logs", {"message": LONG}),
        ("POST", "/v1/integration", {"note": LONG}),
    ]
    for method, path, body in cases:
        state = a_state()
        names = {"/v1/organization/secrets": "secretName", "/v1/teams": "name", "/v1/integration": "installationId"}
        statuses = set()
        for number in range(20):
            named = {names[path]: f"n{number}"} if path in names else {}
            statuses.add(call(state, method, path, {**body, **named}).status)
        assert 507 in statuses
        assert state.size.total < LIMIT + 2 * len(LONG)


def test_growing_part_is_limited() -> None:
    cases: list[tuple[str, str | None]] = [
        (f"{ENTITIES}/a", "properties"),
        ("/v1/organization", "settings"),
        ("/v1/integration/i/resync-state", None),
    ]
    for path, field in cases:
        state = a_state()
        call(state, "POST", ENTITIES, {"identifier": "a"})
        call(state, "POST", "/v1/integration", {"installationId": "i"})
        grown = ({f"p{number}": LONG} for number in range(20))
        statuses = [call(state, "PATCH", path, part if field is None else {field: part}).status for part in grown]
        assert statuses == [200] * 2 + [507] * 18  # a quarter of the limit


def test_deleted_secret_no_longer_counts() -> None:
    state = a_state()
    for _ in range(20):
        secret = {"secretName": "s", "secretValue": LONG}
        assert call(state, "POST", "/v1/organization/secrets", secret).status == 201
        assert call(state, "DELETE", "/v1/organization/secrets/s").status == 200


def test_upsert_entity_node_of_a_full_sandbox_fails() -> None:
    state = filled(a_state())
    outcome = upsert_entity(state, {"blueprintIdentifier": "vm", "mapping": {"identifier": "more"}})
    assert outcome.result is NodeResult.FAILED
    assert ("vm", "more") not in state.entities


def test_full_sandbox_has_fewer_values_than_its_state_file_may_have() -> None:
    size = StateSize()
    size.set("entity", "a", [0] * 10_000)
    assert size.total >= BYTES_OF_A_MARK * 10_000
    assert MOST_FILE_MARKS // 3 < size.limit // BYTES_OF_A_MARK < MOST_FILE_MARKS * 2 // 3


def test_full_sandbox_is_full_after_a_restart() -> None:
    entity = {"identifier": "a", "title": LONG, "properties": {}, "relations": {}}
    rows = [("entity", json.dumps(["vm", f"vm-{number}"]), entity) for number in range(8)]
    state = SandboxState(now=lambda: 1.0, max_bytes=LIMIT)
    state.begin(INITIAL, rows)
    assert call(state, "POST", ENTITIES, {"identifier": "more"}).status == 507


def test_only_the_latest_migrations_are_retained() -> None:
    state = a_state(max_bytes=10 * LIMIT)
    migrations = []
    for _ in range(110):
        call(state, "POST", ENTITIES, {"identifier": "a"})
        response = call(state, "DELETE", "/v1/blueprints/vm/all-entities")
        migrations.append(response.document["migrationId"])
    assert [call(state, "GET", f"/v1/migrations/{name}").status for name in migrations] == [404] * 10 + [200] * 100


# Routes without additions: they read, start or change runs (with a limit), or do not save.
_NOT_ADDING = {
    "access_token", "ack", "approval", "cancel", "claim-pending", "datasource-entities", "deliveries", "delete",
    "examples", "heartbeat", "invoke", "response", "runs", "search", "syncMetrics", "{integration}", "{kind}",
    "{node_run_id}", "{probe}", "{run_id}", "{secret}",
}  # fmt: skip


def test_full_sandbox_rejects_every_route_for_adding() -> None:
    writing = [route for route in ROUTES if route.method in {"POST", "PUT", "PATCH"}]
    others = [route.path for route in writing if route.handle not in _ADDING]
    assert [path for path in others if path.rsplit("/", 1)[1] not in _NOT_ADDING] == []


KEY = b"a-key"
CLAIMS = st.dictionaries(
    st.text(max_size=8), st.none() | st.booleans() | st.integers() | st.text(max_size=8), max_size=4
)


@given(CLAIMS)
def test_claims_of_a_token_are_read_with_its_key_alone(claims: dict[str, object]) -> None:
    token = signed_token(claims, KEY)
    assert read_token(token, KEY) == claims
    assert read_token(token, b"another") is None


@given(st.text(max_size=60))
def test_unsigned_text_is_not_a_token(text: str) -> None:
    assert read_token(text, KEY) is None
    signed = signed_token({"exp": 1}, KEY)
    header, claims, signature = signed.split(".")
    for changed in (f"{header}.{claims}.{text}", f"{header}.{text}.{signature}", f"{text}.{claims}.{signature}"):
        assert changed == signed or read_token(changed, KEY) is None
