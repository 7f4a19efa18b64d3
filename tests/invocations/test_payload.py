"""Payloads are read in both forms, from automations, and from any other bytes."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from port_hook_cli.invocations.headers import Headers
from port_hook_cli.invocations.models import EventChange, Kind, Payload
from port_hook_cli.invocations.payload import find_changes, is_run_id, read_payload
from tests.factories import RUN_ID, a_document
from tests.json_values import json_values

NONE = Headers()


def read(document: Any, headers: Headers = NONE) -> Payload:
    return read_payload(json.dumps(document).encode(), headers)


def test_every_field_of_the_default_payload_is_read() -> None:
    payload = read(a_document())

    assert payload.kind is Kind.ACTION_RUN
    assert payload.run_id == RUN_ID
    assert (payload.action, payload.operation) == ("create_vm", "CREATE")
    assert (payload.user, payload.origin) == ("zoë@example.com", "UI")
    assert (payload.blueprint, payload.entity) == ("vm", None)
    assert payload.synchronized is False
    assert payload.inputs == {"title": "dev-env", "cpu": 2, "memory": 4, "region": "eu-west-1"}
    document = a_document(context={"entity": {"identifier": "vm-1", "title": "VM 1"}, "runId": RUN_ID})
    assert read(document).entity == "vm-1"
    body = b'{"context":{"runId":"' + RUN_ID.encode() + b'"},"n":' + b"9" * 5000 + b"}"
    assert read_payload(body, NONE).run_id == RUN_ID


def test_run_id_is_searched_in_the_documented_order() -> None:
    searched: list[tuple[Any, Headers, str | None]] = [
        ({"context": {"runId": RUN_ID}, "port_context": {"runId": "r_other"}}, NONE, RUN_ID),
        ({"port_context": {"run_id": RUN_ID}}, NONE, RUN_ID),
        ({"x": "r_0000000000000000"}, Headers((("RUN_ID", RUN_ID),)), RUN_ID),
        ({"context": {"runId": RUN_ID}}, Headers((("RUN_ID", "r_0000000000000000"),)), RUN_ID),
        ({"deep": [{"er": [f"see {RUN_ID}", RUN_ID]}]}, NONE, RUN_ID),
        ({"node": "wfnr_Abc123"}, NONE, "wfnr_Abc123"),
        ({"inputs": {"linked": "r_linkedlinked1234"}, "run": {"id": RUN_ID}}, NONE, RUN_ID),
        ({"note": "r_linkedlinked1234", "run_id": RUN_ID}, NONE, RUN_ID),
        ({"inputs": {"linked": RUN_ID}}, NONE, RUN_ID),
        ({"event": {"action": "UPDATE", "diff": {"after": {"id": RUN_ID}}}, "inputs": None}, NONE, None),
        ({"changelogDestination": {}, "diff": {"before": None, "after": {}}, "x": RUN_ID}, NONE, None),
        ({"x": f"{RUN_ID}x", "y": "r_short"}, Headers((("RUN_ID", "nonsense"),)), None),
    ]
    for document, headers, expected in searched:
        assert read(document, headers).run_id == expected


def test_automation_payload_has_its_event_and_the_changed_values() -> None:
    payload = read(
        {
            "event": {
                "action": "UPDATE",
                "resourceType": "entity",
                "trigger": {"by": {"userId": "auth0|1"}, "origin": "API"},
                "context": {"blueprintIdentifier": "service", "entityIdentifier": "checkout"},
                "diff": {
                    "before": {"title": "Checkout", "updatedAt": "1", "properties": {"tier": "silver", "lang": "go"}},
                    "after": {"title": "Checkout", "updatedAt": "2", "properties": {"tier": "gold", "lang": "go"}},
                },
            },
            "inputs": None,
        }
    )

    assert payload.kind is Kind.AUTOMATION
    assert (payload.event, payload.blueprint, payload.entity) == ("UPDATE", "service", "checkout")
    assert (payload.user, payload.origin) == ("auth0|1", "API")
    assert payload.changes == (EventChange("properties.tier", "silver", "gold"),)


def test_unreadable_body_has_a_problem_with_the_reason() -> None:
    for body, problem in [
        (b"", "empty"),
        (b"hello", "not JSON (line 1, column 1)"),
        (b'{"a":\n "secret"', "not JSON (line 2, column 10)"),
        (b"a\xff\xfe", "not UTF-8 text (at byte 1)"),
        (b"[" * 10_000 + b"]" * 10_000, "JSON nested too deeply to read"),
        (b"[%s1]" % (b"[]," * 1_000_000), "JSON with too many values to read"),
    ]:
        payload = read_payload(body, NONE)
        assert payload.kind is Kind.UNKNOWN
        assert payload.problem == problem


def test_body_with_two_million_marks_is_read() -> None:
    payload = read_payload(b'["%s",%s1]' % (RUN_ID.encode(), b"[]," * 999_999), NONE)
    assert (payload.problem, len(payload.document)) == (None, 1_000_001)


def test_is_run_id_accepts_only_the_form_of_run_ids() -> None:
    for text in (RUN_ID, "wfnr_a", "wfnr_" + "a" * 95):
        assert is_run_id(text)
    for other in ("", "r_short", RUN_ID + "\n", f"x{RUN_ID}", "wfnr_", "wfnr_" + "a" * 96, None, 1):
        assert not is_run_id(other)


JSON = json_values(st.integers() | st.floats(allow_nan=False) | st.text(), max_leaves=8)
known_keys = st.sampled_from(
    ["action", "context", "port_context", "payload", "event", "diff", "before", "after", "trigger", "by", "inputs",
     "runId", "entity", "blueprint", "properties", "censoredProperties", "invocationMethod", "synchronized"]
)  # fmt: skip
port_like = st.recursive(JSON, lambda inner: st.dictionaries(known_keys, inner), max_leaves=20)


@given(st.binary())
def test_read_payload_never_raises_for_any_bytes(body: bytes) -> None:
    payload = read_payload(body, NONE)
    # The payload has a document, or else a problem that explains why it has none.
    assert payload.document is None or payload.problem is None
    assert payload.problem is not None or json.loads(body) == payload.document or body == b"NaN"


@given(port_like)
def test_read_payload_never_raises_for_documents_with_ports_keys(document: Any) -> None:
    payload = read_payload(json.dumps(document).encode("utf-8", "surrogatepass"), Headers((("run_id", "x"),)))
    assert (payload.document, payload.problem) == (document, None)


def document_with(places: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return a document with each value at its dotted path."""
    document: dict[str, Any] = {}
    for place, value in places:
        *parents, name = place.split(".")
        inner = document
        for parent in parents:
            inner = inner.setdefault(parent, {})
        inner[name] = value
    return document


