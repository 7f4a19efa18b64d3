from __future__ import annotations

import re
import shlex

import pytest

from port_hook_cli.cli.commands import COMMANDS, GROUPS, MORE
from port_hook_cli.cli.help_page import EXAMPLES, root_examples
from tests.conftest import Run
from tests.options import command, options


def test_help_shows_examples_and_then_the_options_by_group(run: Run) -> None:
    for name in COMMANDS:
        out = run(name, "--help", "--all").out
        own = [each for each in options(name) if not each.declared.is_shared]
        groups = {title or "Options" for title, group in command(name).groups().items() if set(group) & set(own)}
        titles = re.findall(r"^(\S.*):$", out, re.MULTILINE)
        assert set(titles) - {"Examples", "Arguments"} == groups, name
        assert len(titles) == len(set(titles))
        for example in EXAMPLES.get(name, ()):
            assert " ".join(example.split()) in " ".join(out.split())
        # Each value in the words of a user.
        assert re.findall(r"<\w+(?: range)?>|\{[A-Z][^|}]*\}|\.{4}|x[<>]=|: \d+\.0\]", out) == []


@pytest.mark.parametrize("columns", ["60", "80", "120"])
def test_root_help_describes_the_most_used_commands_and_names_the_others(run: Run, columns: str) -> None:
    out = run("--help", env={"COLUMNS": columns}).out
    assert re.findall(r"^(\S.*):$", out, re.MULTILINE) == ["Examples", *GROUPS]
    described = re.findall(r"^  ([a-z][a-z-]*)  +[A-Z]", out, re.MULTILINE)
    assert described == [name for group in GROUPS.values() for name in group]
    assert f"More: {', '.join(MORE)}." in " ".join(out.split())
    assert max(map(len, out.splitlines())) <= int(columns)
    everything = run("--help", "--all", env={"COLUMNS": columns}).out
    assert re.findall(r"^  ([a-z][a-z-]*)  +[A-Z]", everything, re.MULTILINE) == list(COMMANDS)


def test_short_help_says_how_to_see_the_other_options(run: Run) -> None:
    for name in COMMANDS:
        shown = run(name, "--help").out
        own = [each for each in options(name) if not each.declared.is_shared]
        listed = re.findall(r"^  (?:-\w, )?(--[a-z-]+)", shown, re.MULTILINE)
        hidden = len(own) - len(listed)
        assert (f"{hidden} more: add --all." in shown) == bool(hidden), name
        assert {flag for each in options(name) if each.declared.is_shared for flag in each.opts} <= set(
            re.findall(r"--[a-z-]+", shown.rpartition("Common options: ")[2])
        ), name


@pytest.mark.parametrize(
    ("topic", "found"),
    [
        ("options", "--secret-file PATH|-"),
        ("settings", "PORT_HOOK_INSECURE_API"),
        ("setting", "PORT_HOOK_INSECURE_API"),
        ("exit-codes", "  130  interrupted with Ctrl-C"),
    ],
)
def test_topic_of_several_commands_has_a_page(run: Run, topic: str, found: str) -> None:
    result = run("help", topic)
    assert (result.code, result.err) == (0, "")
    assert found in result.out


def test_usage_has_braces_only_around_alternatives(run: Run) -> None:
    assert run("export", "--help").out.startswith("Usage: port-hook export [OPTIONS] [CAPTURE|FILE|-]...\n")
    assert run("show", "--help").out.startswith("Usage: port-hook show [OPTIONS] [CAPTURE|FILE|-]\n")


def test_examples_use_existing_options() -> None:
    for name, examples in {**EXAMPLES, "": tuple(line for line, _ in root_examples())}.items():
        for example in examples:
            program, used, *rest = shlex.split(example)
            assert (program, used) == ("port-hook", command(name or used).name)
            known = {flag for option in options(used) for flag in option.opts}
            own = rest[: rest.index("--")] if "--" in rest else rest
            assert {word for word in own if word.startswith("--")} <= known
