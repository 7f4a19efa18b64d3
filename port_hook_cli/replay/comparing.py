"""Compares the recorded response of a capture with the response to its replay.

This module is pure.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import field
from typing import Any

from port_hook_cli.captures.comparison import Change, Ignoring, JsonBody, change_lines, compare_bodies, compare_headers
from port_hook_cli.captures.database.rows import RESPONSE_LIMIT
from port_hook_cli.frozen import frozen
from port_hook_cli.invocations.headers import mask_headers
from port_hook_cli.invocations.models import Delivery
from port_hook_cli.text.safe import brief
from port_hook_cli.text.styled import Styled

# These headers show when a response was sent and how it is framed, not what it contains.
NEVER_COMPARED = ("age", "connection", "content-length", "date", "keep-alive", "transfer-encoding")


@frozen(kw_only=True)
class ResponseComparison:
    """How a response differs from the recorded response. A status is None if there is no response.

    `error` explains why the replay got no response. Without `is_complete`, the body has more than 500 changes, some of
    which may be ignored.
    """

    recorded: int | None
    status: int | None
    error: str = ""
    body: list[Change] = field(default_factory=list)
    headers: list[Change] = field(default_factory=list)
    is_complete: bool = True

    @property
    def is_same(self) -> bool:
        """Whether the responses are the same, apart from ignored differences."""
        return self.recorded == self.status and self.is_complete and not self.body and not self.headers


def compare_responses(recorded: Delivery, found: Delivery, ignoring: Ignoring) -> ResponseComparison:
    """Return how `found` differs from `recorded`. If either response is missing, only the statuses are compared."""
    if recorded.status is None or found.status is None:
        return ResponseComparison(recorded=recorded.status, status=found.status, error=found.error or "")
    # The store saves only the beginning of a long body.
    content = found.body[:RESPONSE_LIMIT] if len(recorded.body) == RESPONSE_LIMIT else found.body
    bodies = compare_bodies(JsonBody.read(recorded.body), JsonBody.read(content))
    headers = compare_headers(mask_headers(recorded.headers), mask_headers(found.headers))
    return ResponseComparison(
        recorded=recorded.status,
        status=found.status,
        body=ignoring.other_body_changes(bodies.changes),
        headers=ignoring.other_headers(headers),
        is_complete=bodies.is_complete,
    )


def comparison_fields(comparison: ResponseComparison) -> dict[str, Any]:
    """Return the fields that `replay --compare --json` adds to the record of a delivery."""
    return {
        "recorded_status": comparison.recorded,
        "same": comparison.is_same,
        "body": comparison.body,
        "headers": comparison.headers,
    }


def comparison_lines(source: str, comparison: ResponseComparison) -> Iterator[Styled]:
    """Yield the lines about one capture: the outcome, such as `500 → 200`, then the differences."""
    before, after = (
        "no response" if status is None else str(status) for status in (comparison.recorded, comparison.status)
    )
    outcome = ("same as recorded", "green") if comparison.is_same else ("different", "yellow")
    statuses = before if before == after else f"{before} → {after}"
    yield Styled.assemble((brief(source), "bold"), "  ", statuses, "  ", outcome)
    if comparison.error:
        yield Styled.assemble("  ", brief(comparison.error))
    yield from change_lines(comparison.body, is_json=True)
    yield from change_lines([{**change, "path": f"header:{change['path']}"} for change in comparison.headers])


def summary_line(comparisons: list[bool]) -> str:
    """Return a line with the number of responses that are the same as the recorded responses."""
    same = sum(comparisons)
    return f"{len(comparisons)} sent: {same} as recorded, {len(comparisons) - same} different."
