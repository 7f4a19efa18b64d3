from __future__ import annotations

import re
import shlex

import pytest

from port_hook_cli.cli.app import COMMANDS, GROUPS
from port_hook_cli.cli.help_page import EXAMPLES
from tests.conftest import Run
from tests.options import command, options


def test_help_shows_examples_and_then_the_groups(run: Run) -> None:
    for name in COMMANDS:
        out = run(name, "--help", "--all").out
        groups = command(name).groups()
        if groups:
            assert sorted(each.opts[0] for members in groups.values() for each in members) == sorted(
                option.opts[0] for option in options(name)
            )
        titles = re.findall(r"^(\S.*):$", out, re.MULTILINE)
        arguments = [title for title in titles if title == "Arguments"]
        examples = ["Examples"] if name in EXAMPLES else []
        assert titles == [*examples, *arguments, *(groups or ["Options"]), *(["Help"] if groups else [])], name
        for example in EXAMPLES.get(name, ()):
            assert f"  {example}\n" in out
        # Each value in the words of a user.
        assert re.findall(r"<\w+(?: range)?>|\{[A-Z][^|}]*\}|\.{4}", run(name, "--help").out) == []


@pytest.mark.parametrize("columns", ["60", "80", "120"])
def test_root_help_shows_the_groups_with_the_most_used_commands_first(run: Run, columns: str) -> None:
    out = run("--help", env={"COLUMNS": columns}).out
    assert re.findall(r"^(\S.*):$", out, re.MULTILINE) == ["Examples", *GROUPS, "Options"]
    found = re.findall(r"^  ([a-z][a-z-]*)  +[A-Z]", out, re.MULTILINE)
    assert found == list(COMMANDS)
    assert max(map(len, out.splitlines())) <= int(columns)
    assert max(map(len, GROUPS.values())) <= 7


def test_help_of_listen_shows_twelve_options_and_how_to_see_the_others(run: Run) -> None:
    shown, everything = run("listen", "--help").out, run("listen", "--help", "--all").out
    assert len(re.findall(r"^  (?:-\w, )?--", shown, re.MULTILINE)) == 12 + 1  # and --help
    hidden = sum(not parameter.declared.is_common for parameter in options("listen"))
    text = " ".join(shown.split())
    assert f"{hidden} more options: `port-hook listen --help --all` shows all by group (Target, Server," in text
    assert "--max-body" in everything
    assert "--max-body" not in shown


def test_usage_has_braces_only_around_alternatives(run: Run) -> None:
    assert run("export", "--help").out.startswith("Usage: port-hook export [OPTIONS] [CAPTURE|FILE|-]...\n")
    assert run("show", "--help").out.startswith("Usage: port-hook show [OPTIONS] {ID|last}\n")


def test_examples_use_existing_options() -> None:
    for name, examples in EXAMPLES.items():
        for example in examples:
            program, used, *rest = shlex.split(example)
            assert (program, used) == ("port-hook", command(name or used).name)
            known = {flag for option in options(used) for flag in option.opts}
            own = rest[: rest.index("--")] if "--" in rest else rest
            assert {word for word in own if word.startswith("--")} <= known
