"""What the published agent reports to Port, row by row.

The rows come from Port's contract: read from the agent's source (4732c34) and seen live on loopback.
"""

from __future__ import annotations

from typing import Any

import pytest

from port_hook_cli.engines.agent_jq import AgentJq
from port_hook_cli.invocations.headers import Headers
from port_hook_cli.prediction.calls import AgentCall
from port_hook_cli.prediction.message import AgentTransport, AgentVersion
from port_hook_cli.prediction.prediction import Prediction
from port_hook_cli.prediction.response import AgentResponse
from port_hook_cli.text.secret import Secret
from tests.prediction.worlds import NODE_RUN, RUN, action_run, mappings_of, node_run, predicted, topic_message

MAY, LATEST = AgentVersion.MAY_2026, AgentVersion.LATEST
JSON = Headers((("Content-Type", "application/json"),))
RESPONSES = {
    "200": AgentResponse(name="200", status=200, headers=JSON, body=b'{"id": 7}'),
    "200 empty": AgentResponse(name="200", status=200),
    "200 {}": AgentResponse(name="200", status=200, headers=JSON, body=b"{}"),
    "200 text": AgentResponse(name="200", status=200, headers=Headers((("Content-Type", "text/plain"),)), body=b"ok"),
    "304": AgentResponse(name="304", status=304),
    "404": AgentResponse(name="404", status=404, headers=JSON, body=b'{"no": 1}'),
    "500 empty": AgentResponse(name="500", status=500),
    "refused": AgentResponse(name="refused", failure="ConnectionError: refused"),
    "timeout": AgentResponse(name="timeout", failure="ReadTimeout: 30 s"),
}
# What the calls are, in the order of the contract's tables.
ANSWER, ANSWER_404, TEXT = '/response {"id": 7}', '/response {"no": 1}', "/response ok"
SUCCESS = "SUCCESS"
FAILED_404 = 'FAILURE Failed to invoke the webhook with status code: 404. Response: {"no": 1}'
FAILED_500 = "FAILURE Failed to invoke the webhook with status code: 500. Response: "
GIVEN_UP = "FAILURE Agent failed to process the run"
NODE_OK, NODE_FAILED = "COMPLETED SUCCESS", "COMPLETED FAILED"

# transport, run, synchronized, response -> what is reported, logs aside
ROWS: list[tuple[str, str, bool, str, list[str]]] = [
    ("polling", "action", True, "200", [ANSWER, SUCCESS]),
    ("polling", "action", True, "200 text", [TEXT, SUCCESS]),
    ("polling", "action", True, "200 empty", [SUCCESS]),
    ("polling", "action", True, "200 {}", [SUCCESS]),
    ("polling", "action", True, "304", [SUCCESS]),
    ("polling", "action", True, "404", [ANSWER_404, FAILED_404, GIVEN_UP]),
    ("polling", "action", True, "500 empty", [FAILED_500, GIVEN_UP]),
    ("polling", "action", True, "refused", [GIVEN_UP]),
    ("polling", "action", False, "200", []),
    ("polling", "action", False, "404", [FAILED_404, GIVEN_UP]),
    ("polling", "action", False, "refused", [GIVEN_UP]),
    ("kafka", "action", True, "200", [ANSWER, SUCCESS]),
    ("kafka", "action", True, "404", [ANSWER_404, FAILED_404]),
    ("kafka", "action", True, "refused", []),
    ("kafka", "action", False, "200", []),
    ("kafka", "action", False, "404", [FAILED_404]),
    ("polling", "node", True, "200", [f"{NODE_OK} 200 {{'id': 7}}"]),
    ("polling", "node", True, "200 text", [f"{NODE_OK} 200 ok"]),
    ("polling", "node", True, "200 empty", [f"{NODE_OK} 200 {{}}"]),
    ("polling", "node", True, "304", [f"{NODE_OK} 304 {{}}"]),
    ("polling", "node", True, "404", [NODE_FAILED, NODE_FAILED]),
    ("polling", "node", True, "refused", [NODE_FAILED, NODE_FAILED]),
    ("polling", "node", False, "200", []),
    ("polling", "node", False, "404", [NODE_FAILED, NODE_FAILED]),
    ("kafka", "node", True, "200", [f"{NODE_OK} 200 {{'id': 7}}"]),
    ("kafka", "node", True, "404", [NODE_FAILED]),
    ("kafka", "node", True, "refused", [NODE_FAILED]),
    ("kafka", "node", False, "200", []),
    ("kafka", "node", False, "404", [NODE_FAILED]),
]


