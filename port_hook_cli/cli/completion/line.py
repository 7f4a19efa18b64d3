"""Finds the option or argument to which the next word belongs, and decides which words are safe to offer."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from port_hook_cli.cli.completion.words import COMMANDS, ROOT_OPTIONS

COMMAND = "COMMAND"
"""The place where a command's name belongs."""

_HELP = "help"
_COMMAND_TO_RUN = "command_to_run"  # the argument for all words after `--`


class OptionWord(NamedTuple):
    """An option. `value` is the placeholder for its value in the help, and is empty for a flag.

    `completes` is the name of the method of `Surroundings` that yields the values.
    """

    names: tuple[str, ...]
    value: str
    is_repeatable: bool
    choices: tuple[str, ...]
    help: str
    completes: str = ""


class ArgumentWord(NamedTuple):
    """An argument of a command."""

    name: str
    value: str
    is_repeatable: bool
    help: str
    completes: str = ""


# A dataclass would add a tenth to the time of a completion.
class IncompleteLine(NamedTuple):
    """A command line whose last word, `start`, is being typed.

    `place` is what this word belongs to: COMMAND, an option (`--store`), an argument (`capture`), or nothing. `given`
    contains the options before this word, with their values.
    """

    command: str
    place: str
    start: str
    given: Mapping[str, str]


def options_of(command: str) -> list[OptionWord]:
    """Return the options of a command. An empty name means port-hook itself."""
    rows = COMMANDS[command][2] if command else ROOT_OPTIONS
    return [OptionWord(*row) for row in rows]


def arguments_of(command: str) -> list[ArgumentWord]:
    """Return the arguments of a command."""
    return [ArgumentWord(*row) for row in COMMANDS[command][1]] if command else []


def read_line(words: Sequence[str], start: str) -> IncompleteLine:
    """Return the incomplete line with the place of `start`.

    `words` are the words before it, without the program's name.
    """
    root = _Words(options_of(""))
    for number, word in enumerate(words):
        if not root.take(word):
            return _read_command(word, words[number + 1 :], start)
    place, start = root.place_of(start)
    return IncompleteLine(command="", place=place or COMMAND, start=start, given=root.given)


def _read_command(command: str, words: Sequence[str], start: str) -> IncompleteLine:
    if command == _HELP:
        return IncompleteLine(command="", place="" if words else COMMAND, start=start, given={})
    if command not in COMMANDS:
        return IncompleteLine(command="", place="", start=start, given={})
    inside = _Words(options_of(command))
    positional = sum(not inside.take(word) for word in words)
    place, start = inside.place_of(start)
    if not place:
        runs = inside.only_others and _COMMAND_TO_RUN in (each.name for each in arguments_of(command))
        place = _COMMAND_TO_RUN if runs else _argument_at(positional, command)
    return IncompleteLine(command=command, place=place, start=start, given=inside.given)


def _argument_at(number: int, command: str) -> str:
    arguments = arguments_of(command)
    if number < len(arguments):
        return arguments[number].name
    return arguments[-1].name if arguments and arguments[-1].is_repeatable else ""


class _Words:
    """Reads words one by one, and distinguishes options and their values from other words."""

    def __init__(self, options: Sequence[OptionWord]) -> None:
        self._by_name = {name: option for option in options for name in option.names}
        self.given: dict[str, str] = {}
        self._waiting = ""  # the option whose value comes next
        self.only_others = False  # whether `--` was read

    def take(self, word: str) -> bool:
        """Read one word, and return whether it belongs to an option."""
        if self._waiting:
            self.given[self._waiting], self._waiting = word, ""
            return True
        if self.only_others or word in {"", "-"} or not word.startswith("-"):
            return False
        if word == "--":
            self.only_others = True
            return True
        name, equals, value = word.partition("=")
        option = self._by_name.get(name)
        if option is not None:
            self.given[option.names[0]] = value
            self._waiting = option.names[0] if option.value and not equals else ""
        return True

    def place_of(self, start: str) -> tuple[str, str]:
        """Return the place of an incomplete word, and the part of the word that belongs there.

        The place is an option if the word is its value, and `-` if the word is an option's name.
        """
        if self._waiting:
            return self._waiting, start
        if self.only_others or not start.startswith("-"):
            return "", start
        name, equals, value = start.partition("=")
        if equals and name in self._by_name:
            return self._by_name[name].names[0], value
        return "-", start


# Someone else may have written a store or an action file. So completion offers only words that every shell reads as one
# plain word, and descriptions without characters that a shell or a terminal could interpret.
_WORD = re.compile(r"[A-Za-z0-9_.][A-Za-z0-9_.#@/+-]{0,199}=?")
_NOT_PLAIN = re.compile(r"[^A-Za-z0-9 _.,:/#@+=-]+")
_MAX_DESCRIPTION = 72


class Candidate(NamedTuple):
    """A word that completes the line, and its description. No space follows a word that ends in `=`."""

    word: str
    description: str = ""


def is_word(text: object) -> bool:
    """Return whether every shell reads an untrusted value as one plain word."""
    return isinstance(text, str) and _WORD.fullmatch(text) is not None


def plain_description(text: str) -> str:
    """Return an untrusted text, shortened and without characters that a shell or a terminal could interpret."""
    return _NOT_PLAIN.sub("?", text[: 2 * _MAX_DESCRIPTION])[:_MAX_DESCRIPTION].strip()


def starting_with(candidates: Iterable[Candidate], start: str) -> Iterator[Candidate]:
    """Yield the candidates that begin with `start`, each word once.

    If `start` ends in `=`, leave out `start` itself.
    """
    seen = {start} if start.endswith("=") else set()
    for candidate in candidates:
        if candidate.word.startswith(start) and candidate.word not in seen:
            seen.add(candidate.word)
            yield candidate
