from __future__ import annotations

import re
import shlex
from collections import Counter

import pytest

from port_hook_cli.cli.app import COMMANDS
from port_hook_cli.cli.help import EXAMPLES, GROUPS
from tests.conftest import Run
from tests.options import command, options


@pytest.mark.parametrize("name", GROUPS)
def test_every_option_is_in_one_group(name: str) -> None:
    grouped = Counter(option for names in GROUPS[name].values() for option in names)
    assert grouped == Counter(option.opts[0] for option in options(name))


@pytest.mark.parametrize("name", GROUPS)
def test_the_help_shows_examples_and_then_the_groups(run: Run, name: str) -> None:
    out = run(name, "--help").out
    titles = re.findall(r"^(\S.*):$", out, re.MULTILINE)
    arguments = [title for title in titles if title == "Arguments"]
    assert titles == ["Examples", *arguments, *GROUPS[name], "Help"]
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
