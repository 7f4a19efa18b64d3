"""The result of one check. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum, unique
from typing import Any


@unique
class CheckState(StrEnum):
    """How a check ended. Something optional that is not set up, and a check that could not be made, are skipped."""

    OK = "ok"
    SKIPPED = "skipped"
    WARNING = "warning"
    PROBLEM = "problem"


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckResult:
    """What a check found: a sentence, what to do next (or ""), and values for programs. None of it is a secret.

    `subject` is what a check of several things is about, such as the name of a tunnel provider; else "".
    """

    check: str
    state: CheckState
    message: str
    subject: str = ""
    next_step: str = ""
    details: Mapping[str, Any] = field(default_factory=dict)


def has_problem(results: Iterable[CheckResult]) -> bool:
    """Return whether one of the checks found a problem."""
    return any(result.state is CheckState.PROBLEM for result in results)
