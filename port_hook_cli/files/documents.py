"""JSON and YAML documents that a user names, and `.env` files of secrets."""

from __future__ import annotations

from typing import Any

from port_hook_cli.errors import UsageError
from port_hook_cli.files.dotenv import parse_dotenv
from port_hook_cli.files.templates import read_yaml
from port_hook_cli.javascript.stringify import NotJson
from port_hook_cli.javascript.values import read_json


def read_document(content: bytes, *, name: str) -> Any:
    """Return the JSON or YAML document in `content`; raises UsageError that says where it is wrong."""
    text = _text(content, name)
    begins_as_json = text.lstrip()[:1] in {"{", "["}
    try:
        return read_json(text)
    except NotJson as error:
        if begins_as_json:
            raise UsageError(f"{name} is not JSON: {error.fault}.", hint="Fix the JSON.") from error
    try:
        return read_yaml(text)
    except NotJson as error:
        raise UsageError(
            f"{name} is neither JSON nor YAML: {error.fault}.",
            hint="Give a JSON or YAML file. In YAML, a value that begins with {{ needs quotes.",
        ) from error


def read_secrets_file(content: bytes, *, name: str) -> Any:
    """Return the JSON document in `content`, or the variables of a `.env` file; raises UsageError."""
    text = _text(content, name)
    if text.lstrip()[:1] in {"{", "["}:
        return read_document(content, name=name)
    values, bad_lines = parse_dotenv(text)
    if bad_lines:
        lines = ", ".join(map(str, bad_lines))
        raise UsageError(f"{name} is neither JSON nor a .env file: line {lines}.", hint="Write NAME=VALUE lines.")
    return values


def _text(content: bytes, name: str) -> str:
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UsageError(f"{name} is not UTF-8 text: {error}.", hint="Save it as UTF-8.") from error
