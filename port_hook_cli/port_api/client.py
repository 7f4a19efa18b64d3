"""Port's API: one method for each route that port-hook calls, and the rules for retrying a call."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from http import HTTPStatus
from typing import Any, NoReturn, Self
from urllib.parse import quote

import httpx

from port_hook_cli.errors import PortApiError, RunEndedError
from port_hook_cli.http.limits import API_TIMEOUT_S
from port_hook_cli.port_api.connection import PortConnection
from port_hook_cli.port_api.paths import action_path, workflow_path
from port_hook_cli.port_api.responses import definition_problem, machine_claim, run_ended
from port_hook_cli.port_api.retries import FailedAttempt, RetryPolicy
from port_hook_cli.port_api.settings import ApiCredentials
from port_hook_cli.runs.updates import (
    Call,
    Purpose,
    ended_status,
    is_node_run,
    log_calls,
    patch_call,
    run_path,
)

_MAX_ID_CHARACTERS = 200
_DEFAULT_RETRIES = RetryPolicy()


class PortApi:
    """A client of Port's API. Use it with `async with`.

    One request may take `timeout_s` seconds, from connecting to the last byte of the response. The client doesn't
    follow redirects. A call is retried after 429, after most 5xx responses and after lost connections, within the
    limits of `Retries`, and after the pause that Port asks for, if any. If the response to a log is lost, the log is
    sent again, so it may appear twice. If the response to a status is lost, the run is checked before the status is
    sent again. Every method raises PortApiError, or RunEndedError for a run that has ended. `on_token` is called with
    each token, which is a secret, and `on_headers` with the headers of each response, whose names are in lowercase.
    """

    def __init__(
        self,
        credentials: ApiCredentials,
        *,
        retries: RetryPolicy = _DEFAULT_RETRIES,
        timeout_s: float = API_TIMEOUT_S,
        now: Callable[[], float] = time.time,
        transport: httpx.AsyncBaseTransport | None = None,
        on_token: Callable[[str], None] = lambda _: None,
        on_headers: Callable[[Mapping[str, str]], None] = lambda _: None,
    ) -> None:
        self._retries = retries
        self._connection = PortConnection(
            credentials,
            retries=retries,
            timeout_s=timeout_s,
            now=now,
            transport=transport,
            on_token=on_token,
            on_headers=on_headers,
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._connection.close()

    async def check_access(self) -> bool | None:
        """Get a token, unless the client already has a token, and return its claim `isMachine`, if it has the claim.

        Raises PortApiError if Port does not accept the credentials.
        """
        return machine_claim((await self._connection.authorize()).reveal())

    async def get_run(self, run_id: str) -> dict[str, Any]:
        """Return the action run. Its `payload` is the request that Port sent."""
        response = await self.send(self._read(run_id, f"{run_path(run_id)}?version=v2"))
        run: dict[str, Any] = self._part(response, "run", dict)
        return run | {"id": run_id}

    async def run_logs(self, run_id: str, *, offset: int = 0) -> list[dict[str, Any]]:
        """Return up to 50 log entries of the run, after skipping the first `offset` entries."""
        response = await self.send(self._read(run_id, f"{run_path(run_id)}/logs?limit=50&offset={offset}"))
        logs: list[dict[str, Any]] = self._part(response, "runLogs", list)
        if not all(isinstance(entry, dict) for entry in logs):
            raise self._connection.not_port()
        return logs

    async def patch_run(self, run_id: str, fields: Mapping[str, Any]) -> dict[str, Any]:
        """Set `fields` of the run, with the names in Port's API, and return Port's response."""
        return await self.send(patch_call(run_id, fields))

    async def add_log(self, run_id: str, message: str) -> None:
        """Add `message` to the run's log, in as many entries as the limit of 1 MiB requires."""
        for call in log_calls(run_id, message):
            await self.send(call)

    async def get_action(self, identifier: str) -> dict[str, Any]:
        """Return the definition of the action or automation in Port."""
        return await self._get_definition("action", identifier)

    async def put_action(self, identifier: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """Replace the action or automation with `body`, and return its new definition in Port.

        If the response is lost, the definition is sent again, because sending it twice has the same effect.
        """
        return await self._put_definition("action", identifier, body)

    async def get_workflow(self, identifier: str) -> dict[str, Any]:
        """Return the definition of the workflow in Port."""
        return await self._get_definition("workflow", identifier)

    async def put_workflow(self, identifier: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """Replace the workflow with a new version, and return its new definition in Port.

        If the response is lost, the definition is sent again, which may create another version with the same content.
        """
        return await self._put_definition("workflow", identifier, body)

    async def start_run(self, identifier: str, body: Mapping[str, Any], *, run_as: str | None = None) -> dict[str, Any]:
        """Run the action with the `properties` and `entity` of `body`, and return the new run.

        `run_as` is the email of the user who runs the action. The call is not sent again if Port may already have
        started a run.
        """
        path = f"{action_path(identifier)}/runs{f'?run_as={quote(run_as)}' if run_as else ''}"
        retries = self._retries.begin()
        while isinstance(outcome := await self._connection.attempt("POST", path, body), FailedAttempt):
            if outcome.unclear:
                raise PortApiError(
                    f"port-hook does not know whether Port started a run of {identifier}. {outcome.problem.message}",
                    hint="Check the runs of the action in Port before you trigger it again.",
                ) from outcome.problem
            problem = outcome.problem
            if outcome.status == HTTPStatus.NOT_FOUND:
                problem = definition_problem("action", identifier, (outcome.status, problem), changing=False)
            await retries.wait(replace(outcome, problem=problem))
        run: dict[str, Any] = self._part(outcome, "run", dict)
        if not _is_id(run.get("id")):
            raise self._connection.not_port()
        return run

    async def call(
        self,
        method: str,
        path: str,
        body: Mapping[str, Any] | None = None,
        *,
        repeatable: bool = True,
        headers: Mapping[str, str] | None = None,
    ) -> dict[str, Any]:
        """Make one call to any route, and return Port's response. `headers` are added to the usual headers.

        If Port may have acted on a call that is not `repeatable`, the call is never sent again.
        """
        retries = self._retries.begin()
        while isinstance(outcome := await self._connection.attempt(method, path, body, headers=headers), FailedAttempt):
            if outcome.unclear and not repeatable:
                raise PortApiError(
                    f"port-hook does not know whether Port acted on {method} {path}. {outcome.problem.message}",
                    hint="Check in Port before you send it again.",
                ) from outcome.problem
            await retries.wait(outcome)
        return outcome

    async def _get_definition(self, kind: str, identifier: str) -> dict[str, Any]:
        definition: dict[str, Any] = self._part(await self._send_definition(kind, identifier), kind, dict)
        return definition

    async def _put_definition(self, kind: str, identifier: str, body: Mapping[str, Any]) -> dict[str, Any]:
        shown = (await self._send_definition(kind, identifier, body)).get(kind)
        return shown if isinstance(shown, dict) else dict(body)

    async def _send_definition(
        self, kind: str, identifier: str, body: Mapping[str, Any] | None = None
    ) -> dict[str, Any]:
        path = action_path(identifier) if kind == "action" else workflow_path(identifier)
        method = "GET" if body is None else "PUT"
        retries = self._retries.begin()
        while isinstance(outcome := await self._connection.attempt(method, path, body), FailedAttempt):
            failed = (outcome.status, outcome.problem)
            problem = definition_problem(kind, identifier, failed, changing=body is not None)
            await retries.wait(replace(outcome, problem=problem))
        return outcome

    async def send(self, call: Call, *, is_taken: Callable[[], Awaitable[bool]] | None = None) -> dict[str, Any]:
        """Make one call of a report, and return Port's response, or `{}` if Port already has the reported data.

        If the response to a call without a status is lost, `is_taken` returns whether Port has processed the call.
        Without `is_taken`, the call is sent again.
        """
        retries = self._retries.begin()
        while True:
            outcome = await self._connection.attempt(call.method, call.path, call.body, call)
            if isinstance(outcome, dict):
                return outcome
            if isinstance(outcome.problem, RunEndedError):
                return await self._after_end(call, retries.tries)
            if outcome.unclear and call.wanted and await self._is_taken(call, outcome.problem):
                return {}
            if outcome.unclear and is_taken and await is_taken():
                return {}
            await retries.wait(outcome)

    @staticmethod
    def _read(run_id: str, path: str) -> Call:
        return Call(purpose=Purpose.READ, run_id=run_id, method="GET", path=path)

    def _part(self, response: dict[str, Any], name: str, kind: type) -> Any:
        part = response.get(name)
        if not isinstance(part, kind):
            raise self._connection.not_port()
        return part

    async def _is_taken(self, call: Call, problem: PortApiError) -> bool:
        """Return whether Port accepted the status of `call` although the response was lost."""
        if is_node_run(call.run_id):
            _raise_unknown(call, problem)  # Port has no route for a node run
        try:
            status = ended_status(await self.get_run(call.run_id))
        except PortApiError as unchecked:
            _raise_unknown(call, unchecked)
        if status not in {None, call.wanted}:
            raise run_ended(call.run_id, status)
        return status == call.wanted

    async def _after_end(self, call: Call, failed_tries: int) -> dict[str, Any]:
        """Return `{}` if an earlier try of this call ended the run.

        Raises RunEndedError if the run had ended before.
        """
        status = None
        if call.purpose is not Purpose.READ and not is_node_run(call.run_id):
            with contextlib.suppress(PortApiError):  # the status only makes the message more precise
                status = ended_status(await self.get_run(call.run_id))
        if failed_tries and call.wanted and status == call.wanted:
            return {}
        raise run_ended(call.run_id, status, is_log=call.purpose is Purpose.LOG)


def _is_id(value: object) -> bool:
    return isinstance(value, str) and 0 < len(value) <= _MAX_ID_CHARACTERS and value.isascii() and value.isprintable()


def _raise_unknown(call: Call, problem: PortApiError) -> NoReturn:
    raise PortApiError(
        f"port-hook does not know whether Port accepted the status of {call.run_id}. {problem.message}",
        hint="Check the run in Port before you report again.",
    ) from problem
