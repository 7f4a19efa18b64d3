"""Parses an expression into a tree, like jq 1.5, which the agent's pyjq 2.6 contains.

The tokens come from jq 1.5's lexer.l. The rules and precedences come from its parser.y. Newer versions of jq parse some
expressions differently (`try A // B`), and accept more expressions (`if A then B end`, `.a.[0]`).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from port_hook_cli.frozen import frozen
from port_hook_cli.prediction.jq15_tokens import Jq15Token, NotJq15, TooDeep, jq15_tokens

_FOLDED: dict[str, Callable[[float, float], float | bool]] = {
    "+": lambda a, b: a + b,
    "-": lambda a, b: a - b,
    "*": lambda a, b: a * b,
    "/": lambda a, b: a / b if b else math.nan if not a or math.isnan(a) else math.copysign(math.inf, a),
    "==": lambda a, b: a == b,
    "!=": lambda a, b: a != b,
    "<": lambda a, b: a < b,
    ">": lambda a, b: a > b,
    "<=": lambda a, b: a <= b,
    ">=": lambda a, b: a >= b,
}


@frozen
class JqNode:
    """A part of an expression. `kind` determines the meaning of `text`, `value` and `parts`, which module `jq15` reads.

    A missing part is None, such as a missing handler of a `try`.
    """

    kind: str
    text: str = ""
    parts: tuple[JqNode | None, ...] = ()
    value: Any = None
    optional: bool = False


def is_constant(node: JqNode | None) -> bool:
    """Return whether jq 1.5 knows the value of a node at compile time."""
    node = bare(node)
    if node is None or node.kind == "array":
        return node is not None and node.parts[0] is None
    if node.kind == "object":
        return all(is_constant(part) for pair in node.parts if pair is not None for part in pair.parts)
    return node.kind in {"constant", "location"}


def bare(node: JqNode | None) -> JqNode | None:
    """Return a node without its parentheses and without `| .`."""
    while node is not None:
        kinds = [part.kind for part in node.parts if part is not None]
        if node.kind == "group" or (node.kind == "|" and kinds[1] == "identity"):
            node = node.parts[0]
        elif node.kind == "|" and kinds[0] == "identity":
            node = node.parts[1]
        else:
            break
    return node


def field_of(term: JqNode, text: str) -> JqNode:
    """Return the node for `.NAME` after a term."""
    return JqNode("index", parts=(term, JqNode("constant", value=text[1:])))


def operation(operator: str, left: JqNode, right: JqNode) -> JqNode:
    """Return an operation, or its result if jq 1.5 computes the result at compile time. Raises NotJq15."""
    numbers = [_number(each) for each in (left, right)]
    if operator in _FOLDED and None not in numbers:
        a, b = numbers
        assert a is not None
        assert b is not None
        result = _FOLDED[operator](a, b)
        if operator == "/" and isinstance(result, float) and math.isinf(result):
            raise NotJq15("does not divide by zero")
        return JqNode("constant", value=result)
    return JqNode(operator, parts=(left, right))


def _number(node: JqNode) -> float | None:
    found = bare(node)
    is_number = found is not None and found.kind == "constant" and isinstance(found.value, float)
    return found.value if found is not None and is_number else None


_MOST_NESTED = 400

_PIPE, _COMMA, _OR_ELSE, _ASSIGN, _OR, _AND, _COMPARE, _ADD, _MULTIPLY, _OPTIONAL, _TRY, _CATCH = range(1, 13)
_POWERS = {"|": _PIPE, ",": _COMMA, "//": _OR_ELSE, "or": _OR, "and": _AND, "?": _OPTIONAL} | {
    operator: power
    for operators, power in (
        ("= |= += -= *= /= %= //=", _ASSIGN),
        ("== != < > <= >=", _COMPARE),
        ("+ -", _ADD),
        ("* / %", _MULTIPLY),
    )
    for operator in operators.split()
}
_RIGHT, _ALONE = frozenset({_PIPE, _OR_ELSE}), frozenset({_ASSIGN, _COMPARE})


def parse_jq15(expression: str) -> JqNode:
    """Return the tree of an expression. Raises NotJq15 and TooDeep."""
    return _Parser(list(jq15_tokens(expression))).whole()


class _Parser:
    """Parses tokens by recursive descent, and parses binary operators by their binding power."""

    def __init__(self, tokens: list[Jq15Token]) -> None:
        self._tokens, self._at, self._depth = tokens, 0, 0

    def whole(self) -> JqNode:
        if self._is("import") or self._is("include") or self._is("module"):
            raise NotJq15("finds no module in the agent")
        definitions = []
        while self._is("def"):
            definitions.append(self._definition())
        body = JqNode("identity") if self._next.kind == "END" else self._expression(0)
        if self._next.kind != "END":
            raise self._unexpected()
        for definition in reversed(definitions):
            body = JqNode("define", parts=(definition, body))
        return body

    @property
    def _next(self) -> Jq15Token:
        return self._tokens[self._at]

    def _is(self, *texts: str) -> bool:
        return self._next.kind in {"OP", "WORD"} and self._next.text in texts

    def _take(self) -> Jq15Token:
        token = self._next
        if token.kind != "END":
            self._at += 1
        return token

    def _accept(self, text: str) -> bool:
        if not self._is(text):
            return False
        self._at += 1
        return True

    def _expect(self, text: str) -> None:
        if not self._accept(text):
            raise self._unexpected(text)

    def _expect_kind(self, kind: str) -> Jq15Token:
        if self._next.kind != kind:
            raise self._unexpected()
        return self._take()

    def _unexpected(self, wanted: str = "") -> NotJq15:
        token, before = self._next, self._tokens[self._at - 1] if self._at else None
        if token.text == "end" and wanted == "else":
            return NotJq15("requires an `else`")
        if token.text == "[" and before is not None and before.text == ".":
            return NotJq15("does not know `.[` after a value: write `[`")
        found = f"`{token.text}`" if token.kind != "END" else "the end"
        return NotJq15(f"does not expect {found} there" + (f", but `{wanted}`" if wanted and wanted != "else" else ""))

    def _expression(self, least: int) -> JqNode:
        """Return an expression whose operators bind at least as strongly as `least`."""
        self._depth += 1
        if self._depth > _MOST_NESTED:
            raise TooDeep
        left = self._prefix()
        while self._next.kind in {"OP", "WORD"} and (power := _POWERS.get(self._next.text, 0)) >= max(least, 1):
            operator = self._take().text
            if operator == "?":
                left = JqNode("try", parts=(left, None))
                continue
            right = self._expression(power if power in _RIGHT else power + 1)
            left = operation(operator, left, right)
            if power in _ALONE and _POWERS.get(self._next.text) == power and self._next.kind == "OP":
                raise self._unexpected()
        self._depth -= 1
        return left

    def _prefix(self) -> JqNode:  # noqa: PLR0911 - one for each form
        if self._is("def"):
            return JqNode("define", parts=(self._definition(), self._expression(0)))
        if self._accept("-"):
            return JqNode("negative", parts=(self._expression(_ADD + 1),))
        if self._is("reduce", "foreach"):
            return self._loop(self._take().text)
        if self._accept("if"):
            return self._choice()
        if self._accept("try"):
            body = self._expression(_TRY)
            return JqNode("try", parts=(body, self._expression(_CATCH) if self._accept("catch") else None))
        if self._accept("label"):
            name = self._variable()
            self._expect("|")
            return JqNode("label", name, (self._expression(_PIPE),))
        term = self._term()
        if not self._accept("as"):
            return term
        pattern = self._pattern()
        self._expect("|")
        return JqNode("bind", parts=(term, pattern, self._expression(_PIPE)))

    def _definition(self) -> JqNode:
        self._expect("def")
        name, parameters = self._expect_kind("NAME").text, []
        if self._accept("("):
            parameters.append(self._parameter())
            while self._accept(";"):
                parameters.append(self._parameter())
            self._expect(")")
        self._expect(":")
        body = self._expression(0)
        self._expect(";")
        return JqNode("function", name, (body,), value=tuple(parameters))

    def _parameter(self) -> str:
        return f"${self._expect_kind('NAME').text}" if self._accept("$") else self._expect_kind("NAME").text

    def _loop(self, word: str) -> JqNode:
        source = self._term()
        self._expect("as")
        pattern = self._pattern()
        self._expect("(")
        parts = [self._expression(0)]
        self._expect(";")
        parts.append(self._expression(0))
        if word == "foreach" and self._accept(";"):
            parts.append(self._expression(0))
        self._expect(")")
        return JqNode(word, parts=(source, pattern, *parts))

    def _choice(self) -> JqNode:
        """Return the node for what follows `if` or `elif`, up to `end`."""
        condition = self._expression(0)
        self._expect("then")
        then = self._expression(0)
        if self._accept("elif"):
            return JqNode("if", parts=(condition, then, self._choice()))
        self._expect("else")
        other = self._expression(0)
        self._expect("end")
        return JqNode("if", parts=(condition, then, other))

    def _variable(self) -> str:
        self._expect("$")
        return self._expect_kind("NAME").text

    def _pattern(self) -> JqNode:
        if self._is("$"):
            return JqNode("variable", self._variable())
        is_list = self._is("[")
        self._expect("[" if is_list else "{")
        parts = [self._pattern() if is_list else self._key_pattern()]
        while self._accept(","):
            parts.append(self._pattern() if is_list else self._key_pattern())
        self._expect("]" if is_list else "}")
        return JqNode("list pattern" if is_list else "object pattern", parts=tuple(parts))

    def _key_pattern(self) -> JqNode:
        if self._is("$"):
            name = self._variable()
            return JqNode("key pattern", parts=(JqNode("constant", value=name), JqNode("variable", name)))
        key = self._key()
        self._expect(":")
        return JqNode("key pattern", parts=(key, self._pattern()))

    def _key(self) -> JqNode:
        """Return the key of an object or of a pattern."""
        if self._next.kind in {"NAME", "WORD"}:
            return JqNode("constant", value=self._take().text)
        if self._accept("("):
            key = self._expression(0)
            self._expect(")")
            return key
        return self._string()

    @property
    def _is_string(self) -> bool:
        is_format = self._next.kind == "FORMAT" and self._tokens[self._at + 1].kind == "QUOTE"
        return is_format or self._next.kind == "QUOTE"

    def _string(self) -> JqNode:
        name = self._take().text[1:] if self._next.kind == "FORMAT" else "text"
        self._expect_kind("QUOTE")
        parts = []
        while self._next.kind != "QUOTE":
            if self._next.kind == "INTO":
                self._take()
                parts.append(JqNode("into", parts=(self._expression(0),)))
                self._expect_kind("OUT")
            else:
                parts.append(JqNode("constant", value=self._expect_kind("PIECE").value))
        self._take()
        if all(part.kind == "constant" for part in parts):
            return JqNode("constant", value="".join(part.value for part in parts))
        return JqNode("string", name, tuple(parts))

    def _term(self) -> JqNode:
        term = self._atom()
        while True:
            if self._next.kind == "FIELD":
                term = self._optional(field_of(term, self._take().text))
            elif self._is("."):
                self._take()
                if not self._is_string:
                    raise self._unexpected()
                term = self._optional(JqNode("index", parts=(term, self._string())))
            elif self._is("["):
                term = self._optional(self._subscript(term))
            else:
                return term

    def _optional(self, node: JqNode) -> JqNode:
        return replace(node, optional=self._accept("?"))

    def _subscript(self, term: JqNode) -> JqNode:
        self._expect("[")
        if self._accept("]"):
            return JqNode("each", parts=(term,))
        start = None if self._is(":") else self._expression(0)
        if self._accept(":"):
            end = None if start is not None and self._is("]") else self._expression(0)
            self._expect("]")
            return JqNode("slice", parts=(term, start, end))
        self._expect("]")
        return JqNode("index", parts=(term, start))

    def _atom(self) -> JqNode:  # noqa: PLR0911 - one line for each kind
        if self._is_string:
            return self._string()
        if self._next.kind == "OP":
            return self._symbol()
        token = self._take()
        if token.kind == "NUMBER":
            return JqNode("constant", value=token.value)
        if token.kind == "FORMAT":
            return JqNode("format", token.text[1:])
        if token.kind == "FIELD":
            return self._optional(field_of(JqNode("identity"), token.text))
        if token.kind == "NAME":
            return self._call(token.text)
        if token.kind == "WORD" and token.text == "break":
            return JqNode("break", self._variable())
        self._at -= token.kind != "END"
        raise self._unexpected()

    def _symbol(self) -> JqNode:  # noqa: C901, PLR0911 - one for each symbol
        if self._accept(".."):
            return JqNode("call", "recurse")
        if self._accept("."):
            if self._is_string:
                return self._optional(JqNode("index", parts=(JqNode("identity"), self._string())))
            return JqNode("identity")
        if self._accept("("):
            inner = self._expression(0)
            self._expect(")")
            return JqNode("group", parts=(inner,))
        if self._accept("["):
            inner_or_none = None if self._is("]") else self._expression(0)
            self._expect("]")
            return JqNode("array", parts=(inner_or_none,))
        if self._accept("{"):
            return self._object()
        if self._accept("$"):
            if self._next.text == "__loc__":
                return JqNode("location", value=self._take().line)
            return JqNode("variable", self._expect_kind("NAME").text)
        raise self._unexpected()

    def _call(self, name: str) -> JqNode:
        if not self._accept("("):
            return JqNode("constant", value=_WORDS[name]) if name in _WORDS else JqNode("call", name)
        arguments = [self._expression(0)]
        while self._accept(";"):
            arguments.append(self._expression(0))
        self._expect(")")
        return JqNode("call", name, tuple(arguments))

    def _object(self) -> JqNode:
        pairs = []
        while not self._is("}"):
            pairs.append(self._pair())
            if not self._accept(","):
                break
        self._expect("}")
        return JqNode("object", parts=tuple(pairs))

    def _pair(self) -> JqNode:
        if self._is("$"):
            name = self._variable()
            if self._is(":"):
                raise NotJq15(f"needs parentheses around the key ${name}")
            return JqNode("pair", parts=(JqNode("constant", value=name), JqNode("variable", name)))
        has_short_form = self._is_string or self._next.kind == "NAME"
        key = self._key()
        if has_short_form and not self._is(":"):
            return JqNode("pair", parts=(key, JqNode("index", parts=(JqNode("identity"), key))))
        self._expect(":")
        value = self._value()
        if self._next.text not in {",", "}"}:
            raise NotJq15(f"needs parentheses around a value with `{self._next.text}` in an object")
        return JqNode("pair", parts=(key, value))

    def _value(self) -> JqNode:
        """Return the value of an object's key, in which only `-` and `|` are operators."""
        if self._accept("-"):
            value = JqNode("negative", parts=(self._value_after_minus(),))
        elif self._is("if", "reduce", "foreach", "try", "def", "label"):
            raise NotJq15(f"needs parentheses around a value with `{self._next.text}` in an object")
        else:
            value = self._term()
        return JqNode("|", parts=(value, self._value())) if self._accept("|") else value

    def _value_after_minus(self) -> JqNode:
        return JqNode("negative", parts=(self._value_after_minus(),)) if self._accept("-") else self._term()


_WORDS = {"true": True, "false": False, "null": None}
