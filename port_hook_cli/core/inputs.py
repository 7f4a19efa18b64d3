"""The inputs of a run: as they are given, as an action declares them, and what is wrong with them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from port_hook_cli.errors import UsageError


@dataclass(frozen=True, slots=True)
class Violation:
    """What is wrong with one input, in words that go on from its name. No value of an input is ever quoted."""

    input: str
    words: str


class InvalidInputs(UsageError):
    """Inputs that Port would refuse; `violations` are all of them."""

    def __init__(self, action: str, violations: Sequence[Violation]) -> None:
        lines = [f"  {each.input} {each.words}" for each in violations]
        super().__init__(
            "\n".join([f"Port would refuse these inputs of {action}:", *lines]),
            hint="Give them with --input NAME=VALUE or --inputs FILE.",
        )
        self.violations = tuple(violations)