def a_message(transport: str, run: str, *, synchronized: bool, **changes: Any) -> dict[str, Any]:
    if transport == "polling":
        made = action_run if run == "action" else node_run
        return made(synchronized=synchronized, **changes)
    return topic_message(RUN if run == "action" else NODE_RUN, method={"synchronized": synchronized, **changes})


def shown(call: AgentCall) -> str:
    """Return a report in the words of the rows."""
    body = call.body
    if call.path.endswith("/response"):
        assert call.method == "PATCH"
        found = body["response"]
        return f"/response {found if isinstance(found, str) else str(found).replace(chr(39), chr(34))}"
    assert (call.method, call.path) in {
        ("PATCH", f"/v1/actions/runs/{RUN}"),
        ("PATCH", f"/v1/workflows/nodes/runs/{NODE_RUN}"),
    }
    if "result" in body:
        answered = body.get("output", {}).get("response")
        assert body.keys() == ({"status", "result", "output"} if answered else {"status", "result"})
        return " ".join([body["status"], body["result"], *(map(str, answered.values()) if answered else [])])
    return " ".join(str(value) for value in body.values())


def unsent(prediction: Prediction) -> tuple[AgentCall, ...]:
    """Return what the agent reports about a message that it does not send."""
    assert prediction.unsent is not None
    return prediction.unsent.calls


def reports(calls: tuple[AgentCall, ...]) -> list[str]:
    return [shown(call) for call in calls if call.log is None]


def logs(calls: tuple[AgentCall, ...]) -> list[str]:
    return [call.log for call in calls if call.log is not None]


@pytest.mark.parametrize(("transport", "run", "synchronized", "response", "expected"), ROWS)
def test_agent_reports_each_response_like_its_source(
    jq: AgentJq, transport: str, run: str, synchronized: bool, response: str, expected: list[str]
) -> None:
    prediction = predicted(jq, a_message(transport, run, synchronized=synchronized))
    assert str(prediction.message.transport) == transport
    assert reports(prediction.outcome(RESPONSES[response]).calls) == expected


def test_agent_reports_a_node_run_only_when_no_mapping_is_enabled(jq: AgentJq) -> None:
    rows: list[tuple[Any, Any, Any]] = [
        ("polling", "action", []),
        ("kafka", "action", []),
        ("polling", "node", [NODE_FAILED]),
        ("kafka", "node", [NODE_FAILED]),
    ]
    for transport, run, expected in rows:
        mappings = mappings_of({"enabled": False}, {"enabled": '.action == "other"'}, {"enabled": ".a +"})
        prediction = predicted(jq, a_message(transport, run, synchronized=True), mappings)
        reason, _, other_agents = prediction.reason.partition(". ")
        assert (prediction.wire, reason) == (None, "no mapping is enabled for it")
        assert ("another agent on the same topic" in other_agents) == ((transport, run) == ("kafka", "node"))
        assert (reports(unsent(prediction)), logs(unsent(prediction))) == (expected, [])


def test_agent_does_not_send_a_message_with_another_or_an_unverifiable_signature(jq: AgentJq) -> None:
    rows: list[tuple[Any, Any]] = [(RUN, []), (NODE_RUN, [NODE_FAILED])]
    for run_id, expected in rows:
        prediction = predicted(jq, topic_message(run_id, secret=Secret("another")))
        assert "signature does not match" in prediction.reason
        assert reports(unsent(prediction)) == expected
    for run_id in (RUN, NODE_RUN):
        prediction = predicted(jq, topic_message(run_id, name="\ud800"))
        assert prediction.reason.startswith("the agent fails: UnicodeEncodeError: 'utf-8' codec can't encode")
        assert unsent(prediction) == ()


@pytest.mark.parametrize("transport", ["polling", "kafka"])
@pytest.mark.parametrize("run", ["action", "node"])
def test_agent_ignores_a_message_for_other_receivers(jq: AgentJq, transport: str, run: str) -> None:
    prediction = predicted(jq, a_message(transport, run, synchronized=True, agent=False))
    assert prediction.reason == "`agent` is not true, so the agent ignores it"
    assert unsent(prediction) == ()
    assert len(prediction.taking) == (2 if transport == "polling" else 0)  # it is claimed and acknowledged


INVALID = "ValidationError: 1 validation error for RequestPayload"


