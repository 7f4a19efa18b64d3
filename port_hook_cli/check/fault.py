"""Finds out why a handler rejects a valid request. A wrongly signed request that the handler accepts shows the mistake.

A request counts as accepted only if the response differs from the response to the same request signed with a secret
that no handler has. So the search never guesses. It either finds out what the handler does, or reports which ways were
tried.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from dataclasses import replace
from enum import Enum, StrEnum, auto
from typing import Any, NamedTuple, TypeAlias

from port_hook_cli.check.reactions import NO_ROUTE, blames_authentication, blames_content, said, seems_rejected
from port_hook_cli.check.subject import document_of
from port_hook_cli.frozen import frozen
from port_hook_cli.invocations.headers import SIGNATURE_HEADER, TIMESTAMP_HEADER
from port_hook_cli.invocations.hints import REJECTED_BY_LISTEN, USE_THE_HANDLERS_PORT, is_refusal
from port_hook_cli.invocations.models import Delivery, Invocation
from port_hook_cli.invocations.payload import find_run_id
from port_hook_cli.invocations.statuses import format_status
from port_hook_cli.signatures.causes import RAW_BODY
from port_hook_cli.signatures.plain_body import MAY_BE_DECODED, BodyFeature, ladder, plain_form
from port_hook_cli.signatures.signing import SigningKeys
from port_hook_cli.signatures.way_rows import BYTES, MILLISECONDS
from port_hook_cli.signatures.wrong_ways import (
    WrongWay,
    distinct_ways,
    ports_way,
    wrong_ways,
)
from port_hook_cli.text.secret import Secret

MOST_REQUESTS = 64
"""The maximum number of requests in one search."""

VARIABLE = "The command gets the secret as PORT_CLIENT_SECRET."
_MOST_SILENCES = 2
_MOST_AGE_S = 10
_MOST_AFTER_DROPS = 6
"""The maximum number of ways to try after the handler closed the connection for both of the first two requests.

