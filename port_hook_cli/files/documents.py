"""Read the JSON and YAML documents that a user passes, and `.env` files with secrets.

A few lines of YAML can expand to millions of values, because an alias can repeat a value that itself has aliases. The
time that PyYAML's scanner needs grows with the square of the number of open brackets, and even simple text takes it
seconds per MiB. So port-hook applies the limits before PyYAML builds a value.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from port_hook_cli.errors import SourceError
from port_hook_cli.files.dotenv import parse_dotenv
from port_hook_cli.javascript.stringify import NotJson
from port_hook_cli.javascript.values import read_json, write_json

MOST_LEVELS = 200
"""The maximum nesting depth of the lists and mappings in a document."""

MAX_YAML = 1024 * 1024
"""The maximum size of a YAML document in characters. JSON is read a hundred times as fast and has no such limit."""

MOST_TOKENS = 100_000
"""The maximum number of PyYAML's tokens in a document: two or three for each key and value."""

MOST_ADDED = 1_000_000
"""The maximum number of characters and values that aliases may add to the text of a document."""

# Longer numbers have no value in JSON, and PyYAML takes long to compute them.
_LONGEST_NUMBER = 1_000
_NUMBERS = frozenset({"tag:yaml.org,2002:int", "tag:yaml.org,2002:float"})


class YamlLimit(ValueError):
    """A YAML document exceeds a limit. The message is a clause, such as `it is nested too deeply`."""


def load_yaml(text: str | bytes, *, only_text: bool = False) -> Any:
    """Return the value of a YAML document, or None for an empty one. Timestamps stay text, because JSON lacks them.

    With `only_text`, every scalar is text. Raises yaml.YAMLError for text that is not exactly one YAML document,
    ValueError for scalars without a value, YamlLimit for a document that exceeds a limit, or RecursionError.
    """
    if len(text) > MAX_YAML:
        raise YamlLimit("it is larger than 1 MiB")
    loader = _loader(only_text)(text)
    try:
        node = loader.get_single_node()
        if node is None:
            return None
        _measure(node, {}, len(text) + MOST_ADDED)
        return loader.construct_document(node)
    finally:
        loader.dispose()


def is_yaml(text: str) -> bool:
    """Return whether `text` is YAML within the nesting limit, with any number of documents.

    Text above the limit of 1 MiB is not read and counts as YAML.
    """
    import yaml

    if len(text) > MAX_YAML:
        return True
    try:
        for _ in yaml.parse(text, _loader(False)):
            pass
    except (yaml.YAMLError, YamlLimit, RecursionError):
        return False
    return True


@lru_cache(maxsize=2)
def _loader(only_text: bool) -> Any:
    """Return PyYAML's loader for plain values, with limits on nested brackets and on tokens."""
    import yaml

    base: Any = yaml.BaseLoader if only_text else yaml.SafeLoader

    class Loader(base):  # type: ignore[misc]
        yaml_implicit_resolvers = {  # noqa: RUF012 - yaml's own attribute
            first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:timestamp"]
            for first, resolvers in base.yaml_implicit_resolvers.items()
        }

        def fetch_more_tokens(self) -> None:
            if self.tokens_taken > MOST_TOKENS:
                raise YamlLimit("it contains too many values")
            super().fetch_more_tokens()

        def fetch_flow_collection_start(self, token_class: Any) -> None:
            if self.flow_level >= MOST_LEVELS:
                raise YamlLimit("it is nested too deeply")
            super().fetch_flow_collection_start(token_class)

    return Loader


