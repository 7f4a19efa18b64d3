"""HTTP statuses: their reason phrases, and what `--expect-status` accepts: one status (`200`) or a class (`2xx`)."""

from __future__ import annotations

import re

from port_hook_cli.errors import UsageError
from port_hook_cli.frozen import frozen

_FORM = r"(?i)[1-5](?:xx|[0-9]{2})"


@frozen
class Expectation:
    """The statuses from `lowest` to `highest`, inclusive. `text` is what the user wrote."""

    text: str
    lowest: int
    highest: int

    @classmethod
    def parse(cls, text: str) -> Expectation:
        """Return the statuses that `200` or `2xx` means. Raises UsageError for other text."""
        match = re.fullmatch(_FORM, text.strip())
        if match is None:
            raise UsageError(
                f"{text!r} is not an HTTP status.", hint="Write a status such as 200 or a class such as 2xx."
            )
        word = match.group().lower()
        return cls(word, int(word.replace("x", "0")), int(word.replace("x", "9")))

    def met_by(self, status: int | None) -> bool:
        """Return whether `status` is one of them. None, which means no response, is not."""
        return status is not None and self.lowest <= status <= self.highest


def format_status(status: int) -> str:
    """Return a status with its reason phrase."""
    return f"{status} {reason_phrase(status)}".rstrip()


def reason_phrase(status: int) -> str:
    """Return the reason phrase of a status, "" for an unknown one."""
    from http import HTTPStatus  # takes a millisecond, and commands that expect a status need no phrase

    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return ""