Such a handler may be broken, so further requests are unlikely to help.
"""

_PLAIN = "plain"
_REJECTIONS = frozenset({401, 403})
_BAD_REQUEST, _UNPROCESSABLE, _RATE_LIMITED = 400, 422, 429
_NOT_THE_SIGNATURE = {
    413: "Allow larger bodies, in the handler and in every proxy before it.",
    415: "Accept the content-type of the request.",
    _RATE_LIMITED: "Raise the limit of the handler, or of a proxy before it.",
}
_OWN_PAYLOAD = "Use your own action, or a capture: `port-hook check FILE`."
_FAILURES = 500
_REDIRECTS = range(300, 400)


class FaultKind(StrEnum):
    """The result of a search. Only WRONG_WAY and REWRITES are mistakes in how the handler verifies."""

    NOTHING = "nothing"
    """The handler accepts the valid request and rejects a forged request."""
    UNVERIFIED = "unverified"
    """The handler accepts a forged request."""
    NO_RESPONSE = "no-response"
    PATH = "path"
    """The path or the method is incorrect."""
    REQUEST = "request"
    """The handler rejects the request for a reason other than its signature, or a proxy or `listen` rejects it."""
    WORK = "work"
    """The handler accepts the signature, but fails later."""
    WRONG_WAY = "wrong-way"
    REWRITES = "rewrites"
    """The handler serializes the body again, or decodes the body wrongly, before it verifies the signature."""
    NOT_FOUND = "not-found"


class FaultDelivery(NamedTuple):
    """A request that the result depends on, and its response. `what` is the slug of a way, `forged`, or `plain`.

    `capture` is the ID under which the request was saved, or "".
    """

    what: str
    request: Invocation
    delivery: Delivery
    capture: str = ""

    @property
    def record(self) -> dict[str, Any]:
        """The record of the request, in the field `fault`."""
        return {
            "what": self.what,
            "status": self.delivery.status,
            "error": self.delivery.error,
            "capture": self.capture or None,
        }


class FaultSearch(NamedTuple):
    """Everything that a search needs.

    `fresh` returns an unsigned request with its own ID, possibly with a new run for each request. `now` returns seconds
    since the epoch, and `send` sends a request at its own pace. `on_send` is called with the number and the kind
    (`what`) of each request.
    """

    fresh: Callable[[], Invocation]
    keys: SigningKeys
    now: Callable[[], float]
    send: Callable[[Invocation], Awaitable[Delivery]]
    on_send: Callable[[int, str], None] = lambda _number, _what: None


@frozen(kw_only=True)
class FoundFault:
    """The result of a search.

    `sentence` describes what the handler does. `fix` tells the user what to change, or is "" if that is unknown. `way`
    is the way of signing that the handler expects. `rewrites_too` means that there is a second mistake: the handler
    also changes the body before it verifies the signature. `sent` is the number of requests, and `tried` contains the
    slugs of all tried ways. `requests` are the requests that the result depends on, such as the accepted request and
    the same request with another secret. `secret` signed the valid request.
    """

    kind: FaultKind
    sentence: str
    fix: str = ""
    way: WrongWay | None = None
    rewrites_too: bool = False
    sent: int = 0
    tried: tuple[str, ...] = ()
    requests: tuple[FaultDelivery, ...] = ()
    secret: Secret | None = None

    @property
    def record(self) -> dict[str, Any]:
        """The field `fault` in the summary of `check --json`."""
        return {
            "kind": str(self.kind),
            "way": None if self.way is None else self.way.slug,
            "rewrites_body": self.kind is FaultKind.REWRITES or self.rewrites_too,
            "message": self.sentence,
            "fix": self.fix or None,
            "sent": self.sent,
            "tried": list(self.tried),
            "requests": [each.record for each in self.requests],
        }


async def find_fault(search: FaultSearch) -> FoundFault:
    """Find out why a handler rejects a valid request, with at most `MOST_REQUESTS` requests.

    A handler that accepts the valid request gets two requests.
    """
    return await _Run(search).result()


_View: TypeAlias = Callable[[bytes], bytes]
"""A function that returns a body in the form in which it is sent."""


def _whole(body: bytes) -> bytes:
    return body


_Response: TypeAlias = tuple[int | None, bool]
"""The status of a response, and whether its text rejects the request."""


def _response(delivery: Delivery) -> _Response:
    """Return the status of a response, and whether its text rejects the request.

    Both are needed, because some handlers respond with the same status to every request, but with another text.
    """
    return delivery.status, delivery.status not in _REJECTIONS and seems_rejected(delivery)


class _Reaction(Enum):
    """How a handler reacts to a way. ANYTHING: it accepts even a wrong secret. FAILED: it fails with both secrets."""

    ACCEPTED = auto()
    REJECTED = auto()
    ANYTHING = auto()
    FAILED = auto()


class _Ended(Exception):
    """The search cannot continue. `args` are the kind, the sentence and the fix."""


class _Run:
    """One search: the requests sent so far, and the responses that mean that the handler rejected the request."""

    def __init__(self, search: FaultSearch) -> None:
        self._search, self._port = search, ports_way(search.keys.secret)
        self._rejections: set[_Response] = set()
        self._tried: dict[str, None] = {}
        self._deciding: list[FaultDelivery] = []
        self._body = b""
        self._sent = 0
        self._silences: list[str] = []

    async def result(self) -> FoundFault:
        try:
            return await self._compared()
        except _Ended as ended:
            return self._found(*ended.args)

    async def _compared(self) -> FoundFault:
        """Compare the responses to a forged and to a valid request, and search if the signature is at fault."""
        first = await self._decide("forged", self._port, forged=True)
        second = await self._decide("valid", self._port)
        forged, valid = first.delivery, second.delivery
        self._end_without_search(forged, valid)
        if valid.ok:
            await self._end_unless_rejected(first, second)
        self._rejections = {_response(forged), _response(valid)}
        if _is_after_signature(forged, valid):
            # A handler that checks the age after the signature responds differently to a timestamp in the wrong unit.
            milliseconds = next(way for way in wrong_ways(self._search.keys) if way.slug == MILLISECONDS)
            if await self._reaction(milliseconds, _whole) is _Reaction.ACCEPTED:
                return self._named(milliseconds)
            raise _Ended(*_work_failed(forged, valid))
        if _rejects_content(first, second):
            await self._end_because_of_content(valid)
        return await self._searched(most=_MOST_AFTER_DROPS if _drops(forged) and _drops(valid) else None)

    def _end_without_search(self, forged: Delivery, valid: Delivery) -> None:
        """Raise _Ended if the two responses show that the valid request did not fail because of its signature."""
        status = valid.status
        if _drops(forged) and _drops(valid):  # an uncaught error rejects the request
            return
        if status is None:
            raise _Ended(FaultKind.NO_RESPONSE, f"The handler did not respond to a valid request: {_error(valid)}", "")
        text = format_status(status)
        if valid.ok and not forged.ok:
            raise _Ended(FaultKind.NOTHING, f"The handler accepts a valid request: it responds with {text}.", "")
        if status in NO_ROUTE and status == forged.status:
            raise _Ended(
                FaultKind.PATH,
                f"The handler responds with {text} to a valid and to a forged request, so the path or the method is "
                "probably wrong.",
                "Correct the URL or the method, or add the route to the handler. If the handler rejects signatures "
                f"with {text}, let it respond with 401, and try again.",
            )
        if status in _REDIRECTS:
            raise _Ended(
                FaultKind.PATH,
                f"The handler redirects with {text}, but Port does not follow redirects.",
                "Use the final URL. A missing or extra trailing slash is the usual cause.",
            )
        if status in _NOT_THE_SIGNATURE:
            sentence = f"The handler responds with {text}, which is not about signatures."
            raise _Ended(FaultKind.REQUEST, sentence, _NOT_THE_SIGNATURE[status])
        if is_refusal(forged) and status < _FAILURES:
            sentence = REJECTED_BY_LISTEN.format(request=f"the {'valid' if is_refusal(valid) else 'forged'} request")
            raise _Ended(FaultKind.REQUEST, sentence, USE_THE_HANDLERS_PORT.format(target="--to"))

    async def _end_unless_rejected(self, forged: FaultDelivery, valid: FaultDelivery) -> None:
        """Raise _Ended, unless the text of two 2xx responses shows that the handler rejected both requests."""
        text = format_status(valid.delivery.status or 0)
        if await self._tells_apart(forged, valid):
            raise _Ended(
                FaultKind.NOTHING,
                f"The handler accepts a valid request: it responds with {text}. "
                f"It also responds with {format_status(forged.delivery.status or 0)} to a forged request, "
                "but with a different body.",
                "",
            )
        if not (seems_rejected(forged.delivery) and seems_rejected(valid.delivery)):
            raise _Ended(
                FaultKind.UNVERIFIED,
                f"The handler responds with {text} to a valid request, but it also accepts another secret.",
                "Verify the signature before anything else, and respond with 401 if it is invalid.",
            )

    async def _tells_apart(self, forged: FaultDelivery, valid: FaultDelivery) -> bool:
        """Return whether the handler's 2xx responses distinguish forged requests from valid requests.

        The responses distinguish the requests if their text rejects only the forged request, or if two forged requests
        get the same response and the valid request gets another one.
        """
        if seems_rejected(forged.delivery) or seems_rejected(valid.delivery):
            return not seems_rejected(valid.delivery)
        if _said(forged) == _said(valid):
            return False
        again = await self._send("forged", self._port, _whole, forged=True)
        return _said(again) == _said(forged)

    async def _end_because_of_content(self, valid: Delivery) -> None:
        """Raise _Ended for a handler whose response says that it rejects the content of the body."""
        await self._plain_reaction()  # the handler may accept a forged request with other content
        text = format_status(valid.status or 0)
        raise _Ended(
            FaultKind.REQUEST,
            f"The handler rejects the content of the body ({text}), with or without a valid signature.",
            f"{_OWN_PAYLOAD} If the handler rejects signatures with {text}, let it respond with 401, and try again.",
        )

    async def _plain_reaction(self) -> _Reaction | None:
        """Return the reaction to the plain body, or None if there is no plain body.

        Raises _Ended if it is accepted unverified.
        """
        if len(ladder(self._body)) == 1:
            return None
        reaction = await self._reaction(self._port, plain_form, what=_PLAIN)
        if reaction is _Reaction.ANYTHING:
            raise _Ended(
                FaultKind.UNVERIFIED,
                "The handler rejects the content of this body, but accepts other content with another secret.",
                "Verify the signature before anything else, and respond with 401 if it is invalid.",
            )
        return reaction

    async def _searched(self, most: int | None = None) -> FoundFault:
        """Search for the mistake with at most `most` ways. None means all ways."""
        view = _whole
        reaction = await self._plain_reaction()
        if reaction is _Reaction.ACCEPTED:
            return await self._rewriting()
        if reaction is not None:
            # If the plain body fails for another reason, it cannot show anything about signatures.
            view = _whole if reaction is _Reaction.FAILED else plain_form
        way = await self._first_accepted(view, most)
        if way is None:
            raise _Ended(*self._nothing_accepted())
        rewrites_too = view is plain_form and await self._rejects(way, _whole)
        if rewrites_too and way.rewrites:
            return self._named(await self._serializer(way) or way)
        return self._named(way, rewrites_too=rewrites_too)

    def _nothing_accepted(self) -> tuple[FaultKind, str, str]:
        ways = len(self._tried.keys() - {_PLAIN})
        compare = (
            "Compare the handler's client secret with port-hook's. If they are the same, check how the handler reads "
            "the two headers and the raw body."
        )
        status = self._deciding[1].delivery.status
        if self._deciding[1].delivery.ok:
            sentence = f"The handler responds with {format_status(status or 0)} to every request, valid or forged."
            fix = "Verify the signature, and respond with 401 if it is invalid. If the handler verifies it, compare the"
            return FaultKind.UNVERIFIED, sentence, f"{fix} client secrets."
        if status is not None and status < _FAILURES:
            sentence = f"The handler rejected the valid request, and {ways} wrong ways to sign it."
            return FaultKind.NOT_FOUND, sentence, compare
        does = "closes the connection after" if status is None else f"responds with {format_status(status)} to"
        sentence = f"The handler {does} the valid request, and {ways} wrong ways to sign it."
        fix = (
            "Find the error in the handler's log. It may fail after verification, for example in a call to Port's API."
        )
        return FaultKind.NOT_FOUND, sentence, f"{fix} If it rejects the signature, {compare[0].lower()}{compare[1:]}"

    async def _first_accepted(self, view: _View, most: int | None) -> WrongWay | None:
        """Return the first way that the handler accepts, or None.

        If the handler responds to a way with an error, the timestamp may be the cause, so the way is also tried with
        milliseconds.
        """
        ways = self._distinct(wrong_ways(self._search.keys), view)
        for way in ways[:most]:
            if await self._reaction(way, view) is not _Reaction.ACCEPTED:
                continue
            both = f"{MILLISECONDS}-{way.slug}"
            combined = next((other for other in ways if other.slug == both), None)
            error = self._deciding[-2].delivery
            if error.ok or combined is None or await self._reaction(combined, view) is not _Reaction.ACCEPTED:
                return way
            return way if _response(self._deciding[-2].delivery) == _response(error) else combined
        return None

    async def _rewriting(self) -> FoundFault:
        """Return the handler's serializer or, if that is unknown, the feature of the body that the handler changes."""
        if way := await self._serializer(self._port):
            return self._named(way)
        feature = await self._feature()
        return self._found(
            FaultKind.REWRITES,
            *_changes(feature),
        )

    async def _serializer(self, like: WrongWay) -> WrongWay | None:
        """Return the way that uses the handler's serializer, or None if it is unknown.

        The serializer must write the plain body in the same way as `like`.
        """
        plain, now = plain_form(self._body), self._search.now()
        plainly = like.make(plain, now)
        rewriters = [way for way in wrong_ways(self._search.keys) if way.rewrites and way.make(plain, now) == plainly]
        for way in self._distinct(rewriters, _whole):
            if way.slug not in self._tried and await self._reaction(way, _whole) is _Reaction.ACCEPTED:
                return way
        return None

    async def _feature(self) -> BodyFeature:
        """Return the feature that the handler changes, by bisecting the steps of `ladder`.

        The handler accepts the first step, the plain body, and rejects the last, the whole body.
        """
        accepted, refused = 0, len(ladder(self._body)) - 1
        while refused - accepted > 1:
            middle = (accepted + refused) // 2

            def view(body: bytes, step: int = middle) -> bytes:
                return ladder(body)[step].body

            if await self._rejects(self._port, view):
                refused = middle
            else:
                accepted = middle
        feature = ladder(self._body)[refused].feature
        assert feature is not None
        return feature

    def _distinct(self, ways: Iterable[WrongWay], view: _View) -> tuple[WrongWay, ...]:
        body = view(self._body)
        return distinct_ways(ways, body, self._telling_time(body), self._search.keys.secret)

    def _telling_time(self, body: bytes) -> float:
        """Return a time in the last seconds at which the two alphabets of base64 write Port's signature differently.

        With other times, a handler that expects the URL-safe alphabet would accept every fourth valid request.
        """
        now = self._search.now()
        for age in range(_MOST_AGE_S):
            if {"+", "/"} & set(self._port.make(body, now - age).fields[0][1]):
                return now - age
        return now

    async def _reaction(self, way: WrongWay, view: _View, what: str = "") -> _Reaction:
        """Return how the handler reacts to a way. If it accepts the way, add the two requests that prove this."""
        self._tried[what or way.slug] = None
        result = await self._send(what or way.slug, way, view)
        status = result.delivery.status
        if status is None or _response(result.delivery) in self._rejections:
            return _Reaction.REJECTED
        forged = await self._send("forged", way, view, forged=True)
        if forged.delivery.ok and _response(forged.delivery) not in self._rejections:
            return _Reaction.ANYTHING
        if _response(forged.delivery) == _response(result.delivery):
            self._rejections.add(_response(result.delivery))
            return _Reaction.FAILED
        if status >= _FAILURES and (await self._send(what or way.slug, way, view)).delivery.status != status:
            return _Reaction.REJECTED  # an error that does not occur twice had another cause
        self._deciding += [result, forged]
        return _Reaction.ACCEPTED

    async def _rejects(self, way: WrongWay, view: _View) -> bool:
        result = await self._send(way.slug, way, view)
        return result.delivery.status is None or _response(result.delivery) in self._rejections

    async def _decide(self, what: str, way: WrongWay, *, forged: bool = False) -> FaultDelivery:
        result = await self._send(what, way, _whole, forged=forged)
        self._deciding.append(result)
        return result

    async def _send(self, what: str, way: WrongWay, view: _View, *, forged: bool = False) -> FaultDelivery:
        """Send one request. Raises _Ended if further requests cannot show anything."""
        if self._sent == MOST_REQUESTS:
            raise _Ended(FaultKind.NOT_FOUND, f"port-hook did not find the mistake with {MOST_REQUESTS} requests.", "")
        draft = self._search.fresh()
        self._body, body = draft.body, view(draft.body)
        signed = (way.forge if forged else way.make)(body, self._telling_time(body))
        headers = draft.headers.without(SIGNATURE_HEADER, TIMESTAMP_HEADER)
        if body != draft.body:
            headers = headers.without("content-length")
        # With the signed time, which may be earlier, a capture with the same signature would seem to be this replay.
        request = replace(draft, received_at=self._search.now(), headers=headers.plus(*signed.fields), body=body)
        self._search.on_send(self._sent + 1, what)
        delivery = await self._search.send(request)
        self._sent += 1
        if self._rejections:  # the first two requests are judged together
            self._end_if_unable(what, delivery)
        return FaultDelivery(what, request, delivery)

    def _end_if_unable(self, what: str, delivery: Delivery) -> None:
        if delivery.status == _RATE_LIMITED and _response(delivery) not in self._rejections:
            raise _Ended(FaultKind.NOT_FOUND, "The handler started to limit the rate of requests.", "Try again later.")
        if delivery.status is not None or (_drops(delivery) and _response(delivery) in self._rejections):
            return
        self._silences.append(what)
        if delivery.fault == "unreachable" or len(self._silences) == _MOST_SILENCES:
            raise _Ended(
                FaultKind.NO_RESPONSE,
                f"The handler stopped responding after the request `{self._silences[0]}`: {_error(delivery)}",
                "Find the error in the handler's log. A request must never stop the handler.",
            )

    def _named(self, way: WrongWay, *, rewrites_too: bool = False) -> FoundFault:
        kind = FaultKind.REWRITES if way.rewrites else FaultKind.WRONG_WAY
        sentence, fix = f"The handler {way.sentence}.", way.fix
        if rewrites_too:
            sentence += " It also changes the body before it verifies it, for example by serializing it again."
            fix += f" {RAW_BODY}"
        return self._found(kind, sentence, fix, way=way, rewrites_too=rewrites_too)

    def _found(
        self, kind: FaultKind, sentence: str, fix: str, *, way: WrongWay | None = None, rewrites_too: bool = False
    ) -> FoundFault:
        return FoundFault(
            kind=kind,
            sentence=sentence,
            fix=fix,
            way=way,
            rewrites_too=rewrites_too,
            sent=self._sent,
            tried=tuple(self._tried),
            requests=tuple(self._deciding),
            secret=self._search.keys.secret,
        )


