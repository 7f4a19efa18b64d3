"""Show one capture as a block of lines when a listener receives it.

All text from a sender or a handler first goes through `text.safe`. `text.layout` wraps the lines later, for the width
of the terminal. Lines that users copy have `no_wrap`.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Any, Protocol

from port_hook_cli.captures.view.captures import SHOWN_OF_AN_ID
from port_hook_cli.captures.view.parts import (
    BODY_EXCERPT,
    action_name,
    cause_lines,
    content_lines,
    excerpt_lines,
    outcome_text,
    run_page_link,
    simulated_label,
    simulated_text,
    what_it_is,
)
from port_hook_cli.invocations.hints import LISTEN_OPTIONS, delivery_hints
from port_hook_cli.invocations.models import Capture, Delivery, Kind, Payload, Status, Verdict
from port_hook_cli.invocations.view import bytes_text, status_color, value_text
from port_hook_cli.runs.fate import OPEN_FATES, RunFate, run_fate
from port_hook_cli.runs.view import fate_message, message_fate, report_command
from port_hook_cli.signatures.causes import with_conflict
from port_hook_cli.text.layout import labeled
from port_hook_cli.text.safe import brief, shorten
from port_hook_cli.text.styled import JSON, Styled, cell_width, cut_middle

BLOCK_INDENT = 10
"""The column where the values of a block begin, for `text/layout.py:fit`."""

_USUAL_WIDTH = 80
_LEAST_OF_A_NAME = 12
_NAME_WIDTH = 40
_VALUE_WIDTH = 48  # a value and its indent fit on a terminal of 60 columns
_MOST_INPUTS = 40
_UNAUTHORIZED = 401
_HEADERS_OF = {"signature-missing": "x-port-signature", "timestamp-missing": "x-port-timestamp"}


class Revealed(Protocol):
    """An encrypted property of a payload."""

    @property
    def path(self) -> object:
        """The property's path, which is shown as text."""

    @property
    def plaintext(self) -> bytes | None:
        """None if the property was not decrypted."""

    @property
    def message(self) -> str:
        """Why the property was not decrypted."""

    @property
    def value(self) -> Any:
        """The plaintext: an object if it is a JSON object, otherwise text. None if it is missing or not UTF-8."""


def clock_time(epoch_s: float) -> str:
    """Return seconds since the epoch as the local time of day."""
    return time.strftime("%H:%M:%S", time.localtime(epoch_s))


def capture_lines(
    capture: Capture,
    *,
    app_url: str | None,
    width: int = _USUAL_WIDTH,
    decrypted: Sequence[Revealed] = (),
    conflict: str = "",
    names_target: bool = False,
    shows_command: bool = True,
) -> Iterator[Styled]:
    """Yield the lines that show a capture as a block. Fit them with `BLOCK_INDENT`.

    `width` is for the first line, which ends with the beginning of the ID. `app_url` is the base URL of Port's pages,
    if known. `decrypted` are the decrypted inputs to show. `conflict` means that two places have different secrets, and
    is shown if that may be the reason for a failure. `names_target` adds the target. `shows_command` adds the command
    that reports the run's result.
    """
    payload = capture.payload
    yield _head(capture, width)
    yield from _verdict(with_conflict(capture.verdict, conflict))
    yield from _run(payload, app_url)
    yield from _inputs(payload)
    if not capture.rejected:
        yield from content_lines(payload, capture.invocation.body, indent=BLOCK_INDENT)
    yield from _decrypted(decrypted)
    if capture.delivery is not None:
        yield from _delivery(capture.delivery, conflict, is_message=capture.is_message, names_target=names_target)
    yield from _end(capture, shows_command=shows_command)


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


def response_style(capture: Capture) -> str:
    """Return the style for the response to a capture, or for the outcome of its delivery."""
    delivery, response = capture.delivery, capture.response
    is_good = delivery.ok if delivery is not None else response is None or response.ok
    return "bold green" if is_good else "bold red"


def _head(capture: Capture, width: int) -> Styled:
    """Return the time, the name, the verdict and the outcome, with the beginning of the ID at the right."""
    invocation, verdict = capture.invocation, capture.verdict
    clock = clock_time(invocation.received_at)
    capture_id = brief(invocation.id, 20)[:SHOWN_OF_AN_ID]
    rest = Styled.assemble(
        *(part for found in _place(capture) for part in ("  ", found)),
        "  ",
        (str(verdict.status), f"bold {status_color(verdict.status)}"),
        *(part for found in _outcome(capture) for part in ("  ", (found, response_style(capture)))),
    )
    payload = capture.payload
    name = brief(action_name(payload) if payload.kind is Kind.WORKFLOW_NODE else what_it_is(payload))
    room = width - cell_width(f"{clock}  {rest.plain}  {capture_id}")
    name = cut_middle(name, max(_LEAST_OF_A_NAME, room))
    head = Styled.assemble((clock, "dim"), "  ", (name, "bold"), rest)
    gap = min(width, _USUAL_WIDTH) - cell_width(head.plain) - len(capture_id)
    return Styled.assemble(head, " " * max(2, gap), (capture_id, "dim"))


