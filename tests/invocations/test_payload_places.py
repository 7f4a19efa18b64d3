"""Where each field of a payload is looked for, and which place wins."""

from __future__ import annotations

import json
from typing import Any

import pytest

from port_hook_cli.invocations.models import Headers, Kind, Payload
from port_hook_cli.invocations.payload import read_payload

NONE = Headers()


def read(document: Any) -> Payload:
    return read_payload(json.dumps(document).encode(), NONE)


def document_with(places: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return a document that has each value at its dotted place."""
    document: dict[str, Any] = {}
    for place, value in places:
        *parents, name = place.split(".")
        inner = document
        for parent in parents:
            inner = inner.setdefault(parent, {})
        inner[name] = value
    return document


# Each field with its places, the first of them first. What is not there, the next one gives.
PLACES: list[tuple[str, list[tuple[str, Any]], Any]] = [
    ("run_id", [("context.runId", "a"), ("port_context.runId", "b"), ("port_context.run_id", "c")], None),
    (
        "run_id",
        [
            ("run.id", "r_1111111111111111"),
            ("runId", "r_2222222222222222"),
            ("run_id", "r_3333333333333333"),
            ("note", "r_4444444444444444"),
            ("payload.note", "r_5555555555555555"),
            ("inputs.note", "r_6666666666666666"),
        ],
        None,
    ),
    ("action", [("action", "a"), ("payload.action.identifier", "b"), ("port_context.action", "c")], None),
    ("action", [("payload.action.identifier", "b"), ("action.identifier", "c")], None),
    ("operation", [("payload.action.trigger", "CREATE"), ("trigger.operation", "DELETE")], None),
    ("operation", [("payload.action.trigger.operation", "CREATE"), ("trigger.operation", "DELETE")], None),
    (
        "user",
        [
            ("trigger.by.user.email", "a@x"),
            ("trigger.by.email", "b@x"),
            ("trigger.by.userId", "c"),
            ("trigger.by.integration", "d"),
        ],
        None,
    ),
    ("user", [("trigger.by", "somebody")], None),
    ("origin", [("trigger.origin", "UI")], None),
    (
        "blueprint",
        [
            ("context.blueprint", "a"),
            ("port_context.blueprint", "b"),
            ("payload.action.blueprint", "c"),
            ("payload.entity.blueprint", "d"),
        ],
        None,
    ),
    (
        "entity",
        [("context.entity", "a"), ("port_context.entity", "b"), ("payload.entity.identifier", "c"),
         ("payload.entity.title", "d")],
        None,
    ),
    ("entity", [("payload.entity.identifier", "a"), ("entity.identifier", "b")], None),
    (
        "synchronized",
        [("payload.action.invocationMethod.synchronized", False), ("synchronized", True)],
        None,
    ),
    (
        "inputs",
        [("payload.properties", {"n": 1}), ("inputs", {"n": 2}), ("port_payload.inputs", {"n": 3})],
        {},
    ),
    (
        "censored",
        [("payload.censoredProperties", ["a"]), ("payload.action.encryptedProperties", ["b"])],
        (),
    ),
    ("event", [("event.action", "UPDATE")], None),
]  # fmt: skip


@pytest.mark.parametrize(("field", "places", "absent"), PLACES)
def test_field_is_read_from_the_first_place_that_has_a_value(
    field: str, places: list[tuple[str, Any]], absent: Any
) -> None:
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


@pytest.mark.parametrize(("field", "places"), AUTOMATION)
def test_field_of_an_automation_is_read_from_the_first_place_that_has_a_value(
    field: str, places: list[tuple[str, Any]]
) -> None:
    for number, (_, value) in enumerate(places):
        document = document_with([("event.diff", {"before": None, "after": {}}), *places[number:]])
        payload = read(document)
        assert (payload.kind, getattr(payload, field)) == (Kind.AUTOMATION, value)


@pytest.mark.parametrize(
    ("document", "kind"),
    [
        ({}, Kind.UNKNOWN),
        ({"context": {"runId": "a"}}, Kind.ACTION_RUN),
        ({"resourceType": "run"}, Kind.ACTION_RUN),
        ({"resourceType": "entity"}, Kind.UNKNOWN),
        ({"event": {"action": "CREATE"}}, Kind.AUTOMATION),
        ({"diff": {"before": None}}, Kind.AUTOMATION),
        ({"diff": {}, "changelogDestination": {}}, Kind.CHANGE_LOG),
        ({"changelogDestination": {}}, Kind.CHANGE_LOG),
    ],
)
def test_payload_kind_is_determined_by_its_keys(document: Any, kind: Kind) -> None:
    assert read(document).kind is kind
