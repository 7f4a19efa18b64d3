"""What a prediction needs from a user: the message, a response, and variables of the environment."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from port_hook_cli.agent.predictor import AgentInput
from port_hook_cli.captures.documents.request_file import NotARequest, capture_in
from port_hook_cli.captures.documents.truncation import require_whole
from port_hook_cli.captures.store.reading import open_captures
from port_hook_cli.errors import StoreError, UsageError
from port_hook_cli.files.input import read_input
from port_hook_cli.invocations.http_text import NotHttp, is_request, parse_request
from port_hook_cli.invocations.models import Headers
from port_hook_cli.javascript.nesting import nests_too_deep
from port_hook_cli.prediction.message import AgentTransport
from port_hook_cli.prediction.response import AgentResponse
from port_hook_cli.runtime import Runtime

_KINDS = (
    "Give a message of a topic, a run that the agent claims, a payload, a capture (an id or `last`), or - for stdin."
)
_BOM = b"\xef\xbb\xbf"


def read_message(name: str, transport: AgentTransport | None, store: Path | None, runtime: Runtime) -> AgentInput:
    """Return the message that the user names; raises StoreError and UsageError."""
    body = _message_bytes(name, store, runtime)
    shown = "The message on stdin" if name == "-" else name
    return AgentInput(name=shown, document=read_document(body, shown, hint=_KINDS), transport=transport)


def _message_bytes(name: str, store: Path | None, runtime: Runtime) -> bytes:
    if name == "-" or _is_file(name, runtime.cwd):
        return _body_in(name, read_input(name, cwd=runtime.cwd, stdin=runtime.stdin))
    if name != "last" and not name.isalnum():
        raise StoreError(f"There is no file {name}.", hint=_KINDS)
    with open_captures(store, runtime) as captures:
        return require_whole(name, captures.get(name).invocation).body


def _is_file(name: str, cwd: Path) -> bool:
    try:
        return (cwd / name).is_file()
    except (OSError, ValueError):  # too long for a file's name, or with a null character
        return False


def _body_in(name: str, content: bytes) -> bytes:
    """Return the body of a capture file or a raw HTTP request, or else the content."""
    try:
        if is_request(content):
            return parse_request(content).body
        capture = capture_in(content)
    except (NotHttp, NotARequest) as error:
        raise StoreError(f"{name} cannot be read: {error}.", hint=_KINDS) from error
    return content if capture is None else require_whole(name, capture.invocation).body


def read_document(content: bytes, name: str, *, hint: str) -> Any:
    """Return JSON as Python reads it, which is what the agent does; raises UsageError."""
    try:
        text = content.removeprefix(_BOM).decode()
        if nests_too_deep(text):
            raise UsageError(f"{name} is nested too deep.", hint=hint)
        return json.loads(text, parse_constant=_refuse_constant)
    except ValueError as error:  # UnicodeDecodeError and JSONDecodeError are such errors
        raise UsageError(f"{name} is not JSON: {error}.", hint=hint) from error


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is not a JSON number")


def read_response(file: str | None, status: int | None, runtime: Runtime) -> AgentResponse | None:
    """Return a response with a file's content as its body and a status, 200 by default; None without both."""
    if file is None and status is None:
        return None
    body = b"" if file is None else read_input(file, cwd=runtime.cwd, stdin=runtime.stdin)
    status = status or 200
    headers = Headers((("Content-Type", _content_type(body)),)) if body else Headers()
    return AgentResponse(name=str(status), status=status, headers=headers, body=body)


def _content_type(body: bytes) -> str:
    try:
        json.loads(body)
    except (ValueError, RecursionError):
        return "text/plain; charset=utf-8"
    return "application/json"


def read_variables(names: Sequence[str], runtime: Runtime) -> dict[str, str]:
    """Return the variables that expressions may read; raises UsageError for one that is not set."""
    found = {}
    for name in names:
        value = runtime.environ.get(name)
        if value is None:
            raise UsageError(f"--env {name}: this variable is not set.", hint=f"Set it: export {name}=…")
        runtime.keep_secret(value)
        found[name] = value
    return found
