"""The project is as small as tests/budgets.toml says. tests/processor_time.py compares the time of `make test`."""

from __future__ import annotations

import ast
import io
import tokenize
from pathlib import Path

import pytest

from port_hook_cli.cli.app import COMMANDS
from tests.budgets import most
from tests.documentation import ROOT
from tests.options import options

pytestmark = [
    pytest.mark.once,
    pytest.mark.skipif(not (ROOT / "port_hook_cli").is_dir(), reason="the wheel's tests run without it"),
]

WITHOUT_CODE = {tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.ENDMARKER}


def code_lines(source: str) -> set[int]:
    """Return the numbers of the lines that are neither blank nor a comment nor a docstring."""
    found: set[int] = set()
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type not in WITHOUT_CODE:
            found.update(range(token.start[0], token.end[0] + 1))
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            first = node.body[0] if node.body else None
            if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant):
                found.difference_update(range(first.lineno, (first.end_lineno or first.lineno) + 1))
    return found


def sources(folder: str) -> list[str]:
    return [path.read_text("utf-8") for path in (ROOT / folder).rglob("*.py") if "node_modules" not in path.parts]


def test_product_has_at_most_so_many_lines_of_code() -> None:
    assert code_lines('"""Doc."""\n\nx = """\n# no comment\n"""  # comment\n# comment\n') == {3, 4, 5}
    assert sum(len(code_lines(source)) for source in sources("port_hook_cli")) <= most("product_code_lines")


def test_tests_have_at_most_so_many_lines_for_each_line_of_the_product() -> None:
    tests, product = (sum(source.count("\n") for source in sources(name)) for name in ("tests", "port_hook_cli"))
    assert tests / product <= most("test_lines_per_product_line")


def test_docs_have_at_most_so_many_words() -> None:
    pages = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").rglob("*.md")]
    assert sum(len(page.read_text("utf-8").split()) for page in pages) <= most("words_of_docs")


def test_each_command_has_at_most_so_many_options() -> None:
    allowed = most("options_of_commands")
    assert allowed.keys() == COMMANDS.keys()
    found = {name: len(options(name)) for name in COMMANDS}
    assert {name: count for name, count in found.items() if count > allowed[name]} == {}


def test_wheel_is_at_most_so_large(tmp_path: Path) -> None:
    from hatchling.builders.wheel import WheelBuilder

    (wheel,) = WheelBuilder(str(ROOT)).build(directory=str(tmp_path), versions=["standard"])
    assert Path(wheel).stat().st_size / 1000 <= most("wheel_kilobytes")
