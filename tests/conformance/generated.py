"""Generated templates for the comparison with Port's engine, the same ones every time."""

from __future__ import annotations

from random import Random
from typing import Any

_ATOMS = (
    ".run.id",
    ".inputs.cpu",
    ".inputs.none",
    ".inputs.tags",
    ".inputs.nested.k",
    ".inputs.ratio",
    ".inputs.big",
    ".entity",
    "'text'",
    '"text"',
    "1",
    "-2.50",
    "1e3",
    "true",
    "null",
    "empty",
    "[]",
    "{}",
    ".nothing",
    ".inputs.quote",
    "{a: 1}",
    '"it\'s"',
    '"}}"',
    "'{{'",
    '"\\""',
    "foo",
    'error("x")',
    ".run.id.x",
    '"é\\(.inputs.cpu)"',
    ".inputs.name",
    "1.0",
)
_PIPES = (
    "length",
    "tostring",
    "type",
    "keys",
    "tojson",
    "not",
    "ascii_downcase",
    ".[0]",
    "first",
    "[.]",
    "{k: .}",
    "add?",
)
_NOISE = ("", "", " ", "\n", "a", "'", '"', "{", "}", "{{", "}}", "\\", "é", "😀", "\u00a0", "{{}}", "}}}", "{{{")


def generated(count: int, seed: int) -> list[Any]:
    """Return `count` templates that depend only on `seed`."""
    random = Random(seed)  # noqa: S311 - the same templates every time
    return [_template(random, 3) for _ in range(count)]


def _template(random: Random, depth: int) -> Any:
    shape = random.random()
    if depth and shape < 0.2:
        return [_template(random, depth - 1) for _ in range(random.randrange(4))]
    if depth and shape < 0.45:
        return {_text(random): _template(random, depth - 1) for _ in range(random.randrange(4))}
    if shape < 0.55:
        return random.choice([None, True, 0, 1.5, "plain", 1e21])
    return _text(random)


def _text(random: Random) -> str:
    if random.random() < 0.45:
        return f"{{{{{_expression(random)}}}}}"
    parts = [
        f"{{{{{_expression(random)}}}}}" if random.random() < 0.5 else random.choice(_NOISE)
        for _ in range(random.randrange(1, 5))
    ]
    return "".join(parts)


def _expression(random: Random) -> str:
    words = random.choice(_ATOMS)
    while random.random() < 0.4:
        words += random.choice(
            (f" | {random.choice(_PIPES)}", f" + {random.choice(_ATOMS)}", f" // {random.choice(_ATOMS)}")
        )
    return random.choice((words, f" {words} ", f"\n{words}\t"))