# The table lists each field with its places, in order. If a place is missing, the next place is used.
PLACES: list[tuple[str, list[tuple[str, Any]], Any]] = [
    ("run_id", [("context.runId", "a"), ("port_context.runId", "b"), ("port_context.run_id", "c")], None),
    ("run_id", [("run.id", "r_1111111111111111"), ("runId", "r_2222222222222222"), ("run_id", "r_3333333333333333"),
                ("note", "r_4444444444444444"), ("payload.note", "r_5555555555555555"),
                ("inputs.note", "r_6666666666666666")], None),
    ("action", [("action", "a"), ("payload.action.identifier", "b"), ("port_context.action", "c")], None),
    ("action", [("payload.action.identifier", "b"), ("action.identifier", "c")], None),
    ("operation", [("payload.action.trigger", "CREATE"), ("trigger.operation", "DELETE")], None),
    ("operation", [("payload.action.trigger.operation", "CREATE"), ("trigger.operation", "DELETE")], None),
    ("user", [("trigger.by.user.email", "a@x"), ("trigger.by.email", "b@x"), ("trigger.by.userId", "c"),
              ("trigger.by.integration", "d")], None),
    ("user", [("trigger.by", "somebody")], None),
    ("origin", [("trigger.origin", "UI")], None),
    ("blueprint", [("context.blueprint", "a"), ("port_context.blueprint", "b"), ("payload.action.blueprint", "c"),
                   ("payload.entity.blueprint", "d")], None),
    ("entity", [("context.entity", "a"), ("port_context.entity", "b"), ("payload.entity.identifier", "c"),
                ("payload.entity.title", "d")], None),
    ("entity", [("payload.entity.identifier", "a"), ("entity.identifier", "b")], None),
    ("synchronized", [("payload.action.invocationMethod.synchronized", False), ("synchronized", True)], None),
    ("inputs", [("payload.properties", {"n": 1}), ("inputs", {"n": 2}), ("port_payload.inputs", {"n": 3})], {}),
    ("censored", [("payload.censoredProperties", ["a"]), ("payload.action.encryptedProperties", ["b"]),
                  ("action.encryptedProperties", ["c"])], ()),
    ("event", [("event.action", "UPDATE")], None),
]  # fmt: skip


def test_field_is_read_from_the_first_place_with_a_value() -> None:
    for field, places, absent in PLACES:
        for number, (_, value) in enumerate(places):
            wanted = tuple(value) if isinstance(value, list) else value
            # The order of the keys in the document must not matter.
            assert getattr(read(document_with(places[number:])), field) == wanted
            assert getattr(read(document_with([*places[:number:-1], places[number]])), field) == wanted
        assert getattr(read({}), field) == absent