def _measure(node: Any, known: dict[int, int], limit: int, level: int = 0) -> int:
    """Return the number of characters and values in `node` after its aliases are expanded. Raises YamlLimit.

    `known` maps the identity of each measured node to its size.
    """
    if level > MOST_LEVELS:
        raise YamlLimit("it is nested too deeply")
    if isinstance(node.value, str):
        if node.tag in _NUMBERS and len(node.value) > _LONGEST_NUMBER:
            raise YamlLimit("it contains a number that is too long")
        return len(node.value) + 1
    if id(node) not in known:
        known[id(node)] = 0  # a value that contains itself is rejected later, when it is written as JSON
        size = 1
        for part in node.value:
            for inner in part if isinstance(part, tuple) else (part,):
                size += _measure(inner, known, limit, level + 1)
            if size > limit:
                raise YamlLimit("it is too large once its aliases are expanded")
        known[id(node)] = size
    return known[id(node)]


def read_template(text: str, *, name: str) -> Any:
    """Return the template in `text`: a JSON or YAML document, or the text itself if it contains double braces.

    Raises UsageError for text that begins like JSON but is invalid, and for text that is not a template.
    """
    return _read(text.removeprefix("\ufeff"), name, is_template=True)


def read_data(content: bytes, *, name: str) -> Any:
    """Return the JSON document in `content`. Raises UsageError for invalid JSON."""
    try:
        return read_json(content.decode("utf-8-sig"))
    except ValueError as error:  # raised as NotJson or UnicodeDecodeError
        fault = error.fault if isinstance(error, NotJson) else "it is not UTF-8 text"
        raise SourceError(
            f"{name} is not JSON: {fault}.", hint="Pass the trigger's data as a JSON document."
        ) from error


def read_yaml(text: str) -> Any:
    """Return a YAML document as a JSON value. Timestamps stay text, because JSON lacks them. Raises NotJson."""
    import yaml

    try:
        return read_json(write_json(load_yaml(text)))
    except yaml.MarkedYAMLError as error:
        raise NotJson(_place_of(error)) from error
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise NotJson(" ".join(str(error).split())) from error


def _place_of(error: Any) -> str:
    """Return PyYAML's message, with the line and the column counted from 1, and without PyYAML's name for the text."""
    words = " ".join(str(error.problem or error.context or "it cannot be read").split())
    mark = error.problem_mark or error.context_mark
    return words if mark is None else f"{words} (line {mark.line + 1}, column {mark.column + 1})"


def read_document(content: bytes, *, name: str) -> Any:
    """Return the JSON or YAML document in `content`. Raises UsageError with the position of the error."""
    return _read(_text(content, name), name, is_template=False)


def read_secrets_file(content: bytes, *, name: str) -> Any:
    """Return the JSON document in `content`, or the variables if it is a `.env` file. Raises UsageError."""
    text = _text(content, name)
    if text.lstrip()[:1] in {"{", "["}:
        return read_document(content, name=name)
    values, bad_lines = parse_dotenv(text)
    if bad_lines:
        lines = ", ".join(map(str, bad_lines))
        raise SourceError(f"{name} is neither JSON nor a .env file: line {lines}.", hint="Write NAME=VALUE lines.")
    return values


def _read(text: str, name: str, *, is_template: bool) -> Any:
    start = text.lstrip()
    try:
        return read_json(text)
    except NotJson as error:
        if start[:1] in {"{", "["} and not (is_template and start.startswith("{{")):
            raise SourceError(f"{name} is not JSON: {error.fault}.", hint="Fix the JSON.") from error
    try:
        return read_yaml(text)
    except NotJson as error:
        if is_template and "{{" in text:
            return text.removesuffix("\n")
        if isinstance(error.__cause__, YamlLimit):
            raise SourceError(
                f"{name} cannot be read as YAML: {error.fault}.", hint="Make it smaller, or pass JSON."
            ) from error
        raise SourceError(
            f"{name} is neither JSON nor YAML: {error.fault}.",
            hint="Pass a JSON or YAML file. In YAML, a value that begins with {{ needs quotes.",
        ) from error


def _text(content: bytes, name: str) -> str:
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise SourceError(f"{name} is not UTF-8 text: {error}.", hint="Save it as UTF-8.") from error
