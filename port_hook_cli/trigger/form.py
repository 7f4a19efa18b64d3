"""Fills in the form of an action: defaults for inputs that are not given, and rules that jq computes for this run."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from port_hook_cli.actions.action import BadAction, PortAction
from port_hook_cli.actions.inputs import (
    Rules,
    Violation,
    as_sent,
    default_queries,
    missing,
    plain_defaults,
    rule_queries,
    seen_form,
    settle,
)
from port_hook_cli.actions.retargeting import same
from port_hook_cli.actions.schema import Fault, fault_message
from port_hook_cli.actions.templates import JqError, Undefined

Evaluate = Callable[[Sequence[str], Any], Awaitable[Sequence[Any]]]
"""Runs jq programs over a JSON value; returns a value, UNDEFINED or a JqError for each."""

Check = Callable[[Mapping[str, Any], Any], Sequence[Fault]]
"""Checks a value against a declaration; raises BadAction for a declaration that is not a valid schema."""

# A default may depend on another default, which may depend on a third one.
_MAX_ROUNDS = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Filled:
    """A form with its defaults and its rules; `errors` are the jq programs that failed.

    `computed` names the inputs whose default jq computed, possibly from other inputs.
    """

    values: Mapping[str, Any]
    rules: Rules
    errors: tuple[JqError, ...] = field(default=())
    computed: frozenset[str] = frozenset()

    def violations(self, check: Check) -> list[Violation]:
        """Return all faults for which Port would reject the inputs.

        If a given value is faulty, faults of computed defaults are left out: the given value may be their cause.
        """
        found = self._all_violations(check)
        return [each for each in found if each.input not in self.computed] or found

    def _all_violations(self, check: Check) -> list[Violation]:
        """Return the violations of all inputs. Null counts as no value."""
        found = list(missing(self.rules, self.values))
        for name, value in self.values.items():
            rules = self.rules.declared.get(name)
            if rules is None or value is None:
                continue
            try:
                faults = check(rules, as_sent(rules, value))
            except BadAction as error:
                raise BadAction(f"declares its input {name} incorrectly, {error}") from error
            found += [Violation(name, fault_message(fault)) for fault in faults]
        return found


async def fill(action: PortAction, given: Mapping[str, Any], *, data: Mapping[str, Any], evaluate: Evaluate) -> Filled:
    """Return the form of `action` with the inputs `given`. jq gets `form` and the `data`: `entity` and `user`."""
    declared = action.inputs or {}
    values = {**given, **plain_defaults(declared, given)}
    results: dict[str, Any] = {}

    async def run(queries: Sequence[str]) -> None:
        if queries:
            outcomes = await evaluate(queries, {"form": seen_form(declared, values), **data})
            results.update(zip(queries, outcomes, strict=True))

    queries = default_queries(declared, values)
    for _ in range(_MAX_ROUNDS if queries else 0):
        await run(tuple(dict.fromkeys(queries.values())))
        computed = {name: result for name, query in queries.items() if (result := _value(results[query])) is not None}
        if all(name in values and same(values[name], value) for name, value in computed.items()):
            break
        values.update(computed)
    await run(rule_queries(declared, action.required))
    errors = [result for result in results.values() if isinstance(result, JqError)]
    rules = settle(declared, action.required, {query: _value(result) for query, result in results.items()})
    ordered = {name: values[name] for name in (*declared, *values) if name in values}
    return Filled(values=ordered, rules=rules, errors=tuple(errors), computed=frozenset(queries))


def _value(outcome: Any) -> Any:
    return None if isinstance(outcome, JqError | Undefined) else outcome
