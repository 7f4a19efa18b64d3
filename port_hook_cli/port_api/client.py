"""Port's API over httpx: tokens, retries and rate limits, and errors with messages."""

from __future__ import annotations

import asyncio
import contextlib
import re
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from http import HTTPStatus
from typing import Any, NoReturn, Self
from urllib.parse import quote

import httpx

from port_hook_cli.actions.retargeting import action_path
from port_hook_cli.errors import PortApiError, RunEndedError
from port_hook_cli.http.limits import API_TIMEOUT_S, MAX_API_BYTES, format_size
from port_hook_cli.http.proxies import BadProxy, open_client
from port_hook_cli.invocations.targets import is_on_this_machine
from port_hook_cli.port_api.responses import (
    asked_wait_s,
    definition_problem,
    is_server_trouble,
    is_worth_another_try,
    problem_of,
    read_object,
    read_token,
    run_ended,
)
from port_hook_cli.port_api.retries import FailedAttempt, RetryPolicy
from port_hook_cli.port_api.settings import ApiCredentials
from port_hook_cli.runs.updates import (
    Call,
    Purpose,
    encode_body,
    ended_status,
    is_node_run,
    log_calls,
    patch_call,
    run_path,
)
from port_hook_cli.text.safe import brief
from port_hook_cli.text.secret import MASK, SHORTEST_SECRET, Secret
from port_hook_cli.workflows.retargeting import workflow_path

# A token is renewed this many seconds before it expires, so that it does not expire during a request.
_EXPIRY_MARGIN_S = 30.0
_ERROR_NUMBER = re.compile(r"^\[Errno -?[0-9]+\] ")
_NO_SANDBOX = "Start the sandbox with `port-hook sandbox`, or correct PORT_API_URL."
_UNREACHABLE = "Check the connection, and PORT_API_URL or PORT_REGION."
_MAX_ID_CHARACTERS = 200
_CHECK_ADDRESS = "Check PORT_API_URL and any proxy in between."
_DEFAULT_RETRIES = RetryPolicy()
_NOT_SENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout)


@dataclass(frozen=True, slots=True)
class _Token:
    value: Secret
    expires_at: float


class _UnusableResponse(Exception):
    """A response that is not read completely; the message is a phrase that follows "responded, but"."""


class _Progress:
    """Records whether the sending of a request has started, from httpcore's `trace` extension."""

    def __init__(self) -> None:
        self.is_sent = False

    async def on_event(self, name: str, _: object) -> None:
        """Handle an event."""
        self.is_sent = self.is_sent or name.endswith("send_request_headers.started")


