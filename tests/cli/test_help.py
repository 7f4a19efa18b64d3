from __future__ import annotations

import re
import shlex

import pytest

from port_hook_cli.cli.app import COMMANDS
from port_hook_cli.cli.help_page import EXAMPLES
from tests.conftest import Run
from tests.options import command, options

GROUPED = ("listen", "trigger", "agent", "check", "replay")


@pytest.mark.parametrize("name", COMMANDS)
def test_options_are_all_in_groups_or_none_is(name: str) -> None:
    grouped = [option.opts[0] for members in command(name).groups().values() for option in members]
    assert sorted(grouped) == (sorted(option.opts[0] for option in options(name)) if name in GROUPED else [])


@pytest.mark.parametrize("name", GROUPED)
def test_the_help_shows_examples_and_then_the_groups(run: Run, name: str) -> None:
    out = run(name, "--help").out
    titles = re.findall(r"^(\S.*):$", out, re.MULTILINE)
    arguments = [title for title in titles if title == "Arguments"]
    assert titles == ["Examples", *arguments, *command(name).groups(), "Help"]
    for example in EXAMPLES[name]:
        assert f"  {example}\n" in out


@pytest.mark.parametrize("name", COMMANDS)
def test_the_help_names_each_value_as_a_user_does(run: Run, name: str) -> None:
    out = run(name, "--help").out
    assert re.findall(r"<\w+(?: range)?>", out) == []
    assert re.findall(r"\{[A-Z][^|}]*\}|\.{4}", out) == []


def test_the_usage_keeps_braces_around_alternatives_only(run: Run) -> None:
    assert run("export", "--help").out.startswith("Usage: port-hook export [OPTIONS] ID...\n")
    assert run("show", "--help").out.startswith("Usage: port-hook show [OPTIONS] {ID|last}\n")


@pytest.mark.parametrize("name", EXAMPLES)
def test_the_examples_name_options_that_exist(name: str) -> None:
    known = {flag for option in options(name) for flag in option.opts}
    for example in EXAMPLES[name]:
        program, used, *rest = shlex.split(example)
        assert (program, used) == ("port-hook", command(name).name)
        own = rest[: rest.index("--")] if "--" in rest else rest
        assert {word for word in own if word.startswith("--")} <= known
