"""Makes a request as Port does: checks the inputs, fills in defaults, encrypts secret inputs, renders templates."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Required, TypedDict, Unpack

from port_hook_cli.actions.action import ActionKind, BadAction, PortAction
from port_hook_cli.actions.inputs import Encryption, InvalidInputs, as_seen, as_sent, encryption_of, plaintext_of
from port_hook_cli.actions.request import (
    RenderedMessage,
    RenderedRequest,
    RunContext,
    assemble,
    assemble_message,
    request_template,
    template_data,
)
from port_hook_cli.actions.templates import JqError, Rendering, Undefined
from port_hook_cli.errors import RenderError, UsageError
from port_hook_cli.trigger.form import Check, Filled, fill
from port_hook_cli.workflows.steps import Renders

Encrypt = Callable[[Encryption, bytes], str]
"""Encrypts an input's plaintext; raises SettingsError for a missing or unusable key."""

AUTOMATION_ORIGIN = "AUTOMATION"


class RunParameters(TypedDict, total=False):
    """The parameters of a run; all but `run_id`, `by` and `at` may be left out.

    `properties` are the inputs by name, as `POST /v1/actions/{id}/runs` takes them; `by` is `trigger.by`, `at` the
    time in RFC 3339.
    """

    run_id: Required[str]
    by: Required[Mapping[str, Any]]
    at: Required[str]
    properties: Mapping[str, Any] | None
    entity: Mapping[str, Any] | None
    event: Mapping[str, Any] | None
    operation: str | None
    origin: str
    secrets: Mapping[str, Any] | None


@dataclass(frozen=True, slots=True)
class Unmet:
    """An expression of a condition that an event does not meet; `reason` says what its result was."""

    expression: str
    reason: str


class Invoker:
    """Makes the requests that Port sends for runs of actions and automations.

    An invoker may make several requests at once. With `strict`, an expression that fails raises RenderError instead of
    becoming null. trigger/open_invoker.py creates one with its engines.
    """

    def __init__(self, renderer: Renders, *, check: Check, encrypt: Encrypt, strict: bool = False) -> None:
        self._renderer = renderer
        self._check = check
        self._encrypt = encrypt
        self._strict = strict

    async def request(
        self, action: PortAction, *, any_url: bool = False, **asked: Unpack[RunParameters]
    ) -> RenderedRequest:
        """Return the request of a run, without its signature.

        `any_url` accepts a text that is not a URL, for a request that goes to another target. An automation takes no
        inputs, and its origin is AUTOMATION. Raises InvalidInputs with every violation, RenderError, UsageError for an
        incorrectly declared action, and SettingsError for an encrypted input without a key.
        """
        run, rendering = await self._render(action, **asked)
        return assemble(action, run, rendering.value, rendering.errors, any_url=any_url)

    async def message(self, action: PortAction, **asked: Unpack[RunParameters]) -> RenderedMessage:
        """Return the message of a run of a KAFKA action, without its signature; raises as `request` does."""
        run, rendering = await self._render(action, **asked)
        return assemble_message(action, run, rendering.value, rendering.errors)

    async def for_integration(
        self, action: PortAction, **asked: Unpack[RunParameters]
    ) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
        """Return the rendered invocation method of an INTEGRATION_ACTION, and the inputs as they are sent.

        Raises as `request` does.
        """
        run, rendering = await self._render(action, **asked)
        return (rendering.value if isinstance(rendering.value, Mapping) else {}), run.properties

    async def _render(
        self,
        action: PortAction,
        *,
        run_id: str,
        by: Mapping[str, Any],
        at: str,
        properties: Mapping[str, Any] | None = None,
        entity: Mapping[str, Any] | None = None,
        event: Mapping[str, Any] | None = None,
        operation: str | None = None,
        origin: str = "UI",
        secrets: Mapping[str, Any] | None = None,
    ) -> tuple[RunContext, Rendering]:
        """Return the run with its inputs as they are sent, and the rendered templates."""
        is_automation = action.kind is ActionKind.AUTOMATION
        run = RunContext(
            id=run_id,
            by=by,
            at=at,
            origin=AUTOMATION_ORIGIN if is_automation else origin,
            operation=operation or action.operation,
            entity=entity,
            event=event,
            secrets=secrets or {},
        )
        errors: tuple[JqError, ...] = ()
        if not is_automation:
            run, errors = await self._with_inputs(action, run, properties or {})
        elif properties:
            raise UsageError(f"The automation {action.identifier} takes no inputs.", hint="It runs for an event.")
        data = template_data(action, run)
        rendering = await self._renderer.arender_and_tell(request_template(action), data, strict=self._strict)
        return run, Rendering(value=rendering.value, errors=(*errors, *rendering.errors))

    @property
    def renderer(self) -> Renders:
        """The renderer, for whoever renders more than an action's request."""
        return self._renderer

    async def inputs(self, action: PortAction, run: RunContext) -> Mapping[str, Any]:
        """Return the inputs of a form as templates see them: checked, with defaults; raises as `request` does."""
        filled, _ = await self._with_inputs(action, run, run.properties)
        return filled.inputs or {}

    async def unmet(self, action: PortAction, event: Mapping[str, Any] | None) -> Sequence[Unmet]:
        """Return the expressions of an automation's condition that `event` does not meet; empty if the automation runs.

        An expression is met if its result is neither false nor null nor missing.
        """
        condition = action.condition or {}
        expressions = condition.get("expressions")
        if action.kind is not ActionKind.AUTOMATION or condition.get("type") != "JQ" or not expressions:
            return ()
        if not isinstance(expressions, list) or not all(isinstance(each, str) for each in expressions):
            raise UsageError(f"The automation {action.identifier} has a condition that is not a list of expressions.")
        outcomes = await self._renderer.aevaluate(expressions, event)
        unmet = [_unmet(expression, outcome) for expression, outcome in zip(expressions, outcomes, strict=True)]
        found = [each for each in unmet if each is not None]
        return () if condition.get("combinator") == "or" and len(found) < len(expressions) else found

    async def _with_inputs(
        self, action: PortAction, run: RunContext, given: Mapping[str, Any]
    ) -> tuple[RunContext, tuple[JqError, ...]]:
        """Return the run with its inputs, including defaults, and the expressions of the form that failed."""
        user = {"userId": run.by.get("userId"), **_object(run.by.get("user"))}
        data = {"entity": run.entity or {}, "user": user}
        try:
            return await self._filled_in(action, run, given, data)
        except BadAction as error:
            raise UsageError(f"The action {action.identifier} {error}.", hint="Correct the action.") from error
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
            raise RenderError(f"{error.expression}: {error.message}", hint="Correct the `jqQuery` of the input.")
        self._refuse_violations(action, filled)
        return self._encrypted(run, filled), filled.errors

    def _refuse_violations(self, action: PortAction, filled: Filled) -> None:
        if action.inputs is not None and (violations := filled.violations(self._check)):
            raise InvalidInputs(action.identifier, violations)

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


def _unmet(expression: str, outcome: Any) -> Unmet | None:
    if isinstance(outcome, JqError):
        return Unmet(expression, f"failed: {outcome.message}")
    if isinstance(outcome, Undefined):
        return Unmet(expression, "has no result")
    return (
        Unmet(expression, f"is {'null' if outcome is None else 'false'}")
        if outcome is None or outcome is False
        else None
    )


def _object(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}
