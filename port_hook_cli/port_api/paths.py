"""Paths of Port's API that contain an identifier. This module is pure."""

from __future__ import annotations

from urllib.parse import quote


def action_path(identifier: str) -> str:
    """Return the API path of an action or automation, with the identifier percent-encoded."""
    return f"/v1/actions/{path_segment(identifier)}"


def path_segment(identifier: str) -> str:
    """Return an identifier, percent-encoded as one segment of an API path."""
    segment = quote(identifier, safe="", errors="replace")
    # The HTTP client would resolve `.` and `..` as relative path segments.
    return segment if segment.strip(".") else segment.replace(".", "%2E")


def workflow_path(identifier: str) -> str:
    """Return the API path of a workflow, with the identifier quoted."""
    return f"/v1/workflows/{path_segment(identifier)}"
