"""What a tool is: its name, its description for the model, its parameters, and the function that runs it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

from port_hook_cli.assistant.results import ToolOutput
from port_hook_cli.assistant.workspace import Workspace

Arguments = Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class AssistantTool:
    """A tool. `parameters` are JSON Schemas by name; `sends` says that it sends requests, which the user must allow.

    `run` gets arguments that match the parameters, and raises PortHookError.
    """

    name: str
    title: str
    description: str
    parameters: Mapping[str, Mapping[str, Any]]
    run: Callable[[Arguments, Workspace], Awaitable[ToolOutput]]
    required: tuple[str, ...] = ()
    sends: bool = False

    @property
    def input_schema(self) -> dict[str, Any]:
        """The JSON Schema of the arguments."""
        return {
            "type": "object",
            "properties": {name: dict(schema) for name, schema in self.parameters.items()},
            "required": list(self.required),
            "additionalProperties": False,
        }
