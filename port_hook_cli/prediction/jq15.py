"""Rewrites a jq 1.5 expression as a program that has the same result in port-hook's jq.

The agent contains pyjq 2.6, which contains jq 1.5. tests/prediction/jq15_corpus.json has the results of the real pyjq.
Some functions differ in jq 1.5 (see jq15_functions). Other differences are the following. `A // B` does not hide an
error of A. `try A` also catches errors in the rest of the pipe. `A |= empty` is null. `.[1.5]` is null. `"text" * 0.5`
is the text. Numbers have 53 bits.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any, ClassVar

from port_hook_cli.frozen import frozen
from port_hook_cli.prediction.jq15_functions import CRASHING, FORMATS, NAMES, NUMERIC, definitions_of
from port_hook_cli.prediction.jq15_grammar import JqNode, bare, is_constant, parse_jq15
from port_hook_cli.prediction.jq15_tokens import NotJq15, TooDeep

_MOST_CACHED = 1000
_PLAIN = 2.0**53
_UPDATES = frozenset({"+=", "-=", "*=", "/=", "%=", "//="})


@frozen(kw_only=True)
class AgentProgram:
    """An expression, rewritten for port-hook's jq.

    `text` is the program, and `definitions` come before it. If jq 1.5 cannot compile the expression, `fault` is a
    phrase about jq 1.5 that says why. With `is_too_deep`, the result is not predicted. `warnings` say what may stop the
    agent. `is_special` means that a result can be infinite or not a number.
    """

    text: str = ""
    definitions: str = ""
    fault: str = ""
    warnings: tuple[str, ...] = ()
    is_special: bool = False
    is_too_deep: bool = False


@lru_cache(maxsize=_MOST_CACHED)
def agent_program(expression: str) -> AgentProgram:
    """Return the program for an expression."""
    try:
        writer = _Writer()
        text = writer.write(parse_jq15(expression), _Scope())
    except NotJq15 as error:
        return AgentProgram(fault=str(error))
    except (RecursionError, TooDeep):
        return AgentProgram(is_too_deep=True)
    used = writer.used | ({"__ph_special"} if writer.is_special else set())
    return AgentProgram(
        text=text,
        definitions=definitions_of(frozenset(used)),
        warnings=tuple(dict.fromkeys(writer.warnings)),
        is_special=writer.is_special,
    )


@dataclass(slots=True)
class _Function:
    """A function that the expression defines.

    As in jq 1.5, uncalled functions and their errors are left out.
    """

    is_called: bool = False


@frozen
class _Scope:
    """The functions (`name/arity`), variables and labels that are known at one place in the expression."""

    functions: dict[str, _Function] = field(default_factory=dict)
    variables: frozenset[str] = frozenset()
    labels: frozenset[str] = frozenset()

    def with_variables(self, names: Iterator[str]) -> _Scope:
        return replace(self, variables=self.variables | set(names))

    def with_functions(self, functions: dict[str, _Function]) -> _Scope:
        return replace(self, functions={**self.functions, **functions})


class _Writer:
    """Writes the parts of an expression. `used` contains the jq 1.5 functions that the expression calls."""

    def __init__(self) -> None:
        self.used: set[str] = set()
        self.warnings: list[str] = []
        self.is_special = False
        self._continuations = 0

    def write(self, node: JqNode | None, scope: _Scope) -> str:
        """Return a program for a node, in parentheses if it needs them. Raises NotJq15."""
        assert node is not None
        return self._writers.get(node.kind, _Writer._operation)(self, node, scope)

    def _all(self, node: JqNode, scope: _Scope) -> list[str]:
        return [self.write(part, scope) for part in node.parts]

    def _identity(self, _: JqNode, __: _Scope) -> str:
        return "."

    def _group(self, node: JqNode, scope: _Scope) -> str:
        return f"({self.write(node.parts[0], scope)})"

    def _constant(self, node: JqNode, _: _Scope) -> str:
        value = node.value
        if not isinstance(value, float):
            return json.dumps(value)
        if math.isnan(value) or math.isinf(value):
            self.is_special = True
            return "nan" if math.isnan(value) else "infinite" if value > 0 else "(-infinite)"
        if abs(value) < _PLAIN and value == int(value):
            return str(int(value)) if value >= 0 else f"({int(value)})"
        return f"({value!r} + 0)"  # the addition makes it a number of 53 bits

    def _string(self, node: JqNode, scope: _Scope) -> str:
        parts = ['""']
        for part in node.parts:
            assert part is not None
            if part.kind == "into":
                parts.append(f"({self.write(part.parts[0], scope)} | {self._formatted(node.text)})")
            else:
                parts.append(self.write(part, scope))
        joined = parts[0]
        for part_text in parts[1:]:
            joined = f"({joined} + {part_text})"
        return joined

    def _format(self, node: JqNode, _: _Scope) -> str:
        return f"(. | {self._formatted(node.text)})"

    def _formatted(self, name: str) -> str:
        if name in {"uri", "html"}:
            return self._helper(f"__ph_{name}")
        return (
            f"@{name}" if name in FORMATS else f"{self._helper('error')}({json.dumps(f'{name} is not a valid format')})"
        )

    def _helper(self, name: str) -> str:
        self.used.add(name)
        return name

    def _location(self, node: JqNode, _: _Scope) -> str:
        return f'{{"file": "<top-level>", "line": {node.value}}}'

    def _variable(self, node: JqNode, scope: _Scope) -> str:
        if node.text not in scope.variables:
            hint = ": write `env`" if node.text == "ENV" else ""
            raise NotJq15(f"has no `${node.text}`{hint}")
        return f"${node.text}"

    def _index(self, node: JqNode, scope: _Scope) -> str:
        term, key = node.parts
        assert key is not None
        text = self.write(key, scope)
        if not (key.kind == "constant" and isinstance(key.value, str)):
            text = f"{text} | {self._helper('__ph_key')}"
        return f"{self._subject(term, scope)}[{text}]{'?' * node.optional}"

    def _each(self, node: JqNode, scope: _Scope) -> str:
        return f"{self._subject(node.parts[0], scope)}[]{'?' * node.optional}"

    def _slice(self, node: JqNode, scope: _Scope) -> str:
        term, start, end = node.parts
        bounds = ["" if bound is None else f"({self.write(bound, scope)})" for bound in (start, end)]
        return f"{self._subject(term, scope)}[{bounds[0]}:{bounds[1]}]{'?' * node.optional}"

    def _subject(self, node: JqNode | None, scope: _Scope) -> str:
        """Return a term that can be followed by a bracket."""
        assert node is not None
        text = self.write(node, scope)
        return text if node.kind in {"identity", "index", "each", "slice"} else f"({text})"

    def _array(self, node: JqNode, scope: _Scope) -> str:
        return "[]" if node.parts[0] is None else f"[{self.write(node.parts[0], scope)}]"

    def _object(self, node: JqNode, scope: _Scope) -> str:
        pairs, is_known = [], True
        for pair in node.parts:
            assert pair is not None
            is_known = is_known and all(map(is_constant, pair.parts))
            key_node = bare(pair.parts[0])
            if is_known and key_node is not None and not isinstance(key_node.value, str):
                return self._helper("__ph_crash")  # jq 1.5 makes the object while it compiles
            key, value = self._all(pair, scope)
            pairs.append(f"({key}): ({value})")
        return "{" + ", ".join(pairs) + "}"

    def _negative(self, node: JqNode, scope: _Scope) -> str:
        return f"(-({self.write(node.parts[0], scope)}))"

    def _choice(self, node: JqNode, scope: _Scope) -> str:
        condition, then, other = self._all(node, scope)
        return f"(if {condition} then {then} else {other} end)"

    def _try(self, node: JqNode, scope: _Scope) -> str:
        body, handler = node.parts
        caught = "" if handler is None else f" catch ({self._handler(handler, scope)})"
        return f"(try ({self.write(body, scope)}){caught})"

    def _handler(self, node: JqNode, scope: _Scope) -> str:
        text = self.write(node, scope)
        return text if is_constant(node) else f"{self._helper('__ph_message')} | {text}"

    def _label(self, node: JqNode, scope: _Scope) -> str:
        body = self.write(node.parts[0], replace(scope, labels=scope.labels | {node.text}))
        return f"(label ${node.text} | {body})"

    def _break(self, node: JqNode, scope: _Scope) -> str:
        if node.text not in scope.labels:
            raise NotJq15(f"knows no label `${node.text}` there")
        return f"(break ${node.text})"

    def _loop(self, node: JqNode, scope: _Scope) -> str:
        source, pattern, *rest = node.parts
        assert pattern is not None
        first = self.write(rest[0], scope)
        inner = scope.with_variables(_variables(pattern))
        steps = [first, *(self.write(part, inner) for part in rest[1:])]
        return f"({node.kind} ({self.write(source, scope)}) as {self._pattern(pattern, scope)} ({'; '.join(steps)}))"

    def _bind(self, node: JqNode, scope: _Scope) -> str:
        source, pattern, body = node.parts
        assert source is not None
        assert pattern is not None
        names = self._pattern(pattern, scope)
        text = self.write(body, scope.with_variables(_variables(pattern)))
        if not _has_try_at_its_end(source):
            return f"({self.write(source, scope)} as {names} | {text})"
        name = self._continuation()
        rest = self._piped(source, f". as {names} | ${name} | {text}", scope)
        return f"(. as ${name} | {rest})"

    def _pattern(self, node: JqNode, scope: _Scope) -> str:
        if node.kind == "variable":
            return f"${node.text}"
        if node.kind == "list pattern":
            return f"[{', '.join(self._pattern(part, scope) for part in node.parts if part is not None)}]"
        pairs = []
        for pair in node.parts:
            assert pair is not None
            key, inner = pair.parts
            assert inner is not None
            pairs.append(f"({self.write(key, scope)}): {self._pattern(inner, scope)}")
        return "{" + ", ".join(pairs) + "}"

    def _define(self, node: JqNode, scope: _Scope) -> str:
        definition, rest = node.parts
        assert definition is not None
        parameters: tuple[str, ...] = definition.value
        function = _Function()
        own = {f"{definition.text}/{len(parameters)}": function}
        after = self.write(rest, scope.with_functions(own))
        if not function.is_called:
            return after
        inner = scope.with_functions(own | {f"{name.lstrip('$')}/0": _Function() for name in parameters})
        inner = inner.with_variables(name[1:] for name in parameters if name.startswith("$"))
        listed = f"({'; '.join(parameters)})" if parameters else ""
        return f"(def {definition.text}{listed}: {self.write(definition.parts[0], inner)}; {after})"

    def _call(self, node: JqNode, scope: _Scope) -> str:
        name = f"{node.text}/{len(node.parts)}"
        arguments = f"({'; '.join(self._all(node, scope))})" if node.parts else ""
        if name in scope.functions:
            scope.functions[name].is_called = True
            return f"{node.text}{arguments}"
        if name not in NAMES:
            raise NotJq15(_unknown(node.text, len(node.parts)))
        if name in CRASHING:
            self.warnings.append(f"`{node.text}` may crash the agent")
        if name in {"gsub/2", "gsub/3"} and node.parts[0] == JqNode("constant", value=""):
            self.warnings.append("`gsub` with an empty pattern never ends, so the agent hangs")
        self.is_special = self.is_special or name in NUMERIC - {"floor/0"}
        return f"{self._helper(node.text)}{arguments}"

    def _pipe(self, node: JqNode, scope: _Scope) -> str:
        left, right = node.parts
        assert left is not None
        text = self.write(right, scope)
        if not _has_try_at_its_end(left):
            return f"({self.write(left, scope)} | {text})"
        name = self._continuation()
        return f"(def {name}: {text}; {self._piped(left, name, scope)})"

    def _continuation(self) -> str:
        self._continuations += 1
        return f"__ph_{self._continuations}"

    def _piped(self, node: JqNode | None, rest: str, scope: _Scope) -> str:  # noqa: PLR0911 - one for each kind
        """Return `node | rest`. A `try` at the end of `node` also catches errors in `rest`."""
        assert node is not None
        if not _has_try_at_its_end(node):
            return f"({self.write(node, scope)} | {rest})"
        if node.kind in {",", "if", "try"} and not rest.isidentifier():  # these kinds use `rest` more than once
            name = self._continuation()
            return f"(def {name}: {rest}; {self._piped(node, name, scope)})"
        match node.kind:
            case "group":
                return self._piped(node.parts[0], rest, scope)
            case "|":
                inner = self._piped(node.parts[1], rest, scope)
                return self._piped(node.parts[0], inner, scope)
            case ",":
                return f"({self._piped(node.parts[0], rest, scope)}, {self._piped(node.parts[1], rest, scope)})"
            case "if":
                condition, then, other = node.parts
                branches = f"then {self._piped(then, rest, scope)} else {self._piped(other, rest, scope)}"
                return f"(if {self.write(condition, scope)} {branches} end)"
            case "try":
                body, handler = node.parts
                caught = "" if handler is None else f" catch ({self._handler(handler, scope)} | {rest})"
                return f"(try ({self._piped(body, rest, scope)}){caught})"
            case operator:
                name = self._continuation()
                after = f". as ${name}_left | {self._combined(operator, f'${name}_left', f'${name}_right')} | {rest}"
                left = self._piped(node.parts[0], after, scope)
                right = self._piped(node.parts[1], f". as ${name}_right | ${name} | {left}", scope)
                return f"(. as ${name} | {right})"

    def _operation(self, node: JqNode, scope: _Scope) -> str:
        operator = node.kind
        if _has_try_at_its_end(node):
            return self._piped(node, ".", scope)
        left, right = self._all(node, scope)
        if operator in _UPDATES:
            change = self._combined(operator[:-1], ".", "$__ph_value")
            return f"({right} as $__ph_value | {self._helper('__ph_modify')}({left}; {change}))"
        if operator == "|=":
            return f"{self._helper('__ph_modify')}({left}; {right})"
        return self._combined(operator, left, right)

    def _combined(self, operator: str, left: str, right: str) -> str:
        if operator == "*":
            return f"{self._helper('__ph_times')}({left}; {right})"
        if operator == "//":
            return f"{self._helper('__ph_alternative')}({left}; {right})"
        return f"({left} {operator} {right})"

    _writers: ClassVar[dict[str, Callable[[Any, JqNode, _Scope], str]]] = {
        "identity": _identity,
        "group": _group,
        "constant": _constant,
        "string": _string,
        "format": _format,
        "location": _location,
        "variable": _variable,
        "index": _index,
        "each": _each,
        "slice": _slice,
        "array": _array,
        "object": _object,
        "negative": _negative,
        "if": _choice,
        "try": _try,
        "label": _label,
        "break": _break,
        "reduce": _loop,
        "foreach": _loop,
        "bind": _bind,
        "define": _define,
        "call": _call,
        "|": _pipe,
    }


def _variables(pattern: JqNode) -> Iterator[str]:
    if pattern.kind == "variable":
        yield pattern.text
    for part in pattern.parts:
        if part is not None and part.kind != "constant":
            yield from _variables(part.parts[1] if part.kind == "key pattern" and part.parts[1] else part)


def _has_try_at_its_end(node: JqNode | None) -> bool:
    """Return whether a `try` in `node` also catches the errors of code that uses the result of `node`, as in jq 1.5."""
    if node is None:
        return False
    match node.kind:
        case "try":
            return True
        case "group":
            return _has_try_at_its_end(node.parts[0])
        case "|" | "," | "+" | "-" | "*" | "/" | "%" | "==" | "!=" | "<" | ">" | "<=" | ">=":
            return any(map(_has_try_at_its_end, node.parts))
        case "if":
            return any(map(_has_try_at_its_end, node.parts[1:]))
        case _:
            return False


def _unknown(name: str, count: int) -> str:
    counts = sorted(int(each.rpartition("/")[2]) for each in NAMES if each.rpartition("/")[0] == name)
    if not counts:
        return f"has no `{name}`"
    return f"has no `{name}` with {count} argument{'' if count == 1 else 's'}"
