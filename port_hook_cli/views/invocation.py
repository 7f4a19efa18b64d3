"""One exchange on the screen: in full, or in a line.

Every piece of text that came from the wire goes through `views.text` first. Lines are never wrapped here, so that
what is meant to be copied can be copied.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import Any

from rich.style import Style
from rich.text import Text

from port_hook_cli.core.answering import RunFate, run_fate
from port_hook_cli.core.api_urls import run_page
from port_hook_cli.core.delivery_hints import delivery_hint
from port_hook_cli.core.models import Delivery, Exchange, Kind, Payload, Status, Verdict
from port_hook_cli.views.text import printable, printable_lines, shorten
from port_hook_cli.views.verdict import status_colour

_LABEL_WIDTH = 11
_BODY_EXCERPT = 2048
_VALUE_EXCERPT = 200
_MOST_INPUTS = 40
_MOST_CHANGES = 20
_FATES = {
    RunFate.SUCCESS: "the run is synchronised: this answer ends it as SUCCESS",
    RunFate.FAILURE: "the run is synchronised: this answer ends it as FAILURE",
    RunFate.WAITS: "the run stays IN_PROGRESS until its result is reported",
    RunFate.DEPENDS: "a synchronised run ends with this answer ({fate}); any other stays IN_PROGRESS until reported",
}


def clock_time(epoch_s: float) -> str:
    """Return seconds since the epoch as the local time of day."""
    return time.strftime("%H:%M:%S", time.localtime(epoch_s))


def compact_line(exchange: Exchange) -> str:
    """Return an exchange as one plain line."""
    invocation, payload = exchange.invocation, exchange.payload
    parts = [
        clock_time(invocation.received_at),
        invocation.id,
        str(exchange.verdict.status),
        f"{invocation.method} {shorten(printable(invocation.target), 80)}",
        printable(what_it_is(payload)),
        printable(payload.run_id or "-"),
    ]
    if exchange.verdict.slugs:
        parts.append(f"[{', '.join(exchange.verdict.slugs)}]")
    if exchange.delivery is not None:
        parts.append(f"handler {_outcome(exchange.delivery)}")
    if exchange.answer is not None:
        parts.append(f"answered {exchange.answer.status}")
    return "  ".join(parts)


def exchange_lines(exchange: Exchange, *, app_url: str | None) -> Iterator[Text]:
    """Yield an exchange in full, line by line; `app_url` is where a run's page is, when it is known."""
    yield _head(exchange)
    yield from _verdict(exchange.verdict)
    yield from payload_lines(exchange.payload, exchange.invocation.body, app_url=app_url)
    if exchange.delivery is not None:
        yield from _delivery(exchange.delivery)
    yield from _answer(exchange)


def what_it_is(payload: Payload) -> str:
    """Return what an invocation asks for in a few words: the action and its operation, or the event."""
    words = [payload.action, payload.operation, payload.event]
    return " ".join(word for word in words if word) or str(payload.kind)


def payload_lines(payload: Payload, body: bytes, *, app_url: str | None) -> Iterator[Text]:
    """Yield what was read of a body; a body that says nothing known is shown as it is."""
    if payload.run_id:
        link = Style(link=run_page(app_url, payload.run_id)) if app_url else Style.null()
        yield _line("run", Text(printable(payload.run_id), style=link))
    who = " from ".join(part for part in (payload.user, payload.origin) if part)
    for label, value in (("by", who), ("blueprint", payload.blueprint), ("entity", payload.entity)):
        if value:
            yield _line(label, Text(printable(value)))
    yield from _table("inputs", payload.inputs)
    if payload.censored:
        yield _line("encrypted", Text(printable(", ".join(payload.censored))))
    for index, change in enumerate(payload.changes[:_MOST_CHANGES]):
        text = f"{printable(change.path)}: {value_text(change.before)} -> {value_text(change.after)}"
        yield _line("" if index else "changes", Text(text))
    if payload.problem:
        yield _line("body", Text(printable(payload.problem), style="yellow"))
    if payload.problem or payload.kind is Kind.UNKNOWN:
        yield from _block(body_text(payload, body))


def cause_lines(verdict: Verdict) -> Iterator[Text]:
    """Yield what was found out about a signature, each cause with its fix; beside a good one it is a warning."""
    is_good = verdict.status in {Status.VALID, Status.REENCODED}
    for cause in verdict.causes:
        words = Text(f"{printable(cause.slug)}: {printable(cause.words)}", "yellow" if is_good else "red")
        yield _line("warning" if is_good else "cause", words)
        yield _line("fix", Text(printable(cause.fix)))


