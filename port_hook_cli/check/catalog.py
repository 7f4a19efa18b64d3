"""The checks of a handler: what each sends, what it expects, why it matters, and how to fix what it finds.

A slug never changes its meaning. docs/reference/handler-checks.md is generated from this table.
"""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple

from port_hook_cli.errors import UsageError


class CheckGroup(StrEnum):
    """What a check is about."""

    SIGNATURE = "signature"
    FORM = "form"
    REPEATS = "repeats"
    REPORTS = "reports"

    @property
    def about(self) -> str:
        """What the checks of the group find out, as a sentence."""
        return _ABOUT[self]


_ABOUT = {
    CheckGroup.SIGNATURE: "Does the handler accept what Port signed, and nothing else?",
    CheckGroup.FORM: "Does it read every request that Port can send, and survive those that Port cannot send?",
    CheckGroup.REPEATS: "Does it do its work once for each run?",
    CheckGroup.REPORTS: "Does Port learn how each run ended?",
}


class CheckSeverity(StrEnum):
    """How serious it is if a handler does not react as expected."""

    FAILURE = "failure"
    WARNING = "warning"
    INFORMATION = "information"


class HandlerCheck(NamedTuple):
    """One check.

    `failure` is what a handler does that does not pass it, after "the handler". `request` is what is sent. `gap` says
    where Port's documentation has the same mistake. `only` says for which requests the check exists, or "". `starts` is
    the number of requests that a correct handler accepts, each of which starts its work.
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
_ACCEPTED, _REFUSED = "accepted", "refused"

_RULE = (
    'Compare the part after `v1,` with base64(HMAC-SHA-256(client secret, timestamp + "." + raw body)), '
    "in constant time."
)
_ANYBODY = "Anybody who knows the URL can start the work."
_LOST = "A run that Port started is lost."
_TWICE = "Networks, users and Port's execution agent, which reads Kafka at least once, deliver a run again."
_ONCE = "Remember the ids of runs in a place that all workers share. Respond with 2xx to a repeated run, without work."
_IN_PROGRESS = "The run stays IN_PROGRESS in Port, and whoever started it does not learn what happened."
_CRASH = "A broken request must not stop or slow the handler for the requests after it."

CHECKS: tuple[HandlerCheck, ...] = (
    HandlerCheck(
        slug="valid",
        group=_S,
        severity=_FAILURE,
        failure="refuses a valid request",
        request="a request signed as Port signs, whose body has characters and numbers that serializers write in "
        "different ways",
        expected=_ACCEPTED,
        why="The handler refuses what Port sends.",
        fix=_RULE,
        starts=1,
    ),
    HandlerCheck(
        slug="valid-milliseconds",
        group=_S,
        severity=_INFORMATION,
        failure="refuses a timestamp in milliseconds",
        request="the same request, with a timestamp in milliseconds",
        expected=_ACCEPTED,
        why="Port documents seconds. Several backends that Port published expect milliseconds.",
        fix="Nothing has to change while Port sends seconds.",
        starts=1,
    ),
    HandlerCheck(
        slug="valid-agent",
        group=_S,
        severity=_FAILURE,
        failure="refuses the requests of Port's execution agent",
        request="the request that the execution agent sends: its body has spaces after commas and colons, and the "
        "signature is of the body without them",
        expected=_ACCEPTED,
        why="The execution agent writes the body again after it signs it, so its signature never matches the raw body.",
        fix="If the raw body does not match, also try `json.dumps(body, separators=(',', ':'))`.",
        gap="Port's documented Python verifier refuses these requests, too.",
        only="actions with `agent: true`",
        starts=1,
    ),
    HandlerCheck(
        slug="no-signature",
        group=_S,
        severity=_FAILURE,
        failure="accepts a request without a signature",
        request="a request without x-port-signature",
        expected=_REFUSED,
        why=_ANYBODY,
        fix="Respond with 401 if x-port-signature is missing.",
    ),
    HandlerCheck(
        slug="no-timestamp",
        group=_S,
        severity=_FAILURE,
        failure="accepts a request without a timestamp",
        request="a valid signature without x-port-timestamp",
        expected=_REFUSED,
        why="Without a timestamp, an old request cannot be told from a new one.",
        fix="Respond with 401 if x-port-timestamp is missing.",
    ),
    HandlerCheck(
        slug="other-secret",
        group=_S,
        severity=_FAILURE,
        failure="accepts a signature of another secret",
        request="a request signed with another secret",
        expected=_REFUSED,
        why=_ANYBODY,
        fix=_RULE,
    ),
    HandlerCheck(
        slug="empty-secret",
        group=_S,
        severity=_FAILURE,
        failure="accepts a signature of the empty secret",
        request="a request signed with an empty secret",
        expected=_REFUSED,
        why="Anybody can make this signature.",
        fix="Exit at the start if PORT_CLIENT_SECRET is not set or empty.",
    ),
    HandlerCheck(
        slug="default-secret",
        group=_S,
        severity=_FAILURE,
        failure="accepts a signature of a default secret",
        request="requests signed with `undefined`, `None`, `null` and `<CLIENT_SECRET>`",
        expected=_REFUSED,
        why="Programs write a missing variable as this text, and examples contain it, so anybody can sign.",
        fix="Exit at the start if PORT_CLIENT_SECRET is not set. Never convert a missing secret to text.",
    ),
    HandlerCheck(
        slug="secret-unset",
        group=_S,
        severity=_FAILURE,
        failure="accepts everything if its secret is not set",
        request="requests without a valid signature, to the command started without PORT_CLIENT_SECRET",
        expected="the command does not start, or it refuses the requests",
        why="A deployment that forgets the secret works for everybody, so nobody notices.",
        fix="Exit at the start if PORT_CLIENT_SECRET is not set.",
        only="a check that starts the handler",
    ),
    HandlerCheck(
        slug="body-changed",
        group=_S,
        severity=_FAILURE,
        failure="accepts a body that was changed",
        request="a valid signature, and one letter of a value changed in the body",
        expected=_REFUSED,
        why="Whoever can change requests on the way chooses the inputs.",
        fix=_RULE,
    ),
    HandlerCheck(
        slug="timestamp-changed",
        group=_S,
        severity=_FAILURE,
        failure="accepts a timestamp that was changed",
        request="a valid signature, and a timestamp that is one second later than the signed timestamp",
        expected=_REFUSED,
        why="An old request with a new timestamp passes as new.",
        fix=_RULE,
    ),
    HandlerCheck(
        slug="body-only",
        group=_S,
        severity=_FAILURE,
        failure="accepts a signature of the body without the timestamp",
        request="a signature of the body without the timestamp",
        expected=_REFUSED,
        why="An old request with a new timestamp passes as new.",
        fix='Accept only signatures of timestamp + "." + raw body.',
    ),
    HandlerCheck(
        slug="prefix",
        group=_S,
        severity=_FAILURE,
        failure="accepts a signature of which only the beginning is right",
        request="a signature whose first 8 characters are right",
        expected=_REFUSED,
        why="A few right characters can be found by trying.",
        fix="Compare the whole signature, in constant time.",
    ),
    HandlerCheck(
        slug="empty-value",
        group=_S,
        severity=_FAILURE,
        failure="accepts an empty signature",
        request="the signature `v1,` with nothing after the comma",
        expected=_REFUSED,
        why=_ANYBODY,
        fix="Compare the whole signature. Do not ask whether one text begins with the other.",
    ),
    HandlerCheck(
        slug="old",
        group=_S,
        severity=_FAILURE,
        failure="accepts an old timestamp",
        request="a request signed 10 minutes ago",
        expected=_REFUSED,
        why="Whoever has one request, from a log for example, can send it again at any time.",
        fix="Compare x-port-timestamp with the clock. Refuse a difference of more than 5 minutes.",
        gap="The verifiers in Port's documentation do not check the age, either.",
    ),
    HandlerCheck(
        slug="future",
        group=_S,
        severity=_INFORMATION,
        failure="accepts a timestamp in the future",
        request="a request signed 10 minutes ahead",
        expected=_REFUSED,
        why="Only the owner of the secret can sign it, but it can be sent again for longer.",
        fix="Refuse a difference of more than 5 minutes in both directions.",
    ),
    HandlerCheck(
        slug="refusal-status",
        group=_S,
        severity=_WARNING,
        failure="refuses requests with a status that does not say so",
        request="all requests that were refused",
        expected="a 4xx status",
        why="A 5xx status looks like a fault of the handler, and a 2xx status like success.",
        fix="Respond with 401 to a request without a valid signature.",
    ),
    HandlerCheck(
        slug="survives",
        group=_S,
        severity=_FAILURE,
        failure="does not survive a malformed signature",
        request="the signatures `x`, `v1`, 5,000 characters and `é`, a body that is not UTF-8, and a body with 3,000 "
        "levels, then a valid request",
        expected="a 4xx status for each, and the valid request is accepted",
        why=_CRASH,
        fix="Check that the signature has the form `v1,…` before you use it, and verify it before you read the body.",
        starts=1,
    ),
    HandlerCheck(
        slug="method",
        group=_F,
        severity=_FAILURE,
        failure="has no route for the method of the action",
        request="a request with the method of the action",
        expected=_ACCEPTED,
        why=_LOST,
        fix="Add a route for this method, or change the method of the action.",
    ),
    HandlerCheck(
        slug="header-case",
        group=_F,
        severity=_FAILURE,
        failure="refuses header names in another case",
        request="X-PORT-SIGNATURE and X-PORT-TIMESTAMP in capitals",
        expected=_ACCEPTED,
        why="Header names have no case. Proxies and HTTP/2 change it.",
        fix="Read headers through your framework, or compare their names in lower case.",
        starts=1,
    ),
    HandlerCheck(
        slug="charset",
        group=_F,
        severity=_FAILURE,
        failure="refuses a content-type with a charset",
        request="the content-type `application/json; charset=utf-8`",
        expected=_ACCEPTED,
        why="Proxies and custom headers of an action can add the charset.",
        fix="Compare only the part of the content-type before `;`.",
        starts=1,
    ),
    HandlerCheck(
        slug="size",
        group=_F,
        severity=_FAILURE,
        failure="refuses large bodies",
        request="bodies of 90 kB and of 1 MB",
        expected="90 kB is accepted. 1 MB is accepted or gets 413",
        why="Payloads with an entity or with many inputs are large.",
        fix="Raise the limit of the body parser to 1 MB.",
        starts=2,
    ),
    HandlerCheck(
        slug="at-once",
        group=_F,
        severity=_WARNING,
        failure="does not answer requests that arrive together",
        request="20 requests together, then a valid request",
        expected="each is answered, and the valid request is accepted",
        why="An automation can start many runs together.",
        fix="Respond first, and do the work afterwards. Let requests wait for each other rather than refuse them.",
        starts=21,
    ),
    HandlerCheck(
        slug="slow",
        group=_F,
        severity=_WARNING,
        failure="does not answer a slow sender",
        request="a request whose body arrives in pieces, then a valid request",
        expected="both are accepted",
        why="A request may arrive in several packets.",
        fix="Read until content-length bytes have arrived.",
        starts=2,
    ),
    HandlerCheck(
        slug="cut-off",
        group=_F,
        severity=_WARNING,
        failure="does not survive a disconnect",
        request="half of a request, then a disconnect, then a valid request",
        expected="the valid request is accepted",
        why=_CRASH,
        fix="Serve each request on its own, with a timeout for reading it.",
        starts=1,
    ),
    HandlerCheck(
        slug="not-json",
        group=_F,
        severity=_WARNING,
        failure="fails on a body that is not JSON",
        request="a well-signed body that is not JSON",
        expected="a response, and no 5xx status",
        why="The body template of an action can render to such a body.",
        fix="Respond with 400 or 422 if the body cannot be read.",
    ),
    HandlerCheck(
        slug="not-object",
        group=_F,
        severity=_WARNING,
        failure="fails on JSON that is not an object",
        request='the well-signed bodies `[]`, `null` and `"text"`',
        expected="a response, and no 5xx status",
        why="The body template of an action can render to such a body.",
        fix="Respond with 400 or 422 if the body is not an object.",
    ),
    HandlerCheck(
        slug="fields",
        group=_F,
        severity=_WARNING,
        failure="fails on missing fields",
        request="the well-signed body `{}`, and the payload with null in place of each of its objects",
        expected="a response, and no 5xx status",
        why="Port's payloads differ between actions, automations and workflows, and `entity` is often null.",
        fix="Check that the fields exist. Respond with 422 if one is missing.",
    ),
    HandlerCheck(
        slug="unknown-action",
        group=_F,
        severity=_WARNING,
        failure="fails on an unknown action",
        request="the payload of an action that the handler does not know",
        expected="a response, and no 5xx status",
        why="Someone points another action at the same URL.",
        fix="Respond with 404 or 422 to an action that the handler does not know.",
        only="payloads that name their action",
    ),
    HandlerCheck(
        slug="same-delivery",
        group=_R,
        severity=_WARNING,
        failure="does its work twice for the same request",
        request="the same bytes twice",
        expected="one effect",
        why=_TWICE,
        fix=_ONCE,
        starts=1,
    ),
    HandlerCheck(
        slug="same-run",
        group=_R,
        severity=_WARNING,
        failure="does its work twice for the same run",
        request="a run twice, each time newly signed",
        expected="one effect",
        why=_TWICE,
        fix=_ONCE,
        starts=1,
    ),
    HandlerCheck(
        slug="same-run-at-once",
        group=_R,
        severity=_WARNING,
        failure="does its work twice if a run arrives twice together",
        request="the same bytes twice, both together",
        expected="one effect",
        why=_TWICE,
        fix="Remember the id of the run before the work begins, in one atomic step.",
        starts=1,
    ),
    HandlerCheck(
        slug="ten-runs",
        group=_R,
        severity=_FAILURE,
        failure="mixes up runs that arrive together",
        request="ten runs together",
        expected="one report for each",
        why=_IN_PROGRESS,
        fix="Hold what belongs to a run in local variables, not in variables that all requests share.",
        starts=10,
    ),
    HandlerCheck(
        slug="order",
        group=_R,
        severity=_FAILURE,
        failure="loses runs that arrive in another order",
        request="runs whose timestamps go back by a few seconds from one to the next",
        expected="one report for each",
        why="Requests overtake each other on the way.",
        fix="Compare each timestamp with the clock, not with the timestamp of an earlier request.",
        starts=3,
    ),
    HandlerCheck(
        slug="terminal",
        group=_P,
        severity=_FAILURE,
        failure="does not report the end of the run",
        request="a valid request",
        expected="a report that ends the run",
        why=_IN_PROGRESS,
        fix="Report SUCCESS or FAILURE with PATCH /v1/actions/runs/ID.",
    ),
    HandlerCheck(
        slug="once",
        group=_P,
        severity=_FAILURE,
        failure="reports the end of the run more than once",
        request="a valid request",
        expected="one report that ends the run",
        why="Port refuses the second report, so only the first result counts.",
        fix="Report the end in one place, after the work.",
    ),
    HandlerCheck(
        slug="after-work",
        group=_P,
        severity=_FAILURE,
        failure="reports the end of the run before its work is done",
        request="a valid request",
        expected="the last change comes before the report that ends the run",
        why="Port ties a change of an entity to its run only while the run is IN_PROGRESS.",
        fix="Report the end after the last change.",
    ),
    HandlerCheck(
        slug="failure-reported",
        group=_P,
        severity=_FAILURE,
        failure="does not report a failure",
        request="well-signed requests with inputs that the work probably cannot handle",
        expected="a report of FAILURE",
        why=_IN_PROGRESS,
        fix="Catch the errors of the work, and report FAILURE with a summary.",
        starts=4,
    ),
    HandlerCheck(
        slug="sync-status",
        group=_P,
        severity=_FAILURE,
        failure="responds with 2xx to a synchronous run that fails",
        request="well-signed requests with inputs that the work probably cannot handle",
        expected="a status that is not 2xx",
        why="Port ends a synchronous run with the response: 2xx means SUCCESS.",
        fix="Respond with a 4xx or 5xx status if the work failed.",
        only="synchronous actions",
        starts=4,
    ),
    HandlerCheck(
        slug="node-result",
        group=_P,
        severity=_FAILURE,
        failure="does not complete the node run with a result",
        request="a valid request of a workflow node",
        expected="COMPLETED with a result",
        why="The workflow does not go on before the node run is COMPLETED, and its result chooses the way.",
        fix='Send {"status": "COMPLETED", "result": "SUCCESS"} with PATCH /v1/workflows/nodes/runs/ID.',
        only="asynchronous workflow nodes",
    ),
)

BY_SLUG = {check.slug: check for check in CHECKS}
"""The checks by their slugs, in the order of the table."""


def slugs_of(*groups: CheckGroup) -> tuple[str, ...]:
    """Return the slugs of the checks in these groups."""
    return tuple(check.slug for check in CHECKS if check.group in groups)


def selected(only: tuple[str, ...] = (), skip: tuple[str, ...] = ()) -> frozenset[str]:
    """Return the slugs that `only` names, or all, without those that `skip` names. Both take slugs and groups.

    Raises UsageError for another name.
    """
    chosen = _named(only) if only else frozenset(BY_SLUG)
    return chosen - _named(skip)


def _named(names: tuple[str, ...]) -> frozenset[str]:
    found = set[str]()
    for name in names:
        slugs = {name} & BY_SLUG.keys() or {check.slug for check in CHECKS if check.group == name}
        if not slugs:
            raise UsageError(f"There is no check or group {name!r}.", hint="`port-hook check --list` lists the checks.")
        found |= slugs
    return frozenset(found)
