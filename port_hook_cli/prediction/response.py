"""A response to the agent's request, in the format that `requests` shows to the agent, and how the agent quotes it.

The latest agent masks secrets when it quotes a failed response in a run's log and summary (`sanitize_for_log` in the
agent's `utils.py`, and the tests of this function). The agent of May 2026 (4732c34) quotes the text unchanged.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import field
from functools import partial
from typing import Any

from port_hook_cli.frozen import frozen
from port_hook_cli.invocations.headers import Headers
from port_hook_cli.invocations.statuses import reason_phrase
from port_hook_cli.prediction.wire import AgentFault
from port_hook_cli.text.secret import Secret

_CHARSET = re.compile(r"charset\s*=\s*[\"']?([^\"';\s]+)", re.IGNORECASE)
_FIRST_ERROR, _FIRST_SERVER_ERROR, _AFTER_ERRORS = 400, 500, 600


@frozen(kw_only=True)
class AgentResponse:
    """A response with status, headers and body. Without a response, `failure` is the exception. Users see `name`."""

    name: str
    status: int = 0
    headers: Headers = field(default_factory=Headers)
    body: bytes = field(default=b"", repr=False)
    failure: str = ""

    @property
    def is_ok(self) -> bool:
        """Whether `raise_for_status` accepts the response. The method also accepts a redirect without a location."""
        return not self.failure and not _FIRST_ERROR <= self.status < _AFTER_ERRORS

    @property
    def http_error(self) -> str:
        """The exception that `raise_for_status` raises, or ""."""
        if self.is_ok or self.failure:
            return ""
        side = "Client" if self.status < _FIRST_SERVER_ERROR else "Server"
        return f"HTTPError: {self.status} {side} Error: {reason_phrase(self.status)}".rstrip(": ")

    @property
    def text(self) -> str:
        """The body as text. Without a charset, `requests` guesses the encoding. port-hook then uses UTF-8."""
        try:
            return self.body.decode(self._encoding or "utf-8", "replace")
        except LookupError:
            return self.body.decode("utf-8", "replace")

    @property
    def _encoding(self) -> str | None:
        """The declared encoding of the body (`get_encoding_from_headers`)."""
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
        """Return the body's JSON value in a tuple, or None if the body is not JSON."""
        try:
            return (json.loads(self._json_text()),)
        except (ValueError, RecursionError):
            return None

    def _json_text(self) -> str:
        """Return the text to parse as JSON.

        Without a declared encoding, the first bytes of the body determine the encoding.
        """
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


REDACTED = "***REDACTED***"
_DEEPEST = 20
# Keys are compared in lower case, with `_` instead of `-`.
_SECRET_KEYS = frozenset({
    "accesstoken", "access_token", "apikey", "api_key", "authorization", "clientid", "clientsecret", "client_id",
    "client_secret", "cookie", "credential", "credentials", "id_token", "passwd", "password", "private_key",
    "refresh_token", "secret", "set_cookie", "token", "x_api_key", "x_port_signature",
})  # fmt: skip
_SECRET_ENDS = ("_api_key", "_password", "_secret", "_token")
_BEARER = re.compile(r"(bearer\s+)[^\s,;]+", re.IGNORECASE)
# This pattern matches words with dots between them. The agent's own pattern for a JSON Web Token takes quadratic time.
_DOTTED = re.compile(r"(?<![A-Za-z0-9_-])[A-Za-z0-9_-]++(?:\.[A-Za-z0-9_-]++){2,}+")
_JWT_START = "eyJ"


def quoted(text: str, known: Sequence[Secret]) -> str:
    """Return the text of a response with its secrets masked. Python serializes JSON again, so its format changes.

    `known` are the client ID and the client secret. Raises AgentFault if the agent raises an exception.
    """
    values = sorted((secret.reveal() for secret in known), key=len, reverse=True)
    try:
        return _text(text, [value for value in values if value], 0)
    except (RecursionError, ValueError) as error:
        raise AgentFault(f"{type(error).__name__}: {error}") from None


def _text(text: str, known: Sequence[str], depth: int) -> str:
    if text.strip().startswith(("{", "[")):
        try:
            document = json.loads(text)
        except json.JSONDecodeError:
            pass
        else:
            return json.dumps(_masked(document, known, depth + 1))
    for value in known:
        text = text.replace(value, REDACTED)
    text = _BEARER.sub(rf"\g<1>{REDACTED}", text)
    return _DOTTED.sub(_without_tokens, text)


def _masked(value: Any, known: Sequence[str], depth: int) -> Any:
    if depth > _DEEPEST:
        return REDACTED
    inner = partial(_masked, known=known, depth=depth + 1)
    if isinstance(value, str):
        return _text(value, known, depth)
    if isinstance(value, dict):
        return {name: REDACTED if _is_secret(name) else inner(element) for name, element in value.items()}
    return [inner(element) for element in value] if isinstance(value, list) else value


def _is_secret(name: str) -> bool:
    name = name.lower().replace("-", "_")
    return name in _SECRET_KEYS or name.endswith(_SECRET_ENDS)


def _without_tokens(found: re.Match[str]) -> str:
    """Return dotted words with their JSON Web Tokens masked.

    A token has two parts that begin with `eyJ`, and any third part.
    """
    parts = found[0].split(".")
    kept: list[str] = []
    place = 0
    while place < len(parts):
        start = parts[place].find(_JWT_START)
        is_token = (
            place + 2 < len(parts)
            and 0 <= start < len(parts[place]) - len(_JWT_START)
            and parts[place + 1].startswith(_JWT_START)
            and parts[place + 1] != _JWT_START
        )
        kept.append(parts[place][:start] + REDACTED if is_token else parts[place])
        place += 3 if is_token else 1
    return ".".join(kept)
