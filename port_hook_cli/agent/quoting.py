"""How the agent quotes a failed response in a run's log and summary, with secrets masked.

Facts from the newest agent's source (`sanitize_for_log` in `utils.py`) and its tests. The agent of May 2026 (4732c34)
quotes the text unchanged.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from functools import partial
from typing import Any

from port_hook_cli.agent.fault import AgentFault
from port_hook_cli.text.secret import Secret

REDACTED = "***REDACTED***"
_DEEPEST = 20
# Compared in lower case, with `_` for `-`.
_SECRET_KEYS = frozenset({
    "accesstoken", "access_token", "apikey", "api_key", "authorization", "clientid", "clientsecret", "client_id",
    "client_secret", "cookie", "credential", "credentials", "id_token", "passwd", "password", "private_key",
    "refresh_token", "secret", "set_cookie", "token", "x_api_key", "x_port_signature",
})  # fmt: skip
_SECRET_ENDS = ("_api_key", "_password", "_secret", "_token")
_BEARER = re.compile(r"(bearer\s+)[^\s,;]+", re.IGNORECASE)
# Words with dots between them. The agent's own pattern for a JSON Web Token takes quadratic time.
_DOTTED = re.compile(r"(?<![A-Za-z0-9_-])[A-Za-z0-9_-]++(?:\.[A-Za-z0-9_-]++){2,}+")
_JWT_START = "eyJ"


def quoted(text: str, known: Sequence[Secret]) -> str:
    """Return a response's text with secrets masked; JSON in it is written by Python, so its form changes.

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
    """Return dotted words without JSON Web Tokens: two parts that begin with `eyJ`, and any third part."""
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
