"""What `trigger` does after its options are read: make the request, send or print it, and print the response."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import cache, partial, reduce
from typing import Any

from port_hook_cli.actions.action import ActionKind, PortAction
from port_hook_cli.actions.inputs import form_queries, parse_input, secret_texts
from port_hook_cli.actions.jq_differences import JqDifference, jq_differences, template_differences
from port_hook_cli.actions.request import RenderedRequest, request_template
from port_hook_cli.actions.samples import create_vm
from port_hook_cli.errors import ExitCode, PortHookError, UsageError
from port_hook_cli.invocations.models import Delivery, Headers, Invocation
from port_hook_cli.invocations.records import format_time
from port_hook_cli.invocations.url_text import sendable_url
from port_hook_cli.port_api.credentials import read_settings
from port_hook_cli.port_api.sandbox_notice import tell_sandbox
from port_hook_cli.port_api.settings import ALL_NEEDS, ONLY_THE_SECRET, Settings
from port_hook_cli.runs.ids import make_run_id
from port_hook_cli.runtime import Runtime
from port_hook_cli.signatures.signing import signed_headers
from port_hook_cli.terminal.console import emit, tell
from port_hook_cli.text.safe import brief, printable
from port_hook_cli.text.secret import Masker
from port_hook_cli.trigger.destination import destination
from port_hook_cli.trigger.documents import read_by, read_entity, read_event, read_inputs, read_secrets
from port_hook_cli.trigger.files import FoundWorkflow, find_action, find_in_port, locate, read_given, read_object
from port_hook_cli.trigger.invoker import Invoker, RunParameters, Unmet
from port_hook_cli.trigger.last_outputs import LAST, last_outputs, refuse_missing_outputs
from port_hook_cli.trigger.open_invoker import invoking
from port_hook_cli.trigger.output import (
    Made,
    print_request,
    show_request,
    show_response,
    tell_differences,
    tell_of_agent,
    tell_of_request,
    warn,
)
from port_hook_cli.trigger.plan import Documents, TriggerPlan
from port_hook_cli.trigger.records import unmet_record

_ON_AN_ENTITY = frozenset({"DAY-2", "DELETE"})


def run_trigger(plan: TriggerPlan, runtime: Runtime) -> ExitCode:
    """Carry out `plan`. Raises the PortHookErrors of files, settings, inputs, templates and Port's API."""
    source = locate(plan.action, runtime)
    uses_api = plan.via_port or source.file is None or plan.outputs_file == LAST
    needs = ALL_NEEDS if uses_api or plan.brokers else ONLY_THE_SECRET
    settings = cache(
        partial(
            read_settings,
            runtime,
            org=plan.org,
            secret_file=plan.secret_file,
            needs=needs,
            insecure_api=plan.insecure_api,
        )
    )
    if plan.brokers:
        from port_hook_cli.trigger.captured_message import find_captured, publish_captured

        if (captured := find_captured(plan, runtime)) is not None:
            return publish_captured(captured, plan, settings, runtime)
    action = find_action(source, runtime, settings, via_port=plan.via_port, api_timeout_s=plan.api_timeout_s)
    if isinstance(action, FoundWorkflow):
        return _run_workflow(action, plan, settings, runtime)
    _refuse_options_of_workflows(plan)
    documents = _read_documents(action, plan, runtime)
    secret_values = [*documents.secrets.values(), *secret_texts(action.inputs or {}, documents.properties)]
    for value in secret_values:
        runtime.keep_secret(value)
    masker = Masker(secret_values)
    try:
        if plan.via_port:
            from port_hook_cli.trigger.in_port import run_in_port

            return run_in_port(action, documents, plan, settings(), runtime)
        _refuse_what_cannot_run(action, documents)
        for note in _notes(action, documents, plan):
            tell(f"note: {note}", runtime)
        tell_differences(_differences(action), runtime)
        with invoking(lambda: settings().require_secret(), strict=plan.strict) as invoker:
            return asyncio.run(_trigger(action, documents, plan, invoker, masker, settings, runtime))
    except PortHookError as problem:
        problem.message = masker.message(problem.message)  # messages of jq and Port, and URLs, may contain secrets
        raise


def _refuse_options_of_workflows(plan: TriggerPlan) -> None:
    if plan.wait_s and not plan.via_port:
        raise UsageError("--wait follows a run in Port.", hint="Add --via-port, or leave it out.")
    given = {"--outputs": plan.outputs_file, "--output": plan.output_texts, "--respond": plan.responses}
    for option, value in given.items():
        if value:
            raise UsageError(f"{option} is for workflows, and {plan.action} is an action.", hint="Leave it out.")


