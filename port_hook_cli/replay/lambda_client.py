"""Sends requests to a Lambda function on this machine, as a function URL does."""

from __future__ import annotations

import json
from dataclasses import replace
from http import HTTPStatus
from typing import Protocol
from urllib.parse import urlsplit

from port_hook_cli.captures.exports.lambda_event import NotAnAnswer, lambda_event, read_answer
from port_hook_cli.invocations.forwarding import target_url
from port_hook_cli.invocations.models import Delivery, Headers, Invocation

DEFAULT_ENDPOINT = "http://127.0.0.1:9000"
_PATH = "/2015-03-31/functions/function/invocations"
_HEADERS = Headers((("content-type", "application/json"),))


class HttpSender(Protocol):
    """Sends HTTP requests."""

    async def send(self, invocation: Invocation, url: str, /) -> Delivery:
        """Send one request and return the outcome; a failure is a Delivery too."""
        ...


def endpoint_url(to: str | None) -> str:
    """Return the URL at which a function is invoked: `to`, with the path of Lambda's API if it has none."""
    return target_url(to or DEFAULT_ENDPOINT, _PATH)


def event_of(request: Invocation, endpoint: str) -> bytes:
    """Return the event that a function gets for a request; its path and query are those of the request."""
    parts = urlsplit(endpoint)
    url = target_url(f"{parts.scheme}://{parts.netloc}", request.target)
    headers = Headers((("host", parts.netloc), *request.headers.without("host")))
    return json.dumps(lambda_event(replace(request, headers=headers), url)).encode()


class LambdaClient:
    """Invokes a function with the event of a request, and returns its answer as the response."""

    def __init__(self, http: HttpSender) -> None:
        self._http = http

    async def send(self, invocation: Invocation, url: str) -> Delivery:
        """Invoke the function at `url`."""
        call = replace(invocation, method="POST", headers=_HEADERS, body=event_of(invocation, url))
        delivery = await self._http.send(call, url)
        if delivery.status != HTTPStatus.OK:  # the runtime's own error, or no response
            return delivery
        try:
            answer = read_answer(delivery.body)
        except NotAnAnswer as problem:
            error = f"the function's answer cannot be sent as a response: {problem}"
            return replace(delivery, status=None, headers=Headers(), body=b"", fault="broken", error=error)
        return replace(delivery, status=answer.status, headers=answer.headers, body=answer.body)
