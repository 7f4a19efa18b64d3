"""Makes the same request as Port: checks the inputs, sets defaults, encrypts secret inputs, and renders templates."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import field, replace
from typing import TYPE_CHECKING, Any

from port_hook_cli.actions.action import ActionKind, BadAction, PortAction
from port_hook_cli.actions.inputs import (
    Encryption,
    Fault,
    InvalidInputs,
    Rules,
    Violation,
    as_seen,
    as_sent,
    default_queries,
    encryption_of,
    fault_message,
    missing,
    plain_defaults,
    plaintext_of,
    rule_queries,
    seen_form,
    settle,
)
from port_hook_cli.actions.request import (
    RenderedMessage,
    RenderedRequest,
    RunContext,
    assemble,
    assemble_message,
    request_template,
    template_data,
)
from port_hook_cli.actions.templates import Rendering
from port_hook_cli.engines.outcomes import JqError, Undefined
from port_hook_cli.errors import RenderError, SourceError, UsageError
from port_hook_cli.frozen import frozen
from port_hook_cli.javascript.values import same
from port_hook_cli.text.secret import cut_message
from port_hook_cli.trigger.run_data import RunData

if TYPE_CHECKING:
    from port_hook_cli.workflows.nodes import Renders

Evaluate = Callable[[Sequence[str], Any], Awaitable[Sequence[Any]]]
"""Runs jq programs over a JSON value. Returns a value, UNDEFINED or a JqError for each program."""

Check = Callable[[Mapping[str, Any], Any], Sequence[Fault]]
"""Checks a value against a declaration. Raises BadAction for a declaration that is not a valid schema."""

# A default may depend on another default, which may depend on a third default.
_MAX_ROUNDS = 5


Encrypt = Callable[[Encryption, bytes], str]
"""Encrypts an input's plaintext. Raises SettingsError for a missing or unusable key."""

AUTOMATION_ORIGIN = "AUTOMATION"


@frozen
class UnmetExpression:
    """An expression in a condition that an event does not meet. `reason` describes the result of the expression."""

    expression: str
    reason: str


