"""Convert captures and unsent requests to the formats of other tools. This module is pure.

To add a format, add its row to `invocations.snippets.FORMATS`, and add a function that takes captures with their URLs
to `_WRITERS`. If the format also suits unsent requests, add a function to `_REQUEST_WRITERS`. No format contains a
secret: a signature is either recorded, or computed from the environment when the export is used.
"""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple
from urllib.parse import parse_qsl, urlsplit

from port_hook_cli.captures.documents.capture_file import to_capture
from port_hook_cli.captures.exports.lambda_event import lambda_event
from port_hook_cli.captures.exports.postman import NOT_SENT, postman_collection
from port_hook_cli.captures.exports.pytest_module import CapturedTest, FindingTest, pytest_module
from port_hook_cli.errors import SourceError
from port_hook_cli.frozen import frozen
from port_hook_cli.invocations.headers import Headers, mask_headers
from port_hook_cli.invocations.models import Capture, Invocation, Response
from port_hook_cli.invocations.payload import unsent
from port_hook_cli.invocations.probes import probed_check, without_probe
from port_hook_cli.invocations.snippets import (
    FORMATS,
    SignedRequest,
    format_curl,
    format_headers,
    format_httpie,
    format_python,
)
from port_hook_cli.invocations.view import format_time, request_text
from port_hook_cli.text.safe import brief


class Exported(NamedTuple):
    """A capture, and the URL to which the export sends it.

    `original` is the capture that a request of `check` repeats, if the store still has that capture.
    """

    capture: Capture
    url: str
    original: Capture | None = None


@frozen
class ExportFormat:
    """An export format: its name, the extension of its files, and the function that writes captures.

    Without `takes_many`, the format contains exactly one capture.
    """

    name: str
    ending: str
    write: Callable[[Sequence[Exported]], str]
    takes_many: bool = True


def _signed_request(one: Exported) -> SignedRequest:
    invocation = one.capture.invocation
    headers = mask_headers(invocation.headers).without(*NOT_SENT)
    return SignedRequest(url=one.url, headers=headers.items, body=invocation.body, method=invocation.method)


def _snippets(write: Callable[[SignedRequest], str]) -> Callable[[Sequence[Exported]], str]:
    return lambda captures: "\n\n".join(write(_signed_request(one)) for one in captures) + "\n"


def _http(captures: Sequence[Exported]) -> str:
    ((capture, url, _),) = captures
    return request_text(_masked(capture).invocation, url).decode("utf-8", "backslashreplace")


def _capture(captures: Sequence[Exported]) -> str:
    ((capture, _, _),) = captures
    return _json(to_capture(_masked(capture)))


def _json(document: Any) -> str:
    return json.dumps(document, indent=2) + "\n"


def _masked(capture: Capture) -> Capture:
    """Return a capture without credentials, because users share exports. With --keep-secrets, a store has credentials.

    A listener's simulation is also left out, because it doesn't describe the request or the handler.
    """
    invocation, delivery, response = capture.invocation, capture.delivery, capture.response
    return replace(
        capture,
        invocation=replace(invocation, headers=mask_headers(invocation.headers)),
        delivery=None if delivery is None else replace(delivery, headers=mask_headers(delivery.headers)),
        response=None if response is None else replace(response, headers=mask_headers(response.headers)),
        simulated=None,
    )


def _har(captures: Sequence[Exported]) -> str:
    """Return captures as an HTTP Archive 1.2 for browsers and proxies.

    See http://www.softwareishard.com/blog/har-12-spec/.
    """
    creator = {"name": "port-hook", "version": "1"}
    entries = [_har_entry(one.capture, one.url) for one in captures]
    return _json({"log": {"version": "1.2", "creator": creator, "entries": entries}})


def _har_entry(capture: Capture, url: str) -> dict[str, Any]:
    time_ms = capture.delivery.latency_ms if capture.delivery else 0.0
    return {
        "startedDateTime": format_time(capture.invocation.received_at),
        "time": time_ms,
        "request": _har_request(capture.invocation, url),
        "response": _har_response(capture.response),
        "cache": {},
        "timings": {"send": 0, "wait": time_ms, "receive": 0},
    }


def _har_request(invocation: Invocation, url: str) -> dict[str, Any]:
    parts = urlsplit(url)
    return {
        "method": invocation.method,
        "url": url,
        "httpVersion": "HTTP/1.1",
        "cookies": [],
        "headers": _pairs(mask_headers(invocation.headers)),
        "queryString": [
            {"name": name, "value": value} for name, value in parse_qsl(parts.query, keep_blank_values=True)
        ],
        "postData": {
            "mimeType": invocation.headers.get("content-type") or "application/octet-stream",
            **_har_text(invocation.body, "_encoding"),
        },
        "headersSize": -1,
        "bodySize": len(invocation.body),
    }


