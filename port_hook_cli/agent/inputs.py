"""What a prediction needs from a user: the message, a response, and variables of the environment."""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from port_hook_cli.captures.store.finder import CaptureUse, Finder
from port_hook_cli.errors import UsageError
from port_hook_cli.files.input import read_input
from port_hook_cli.invocations.models import Headers, MessageOrigin
from port_hook_cli.javascript.nesting import nests_too_deep
from port_hook_cli.prediction.message import AgentTransport
from port_hook_cli.prediction.response import AgentResponse
from port_hook_cli.runtime import Runtime
from port_hook_cli.text.remark import Say

_KINDS = (
    "Give a message of a topic, a run that the agent claims, a payload, a capture (an id or `last`), or - for stdin."
)
_BOM = b"\xef\xbb\xbf"


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentInput:
    """A message that may be one for the agent. `name` is for the user.

    `transport` is how the agent gets it, or None for what it shows. `origin` is set if it was read from a topic.
    `problem` says why there is no document, or is "".
    """

    name: str
    document: Any = field(repr=False)
    transport: AgentTransport | None = None
    origin: MessageOrigin | None = None
    problem: str = ""


def read_message(
    name: str, transport: AgentTransport | None, store: Path | None, runtime: Runtime, say: Say
) -> AgentInput:
    """Return the message that the user names; raises StoreError and UsageError."""
    with closing(Finder(store, runtime, CaptureUse.CHECK, say, kinds=_KINDS)) as finder:
        body = finder.find(name).request.body
    shown = "The message on stdin" if name == "-" else name
    return AgentInput(name=shown, document=read_document(body, shown, hint=_KINDS), transport=transport)


def read_document(content: bytes, name: str, *, hint: str) -> Any:
    """Return JSON as Python, and therefore the agent, reads it. Raises UsageError."""
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
    """Return the variables that expressions may read. Raises UsageError for a variable that is not set."""
    found = {}
    for name in names:
        value = runtime.environ.get(name)
        if value is None:
            raise UsageError(f"--env {name}: this variable is not set.", hint=f"Set it: export {name}=…")
        runtime.keep_secret(value)
        found[name] = value
    return found
