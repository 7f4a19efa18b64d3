"""The calls that the agent makes to Port's API, in order, to claim and acknowledge a run and to report on a message.

These facts come from the agent's source (4732c34): `port_client.py` (routes, bodies, a token before each call),
`invokers/webhook_invoker.py` (the texts of logs, the effect of each response) and `consumers/http_polling_consumer.py`
(which reports a failed polled run again).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import field
from datetime import datetime
from typing import Any

from port_hook_cli.frozen import frozen
from port_hook_cli.prediction.expressions import Evaluate
from port_hook_cli.prediction.mapping import AgentMapping
from port_hook_cli.prediction.message import AgentMessage, AgentTransport, Subject
from port_hook_cli.prediction.request import MappedField, MappedRequest, apply_expressions
from port_hook_cli.prediction.response import AgentResponse
from port_hook_cli.prediction.wire import AgentFault, json_content

TOKEN_PATH = "/v1/auth/access_token"  # noqa: S105 - a route
_RECEIVED = {
    Subject.ACTION_RUN: ("An action message has been received", "Preparing the payload for the request"),
    Subject.NODE_RUN: ("A workflow node run has been received",),
}
_FINISHED = {
    Subject.ACTION_RUN: "Port agent finished processing the action run",
    Subject.NODE_RUN: "Port agent finished processing the workflow node run",
}
_GIVEN_UP = {"status": "FAILURE", "summary": "Agent failed to process the run"}
_NODE_FAILED = {"status": "COMPLETED", "result": "FAILED"}
_ACTION_RUNS = "/v1/actions/runs/"


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _is_link(value: Any) -> bool:
    return _is_text(value) or (isinstance(value, list) and all(map(_is_text, value)))


# The types and values that Port's OpenAPI document specifies for the fields of an action run.
_DOCUMENTED: Mapping[str, tuple[Callable[[Any], bool], str]] = {
    "status": (lambda value: value in ("SUCCESS", "FAILURE"), "SUCCESS or FAILURE"),
    "summary": (_is_text, "text"),
    "externalRunId": (_is_text, "text"),
    "link": (_is_link, "text or an array of texts"),
    "response": (lambda value: isinstance(value, str | list | dict), "text, an array or an object"),
}


@frozen(kw_only=True)
class AgentCall:
    """One call to Port's API. The agent gets a new token before each call."""

    method: str
    path: str
    body: Any = field(repr=False)
    headers: Mapping[str, str] = field(default_factory=dict)

    @property
    def log(self) -> str | None:
        """The text of the log entry that the call adds, or None for other calls."""
        if not self.path.endswith("/logs"):
            return None
        return str(self.body["logs"][0]["message"] if "logs" in self.body else self.body["message"])

    @property
    def undocumented(self) -> tuple[str, ...]:
        """What Port's API document says about the values of an action run that have another type.

        Port does not document the route that sets the response of a run, so the expected type is the type of the field
        in Port's response.
        """
        if not self.path.startswith(_ACTION_RUNS) or not isinstance(self.body, Mapping):
            return ()
        checked = ((name, value, _DOCUMENTED.get(name)) for name, value in self.body.items())
        return tuple(
            f"`{name}` of a run is {kind[1]}{_not(value)}"
            for name, value, kind in checked
            if kind is not None and not kind[0](value)
        )


@frozen(kw_only=True)
class AgentOutcome:
    """The agent's reports about a response to its request, or about a missing response.

    `fields` are the results of the mapping's `report`. `error` is the exception in the agent's own log, or "".
    """

    response: AgentResponse | None
    calls: tuple[AgentCall, ...]
    fields: tuple[MappedField, ...] = ()
    error: str = ""


