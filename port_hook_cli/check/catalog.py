"""The checks of a handler: what each check sends, what it expects, why it matters, and how to fix a finding.

A slug never changes its meaning. docs/reference/handler-checks.md is generated from this table.
"""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple

from port_hook_cli.check.languages import COMPACT, JOIN, LIMIT, WHOLE
from port_hook_cli.errors import UsageError


class CheckGroup(StrEnum):
    """The topic of a check."""

    SIGNATURE = "signature"
    FORM = "form"
    REPEATS = "repeats"
    REPORTS = "reports"

    @property
    def about(self) -> str:
        """The question that the checks of the group answer."""
        return _ABOUT[self]


_ABOUT = {
    CheckGroup.SIGNATURE: "Does the handler accept what Port signed, and nothing else?",
    CheckGroup.FORM: "Does the handler accept every request that Port can send, and survive broken requests?",
    CheckGroup.REPEATS: "Does the handler do the work of each run exactly once?",
    CheckGroup.REPORTS: "Does the handler report the result of each run to Port?",
}


class CheckSeverity(StrEnum):
    """How serious it is if a handler does not pass a check."""

    FAILURE = "failure"
    WARNING = "warning"
    INFORMATION = "information"


class HandlerCheck(NamedTuple):
    """One check of a handler.

    `failure` continues "The handler …" for a handler that does not pass the check. `request` describes what is sent.
    `gap` shows where Port's documentation has the same mistake. `only` describes the requests to which the check
    applies, or is "" for all requests. `starts` is the number of requests that start work if the handler does not
    verify them, in addition to the first valid requests.
    """

    slug: str
    group: CheckGroup
    severity: CheckSeverity
    failure: str
    request: str
    expected: str
    why: str
    fix: str
    gap: str = ""
    only: str = ""
    starts: int = 0


_S, _F, _R, _P = CheckGroup
_FAILURE, _WARNING, _INFORMATION = CheckSeverity
_ACCEPTED, REJECTED = "accepted", "rejected"

RULE = (
    'Compute `"v1," + base64(HMAC-SHA-256(client secret, timestamp + "." + raw body))`, and compare it with '
    "x-port-signature in constant time."
)
"""The rule for verifying a signature."""
_AGE = "Respond with 401 if x-port-timestamp (in seconds) is more than 300 seconds before or after the current time."
_EXIT = "Exit at startup if PORT_CLIENT_SECRET is not set or is empty."
_ANYONE = "Anyone who knows the URL can start the work."
_LOST = "The handler never starts the work of the run."
_TWICE = "Port's execution agent delivers at least once, and a retry or a user can deliver a run again."
_ONCE = "Save the run ID before the work, in a database that all workers share. If it is there, only respond with 2xx."
_IN_PROGRESS = "The run stays IN_PROGRESS in Port, so whoever started it never learns the result."
_CRASH = "One broken request must not affect the requests after it."
_TEMPLATE = "A mistake in the action's body template can produce such a body."
_NOT_5XX = "any response except 5xx"

