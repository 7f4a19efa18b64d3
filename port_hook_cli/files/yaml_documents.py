"""YAML documents that may come from an untrusted author, read within limits.

A few lines can stand for millions of values, because an alias can repeat a value that itself has aliases. PyYAML's
scanner needs time that grows with the square of the number of open brackets. So the limits apply before PyYAML builds
a value.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

MOST_LEVELS = 200
"""How deeply the lists and mappings of a document may be nested."""

MOST_ADDED = 1_000_000
"""How many characters and values the aliases of a document may add to its text."""

# Longer numbers have no value in JSON, and PyYAML is slow to compute them.
_LONGEST_NUMBER = 1_000
_NUMBERS = frozenset({"tag:yaml.org,2002:int", "tag:yaml.org,2002:float"})


class YamlLimit(ValueError):
    """A YAML document exceeds a limit. The message is a clause, such as `it is nested too deeply`."""


def load_yaml(text: str | bytes, *, only_text: bool = False) -> Any:
    """Return the value of a YAML document, or None if there is none. Timestamps stay text, because JSON lacks them.

    With `only_text`, every scalar is text. Raises yaml.YAMLError for text that is not one YAML document, ValueError for
    scalars that have no value, YamlLimit for a document that exceeds a limit, and RecursionError.
    """
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
    """Return whether `text` is YAML, of any number of documents, within the limit of nesting."""
    import yaml

    try:
        for _ in yaml.parse(text, _loader(False)):
            pass
    except (yaml.YAMLError, YamlLimit, RecursionError):
        return False
    return True


@lru_cache(maxsize=2)
def _loader(only_text: bool) -> Any:
    """Return PyYAML's loader for plain values, with the limit of nested brackets."""
    import yaml

    base: Any = yaml.BaseLoader if only_text else yaml.SafeLoader

    class Loader(base):  # type: ignore[misc]
        yaml_implicit_resolvers = {  # noqa: RUF012 - yaml's own attribute
            first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:timestamp"]
            for first, resolvers in base.yaml_implicit_resolvers.items()
        }

        def fetch_flow_collection_start(self, token_class: Any) -> None:
            if self.flow_level >= MOST_LEVELS:
                raise YamlLimit("it is nested too deeply")
            super().fetch_flow_collection_start(token_class)

    return Loader


def _measure(node: Any, known: dict[int, int], limit: int, level: int = 0) -> int:
    """Return how many characters and values `node` has with its aliases expanded. Raises YamlLimit.

    `known` contains the sizes of measured nodes, by identity.
    """
    if level > MOST_LEVELS:
        raise YamlLimit("it is nested too deeply")
    if isinstance(node.value, str):
        if node.tag in _NUMBERS and len(node.value) > _LONGEST_NUMBER:
            raise YamlLimit("it contains a number that is too long")
        return len(node.value) + 1
    if id(node) not in known:
        known[id(node)] = 0  # a value that contains itself is refused when it is written as JSON
        size = 1
        for part in node.value:
            for inner in part if isinstance(part, tuple) else (part,):
                size += _measure(inner, known, limit, level + 1)
            if size > limit:
                raise YamlLimit("it is too large once its aliases are expanded")
        known[id(node)] = size
    return known[id(node)]