def _har_response(response: Response | None) -> dict[str, Any]:
    headers, body = (mask_headers(response.headers), response.body) if response else (Headers(), b"")
    content: dict[str, Any] = {"size": len(body), "mimeType": headers.get("content-type") or "x-unknown"}
    content |= _har_text(body, "encoding")
    return {
        "status": response.status if response else 0,
        "statusText": "",
        "httpVersion": "HTTP/1.1",
        "cookies": [],
        "headers": _pairs(headers),
        "content": content,
        "redirectURL": "",
        "headersSize": -1,
        "bodySize": len(body),
    }


def _har_text(body: bytes, encoding: str) -> dict[str, str]:
    """Return a body as text, or as base64 with an `encoding` field. HAR does not define that field for requests."""
    try:
        return {"text": body.decode("utf-8")}
    except UnicodeDecodeError:
        return {"text": b64encode(body).decode("ascii"), encoding: "base64"}


def _pairs(headers: Headers) -> list[dict[str, str]]:
    return [{"name": name, "value": value} for name, value in headers]


def _pytest(captures: Sequence[Exported]) -> str:
    return pytest_module([_test(one) for one in captures])


def _test(one: Exported) -> CapturedTest | FindingTest:
    """Return the test for a capture. A request of `check` becomes a test that runs the same check on the handler.

    Raises SourceError if the status is the listener's, even 200, because a handler may respond with another status.
    """
    capture = one.capture
    slug = probed_check(capture.invocation.headers)
    if slug is not None:
        source = one.original or capture
        return FindingTest(slug, capture.invocation.method, one.url, without_probe(source.invocation.body))
    invocation = capture.invocation
    if reason := _why_no_handler_responded(capture):
        raise SourceError(
            f"{brief(invocation.id)} cannot become a test of the handler: {reason}.",
            hint="Send it to the handler with `port-hook replay` and export the replay.",
        )
    expected = 200 if capture.response is None else capture.response.status
    return CapturedTest(invocation.id, invocation.method, one.url, invocation.body, expected)


def _why_no_handler_responded(capture: Capture) -> str:
    """Return why the status of a capture is the listener's and not what a handler would respond, or ""."""
    delivery, response, simulated = capture.delivery, capture.response, capture.simulated
    if delivery is not None and delivery.status is not None:
        return ""
    if simulated is not None and (simulated.failure or simulated.dropped):
        return "the listener made it fail on purpose"
    if response is None:  # for example, a request in a file
        return ""
    if delivery is not None:
        return f"the handler did not respond, so the {response.status} is the listener's"
    verdict = capture.verdict
    why = f" ({verdict.status}: {brief(', '.join(verdict.slugs))})" if verdict.slugs else ""
    return f"the listener itself responded with {response.status}{why}"


def _lambda(captures: Sequence[Exported]) -> str:
    ((capture, url, _),) = captures
    return _json(lambda_event(_masked(capture).invocation, url))


def _postman(captures: Sequence[Exported]) -> str:
    return _json(postman_collection([(_masked(one.capture), one.url) for one in captures]))


_WRITERS: Mapping[str, Callable[[Sequence[Exported]], str]] = {
    "curl": _snippets(format_curl),
    "httpie": _snippets(format_httpie),
    "python": _snippets(format_python),
    "http": _http,
    "har": _har,
    "pytest": _pytest,
    "lambda": _lambda,
    "postman": _postman,
    "capture": _capture,
    "headers": _snippets(format_headers),
}
EXPORT_FORMATS = tuple(ExportFormat(row.name, row.ending, _WRITERS[row.name], row.takes_many) for row in FORMATS)


def find_export(name: str) -> ExportFormat | None:
    """Return the format with the given name, or None."""
    return {row.name: row for row in EXPORT_FORMATS}.get(name)


def write_request(name: str, invocation: Invocation, url: str) -> bytes:
    """Return an unsent request in one of the `REQUEST_FORMATS`. Raises KeyError for any other format.

    Except in `http`, the headers are not masked, because the caller has built the request and masks its secrets.
    """
    return _REQUEST_WRITERS[name](invocation, url)


def _snippet(write: Callable[[SignedRequest], str]) -> Callable[[Invocation, str], bytes]:
    def written(invocation: Invocation, url: str) -> bytes:
        request = SignedRequest(
            url=url, headers=invocation.headers.items, body=invocation.body, method=invocation.method
        )
        return f"{write(request)}\n".encode("utf-8", "replace")

    return written


_REQUEST_WRITERS: Mapping[str, Callable[[Invocation, str], bytes]] = {
    "curl": _snippet(format_curl),
    "httpie": _snippet(format_httpie),
    "python": _snippet(format_python),
    "http": request_text,
    "lambda": lambda invocation, url: _json(lambda_event(invocation, url)).encode(),
    "postman": lambda invocation, url: _json(postman_collection([(unsent(invocation), url)])).encode(),
    "headers": _snippet(format_headers),
}
