"""Tools for coding agents, called without the protocol, in a separate folder."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from port_hook_cli.assistant.catalog import offered_tools
from port_hook_cli.assistant.server import ToolResult, call_tool
from port_hook_cli.assistant.tool import Workspace
from port_hook_cli.captures.store.capture_store import open_store
from port_hook_cli.invocations.headers import Headers
from port_hook_cli.invocations.models import Capture, Status
from port_hook_cli.runtime import Runtime
from port_hook_cli.signatures.verification import verify_signature
from tests.factories import SECRET
from tests.record_schemas import checked
from tests.servers import Handler

ENV = {"PORT_CLIENT_SECRET": SECRET.reveal()}


@dataclass(frozen=True)
class Assistant:
    """The tools, including those that send, and their workspace."""

    workspace: Workspace

    @classmethod
    def at(cls, runtime: Callable[..., Runtime], *, env: dict[str, str] | None = None, **options: Any) -> Assistant:
        return cls(Workspace(runtime=runtime(env=ENV if env is None else env), **options))

    def save(self, *captures: Capture) -> None:
        """Save captures in the folder's store, one after the other."""
        with open_store(None, self.workspace.runtime.cwd, create=True) as store:
            for capture in captures:
                store.add([capture])

    async def answer(self, name: str, **arguments: Any) -> ToolResult:
        return await call_tool(offered_tools(allow_send=True), name, arguments, self.workspace)

    def document(self, name: str, **arguments: Any) -> dict[str, Any]:
        """Return the whole result of a tool that succeeds."""
        return document(asyncio.run(self.answer(name, **arguments)))

    def result(self, name: str, **arguments: Any) -> Any:
        return self.document(name, **arguments)["result"]

    def error(self, name: str, **arguments: Any) -> str:
        """Return the text of a tool that fails."""
        answer = asyncio.run(self.answer(name, **arguments))
        assert answer.is_error, answer.text
        assert "Traceback" not in answer.text
        return answer.text


def document(answer: ToolResult) -> dict[str, Any]:
    """Return the result of a tool, checked with its JSON Schema."""
    assert not answer.is_error, answer.text
    found: dict[str, Any] = checked(json.loads(answer.text))
    return found


def is_signed(received: Handler) -> bool:
    """Return whether a handler's only request has a valid signature."""
    (request,) = received.requests
    at = float(request.value("x-port-timestamp") or 0)
    return verify_signature(Headers(tuple(request.fields)), request.body, SECRET, now=at).status is Status.VALID
