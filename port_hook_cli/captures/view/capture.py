"""Show one capture on the screen, in full or in one line.

All text from a sender or a handler first goes through `text.safe`. `text.layout` wraps the lines later, for the width
of the terminal. Lines that users copy have `no_wrap`.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from port_hook_cli.captures.view.parts import (
    BODY_EXCERPT,
    cause_lines,
    excerpt_lines,
    outcome_text,
    payload_lines,
    simulated_label,
    simulated_text,
    what_it_is,
)
from port_hook_cli.invocations.hints import LISTEN_OPTIONS, delivery_hints
from port_hook_cli.invocations.models import Capture, Delivery, Invocation, Response, Status, Verdict
from port_hook_cli.invocations.view import bytes_text, status_color, value_text
from port_hook_cli.runs.fate import OPEN_FATES, RunFate, run_fate
from port_hook_cli.runs.view import fate_message, message_fate, report_command
from port_hook_cli.signatures.causes import with_conflict
from port_hook_cli.text.layout import labeled, wrap
from port_hook_cli.text.safe import brief
from port_hook_cli.text.styled import Styled

if TYPE_CHECKING:
    from port_hook_cli.actions.encrypted_inputs import Decryption

_CLOCK_WIDTH = len("12:00:00  ")
_NAME_WIDTH = 40
_UNAUTHORIZED = 401


def clock_time(epoch_s: float) -> str:
    """Return seconds since the epoch as the local time of day."""
    return time.strftime("%H:%M:%S", time.localtime(epoch_s))


def compact_line(capture: Capture) -> Styled:
    """Return a capture as one line."""
    invocation, verdict, delivery = capture.invocation, capture.verdict, capture.delivery
    parts: list[str | tuple[str, str] | Styled] = [
        (clock_time(invocation.received_at), "dim"),
        (brief(what_it_is(capture.payload), 80), "bold"),
        *_replay_mark(invocation),
        _place(invocation, 80),
        Styled.assemble("signature ", (str(verdict.status), f"bold {status_color(verdict.status)}")),
    ]
    if verdict.slugs:
        parts.append((brief(f"[{', '.join(verdict.slugs)}]", 80), status_color(verdict.status)))
    if delivery is not None:
        parts.append(Styled.assemble("handler ", (outcome_text(delivery), "green" if delivery.ok else "red")))
    if capture.response is not None and invocation.origin is None:
        parts.append((f"-> {capture.response.status}", _response_style(capture.response)))
    if capture.simulated is not None:
        parts.append((f"{simulated_label(capture.simulated)} {simulated_text(capture.simulated)}", "yellow"))
    parts += [brief(capture.payload.run_id or "(no run)", 40), (brief(invocation.id, 20), "dim")]
    return Styled.assemble(*[piece for part in parts for piece in ("  ", part)][1:])


def compact_lines(capture: Capture, width: int) -> Iterator[Styled]:
    """Yield `compact_line` in lines of at most `width` columns. The continuation lines begin below the action."""
    yield from wrap(compact_line(capture), width, indent=_CLOCK_WIDTH)


def capture_lines(
    capture: Capture, *, app_url: str | None, decrypted: Sequence[Decryption] = (), conflict: str = ""
) -> Iterator[Styled]:
    """Yield the lines that show a capture in full.

    `app_url` is the base URL of Port's pages, if known. `decrypted` are the decrypted inputs to show. `conflict` means
    that two places have different secrets, and is shown if that may be the reason for a failure.
    """
    yield _head(capture)
    yield from _verdict(with_conflict(capture.verdict, conflict))
    yield from payload_lines(capture.payload, capture.invocation.body, app_url=app_url)
    yield from _decrypted(decrypted)
    if capture.delivery is not None:
        yield from _delivery(capture.delivery, conflict, is_message=capture.is_message)
    if capture.simulated is not None:
        yield labeled(simulated_label(capture.simulated), simulated_text(capture.simulated), "yellow")
    yield from _response(capture)


def fate_of_stored(capture: Capture) -> str | None:
    """Return what Port does with a capture's response, or None without a response or a run or for a rejected request.

    Messages don't get a response. The store does not save whether a request was rejected, but the outcome shows it.
    """
    response = capture.response
    if response is None or capture.invocation.origin is not None:
        return None
    if capture.delivery is None and response.status == _UNAUTHORIZED:
        return None
    fate = run_fate(capture.payload, response, is_message=capture.is_message)
    return None if fate is RunFate.NO_RUN else fate_message(fate, capture.payload, is_good=response.ok)


def _head(capture: Capture) -> Styled:
    invocation, verdict, response = capture.invocation, capture.verdict, capture.response
    is_answered = response is not None and invocation.origin is None  # a message doesn't get a response
    outcome = (f"-> {response.status}  ", _response_style(response)) if response and is_answered else ""
    return Styled.assemble(
        (clock_time(invocation.received_at), "dim"),
        "  ",
        (brief(what_it_is(capture.payload)), "bold"),
        *(f"  {mark}" for mark in _replay_mark(invocation)),
        f"  {_place(invocation, 120)}  signature ",
        (str(verdict.status), f"bold {status_color(verdict.status)}"),
        "  ",
        outcome,
        (brief(invocation.id, 20), "dim"),
    )


def _replay_mark(invocation: Invocation) -> tuple[str, ...]:
    return (f"replay of {brief(invocation.replay_of, 20)}",) if invocation.replay_of else ()


def _place(invocation: Invocation, limit: int) -> str:
    if invocation.origin is not None:
        return f"kafka {brief(invocation.origin.name, limit)}"
    return f"{brief(invocation.method, 20)} {brief(invocation.target, limit)}"


def _verdict(verdict: Verdict) -> Iterator[Styled]:
    if verdict.status is Status.REENCODED and verdict.signed_form:
        yield labeled("signature", f"matches another form of the same JSON: {brief(verdict.signed_form)}")
    yield from cause_lines(verdict)


def _delivery(delivery: Delivery, conflict: str, *, is_message: bool) -> Iterator[Styled]:
    style = "green" if delivery.ok else "red"
    yield labeled("forwarded", Styled.assemble(brief(delivery.url), "  ", (outcome_text(delivery), style)))
    if delivery.ok:
        return
    if delivery.error:
        yield labeled("", brief(delivery.error), style)
    if delivery.body:
        yield from excerpt_lines("", delivery.body, bytes_text(delivery.body, limit=BODY_EXCERPT))
    hints = delivery_hints(delivery, LISTEN_OPTIONS, is_message=is_message, conflict=conflict)
    for number, hint in enumerate(hints):
        yield labeled("" if number else "hint", hint)


def _response(capture: Capture) -> Iterator[Styled]:
    if capture.response is None:
        return
    if capture.invocation.origin is not None:
        yield from _message_outcome(capture)
        return
    rejected = " and not forwarded" if capture.rejected else ""
    yield labeled("responded", f"{capture.response.status}{rejected}")
    fate = run_fate(capture.payload, capture.response, is_message=capture.is_message)
    if fate is RunFate.NO_RUN or capture.rejected:
        return
    is_good = capture.response.ok
    yield labeled("in Port", fate_message(fate, capture.payload, is_good=is_good))
    if fate in OPEN_FATES:
        command = report_command(capture.payload.run_id or "", failed=not is_good)
        if command:
            yield labeled("", Styled(command, style="cyan", no_wrap=True))


def _message_outcome(capture: Capture) -> Iterator[Styled]:
    """Yield what ends a message's run, because nobody waits for a response to a message."""
    payload, response = capture.payload, capture.response
    if capture.rejected or response is None:
        yield labeled("rejected", "not forwarded")
    elif fate := message_fate(payload):
        yield labeled("in Port", fate)
        command = "" if payload.synchronized else report_command(payload.run_id or "", failed=not response.ok)
        if command:
            yield labeled("", Styled(command, style="cyan", no_wrap=True))


def _response_style(response: Response) -> str:
    return "bold green" if response.ok else "bold red"


def _decrypted(decryptions: Sequence[Decryption]) -> Iterator[Styled]:
    names = [brief(str(decryption.path), _NAME_WIDTH) for decryption in decryptions]
    width = max(map(len, names), default=0)
    for index, (name, decryption) in enumerate(zip(names, decryptions, strict=True)):
        text = Styled.assemble((name.ljust(width), "bold"), "  ", _decrypted_value(decryption))
        yield labeled("" if index else "decrypted", text)


def _decrypted_value(decryption: Decryption) -> Styled:
    if decryption.plaintext is None:
        return Styled(f"not decrypted: {brief(decryption.message)}", style="yellow")
    value = decryption.value
    if value is None:
        return Styled(f"({len(decryption.plaintext):,} bytes that are not UTF-8 text)", style="dim")
    return Styled(value_text(value), style="magenta")
