"""Declared options: the values of a command, its help, and contradictory options."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, get_args

import pytest
import typer

from port_hook_cli.cli.command import Command
from port_hook_cli.cli.exit_codes import ExitCode
from port_hook_cli.cli.option_groups import (
    ANY_VALUE,
    HANDLER_HERE,
    NEVER,
    NoEffect,
    Trust,
    also,
    argument,
    command,
    option,
    option_group,
)
from port_hook_cli.errors import UsageError

VIA_PORT = NoEffect("--via-port has Port make the request", beside=("--via-port",))
NO_TARGET = NoEffect("Nothing is sent", without=("--to", "--route"))
Verbose = Annotated[bool, option("--verbose", help="Show more.", trust=ANY_VALUE)]


@option_group("Target")
class SampleTarget:
    to: Annotated[str | None, option("--to", help="The target.", no_effect=(VIA_PORT,))] = None
    route: Annotated[list[str] | None, option("--route", help="Routes.")] = None
    via_port: Annotated[bool, option("--via-port", help="In Port.", excludes=("--route", "a SOURCE"))] = False
    rate: Annotated[int, option("--rate", help="Requests a second.", no_effect=(NO_TARGET,), trust=Trust(1, 9))] = 5

    def urls(self) -> list[str]:
        return [*([self.to] if self.to else []), *(self.route or [])]


@option_group("Signature")
class SampleSigning:
    key: Annotated[Path | None, option("--key", help="The key.", stdin="the key", may_be_empty=True)] = None


@option_group("Signature")
class SampleSigningInOrder(SampleSigning):
    in_order: Annotated[bool, option("--in-order/--no-in-order", help="Sort.", no_effect=(NO_TARGET,))] = True


CALLS: list[tuple[Any, ...]] = []


@command
def sample(
    ctx: typer.Context,
    source: Annotated[str | None, argument(metavar="SOURCE", name="a SOURCE", help="A file.", stdin="a source")] = None,
    *,
    target: SampleTarget,
    signing: SampleSigningInOrder,
    verbose: Annotated[Verbose, also(excludes=("--to",))] = False,
) -> ExitCode:
    """Send a sample."""
    CALLS.append((ctx.info_name, source, target.urls(), target.rate, signing.key, signing.in_order, verbose))
    return ExitCode.OK


@pytest.fixture
def parser() -> Any:
    app = typer.Typer(add_completion=False, rich_markup_mode=None)
    app.command("sample", cls=Command)(sample)
    return typer.main.get_command(app)


def call(parser: Any, line: str, defaults: dict[str, Any] | None = None) -> tuple[Any, ...]:
    parser.main(line.split(), "sample", standalone_mode=False, default_map=defaults or {})
    return CALLS.pop()


def test_command_gets_its_groups_with_the_values_of_their_options(parser: Any) -> None:
    assert call(parser, "file --to 8000 --key k") == ("sample", "file", ["8000"], 5, Path("k"), True, False)
    assert call(parser, "--route a --route b --rate 7 --no-in-order") == (
        "sample",
        None,
        ["a", "b"],
        7,
        None,
        False,
        False,
    )


def test_group_includes_the_options_of_its_base_group(parser: Any) -> None:
    titles = {title: [each.opts[0] for each in members] for title, members in parser.groups().items()}
    assert titles == {"Target": ["--to", "--route", "--via-port", "--rate"], "Signature": ["--key", "--in-order"]}


def test_declaration_belongs_to_the_parameter_of_typer(parser: Any) -> None:
    declared = {parameter.name: parameter.declared for parameter in parser.params}
    assert declared["rate"].trust == Trust(1, 9)
    assert declared["verbose"].trust == ANY_VALUE
    assert declared["to"].trust == declared["source"].trust == NEVER
    assert declared["source"].name == "a SOURCE"
    assert (declared["key"].may_be_empty, declared["to"].may_be_empty) == (True, False)


def test_shared_option_gets_the_rules_of_one_command_only(parser: Any) -> None:
    [verbose] = [parameter.declared for parameter in parser.params if parameter.name == "verbose"]
    assert verbose.excludes == ("--to",)
    assert get_args(Verbose)[1].declared.excludes == ()


OUT, ADD = "Leave out", "Add --to or --route, or leave out"


@pytest.mark.parametrize(
    ("line", "message", "hint"),
    [
        ("--via-port --route a", "Use either --via-port or --route, not both.", "Leave out --via-port or --route."),
        ("file --via-port", "Use either --via-port or a SOURCE, not both.", "Leave out --via-port or a SOURCE."),
        (
            "file --via-port --route a",
            "Use only one of --via-port, --route and a SOURCE.",
            f"{OUT} --via-port or --route or a SOURCE.",
        ),
        ("--verbose --to 1", "Use either --verbose or --to, not both.", f"{OUT} --verbose or --to."),
        ("- --key -", "A source and the key cannot both use stdin.", "Pass one of them as a file."),
        ("--to 1 --via-port", "--via-port has Port make the request, so --to has no effect.", "Leave out --to."),
        ("--rate 7", "Nothing is sent without --to or --route, so --rate has no effect.", f"{ADD} --rate."),
        ("--in-order", "Nothing is sent without --to or --route, so --in-order has no effect.", f"{ADD} --in-order."),
        (
            "--no-in-order",
            "Nothing is sent without --to or --route, so --in-order has no effect.",
            f"{ADD} --in-order.",
        ),
    ],
)
def test_options_with_contradictory_declarations_are_rejected(parser: Any, line: str, message: str, hint: str) -> None:
    with pytest.raises(UsageError) as caught:
        call(parser, line)
    assert caught.value.message == message
    assert caught.value.hint == hint
    assert CALLS == []


@pytest.mark.parametrize("line", ["", "--rate 5", "--via-port", "- --key k", "--route a --in-order", "--verbose"])
def test_options_with_an_effect_are_accepted(parser: Any, line: str) -> None:
    assert call(parser, line)


def test_default_contradicts_other_options_unless_another_option_replaces_it(parser: Any) -> None:
    with pytest.raises(UsageError, match=r"^Use either --via-port or --route, not both\.$"):
        call(parser, "--via-port", {"route": ["a"]})
    with pytest.raises(UsageError, match=r"so --rate has no effect\.$"):
        call(parser, "", {"rate": "7"})
    assert call(parser, "--via-port", {"to": "1"})[2] == []  # the default is ignored: the command does not get it
    assert call(parser, "", {"in_order": "false"})


def test_option_without_a_declaration_is_rejected() -> None:
    def undeclared(ctx: typer.Context, to: Annotated[str, typer.Option("--to")] = "") -> ExitCode:
        return ExitCode.OK

    with pytest.raises(AttributeError, match="declared"):
        command(undeclared)


def test_duplicate_field_of_two_groups_is_rejected() -> None:
    def twice(ctx: typer.Context, *, one: SampleSigning, other: SampleSigningInOrder) -> ExitCode:
        return ExitCode.OK

    with pytest.raises(ValueError, match="duplicate parameter name: 'key'"):
        command(twice)


@pytest.mark.parametrize(
    ("trust", "allowed", "refused"),
    [
        (NEVER, [], ["", "0", "1", "x"]),
        (HANDLER_HERE, [], ["", "8000"]),
        (ANY_VALUE, ["", "x", "inf", "nan"], []),
        (Trust(0, 60), ["0", "60", "2s..5s", "1s", "x"], ["61", "-1", "1..61", "nan", "inf", "1e9"]),
        (Trust(1, 1024), ["1KiB", "500"], ["2KiB", "1MiB"]),
    ],
)
def test_file_may_set_only_trusted_values(trust: Trust, allowed: list[str], refused: list[str]) -> None:
    assert [value for value in allowed if not trust.allows(value)] == []
    assert [value for value in refused if trust.allows(value)] == []
