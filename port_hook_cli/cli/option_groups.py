"""Options in groups, and the decorator that makes a function with such groups a command.

An option is declared once. The parser, the help, the defaults from files and variables, completion, the refusal of
contradictory options, and the generated pages read its declaration. To add an option, add a parameter to the command,
or a field to one of its groups, and run `make docs`:

    dry_run: Annotated[
        bool,
        option(
            "--dry-run",
            help="Print what would be sent.",
            trust=ANY_VALUE,  # files in the current directory may set it; the default is NEVER
            excludes=("--json",),
            no_effect=(NoEffect("Nothing is sent", without=("--to",)),),
        ),
    ] = False

`option` and `argument` take the settings of `typer.Option` and `typer.Argument`, and the fields of `Declaration`.
`options.py` has the options of several commands; `also` adds rules to one of them. Contradictions that depend on values
are calls of `refuse_contradictions`. A command whose help has groups takes a class for each, in the order of the help:

    @option_group("Target")
    class ExampleTarget:
        # its docstring
        to: Annotated[str | None, option("--to", metavar="URL|PORT", help="The target.")] = None
        timeout_s: options.ResponseTimeout = 40.0

        def url(self) -> str | None:  # builds a value that a verb takes
            return None if self.to is None else read_target(self.to, "--to")

    @command
    def example(ctx: typer.Context, *, target: ExampleTarget, json: options.Json = False) -> ExitCode: ...

A group can extend another group. The name of a field is the parameter's name in `ctx`, so no two groups of a command
may have a field of the same name.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping
from typing import Any, TypeVar, dataclass_transform, get_args, get_type_hints

import typer

from port_hook_cli.cli.declaration import Declaration, NoEffect, refuse_declared

_BY_NAME = inspect.Parameter.KEYWORD_ONLY


def option(*names: str, **settings: Any) -> Any:
    """Return an option for `Annotated`. `settings` are fields of `Declaration` and settings of `typer.Option`."""
    declaration = _take_declaration(names[0].partition("/")[0], settings)
    return _declared(typer.Option(*names, **settings), declaration)


def argument(*, name: str = "", **settings: Any) -> Any:
    """Return an argument for `Annotated`. `settings` are fields of `Declaration` and settings of `typer.Argument`."""
    declaration = _take_declaration(name or settings["metavar"], settings)
    return _declared(typer.Argument(**settings), declaration)


def _take_declaration(name: str, settings: dict[str, Any]) -> Declaration:
    own = {field: settings.pop(field) for field in Declaration._fields if field in settings}
    return Declaration(name, **own)


def _declared(info: Any, declaration: Declaration) -> Any:
    info.declared = declaration
    return info


def also(*, excludes: tuple[str, ...] = (), no_effect: tuple[NoEffect, ...] = ()) -> Mapping[str, Any]:
    """Return what a command declares about a shared option in addition, for `Annotated`."""
    return {"excludes": excludes, "no_effect": no_effect}


Group = TypeVar("Group")


@dataclass_transform(frozen_default=True, kw_only_default=True, eq_default=False)
def option_group(title: str) -> Callable[[type[Group]], type[Group]]:
    """Make a class a group of options, which the help lists under `title`.

    For a type checker, it is a frozen dataclass. Creating a real one takes 0.3 ms, which a command would take longer to
    start for each group.
    """

    def make(group: type[Group]) -> type[Group]:
        group.__title__ = title  # type: ignore[attr-defined]
        group.__init__ = _set_options  # type: ignore[method-assign]
        return group

    return make


def _set_options(self: object, **values: Any) -> None:
    self.__dict__.update(values)


def command(function: Callable[..., int]) -> Callable[..., int]:
    """Return a function whose parameters are the options in the groups that `function` takes, which Typer can read.

    Options that contradict each other are refused before `function` is called. The attribute `declared` of the result
    maps the parameters to their declarations.
    """
    parameters: list[inspect.Parameter] = []
    declared: dict[str, Declaration] = {}
    groups: dict[str, tuple[Any, Mapping[str, Any]]] = {}

    def add(name: str, hint: Any, default: Any, title: str = "") -> None:
        if hint is not typer.Context:
            declared[name] = _declaration_of(hint)._replace(title=title)
        parameters.append(inspect.Parameter(name, _BY_NAME, default=default, annotation=hint))

    hints: dict[str, Any] = get_type_hints(function, include_extras=True)
    for name, parameter in inspect.signature(function).parameters.items():
        group = hints[name]
        if title := getattr(group, "__title__", ""):
            groups[name] = (group, get_type_hints(group, include_extras=True))
            for field, hint in groups[name][1].items():
                add(field, hint, getattr(group, field, inspect.Parameter.empty), title)
        else:
            add(name, group, parameter.default)

    @functools.wraps(function)
    def run(**values: Any) -> int:
        refuse_declared(values["ctx"], declared)
        made = {
            name: group(**{field: values.pop(field) for field in fields}) for name, (group, fields) in groups.items()
        }
        return function(**values, **made)

    run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    run.__annotations__ = {}  # typer would evaluate them a second time
    run.declared = declared  # type: ignore[attr-defined]
    return run


def _declaration_of(hint: Any) -> Declaration:
    _, info, *more = get_args(hint)
    declaration: Declaration = info.declared
    for rules in more:
        declaration = declaration._replace(
            excludes=(*declaration.excludes, *rules["excludes"]),
            no_effect=(*declaration.no_effect, *rules["no_effect"]),
        )
    return declaration
