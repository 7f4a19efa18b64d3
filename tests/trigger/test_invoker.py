"""Invocations made with the real jq, jsonschema and cryptography."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from port_hook_cli.actions.action import PortAction, read_action
from port_hook_cli.actions.request import RenderedRequest
from port_hook_cli.actions.samples import create_vm, create_vm_action
from port_hook_cli.engines.encryption import decrypt_aes_gcm, decrypt_client_side
from port_hook_cli.errors import RenderError, UsageError
from port_hook_cli.invocations.headers import Headers
from port_hook_cli.invocations.models import Status
from port_hook_cli.javascript.stringify import stringify
from port_hook_cli.signatures.signing import signed_headers
from port_hook_cli.signatures.verification import verify_signature
from port_hook_cli.trigger.invoker import Invoker
from port_hook_cli.trigger.open_invoker import SandboxInvoker, invoking
from port_hook_cli.trigger.run_data import RunData
from tests.conformance.cases import DATA, GUIDES
from tests.factories import NOW, RUN_ID, SECRET
from tests.json_values import json_values
from tests.keys import an_rsa_key, public_pem

AT = "2023-11-14T22:13:20.000Z"
BY = create_vm("", at="")["trigger"]["by"]


@pytest.fixture
def strict() -> Iterator[Invoker]:
    with invoking(lambda: SECRET, strict=True) as made:
        yield made


def an_action(properties: Mapping[str, Any] | None = None, *, required: Any = (), **method: Any) -> PortAction:
    document = create_vm_action()
    if properties is None:
        del document["trigger"]["userInputs"]
    else:
        document["trigger"]["userInputs"] = {"properties": properties, "required": required}
    document["invocationMethod"] |= method
    return read_action(document)


def an_automation(condition: Any = None, **method: Any) -> PortAction:
    trigger = {"type": "automation", "event": {"type": "ENTITY_UPDATED"}, "condition": condition}
    return read_action(
        {
            "identifier": "tell",
            "trigger": trigger,
            "invocationMethod": {"type": "WEBHOOK", "url": "https://example.com", **method},
        }
    )


async def request(invoker: Invoker, action: PortAction, **fields: Any) -> RenderedRequest:
    return await invoker.request(action, RunData(**{"by": BY, **fields}), run_id=RUN_ID, at=AT)


async def inputs_of(invoker: Invoker, action: PortAction, **given: Any) -> Any:
    made = await request(invoker, replace(action, method={**action.method, "body": "{{ .inputs }}"}), properties=given)
    return made.body


# --- the request ----------------------------------------------------------------------------------------------------


async def test_request_of_create_vm_has_the_documented_payload(invoker: Invoker) -> None:
    sample = create_vm(RUN_ID, at=AT)
    made = await request(invoker, read_action(create_vm_action()), properties=sample["payload"]["properties"])
    assert made.body == sample
    assert made.content.startswith(b'{"action":"create_vm","resourceType":"run","status":"TRIGGERED",')
    assert (made.method, made.url, made.synchronized, made.agent) == ("POST", "https://example.com", False, False)


async def test_request_renders_every_template_of_ports_guides(invoker: Invoker) -> None:
    data = {"properties": DATA["inputs"], "entity": DATA["entity"], "by": DATA["trigger"]["by"]}
    for guide in GUIDES:
        made = await request(invoker, an_action(body=guide), **data)
        assert made.errors == ()
        assert "{{" not in made.content.decode().replace("{{ x }}", "")


async def test_request_renders_every_field_of_the_invocation_method(invoker: Invoker) -> None:
    action = an_action(
        url="https://{{ .inputs.host }}/{{ .entity.identifier }}",
        method="{{ 'PUT' }}",
        headers={"RUN_ID": "{{ .run.id }}", "{{ .nothing }}": "x", "x-key": "{{ .secrets.key }}"},
        synchronized="{{ .inputs.wait }}",
        agent="{{ false }}",
        body={"by": "{{ .trigger.by.user.email }}", "at": "{{ .trigger.at }}", "o": "{{ .trigger.operation }}"},
    )
    made = await request(
        invoker,
        action,
        properties={"host": "example.com", "wait": True},
        entity={"identifier": "checkout"},
        secrets={"key": "k"},
    )
    assert (made.method, made.url, made.synchronized) == ("PUT", "https://example.com/checkout", True)
    assert made.headers == (("content-type", "application/json"), ("RUN_ID", RUN_ID), ("x-key", "k"))
    assert made.body == {"by": "zoe@example.com", "at": AT, "o": "CREATE"}


async def test_failed_expression_becomes_null_or_an_error_when_strict(invoker: Invoker, strict: Invoker) -> None:
    action = an_action(body={"a": "{{ .run.id.x }}"})
    made = await request(invoker, action)
    assert made.body == {"a": None}
    assert [error.expression.strip() for error in made.errors] == [".run.id.x"]
    with pytest.raises(RenderError, match="Cannot index string"):
        await request(strict, action)


_VALUES = json_values(
    st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(), max_size=4, max_leaves=12
)


@given(inputs=st.dictionaries(st.text(), _VALUES, max_size=5), is_default=st.booleans())
def test_request_verifies_for_any_inputs(invoker: Invoker, inputs: Any, is_default: bool) -> None:
    action = an_action(**({} if is_default else {"body": {"inputs": "{{ .inputs }}", "text": "a {{ .inputs }} b"}}))
    made = asyncio.run(request(invoker, action, properties=inputs))
    content = made.content
    assert stringify(content.decode()) == content.decode()
    headers = Headers((*made.headers, *signed_headers(content, SECRET, str(int(NOW)))))
    assert verify_signature(headers, content, SECRET, now=NOW).status is Status.VALID
    sent = json.loads(content)
    assert set(sent["payload"]["properties"] if is_default else sent["inputs"]) == set(inputs)


# --- inputs ---------------------------------------------------------------------------------------------------------


async def test_error_lists_every_violation_with_its_input(invoker: Invoker) -> None:
    declared = {"a": {"type": "number"}, "b": {"enum": ["x"]}, "c": {"type": "string"}, "e": {}, "f": {}}
    action = an_action(declared, required=["c", "e", "f"])
    with pytest.raises(UsageError) as refused:
        await request(invoker, action, properties={"a": "1", "b": "s3cret", "d": 1, "e": None, "f": 0})
    assert refused.value.message.splitlines()[1:] == [
        "  c is required",
        "  e is required",
        "  d is not an input. The inputs are: a, b, c, e, f",
        "  a must be number",
        "  b must be equal to one of the allowed values: x",
    ]
    assert "s3cret" not in refused.value.message


async def test_request_fills_in_defaults_including_computed_ones(invoker: Invoker) -> None:
    action = an_action(
        {
            "total": {"type": "number", "default": {"jqQuery": ".form.double + 1"}},
            "double": {"type": "number", "default": {"jqQuery": ".form.cpu * 2"}},
            "cpu": {"type": "number", "default": 2},
            "owner": {"type": "string", "default": {"jqQuery": ".user.email"}},
            "none": {"type": "string", "default": {"jqQuery": ".user.nothing"}},
        }
    )
    owner = {"owner": "zoe@example.com"}
    assert await inputs_of(invoker, action) == {"total": 5, "double": 4, "cpu": 2, **owner}
    assert await inputs_of(invoker, action, cpu=4, double=1) == {"total": 2, "double": 1, "cpu": 4, **owner}


async def test_rules_are_computed_from_form_entity_and_user(invoker: Invoker) -> None:
    action = an_action(
        {
            "language": {"type": "string", "enum": ["js", "py"]},
            "sdk": {"enum": {"jqQuery": 'if .form.language == "js" then ["Node"] else ["Python"] end'}},
            "why": {"type": "string", "visible": {"jqQuery": ".entity.properties.locked"}},
        },
        required={"jqQuery": 'if .user.email == "zoe@example.com" then ["sdk", "why"] else [] end'},
    )
    assert await inputs_of(invoker, action, language="js", sdk="Node") == {"language": "js", "sdk": "Node"}
    with pytest.raises(UsageError, match="sdk must be equal to one of the allowed values: Python"):
        await inputs_of(invoker, action, language="py", sdk="Node")
    with pytest.raises(UsageError, match="sdk is required"):
        await inputs_of(invoker, action)
    entity = {"identifier": "a", "properties": {"locked": True}}
    with pytest.raises(UsageError, match="why is required"):
        await request(invoker, action, properties={"sdk": "Python"}, entity=entity)
    somebody_else = {"user": {"email": "b@example.com"}}
    assert (await request(invoker, action, by=somebody_else)).errors == ()


async def test_failed_rule_is_reported(invoker: Invoker, strict: Invoker) -> None:
    action = an_action({"a": {"enum": {"jqQuery": "error("}}})
    made = await request(invoker, action, properties={"a": "x"})
    assert [error.kind for error in made.errors] == ["compile"]
    with pytest.raises(RenderError, match="compile error"):
        await request(strict, action, properties={"a": "x"})


async def test_entity_inputs_are_objects_in_templates_and_identifiers_in_the_payload(invoker: Invoker) -> None:
    one = {"type": "string", "format": "entity", "blueprint": "service"}
    action = an_action({"one": one, "many": {"type": "array", "items": one}})
    expression = "{{ .inputs | map_values(if type == 'array' then map(.identifier) else .identifier end) }}"
    given = {"one": "a", "many": ["b", {"identifier": "c", "title": "C"}]}
    names = {"one": "a", "many": ["b", "c"]}
    made = await request(invoker, replace(action, method={**action.method, "body": expression}), properties=given)
    assert made.body == names
    assert (await request(invoker, action, properties=given)).body["payload"]["properties"] == names


async def test_encrypted_inputs_can_be_decrypted_with_the_documented_keys(invoker: Invoker) -> None:
    key = an_rsa_key()
    client_side = {"algorithm": "client-side", "key": public_pem(key).decode()}
    action = an_action(
        {
            "text": {"type": "string", "encryption": "aes256-gcm", "minLength": 3},
            "object": {"type": "object", "encryption": "aes256-gcm"},
            "own": {"type": "string", "encryption": client_side},
            "empty": {"type": "string", "encryption": "aes256-gcm"},
        }
    )
    made = await request(
        invoker, action, properties={"text": "s3cret", "object": {"a": 1.0}, "own": "mine", "empty": None}
    )
    payload = made.body["payload"]
    assert payload["censoredProperties"] == ["text", "object", "own"]
    assert decrypt_aes_gcm(SECRET, payload["properties"]["text"]) == b"s3cret"
    assert decrypt_aes_gcm(SECRET, payload["properties"]["object"]) == b'{"a":1}'
    assert decrypt_client_side(key, payload["properties"]["own"]) == b"mine"
    assert payload["properties"]["empty"] is None
    assert b"s3cret" not in made.content
    with pytest.raises(UsageError, match="text must NOT have fewer than 3 characters"):
        await request(invoker, action, properties={"text": "ab"})


@pytest.mark.parametrize(
    ("declared", "expected"),
    [
        ({"type": "strin"}, "create_vm declares its input a incorrectly, at `type`"),
        ({"encryption": "rot13"}, "create_vm encrypts its input a with 'rot13'"),
    ],
)
async def test_error_contains_the_incorrectly_declared_action(invoker: Invoker, declared: Any, expected: str) -> None:
    with pytest.raises(UsageError, match=expected):
        await request(invoker, an_action({"a": declared}), properties={"a": "x"})


async def test_too_deeply_nested_inputs_are_rejected(invoker: Invoker) -> None:
    declared: dict[str, Any] = {"type": "string"}
    for _ in range(300):
        declared = {"type": "array", "items": declared}
    with pytest.raises(UsageError, match="The inputs of create_vm are nested too deep"):
        await request(invoker, an_action({"a": declared}), properties={"a": [[]]})


# --- automations ----------------------------------------------------------------------------------------------------

EVENT = {"action": "UPDATE", "diff": {"before": {"tier": "silver"}, "after": {"tier": "gold"}}}


async def test_automation_gets_its_event_and_rejects_inputs(invoker: Invoker) -> None:
    body = {"tier": "{{ .event.diff.after.tier }}", "inputs": "{{ .inputs }}", "origin": "{{ .trigger.origin }}"}
    made = await request(invoker, an_automation(body=body), event=EVENT)
    assert made.body == {"tier": "gold", "inputs": None, "origin": "AUTOMATION"}
    assert (await request(invoker, an_automation(), event=EVENT)).body["event"] == EVENT
    with pytest.raises(UsageError, match="does not accept inputs"):
        await request(invoker, an_automation(), event=EVENT, properties={"a": 1})


async def test_unmet_returns_the_unmet_expressions(invoker: Invoker) -> None:
    rows: list[tuple[Any, Any, Any]] = [
        (["true", "false"], "and", [("false", "is false")]),
        (["null", "empty"], "and", [("null", "is null"), ("empty", "has no result")]),
        (["true", "false"], "or", []),
        (["false", "null"], "or", [("false", "is false"), ("null", "is null")]),
        (
            [".diff.after.tier.x"],
            "and",
            [(".diff.after.tier.x", 'failed: jq: error: Cannot index string with string ("x")')],
        ),
        ([], "and", []),
    ]
    for expressions, combinator, unmet in rows:
        action = an_automation({"type": "JQ", "expressions": expressions, "combinator": combinator})
        assert [(each.expression, each.reason) for each in await invoker.unmet(action, EVENT)] == unmet


@pytest.mark.parametrize(
    "condition", [{"type": "JQ", "expressions": "true"}, {"type": "SEARCH", "expressions": ["true"]}]
)
async def test_unmet_rejects_a_malformed_condition(invoker: Invoker, condition: Any) -> None:
    with pytest.raises(UsageError, match="not a list of expressions"):
        await invoker.unmet(an_automation(condition), EVENT)


# --- for the sandbox ------------------------------------------------------------------------------------------------


async def test_sandbox_invoker_returns_the_raw_body(invoker: Invoker) -> None:
    made = await SandboxInvoker(invoker).request(
        create_vm_action(), properties={"title": "a"}, entity=None, run_id=RUN_ID, by=BY, at=AT, secrets={}
    )
    document = json.loads(made.body)
    assert (made.method, made.headers) == ("POST", (("content-type", "application/json"),))
    assert document["trigger"]["origin"] == "API"
    assert document["payload"]["properties"] == {"title": "a"}
    with pytest.raises(UsageError, match="has no `trigger`"):
        await SandboxInvoker(invoker).request(
            {"identifier": "a"}, properties={}, entity=None, run_id=RUN_ID, by=BY, at=AT, secrets={}
        )
