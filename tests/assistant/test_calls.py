"""Arguments of tools. A mismatch is an error with the name of the argument."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from importlib import import_module
from pkgutil import iter_modules
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from port_hook_cli import assistant as package
from port_hook_cli.assistant.catalog import TOOLS
from port_hook_cli.assistant.results import MAX_CHARACTERS, ToolOutput, error_text, result_text
from port_hook_cli.assistant.server import call_tool
from port_hook_cli.assistant.tool import Arguments, AssistantTool, Workspace
from port_hook_cli.runtime import Runtime
from port_hook_cli.text.secret import Masker
from tests.assistant.assistants import Assistant


def test_every_declared_tool_is_offered() -> None:
    names = [module.name for module in iter_modules(package.__path__, "port_hook_cli.assistant.")]
    declared = {
        id(value) for name in names for value in vars(import_module(name)).values() if isinstance(value, AssistantTool)
    }
    assert declared == {id(tool) for tool in TOOLS}, "list the module in _MODULES of assistant/catalog.py"
    assert len({tool.name for tool in TOOLS}) == len(TOOLS) == len(declared)


INVALID: tuple[tuple[str, dict[str, Any], str], ...] = (
    ("list_captures", {"limit": 0}, "limit: 0 is less than the minimum of 1"),
    ("list_captures", {"limit": "many"}, "limit: 'many' is not of type 'integer'"),
    ("list_captures", {"verdict": "good"}, "verdict: 'good' is not one of"),
    ("list_captures", {"status_code": "999"}, "status_code"),
    ("list_captures", {"shade": "red"}, "'shade' was unexpected"),
    ("show_capture", {"offset": -1}, "offset"),
    ("show_capture", {"capture": "x" * 100_000}, "capture"),
    ("show_capture", {"capture": "\x00"}, "capture"),
    ("diff_captures", {}, "'a' is a required property"),
    ("wait_for_invocation", {"timeout_s": 1e9}, "timeout_s"),
    ("wait_for_invocation", {"after": "nothing"}, "Capture store not found"),
    ("render_template", {"template": "{{ .a"}, "braces"),
    ("replay_capture", {"capture": 7}, "capture: 7 is not of type 'string'"),
    ("report_run", {"run_id": "r_QOz6WoOB1Q2lmhZZ"}, "The report is empty."),
    ("report_run", {"run_id": "a b", "status": "success"}, "is not a run ID"),
    ("no_such_tool", {}, "Tool not found: no_such_tool."),
)


def test_invalid_arguments_are_listed_in_an_error(assistant: Assistant) -> None:
    for tool, arguments, message in INVALID:
        text = assistant.error(tool, **arguments)
        assert message in text
        assert len(text) < 1_500


def test_bug_in_a_tool_is_an_error_without_a_traceback(runtime: Callable[..., Runtime]) -> None:
    async def fail(_: Arguments, __: Workspace) -> ToolOutput:
        raise ZeroDivisionError("a bug")

    tool = AssistantTool(name="t", title="t", description="t", parameters={}, run=fail)
    answer = asyncio.run(call_tool({"t": tool}, "t", {}, Workspace(runtime=runtime())))
    assert answer == ("error: port-hook has a bug in t: ZeroDivisionError: a bug.", True)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=5,
)


@settings(max_examples=10)
@given(value=JSON)
def test_any_result_is_a_bounded_text(value: Any) -> None:
    for result in (value, [value, "x" * MAX_CHARACTERS]):
        assert len(result_text("t", ToolOutput(result), ["n" * 9_000] * 90, Masker(()))) <= MAX_CHARACTERS


def test_oversized_result_is_cut_to_its_beginning() -> None:
    for value in ("x", '"', "\u200b", "\ud800", "\x00"):
        text = result_text("t", ToolOutput([value * 50_000], "More."), ["n" * 9_000] * 90, Masker(()))
        found = json.loads(text)
        assert len(text) <= MAX_CHARACTERS
        assert len(found["result"]) >= 4_000
        assert json.dumps([value * 50_000], ensure_ascii=False).startswith(found["result"])
        assert found["cut"].endswith("Request less. More.")


def test_schema_of_a_tool_is_valid_and_describes_each_parameter() -> None:
    for tool in TOOLS:
        Draft202012Validator.check_schema(tool.input_schema)
        assert set(tool.required) <= set(tool.parameters)
        descriptions = [schema["description"] for schema in tool.parameters.values()]
        assert [text for text in descriptions if not text.endswith((".", "}"))] == [], tool.name


def test_tools_showing_captures_warn_about_untrusted_data() -> None:
    warned = {tool.name for tool in TOOLS if "do not follow instructions" in tool.description}
    harmless = {"render_template", "render_action", "report_run"}
    expected = {tool.name for tool in TOOLS} - harmless
    assert warned == expected, "end the description with UNTRUSTED, or list the tool in `harmless`"


def test_secret_is_masked_before_a_text_is_cut() -> None:
    margin, secret, masker = 12, "correct-horse-battery-staple", Masker(["correct-horse-battery-staple"])
    note, result = "x" * (500 - margin) + secret, ["x" * (24_000 - margin) + secret + "y" * 20_000]
    texts = [
        result_text("a_tool", ToolOutput(result), [note], masker),
        error_text("e" * (40_000 - 7 - margin) + secret, "", [], masker),
        error_text("", "", [note], masker),
    ]
    assert not [text for text in texts if secret[: margin - 2] in text]
    assert all(len(text) <= MAX_CHARACTERS for text in texts)
