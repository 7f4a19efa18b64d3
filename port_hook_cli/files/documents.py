"""JSON and YAML documents that a user names, and `.env` files of secrets."""

from __future__ import annotations

from typing import Any

from port_hook_cli.errors import UsageError
from port_hook_cli.files.dotenv import parse_dotenv
from port_hook_cli.files.yaml_documents import load_yaml
from port_hook_cli.javascript.stringify import NotJson
from port_hook_cli.javascript.values import read_json, write_json


def read_template(text: str, *, name: str) -> Any:
    """Return the template in `text`: a JSON or YAML document, else the text itself if it contains double braces.

    Raises UsageError for a text that begins like JSON but is not valid, and for a text that is not a template.
    """
    return _read(text.removeprefix("\ufeff"), name, is_template=True)


def read_data(content: bytes, *, name: str) -> Any:
    """Return the JSON document in `content`; raises UsageError if it is not valid."""
    try:
        return read_json(content.decode("utf-8-sig"))
    except ValueError as error:  # NotJson and UnicodeDecodeError
        fault = error.fault if isinstance(error, NotJson) else "it is not UTF-8 text"
        raise UsageError(f"{name} is not JSON: {fault}.", hint="Give the trigger's data as a JSON document.") from error


def read_yaml(text: str) -> Any:
    """Return a YAML document as JSON; raises NotJson. Timestamps stay text, as JSON has none."""
    import yaml

    try:
        return read_json(write_json(load_yaml(text)))
    except yaml.MarkedYAMLError as error:
        raise NotJson(_place_of(error)) from error
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise NotJson(" ".join(str(error).split())) from error


def _place_of(error: Any) -> str:
    """Return PyYAML's message, with line and column counted from 1, and without PyYAML's name for the text."""
    words = " ".join(str(error.problem or error.context or "it cannot be read").split())
    mark = error.problem_mark or error.context_mark
    return words if mark is None else f"{words} (line {mark.line + 1}, column {mark.column + 1})"


def read_document(content: bytes, *, name: str) -> Any:
    """Return the JSON or YAML document in `content`; raises UsageError that says where it is wrong."""
    return _read(_text(content, name), name, is_template=False)


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


def _read(text: str, name: str, *, is_template: bool) -> Any:
    start = text.lstrip()
    try:
        return read_json(text)
    except NotJson as error:
        if start[:1] in {"{", "["} and not (is_template and start.startswith("{{")):
            raise UsageError(f"{name} is not JSON: {error.fault}.", hint="Fix the JSON.") from error
    try:
        return read_yaml(text)
    except NotJson as error:
        if is_template and "{{" in text:
            return text.removesuffix("\n")
        raise UsageError(
            f"{name} is neither JSON nor YAML: {error.fault}.",
            hint="Give a JSON or YAML file. In YAML, a value that begins with {{ needs quotes.",
        ) from error


def _text(content: bytes, name: str) -> str:
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UsageError(f"{name} is not UTF-8 text: {error}.", hint="Save it as UTF-8.") from error
