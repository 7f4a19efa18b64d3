"""A request in a file: a capture file, or the raw text of an HTTP request."""

from __future__ import annotations

import json
from typing import Any

from port_hook_cli.captures.documents.capture_file import NotACapture, is_capture, read_capture
from port_hook_cli.captures.documents.saved_request import SavedRequest, from_exchange
from port_hook_cli.invocations.http_text import NotHttp, is_request, parse_request
from port_hook_cli.invocations.models import Exchange


class NotARequest(ValueError):
    """The file does not contain a request; the message says what it contains instead."""


def read_request(content: bytes) -> SavedRequest:
    """Return the request in a file; raises NotARequest, or StoreError for an incomplete body."""
    if is_request(content):
        try:
            request = parse_request(content)
        except NotHttp as error:
            raise NotARequest(f"it begins like an HTTP request, but {error}") from error
        return SavedRequest(headers=request.headers, body=request.body, remarks=request.remarks)
    capture = capture_in(content)
    if capture is None:
        raise NotARequest(_what_it_is(content))
    return from_exchange(capture)


def capture_in(content: bytes) -> Exchange | None:
    """Return the capture in a file, or None for another file; raises NotARequest for a damaged one."""
    document = _document(content)
    if not is_capture(document):
        return None
    try:
        return read_capture(document)
    except NotACapture as error:
        raise NotARequest(f"it is a damaged capture file: {error}") from error


def body_in(content: bytes) -> bytes:
    """Return the body in a capture file, or another file unchanged; raises NotARequest for a damaged capture file."""
    capture = capture_in(content)
    return content if capture is None else capture.invocation.body


def _document(content: bytes) -> Any:
    try:
        return json.loads(content)
    except (ValueError, RecursionError):
        return None


def _what_it_is(content: bytes) -> str:
    if not content.strip():
        return "it is empty"
    if _document(content) is not None:
        return "it is JSON, but not a capture file"
    return "it is neither a capture file nor an HTTP request with a first line like 'POST / HTTP/1.1'"
