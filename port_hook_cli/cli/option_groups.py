"""Options in groups, and the decorator that makes a function with option groups a command.

An option is declared once. The parser, the help, the defaults from files and variables, completion, the check for
contradictory options, and the generated pages read its declaration. To add an option, add a parameter to the command,
or a field to one of its groups, and run `make docs`:

    dry_run: Annotated[
        bool,
        option(
            "--dry-run",
            help="Print what would be sent.",
            trust=ANY_VALUE,  # files in the current directory may set it. The default is NEVER
            excludes=("--json",),
            no_effect=(NoEffect("Nothing is sent", without=("--to",)),),
        ),
    ] = False

For an option that the short help shows, use `short_option`. For choices, use an Enum, or `options.one_of` if the
choices are in a table. `option` and `argument` accept the settings of `typer.Option` and `typer.Argument`, and the
fields of `Declaration`. `options.py` contains the options that several commands share, and `also` adds rules to one of
them. For contradictions that depend on values, call `refuse_contradictions`. A command whose help has groups takes one
class for each group, in the order of the help:

    @option_group("Target")
    class ExampleTarget:
        # its docstring
        to: Annotated[str | None, option("--to", metavar="URL|PORT", help="The target.")] = None
        timeout_s: options.ResponseTimeout = 40.0

        def url(self) -> str | None:  # builds a value from the options
            return None if self.to is None else read_target(self.to, "--to")

    @command
    def example(ctx: typer.Context, *, target: ExampleTarget, json: options.Json = False) -> ExitCode: ...

A group can extend another group. The name of a field is the parameter's name in `ctx`, so no two groups of a command
may have a field of the same name.
"""

from __future__ import annotations

import functools
import inspect
import math
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple, TypeVar, dataclass_transform, get_args, get_type_hints

import typer

from port_hook_cli.errors import UsageError
from port_hook_cli.registry import features, load


class Trust(NamedTuple):
    """The values of an option that files in the current directory may set: numbers from `least` to `most`, or `words`.

    Someone else may have written these files. So an option is trusted only if none of its values can do any of these:

    - select a file, host, URL, target, tunnel, store, secret or organization
    - determine the content of a request or response
    - turn off a check or a question
    - hide or delete anything
    - loosen a limit

    A switch can only be turned on. `is_handler` is for options whose value is a handler. Their default can be `handler`
    in a project's `port-hook.toml`, which may set handlers on this machine.
    """

    least: float = 1.0
    most: float = 0.0
    is_handler: bool = False
    words: tuple[str, ...] = ()

    @property
    def allows_some(self) -> bool:
        """Whether a file in the current directory may set a value other than a handler."""
        return bool(self.words) or self.least <= self.most

    def allows(self, value: str) -> bool:
        """Return whether a file in the current directory may set this value."""
        if self == ANY_VALUE or not self.allows_some:
            return self.allows_some
        if self.words:
            return value in self.words
        try:
            return self.least <= _number(value) <= self.most
        except ValueError:
            return True  # typer reports the error


NEVER = Trust()
ANY_VALUE = Trust(-math.inf, math.inf)
HANDLER_HERE = Trust(is_handler=True)


def _number(value: str) -> float:
    try:
        return float(value)
    except ValueError:
        from port_hook_cli.http.limits import parse_size

        return float(parse_size(value))


class NoEffect(NamedTuple):
    """Why an option has no effect: all options in `without` are missing, or an option in `beside` is set.

    With `beside`, only the command line counts. A default from a file or a variable is ignored, and the command gets
    the option's own default. With `defaults_count`, such defaults raise UsageError too.
    """

    reason: str
    without: tuple[str, ...] = ()
    beside: tuple[str, ...] = ()
    defaults_count: bool = False

    def lacks(self, given: Collection[str]) -> bool:
        """Return whether `given` lacks all options that this option needs."""
        return bool(self.without) and not any(name in given for name in self.without)

    def is_beside(self, given: Collection[str]) -> bool:
        """Return whether `given` contains an option that makes this option useless."""
        return any(name in given for name in self.beside)

    @property
    def sentence(self) -> str:
        """The reason, with the missing options."""
        return f"{self.reason} without {_listed(self.without, 'or')}" if self.without else self.reason


