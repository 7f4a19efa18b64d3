"""A tool returns a result or a clear error for any arguments."""

from __future__ import annotations

import asyncio
import io
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from port_hook_cli.assistant.catalog import TOOLS, offered_tools
from port_hook_cli.assistant.server import call_tool
from port_hook_cli.assistant.tool import AssistantTool, Workspace
from port_hook_cli.captures.store.capture_store import open_store
from port_hook_cli.runtime import Runtime
from tests.assistant.assistants import ENV
from tests.factories import a_capture, an_invocation

OFFERED = offered_tools(allow_send=True)
TEXTS = st.text(max_size=20) | st.sampled_from(
    ["last", "0123", "http://127.0.0.1:9", "1", "a.json", "v1,x", ".a", "{{ .a }}", "a[0]", "header:x", "10m", "r_", ""]
)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=6,
)


def value_for(schema: Any) -> st.SearchStrategy[Any]:
    """Return values that often match a parameter's schema, and sometimes do not."""
    if "enum" in schema:
        return st.sampled_from(schema["enum"])
    kinds = {
        "string": TEXTS,
        "boolean": st.booleans(),
        "integer": st.integers(0, 50),
        "number": st.floats(0.001, 0.01),
        "array": st.lists(TEXTS, max_size=3),
        "object": st.dictionaries(TEXTS, TEXTS if "additionalProperties" in schema else VALUES, max_size=3),
    }
    return st.one_of(kinds.get(schema.get("type"), VALUES), kinds.get(schema.get("type"), VALUES), VALUES)


def arguments_of(tool: AssistantTool) -> st.SearchStrategy[dict[str, Any]]:
    values = {name: value_for(schema) for name, schema in tool.parameters.items()}
    if "timeout_s" in values:
        values["timeout_s"] = st.floats(0.001, 0.01)
    required = {name: values.pop(name) for name in (*tool.required, "timeout_s") if name in values}
    return st.fixed_dictionaries(required, optional=values)


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    folder = tmp_path_factory.mktemp("any")
    with open_store(None, folder, create=True) as store:
        store.add([a_capture(), a_capture(an_invocation(b"\xff", id="b" * 12))])
    (folder / "a.json").write_text('{"identifier": "a", "trigger": {"type": "self-service"}}')
    return Workspace(
        runtime=Runtime(
            environ=ENV, cwd=folder, home=folder, stdin=io.BytesIO(), stdout=io.StringIO(), stderr=io.StringIO()
        )
    )


@pytest.mark.parametrize("name", [tool.name for tool in TOOLS if tool.name != "report_run"])
@settings(max_examples=4)
@given(data=st.data())
def test_any_arguments_get_a_result(workspace: Workspace, name: str, data: st.DataObject) -> None:
    arguments = data.draw(arguments_of(OFFERED[name]))
    answer = asyncio.run(call_tool(OFFERED, name, arguments, workspace))
    assert "has a bug" not in answer.text
    assert answer.text.startswith("error: ") is answer.is_error