def _refuse_options_of_actions(plan: TriggerPlan) -> None:
    given = {"--dry-run": plan.dry_run, "--format": plan.output is not None}
    for option, is_given in given.items():
        if is_given:
            raise UsageError(f"{option} is for actions, and {plan.action} is a workflow.", hint="Leave it out.")


def _run_workflow(
    found: FoundWorkflow, plan: TriggerPlan, settings: Callable[[], Settings], runtime: Runtime
) -> ExitCode:
    from port_hook_cli.trigger.workflow_run import as_action, run_workflow

    _refuse_options_of_actions(plan)
    if plan.via_port:
        found = find_in_port(found, settings(), runtime, api_timeout_s=plan.api_timeout_s)
    elif found.is_in_port:
        tell(f"note: {printable(_source(found))}", runtime)
    outputs = _outputs(found, plan, settings, runtime)
    form = as_action(found.workflow, found.node)
    documents = _read_documents(form, plan, runtime)
    secret_values = [*documents.secrets.values(), *secret_texts(form.inputs or {}, documents.properties)]
    for value in secret_values:
        runtime.keep_secret(value)
    masker = Masker(secret_values)
    try:
        if plan.via_port:
            from port_hook_cli.trigger.workflow_in_port import run_workflow_in_port

            return run_workflow_in_port(found, documents, plan, settings(), runtime, masker=masker)
        return run_workflow(
            found.workflow,
            found.node,
            documents,
            replace(plan, outputs=outputs),
            settings,
            runtime,
            masker=masker,
            new_id=partial(make_run_id, secrets.choice),
        )
    except PortHookError as problem:
        problem.message = masker.message(problem.message)  # jq quotes values, and a URL may contain some
        raise


def _outputs(
    found: FoundWorkflow, plan: TriggerPlan, settings: Callable[[], Settings], runtime: Runtime
) -> dict[str, Mapping[str, Any]]:
    """Return the outputs by node that the options give, or those of the last run with what the options add."""
    from port_hook_cli.trigger.workflow_options import add_output, read_outputs

    if plan.outputs_file != LAST:
        return reduce(add_output, plan.output_texts, read_object(plan.outputs_file, runtime, read_outputs) or {})
    run_id, last = last_outputs(found.workflow, found.node, settings(), runtime, api_timeout_s=plan.api_timeout_s)
    outputs = reduce(add_output, plan.output_texts, last)
    refuse_missing_outputs(found.workflow, found.node or "", outputs, run_id=run_id)
    return outputs


def _source(found: FoundWorkflow) -> str:
    version = "" if found.version is None else f", version {found.version}"
    return f"the workflow {found.workflow.identifier} was read from Port{version}"


def _read_documents(action: PortAction, plan: TriggerPlan, runtime: Runtime) -> Documents:
    properties = read_given("inputs", plan.inputs_file, plan.given, runtime, read_inputs) or {}
    properties |= dict(parse_input(text, action.inputs) for text in plan.inputs)
    event = read_given("event", plan.event_file, plan.given, runtime, read_event)
    default_by: Mapping[str, Any] = create_vm("", at="")["trigger"]["by"]
    if plan.user_file is None and action.kind is ActionKind.AUTOMATION and event is not None:
        trigger = event.get("trigger")
        by = trigger.get("by") if isinstance(trigger, Mapping) else None
        default_by = by if isinstance(by, Mapping) else default_by
    return Documents(
        properties=properties,
        by=read_object(plan.user_file, runtime, partial(read_by, default=default_by)) or default_by,
        entity=read_given("entity", plan.entity_file, plan.given, runtime, read_entity),
        event=event,
        secrets=read_object(plan.secrets_file, runtime, read_secrets, secret=True) or {},
    )


def _refuse_what_cannot_run(action: PortAction, documents: Documents) -> None:
    if action.kind is ActionKind.AUTOMATION and documents.event is None:
        raise UsageError(f"The automation {action.identifier} needs an event.", hint="Give one with --event FILE.")


def _notes(action: PortAction, documents: Documents, plan: TriggerPlan) -> list[str]:
    notes = []
    operation = plan.operation or action.operation
    if action.kind is ActionKind.SELF_SERVICE and operation in _ON_AN_ENTITY and documents.entity is None:
        notes.append(f"a {operation} action needs an entity, and `.entity` is empty; give one with --entity FILE")
    if action.approval:
        notes.append("Port sends this after an approval; trigger sends it immediately")
    if action.condition and action.condition.get("type") != "JQ":
        notes.append("the action's condition, which selects entities, is not checked")
    given = {text.partition("=")[0].removesuffix(":") for text in plan.inputs}
    declared = action.inputs or {}
    if any(
        name in given and isinstance(rules, Mapping) and rules.get("encryption") for name, rules in declared.items()
    ):
        notes.append("other users of this machine can see a secret in --input; use --inputs FILE for a real one")
    return notes


