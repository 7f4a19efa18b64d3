"""The results of jq expressions: a JSON value, UNDEFINED, or a JqError. This module is pure."""

from __future__ import annotations

from enum import Enum
from typing import Final, Literal

from port_hook_cli.frozen import frozen
from port_hook_cli.text.secret import cut_message


class Undefined(Enum):
    """JavaScript's `undefined`, which is not a JSON value."""

    UNDEFINED = "undefined"


UNDEFINED: Final = Undefined.UNDEFINED


@frozen
class JqError:
    """An expression that failed.

    `kind` shows whether it failed to compile or to run. `message` is the error from jq, up to 256 characters.
    """

    expression: str
    kind: Literal["compile", "run-time"]
    message: str

    @property
    def became_null(self) -> str:
        """A sentence that says why the expression is null. It is untrusted text."""
        return f"{shown_expression(self.expression)} became null: {self.message}"


def shown_expression(expression: str) -> str:
    """Return up to 256 characters of an expression, in double braces."""
    return f"{{{{ {cut_message(expression.strip())} }}}}"
