"""Starts runs in the sandbox of an inspector, and finds the captures of these runs."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from port_hook_cli.actions.action import read_action
from port_hook_cli.errors import UsageError
from port_hook_cli.inspector.records import delivery_record, message, sent_record
from port_hook_cli.inspector.triggering import Actions, Triggerable, found_in
from port_hook_cli.port_api.access import PortAccess
from port_hook_cli.runtime import Runtime
from port_hook_cli.text.secret import Secret
from port_hook_cli.trigger.port_workflows import PortWorkflows

if TYPE_CHECKING:
    from port_hook_cli.invocations.models import Capture
    from port_hook_cli.trigger.run_data import RunData
    from port_hook_cli.workflows.shown_run import ShownRun

_MOST_REMEMBERED = 10_000
_TRIES = 40
_TRIES_PER_CALL = 10
_PAUSE_S = 0.05


class SentRequests:
    """Maps runs to the captures of their requests. The sandbox's inspector records each capture here."""

    def __init__(self) -> None:
        self._captures: OrderedDict[str, str] = OrderedDict()
        self._runs: OrderedDict[str, str] = OrderedDict()
        self._unnamed: OrderedDict[str, str] = OrderedDict()

    def note(self, run_id: str, capture: str, *, is_named: bool) -> None:
        """Remember the capture of an action run or a node run.

        `is_named` is true if the payload contains the run ID.
        """
        _keep(self._captures, run_id, capture)
        if not is_named:
            _keep(self._runs, capture, run_id)
            _keep(self._unnamed, run_id, capture)

    def capture_of(self, run_id: str) -> str | None:
        """Return the ID of a run's capture, or None."""
        return self._captures.get(run_id)

    def unnamed_of(self, run_id: str) -> str | None:
        """Return the ID of a run's capture if its payload has no run ID. Otherwise return None."""
        return self._unnamed.get(run_id)

    def run_of(self, capture: str) -> str | None:
        """Return the ID of a capture's run if the payload has no run ID. Otherwise return None."""
        return self._runs.get(capture)


def _keep(known: OrderedDict[str, str], key: str, value: str) -> None:
    known[key] = value
    if len(known) > _MOST_REMEMBERED:
        known.popitem(last=False)


class SandboxRuns(Actions):
    """The sandbox's actions and workflows. Their runs start in the sandbox, which sends the requests."""

    def __init__(
        self, paths: Sequence[Path], secret: Secret | None, runtime: Runtime, access: PortAccess, sent: SentRequests
    ) -> None:
        super().__init__(paths, secret, runtime)
        self._access, self.sent = access, sent

    def why_not(self) -> str | None:
        """Return None, because the sandbox can always start runs."""
        return None

    async def read(self) -> Triggerable:
        """Return the sandbox's current actions and workflows. Raises PortApiError."""
        async with self._access.client() as port:
            actions = (await port.call("GET", "/v1/actions"))["actions"]
            workflows = (await port.call("GET", "/v1/workflows"))["workflows"]
        return found_in(actions, workflows)

    async def start(self, identifier: str, inputs: Mapping[str, Any]) -> tuple[str, str | None]:
        """Start a run, and return the ID of the run and the ID of the capture of its first request.

        The ID of the capture is None if no request arrives soon. Raises UsageError and PortApiError.
        """
        run_id, run = await self._start(identifier, self.run_data(inputs))
        return run_id, await self._first_capture(run_id, run)

    async def _start(self, identifier: str, data: RunData) -> tuple[str, ShownRun | None]:
        """Start a run, and return its ID. For a workflow, also return the current state of the run."""
        from port_hook_cli.trigger.in_port import start_action_in_port, start_workflow_in_port

        found = await self.find(identifier)
        async with self._access.client() as port:
            if isinstance(found, Mapping):
                return str((await start_action_in_port(port, read_action(found), data))["id"]), None
            if not found.workflow.nodes[found.node or ""].is_trigger:
                raise UsageError(
                    "The sandbox runs a workflow from its trigger, not one node alone.", hint="Choose the workflow."
                )
            run = await start_workflow_in_port(PortWorkflows(port), found, data)
            return run.id, run

    async def _first_capture(self, run_id: str, run: ShownRun | None) -> str | None:
        """Return the capture of the first request of a run, or None if no request arrives soon.

        This method rarely reads the run of a workflow, because the sandbox prints each call.
        """
        for number in range(_TRIES):
            if run is not None and number and number % _TRIES_PER_CALL == 0:
                async with self._access.client() as port:
                    run = await PortWorkflows(port).run(run_id)
            ids = [run_id] if run is None else [each.id for each in run.node_runs]
            if found := next(filter(None, map(self.sent.capture_of, ids)), None):
                return found
            await asyncio.sleep(_PAUSE_S)
        return None


def started_record(run_id: str, first: Capture | None) -> dict[str, Any]:
    """Return the response about a started run and its first request."""
    notes = [f"The sandbox started the run {run_id}."]
    if first is None:
        notes.append("The page lists its requests when they have a response.")
    delivery = None if first is None else first.delivery
    return message(
        {
            "delivery": None if delivery is None else delivery_record(delivery),
            "sent": None if first is None else sent_record(first.invocation),
            "notes": notes,
            "capture": None if first is None else first.invocation.id,
            "run": run_id,
        }
    )
