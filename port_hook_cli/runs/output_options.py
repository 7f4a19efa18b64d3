"""Read the output of a node run from options: the whole output, or one value at a path."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from port_hook_cli.errors import SourceError, UsageError
from port_hook_cli.javascript.paths import pointer_tokens
from port_hook_cli.javascript.stringify import NotJson
from port_hook_cli.javascript.values import read_json

_EXAMPLE = 'Write it like --output \'{"url": "https://…"}\', --output @FILE, or --output url=\'"https://…"\'.'


def read_output(texts: Iterable[str], read_file: Callable[[str], str] = str) -> dict[str, Any] | None:
    """Return the output from `JSON` and `path=JSON` texts, merged in order, or None if there are no texts.

    `read_file` returns the content of the file for `@FILE`, and any other text unchanged. Raises UsageError for any
    other text, and SourceError for a file with any other content.
    """
    output: dict[str, Any] | None = None
    for given in texts:
        text = read_file(given)
        try:
            output = _merged(output or {}, text)
        except UsageError as error:
            if text == given:
                raise
            raise SourceError(f"{given[1:]}: {error.message}", hint=error.hint) from error
    return output


def _merged(output: dict[str, Any], text: str) -> dict[str, Any]:
    return {**output, **_object(text)} if text.lstrip()[:1] in {"{", "["} else _placed(output, text)


def set_path(value: Any, keys: list[str], found: Any) -> Any:
    """Return `value` with `found` at the path `keys`. If a value on the path is not an object, it is replaced."""
    if not keys:
        return found
    known = value if isinstance(value, Mapping) else {}
    return {**known, keys[0]: set_path(known.get(keys[0]), keys[1:], found)}


def _object(text: str) -> dict[str, Any]:
    found = _json(text, "--output")
    if not isinstance(found, dict):
        raise UsageError("--output is not a JSON object.", hint=_EXAMPLE)
    return found


def _placed(output: dict[str, Any], text: str) -> dict[str, Any]:
    path, equals, value = text.partition("=")
    keys = pointer_tokens(path) if path.startswith("/") else path.split(".")
    if not equals or not all(keys):
        raise UsageError("--output is neither a JSON object nor PATH=JSON.", hint=_EXAMPLE)
    placed: dict[str, Any] = set_path(output, keys, _json(value, f"--output {path}"))
    return placed


def _json(text: str, option: str) -> Any:
    try:
        return read_json(text)
    except NotJson as error:
        raise UsageError(f"{option}: {error}.", hint=_EXAMPLE) from error
