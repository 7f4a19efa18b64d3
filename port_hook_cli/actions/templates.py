"""Render Port's templates like Port's engine. A template is JSON whose strings contain jq in double braces.

`prepare` parses a template and finds its expressions. The caller evaluates all expressions with jq, and
`Prepared.assemble` inserts the results. The rules and error messages come from npm `@port-labs/jq-node-bindings`. See
docs/reference/templates.md.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import field
from typing import Any, TypeAlias

from port_hook_cli.actions.template_braces import BadTemplate, Text, is_spread, requote, split_template
from port_hook_cli.engines.outcomes import UNDEFINED, JqError, Undefined
from port_hook_cli.frozen import frozen
from port_hook_cli.javascript.values import js_entries, write_json

MAX_DEPTH = 150
"""The maximum nesting depth of a template: deeper than real templates, and shallow enough for Python's stack."""

RENDERING = "port-hook/rendering/1"


class ExpressionFailed(ValueError):
    """An expression failed in strict mode."""

    def __init__(self, error: JqError) -> None:
        super().__init__(error.message)
        self.error = error


Outcome: TypeAlias = "Any | Undefined | JqError"
Evaluate: TypeAlias = Callable[[Sequence[str]], Sequence[Any]]


@frozen(kw_only=True)
class Rendering:
    """A rendered template: a JSON value, or UNDEFINED. `errors` are the expressions that failed and became null."""

    value: Any
    errors: tuple[JqError, ...] = ()


def render(template: Any, evaluate: Evaluate, *, strict: bool = False) -> Rendering:
    """Render a JSON value as a template. `evaluate` takes jq programs and returns an Outcome for each program.

    Raises BadTemplate if Port's engine would reject the template. With `strict`, raises ExpressionFailed if an
    expression fails.
    """
    prepared = prepare(template)
    return prepared.assemble(evaluate(prepared.programs), strict=strict)


def prepare(template: Any) -> Prepared:
    """Parse a template. Raises BadTemplate only if the template is nested too deeply.

    `assemble` raises BadTemplate for the template's other mistakes.
    """
    texts: dict[str, Text | BadTemplate] = {}
    for text in _strings(template, MAX_DEPTH):
        if text not in texts:
            texts[text] = _split_or_error(text)
    expressions = (
        expression for text in texts.values() if not isinstance(text, BadTemplate) for expression in text.expressions
    )
    return Prepared(template, texts, tuple(dict.fromkeys(expressions)))


def _strings(value: Any, depth: int) -> Iterator[str]:
    if isinstance(value, str):
        yield value
        return
    if not depth:
        raise BadTemplate(f"The template is nested deeper than {MAX_DEPTH} levels")
    if isinstance(value, Mapping):
        for key, element in value.items():
            if not is_spread(key):
                yield key
            yield from _strings(element, depth - 1)
    elif isinstance(value, (list, tuple)):
        for element in value:
            yield from _strings(element, depth - 1)


def _split_or_error(text: str) -> Text | BadTemplate:
    try:
        return split_template(text)
    except BadTemplate as error:
        return error


@frozen
class Prepared:
    """A parsed template. `expressions` are the expressions in its strings, without duplicates."""

    template: Any = field(repr=False)
    texts: Mapping[str, Text | BadTemplate] = field(repr=False)
    expressions: tuple[str, ...]

    @property
    def programs(self) -> list[str]:
        """The expressions in the form that jq receives, in the same order."""
        return [requote(expression) for expression in self.expressions]

    def assemble(self, outcomes: Sequence[Outcome], *, strict: bool = False) -> Rendering:
        """Insert the outcomes of `programs` into the template. Raises the same errors as `render`.

        Values are rendered in the same order as in Port's engine, which reports only the first mistake. The values of
        removed keys are not rendered.
        """
        assembly = _Assembly(self.texts, dict(zip(self.expressions, outcomes, strict=True)), strict=strict)
        value = _settle(assembly.render(self.template))
        return Rendering(value=value, errors=tuple(assembly.errors.values()))


class _Assembly:
    def __init__(
        self, texts: Mapping[str, Text | BadTemplate], outcomes: Mapping[str, Outcome], *, strict: bool
    ) -> None:
        self._texts = texts
        self._outcomes = outcomes
        self._strict = strict
        self.errors: dict[str, JqError] = {}

    def render(self, value: Any) -> Any:
        if isinstance(value, str):
            return self._render_text(value)
        if isinstance(value, (list, tuple)):
            return [self.render(element) for element in value]
        if isinstance(value, Mapping):
            return dict(self._members(value))
        return value

    def _members(self, value: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
        for key, element in js_entries(value):
            if is_spread(key):
                yield from self._spread(key, element)
                continue
            rendered = self._render_text(key)
            if rendered is not None and rendered is not UNDEFINED and not isinstance(rendered, str):
                raise BadTemplate(
                    f"Evaluated object key should be undefined, null or string. Original key: {key},"
                    f" evaluated to: {_stringify(rendered)}"
                )
            if rendered and isinstance(rendered, str):
                yield rendered, self.render(element)

    def _spread(self, key: str, element: Any) -> Iterator[tuple[str, Any]]:
        spread = self.render(element)
        if spread is None:
            raise BadTemplate("Cannot convert undefined or null to object")
        if isinstance(spread, list):  # JavaScript arrays are objects too
            yield from ((str(index), member) for index, member in enumerate(spread))
        elif isinstance(spread, Mapping):
            yield from js_entries(spread)
        else:
            raise BadTemplate(
                f"Evaluated value should be an object if the key is {key}. Original value: {_js_string(element)},"
                f" evaluated to: {_stringify(spread)}"
            )

    def _render_text(self, template: str) -> Any:
        text = self._texts[template]
        if isinstance(text, BadTemplate):
            raise text
        if text.is_whole:
            return self._result(text.expressions[0])
        parts = [text.pieces[0]]
        for expression, piece in zip(text.expressions, text.pieces[1:], strict=True):
            result = self._result(expression)
            parts += [result if isinstance(result, str) else _stringify(result), piece]
        return "".join(parts)

    def _result(self, expression: str) -> Any:
        outcome = self._outcomes[expression]
        if not isinstance(outcome, JqError):
            return outcome
        if self._strict:
            raise ExpressionFailed(outcome)
        self.errors[expression] = outcome
        return None


def _settle(value: Any) -> Any:
    """Treat `undefined` and infinity like JSON.stringify does.

    Remove `undefined` from objects, and replace it with null in arrays. Replace infinity with null.
    """
    if isinstance(value, list):
        return [None if element is UNDEFINED else _settle(element) for element in value]
    if isinstance(value, Mapping):
        return {key: _settle(element) for key, element in value.items() if element is not UNDEFINED}
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def _stringify(value: Any) -> str:
    return "undefined" if value is UNDEFINED else write_json(_settle(value))


def _js_string(value: Any) -> str:
    """Return the text that `${value}` has in JavaScript."""
    if isinstance(value, str):
        return value
    if isinstance(value, Mapping):
        return "[object Object]"
    if isinstance(value, (list, tuple)):
        return ",".join("" if element is None else _js_string(element) for element in value)
    return write_json(value)


def rendering_record(rendering: Rendering) -> dict[str, Any]:
    """Return the record that `render --json` prints. Its `result` is formatted like the result of JSON.stringify."""
    return {
        "schema": RENDERING,
        "result": None if rendering.value is UNDEFINED else json.loads(write_json(rendering.value)),
        "undefined": rendering.value is UNDEFINED,
        "errors": [
            {"expression": error.expression.strip(), "kind": error.kind, "message": error.message}
            for error in rendering.errors
        ],
    }
