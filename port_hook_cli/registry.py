"""What each feature adds to the core, as import paths that are loaded when they are used.

A feature is a module `port_hook_cli.features.NAME` with a `FEATURE`, and its name in `port_hook_cli.features.NAMES`.
The core doesn't import features.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from importlib import import_module
from typing import Any, NamedTuple


class CommandRow(NamedTuple):
    """A command: the function that runs it, as `MODULE:FUNCTION`, and its place in the help.

    `after` is the command before it in its group. A command without `after` comes first. The help only
    names commands without a `group`.
    """

    run: str
    group: str = ""
    after: str = ""
    examples: Sequence[str] = ()


class Feature(NamedTuple):
    """What a feature adds.

    `options` contains groups of options (`cli/option_groups.py`) by the command of the core that gets them. `targets`
    contains a class for other targets of `replay --to`, by the beginning of the target, such as `kafka://`. `python`
    contains the names that the feature adds to `port_hook_cli.api`. port-hook calls `before_commands` with the runtime
    before each command, except the commands in `quiet_for`. `example` is a line of `port-hook --help`: its rank, the
    command line and what it does.
    """

    commands: Mapping[str, CommandRow] = {}
    options: Mapping[str, Sequence[str]] = {}
    targets: Mapping[str, str] = {}
    python: Mapping[str, str] = {}
    before_commands: str = ""
    quiet_for: Sequence[str] = ()
    example: tuple[int, str, str] | None = None


def load(path: str) -> Any:
    """Return the object at `MODULE:NAME`."""
    module, _, name = path.partition(":")
    return getattr(import_module(module), name)


@cache
def features() -> Mapping[str, Feature]:
    """Return the features by name, in the order in which the program uses them."""
    names: Sequence[str] = load("port_hook_cli.features:NAMES")
    return {name: load(f"port_hook_cli.features.{name}:FEATURE") for name in names}