class Invoker:
    """Makes the requests that Port sends for runs of actions and automations.

    An invoker may make several requests concurrently. With `strict`, an expression that fails raises RenderError
    instead of becoming null. trigger/open_invoker.py creates an invoker with its engines.
    """

    def __init__(self, renderer: Renders, *, check: Check, encrypt: Encrypt, strict: bool = False) -> None:
        self._renderer = renderer
        self._check = check
        self._encrypt = encrypt
        self._strict = strict

    async def request(
        self, action: PortAction, data: RunData, *, run_id: str, at: str, any_url: bool = False
    ) -> RenderedRequest:
        """Return the unsigned request of a run that started at `at` (a time in RFC 3339).

        `any_url` accepts text that is not a URL, if the request goes to another target. An automation does not accept
        inputs, and its origin is AUTOMATION. Raises InvalidInputs with every violation, RenderError, UsageError for an
        incorrectly declared action, and SettingsError for an encrypted input without a key.
        """
        run, rendering = await self._render(action, data, run_id, at)
        return assemble(action, run, rendering.value, rendering.errors, any_url=any_url)

    async def message(self, action: PortAction, data: RunData, *, run_id: str, at: str) -> RenderedMessage:
        """Return the unsigned message of a run of a KAFKA action. Raises the same errors as `request`."""
        run, rendering = await self._render(action, data, run_id, at)
        return assemble_message(action, run, rendering.value, rendering.errors)

    async def for_integration(
        self, action: PortAction, data: RunData, *, run_id: str, at: str
    ) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
        """Return the rendered invocation method of an INTEGRATION_ACTION, and the inputs to send.

        Raises the same errors as `request`.
        """
        run, rendering = await self._render(action, data, run_id, at)
        return (rendering.value if isinstance(rendering.value, Mapping) else {}), run.properties

    async def _render(self, action: PortAction, data: RunData, run_id: str, at: str) -> tuple[RunContext, Rendering]:
        """Return the run with the inputs to send, and the rendered templates."""
        is_automation = action.kind is ActionKind.AUTOMATION
        run = RunContext(
            id=run_id,
            by=data.by,
            at=at,
            origin=AUTOMATION_ORIGIN if is_automation else data.origin,
            entity=data.entity,
            event=data.event,
            secrets=data.secrets,
        )
        errors: tuple[JqError, ...] = ()
        if not is_automation:
            run, errors = await self._with_inputs(action, run, data.properties)
        elif data.properties:
            raise UsageError(
                f"The automation {action.identifier} does not accept inputs.", hint="It runs for an event."
            )
        seen = template_data(action, run)
        rendering = await self._renderer.arender_and_tell(request_template(action), seen, strict=self._strict)
        return run, Rendering(value=rendering.value, errors=(*errors, *rendering.errors))

    @property
    def renderer(self) -> Renders:
        """The renderer, for callers that render more than an action's request."""
        return self._renderer

    async def inputs(self, form: PortAction, data: RunData, *, at: str) -> Mapping[str, Any]:
        """Return the checked inputs of a workflow's form, including defaults, as the output of its trigger.

        In a workflow, an entity is its identifier (the examples on Port's pages and in its skill files). Raises the
        same errors as `request`.
        """
        run = RunContext(id="", by=data.by, at=at, origin=data.origin)
        filled, _ = await self._with_inputs(form, run, data.properties)
        return filled.properties

    async def unmet(self, action: PortAction, event: Mapping[str, Any] | None) -> Sequence[UnmetExpression]:
        """Return the expressions in an automation's condition that `event` does not meet.

        An event meets an expression if the result is neither false nor null nor missing. Raises SourceError for a
        condition in another format than Port documents, because its result is unknown.
        """
        condition = action.condition
        if action.kind is not ActionKind.AUTOMATION or not condition:
            return ()
        parts = condition if isinstance(condition, Mapping) else {}
        expressions = parts.get("expressions") or []
        is_list = isinstance(expressions, list) and all(isinstance(each, str) for each in expressions)
        if parts.get("type") != "JQ" or not is_list:
            raise SourceError(
                f"The condition of {action.identifier} is not a list of expressions.",
                hint='Write it like {"type": "JQ", "expressions": [".diff.before != null"]}.',
            )
        outcomes = await self._renderer.aevaluate(expressions, event) if expressions else []
        unmet = [_unmet(expression, outcome) for expression, outcome in zip(expressions, outcomes, strict=True)]
        found = [each for each in unmet if each is not None]
        return () if parts.get("combinator") == "or" and len(found) < len(expressions) else found

    async def _with_inputs(
        self, action: PortAction, run: RunContext, given: Mapping[str, Any]
    ) -> tuple[RunContext, tuple[JqError, ...]]:
        """Return the run with its inputs, including defaults, and the expressions of the form that failed."""
        user = {"userId": run.by.get("userId"), **_object(run.by.get("user"))}
        data = {"entity": run.entity or {}, "user": user}
        try:
            return await self._filled_in(action, run, given, data)
        except BadAction as error:
            raise SourceError(f"The action {action.identifier} {error}.", hint="Correct the action.") from error
        except RecursionError as error:
            raise UsageError(
                f"The inputs of {action.identifier} are nested too deep.",
                hint="Use fewer levels of `items` or of values.",
            ) from error

    async def _filled_in(
        self, action: PortAction, run: RunContext, given: Mapping[str, Any], data: Mapping[str, Any]
    ) -> tuple[RunContext, tuple[JqError, ...]]:
        filled = await fill(action, given, data=data, evaluate=self._renderer.aevaluate)
        if self._strict and filled.errors:
            error = filled.errors[0]
            query = cut_message(error.expression)
            raise RenderError(f"{query}: {error.message}", hint="Correct the `jqQuery` of the input.")
        if action.inputs is not None and (violations := filled.violations(self._check)):
            raise InvalidInputs(action.identifier, violations)
        return self._encrypted(run, filled), filled.errors

    def _encrypted(self, run: RunContext, filled: Filled) -> RunContext:
        seen, sent, encrypted = {}, {}, []
        for name, value in filled.values.items():
            rules = filled.rules.declared.get(name, {})
            how = encryption_of(name, rules)
            if how is None or value is None:
                seen[name], sent[name] = as_seen(rules, value), as_sent(rules, value)
            else:
                seen[name] = sent[name] = self._encrypt(how, plaintext_of(value))
                encrypted.append(name)
        return replace(run, inputs=seen, properties=sent, encrypted=tuple(encrypted))


def _unmet(expression: str, outcome: Any) -> UnmetExpression | None:
    if isinstance(outcome, JqError):
        return UnmetExpression(expression, f"failed: {outcome.message}")
    if isinstance(outcome, Undefined):
        return UnmetExpression(expression, "has no result")
    return (
        UnmetExpression(expression, f"is {'null' if outcome is None else 'false'}")
        if outcome is None or outcome is False
        else None
    )


def _object(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


@frozen(kw_only=True)
class Filled:
    """A form with its defaults and its rules. `errors` are the jq programs that failed.

    `computed` contains the names of inputs whose default jq computed, possibly from other inputs.
    """

    values: Mapping[str, Any]
    rules: Rules
    errors: tuple[JqError, ...] = field(default=())
    computed: frozenset[str] = frozenset()

    def violations(self, check: Check) -> list[Violation]:
        """Return all errors for which Port would reject the inputs. Null counts as a missing value.

        If a given value is invalid, errors in computed defaults are left out, because the given value may be their
        cause.
        """
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
        return [each for each in found if each.input not in self.computed] or found


async def fill(action: PortAction, given: Mapping[str, Any], *, data: Mapping[str, Any], evaluate: Evaluate) -> Filled:
    """Return the form of `action` with the `given` inputs. jq gets `form` and the `data` (`entity` and `user`)."""
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
