"""What is declared about an option: which files may set it, and which options contradict it."""

from __future__ import annotations

import math
from collections.abc import Collection
from typing import NamedTuple


class Trust(NamedTuple):
    """The values of an option that files in the current directory may set: numbers from `least` to `most`.

    Someone else may have written these files, so an option is trusted only if none of its values can name a file, host,
    URL, target, tunnel, store, secret or organization, determine the content of a request or response, turn off a check
    or a question, hide or delete anything, or loosen a limit. A switch can only be turned on. A switch that is on by
    default, such as `--in-order`, can also be turned off. `is_handler` is for options that name a handler: a project's
    `port-hook.toml` may name handlers on this machine.
    """

    least: float = 1.0
    most: float = 0.0
    is_handler: bool = False

    @property
    def allows_some(self) -> bool:
        """Whether a file in the current directory may set a value, apart from a handler."""
        return self.least <= self.most

    def allows(self, value: str) -> bool:
        """Return whether a file in the current directory may set this value."""
        if self == ANY_VALUE or not self.allows_some:
            return self.allows_some
        try:
            return self.least <= _number(value) <= self.most
        except ValueError:
            return True  # typer reports it


NEVER = Trust()
ANY_VALUE = Trust(-math.inf, math.inf)
HANDLER_HERE = Trust(is_handler=True)


def _number(value: str) -> float:
    largest = value.rpartition("..")[2]  # of a range, as in `--delay 2s..5s`
    try:
        return float(largest.strip().removesuffix("s"))
    except ValueError:
        from port_hook_cli.http.limits import parse_size

        return float(parse_size(value))


class NoEffect(NamedTuple):
    """Why an option has no effect: none of the options `without` is given, or one of the options `beside` is.

    Beside another option, only the command line counts: a default never contradicts it.
    """

    reason: str
    without: tuple[str, ...] = ()
    beside: tuple[str, ...] = ()

    def applies(self, given: Collection[str], *, is_on_command_line: bool) -> bool:
        """Return whether an option has no effect if these options are `given`."""
        is_lacking = bool(self.without) and not any(name in given for name in self.without)
        return is_lacking or (is_on_command_line and any(name in given for name in self.beside))

    @property
    def sentence(self) -> str:
        """The reason, with the options that are missing."""
        return f"{self.reason} without {' or '.join(self.without)}" if self.without else self.reason


class Declaration(NamedTuple):
    """What is declared about an option or argument, apart from what Typer reads."""

    name: str
    """How messages refer to it: the option's first name, or text such as `a SOURCE` for an argument."""
    trust: Trust = NEVER
    excludes: tuple[str, ...] = ()
    """The options that contradict it. Declare a contradiction at the option that the message names first."""
    no_effect: tuple[NoEffect, ...] = ()
    stdin: str = ""
    """What stdin contains if the value is `-`, such as `the secret`. Only one option of a command may read stdin."""
    completes: str = ""
    """The values that completion offers: the name of a method of `completion.values.Surroundings`."""
    choices: tuple[str, ...] = ()
    """The values that completion offers, if neither the type nor the metavar contains them."""
    may_be_empty: bool = False
    title: str = ""
    """The group in the help, which `command` adds."""
