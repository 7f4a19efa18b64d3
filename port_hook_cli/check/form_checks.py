"""The form checks: the handler accepts every form of a valid request, and responds to broken requests."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from port_hook_cli.check.catalog import CheckSeverity
from port_hook_cli.check.exam import LIMITED, ONLY_ONCE, UNRESPONSIVE, HandlerExam
from port_hook_cli.check.forgeries import Signing, by_agent, in_other_unit, valid
from port_hook_cli.check.languages import JOIN, RAW
from port_hook_cli.check.probing import Manner, Outgoing
from port_hook_cli.check.reactions import Probe, Reaction, first_seen, outcomes, stops_seen
from port_hook_cli.check.subject import written
from port_hook_cli.invocations.headers import SIGNATURE_HEADER, TIMESTAMP_HEADER, Headers
from port_hook_cli.invocations.models import Invocation
from port_hook_cli.signatures.signing import TimestampUnit

_JSON = "application/json; charset=utf-8"
_KB, _MB = 90_000, 1_000_000
_TOO_LARGE = 413
_UNAUTHENTICATED = frozenset({401, 403})
_ALL_BYTES = "Compute the signature from all bytes of the body."
_TOGETHER = 20
_IN_CAPITALS = {SIGNATURE_HEADER: SIGNATURE_HEADER.upper(), TIMESTAMP_HEADER: TIMESTAMP_HEADER.upper()}


async def check_forms(exam: HandlerExam, baseline: Probe) -> None:
    """Send valid requests in every form in which they can arrive."""
    exam.passes("method", f"{exam.subject.request.method} got {baseline.outcome}")
    _settle_without_request(exam)
    async for probes in exam.prober.send_groups(_other_forms(exam, baseline)):
        for probe in probes:
            judge = _JUDGES.get(probe.slug)
            await (exam.judge_acceptance(probe.slug, probe) if judge is None else judge(exam, probe))
    await _check_together(exam)


def _settle_without_request(exam: HandlerExam) -> None:
    """Settle the checks of forms that the handler has already shown, or that the request cannot have."""
    subject = exam.subject
    if exam.prober.signing.other_unit is TimestampUnit.SECONDS:
        exam.passes("valid-milliseconds", "the handler expects milliseconds")
    if exam.is_strict or subject.large(_KB) == subject.request.body:
        reason = "the handler rejects unknown fields" if exam.is_strict else "it is not a JSON object"
        exam.cannot_tell(f"the payload cannot be made larger, because {reason}", "size")


def _other_forms(exam: HandlerExam, baseline: Probe) -> Iterator[Outgoing]:
    """Yield a valid request in each wanted form. The request is signed when it is taken."""
    prober, subject = exam.prober, exam.subject
    is_plain = exam.is_strict or baseline.request.body.isascii()
    bodies = {"size": subject.large(_KB), "slow": None if is_plain else subject.trying()}
    for slug, (label, make) in _FORMS.items():
        if exam.wants(slug):
            run_id, draft = prober.draft(slug, body=bodies.get(slug))
            manner = Manner.IN_PIECES if slug == "slow" else Manner.WHOLE
            yield Outgoing(slug, label, make(draft, prober.signing), run_id, manner)


def _in_capitals(draft: Invocation, signing: Signing) -> Invocation:
    request = valid(draft, signing)
    fields = tuple((_IN_CAPITALS.get(name, name), value) for name, value in request.headers)
    return replace(request, headers=Headers(fields))


def _with_charset(draft: Invocation, signing: Signing) -> Invocation:
    fields = (*draft.headers.without("content-type"), ("content-type", _JSON))
    return valid(replace(draft, headers=Headers(fields)), signing)


_FORMS: Mapping[str, tuple[str, Callable[[Invocation, Signing], Invocation]]] = {
    "valid-milliseconds": ("a request with a timestamp in milliseconds", in_other_unit),
    "valid-agent": ("the request of the execution agent", by_agent),
    "header-case": ("a request with header names in uppercase", _in_capitals),
    "charset": (f"a request with the content-type `{_JSON}`", _with_charset),
    "size": ("a body of 90 kB", valid),
    "slow": ("a request in pieces", valid),
}


async def _judge_milliseconds(exam: HandlerExam, probe: Probe) -> None:
    if probe.has_response:
        exam.passes(probe.slug, f"{probe.outcome}, and Port sends seconds")
    else:
        await exam.judge_acceptance(probe.slug, probe)


async def _judge_size(exam: HandlerExam, small: Probe) -> None:
    if not small.is_accepted:
        await _judge_signed_body(exam, "size", small, "a large body")
        return
    large = await exam.prober.accept("size", "a body of 1 MB", body=exam.subject.large(_MB))
    if large.is_accepted or large.delivery.status == _TOO_LARGE:
        exam.passes("size", large.seen)
    elif _is_about_signature(large):
        await _blame_signature(exam, "size", large, "a large body", CheckSeverity.INFORMATION)
    else:
        await exam.fails("size", large.seen, [large], severity=CheckSeverity.INFORMATION)


async def _judge_slow(exam: HandlerExam, probe: Probe) -> None:
    if probe.is_accepted:
        probe = await exam.prober.accept("slow", "a valid request after a slow request")
    await _judge_signed_body(exam, "slow", probe, "a body that arrives in pieces")


_JUDGES: Mapping[str, Callable[[HandlerExam, Probe], Awaitable[None]]] = {
    "valid-milliseconds": _judge_milliseconds,
    "size": _judge_size,
    "slow": _judge_slow,
}


def _is_about_signature(probe: Probe) -> bool:
    return probe.delivery.status in _UNAUTHENTICATED


async def _judge_signed_body(exam: HandlerExam, slug: str, probe: Probe, what: str) -> None:
    """Judge a request by its acceptance. A handler that rejects its signature read or wrote other bytes."""
    if _is_about_signature(probe) and await exam.accepts_again(slug, probe):
        await _blame_signature(exam, slug, probe, what)
    else:
        await exam.judge_acceptance(slug, probe)


async def _blame_signature(
    exam: HandlerExam, slug: str, probe: Probe, what: str, severity: CheckSeverity | None = None
) -> None:
    if exam.has_found("valid"):
        exam.cannot_tell(f"{probe.seen}, which is about the signature: see `valid`", slug)
        return
    fix = f"{_ALL_BYTES} {JOIN if slug == 'slow' else RAW}"
    failure = f"rejects the signature of {what}"
    await exam.fails(slug, probe.seen, [probe], severity=severity, failure=failure, fix=fix)


async def _check_together(exam: HandlerExam) -> None:
    if not exam.wants("at-once"):
        return
    bad = await _unaccepted(exam)
    if bad:  # even a good handler loses connections under load, so this must happen twice
        bad = await _unaccepted(exam)
    after = await exam.prober.accept("at-once", "a valid request after 20 concurrent requests")
    bad += [after] * (not after.is_accepted)
    if exam.works_once:
        exam.misses(ONLY_ONCE, "at-once")
    elif any(probe.reaction is Reaction.LIMITED for probe in bad):
        exam.cannot_tell(LIMITED, "at-once")
    elif bad:
        await exam.fails("at-once", first_seen(bad), bad)
    else:
        exam.passes("at-once", f"{_TOGETHER} concurrent requests were accepted")


async def _unaccepted(exam: HandlerExam) -> list[Probe]:
    """Send 20 concurrent requests, and return the probes that the handler did not accept."""
    sent = await exam.prober.together("at-once", "one of 20 concurrent requests", _TOGETHER)
    return [probe for probe in sent if not probe.is_accepted]


async def check_broken_requests(exam: HandlerExam) -> None:
    """Send correctly signed but broken requests, and half a request. These requests may crash the handler."""
    for slug, bodies in _broken_bodies(exam).items():
        if not exam.wants(slug):
            continue
        if exam.works_once and slug == "unknown-action":  # the inputs of the request are ordinary
            exam.misses(ONLY_ONCE, slug)
        else:
            await _check_bodies(exam, slug, bodies)
    await _check_disconnect(exam)


def _broken_bodies(exam: HandlerExam) -> Mapping[str, Mapping[str, bytes]]:
    subject = exam.subject
    unknown = subject.of_unknown_action()
    return {
        "not-json": {"a body that is not JSON": b"not JSON", "a truncated body": subject.request.body[:-1]},
        "not-object": {"the body `[]`": b"[]", "the body `null`": b"null", 'the body `"text"`': b'"text"'},
        "fields": {"the body `{}`": b"{}", **dict(_with_nulls(subject.document))},
        "unknown-action": {} if unknown is None else {"a payload with an unknown action": unknown},
    }


def _with_nulls(document: Any) -> Iterator[tuple[str, bytes]]:
    """Yield the payload with null in place of its objects, and with null in place of the objects in them."""
    if not isinstance(document, dict):
        return
    outer = {key: None if isinstance(value, dict) else value for key, value in document.items()}
    inner = {
        key: {name: None if isinstance(each, dict) else each for name, each in value.items()}
        if isinstance(value, dict)
        else value
        for key, value in document.items()
    }
    for label, changed in (("null instead of each object", outer), ("null instead of each inner object", inner)):
        if changed != document:
            yield f"the payload with {label}", written(changed)


async def _check_bodies(exam: HandlerExam, slug: str, bodies: Mapping[str, bytes]) -> None:
    probes = await exam.prober.accept_each(slug, bodies)
    silent = [probe for probe in probes if not probe.has_response]
    broken = [probe for probe in probes if probe.reaction is Reaction.FAILED]
    if silent and exam.is_silent:
        exam.misses(silent[0].seen, slug)
    elif silent:
        await exam.fails(slug, first_seen(silent), silent, severity=CheckSeverity.FAILURE)
    elif broken:
        await exam.fails(slug, first_seen(broken), broken)
    elif len(probes) < len(bodies):
        exam.misses(UNRESPONSIVE, slug)
    elif any(probe.reaction is Reaction.LIMITED for probe in probes):
        exam.cannot_tell(LIMITED, slug)
    else:
        exam.passes(slug, outcomes(probes))


async def _check_disconnect(exam: HandlerExam) -> None:
    if not exam.wants("cut-off"):
        return
    prober = exam.prober
    run_id, draft = prober.draft("cut-off")
    request: Invocation = valid(draft, prober.signing)
    cut = await prober.send("cut-off", "half a request", request, run_id, Manner.CUT)
    after = await prober.accept("cut-off", "a valid request after a disconnect")
    has_stopped = any(probe.slug == "cut-off" for probe in prober.recovery.stops)
    if after.is_accepted and not has_stopped:
        exam.passes("cut-off", after.seen)
    elif exam.works_once and after.has_response and not has_stopped:
        exam.misses(ONLY_ONCE, "cut-off")
    else:
        seen = stops_seen([cut]) if has_stopped else after.seen
        await exam.fails("cut-off", seen, [cut, after])
        if after.reaction is Reaction.HUNG:
            await prober.recover()
