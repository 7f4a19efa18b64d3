"""What `agent` reads: the message, the mapping file, a response, and the variables of the environment."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from port_hook_cli.agent_view.plan import AgentPlan
from port_hook_cli.agent_view.session import AgentInput
from port_hook_cli.captures.documents.request_file import NotARequest, capture_in
from port_hook_cli.captures.documents.truncation import require_whole
from port_hook_cli.captures.store.reading import open_captures
from port_hook_cli.errors import StoreError, UsageError
from port_hook_cli.files.input import read_input
from port_hook_cli.invocations.http_text import NotHttp, is_request, parse_request
from port_hook_cli.invocations.models import Headers
from port_hook_cli.javascript.nesting import nests_too_deep
from port_hook_cli.prediction.mapping import (
    DEFAULT_MAPPINGS,
    AgentMapping,
    MappingProblem,
    read_mappings,
)
from port_hook_cli.prediction.response import AgentResponse
from port_hook_cli.runtime import Runtime

MAPPING_VARIABLE = "CONTROL_THE_PAYLOAD_CONFIG_PATH"
DEFAULT_MAPPING_FILE = "control_the_payload_config.json"
_KINDS = (
    "Give a message of a topic, a run that the agent claims, a payload, a capture (an id or `last`), or - for stdin."
)
_BOM = b"\xef\xbb\xbf"


def read_message(name: str, plan: AgentPlan, runtime: Runtime) -> AgentInput:
    """Return the message that the user names; raises StoreError and UsageError."""
    body = _message_bytes(name, plan, runtime)
    shown = "The message on stdin" if name == "-" else name
    return AgentInput(name=shown, document=read_document(body, shown, hint=_KINDS), transport=plan.transport)


def _message_bytes(name: str, plan: AgentPlan, runtime: Runtime) -> bytes:
    if name == "-" or _is_file(name, runtime.cwd):
        return _body_in(name, read_input(name, cwd=runtime.cwd, stdin=runtime.stdin))
    if name != "last" and not name.isalnum():
        raise StoreError(f"There is no file {name}.", hint=_KINDS)
    with open_captures(plan.store, runtime) as captures:
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


def mapping_file(plan: AgentPlan, runtime: Runtime) -> str | None:
    """Return the mapping file to read: the given one, the environment's, that of this folder, or None.

    With --send, raises UsageError for a file that is not named but is in this folder: a stranger may have written it.
    """
    if named := plan.mapping or runtime.environ.get(MAPPING_VARIABLE):
        return named
    if not os.path.lexists(runtime.cwd / DEFAULT_MAPPING_FILE):
        return None
    if plan.send:
        raise UsageError(
            f"{DEFAULT_MAPPING_FILE} in this folder is not used with --send, because it decides what is sent.",
            hint=f"If you know the file, name it: --mapping {DEFAULT_MAPPING_FILE}.",
        )
    if not (runtime.cwd / DEFAULT_MAPPING_FILE).is_file():  # reading a pipe or a device may never end
        raise UsageError(
            f"{DEFAULT_MAPPING_FILE} in this folder is not a regular file.",
            hint="Remove it, or name a mapping file with --mapping.",
        )
    return DEFAULT_MAPPING_FILE


def load_mappings(name: str | None, runtime: Runtime) -> tuple[tuple[AgentMapping, ...], tuple[MappingProblem, ...]]:
    """Return the mappings of a file and its problems, or those that the agent has without a file."""
    if name is None:
        return DEFAULT_MAPPINGS, ()
    content = read_input(name, cwd=runtime.cwd, stdin=runtime.stdin)
    return read_mappings(read_document(content, name, hint="The agent does not start with it: correct the JSON."))


def read_response(plan: AgentPlan, runtime: Runtime) -> AgentResponse | None:
    """Return the response that the options describe, or None."""
    if plan.response is None and plan.status is None:
        return None
    body = b"" if plan.response is None else read_input(plan.response, cwd=runtime.cwd, stdin=runtime.stdin)
    status = plan.status or 200
    headers = Headers((("Content-Type", _content_type(body)),)) if body else Headers()
    return AgentResponse(name=str(status), status=status, headers=headers, body=body)


def _content_type(body: bytes) -> str:
    try:
        json.loads(body)
    except (ValueError, RecursionError):
        return "text/plain; charset=utf-8"
    return "application/json"


def read_variables(plan: AgentPlan, runtime: Runtime) -> dict[str, str]:
    """Return the variables that expressions may read; raises UsageError for one that is not set."""
    found = {}
    for name in plan.variables:
        value = runtime.environ.get(name)
        if value is None:
            raise UsageError(f"--env {name}: this variable is not set.", hint=f"Set it: export {name}=…")
        runtime.keep_secret(value)
        found[name] = value
    return found
