"""Write a request as the bytes of HTTP/1.1, with its method, target, headers and body unchanged."""

from __future__ import annotations

import re
from typing import NamedTuple
from urllib.parse import urlsplit

from port_hook_cli.http.failures import UnsendableRequest
from port_hook_cli.invocations.headers import Headers
from port_hook_cli.invocations.models import Invocation
from port_hook_cli.invocations.targets import request_target

_PORTS = {"http": 80, "https": 443}
# RFC 9110, section 8.6: requests with these methods have a content-length even if they have no body.
_METHODS_WITH_BODIES = frozenset({"PATCH", "POST", "PUT"})
_METHOD = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+").fullmatch
_FIELDS = re.compile(rb"(?:[!#$%&'*+.^_`|~0-9A-Za-z-]+: [^\x00\r\n]*\r\n)*").fullmatch
# A larger request is written anew each time, because writing takes little time compared with sending.
_MAX_REMEMBERED_BYTES = 16 * 1024
_MAX_REMEMBERED = 256


class Origin(NamedTuple):
    """The server in a URL."""

    scheme: str
    host: str
    port: int


class Endpoint(NamedTuple):
    """The parts of a URL that a request needs: the server, the value of `Host`, and the target in the request line."""

    origin: Origin
    authority: str
    target: bytes


def read_endpoint(url: str) -> Endpoint:
    """Return the endpoint of a request to `url`. Raises ValueError for an unusable URL."""
    parts = urlsplit(url)
    port = parts.port  # raises ValueError for 65536 and above
    if parts.scheme not in _PORTS or not parts.hostname:
        raise UnsendableRequest(f"{url!a} is not an http or https URL")
    if port == 0:
        raise UnsendableRequest("port 0 cannot be used")
    authority = parts.netloc.rpartition("@")[2]
    if not authority.isascii():
        authority = authority.encode("idna").decode("ascii")
    origin = Origin(parts.scheme, parts.hostname, port or _PORTS[parts.scheme])
    return Endpoint(origin, authority, request_target(url))


def write_request(request: Invocation, endpoint: Endpoint) -> bytes:
    """Return the bytes of `request`. Raises UnsendableRequest and UnicodeError if HTTP cannot carry the request.

    A request without `Host` gets it as the first header, and a request without `Content-Length` gets it as the last. A
    body whose `transfer-encoding` is `chunked` is sent as one chunk.
    """
    method, body, headers = request.method, request.body, request.headers
    if not _METHOD(method):
        fault = "has non-ASCII characters" if not method.isascii() else "is not a method"
        raise UnsendableRequest(f"the method {method!a} {fault}")
    lines = [f"{name}: {value}\r\n" for name, value in headers]
    if "host" not in headers.names:
        lines.insert(0, f"Host: {endpoint.authority}\r\n")
    if "transfer-encoding" in headers.names:
        body = _chunked(headers, body)
    elif "content-length" not in headers.names:
        if body or method in _METHODS_WITH_BODIES:
            lines.append(f"Content-Length: {len(body)}\r\n")
    else:
        _check_length(headers, body)
    fields = "".join(lines).encode("latin-1")
    # A value with a line break can look like several well-formed headers.
    if not _FIELDS(fields) or fields.count(b"\n") != len(lines):
        raise UnsendableRequest(f"{_bad_field(lines)!a} is not a header")
    return b"%s %s HTTP/1.1\r\n%s\r\n%s" % (method.encode("ascii"), endpoint.target, fields, body)


class _Written(NamedTuple):
    request: Invocation
    endpoint: Endpoint
    content: bytes


class RepeatedRequests:
    """Writes requests like `write_request`, and remembers the bytes of the latest request with each body.

    Use this class if the same few bodies are sent repeatedly. After 256 bodies, the class forgets all remembered
    requests.
    """

    def __init__(self) -> None:
        # The key is the body's `id()`. The entry references the body, so no other body can get the same `id()`.
        self._written: dict[int, _Written] = {}

    def write(self, request: Invocation, endpoint: Endpoint) -> bytes:
        """Return the bytes of `request`. Raises the same errors as `write_request`."""
        last = self._written.get(id(request.body))
        if (
            last is not None
            and last.request.headers is request.headers
            and last.request.method == request.method
            and last.endpoint is endpoint
        ):
            return last.content
        content = write_request(request, endpoint)
        if len(content) <= _MAX_REMEMBERED_BYTES:
            if len(self._written) >= _MAX_REMEMBERED:
                self._written.clear()
            self._written[id(request.body)] = _Written(request, endpoint, content)
        return content


def _bad_field(lines: list[str]) -> str:
    """Return the first line that is not exactly one header."""
    is_field = (bool(_FIELDS(line.encode("latin-1"))) and line.count("\n") == 1 for line in lines)
    return next(line for line, is_one in zip(lines, is_field, strict=True) if not is_one).removesuffix("\r\n")


def _check_length(headers: Headers, body: bytes) -> None:
    for length in headers.all("content-length"):
        if length != str(len(body)):
            raise UnsendableRequest(f"content-length is {length}, but the body has {len(body)} bytes")


def _chunked(headers: Headers, body: bytes) -> bytes:
    if "content-length" in headers.names:
        raise UnsendableRequest("it has both content-length and transfer-encoding")
    if [value.lower() for value in headers.all("transfer-encoding")] != ["chunked"]:
        raise UnsendableRequest("of the transfer codings, only `chunked` can be sent")
    return (b"%x\r\n%s\r\n" % (len(body), body) if body else b"") + b"0\r\n\r\n"