class Declaration(NamedTuple):
    """The declaration of an option or argument, apart from the settings for Typer."""

    name: str
    """The name in messages: the first name of an option, or text such as `a SOURCE` for an argument."""
    trust: Trust = NEVER
    excludes: tuple[str, ...] = ()
    """The options that contradict this option.

    Declare a contradiction at the option that comes first in the message.
    """
    no_effect: tuple[NoEffect, ...] = ()
    stdin: str | Callable[[str], str] = ""
    """The content of stdin if the value is `-` or `-#ID`, such as `the secret`. Only one option may read stdin.

    For values in another form, a function that returns this content, or "" for a value that doesn't read stdin.
    """
    completes: str = ""
    """The values that completion offers: the name of a method of `completion.values.Surroundings`."""
    choices: tuple[str, ...] = ()
    """The values that completion offers if neither the type nor the metavar contains them."""
    may_be_empty: bool = False
    in_short_help: bool = False
    """Whether `--help` shows the option. For a command without common options, the help shows all options."""
    is_shared: bool = False
    """Whether several commands have the option, so that their help only names it."""
    title: str = ""
    """The title of the option's group in the help, which `command` adds."""


def option(*names: str, **settings: Any) -> Any:
    """Return an option for `Annotated`. `settings` are fields of `Declaration` and settings of `typer.Option`."""
    declaration = _take_declaration(names[0].partition("/")[0], settings)
    return _declared(typer.Option(*names, **settings), declaration)


def short_option(*names: str, **settings: Any) -> Any:
    """Return an option like `option` that the short help shows."""
    return option(*names, in_short_help=True, **settings)


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


def also(
    *, excludes: tuple[str, ...] = (), no_effect: tuple[NoEffect, ...] = (), in_short_help: bool = False
) -> Mapping[str, Any]:
    """Return a command's additional declarations for a shared option, for `Annotated`."""
    return {"excludes": excludes, "no_effect": no_effect, "in_short_help": in_short_help}


Group = TypeVar("Group")


@dataclass_transform(frozen_default=True, kw_only_default=True, eq_default=False)
def option_group(title: str = "", *, after: str = "") -> Callable[[type[Group]], type[Group]]:
    """Make a class a group of options. The help lists the group under `title`, or without a title among other options.

    `after` is for a group that a feature adds: the name of the command's group that it follows.

    For a type checker, the class is a frozen dataclass. Creating a real dataclass would make each command start 0.3 ms
    later for each group.
    """

    def make(group: type[Group]) -> type[Group]:
        group.__title__, group.__after__ = title, after  # type: ignore[attr-defined]
        group.__init__ = _set_options  # type: ignore[method-assign]
        return group

    return make


def _set_options(self: object, **values: Any) -> None:
    self.__dict__.update(values)


class Added(tuple[Any, ...]):
    """The groups of options that features add to a command, as its parameter."""

    __slots__ = ()


def command(function: Callable[..., int]) -> Callable[..., int]:
    """Return a function that Typer can read. Its parameters are the options in the groups that `function` takes.

    A parameter of type `Added` takes the features' option groups. Contradictory options raise UsageError before
    `function` is called. The attribute `declared` of the result maps the parameters to their declarations.
    """
    parameters: list[inspect.Parameter] = []
    declared: dict[str, Declaration] = {}
    groups: dict[str, tuple[Any, Mapping[str, Any]]] = {}

    def add(name: str, hint: Any, default: Any, title: str = "") -> None:
        if hint is not typer.Context:
            declared[name] = _declaration_of(hint)._replace(title=title)
        parameters.append(inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=hint))

    hints: dict[str, Any] = get_type_hints(function, include_extras=True)
    takers = [name for name, hint in hints.items() if hint is Added]
    added = {group.__name__: group for group in _added_groups(function.__name__)}
    for name, hint, default in _in_order(inspect.signature(function).parameters, hints, added):
        if (title := getattr(hint, "__title__", None)) is not None:
            groups[name] = (hint, get_type_hints(hint, include_extras=True))
            for field, own_hint in groups[name][1].items():
                add(field, own_hint, getattr(hint, field, inspect.Parameter.empty), title)
        else:
            add(name, hint, default)

    own_defaults = {parameter.name: parameter.default for parameter in parameters}

    @functools.wraps(function)
    def run(**values: Any) -> int:
        values |= {name: own_defaults[name] for name in refuse_declared(values["ctx"], declared)}
        made = {
            name: group(**{field: values.pop(field) for field in fields}) for name, (group, fields) in groups.items()
        }
        made |= {taker: Added([made.pop(name) for name in added]) for taker in takers}
        return function(**values, **made)

    run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    run.__annotations__ = {}  # typer would evaluate the annotations a second time
    run.declared = declared  # type: ignore[attr-defined]
    return run


def _added_groups(function: str) -> Iterator[Any]:
    """Yield the groups of options that features add to a command, in the order of the features."""
    for feature in features().values():
        for path in feature.options.get(function.replace("_", "-"), ()):
            yield load(path)


def _in_order(
    parameters: Mapping[str, inspect.Parameter], hints: Mapping[str, Any], added: Mapping[str, Any]
) -> Iterator[tuple[str, Any, Any]]:
    """Yield name, type and default of each parameter, and each added group after the group that it follows."""
    for name, parameter in parameters.items():
        if hints[name] is not Added:
            yield name, hints[name], parameter.default
        for key, group in added.items():
            if group.__after__ == getattr(hints[name], "__name__", ""):
                yield key, group, None