@frozen(kw_only=True)
class Reporter:
    """The settings and data that determine the reports about one message.

    `quote` returns the text of a failed response as the agent quotes it. It raises AgentFault if the agent fails to
    quote the text. `quote` is None without DETAILED_LOGGING, because the agent then doesn't quote the response.
    """

    message: AgentMessage
    mapping: AgentMapping | None
    evaluate: Evaluate = field(repr=False)
    quote: Callable[[str], str] | None = str

    def outcome(self, request: MappedRequest, response: AgentResponse) -> AgentOutcome:
        """Return the calls that the agent makes after it has sent the request."""
        fields: list[MappedField] = []
        calls = list(self.before_sending())
        try:
            # If this raises an exception, the calls before it have already been made.
            calls += self._responded(request, response, fields)
            error = response.failure or response.http_error
        except AgentFault as fault:  # a response that cannot be written as JSON
            error = str(fault)
        if error:
            calls += self.failed(was_sending=True)
        else:
            calls += self._logs(_FINISHED[self.message.subject]) if self._has_run else ()
        return AgentOutcome(response=response, calls=tuple(calls), fields=tuple(fields), error=error)

    def before_sending(self) -> tuple[AgentCall, ...]:
        """Return the calls that the agent makes before it sends the request."""
        return (*self._started(), *self._sending())

    def faulted(self, fault: str, *, was_sending: bool) -> AgentOutcome:
        """Return the calls of an agent that raises an exception before it sends the request."""
        before = self.before_sending() if was_sending else self._started()
        calls = (*before, *self.failed(was_sending=was_sending))
        return AgentOutcome(response=None, calls=calls, error=fault)

    def untouched(self) -> AgentOutcome:
        """Return the calls for a message for which no mapping is enabled, or whose signature does not match."""
        is_node = self.message.subject is Subject.NODE_RUN
        return AgentOutcome(response=None, calls=(self._patch(_NODE_FAILED),) if is_node else ())

    @property
    def _has_run(self) -> bool:
        return self.message.subject is not Subject.CHANGE

    def _started(self) -> Iterator[AgentCall]:
        """Yield the calls before the request is prepared.

        The log of an action run reports the preparation before it is done.
        """
        if self._has_run:
            yield from self._logs(*_RECEIVED[self.message.subject])

    def _sending(self) -> Iterator[AgentCall]:
        if self._has_run:
            yield from self._logs("Sending the request")

    def failed(self, *, was_sending: bool) -> Iterator[AgentCall]:
        """Yield the calls after an exception. The invoker reports a node run, and the polling loop reports any run."""
        is_node = self.message.subject is Subject.NODE_RUN
        if is_node and was_sending:
            yield self._patch(_NODE_FAILED)
        if self.message.transport is AgentTransport.POLLING and self._has_run:
            yield self._patch(_NODE_FAILED if is_node else _GIVEN_UP)

    def _responded(
        self, request: MappedRequest, response: AgentResponse, fields: list[MappedField]
    ) -> Iterator[AgentCall]:
        if response.failure or not self._has_run:
            return
        yield from self._logs(self._response_text(response))
        if self.message.subject is Subject.ACTION_RUN:
            yield from self._action_calls(request, response, fields)
        elif response.is_ok and self.message.is_synchronized:
            output = {"response": {"status": response.status, "data": response.content or {}}}
            yield self._patch(_checked({"status": "COMPLETED", "result": "SUCCESS", "output": output}))

    def _response_text(self, response: AgentResponse) -> str:
        if response.is_ok:
            return f"Action invocation has completed successfully with status code: {response.status}"
        text = f"Action invocation failed with status code: {response.status}"
        return text if self.quote is None else f"{text} and response: {self.quote(response.text)}"

    def _action_calls(
        self, request: MappedRequest, response: AgentResponse, fields: list[MappedField]
    ) -> Iterator[AgentCall]:
        if self.message.is_synchronized and response.content:
            yield from self._logs("Reporting the run response")
            body = _checked({"response": response.content})
            yield AgentCall(method="PATCH", path=f"{self._path}/response", body=body)
            yield from self._logs("The run response was reported successfully ")
        if report := self._report(request, response, fields):
            yield self._patch(_checked(report))

    def _report(self, request: MappedRequest, response: AgentResponse, fields: list[MappedField]) -> dict[str, Any]:
        """Return the update of the run. Each key in the mapping's `report` replaces the default of this key."""
        report = self._default_report(response)
        mapped = None if self.mapping is None else self.mapping.report
        if mapped is not None and self.mapping is not None:
            context = {
                "body": self.message.document,
                "request": request.document(),
                "response": response.document(),
            }
            values, results = apply_expressions(mapped, f"{self.mapping.place}.report", context, self.evaluate)
            fields += results
            report = {**report, **values}
        return {name: value for name, value in report.items() if value is not None}

    def _default_report(self, response: AgentResponse) -> dict[str, Any]:
        status = "FAILURE" if not response.is_ok else "SUCCESS" if self.message.is_synchronized else None
        summary = f"Failed to invoke the webhook with status code: {response.status}."
        if self.quote is not None and not response.is_ok:
            summary += f" Response: {self.quote(response.text)}"
        return {
            "status": status,
            "link": None,
            "summary": None if response.is_ok else summary,
            "externalRunId": None,
        }

    @property
    def _path(self) -> str:
        base = "workflows/nodes" if self.message.subject is Subject.NODE_RUN else "actions"
        return f"/v1/{base}/runs/{self.message.run_id}"

    def _patch(self, body: Mapping[str, Any]) -> AgentCall:
        return AgentCall(method="PATCH", path=self._path, body=dict(body))

    def _logs(self, *texts: str) -> Iterator[AgentCall]:
        for text in texts:
            is_node = self.message.subject is Subject.NODE_RUN
            body = {"logs": [{"level": "INFO", "message": text}]} if is_node else {"message": text}
            yield AgentCall(method="POST", path=f"{self._path}/logs", body=body)


