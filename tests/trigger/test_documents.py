from __future__ import annotations

from typing import Any

import pytest

from port_hook_cli.trigger.documents import BadDocument, read_by, read_entity, read_event, read_inputs, read_secrets
from tests.factories import a_document

SOMEBODY = {"orgId": "o", "userId": "u", "user": {"email": "a@example.com"}}
EVENT = {"action": "UPDATE", "diff": {"before": None, "after": {}}}


def test_inputs_are_an_object_or_those_of_a_payload() -> None:
    assert read_inputs({"a": 1}) == {"a": 1}
    assert read_inputs(a_document())["title"] == "dev-env"


def test_an_entity_may_be_in_an_answer_of_ports_api() -> None:
    entity = {"identifier": "a", "entity": {"identifier": "b"}}
    assert read_entity(entity) == entity
    assert read_entity({"ok": True, "entity": {"identifier": "b"}}) == {"identifier": "b"}
    with pytest.raises(BadDocument, match="identifier"):
        read_entity({"title": "a"})


def test_an_event_may_be_in_a_captured_payload() -> None:
    assert read_event({"event": EVENT, "inputs": None}) == EVENT
    assert read_event(EVENT) == EVENT
    assert read_event({**EVENT, "event": {}}) == {**EVENT, "event": {}}


@pytest.mark.parametrize(
    ("document", "by"),
    [
        (SOMEBODY, SOMEBODY),
        ({"email": "b@example.com"}, {**SOMEBODY, "user": {"email": "b@example.com"}}),
        ({"user": {"email": "b"}}, {**SOMEBODY, "user": {"email": "b"}}),
        ({"id": "x", "email": "b"}, {**SOMEBODY, "userId": "x", "user": {"id": "x", "email": "b"}}),
    ],
)
def test_a_user_stands_in_a_trigger(document: Any, by: Any) -> None:
    assert read_by(document, SOMEBODY) == by


def test_secrets_are_texts_and_a_refusal_shows_none() -> None:
    assert read_secrets({"a": "x"}) == {"a": "x"}
    with pytest.raises(BadDocument, match="b, which is no text") as refused:
        read_secrets({"a": "x", "b": 12345})
    assert "12345" not in str(refused.value)


@pytest.mark.parametrize("document", [None, [], "x", 1])
def test_what_is_no_object_is_refused(document: Any) -> None:
    for read in (read_inputs, read_entity, read_event, read_secrets):
        with pytest.raises(BadDocument, match="is no object"):
            read(document)