def _declaration_of(hint: Any) -> Declaration:
    _, info, *more = get_args(hint)
    declaration: Declaration = info.declared
    for rules in more:
        declaration = declaration._replace(
            excludes=(*declaration.excludes, *rules["excludes"]),
            no_effect=(*declaration.no_effect, *rules["no_effect"]),
            in_short_help=declaration.in_short_help or rules["in_short_help"],
        )
    return declaration


def refuse_contradictions(
    *exclusive: Mapping[str, bool],
    stdin: Iterable[tuple[str, str | None]] = (),
    pointless: Mapping[str, Mapping[str, bool]] | None = None,
) -> None:
    """Raise UsageError for options that contradict each other.

    At most one option of each `exclusive` group may be set. `stdin` contains inputs with their names, of which only one
    may be `-`. `pointless` maps a reason to the options without effect for that reason. If the reason ends with
    `without OTHER`, the options need the option OTHER. Each option is mapped to whether it is set.
    """
    for group in exclusive:
        given = [name for name, is_given in group.items() if is_given]
        if len(given) > 1:
            raise UsageError(_only_one(given), hint=f"Leave out {' or '.join(given)}.")
    readers = [what for what, name in stdin if name == "-"]
    if len(readers) > 1:
        raise UsageError(
            _sentence(f"{_listed(readers[:2])} cannot both use stdin."), hint="Pass one of them as a file."
        )
    for reason, group in (pointless or {}).items():
        for name, is_given in group.items():
            if is_given:
                raise UsageError(_sentence(f"{reason}, so {name} has no effect."), hint=_leave_out(name, reason))


def refuse_declared(ctx: typer.Context, declared: Mapping[str, Declaration]) -> set[str]:
    """Raise UsageError for options that contradict each other. `declared` contains the declarations by parameter.

    Returns the parameters whose default, from a file or a variable, another option overrides.
    """
    parameters: list[Any] = ctx.command.params
    given = {declared[each.name].name: each for each in parameters if _has_effect(ctx, each)}
    readers, pointless, yielding = list[str](), defaultdict[str, dict[str, bool]](dict), set[str]()
    for name, parameter in given.items():
        declaration, value = declared[parameter.name], ctx.params[parameter.name]
        texts = value if isinstance(value, list | tuple) else (value,)
        readers += [what for text in texts if (what := _read_from_stdin(declaration, str(text)))]
        for rule in declaration.no_effect:
            is_silenced = rule.is_beside(given)
            if rule.lacks(given) or (is_silenced and (rule.defaults_count or _source(ctx, parameter) == "COMMANDLINE")):
                pointless[rule.sentence][name] = True
            elif is_silenced:
                yielding.add(parameter.name)
    refuse_contradictions(
        *({each: each in given for each in (name, *declared[given[name].name].excludes)} for name in given),
        stdin=[(what, "-") for what in readers],
        pointless=pointless,
    )
    return yielding


def _read_from_stdin(declaration: Declaration, text: str) -> str:
    if callable(declaration.stdin):
        return declaration.stdin(text)
    return declaration.stdin if text.partition("#")[0] == "-" else ""


def _has_effect(ctx: typer.Context, parameter: Any) -> bool:
    """Return whether a value differs from its default. A switch that is on by default counts on the command line."""
    if parameter.default is True:
        return _source(ctx, parameter) == "COMMANDLINE"
    is_default = _source(ctx, parameter) == "DEFAULT"
    return not is_default and ctx.params[parameter.name] not in (None, [], (), parameter.default)


def is_typed(ctx: typer.Context, name: str) -> bool:
    """Return whether the command line sets the option of this parameter. A file or a variable doesn't count."""
    source = ctx.get_parameter_source(name)
    return source is not None and source.name == "COMMANDLINE"


def _source(ctx: typer.Context, parameter: Any) -> str:
    source = ctx.get_parameter_source(parameter.name)
    return "" if source is None else source.name


def _leave_out(name: str, reason: str) -> str:
    needed = reason.partition(" without ")[2]
    return f"Add {needed}, or leave out {name}." if needed else f"Leave out {name}."


def _sentence(text: str) -> str:
    """Return the text with a capital letter. Names of inputs, such as `the secret`, start with a lowercase letter."""
    return text[0].upper() + text[1:]


def _only_one(names: list[str]) -> str:
    if len(names) == 2:  # noqa: PLR2004 - a pair
        return f"Use either {names[0]} or {names[1]}, not both."
    return f"Use only one of {_listed(names)}."


def _listed(names: Sequence[str], word: str = "and") -> str:
    return " ".join((", ".join(names[:-1]), word, names[-1])) if len(names) > 1 else names[0]
