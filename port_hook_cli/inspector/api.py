"""The inspector's API without HTTP: what each URL in docs/reference/inspector-api.md returns."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from dataclasses import replace
from typing import Any
from urllib.parse import urlsplit

from port_hook_cli import __version__
from port_hook_cli.actions.encrypted_inputs import Decryption, plain_value
from port_hook_cli.captures.browsing.query import CaptureQuery
from port_hook_cli.captures.comparison import by_member, compare
from port_hook_cli.errors import UsageError
from port_hook_cli.inspector.checking import HandlerChecks, PortOwner
from port_hook_cli.inspector.exporting import CaptureExports
from port_hook_cli.inspector.feed import Feed
from port_hook_cli.inspector.holding import HoldDesk
from port_hook_cli.inspector.parameters import (
    Parameters,
    read_check,
    read_flag,
    read_number,
    read_planned_check,
    read_query,
    read_report,
    read_resend,
    read_retry,
    read_text,
)
from port_hook_cli.inspector.reading import CaptureReader
from port_hook_cli.inspector.records import delivery_record, message, sent_record
from port_hook_cli.inspector.retrying import WorkflowRetries
from port_hook_cli.inspector.sandbox_runs import SandboxRuns, started_record
from port_hook_cli.inspector.sending import json_problem, kept_notes, page_rewriter, resend
from port_hook_cli.inspector.setup import InspectorSetup
from port_hook_cli.invocations.models import Invocation
from port_hook_cli.invocations.payload import unsent
from port_hook_cli.javascript.paths import NoSuchValue
from port_hook_cli.replay.rewriting import SentReplay

_PAGE = 60
_MAX_PAGE = 200
_BUCKETS = 60
_MAX_BUCKETS = 200
_LEVEL = 200
_SET_IT = "Set PORT_CLIENT_SECRET and start the inspector again."


class Inspector:
    """Returns the data that the page requests. All methods raise PortHookError."""

    def __init__(self, setup: InspectorSetup, captures: CaptureReader) -> None:
        self._setup = setup
        self._captures = captures
        self._count = 0
        self.desk = HoldDesk(setup.holding)
        self.feed = Feed(captures, self._refreshed_session, self.desk.state_of_listener)
        self.desk.follow(self.feed.tell)
        self._checks = HandlerChecks(setup, captures)
        self._retries = WorkflowRetries(setup, captures)
        self._exports = CaptureExports(setup, captures)
        self.own_ports: frozenset[int] = frozenset()

    async def show_session(self, _: Parameters) -> dict[str, Any]:
        """Return what the page must know about this inspector, with the current counts of captures."""
        self._count = await self._captures.count()
        return self.session()

    def session(self) -> dict[str, Any]:
        """Return what the page must know about this inspector."""
        setup = self._setup
        url, public_url = setup.urls()
        no_secret = None if setup.secret else f"The inspector has no client secret. {_SET_IT}"
        why_not = {
            "replay": None,
            "sign": no_secret,
            "runs": setup.port.why_not(),
            "trigger": setup.actions.why_not(),
            "check": no_secret,
            "decrypt": None if setup.decrypt else f"The inspector has no decryption key. {_SET_IT}",
            "hold": self.desk.why_not(),
        }
        return message(
            {
                "version": __version__,
                "mode": setup.mode,
                "store": str(setup.store),
                "url": url,
                "public_url": public_url,
                "count": self._count,
                "problem": self.feed.problem or None,
                "can": {name: reason is None for name, reason in why_not.items()},
                "why_not": why_not,
            }
        )

    def _refreshed_session(self) -> dict[str, Any]:
        """Return the session without the count, so that pages don't get the session with every capture."""
        return {**self.session(), "count": None}

    async def held(self, _: Parameters) -> dict[str, Any]:
        """Return the requests that the listener holds."""
        return message(self.desk.state())

    async def hold(self, _: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """Start holding requests, or release the held requests."""
        return message(self.desk.hold(body))

    async def let_pass(self, name: str, _: Mapping[str, Any]) -> dict[str, Any]:
        """Let one held request pass to the handler."""
        return message(self.desk.let_pass(name))

    async def respond(self, name: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """Respond to one held request by hand."""
        return message(self.desk.respond(name, body))

    def query(self, parameters: Parameters) -> CaptureQuery:
        """Return the filter in the query parameters. Raises UsageError.

        The sandbox's inspector also finds the capture of a run whose ID is not in the payload.
        """
        query, actions = read_query(parameters), self._setup.actions
        if query.run_id is None or not isinstance(actions, SandboxRuns):
            return query
        capture = actions.sent.unnamed_of(query.run_id)
        return query if capture is None else replace(query, run_id=None, id_prefix=capture)

    async def captures_page(self, parameters: Parameters) -> dict[str, Any]:
        """Return one page of the rows in the list of captures."""
        limit = read_number(parameters, "limit", _PAGE, most=_MAX_PAGE) or _PAGE
        latest = read_number(parameters, "from", None)
        if latest is None:  # otherwise a request that already has its response could appear later, and move rows
            await self.feed.refresh()
        version = self.feed.version  # read first, so that the events include changes during the read
        page = await self._captures.page(self.query(parameters), latest=latest, limit=limit)
        position = str(version._replace(latest=page.top))
        return message({"captures": page.rows, "next": page.following, "position": position})

    async def spans(self, parameters: Parameters) -> dict[str, Any]:
        """Return the numbers of all captures that match."""
        self._count = await self._captures.count()
        return await self._captures.spans(self.query(parameters))

    async def histogram(self, parameters: Parameters) -> dict[str, Any]:
        """Return the number of captures that arrived in each period."""
        buckets = read_number(parameters, "buckets", _BUCKETS, most=_MAX_BUCKETS) or _BUCKETS
        return await self._captures.histogram(self.query(parameters), now=self._setup.runtime.now(), buckets=buckets)

    async def capture(self, name: str, _: Parameters) -> dict[str, Any]:
        """Return one capture in full. The sandbox's inspector also returns the run of a payload without a run ID."""
        found = await self._captures.record(name, secret=self._setup.secret, replay_to=self._setup.target.default_url)
        row, actions = found["row"], self._setup.actions
        if row["run_id"] is None and isinstance(actions, SandboxRuns):
            row["run_id"] = actions.sent.run_of(row["id"])
        return found

    async def tree(self, name: str, parameters: Parameters) -> dict[str, Any]:
        """Return one level of a JSON body, or the members that contain some text."""
        part = _part(parameters.get("part"))
        text = parameters.get("find")
        offset = read_number(parameters, "offset", 0) or 0
        limit = read_number(parameters, "limit", _LEVEL) or _LEVEL
        pointer = parameters.get("path") or ""
        try:
            if text:
                return message(await self._captures.find(name, part, text[:200]))
            return message(await self._captures.level(name, part, pointer, offset=offset, limit=limit))
        except NoSuchValue:
            raise
        except ValueError as error:
            raise UsageError(
                f"The page cannot show the body as a tree: it is {error}.", hint="Use the raw body."
            ) from error

    async def body(self, name: str, part: str) -> bytes:
        """Return the raw bytes of a part of a capture."""
        return await self._captures.body(name, _part(part))

    async def export(self, name: str, format_name: str, parameters: Parameters) -> dict[str, Any] | None:
        """Return a capture in the format of another tool, or None for an unknown format.

        `sign` signs requests again.
        """
        return await self._exports.write(name, format_name, is_signed_now=read_flag(parameters, "sign"))

    async def compare(self, parameters: Parameters) -> dict[str, Any]:
        """Return the differences between two captures."""
        names = [parameters.get("a") or "", parameters.get("b") or ""]
        if not all(names):
            raise UsageError("A comparison needs two captures.", hint="Pass a=ID and b=ID.")
        (row_a, a), (row_b, b) = [await self._captures.with_row(name) for name in names]
        rows = {"a": row_a, "b": row_b}
        found = await asyncio.to_thread(compare, a, b)
        return message({**rows, **by_member(found)})

    async def replay(self, name: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """Send a capture again."""
        capture = await self._captures.get(name)
        wanted, setup = read_resend(body), self._setup
        rewriter = page_rewriter(wanted, setup.target, setup.secret, setup.runtime)
        sent, notes = await resend(capture, wanted.to, rewriter, setup.target, setup.access, self.own_ports)
        return await self._sent(sent, notes)

    async def trigger(self, name: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """Make the request of an action with these inputs, and send it."""
        inputs = body.get("inputs") or {}
        if not isinstance(inputs, dict):
            raise UsageError('"inputs" is not an object.', hint='Write it as {"NAME": VALUE}.')
        actions = self._setup.actions
        if isinstance(actions, SandboxRuns):
            run_id, capture = await actions.start(name, inputs)
            await self.feed.refresh()  # so that the capture is known
            return started_record(run_id, None if capture is None else await self._captures.get(capture))
        sent, notes = await actions.trigger(name, inputs, self._setup.access, self._send)
        return await self._sent(sent, [*notes, *kept_notes(sent)])

    async def _send(self, request: Invocation) -> SentReplay:
        """Send a new request to the default target, and return the request with its response."""
        url = self._setup.target.default_url(unsent(request)) or ""
        if not url:
            raise UsageError("The request has no target.", hint="Start `port-hook listen --inspect --forward-to PORT`.")
        return await self._setup.target.send(request, url)

    async def planned_check(self, parameters: Parameters) -> dict[str, Any]:
        """Return the requests that a check of the handler would send."""
        await self.feed.refresh()  # so that the latest capture is known
        return await self._checks.plan(read_planned_check(parameters), self._owners())

    async def check(self, body: Mapping[str, Any]) -> AsyncGenerator[dict[str, Any], None]:
        """Check the handler, and yield the records of the check. The check ends when the iterator is closed."""
        wanted = read_check(body)
        await self.feed.refresh()
        async with aclosing(self._checks.run(wanted, self._owners())) as records:
            async for record in records:
                if record.get("captures"):
                    await self.feed.refresh()  # so that the page can load the captures immediately
                yield record

    def _owners(self) -> tuple[PortOwner, ...]:
        """Return the ports that belong to port-hook, not to a handler."""
        name = "the sandbox" if self._setup.mode == "sandbox" else "the listener"
        port = urlsplit(self._setup.urls()[0] or "").port
        return (
            *(PortOwner(each, "the inspector") for each in self.own_ports),
            *(PortOwner(each, name) for each in (port,) if each is not None),
        )

    async def decrypt(self, name: str, _: Mapping[str, Any]) -> dict[str, Any]:
        """Return the encrypted inputs of a capture in plain text. The decrypted inputs are not saved."""
        if self._setup.decrypt is None:
            raise UsageError("The inspector has no decryption key.", hint=_SET_IT)
        capture = await self._captures.get(name)
        found = await asyncio.to_thread(self._setup.decrypt, capture.payload)
        return message({"values": [_decrypted(decryption) for decryption in found]})

    async def run(self, run_id: str, parameters: Parameters) -> dict[str, Any]:
        """Return Port's data about a run. For a run that Port doesn't know, return the captures of the run."""
        workflow_run = parameters.get("workflow_run")
        found = await self._setup.port.show(run_id, workflow_run)
        if found.get("unknown"):
            found["captures"] = await self._captures.of_run(workflow_run or run_id)
        return found

    async def report(self, run_id: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """Report a run, and return Port's data about the run after the report."""
        workflow_run = body.get("workflow_run")
        await self._setup.port.report(run_id, read_report(run_id, body))
        return await self._setup.port.show(run_id, workflow_run if isinstance(workflow_run, str) else None)

    async def planned_retry(self, run_id: str, parameters: Parameters) -> dict[str, Any]:
        """Return what a new run of the workflow from a node would do."""
        names = ("node", "to", "capture")
        return await self._retries.plan(
            read_retry(run_id, {name: parameters.get(name) for name in names}), self.own_ports
        )

    async def retry(self, run_id: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """Run the workflow of a run again from a node, with the outputs of earlier nodes."""
        found = await self._retries.run(read_retry(run_id, body), self.own_ports)
        await self.feed.refresh()  # so that the page can load the new captures immediately
        return found

    async def actions(self, _: Parameters) -> dict[str, Any]:
        """Return the actions that can be triggered."""
        return message({"actions": await self._setup.actions.forms()})

    async def json_problem(self, body: Mapping[str, Any]) -> dict[str, Any]:
        """Return why text is not JSON, and the position of the error."""
        return message({"problem": await asyncio.to_thread(json_problem, read_text(body))})

    async def _sent(self, sent: SentReplay, notes: list[str]) -> dict[str, Any]:
        await self.feed.refresh()  # so that the page can load the new capture immediately
        return message(
            {
                "delivery": delivery_record(sent.delivery),
                "sent": sent_record(sent.request),
                "notes": notes,
                "capture": sent.kept.capture or None,
            }
        )


def _part(text: str | None) -> str:
    part = text or "request"
    if part not in {"request", "delivery", "response"}:
        raise UsageError(f"{part[:80]} is not a part of a capture.", hint="Use request, delivery or response.")
    return part


def _decrypted(decryption: Decryption) -> dict[str, Any]:
    is_open = decryption.plaintext is not None
    return {
        "path": str(decryption.path),
        "text": plain_value(decryption) if is_open else None,
        "problem": None if is_open else decryption.message,
    }