def _differences(action: PortAction) -> tuple[JqDifference, ...]:
    """Return what Port may evaluate differently: in the condition, the form and the templates of an action."""
    listed = (action.condition or {}).get("expressions")
    condition = [each for each in listed if isinstance(each, str)] if isinstance(listed, list) else []
    bare = jq_differences([*condition, *form_queries(action.inputs or {}, action.required)])
    return (*bare, *template_differences(request_template(action)))


async def _trigger(
    action: PortAction,
    documents: Documents,
    plan: TriggerPlan,
    invoker: Invoker,
    masker: Masker,
    settings: Callable[[], Settings],
    runtime: Runtime,
) -> ExitCode:
    if unmet := await invoker.unmet(action, documents.event):
        return _tell_unmet(action, unmet, plan, runtime)
    run_id = plan.run_id or make_run_id(secrets.choice)
    asked = RunParameters(
        run_id=run_id,
        by=documents.by,
        at=format_time(runtime.now()),
        properties=documents.properties,
        entity=documents.entity,
        event=documents.event,
        operation=plan.operation,
        origin=plan.origin,
        secrets=documents.secrets,
    )

    async def announce(properties: Mapping[str, Any]) -> None:
        if not plan.no_sign and action.kind is ActionKind.SELF_SERVICE:
            await tell_sandbox([_delivery(action, properties, run_id, documents)], settings(), runtime)

    if plan.brokers or action.is_message:
        from port_hook_cli.trigger.publishing import publish_invocation

        return await publish_invocation(action, asked, plan, invoker, masker, settings, runtime, announce)
    to = plan.routes.get(action.identifier, plan.to)
    request = await invoker.request(action, any_url=to is not None, **asked)
    warn(request.errors, masker, runtime)
    tell_of_agent(request, runtime)
    tell_of_request(request, masker, runtime)
    url = destination(request.url, to, to_its_url=plan.to_its_url or not plan.sends)
    made = Made(
        action=action.identifier,
        request=request,
        invocation=_signed(request, plan, settings, runtime),
        url=url,
        masker=masker,
    )
    if not plan.sends:
        print_request(made, plan.output, runtime, json=plan.json)
        return ExitCode.OK
    if not plan.json:
        show_request(made, runtime)
    await announce(request.properties)
    delivery = await _send(made, plan.timeout_s)
    conflict = "" if plan.no_sign else settings().conflict
    show_response(made, delivery, runtime, json=plan.json, conflict=conflict)
    return _exit_code(delivery)


def _delivery(action: PortAction, properties: Mapping[str, Any], run_id: str, documents: Documents) -> dict[str, Any]:
    entity = documents.entity or {}
    return {
        "runId": run_id,
        "action": action.identifier,
        "blueprint": action.blueprint or entity.get("blueprint"),
        "entity": entity.get("identifier"),
        "properties": dict(properties),
    }


def _signed(
    request: RenderedRequest, plan: TriggerPlan, settings: Callable[[], Settings], runtime: Runtime
) -> Invocation:
    content, now = request.content, runtime.now()
    fields = () if plan.no_sign else signed_headers(content, settings().require_secret(), plan.unit.stamp(now))
    return Invocation(
        id=runtime.new_id(),
        received_at=now,
        method=request.method,
        target="/",
        headers=Headers((*request.headers, *fields)),
        body=content,
    )


async def _send(made: Made, timeout_s: float) -> Delivery:
    from port_hook_cli.http.client import HttpClient

    async with HttpClient(timeout_s=timeout_s) as client:
        return await client.send(made.invocation, sendable_url(made.url))


def _tell_unmet(action: PortAction, unmet: Sequence[Unmet], plan: TriggerPlan, runtime: Runtime) -> ExitCode:
    if plan.json:
        emit(unmet_record(action.identifier, [(each.expression, each.reason) for each in unmet]), runtime.stdout)
    else:
        tell(f"The condition of {brief(action.identifier)} is not met, so no request is sent:", runtime)
        for each in unmet:
            tell(f"  {printable(each.expression)} {printable(each.reason)}", runtime)
    return ExitCode.NOT_TRIGGERED


def _exit_code(delivery: Delivery) -> ExitCode:
    if delivery.fault == "unreachable":
        return ExitCode.TARGET
    return ExitCode.OK if delivery.ok else ExitCode.FAILED