CHECKS: tuple[HandlerCheck, ...] = (
    HandlerCheck(
        slug="valid",
        group=_S,
        severity=_FAILURE,
        failure="rejects a valid request",
        request="a correctly signed request, with characters and numbers that serializers write differently",
        expected=_ACCEPTED,
        why="Port can send requests like this for any run.",
        fix=RULE,
    ),
    HandlerCheck(
        slug="valid-milliseconds",
        group=_S,
        severity=_INFORMATION,
        failure="does not respond to timestamps in milliseconds",
        request="the same request, with a timestamp in milliseconds",
        expected="any response",
        why="Port documents seconds, but several of Port's sample handlers expect milliseconds.",
        fix="No change is needed. Port sends seconds.",
        starts=1,
    ),
    HandlerCheck(
        slug="valid-agent",
        group=_S,
        severity=_FAILURE,
        failure="rejects the requests of Port's execution agent",
        request="an execution agent's request, whose signature covers the body without spaces after commas and colons",
        expected=_ACCEPTED,
        why="The agent sends the body with spaces, so the signature never matches the raw body.",
        fix=f"If the raw body does not match the signature, {COMPACT}",
        gap="The Python verifier in Port's documentation also rejects these requests.",
        only="actions with `agent: true`",
        starts=1,
    ),
    HandlerCheck(
        slug="no-signature",
        group=_S,
        severity=_FAILURE,
        failure="accepts a request without a signature",
        request="a request without x-port-signature, and a request without both headers",
        expected=REJECTED,
        why=_ANYONE,
        fix="Respond with 401 if x-port-signature is missing.",
        starts=2,
    ),
    HandlerCheck(
        slug="no-timestamp",
        group=_S,
        severity=_FAILURE,
        failure="accepts a request without a timestamp",
        request="a valid signature without x-port-timestamp",
        expected=REJECTED,
        why="The handler cannot tell an old request from a new one.",
        fix="Respond with 401 if x-port-timestamp is missing.",
        starts=1,
    ),
    HandlerCheck(
        slug="other-secret",
        group=_S,
        severity=_FAILURE,
        failure="accepts a signature made with another secret",
        request="a request signed with another secret",
        expected=REJECTED,
        why=_ANYONE,
        fix=RULE,
        starts=1,
    ),
    HandlerCheck(
        slug="empty-secret",
        group=_S,
        severity=_FAILURE,
        failure="accepts a signature made with an empty secret",
        request="a request signed with an empty secret",
        expected=REJECTED,
        why="Anyone can make this signature.",
        fix=f"Compute the signature with the client secret only. {_EXIT}",
        starts=1,
    ),
    HandlerCheck(
        slug="default-secret",
        group=_S,
        severity=_FAILURE,
        failure="accepts a signature made with a placeholder secret",
        request="requests signed with `undefined`, `None`, `null` and `<CLIENT_SECRET>`",
        expected=REJECTED,
        why="Anyone can guess these placeholders for a missing secret.",
        fix="Exit at startup if PORT_CLIENT_SECRET is not set, and do not convert a missing value to a string.",
        starts=4,
    ),
    HandlerCheck(
        slug="secret-unset",
        group=_S,
        severity=_FAILURE,
        failure="accepts requests without a valid signature if its secret is not set",
        request="requests without a valid signature, after a restart without PORT_CLIENT_SECRET",
        expected="the command does not start, or rejects the requests",
        why="If a deployment lacks the secret, anyone can start the work, and nobody notices.",
        fix=_EXIT,
        only="checks that start the handler",
        starts=1,
    ),
    HandlerCheck(
        slug="body-changed",
        group=_S,
        severity=_FAILURE,
        failure="accepts a changed body",
        request="a valid signature, and a body with one changed letter or number",
        expected=REJECTED,
        why="Anyone who can change a request in transit can choose its inputs.",
        fix=RULE,
        starts=1,
    ),
    HandlerCheck(
        slug="timestamp-changed",
        group=_S,
        severity=_FAILURE,
        failure="accepts a changed timestamp",
        request="a valid signature, and a timestamp that is one second later",
        expected=REJECTED,
        why="Anyone with an old request can send it again with a new timestamp.",
        fix=RULE,
        starts=1,
    ),
    HandlerCheck(
        slug="body-only",
        group=_S,
        severity=_FAILURE,
        failure="accepts a signature that does not cover the timestamp",
        request="a signature of the body alone",
        expected=REJECTED,
        why="Anyone with an old request can send it again with a new timestamp.",
        fix='Accept only signatures of `timestamp + "." + raw body`.',
        starts=1,
    ),
    HandlerCheck(
        slug="prefix",
        group=_S,
        severity=_FAILURE,
        failure="accepts a signature if only its beginning is correct",
        request="signatures with only the first 8 characters correct",
        expected=REJECTED,
        why="A few characters are easier to guess than a whole signature.",
        fix=WHOLE,
        starts=2,
    ),
    HandlerCheck(
        slug="empty-value",
        group=_S,
        severity=_FAILURE,
        failure="accepts an empty signature",
        request="the signature `v1,`",
        expected=REJECTED,
        why=_ANYONE,
        fix=WHOLE,
        starts=1,
    ),
    HandlerCheck(
        slug="old",
        group=_S,
        severity=_FAILURE,
        failure="accepts an old timestamp",
        request="requests signed 10 minutes ago, in seconds and in milliseconds",
        expected=REJECTED,
        why="Anyone with a copy of a request, for example from a log, can send it again at any time.",
        fix=_AGE,
        gap="The verifiers in Port's documentation do not check the age either.",
        starts=2,
    ),
    HandlerCheck(
        slug="future",
        group=_S,
        severity=_INFORMATION,
        failure="accepts a timestamp in the future",
        request="a request signed 10 minutes ahead",
        expected=REJECTED,
        why="Only someone with the secret can sign such a request, but it can be sent again for longer.",
        fix=_AGE,
        starts=1,
    ),
    HandlerCheck(
        slug="rejection-status",
        group=_S,
        severity=_WARNING,
        failure="rejects forged requests with a status other than 4xx",
        request="all rejected forged requests",
        expected="a 4xx status",
        why="A 5xx status looks like a bug in the handler, and a 2xx status looks like success.",
        fix="Respond with 401 to a request without a valid signature.",
        starts=2,
    ),
    HandlerCheck(
        slug="survives",
        group=_S,
        severity=_FAILURE,
        failure="mishandles malformed requests",
        request="the signatures `x`, `v1`, 5,000 characters and `é`, a body that is not UTF-8, a body nested 3,000 "
        "levels deep, then a valid request",
        expected="4xx for each malformed request, and the valid request is accepted",
        why=_CRASH,
        fix="Verify before you parse the body. Check that both headers exist and are well-formed. Catch every error, "
        "including in async code.",
        starts=5,
    ),
    HandlerCheck(
        slug="method",
        group=_F,
        severity=_FAILURE,
        failure="has no route for the action's method",
        request="a request with the action's method",
        expected=_ACCEPTED,
        why=_LOST,
        fix="Add a route for this method, or change `method` in the action's `invocationMethod`.",
    ),
    HandlerCheck(
        slug="header-case",
        group=_F,
        severity=_FAILURE,
        failure="rejects header names in capitals",
        request="X-PORT-SIGNATURE and X-PORT-TIMESTAMP",
        expected=_ACCEPTED,
        why="Header names are case-insensitive, and proxies and HTTP/2 change their case.",
        fix="Read headers through your framework, or convert their names to lowercase.",
        starts=1,
    ),
    HandlerCheck(
        slug="charset",
        group=_F,
        severity=_FAILURE,
        failure="rejects a content-type with a charset",
        request="the content-type `application/json; charset=utf-8`",
        expected=_ACCEPTED,
        why="Proxies and an action's custom headers can add a charset.",
        fix="Compare only the part of the content-type before `;`.",
        starts=1,
    ),
    HandlerCheck(
        slug="size",
        group=_F,
        severity=_FAILURE,
        failure="rejects large bodies",
        request="bodies of 90 kB and 1 MB",
        expected="90 kB is accepted. 1 MB is accepted or gets 413",
        why="Payloads with an entity or many inputs are large.",
        fix=LIMIT,
        starts=2,
    ),
    HandlerCheck(
        slug="at-once",
        group=_F,
        severity=_WARNING,
        failure="does not accept many concurrent requests",
        request="20 concurrent requests, then a valid request",
        expected="all are accepted",
        why="An automation can start many runs at the same time.",
        fix="Respond before you do the work. Queue concurrent requests instead of rejecting them.",
        starts=21,
    ),
    HandlerCheck(
        slug="slow",
        group=_F,
        severity=_WARNING,
        failure="does not accept a body that arrives in pieces",
        request="a body in pieces, one of which ends inside a character, then a valid request",
        expected="both are accepted",
        why="A network can split a request into several packets.",
        fix=f"Read the body in a loop until you have `Content-Length` bytes. {JOIN}",
        starts=2,
    ),
    HandlerCheck(
        slug="cut-off",
        group=_F,
        severity=_WARNING,
        failure="stops accepting requests after a disconnect",
        request="half a request and a disconnect, then a valid request",
        expected="the valid request is accepted",
        why=_CRASH,
        fix="Catch the error for a body that ends early. Serve each connection independently, with a timeout for "
        "reading a request.",
        starts=1,
    ),
    HandlerCheck(
        slug="not-json",
        group=_F,
        severity=_WARNING,
        failure="fails on a body that is not JSON",
        request="correctly signed bodies that are not JSON",
        expected=_NOT_5XX,
        why=_TEMPLATE,
        fix="Catch the parser's error, and respond with 400 or 422.",
    ),
    HandlerCheck(
        slug="not-object",
        group=_F,
        severity=_WARNING,
        failure="fails on JSON that is not an object",
        request='the correctly signed bodies `[]`, `null` and `"text"`',
        expected=_NOT_5XX,
        why=_TEMPLATE,
        fix="Check that the body is an object. Otherwise, respond with 400 or 422.",
    ),
    HandlerCheck(
        slug="fields",
        group=_F,
        severity=_WARNING,
        failure="fails on missing fields",
        request="the correctly signed body `{}`, and payloads with null instead of objects",
        expected=_NOT_5XX,
        why="Port's payloads differ between actions, automations and workflows, and `entity` is often null.",
        fix="Check that the fields exist before you use them. Otherwise, respond with 422.",
        starts=1,
    ),
    HandlerCheck(
        slug="unknown-action",
        group=_F,
        severity=_WARNING,
        failure="fails on an unknown action",
        request="a correctly signed payload with the name of another action",
        expected=_NOT_5XX,
        why="Other actions can use the same URL.",
        fix="Respond with 404 or 422 if the handler does not know the action.",
        only="payloads with the name of an action",
        starts=1,
    ),
    HandlerCheck(
        slug="same-delivery",
        group=_R,
        severity=_WARNING,
        failure="does its work twice if a request is delivered twice",
        request="the same bytes twice",
        expected="the work is done once",
        why=_TWICE,
        fix=_ONCE,
        starts=2,
    ),
    HandlerCheck(
        slug="same-run",
        group=_R,
        severity=_WARNING,
        failure="does its work twice if a run is delivered twice",
        request="the same run twice, newly signed each time",
        expected="the work is done once",
        why=_TWICE,
        fix=_ONCE,
        starts=2,
    ),
    HandlerCheck(
        slug="same-run-at-once",
        group=_R,
        severity=_WARNING,
        failure="does its work twice if a run is delivered twice at the same time",
        request="two concurrent requests with the same bytes",
        expected="the work is done once",
        why=_TWICE,
        fix="Before you start the work, save the run ID in one atomic step, such as an INSERT under a unique key.",
        starts=2,
    ),
    HandlerCheck(
        slug="ten-runs",
        group=_R,
        severity=_FAILURE,
        failure="loses runs that arrive at the same time",
        request="ten concurrent runs",
        expected="the result of each run is reported",
        why=_IN_PROGRESS,
        fix="Store the data of a run in local variables, not in global variables that concurrent requests share.",
        starts=10,
    ),
    HandlerCheck(
        slug="order",
        group=_R,
        severity=_FAILURE,
        failure="loses runs that arrive out of order",
        request="three runs, each with an earlier timestamp than the run before",
        expected="the result of each run is reported (without a sandbox: each request is accepted)",
        why="Requests can arrive in a different order than Port sends them.",
        fix="Compare each timestamp with the current time, not with the timestamp of an earlier request.",
        starts=3,
    ),
    HandlerCheck(
        slug="terminal",
        group=_P,
        severity=_FAILURE,
        failure="does not report the result of the run",
        request="a valid request",
        expected="a report that ends the run",
        why=_IN_PROGRESS,
        fix='Send `{"status": "SUCCESS"}` or `{"status": "FAILURE"}` with PATCH /v1/actions/runs/RUN_ID. If the work '
        "takes longer, check with inputs that take less time.",
        only="asynchronous actions and automations",
    ),
    HandlerCheck(
        slug="once",
        group=_P,
        severity=_FAILURE,
        failure="reports the result of the run more than once",
        request="a valid request",
        expected="one report that ends the run",
        why="Port rejects the second report.",
        fix="Report the result in one place, after the work.",
    ),
    HandlerCheck(
        slug="after-work",
        group=_P,
        severity=_FAILURE,
        failure="reports the result of the run before the work is done",
        request="a valid request",
        expected="no changes after the report that ends the run",
        why="Port links changes of entities to a run only while the run is IN_PROGRESS.",
        fix="Report the result after the last change.",
    ),
    HandlerCheck(
        slug="failure-reported",
        group=_P,
        severity=_FAILURE,
        failure="does not report that its work failed",
        request="correctly signed requests with inputs that probably make the work fail",
        expected="a report of the failure",
        why=_IN_PROGRESS,
        fix='Catch every error in the work, and report `{"status": "FAILURE", "summary": "…"}`.',
        starts=4,
    ),
    HandlerCheck(
        slug="sync-status",
        group=_P,
        severity=_FAILURE,
        failure="responds with 2xx when a synchronous run fails",
        request="correctly signed requests with inputs that probably make the work fail",
        expected="any status except 2xx",
        why="The response ends a synchronous run, and a 2xx status means SUCCESS.",
        fix="Respond with 422 if the inputs are invalid, and with 500 if the work fails.",
        only="synchronous actions",
        starts=4,
    ),
    HandlerCheck(
        slug="node-result",
        group=_P,
        severity=_FAILURE,
        failure="does not complete the node run with a result",
        request="the valid request of a workflow node",
        expected="COMPLETED with a result",
        why="The workflow waits for the node run to be COMPLETED, and its result decides which node is next.",
        fix='Send `{"status": "COMPLETED", "result": "SUCCESS"}` with PATCH /v1/workflows/nodes/runs/NODE_RUN_ID.',
        only="asynchronous workflow nodes",
    ),
)

BY_SLUG = {check.slug: check for check in CHECKS}
"""The checks by their slugs, in the order of the table."""


def slugs_of(*groups: CheckGroup) -> tuple[str, ...]:
    """Return the slugs of the checks in these groups."""
    return tuple(check.slug for check in CHECKS if check.group in groups)


def selected(only: tuple[str, ...] = (), skip: tuple[str, ...] = ()) -> frozenset[str]:
    """Return the slugs in `only`, or all slugs if `only` is empty, without the slugs in `skip`.

    Both arguments may contain slugs and groups. Raises UsageError for an unknown name.
    """
    chosen = _named(only) if only else frozenset(BY_SLUG)
    return chosen - _named(skip)


def _named(names: tuple[str, ...]) -> frozenset[str]:
    found = set[str]()
    for name in names:
        slugs = {name} & BY_SLUG.keys() or {check.slug for check in CHECKS if check.group == name}
        if not slugs:
            raise UsageError(f"Unknown check or group: {name!r}.", hint="`port-hook check --list` lists the checks.")
        found |= slugs
    return frozenset(found)
