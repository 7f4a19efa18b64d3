from __future__ import annotations

from typing import Any

import pytest

from port_hook_cli.trigger.run_data import BadDocument, read_by, read_entity, read_event, read_inputs, read_secrets
from tests.factories import a_document

SOMEBODY = {"orgId": "o", "userId": "u", "user": {"email": "a@example.com"}}
EVENT = {"action": "UPDATE", "diff": {"before": None, "after": {}}}


def test_read_inputs_entity_and_event_accept_documents_of_port() -> None:
    assert read_inputs({"a": 1}) == {"a": 1}
    assert read_inputs(a_document())["title"] == "dev-env"
    entity = {"identifier": "a", "entity": {"identifier": "b"}}
    assert read_entity(entity) == entity
    assert read_entity({"ok": True, "entity": {"identifier": "b"}}) == {"identifier": "b"}
    with pytest.raises(BadDocument, match="identifier"):
        read_entity({"title": "a"})
    assert read_event({"event": EVENT, "inputs": None}) == EVENT
    assert read_event(EVENT) == EVENT
    assert read_event({**EVENT, "event": {}}) == {**EVENT, "event": {}}


def test_read_by_merges_a_user_into_the_default() -> None:
    rows: list[tuple[Any, Any]] = [
        (SOMEBODY, SOMEBODY),
        ({"email": "b@example.com"}, {**SOMEBODY, "user": {"email": "b@example.com"}}),
        ({"user": {"email": "b"}}, {**SOMEBODY, "user": {"email": "b"}}),
        ({"id": "x", "email": "b"}, {**SOMEBODY, "userId": "x", "user": {"id": "x", "email": "b"}}),
    ]
    for document, by in rows:
        assert read_by(document, SOMEBODY) == by


def test_readers_reject_other_documents_without_showing_them() -> None:
    assert read_secrets({"a": "x"}) == {"a": "x"}
    with pytest.raises(BadDocument, match="b, which is not a string") as refused:
        read_secrets({"a": "x", "b": 12345})
    assert "12345" not in str(refused.value)
    rows: list[Any] = [None, []]
    for document in rows:
        for read in (read_inputs, read_entity, read_event, read_secrets):
            with pytest.raises(BadDocument, match="is not an object"):
                read(document)
