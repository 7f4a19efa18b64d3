"""The `port_sandbox` fixture: a test's view of the sandbox."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from copy import deepcopy
from pathlib import Path
from typing import Any

from port_hook_cli.errors import UsageError
from port_hook_cli.pytest_plugin.definitions import ActionSource, load_action, load_blueprint
from port_hook_cli.pytest_plugin.runs import Run, RunNotEnded, describe_not_ended, summarize
from port_hook_cli.pytest_plugin.workflows import node_runs
from port_hook_cli.pytest_plugin.world import World, at_the_test
from port_hook_cli.sandbox import ApiEvent, SandboxRun


class PortSandbox:
    """A running sandbox that simulates Port. It is reset for each test.

    `environ` makes a handler use the sandbox. It contains PORT_CLIENT_ID, PORT_CLIENT_SECRET, PORT_API_URL,
    PORT_BASE_URL and PORT_API_BASE_URL. The credentials are generated for the session and valid only in this sandbox.
    Relative paths of actions are searched in the directory of the test's file, and then in pytest's root directory.
    """

    def __init__(self, world: World, *, folders: Sequence[Path]) -> None:
        self.environ = world.environ
        self.url = world.sandbox.url
        self.client_id = world.sandbox.client_id
        self.world = world
        self.folders = folders

    def __repr__(self) -> str:
        return f"<PortSandbox {self.url}>"

    @property
    def client_secret(self) -> str:
        """The secret that signs invocations."""
        return self.environ["PORT_CLIENT_SECRET"]

    @property
    def runs(self) -> dict[str, Run]:
        """The runs of this test by ID."""
        return self.world.do(lambda: {run_id: self.shown(run) for run_id, run in self.world.sandbox.runs.items()})

    @property
    def calls(self) -> tuple[ApiEvent, ...]:
        """The API calls of this test. Each call has `method`, `path`, `status`, `run_id` and `note`."""
        return self.world.do(lambda: tuple(self.world.calls))

    @property
    def actions(self) -> dict[str, dict[str, Any]]:
        """The actions and automations by identifier, in the format of Port's API. `create_vm` is a sample."""
        return self.world.do(lambda: deepcopy(self.world.sandbox.actions))

    @property
    def blueprints(self) -> dict[str, dict[str, Any]]:
        """The blueprints by identifier, in the format of Port's API."""
        return self.world.do(lambda: deepcopy(self.world.sandbox.blueprints))

    @property
    def entities(self) -> dict[tuple[str, str], dict[str, Any]]:
        """The entities that the handler has created, by blueprint and identifier."""
        return self.world.do(lambda: deepcopy(self.world.sandbox.entities))

    def add_action(self, action: ActionSource) -> str:
        """Add or replace an action, and return its identifier. `action` is a JSON or YAML file, FILE#ID, or a mapping.

        Raises UsageError if `action` is not an action, or is an identifier that the sandbox does not have.
        """
        __tracebackhide__ = True
        try:
            document = load_action(action, self.folders)
        except UsageError as error:
            raise at_the_test(error) from None
        identifier = str(action) if document is None else str(document["identifier"])
        if document is not None:
            self.world.do(lambda: self.world.sandbox.add_action(document))
        elif identifier not in (known := self.actions):
            raise UsageError(f"The sandbox has no action {identifier}. Its actions are: {', '.join(known)}.")
        return identifier

    def add_blueprint(self, blueprint: ActionSource) -> str:
        """Add or replace a blueprint, and return its identifier. `blueprint` is a JSON or YAML file, or a mapping.

        Raises UsageError if `blueprint` is not a blueprint.
        """
        __tracebackhide__ = True
        try:
            document = load_blueprint(blueprint, self.folders)
        except UsageError as error:
            raise at_the_test(error) from None
        self.world.do(lambda: self.world.sandbox.add_blueprint(document))
        return str(document["identifier"])

    def add_entity(self, blueprint: str, entity: Mapping[str, Any]) -> str:
        """Add or replace an entity that a test needs, such as the target of a relation. Return the entity's identifier.

        Raises UsageError if the sandbox would reject the entity if a handler sent it.
        """
        __tracebackhide__ = True
        added = self.world.do(lambda: self.world.sandbox.add_entity(blueprint, entity))
        return str(added["identifier"])

    def add_run(self, run_id: str, *, action: str = "create_vm") -> Run:
        """Add or restart a run in progress, for a request that the test itself makes."""
        return self.world.do(lambda: self.shown(self.world.sandbox.add_run(run_id, action=action)))

    def wait_for_end(self, run_id: str, *, timeout_s: float | None = None) -> Run:
        """Wait until a run has ended, and return the run. Raises RunNotEnded after `timeout_s` seconds."""
        __tracebackhide__ = True
        return self.world.call(self.ended(run_id, timeout_s, blocks=is_in_event_loop()))

    async def await_end(self, run_id: str, *, timeout_s: float | None = None) -> Run:
        """Do the same as `wait_for_end`, without blocking the event loop of the test."""
        __tracebackhide__ = True
        return await self.world.acall(self.ended(run_id, timeout_s))

    def summary(self) -> str:
        """Return the summary of runs and calls that pytest shows with a failed test."""
        runs = {**self.runs, **self.world.do(lambda: node_runs(self.world))}
        return summarize(list(runs.values()), self.calls) if runs or self.calls else ""

    def shown(self, run: SandboxRun) -> Run:
        """Return a snapshot of a run. Call this method only in the event loop's thread, like `ended`."""
        return Run(
            id=run.id,
            action=run.start.action,
            status=run.report.status,
            ended=run.ended,
            status_label=run.report.status_label,
            summary=run.report.summary,
            link=run.report.link,
            external_run_id=run.report.external_run_id,
            response=run.report.response,
            logs=tuple(str(log.get("message", "")) for log in run.logs),
            properties=dict(run.start.properties),
            entities=tuple(run.entities),
            request=self.world.requests.get(run.id),
            handler_response=self.world.responses.get(run.id),
        )

    async def ended(self, run_id: str, timeout_s: float | None = None, *, blocks: bool = False) -> Run:
        """Wait until a run has ended, and return the run.

        `blocks` says whether the wait blocks the event loop of the test.
        """
        __tracebackhide__ = True
        seconds = self.world.timeout_s if timeout_s is None else timeout_s
        if run_id not in self.world.sandbox.runs:
            raise UsageError(f"The sandbox has no run {run_id}.", hint="Add it with port_sandbox.add_run.")
        try:
            async with asyncio.timeout(seconds):
                return self.shown(await self.world.sandbox.wait_for_end(run_id))
        except TimeoutError:
            raise self.not_ended(run_id, f"after {seconds:g} s", blocks=blocks) from None

    def not_ended(self, run_id: str, when: str, *, blocks: bool = False) -> RunNotEnded:
        """Return the error for a run that is still in progress. Call this method only in the event loop's thread."""
        run = self.shown(self.world.sandbox.runs[run_id])
        return RunNotEnded(describe_not_ended(run, when, tuple(self.world.calls), blocks=blocks), run)


def is_in_event_loop() -> bool:
    """Return whether the caller runs in an event loop, which waiting would block."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True