def _place(capture: Capture) -> Iterator[str]:
    """Yield the message's place in Kafka, the request line of an unknown request, and the original of a replay."""
    invocation = capture.invocation
    if invocation.origin is not None:
        yield f"kafka {brief(invocation.origin.name, 60)}"
    elif not capture.payload.name and (invocation.method, invocation.target) != ("POST", "/"):
        yield f"{brief(invocation.method, 20)} {brief(invocation.target, 40)}"
    if invocation.replay_of:
        yield f"replay of {brief(invocation.replay_of, 20)[:SHOWN_OF_AN_ID]}"


def _outcome(capture: Capture) -> Iterator[str]:
    """Yield the response and where it comes from, such as `-> 202 in 5.9 ms`. A message doesn't get a response."""
    response, delivery, simulated = capture.response, capture.delivery, capture.simulated
    parts = []
    if delivery is not None and delivery.status is not None:
        parts.append(f"{'handler' if response is None else '->'} {outcome_text(delivery)}")
    else:
        parts += [f"-> {response.status}"] if response is not None and not capture.is_message else []
        parts += [outcome_text(delivery)] if delivery is not None else []
    parts += ["not forwarded"] if capture.rejected else []
    parts += [f"{simulated_label(simulated)} {simulated_text(simulated)}"] if simulated is not None else []
    if parts:
        yield ", ".join(parts)


def _verdict(verdict: Verdict) -> Iterator[Styled]:
    if verdict.status is Status.REENCODED and verdict.signed_form:
        yield _row("form", f"matches another form of the same JSON: {brief(verdict.signed_form)}")
    missing = [_HEADERS_OF[slug] for slug in verdict.slugs if slug in _HEADERS_OF]
    if verdict.status is Status.MISSING and missing:
        yield _row("cause", f"no {' and no '.join(missing)} header", "red")
        yield _row("fix", "sign it (port-hook sign), or accept it (listen --verify warn)")
    else:
        yield from cause_lines(verdict, indent=BLOCK_INDENT)


def _run(payload: Payload, app_url: str | None) -> Iterator[Styled]:
    who = " from ".join(part for part in (payload.user, payload.origin) if part)
    about = (
        ("of", payload.workflow_run),
        ("by" if payload.user else "from", who),
        ("blueprint", payload.blueprint),
        ("entity", payload.entity),
    )
    text = ", ".join(f"{label} {brief(value)}" for label, value in about if value)
    if payload.run_id:
        run = Styled(brief(payload.run_id), link=run_page_link(payload.run_id, app_url))
        yield _row("run", Styled.assemble(run, f"  {text}" if text else ""))
    elif text:
        yield _row("about", text)


def _inputs(payload: Payload) -> Iterator[Styled]:
    parts: list[str | tuple[str, str]] = []
    for name, value in islice(payload.inputs.items(), _MOST_INPUTS):
        shown = shorten(value_text(value), _VALUE_WIDTH)
        parts += ["  " if parts else "", (brief(name, _NAME_WIDTH), "bold"), " ", (shown, JSON)]
    if len(payload.inputs) > _MOST_INPUTS:
        parts.append((f"  and {len(payload.inputs) - _MOST_INPUTS} more (use `port-hook show ID`)", "dim"))
    if parts:
        yield _row("inputs", Styled.assemble(*parts))
    if payload.censored:
        yield _row("" if parts else "inputs", f"encrypted: {brief(', '.join(payload.censored))}")


def _decrypted(decryptions: Sequence[Revealed]) -> Iterator[Styled]:
    for decryption in decryptions:
        name = brief(str(decryption.path), _NAME_WIDTH)
        yield _row("", Styled.assemble("decrypted  ", (name, "bold"), "  ", _decrypted_value(decryption)))


def _decrypted_value(decryption: Revealed) -> Styled:
    if decryption.plaintext is None:
        return Styled(f"not decrypted: {brief(decryption.message)}", style="yellow")
    value = decryption.value
    if value is None:
        return Styled(f"({len(decryption.plaintext):,} bytes that are not UTF-8 text)", style="dim")
    return Styled(value_text(value), style="magenta")


def _delivery(delivery: Delivery, conflict: str, *, is_message: bool, names_target: bool) -> Iterator[Styled]:
    if names_target or not delivery.ok:
        yield _row("handler", brief(delivery.url))
    if delivery.ok:
        return
    if delivery.error:
        yield _row("", brief(delivery.error), "red")
    if delivery.body:
        yield from excerpt_lines("", delivery.body, bytes_text(delivery.body, limit=BODY_EXCERPT), indent=BLOCK_INDENT)
    hints = delivery_hints(delivery, LISTEN_OPTIONS, is_message=is_message, conflict=conflict)
    for number, hint in enumerate(hints):
        yield _row("" if number else "hint", hint)


def _end(capture: Capture, *, shows_command: bool) -> Iterator[Styled]:
    """Yield what ends the run, and the command that reports its result. Nobody waits for a response to a message."""
    payload, response = capture.payload, capture.response
    if capture.rejected or response is None:
        return
    if capture.is_message:
        fate, is_open = message_fate(payload), not payload.synchronized
    else:
        found = run_fate(payload, response, is_message=capture.is_message)
        fate, is_open = fate_message(found, payload, is_good=response.ok), found in OPEN_FATES
    if not fate:
        return
    yield _row("in Port", fate)
    command = report_command(payload.run_id or "", failed=not response.ok) if is_open and shows_command else ""
    if command:
        yield _row("", Styled(command, style="cyan", no_wrap=True))


def _row(label: str, text: Styled | str, style: str = "") -> Styled:
    return labeled(label, text, style, indent=BLOCK_INDENT)