def _said(result: FaultDelivery) -> tuple[int | None, bytes]:
    run_id = find_run_id(document_of(result.request.body), result.request.headers)
    return result.delivery.status, said(result.delivery, run_id)


def _rejects_content(forged: FaultDelivery, valid: FaultDelivery) -> bool:
    """Return whether two equal responses show that the handler rejected the content, regardless of the signature.

    A 422 response shows this unless its text is about the signature or a header. A 400 response shows this only if its
    text is about the content.
    """
    status = valid.delivery.status
    if _said(forged) != _said(valid):
        return False
    if status == _UNPROCESSABLE:
        return not blames_authentication(valid.delivery)
    return status == _BAD_REQUEST and blames_content(valid.delivery)


def _is_after_signature(forged: Delivery, valid: Delivery) -> bool:
    """Return whether the responses to a valid and a forged request differ, so that the signature is not the reason."""
    if forged.status == valid.status:
        return _response(forged) != _response(valid) and not seems_rejected(valid)
    return valid.status not in _REJECTIONS


def _changes(feature: BodyFeature) -> tuple[str, str]:
    """Return the sentence and the fix for a handler that changes this feature of a body before it verifies the body."""
    if feature in MAY_BE_DECODED:
        sentence = f"The handler changes {feature} before it verifies the signature: it decodes the body in another"
        return f"{sentence} character set, or serializes it again.", f"{BYTES} {RAW_BODY}"
    if feature is BodyFeature.NOTATION:
        sentence = f"The handler changes {feature} before it verifies the signature: it trims the body, or serializes"
        return f"{sentence} it again.", RAW_BODY
    sentence = f"The handler serializes the body again before it verifies it, and writes {feature} differently than"
    return f"{sentence} Port.", RAW_BODY


def _work_failed(forged: Delivery, valid: Delivery) -> tuple[FaultKind, str, str]:
    text = format_status(valid.status or 0)
    other = "does not respond" if forged.status is None else f"responds with {format_status(forged.status)}"
    if forged.status == valid.status:
        other = "responds with the same status, but the response says that it rejected the request"
    sentence = (
        f"The handler probably accepts the signature, but then responds with {text}. For a forged request, it {other}."
    )
    return FaultKind.WORK, sentence, "Find the error in the handler's log, or in its response to the valid request."


def _drops(delivery: Delivery) -> bool:
    """Return whether the handler closed the connection instead of responding, by the message of `http/failures.py`."""
    return delivery.fault == "broken" and " the connection " in (delivery.error or "")


def _error(delivery: Delivery) -> str:
    """Return the reason for a missing response, with the punctuation that ends a sentence."""
    error = delivery.error or "no response"
    return error if error.endswith((".", "?")) else f"{error}."