def test_agent_gives_up_an_unreadable_run(jq: AgentJq) -> None:
    rows: list[tuple[Any, Any, Any]] = [
        (MAY, {"body": None}, "AttributeError: 'NoneType' object has no attribute 'copy'"),
        (MAY, {"body": ["a"]}, "TypeError: list indices must be integers or slices, not str"),
        (MAY, {"url": None}, f"{INVALID}: url: none is not an allowed value"),
        (LATEST, {"body": None}, "AttributeError: 'NoneType' object has no attribute 'setdefault'"),
        (LATEST, {"body": ["a"]}, "AttributeError: 'list' object has no attribute 'get'"),
        (LATEST, {"body": {"context": None}}, "TypeError: 'NoneType' object does not support item assignment"),
        (
            LATEST,
            {"body": {"payload": {"action": {"invocationMethod": 1}}}},
            "TypeError: 'int' object is not a mapping",
        ),
        (LATEST, {"method": None}, f"{INVALID}: method: none is not an allowed value"),
    ]
    for version, changes, fault in rows:
        prediction = predicted(jq, action_run(**changes), version=version)
        assert prediction.reason == f"the agent fails: {fault}"
        assert reports(unsent(prediction)) == [GIVEN_UP]


def test_node_without_a_url_fails_before_the_agent_of_may_2026_sends(jq: AgentJq) -> None:
    run = node_run()
    del run["config"]["url"]
    prediction = predicted(jq, run, version=MAY)
    assert "url: none is not an allowed value" in prediction.reason
    assert logs(unsent(prediction)) == NODE_LOGS[:1]


NO_METHOD = {"method": ".nothing"}, "AttributeError: 'NoneType' object has no attribute 'upper'"
UNSENDABLE: list[tuple[dict[str, Any], str]] = [
    ({"headers": ".nothing"}, "TypeError: 'NoneType' object does not support item assignment"),
    ({"url": ".nothing"}, "MissingSchema: Invalid URL 'None': No scheme supplied. Perhaps you meant https://None?"),
    (
        {"headers": {"A": "5"}},
        "InvalidHeader: Header part (5) from ('A', 5) must be of type str or bytes, not <class 'int'>",
    ),
]


def test_agent_logs_the_sending_before_its_request_fails(jq: AgentJq) -> None:
    rows: list[tuple[Any, Any, Any, Any, Any]] = [
        *((*each, "polling", "action", [GIVEN_UP]) for each in UNSENDABLE),
        (*NO_METHOD, "kafka", "action", []),
        (*NO_METHOD, "polling", "node", [NODE_FAILED, NODE_FAILED]),
        (*NO_METHOD, "kafka", "node", [NODE_FAILED]),
    ]
    for mapping, fault, transport, run, expected in rows:
        prediction = predicted(jq, a_message(transport, run, synchronized=True), mappings_of(mapping))
        assert (prediction.wire, prediction.reason) == (None, f"the agent fails: {fault}")
        assert reports(unsent(prediction)) == expected
        assert logs(unsent(prediction))[-1] == "Sending the request"


ACTION_LOGS = ["An action message has been received", "Preparing the payload for the request", "Sending the request"]
NODE_LOGS = ["A workflow node run has been received", "Sending the request"]
ANSWERED = ["Reporting the run response", "The run response was reported successfully "]
OK, FAILED = (
    "Action invocation has completed successfully with status code: 200",
    "Action invocation failed with status code: ",
)


def test_agent_writes_the_logs_of_its_source(jq: AgentJq) -> None:
    rows: list[tuple[Any, Any, Any]] = [
        ("action", "200", [*ACTION_LOGS, OK, *ANSWERED, "Port agent finished processing the action run"]),
        ("action", "200 empty", [*ACTION_LOGS, OK, "Port agent finished processing the action run"]),
        ("action", "404", [*ACTION_LOGS, f'{FAILED}404 and response: {{"no": 1}}', *ANSWERED]),
        ("action", "refused", ACTION_LOGS),
        ("node", "200", [*NODE_LOGS, OK, "Port agent finished processing the workflow node run"]),
        ("node", "404", [*NODE_LOGS, f'{FAILED}404 and response: {{"no": 1}}']),
    ]
    for run, response, expected in rows:
        prediction = predicted(jq, a_message("polling", run, synchronized=True))
        calls = prediction.outcome(RESPONSES[response]).calls
        assert logs(calls) == expected
        bodies = [call.body for call in calls if call.log is not None]
        assert bodies == [
            {"logs": [{"level": "INFO", "message": text}]} if run == "node" else {"message": text} for text in expected
        ]
        assert logs(prediction.before) == (NODE_LOGS if run == "node" else ACTION_LOGS)


def test_agent_without_detailed_logging_does_not_quote_the_response(jq: AgentJq) -> None:
    calls = predicted(jq, action_run(), is_detailed=False).outcome(RESPONSES["404"]).calls
    assert f"{FAILED}404" in logs(calls)
    assert "FAILURE Failed to invoke the webhook with status code: 404." in reports(calls)