def _not(value: Any) -> str:
    if isinstance(value, bool):
        return ", not true or false"
    return ", not a number" if isinstance(value, int | float) else ""


def _checked(body: dict[str, Any]) -> dict[str, Any]:
    """Return a body that can be sent. Raises AgentFault for NaN and infinity, which Python accepts in JSON."""
    json_content(body)
    return body


CLAIM_LIMIT = 100
MOST_LISTED = 1000
LIST_PATH = f"/v1/actions/runs?active=true&limit={MOST_LISTED}&version=v2"
"""The route of Port's documented list of action runs in progress. Reading the list doesn't claim the runs."""

_INSTALLATION = "_PORT_EXEC_AGENT"
_RESERVED = {"x-port-reserved-usage": "true"}


def taking_calls(message: AgentMessage) -> tuple[AgentCall, ...]:
    """Return the calls by which the agent gets a polled run. For a message of a topic, the result is empty."""
    if message.transport is not AgentTransport.POLLING or message.subject is Subject.CHANGE:
        return ()
    is_node = message.subject is Subject.NODE_RUN
    route = "/v1/workflows/runs" if is_node else "/v1/actions/runs"
    wanted = {
        "installationId": _INSTALLATION,
        "limit": CLAIM_LIMIT,
        **({} if is_node else {"invocationMethod": "WEBHOOK"}),
    }
    taken = {"nodeRunIdentifier": message.run_id} if is_node else {"runIds": [message.run_id]}
    return (
        AgentCall(method="POST", path=f"{route}/claim-pending", body=wanted, headers=_RESERVED),
        AgentCall(method="PATCH", path=f"{route}/ack", body=taken, headers=_RESERVED),
    )


def listed_runs(response: Mapping[str, Any], *, since_s: float | None) -> list[dict[str, Any]]:
    """Return the runs in a list that are for the agent and were created at or after `since_s`, oldest first."""
    found = [
        run
        for run in _runs(response.get("runs"))
        if _is_for_agent(run) and (since_s is None or _created_s(run) >= since_s)
    ]
    return sorted(found, key=_created_s)


def is_full(response: Mapping[str, Any]) -> bool:
    """Return whether a list contains its maximum number of runs, so that other runs may be missing."""
    found = response.get("runs")
    return isinstance(found, list) and len(found) >= MOST_LISTED


def action_of(run: Mapping[str, Any]) -> str:
    """Return the identifier of a run's action, or "" if the action is unknown."""
    action = run.get("action")
    found = action.get("identifier") if isinstance(action, Mapping) else None
    return found if isinstance(found, str) else ""


def _runs(found: Any) -> Iterator[dict[str, Any]]:
    for run in found if isinstance(found, list) else ():
        if isinstance(run, dict) and isinstance(run.get("id"), str):
            yield run


def _is_for_agent(run: Mapping[str, Any]) -> bool:
    payload = run.get("payload")
    return isinstance(payload, Mapping) and payload.get("type") == "WEBHOOK" and bool(payload.get("agent"))


def _created_s(run: Mapping[str, Any]) -> float:
    """Return when a run was created. A run without a valid time counts as new."""
    try:
        return datetime.fromisoformat(str(run.get("createdAt"))).timestamp()
    except (ValueError, OverflowError, OSError):
        return float("inf")