AUTOMATION: list[tuple[str, list[tuple[str, Any]]]] = [
    ("event", [("event.action", "UPDATE")]),
    ("action", [("action.identifier", "tier_changed"), ("action.title", "Tier changed")]),
    ("blueprint", [("event.context.blueprintIdentifier", "a"), ("event.context.blueprint", "b")]),
    ("entity", [("event.context.entityIdentifier", "a"), ("event.context.entity", "b")]),
    ("user", [("event.trigger.by.userId", "a"), ("trigger.by.userId", "b")]),
    ("origin", [("event.trigger.origin", "UI"), ("trigger.origin", "API")]),
    ("inputs", [("payload.properties", {"n": 1}), ("inputs", {"n": 2}), ("port_payload.inputs", {"n": 3})]),
]


def test_automation_field_is_read_from_the_first_place_with_a_value() -> None:
    for field, places in AUTOMATION:
        for number, (_, value) in enumerate(places):
            document = document_with([("event.diff", {"before": None, "after": {}}), *places[number:]])
            payload = read(document)
            assert (payload.kind, getattr(payload, field)) == (Kind.AUTOMATION, value)


def test_payload_kind_is_determined_by_its_keys() -> None:
    for document, kind in [
        ({}, Kind.UNKNOWN),
        ({"context": {"runId": "a"}}, Kind.ACTION_RUN),
        ({"resourceType": "run"}, Kind.ACTION_RUN),
        ({"resourceType": "entity"}, Kind.UNKNOWN),
        ({"event": {"action": "CREATE"}}, Kind.AUTOMATION),
        ({"diff": {"before": None}}, Kind.AUTOMATION),
        ({"diff": {}, "changelogDestination": {}}, Kind.CHANGE_LOG),
        ({"changelogDestination": {}}, Kind.CHANGE_LOG),
    ]:
        assert read(document).kind is kind


def test_changes_have_paths_in_the_order_of_the_document() -> None:
    compared: list[tuple[Any, Any, tuple[EventChange, ...]]] = [
        ({"a": 1}, {"a": 2}, (EventChange("a", 1, 2),)),
        ({"a": {"b": {"c": 1}}}, {"a": {"b": {"c": "1"}}}, (EventChange("a.b.c", 1, "1"),)),
        ({"gone": 1}, {}, (EventChange("gone", 1, None),)),
        ({}, {"new": 1}, (EventChange("new", None, 1),)),
        ({"tags": ["a", "b"]}, {"tags": ["a"]}, (EventChange("tags", ["a", "b"], ["a"]),)),
        ({"a": {"b": 1}}, {"a": [1]}, (EventChange("a", {"b": 1}, [1]),)),
        (
            {"z": 1, "a": 1},
            {"z": 2, "m": 1, "a": 2},
            (EventChange("z", 1, 2), EventChange("a", 1, 2), EventChange("m", None, 1)),
        ),
        ("silver", "gold", (EventChange(".", "silver", "gold"),)),
        ({"a": 1}, None, (EventChange(".", {"a": 1}, None),)),
        (None, {"a": 1}, (EventChange(".", None, {"a": 1}),)),
    ]
    for before, after, changes in compared:
        assert find_changes(before, after) == changes


def test_find_changes_ignores_updated_at_and_updated_by_outside_properties_and_has_a_limit() -> None:
    before = {"updatedAt": "1", "updatedBy": "a", "properties": {"updatedAt": "1"}}
    after = {"updatedAt": "2", "updatedBy": "b", "properties": {"updatedAt": "2"}}
    assert find_changes(before, after) == (EventChange("properties.updatedAt", "1", "2"),)
    wide = {str(number): number for number in range(1000)}
    found = find_changes(wide, dict.fromkeys(wide, -1))
    assert len(found) == 200
    assert found[0] == EventChange("0", 0, -1)


def test_documents_of_any_depth_are_compared() -> None:
    def nested(depth: int, leaf: Any, wrap: type) -> Any:
        for _ in range(depth):
            leaf = {"k": leaf} if wrap is dict else [leaf]
        return leaf

    (change,) = find_changes(nested(2000, 1, dict), nested(2000, 2, dict))
    assert change == EventChange(".".join(["k"] * 2000), 1, 2)
    # Lists are compared as a whole. If that is not possible, they count as changed.
    assert len(find_changes(nested(100_000, 1, list), nested(100_000, 2, list))) == 1


SMALL = json_values(st.integers() | st.text(max_size=5), st.text(max_size=3), max_size=3, max_leaves=15)


@given(SMALL, SMALL)
def test_find_changes_swaps_each_change_when_its_arguments_are_swapped(before: Any, after: Any) -> None:
    assert find_changes(before, before) == ()
    there, back = find_changes(before, after), find_changes(after, before)
    assert sorted((c.path, repr(c.before), repr(c.after)) for c in there) == sorted(
        (c.path, repr(c.after), repr(c.before)) for c in back
    )
    assert all(change.before != change.after for change in there)
