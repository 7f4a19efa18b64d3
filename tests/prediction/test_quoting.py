"""How the agent masks a response that it quotes in a log or a summary."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from port_hook_cli.engines.agent_jq import AgentJq
from port_hook_cli.invocations.headers import Headers
from port_hook_cli.prediction.message import AgentVersion
from port_hook_cli.prediction.response import AgentResponse, quoted
from port_hook_cli.prediction.wire import AgentFault
from port_hook_cli.text.secret import Secret
from tests.json_values import json_values
from tests.prediction.worlds import SECRET, action_run, node_run, predicted, topic_message

KNOWN = (Secret("client-id-1"), Secret("client-secret-1"))
R = "***REDACTED***"
JWT = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2ln"


def test_response_is_quoted_like_by_the_latest_agent() -> None:
    rows: list[tuple[Any, Any]] = [
        ("", ""),
        ('{"a":1}', '{"a": 1}'),
        (' ["ö",1e3,-0.0,null,true]\n', '["\\u00f6", 1000.0, -0.0, null, true]'),
        ('{"a":1,"a":2}', '{"a": 2}'),
        ("[1", "[1"),
        ("{'a': 'client-id-1'}", "{'a': '" + R + "'}"),
        ("the secret client-secret-1 is wrong", f"the secret {R} is wrong"),
        ('{"a":"client-secret-1!"}', f'{{"a": "{R}!"}}'),
        ("Authorization: bearer abc.def; next", f"Authorization: bearer {R}; next"),
        ("BEARER  a,b Bearer", f"BEARER  {R},b Bearer"),
        (f"x{JWT}.rest", f"x{R}.rest"),
        ("a.eyJ1.eyJ2.3", f"a.{R}"),
        ("eyJ.eyJ1.eyJ2.3", f"eyJ.{R}"),
        ("eyJ1.eyJ.3 eyJ1.eyJ2. eyJ1.ab.c", "eyJ1.eyJ.3 eyJ1.eyJ2. eyJ1.ab.c"),
        (
            '{"token":1,"Set-Cookie":null,"MY_API-KEY":{},"x-token":[],"tokens":1,"id":2}',
            f'{{"token": "{R}", "Set-Cookie": "{R}", "MY_API-KEY": "{R}", "x-token": "{R}", "tokens": 1, "id": 2}}',
        ),
        ('{"inner":"{\\"password\\":1}"}', '{"inner": "{\\"password\\": \\"' + R + '\\"}"}'),
        ('{"client-secret-1":1}', '{"client-secret-1": 1}'),
        ("[NaN,1e999]", "[NaN, Infinity]"),
        ("[" * 20 + "1" + "]" * 20, "[" * 19 + f'["{R}"]' + "]" * 19),
        ("[" * 19 + "1" + "]" * 19, "[" * 19 + "1" + "]" * 19),
    ]
    for text, expected in rows:
        assert quoted(text, KNOWN) == expected


@pytest.mark.parametrize(("text", "fault"), [("[" * 100_000, "RecursionError"), ("[" + "1" * 5000 + "]", "ValueError")])
def test_latest_agent_fails_when_python_cannot_read_the_response(text: str, fault: str) -> None:
    with pytest.raises(AgentFault, match=fault):
        quoted(text, KNOWN)


def test_long_response_is_quoted_quickly() -> None:
    for text in ("eyJa." * 200_000, "bearer" + " " * 500_000, "client-id-" * 100_000):
        start = time.process_time()
        quoted(text, KNOWN)
        assert time.process_time() - start < 5


@given(json_values(st.floats() | st.text(), max_leaves=100))
def test_quoted_json_has_the_same_structure(document: Any) -> None:
    text = quoted(json.dumps([document]), KNOWN)
    assert isinstance(json.loads(text), list)
    assert quoted(text, KNOWN) == text


JSON = Headers((("Content-Type", "application/json"),))
LEAK = AgentResponse(
    name="500", status=500, headers=JSON, body=f'{{"token":"abc","é":"{SECRET.reveal()}","n":1}}'.encode()
)
QUOTED = f'{{"token": "{R}", "\\u00e9": "{R}", "n": 1}}'


def test_latest_agent_masks_the_response_in_logs_and_summary(jq: AgentJq) -> None:
    for document in (action_run(), node_run(), topic_message()):
        calls = predicted(jq, document).outcome(LEAK).calls
        logs = [call.log for call in calls if call.log is not None]
        assert f"Action invocation failed with status code: 500 and response: {QUOTED}" in logs
        summaries = [call.body["summary"] for call in calls if "Failed to invoke" in str(call.body.get("summary"))]
        expected = f"Failed to invoke the webhook with status code: 500. Response: {QUOTED}"
        assert summaries == ([] if "config" in document else [expected])


def test_response_is_quoted_without_the_client_id_except_by_the_agent_of_may_2026(jq: AgentJq) -> None:
    for document in (action_run(), topic_message()):
        calls = predicted(jq, document, version=AgentVersion.MAY_2026).outcome(LEAK).calls
        assert any(f"and response: {LEAK.text}" in (call.log or "") for call in calls)
        assert any(f"Response: {LEAK.text}" in str(call.body.get("summary")) for call in calls)
    response = AgentResponse(name="403", status=403, body=b"client client-id-1 is unknown")
    calls = predicted(jq, action_run(), client_id="client-id-1").outcome(response).calls
    assert any(f"client {R} is unknown" in (call.log or "") for call in calls)


def test_run_fails_when_its_response_cannot_be_quoted(jq: AgentJq) -> None:
    response = AgentResponse(name="500", status=500, headers=JSON, body=b"[" * 100_000)
    outcome = predicted(jq, action_run()).outcome(response)
    assert outcome.error.startswith("RecursionError")
    assert [call.log for call in outcome.calls][-2:] == ["Sending the request", None]
    assert outcome.calls[-1].body == {"status": "FAILURE", "summary": "Agent failed to process the run"}
    is_node = predicted(jq, node_run()).outcome(response)
    assert [call.body for call in is_node.calls[-2:]] == [{"status": "COMPLETED", "result": "FAILED"}] * 2
