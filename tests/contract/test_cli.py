"""What holds for every command: it loads, it explains itself, it takes no secret on its command line."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

import pytest

from port_hook_cli import errors
from port_hook_cli.cli.commands import COMMANDS
from port_hook_cli.cli.completion.values import Surroundings
from port_hook_cli.cli.defaults import variable_names
from port_hook_cli.cli.exit_codes import ExitCode, exit_code_of
from port_hook_cli.signatures.causes import CAUSES
from tests.conftest import Run
from tests.options import command, options, summary

DOCS = Path(__file__).parents[2] / "docs"
EMPTY_REPORTS = ["--external-run-id", "--label", "--summary"]
MAY_BE_EMPTY = {*(("report-run", flag) for flag in EMPTY_REPORTS), ("verify", "--signature"), ("verify", "--timestamp")}
SHARED_VARIABLES = {
    "PORT_HOOK_ORG",
    "PORT_HOOK_SECRET_FILE",
    "PORT_HOOK_STORE",
    "PORT_HOOK_TOLERANCE",
}
FILES_OF_SECRETS = {"--secret-file", "--secrets"}


def test_every_command_argument_and_option_has_help() -> None:
    silent = [(name, each.name) for name in COMMANDS for each in command(name).params if not each.help]
    assert silent == []


def test_help_shows_every_option(run: Run) -> None:
    for name in COMMANDS:
        result = run(name, "--help", "--all")
        assert result.code == 0
        assert summary(name) in " ".join(result.out.split())
        assert [option.opts[0] for option in options(name) if option.opts[0] not in result.out] == [], name
        assert run("help", name) == run(name, "--help")


def test_no_option_takes_a_secret() -> None:
    flags = {flag for name in COMMANDS for option in options(name) if not option.is_flag for flag in option.opts}
    taking = {flag for flag in flags if re.search("secret|token|password|credential|api-?key", flag)}
    assert taking <= FILES_OF_SECRETS


@pytest.mark.parametrize("name", COMMANDS)
def test_empty_value_of_each_option_is_an_error_with_its_name(name: str, run: Run) -> None:
    flags = [option.opts[0] for option in options(name) if not option.is_flag]
    errors = {flag: run(name, flag, "") for flag in flags if (name, flag) not in MAY_BE_EMPTY}
    assert {(result.code, result.out) for result in errors.values()} <= {(ExitCode.USAGE, "")}
    hint = "hint: Check whether a shell variable is unset."
    assert {flag: result.err.splitlines() for flag, result in errors.items()} == {
        flag: [f"error: The value of {flag} is empty.", hint] for flag in errors
    }


def test_rules_of_options_name_options_of_the_same_command_and_existing_completions() -> None:
    for name in COMMANDS:
        declared = [parameter.declared for parameter in command(name).params]
        named = {other for each in declared for other in each.excludes}
        named |= {other for each in declared for rule in each.no_effect for other in (*rule.without, *rule.beside)}
        assert named - {each.name for each in declared} == set(), name
        completing = {each.completes for each in declared} - {""}
        assert [each for each in completing if not callable(getattr(Surroundings, each, None))] == [], name


@pytest.mark.parametrize("flag", EMPTY_REPORTS)
def test_report_options_may_send_an_empty_text(flag: str, run: Run) -> None:
    result = run("report-run", "r_1234567890123456", flag, "", "--dry-run", "--json")
    [call] = result.records[0]["calls"]
    assert (result.code, list(call["body"].values())) == (ExitCode.OK, [""])


def test_only_options_with_the_same_meaning_share_an_environment_variable() -> None:
    variables = Counter(
        variable
        for name in COMMANDS
        for option in options(name)
        for flag in option.opts
        if flag.startswith("--")
        for variable in variable_names(name, flag[2:])
    )
    shared = {variable for variable, count in variables.items() if count > 1}
    assert shared == SHARED_VARIABLES


def test_help_lists_every_command_with_its_summary(run: Run) -> None:
    words = " ".join(run("--help", "--all").out.split())
    assert all(f"{name} {summary(name)}" in words for name in COMMANDS)


def test_help_is_shown_without_arguments(run: Run) -> None:
    result = run()
    assert "Usage: port-hook" in result.out + result.err


@pytest.mark.parametrize("word", ["--version", "-V", "version"])
def test_version_is_printed(word: str, run: Run) -> None:
    result = run(word)
    assert (result.code, result.err) == (0, "")
    assert re.fullmatch(r"port-hook \d+\.\d+\.\d+\S*\n", result.out)


def test_help_prints_the_general_help(run: Run) -> None:
    assert run("help") == run("--help")


def test_help_with_an_unknown_command_is_a_usage_error(run: Run) -> None:
    result = run("help", "listn")
    assert (result.code, result.out) == (ExitCode.USAGE, "")
    assert "Did you mean listen?" in result.err


def test_each_kind_of_error_has_its_exit_code() -> None:
    kinds = [
        kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, errors.PortHookError)
    ]
    assert {kind.code: int(exit_code_of(kind("It failed."))) for kind in kinds} == {
        "failed": 1, "usage": 2, "settings": 4, "listen": 5, "tunnel": 5, "kafka": 5, "target": 6, "port-api": 7,
        "store": 8, "run-ended": 9, "retarget": 1, "render": 1,
    }  # fmt: skip


def test_settings_page_lists_every_environment_variable() -> None:
    page = (DOCS / "reference" / "settings.md").read_text("utf-8")
    variables = [
        "PORT_CLIENT_ID", "PORT_CLIENT_SECRET", "PORT_API_URL", "PORT_API_BASE_URL", "PORT_REGION", "PORT_CONFIG_FILE",
        "PORT_DEFAULT_ORG", *SHARED_VARIABLES,
    ]  # fmt: skip
    assert [variable for variable in variables if f"`{variable}`" not in page] == []


def test_bad_signature_page_lists_only_existing_causes() -> None:
    page = (DOCS / "debug" / "bad-signature.md").read_text("utf-8")
    shown = re.findall(r"(?m)^([a-z0-9-]+): .*\n  fix: ", page)
    slugs = {*re.findall(r"\[`([^`]+)`\]\(\S+signatures\.md#", page), *shown}
    assert slugs
    assert slugs <= set(CAUSES)