def body_text(payload: Payload, body: bytes) -> str:
    """Return a body for the screen: indented JSON where it is that, else its text, control characters written out."""
    if payload.document is not None:
        try:
            return printable_lines(json.dumps(payload.document, ensure_ascii=False, indent=2))
        except (RecursionError, ValueError):
            pass
    return printable_lines(body.decode("utf-8", "backslashreplace"))


def value_text(value: Any) -> str:
    """Return a JSON value on one line, cut where it is long."""
    try:
        text = json.dumps(value, ensure_ascii=False)
    except (RecursionError, ValueError):
        text = "(nested too deeply to be shown)"
    return shorten(printable(text), _VALUE_EXCERPT)


def _head(exchange: Exchange) -> Text:
    invocation, verdict = exchange.invocation, exchange.verdict
    return Text.assemble(
        (clock_time(invocation.received_at), "dim"),
        "  ",
        (str(verdict.status), f"bold {status_colour(verdict.status)}"),
        "  ",
        (printable(what_it_is(exchange.payload)), "bold"),
        f"  {invocation.method} {shorten(printable(invocation.target), 120)}  ",
        (invocation.id, "dim"),
    )


def _verdict(verdict: Verdict) -> Iterator[Text]:
    if verdict.status is Status.REENCODED and verdict.reading:
        yield _line("signature", Text(f"matches another form of the same JSON: {verdict.reading}"))
    yield from cause_lines(verdict)


def _delivery(delivery: Delivery) -> Iterator[Text]:
    style = "green" if delivery.ok else "red"
    yield _line("forwarded", Text.assemble(printable(delivery.url), "  ", (_outcome(delivery), style)))
    if delivery.ok:
        return
    if delivery.error:
        yield _line("", Text(printable(delivery.error), style=style))
    if delivery.body:
        yield from _block(printable_lines(delivery.body[:_BODY_EXCERPT].decode("utf-8", "backslashreplace")))
    if hint := delivery_hint(delivery):
        yield _line("hint", Text(hint))


def _answer(exchange: Exchange) -> Iterator[Text]:
    if exchange.answer is None:
        return
    refused = " and not forwarded" if _is_refused(exchange) else ""
    yield _line("answered", Text(f"{exchange.answer.status}{refused}"))
    fate = run_fate(exchange.payload, exchange.answer)
    if fate is RunFate.NO_RUN or _is_refused(exchange):
        return
    by_answer = "SUCCESS" if exchange.answer.status // 100 == 2 else "FAILURE"  # noqa: PLR2004 - the class of 2xx
    yield _line("in Port", Text(_FATES[fate].format(fate=by_answer)))
    if fate in {RunFate.WAITS, RunFate.DEPENDS}:
        run_id = printable(exchange.payload.run_id or "")
        yield _line("", Text(f"port-hook report-run {run_id} --status success", style="cyan"))


def _is_refused(exchange: Exchange) -> bool:
    return exchange.answer is not None and exchange.delivery is None and exchange.answer.status == 401  # noqa: PLR2004


def _table(label: str, values: dict[str, Any]) -> Iterator[Text]:
    shown = list(values.items())[:_MOST_INPUTS]
    width = min(max((len(printable(name)) for name, _ in shown), default=0), 40)
    for index, (name, value) in enumerate(shown):
        text = Text.assemble((printable(name).ljust(width), "bold"), "  ", value_text(value))
        yield _line("" if index else label, text)
    if len(values) > len(shown):
        yield _line("", Text(f"and {len(values) - len(shown)} more; `port-hook show ID` lists them all", style="dim"))


def _block(text: str) -> Iterator[Text]:
    for line in shorten(text, _BODY_EXCERPT).splitlines():
        yield Text(f"{' ' * (_LABEL_WIDTH + 2)}{line}", style="dim")


def _line(label: str, text: Text) -> Text:
    return Text.assemble("  ", (label.ljust(_LABEL_WIDTH), "dim"), text)


def _outcome(delivery: Delivery) -> str:
    outcome = delivery.fault if delivery.status is None else str(delivery.status)
    return f"{outcome} in {delivery.latency_ms:.1f} ms"
