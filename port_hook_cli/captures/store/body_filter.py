"""Filter captures by a jq expression on their body.

jq runs in the same process that renders templates. A request to this process takes longer than most expressions, so
each request contains many bodies.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple, Self

from port_hook_cli.engines.jq_worker import DEFAULT_TIMEOUT_S, JqWorker
from port_hook_cli.engines.outcomes import JqError
from port_hook_cli.errors import RenderError, UsageError
from port_hook_cli.javascript.nesting import has_too_many_values, strict_json

# The first batches are small, because most users look for the latest captures.
_FIRST_BATCH, _LARGEST_BATCH = 64, 1024
_MOST_CHARACTERS = 4 * 1024 * 1024

# The program returns true, false, or an error message for each body. The line breaks end a comment at the end of the
# expression.
_EACH = (
    '[.[] | try [first(%s\n\n)] catch {error: (if type == "string" then . else tojson end)}'
    ' | if type == "array" then (if .[0] then true else false end) else .error end]'
)


class _Body(NamedTuple):
    """A capture's number and its body as JSON on one line."""

    number: int
    text: str


class JqBodyFilter:
    """Finds the bodies for which the first result of a jq expression is neither null nor false.

    Use the filter as a context manager. `failures` counts the bodies for which the expression failed, and `failure` is
    the message of the first failure. A body that is not JSON does not match. Each batch may take `timeout_s` seconds.
    """

    def __init__(self, expression: str, *, timeout_s: float = DEFAULT_TIMEOUT_S) -> None:
        self.failures = 0
        self.failure = ""
        self._expression = expression
        self._timeout_s = timeout_s
        self._worker = JqWorker(timeout_s=timeout_s)

    def __enter__(self) -> Self:
        try:
            self._check()
        except BaseException:
            self._worker.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._worker.close()

    def __call__(self, bodies: Iterable[tuple[int, Any]]) -> Iterator[int]:
        """Yield the numbers of the bodies that match, in order. Raises UsageError if the expression takes too long."""
        for batch in _batches(_readable(bodies)):
            for body, result in zip(batch, self._results(batch), strict=True):
                if isinstance(result, str):
                    self.failures += 1
                    self.failure = self.failure or result
                elif result:
                    yield body.number

    def _check(self) -> None:
        """Raise UsageError for an invalid expression: only a complete expression may be inserted into another one."""
        (result,) = self._evaluate(self._expression, "null")
        if isinstance(result, JqError) and result.kind == "compile":
            raise UsageError(
                f"The --jq expression is invalid: {result.message}.",
                hint="Write a jq filter of the body, such as --jq '.payload.properties.cpu > 2'.",
            )

    def _results(self, batch: Sequence[_Body]) -> list[Any]:
        (found,) = self._evaluate(_EACH % self._expression, f"[{','.join(body.text for body in batch)}]")
        if isinstance(found, list) and len(found) == len(batch):
            return found
        if len(batch) > 1:  # a deeply nested body must not hide the other bodies
            return [result for body in batch for result in self._results([body])]
        return [found.message if isinstance(found, JqError) else "the expression has no usable result"]

    def _evaluate(self, program: str, data: str) -> list[Any]:
        try:
            return self._worker.evaluate([program], data)
        except RenderError as error:
            raise UsageError(
                f"port-hook stopped the --jq expression: it took longer than {self._timeout_s:g} s for some captures, "
                "or used too much memory.",
                hint="Check it for an endless loop, or search fewer captures with --since.",
            ) from error


def _readable(bodies: Iterable[tuple[int, Any]]) -> Iterator[_Body]:
    for number, body in bodies:
        text = _as_json_line(body)
        if text is not None:
            yield _Body(number, text)


def _as_json_line(body: Any) -> str | None:
    """Return a body on one line, or None if the body is not JSON or has too many values.

    In JSON, a line break is never part of a string.
    """
    try:
        text = body.decode("utf-8")
        if has_too_many_values(text):
            return None
        strict_json(text)
    except (AttributeError, RecursionError, ValueError):
        return None
    return str(text).replace("\n", " ")


def _batches(bodies: Iterable[_Body]) -> Iterator[list[_Body]]:
    batch: list[_Body] = []
    size, most = 0, _FIRST_BATCH
    for body in bodies:
        batch.append(body)
        size += len(body.text)
        if len(batch) >= most or size > _MOST_CHARACTERS:
            yield batch
            batch, size, most = [], 0, min(most * 2, _LARGEST_BATCH)
    if batch:
        yield batch
