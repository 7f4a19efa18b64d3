"""Reports a run: logs as they arrive, then fields, then the status, once."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from typing import Any, Protocol

from port_hook_cli.errors import PortApiError
from port_hook_cli.port_api.responses import run_ended
from port_hook_cli.runs.updates import Call, Purpose, Reported, ReportPlan, ended_status, is_node_run, log_calls


class RunApi(Protocol):
    """The part of Port's API that reports a run. Both methods raise PortApiError or RunEndedError."""

    async def get_run(self, run_id: str, /) -> Mapping[str, Any]:
        """Return the action run as Port shows it."""
        ...

    async def send(self, call: Call, /) -> Mapping[str, Any]:
        """Make one call and return Port's response."""
        ...


class DeliveryApi(Protocol):
    """The part of Port's API that a kept report needs. All methods raise PortApiError or RunEndedError."""

    async def get_run(self, run_id: str, /) -> Mapping[str, Any]:
        """Return the action run as Port shows it."""
        ...

    async def run_logs(self, run_id: str, /, *, offset: int = 0) -> Sequence[Mapping[str, Any]]:
        """Return a page of the run's log entries, without the first `offset`; none at the end."""
        ...

    async def send(self, call: Call, /, *, is_taken: Callable[[], Awaitable[bool]] | None = None) -> Mapping[str, Any]:
        """Make one call; if its response is lost, `is_taken` says whether Port has taken it."""
        ...


class Chunks(Protocol):
    """Bytes that arrive over time, such as an `asyncio.Queue`; an empty chunk is the end."""

    async def get(self) -> bytes:
        """Wait for the next chunk. A cancellation loses no chunk."""
        ...


async def send_report(api: RunApi, plan: ReportPlan, streamed: AsyncIterator[str] | None = None) -> Reported:
    """Make the calls of `plan`, with the `streamed` log messages after its own, and return what was sent.

    Raises RunEndedError before the first call if the run has already ended, and PortApiError with what was sent before
    the failed call.
    """
    await _check_in_progress(api, plan.run_id)
    sent: list[Call] = []
    try:
        async for call in planned_calls(plan, streamed):
            await api.send(call)
            sent.append(call)
    except PortApiError as problem:
        raise type(problem)(f"{problem.message} {_sent_before(sent)}", hint=problem.hint) from problem
    return _reported(plan.run_id, sent)


async def planned_calls(plan: ReportPlan, streamed: AsyncIterator[str] | None = None) -> AsyncIterator[Call]:
    """Yield the calls of `plan` in order, with the `streamed` log messages after its own."""
    for call in plan.logs:
        yield call
    if streamed is not None:
        async for message in streamed:
            for call in log_calls(plan.run_id, message, plan.log_level):
                yield call
    for call in plan.last_calls:
        yield call


async def _check_in_progress(api: RunApi, run_id: str) -> None:
    if is_node_run(run_id):
        return  # Port has no route that shows a node's run; a call for an ended one fails
    status = ended_status(await api.get_run(run_id))
    if status is not None:
        raise run_ended(run_id, status)


def _sent_before(sent: Sequence[Call]) -> str:
    if not sent:
        return "Nothing was sent."
    logs = sum(call.purpose is Purpose.LOG for call in sent)
    parts = [f"{logs} log {'entry' if logs == 1 else 'entries'}"] if logs else []
    if any(call.purpose is Purpose.FIELDS for call in sent):
        parts.append("the fields")
    return f"Sent before: {' and '.join(parts)}."


def _reported(run_id: str, sent: Sequence[Call]) -> Reported:
    fields = [name for call in sent if call.purpose is Purpose.FIELDS for name in call.body or ()]
    return Reported(
        run_id=run_id,
        logs_sent=sum(call.purpose is Purpose.LOG for call in sent),
        fields=tuple(fields),
        status=next((call.wanted for call in sent if call.wanted), None),
    )
