"""Sending the invocations of runs, one task each, and recording what becomes of them as Port does.

An invocation is sent at most once. What has been decided is saved before it is done: a sandbox that is killed sends
what it had not begun to send when it starts again, and owns up to what it had.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from port_hook_cli.errors import PortHookError
from port_hook_cli.invocations.models import Delivery, Headers, Invocation
from port_hook_cli.invocations.records import format_time
from port_hook_cli.invocations.url_text import sendable_url
from port_hook_cli.javascript.nesting import nests_too_deep
from port_hook_cli.sandbox.invoking import RequestMaker, SandboxRequest, message_and_hint
from port_hook_cli.sandbox.run import Phase, SandboxRun
from port_hook_cli.sandbox.state import SandboxState
from port_hook_cli.signatures.signing import TimestampUnit, signed_headers
from port_hook_cli.text.safe import brief

if TYPE_CHECKING:
    from port_hook_cli.http.client import HttpClient

_CONTENT_TYPE = ("content-type", "application/json")
_BY = "port-hook"
_LOST = "The sandbox was ended while it sent the request; whether it arrived is not known."
# The whole authority, so that no two readers of URLs can disagree on where it leads.
_is_loopback = re.compile(r"(?:localhost|127(?:\.[0-9]{1,3}){3}|\[::1\])(?::[0-9]{1,5})?", re.IGNORECASE).fullmatch


@dataclass(frozen=True, slots=True, kw_only=True)
class Sending:
    """How invocations are sent: the unit of the signed timestamp, and the seconds an answer may take (0: any time).

    Without `allow_remote` only loopback hosts are sent to.
    """

    unit: TimestampUnit = TimestampUnit.SECONDS
    timeout_s: float = 30.0
    allow_remote: bool = False


DEFAULT_SENDING = Sending()


class Courier:
    """Sends invocations. `commit` saves and publishes what has changed; it raises PortHookError when it cannot save."""

    def __init__(
        self,
        state: SandboxState,
        invoker: RequestMaker | None,
        commit: Callable[[], None],
        sending: Sending,
    ) -> None:
        self._state = state
        self._invoker = invoker
        self._commit = commit
        self._sending = sending
        self._tasks: set[asyncio.Task[None]] = set()
        self._client: HttpClient | None = None

    def send(self, run_id: str) -> None:
        """Begin to send the invocation of a run."""
        task = asyncio.create_task(self._send(self._state.runs[run_id]))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def take_up(self) -> None:
        """Go on with the runs of a sandbox that was ended: send what waits, record what was under way."""
        for run in [run for run in self._state.runs.values() if not run.ended]:
            if run.phase is Phase.SENDING:
                self._record_lost(run)
            elif run.phase is Phase.PENDING:
                self.send(run.id)

    async def give_up(self) -> None:
        """End what is under way, and record nothing of it."""
        under_way = tuple(self._tasks)
        for task in under_way:
            task.cancel()
        await asyncio.gather(*under_way, return_exceptions=True)

    async def close(self) -> None:
        """Give up what is under way, and close the connections."""
        await self.give_up()
        if self._client is not None:
            self._client.close()

    def record(self, run: SandboxRun, delivery: Delivery) -> None:
        """Record what became of the request that is a run's `payload`, as Port does. One that was not answered fails.

        What cannot be saved now is saved with the next call.
        """
        if delivery.status is None:
            self._fail(run, f"The webhook could not be invoked: {delivery.error}".rstrip("?.") + ".")
            return
        run.phase = Phase.SENT
        self._state.keep("run", run.id, run)
        self._state.tell(run, f"answered {delivery.status} in {delivery.latency_ms:.1f} ms")
        if not run.ended:
            self._apply_response(run, delivery)
        self._try_to_commit()

    async def _send(self, run: SandboxRun) -> None:
        try:
            request = await self._requested(run)
            if self._state.runs.get(run.id) is not run or run.ended:
                return  # started anew, or ended by a report, while the request was made
            run.payload = request.document()
            if request.properties is not None:
                run.properties = dict(request.properties)
            if request.agent:
                self._step(run, Phase.CLAIMABLE, "waits for Port's agent to claim it")
                return
            self._check_place(request.url)
            self._step(run, Phase.SENDING, f"sends {brief(f'{request.method} {request.url}')}")
            delivery = await self._deliver(run, request)
        except PortHookError as problem:
            self._fail(run, message_and_hint(problem))
            return
        except Exception as bug:  # noqa: BLE001 - a task has nobody above it who would be told
            self._fail(run, f"The sandbox has a bug: {type(bug).__name__}: {bug}")
            return
        self.record(run, delivery)

    async def _requested(self, run: SandboxRun) -> SandboxRequest:
        action = self._state.actions.get(run.action)
        if action is None:
            raise PortHookError(f"The action {run.action} is no longer there.")
        if self._invoker is None:
            raise PortHookError("This sandbox was started without an invoker, so it sends no requests.")
        return await self._invoker.request(
            action,
            properties=run.properties,
            entity=self._entity_of(run),
            run_id=run.id,
            by={
                "orgId": self._state.organization["id"],
                "userId": "sandbox|you",
                "user": {"email": run.user_email, "firstName": "Sandbox", "lastName": "User"},
            },
            at=format_time(run.created_at),
        )

    def _entity_of(self, run: SandboxRun) -> Mapping[str, Any] | None:
        """Return the entity that the run is about; one that nobody has created is made up."""
        if run.entity is None:
            return None
        made_up = {"identifier": run.entity, "title": run.entity, "properties": {}, "relations": {}}
        known = self._state.entities.get((run.blueprint or "", run.entity))
        return {**(known or made_up), "blueprint": run.blueprint}

    def _check_place(self, url: str) -> None:
        parts = urlsplit(url)
        if parts.scheme not in {"http", "https"} or not parts.netloc:
            raise PortHookError(f"{brief(url)} is no URL that could be sent to.")
        if not self._sending.allow_remote and not _is_loopback(parts.netloc):
            raise PortHookError(
                f"The sandbox sends to this machine only, and {brief(parts.netloc)} is not it.",
                hint="Point the action at 127.0.0.1, or start the sandbox with --allow-remote.",
            )

    async def _deliver(self, run: SandboxRun, request: SandboxRequest) -> Delivery:
        if self._client is None:
            from port_hook_cli.http.client import HttpClient

            self._client = HttpClient(timeout_s=self._sending.timeout_s)
        stamp = self._sending.unit.stamp(self._state.now())
        named = any(name.lower() == _CONTENT_TYPE[0] for name, _ in request.headers)
        fields = (
            *(() if named else (_CONTENT_TYPE,)),
            *request.headers,
            *signed_headers(request.body, self._state.client_secret, stamp),
        )
        invocation = Invocation(
            id=run.id,
            received_at=self._state.now(),
            method=request.method,
            target="/",
            headers=Headers.from_raw((name.encode("utf-8"), value.encode("utf-8")) for name, value in fields),
            body=request.body,
        )
        return await self._client.send(invocation, sendable_url(request.url))

    def _apply_response(self, run: SandboxRun, delivery: Delivery) -> None:
        """Let an answer end a synchronized run; of another, it is only logged that it was refused."""
        refused = f"The webhook answered {delivery.status}."
        if run.is_synchronized:
            summary = {} if delivery.ok else {"summary": refused}
            response = _response(delivery.body)
            given = {} if response is None else {"response": response}
            self._state.update_run(run, {"status": "SUCCESS" if delivery.ok else "FAILURE", **summary, **given})
        elif not delivery.ok:
            self._state.add_log(run, {"message": refused}, by=_BY)

    def _record_lost(self, run: SandboxRun) -> None:
        if run.is_synchronized:
            self._fail(run, _LOST)
            return
        self._state.add_log(run, {"message": _LOST}, by=_BY)
        self._step(run, Phase.SENT, _LOST)

    def _fail(self, run: SandboxRun, reason: str) -> None:
        """Record a request that was not answered, as Port does: the run fails, and its log says why."""
        run.phase = Phase.SENT
        if run.ended:
            self._state.keep("run", run.id, run)
            self._state.tell(run, reason)
        else:
            self._state.add_log(run, {"message": reason}, by=_BY)
            self._state.tell(run, reason)
            self._state.update_run(run, {"status": "FAILURE", "summary": reason})
        self._try_to_commit()

    def _step(self, run: SandboxRun, phase: Phase, note: str) -> None:
        run.phase = phase
        self._state.keep("run", run.id, run)
        self._state.tell(run, note)
        self._commit()

    def _try_to_commit(self) -> None:
        with contextlib.suppress(PortHookError):  # the next call tries again, and is told if it cannot be saved either
            self._commit()


def _response(body: bytes) -> Any:
    """Return a response's body as a run's `response`: a string, an array or an object; None for no body.

    JSON that nests too deeply to be serialized stays a string.
    """
    text = body.decode("utf-8", "replace")
    try:
        document = text if nests_too_deep(text) else json.loads(text)
    except (ValueError, RecursionError):
        return text or None
    return document if isinstance(document, dict | list) else text
