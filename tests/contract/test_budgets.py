"""The project is as small as tests/budgets.toml says. tests/processor_time.py compares the time of `make test`."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import pytest

from port_hook_cli.cli.commands import COMMANDS
from tests.budgets import most
from tests.documentation import ROOT
from tests.options import options
from tests.product_sources import Text, sources, texts

pytestmark = [
    pytest.mark.once,
    pytest.mark.skipif(not (ROOT / "port_hook_cli").is_dir(), reason="the wheel's tests run without it"),
]


def code_lines(source: str, texts: Iterable[Text]) -> int:
    """Return the number of the lines that are neither blank nor a comment nor a docstring."""
    lines = enumerate(source.splitlines(), 1)
    found = {number for number, line in lines if line.strip() and not line.lstrip().startswith("#")}
    for text in texts:
        (found.difference_update if text.is_docstring else found.update)(range(text.first, text.last + 1))
    return len(found)


def size(folder: str) -> int:
    """Return the number of lines in the modules of a folder."""
    paths = (path for path in (ROOT / folder).rglob("*.py") if "node_modules" not in path.parts)
    return sum(path.read_bytes().count(b"\n") for path in paths)


def test_product_has_at_most_so_many_lines_of_code() -> None:
    example = '"""Doc."""\n\nx = """\n# no comment\n\n"""  # comment\n# comment\n'
    assert code_lines(example, texts(example)) == 4
    assert sum(code_lines(each.code, each.texts) for each in sources()) <= most("product_code_lines")


def test_tests_have_at_most_so_many_lines_for_each_line_of_the_product() -> None:
    assert size("tests") / size("port_hook_cli") <= most("test_lines_per_product_line")


def test_docs_have_at_most_so_many_words() -> None:
    pages = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").rglob("*.md")]
    assert sum(len(page.read_text("utf-8").split()) for page in pages) <= most("words_of_docs")


def test_each_command_has_at_most_so_many_options() -> None:
    found = {name: len(options(name)) for name in COMMANDS}
    assert found.pop("listen") <= most("options_of_listen")
    assert {name: count for name, count in found.items() if count > most("options_of_another_command")} == {}


def test_short_help_shows_at_most_so_many_options() -> None:
    own = {name: [each for each in options(name) if not each.declared.is_shared] for name in COMMANDS}
    shown = {name: [each for each in mine if each.declared.in_short_help] or mine for name, mine in own.items()}
    assert {name: len(each) for name, each in shown.items() if len(each) > most("options_in_a_short_help")} == {}


def test_wheel_is_at_most_so_large(tmp_path: Path) -> None:
    from hatchling.builders.wheel import WheelBuilder

    (wheel,) = WheelBuilder(str(ROOT)).build(directory=str(tmp_path), versions=["standard"])
    assert Path(wheel).stat().st_size / 1000 <= most("wheel_kilobytes")