def test_agent_reports_in_the_order_of_its_source(jq: AgentJq) -> None:
    prediction = predicted(jq, action_run())
    calls = (*prediction.taking, *prediction.outcome(RESPONSES["200"]).calls)
    runs = f"/v1/actions/runs/{RUN}"
    assert [(call.method, call.path) for call in calls] == [
        ("POST", "/v1/actions/runs/claim-pending"),
        ("PATCH", "/v1/actions/runs/ack"),
        *[("POST", f"{runs}/logs")] * 5,
        ("PATCH", f"{runs}/response"),
        ("POST", f"{runs}/logs"),
        ("PATCH", runs),
        ("POST", f"{runs}/logs"),
    ]
    assert calls[0].body == {"installationId": "_PORT_EXEC_AGENT", "limit": 100, "invocationMethod": "WEBHOOK"}
    assert calls[1].body == {"runIds": [RUN]}
    assert dict(calls[1].headers) == {"x-port-reserved-usage": "true"}
    assert [call.body for call in predicted(jq, node_run()).taking] == [
        {"installationId": "_PORT_EXEC_AGENT", "limit": 100},
        {"nodeRunIdentifier": NODE_RUN},
    ]


REPORT = {
    "status": 'if .response.statusCode == 202 then "SUCCESS" else null end',
    "link": '"https://ci/\\(.response.json.id)"',
    "summary": ".request.method + .body.context.runId + .response.headers.Server",
    "externalRunId": ".response.text | length",
}


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (202, {"status": "SUCCESS", "link": "https://ci/7", "summary": f"POST{RUN}s", "externalRunId": 9}),
        (400, {"link": "https://ci/7", "summary": f"POST{RUN}s", "externalRunId": 9}),
    ],
)
def test_report_of_a_mapping_replaces_defaults_and_null_removes_them(
    jq: AgentJq, status: int, expected: dict[str, Any]
) -> None:
    headers = Headers((*JSON.items, ("Server", "s")))
    response = AgentResponse(name="x", status=status, headers=headers, body=b'{"id": 7}')
    outcome = predicted(jq, action_run(synchronized=False), mappings_of({"report": REPORT})).outcome(response)
    (body,) = [
        call.body
        for call in outcome.calls
        if call.log is None and call.body != {"status": "FAILURE", "summary": "Agent failed to process the run"}
    ]
    assert (body, list(body)) == (expected, list(expected))
    assert [field.place for field in outcome.fields] == [f"[0].report.{name}" for name in REPORT]


def test_report_of_a_mapping_is_not_used_for_a_node_or_without_values(jq: AgentJq) -> None:
    outcome = predicted(jq, node_run(), mappings_of({"report": REPORT})).outcome(RESPONSES["200"])
    assert (reports(outcome.calls), outcome.fields) == ([f"{NODE_OK} 200 {{'id': 7}}"], ())

    mappings = mappings_of({"report": {"status": "null", "summary": ".nothing.here"}})
    outcome = predicted(jq, topic_message(), mappings).outcome(RESPONSES["200 empty"])
    assert reports(outcome.calls) == []


def test_report_fails_when_the_response_contains_nan_or_infinity(jq: AgentJq) -> None:
    response = AgentResponse(name="200", status=200, headers=JSON, body=b'{"a": NaN}')
    outcome = predicted(jq, action_run()).outcome(response)
    assert (reports(outcome.calls), logs(outcome.calls)[-1]) == ([GIVEN_UP], "Reporting the run response")
    assert outcome.error.startswith("InvalidJSONError")


def test_event_of_the_change_log_is_sent_and_never_reported(jq: AgentJq) -> None:
    event: dict[str, Any] = {
        "changelogDestination": {"type": "WEBHOOK", "agent": True, "url": URL_OF_CHANGES},
        "diff": {"before": None},
    }
    prediction = predicted(jq, event)
    assert prediction.wire is not None
    assert prediction.wire.address.url == URL_OF_CHANGES
    assert [prediction.outcome(response).calls for response in RESPONSES.values()] == [()] * len(RESPONSES)
    del event["changelogDestination"]["url"]
    nowhere = predicted(jq, event)
    assert (nowhere.wire, nowhere.reason) == (None, "the message has no run, and its `changelogDestination` has no URL")


URL_OF_CHANGES = "http://127.0.0.1:8000/changes"


def test_claimed_run_has_no_mapping_and_no_other_transport_unless_one_is_given(jq: AgentJq) -> None:
    with pytest.raises(ValueError, match="claims by polling"):
        predicted(jq, action_run(), transport=AgentTransport.KAFKA)

    prediction: Prediction = predicted(jq, action_run(), ())
    assert (prediction.mapping, prediction.reason) == (None, "there is no mapping")
