"""HTTP statuses: their reason phrases, and the values of `--expect-status`, such as `200` or the class `2xx`."""

from __future__ import annotations

import re

from port_hook_cli.errors import UsageError
from port_hook_cli.frozen import frozen

_FORM = r"(?i)[1-5](?:xx|[0-9]{2})"


@frozen
class Expectation:
    """The statuses from `lowest` to `highest`, inclusive. `text` is the user's own text."""

    text: str
    lowest: int
    highest: int

    @classmethod
    def parse(cls, text: str) -> Expectation:
        """Return the expectation for text such as `200` or `2xx`. Raises UsageError for any other text."""
        match = re.fullmatch(_FORM, text.strip())
        if match is None:
            raise UsageError(
                f"{text!r} is not an HTTP status.", hint="Write a status such as 200 or a class such as 2xx."
            )
        word = match.group().lower()
        return cls(word, int(word.replace("x", "0")), int(word.replace("x", "9")))

    def met_by(self, status: int | None) -> bool:
        """Return whether `status` is in the range. None means no response and is never in the range."""
        return status is not None and self.lowest <= status <= self.highest


def format_status(status: int) -> str:
    """Return a status with its reason phrase."""
    return f"{status} {reason_phrase(status)}".rstrip()


def reason_phrase(status: int) -> str:
    """Return the reason phrase of a status, or "" for an unknown status."""
    from http import HTTPStatus  # the import takes a millisecond, and commands that expect a status don't need a phrase

    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return ""