class PortApi:
    """A client of Port's API; use it with `async with`.

    One request may take `timeout_s` seconds, from connecting to the last byte of the response; redirects are not
    followed. A call is retried after 429 (when Port asks for it), most 5xx and lost connections, within the limits of
    `Retries`. If the response to a log is lost, the log is sent again, so it may appear twice. If the response to a
    status is lost, the run is checked before the status is sent again. Every method raises PortApiError, or
    RunEndedError for a run that accepts no more updates. `on_token` gets each token, which is a secret, and
    `on_headers` the header fields of each response, with names in lower case.
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
        self._api_url = credentials.api_url
        self._credentials = credentials
        self._retries = retries
        self._timeout_s = timeout_s
        self._now = now
        self._on_token = on_token
        self._on_headers = on_headers
        try:
            self._client = open_client(self._api_url, transport=transport, timeout=None)
        except BadProxy as bad:
            raise PortApiError(f"Port's API cannot be reached: {bad}.", hint="Correct or unset it.") from bad
        self._token: _Token | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._client.aclose()

    async def check_access(self) -> None:
        """Get a token, if there is none yet: raises PortApiError if Port does not accept the credentials."""
        await self._bearer()

    async def get_run(self, run_id: str) -> dict[str, Any]:
        """Return the action run as Port shows it; its `payload` is the request that Port sent."""
        response = await self.send(self._read(run_id, f"{run_path(run_id)}?version=v2"))
        run: dict[str, Any] = self._part(response, "run", dict)
        return run | {"id": run_id}

    async def run_logs(self, run_id: str, *, offset: int = 0) -> list[dict[str, Any]]:
        """Return up to 50 log entries of the run, without the first `offset`."""
        response = await self.send(self._read(run_id, f"{run_path(run_id)}/logs?limit=50&offset={offset}"))
        logs: list[dict[str, Any]] = self._part(response, "runLogs", list)
        if not all(isinstance(entry, dict) for entry in logs):
            raise self._not_port()
        return logs

    async def patch_run(self, run_id: str, fields: Mapping[str, Any]) -> dict[str, Any]:
        """Set `fields`, named as in Port's API, and return the response."""
        return await self.send(patch_call(run_id, fields))

    async def add_log(self, run_id: str, message: str) -> None:
        """Add `message` to the run's log, in as many entries as the 1 MiB limit needs."""
        for call in log_calls(run_id, message):
            await self.send(call)

    async def get_action(self, identifier: str) -> dict[str, Any]:
        """Return the action or automation as Port shows it."""
        return await self._get_definition("action", identifier)

    async def put_action(self, identifier: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """Replace the action or automation with `body`, and return it as Port shows it afterward.

        It is sent again if the response is lost: sending it twice has the same effect.
        """
        return await self._put_definition("action", identifier, body)

    async def get_workflow(self, identifier: str) -> dict[str, Any]:
        """Return the workflow as Port shows it."""
        return await self._get_definition("workflow", identifier)

    async def put_workflow(self, identifier: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """Replace the workflow with a new version, and return it as Port shows it afterward.

        It is sent again if the response is lost: that may make another version, with the same content.
        """
        return await self._put_definition("workflow", identifier, body)

    async def start_run(self, identifier: str, body: Mapping[str, Any], *, run_as: str | None = None) -> dict[str, Any]:
        """Run the action with `properties` and `entity` of `body`, and return the new run as Port shows it.

        `run_as` is the email of the user who runs it. It is not sent again if Port may have started a run already.
        """
        path = f"{action_path(identifier)}/runs{f'?run_as={quote(run_as)}' if run_as else ''}"
        retries = self._retries.begin()
        while isinstance(outcome := await self._try_authorized("POST", path, body), FailedAttempt):
            if outcome.unclear:
                raise PortApiError(
                    f"It is not known whether Port started a run of {identifier}. {outcome.problem.message}",
                    hint="Check the runs of the action in Port before you trigger it again.",
                ) from outcome.problem
            problem = outcome.problem
            if outcome.status == HTTPStatus.NOT_FOUND:
                problem = definition_problem("action", identifier, (outcome.status, problem), changing=False)
            await retries.wait(replace(outcome, problem=problem))
        run: dict[str, Any] = self._part(outcome, "run", dict)
        if not _is_id(run.get("id")):
            raise self._not_port()
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
        """Make one call to any route and return Port's response. `headers` are added to the usual header fields.

        A call that is not `repeatable` is never sent again if Port may have acted on it.
        """
        retries = self._retries.begin()
        while isinstance(outcome := await self._try_authorized(method, path, body, headers=headers), FailedAttempt):
            if outcome.unclear and not repeatable:
                raise PortApiError(
                    f"It is not known whether Port acted on {method} {path}. {outcome.problem.message}",
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
        while isinstance(outcome := await self._try_authorized(method, path, body), FailedAttempt):
            failed = (outcome.status, outcome.problem)
            problem = definition_problem(kind, identifier, failed, changing=body is not None)
            await retries.wait(replace(outcome, problem=problem))
        return outcome

    async def send(self, call: Call, *, is_taken: Callable[[], Awaitable[bool]] | None = None) -> dict[str, Any]:
        """Make one call of a report and return Port's response, or `{}` if Port already has what it reports.

        If the response to a call without a status is lost, `is_taken` says whether Port has taken it. Without
        `is_taken`, the call is sent again.
        """
        retries = self._retries.begin()
        while True:
            outcome = await self._try_authorized(call.method, call.path, call.body, call)
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
            raise self._not_port()
        return part

    async def _is_taken(self, call: Call, problem: PortApiError) -> bool:
        """Whether Port accepted the status of `call` although its response was lost."""
        if is_node_run(call.run_id):
            _raise_unknown(call, problem)  # Port has no route that shows a node's run
        try:
            status = ended_status(await self.get_run(call.run_id))
        except PortApiError as unchecked:
            _raise_unknown(call, unchecked)
        if status not in {None, call.wanted}:
            raise run_ended(call.run_id, status)
        return status == call.wanted

    async def _after_end(self, call: Call, failed_tries: int) -> dict[str, Any]:
        """Return `{}` if an earlier try of this call ended the run; raises RunEndedError if it had ended before."""
        status = None
        if call.purpose is not Purpose.READ and not is_node_run(call.run_id):
            with contextlib.suppress(PortApiError):  # the status only makes the message more precise
                status = ended_status(await self.get_run(call.run_id))
        if failed_tries and call.wanted and status == call.wanted:
            return {}
        raise run_ended(call.run_id, status)

    async def _try_authorized(
        self,
        method: str,
        path: str,
        body: Mapping[str, Any] | None,
        call: Call | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> dict[str, Any] | FailedAttempt:
        """Try once; if Port rejects a token that it accepted before, try again with a new token."""
        had = self._token is not None and self._now() < self._token.expires_at
        outcome = await self._try(method, path, body, await self._bearer(), call, headers)
        if not had or not isinstance(outcome, FailedAttempt) or outcome.status != HTTPStatus.UNAUTHORIZED:
            return outcome
        self._token = None
        return await self._try(method, path, body, await self._bearer(), call, headers)

    async def _bearer(self) -> Secret:
        if self._token is None or self._now() >= self._token.expires_at:
            self._token = await self._fetch_token()
        return self._token.value

    async def _fetch_token(self) -> _Token:
        body = {"clientId": self._credentials.client_id, "clientSecret": self._credentials.client_secret.reveal()}
        retries = self._retries.begin()
        while isinstance(outcome := await self._try("POST", "/v1/auth/access_token", body), FailedAttempt):
            await retries.wait(outcome)
        try:
            given = read_token(outcome)
        except ValueError as problem:
            raise PortApiError(f"{self._api_url} issued {problem}.", hint=_CHECK_ADDRESS) from None
        if given is None:
            raise self._not_port()
        value, lifetime_s = given
        self._on_token(value)
        return _Token(Secret(value), self._now() + max(lifetime_s - _EXPIRY_MARGIN_S, lifetime_s / 2))

    async def _try(
        self,
        method: str,
        path: str,
        body: Mapping[str, Any] | None,
        token: Secret | None = None,
        call: Call | None = None,
        more_headers: Mapping[str, str] | None = None,
    ) -> dict[str, Any] | FailedAttempt:
        headers = {"accept": "application/json", "accept-encoding": "identity", **(more_headers or {})}
        if body is not None:
            headers["content-type"] = "application/json"
        if token is not None:
            headers["authorization"] = f"Bearer {token.reveal()}"
        content = None if body is None else encode_body(body)
        progress = _Progress()
        try:
            async with (
                asyncio.timeout(self._timeout_s),
                self._client.stream(
                    method,
                    self._api_url + path,
                    headers=headers,
                    content=content,
                    extensions={"trace": progress.on_event},
                ) as response,
            ):
                self._on_headers(response.headers)
                return self._outcome_of(response, await _read(response), call)
        except TimeoutError:
            return self._timed_out(progress)
        except _UnusableResponse as refused:
            problem = PortApiError(f"{self._api_url} responded, but {refused}.", hint=_CHECK_ADDRESS)
            return FailedAttempt(problem=problem, again=False, unclear=True)
        except (httpx.RequestError, httpx.InvalidURL) as error:
            return self._lost(error)

    def _outcome_of(self, response: httpx.Response, body: bytes, call: Call | None) -> dict[str, Any] | FailedAttempt:
        status = response.status_code
        if response.is_success:
            return read_object(body) or FailedAttempt(problem=self._not_port(), again=False)
        problem = problem_of(status, self._without_secrets(body), call)
        if status == HTTPStatus.UNAUTHORIZED and self._credentials.conflict:
            problem.hint = f"{problem.hint} {self._credentials.conflict}"
        return FailedAttempt(
            problem=problem,
            status=status,
            again=is_worth_another_try(status),
            unclear=is_server_trouble(status),
            wait_s=asked_wait_s(status, response.headers, self._now()),
        )

    def _timed_out(self, progress: _Progress) -> FailedAttempt:
        message = f"Port's API at {self._api_url} did not send a complete response within {self._timeout_s:g} s."
        hint = "Check the connection and PORT_API_URL, or raise --api-timeout."
        return FailedAttempt(
            problem=PortApiError(message, hint=hint), unclear=progress.is_sent, spent_s=self._timeout_s
        )

    def _lost(self, error: Exception) -> FailedAttempt:
        reason = (_ERROR_NUMBER.sub("", str(error)) or type(error).__name__).rstrip(".")
        hopeless = isinstance(error, httpx.InvalidURL | httpx.UnsupportedProtocol | httpx.LocalProtocolError)
        return FailedAttempt(
            problem=PortApiError(
                f"Port's API at {self._api_url} could not be reached: {reason}.",
                hint=_NO_SANDBOX if not hopeless and is_on_this_machine(self._api_url) else _UNREACHABLE,
            ),
            again=not hopeless,
            unclear=not hopeless and not isinstance(error, _NOT_SENT),
        )

    def _not_port(self) -> PortApiError:
        return PortApiError(f"{self._api_url} responded, but not as Port's API does.", hint=_CHECK_ADDRESS)

    def _without_secrets(self, body: bytes) -> bytes:
        """Return `body` with our own credentials masked, in case a response repeats them."""
        for secret in (self._credentials.client_secret, self._token.value if self._token else None):
            if secret and len(secret.reveal()) >= SHORTEST_SECRET:
                body = body.replace(secret.reveal().encode("utf-8", "replace"), MASK.encode())
        return body


def _is_id(value: object) -> bool:
    return isinstance(value, str) and 0 < len(value) <= _MAX_ID_CHARACTERS and value.isascii() and value.isprintable()


async def _read(response: httpx.Response) -> bytes:
    """Return the body as received; raises _UnusableResponse if it is too large, or encoded, which was not requested."""
    coding = response.headers.get("content-encoding", "identity").strip().lower()
    if coding != "identity":
        raise _UnusableResponse(f"with a content-encoding that port-hook did not ask for ({brief(coding, 40)})")
    body = bytearray()
    async for part in response.aiter_bytes():
        body += part
        if len(body) > MAX_API_BYTES:
            raise _UnusableResponse(f"with more than {format_size(MAX_API_BYTES)}")
    return bytes(body)


def _raise_unknown(call: Call, problem: PortApiError) -> NoReturn:
    raise PortApiError(
        f"It is not known whether Port accepted the status of {call.run_id}. {problem.message}",
        hint="Check the run in Port before you report again.",
    ) from problem
