"""One try of a call to Port's API over httpx: its token, its limits, and the meaning of a failure."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import Any

import httpx

from port_hook_cli.errors import PortApiError
from port_hook_cli.frozen import frozen
from port_hook_cli.http.limits import MAX_API_BYTES, format_size
from port_hook_cli.http.proxies import BadProxy, open_client
from port_hook_cli.invocations.targets import is_on_this_machine
from port_hook_cli.port_api.responses import (
    asked_wait_s,
    is_server_trouble,
    is_worth_another_try,
    problem_of,
    read_object,
    read_token,
)
from port_hook_cli.port_api.retries import FailedAttempt, RetryPolicy
from port_hook_cli.port_api.settings import ApiCredentials
from port_hook_cli.runs.updates import Call, encode_body
from port_hook_cli.text.safe import brief
from port_hook_cli.text.secret import MASK, SHORTEST_SECRET, Secret

# A token is renewed this many seconds before it expires, so that it does not expire during a request.
_EXPIRY_MARGIN_S = 30.0
_ERROR_NUMBER = r"^\[Errno -?[0-9]+\] "
_NO_SANDBOX = "Start the sandbox with `port-hook sandbox`, or correct PORT_API_URL."
_UNREACHABLE = "Check the connection, and PORT_API_URL or PORT_REGION."
_CHECK_ADDRESS = "Check PORT_API_URL and any proxy in between."
_NOT_SENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout)


@frozen
class _Token:
    value: Secret
    expires_at: float


class _UnusableResponse(Exception):
    """A response is not read completely. The message is a phrase that follows "responded, but"."""


class _Progress:
    """Records whether a request was started, from the events of httpcore's `trace` extension."""

    def __init__(self) -> None:
        self.is_sent = False

    async def on_event(self, name: str, _: object) -> None:
        """Handle an event of httpcore."""
        self.is_sent = self.is_sent or name.endswith("send_request_headers.started")


class PortConnection:
    """Tries calls with a token, which it gets when necessary. `PortApi` describes the parameters.

    Only the call that gets a token is retried here. Any other failed try is a return value, so that the caller can
    decide.
    """

    def __init__(
        self,
        credentials: ApiCredentials,
        *,
        retries: RetryPolicy,
        timeout_s: float,
        now: Callable[[], float],
        transport: httpx.AsyncBaseTransport | None,
        on_token: Callable[[str], None],
        on_headers: Callable[[Mapping[str, str]], None],
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
            raise PortApiError(f"port-hook cannot reach Port's API: {bad}.", hint="Correct or unset it.") from bad
        self._token: _Token | None = None

    async def close(self) -> None:
        """Close the connections to Port's API."""
        await self._client.aclose()

    async def attempt(
        self,
        method: str,
        path: str,
        body: Mapping[str, Any] | None,
        call: Call | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> dict[str, Any] | FailedAttempt:
        """Try a call once. If Port rejects a token that it accepted before, try again with a new token.

        `call` is the call of a report, for the message about a failure. Raises PortApiError if no token is available.
        """
        had = self._token is not None and self._now() < self._token.expires_at
        outcome = await self._try(method, path, body, await self.authorize(), call, headers)
        if not had or not isinstance(outcome, FailedAttempt) or outcome.status != HTTPStatus.UNAUTHORIZED:
            return outcome
        self._token = None
        return await self._try(method, path, body, await self.authorize(), call, headers)

    async def authorize(self) -> Secret:
        """Return a token that is valid now. Raises PortApiError if Port does not accept the credentials."""
        if self._token is None or self._now() >= self._token.expires_at:
            self._token = await self._fetch_token()
        return self._token.value

    def not_port(self) -> PortApiError:
        """Return the error for a response that is not in the format of Port's API."""
        return PortApiError(f"{self._api_url} responded, but not in the format of Port's API.", hint=_CHECK_ADDRESS)

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
            raise self.not_port()
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
            return read_object(body) or FailedAttempt(problem=self.not_port(), again=False)
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
        hint = "Check the connection and PORT_API_URL, or set PORT_HOOK_API_TIMEOUT to more seconds."
        return FailedAttempt(
            problem=PortApiError(message, hint=hint), unclear=progress.is_sent, spent_s=self._timeout_s
        )

    def _lost(self, error: Exception) -> FailedAttempt:
        reason = (re.sub(_ERROR_NUMBER, "", str(error)) or type(error).__name__).rstrip(".")
        hopeless = isinstance(error, httpx.InvalidURL | httpx.UnsupportedProtocol | httpx.LocalProtocolError)
        return FailedAttempt(
            problem=PortApiError(
                f"port-hook cannot reach Port's API at {self._api_url}: {reason}.",
                hint=_NO_SANDBOX if not hopeless and is_on_this_machine(self._api_url) else _UNREACHABLE,
            ),
            again=not hopeless,
            unclear=not hopeless and not isinstance(error, _NOT_SENT),
        )

    def _without_secrets(self, body: bytes) -> bytes:
        """Return `body` with port-hook's own credentials masked, in case a response repeats them."""
        for secret in (self._credentials.client_secret, self._token.value if self._token else None):
            if secret and len(secret.reveal()) >= SHORTEST_SECRET:
                body = body.replace(secret.reveal().encode("utf-8", "replace"), MASK.encode())
        return body


async def _read(response: httpx.Response) -> bytes:
    """Return the raw body of a response.

    Raises _UnusableResponse if the body is too large, or has a content-encoding that port-hook did not request.
    """
    coding = response.headers.get("content-encoding", "identity").strip().lower()
    if coding != "identity":
        raise _UnusableResponse(f"with a content-encoding that port-hook did not request ({brief(coding, 40)})")
    body = bytearray()
    async for part in response.aiter_bytes():
        body += part
        if len(body) > MAX_API_BYTES:
            raise _UnusableResponse(f"with more than {format_size(MAX_API_BYTES)}")
    return bytes(body)
