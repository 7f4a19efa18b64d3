"""A response to the agent's request, as `requests` shows it to the agent."""

from __future__ import annotations

import json
import re
from contextlib import suppress
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

from port_hook_cli.invocations.models import Headers

_CHARSET = re.compile(r"charset\s*=\s*[\"']?([^\"';\s]+)", re.IGNORECASE)
_FIRST_ERROR, _FIRST_SERVER_ERROR, _AFTER_ERRORS = 400, 500, 600


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentResponse:
    """A status, header fields and a body; or `failure`, the exception without a response. `name` is shown to users."""

    name: str
    status: int = 0
    headers: Headers = field(default_factory=Headers)
    body: bytes = field(default=b"", repr=False)
    failure: str = ""

    @property
    def is_ok(self) -> bool:
        """Whether `raise_for_status` raises nothing. A redirect without a location is fine, too."""
        return not self.failure and not _FIRST_ERROR <= self.status < _AFTER_ERRORS

    @property
    def http_error(self) -> str:
        """The exception of `raise_for_status`, or ""."""
        if self.is_ok or self.failure:
            return ""
        side = "Client" if self.status < _FIRST_SERVER_ERROR else "Server"
        return f"HTTPError: {self.status} {side} Error: {_phrase(self.status)}".rstrip(": ")

    @property
    def text(self) -> str:
        """The body as text. Without a charset, `requests` guesses one; port-hook uses UTF-8."""
        try:
            return self.body.decode(self._encoding or "utf-8", "replace")
        except LookupError:
            return self.body.decode("utf-8", "replace")

    @property
    def _encoding(self) -> str | None:
        """The declared encoding (`get_encoding_from_headers`)."""
        kind = self.headers.get("content-type") or ""
        if charset := _CHARSET.search(kind):
            return charset[1]
        return "iso-8859-1" if "text" in kind else "utf-8" if "application/json" in kind else None

    @property
    def content(self) -> Any:
        """The body as JSON, or as text if it is not JSON (`get_response_body`)."""
        document = self._json()
        return self.text if document is None else document[0]

    def document(self) -> dict[str, Any]:
        """Return the response as the expressions of `report` see it (`response_to_dict`)."""
        fields: dict[str, str] = {}
        for name, value in self.headers.items:
            known = next((key for key in fields if key.lower() == name.lower()), name)
            fields[known] = f"{fields[known]}, {value}" if known in fields else value
        found = self._json()
        return {
            "statusCode": self.status,
            "headers": fields,
            "text": self.text,
            "json": None if found is None else found[0],
        }

    def _json(self) -> tuple[Any] | None:
        """Return the body's JSON in a tuple, or None."""
        try:
            return (json.loads(self._json_text()),)
        except (ValueError, RecursionError):
            return None

    def _json_text(self) -> str:
        """Return the text that is read as JSON; without a declared encoding, it is found from the first bytes."""
        if self._encoding is None and self.body:
            with suppress(UnicodeDecodeError):
                return self.body.decode(json.detect_encoding(self.body))
        return self.text


def default_responses() -> tuple[AgentResponse, ...]:
    """Return the responses that a prediction covers by default."""
    kind = Headers((("Content-Type", "application/json"),))
    return (
        AgentResponse(name="200", status=200, headers=kind, body=b'{"ok": true}'),
        AgentResponse(name="400", status=400, headers=kind, body=b'{"message": "bad request"}'),
        AgentResponse(name="refused", failure="ConnectionError: the connection was refused"),
        AgentResponse(name="timeout", failure="ReadTimeout: no response within WEBHOOK_INVOKER_TIMEOUT (30 s)"),
    )


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return ""
