"""`trigger --via-port`: runs the action in Port and follows the run until it ends."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from port_hook_cli.actions.action import ActionKind, BadAction, PortAction
from port_hook_cli.actions.encryption import Scheme
from port_hook_cli.actions.inputs import as_sent, encryption_of, plaintext_of
from port_hook_cli.errors import ExitCode, UsageError
from port_hook_cli.port_api.credentials import open_port_api
from port_hook_cli.port_api.settings import Settings
from port_hook_cli.runs.updates import ended_status
from port_hook_cli.runs.urls import run_page
from port_hook_cli.runtime import Runtime
from port_hook_cli.terminal.console import Output, emit, tell
from port_hook_cli.text.safe import brief, printable
from port_hook_cli.text.styled import Styled
from port_hook_cli.trigger.following import follow
from port_hook_cli.trigger.records import run_record
from port_hook_cli.trigger.view import log_line, run_line

if TYPE_CHECKING:
    from port_hook_cli.trigger.plan import Documents, TriggerPlan

_CONTINUED = 4  # the column in which a long line continues


def run_in_port(
    action: PortAction, documents: Documents, plan: TriggerPlan, settings: Settings, runtime: Runtime
) -> ExitCode:
    """Run `action` through Port's API, which checks the inputs; raises UsageError, SettingsError and PortApiError.

    The exit code is 1 for a run that failed, was declined, or did not end within `plan.wait_s` seconds.
    """
    if action.kind is ActionKind.AUTOMATION:
        raise UsageError(
            f"The automation {action.identifier} is started by its event, not through the API.",
            hint="Cause the event in Port, or run trigger without --via-port.",
        )
    return asyncio.run(_run(action, documents, plan, settings, runtime))


async def _run(
    action: PortAction, documents: Documents, plan: TriggerPlan, settings: Settings, runtime: Runtime
) -> ExitCode:
    logs: list[str] = []

    def notice(text: str) -> None:
        tell(f"note: {printable(text)}", runtime)

    def show(line: str) -> None:
        if not plan.json:
            output = Output(runtime.stdout, runtime.environ)
            output.print(*output.fit([Styled(line)], indent=_CONTINUED))
            runtime.stdout.flush()

    def log(entry: Mapping[str, Any]) -> None:
        logs.append(str(entry.get("message", "")))
        show(log_line(entry))

    async with open_port_api(settings, runtime, timeout_s=plan.api_timeout_s, on_retry=notice) as api:
        run: Mapping[str, Any] = await api.start_run(
            action.identifier, _body(action, documents), run_as=_email(documents, plan)
        )
        show(run_line(run))
        if page := run_page(settings.app_url, str(run.get("id", ""))):
            show(page)
        if plan.wait_s:
            run = await follow(
                api, run, wait_s=plan.wait_s, on_change=lambda changed: show(run_line(changed)), on_log=log
            )
    if plan.json:
        emit(run_record(action.identifier, run, page=page, logs=logs), runtime.stdout)
    return _exit_code(run, plan, runtime)


def _body(action: PortAction, documents: Documents) -> dict[str, Any]:
    """Return the body for `POST /v1/actions/{id}/runs`. Inputs that Port's web page would encrypt are encrypted."""
    entity = documents.entity
    properties = sent_properties(action, documents.properties)
    return {"properties": properties, **({} if entity is None else {"entity": entity["identifier"]})}


def sent_properties(action: PortAction, given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the inputs of a form as Port's web page sends them; raises UsageError and SettingsError."""
    properties = {}
    for name, value in given.items():
        declared = (action.inputs or {}).get(name)
        rules = declared if isinstance(declared, Mapping) else {}
        properties[name] = as_sent(rules, value) if value is None else _encrypted(action, name, rules, value)
    return properties


def _encrypted(action: PortAction, name: str, rules: Mapping[str, Any], value: Any) -> Any:
    try:
        how = encryption_of(name, rules)
    except BadAction as error:
        raise UsageError(f"The action {action.identifier} {error}.", hint="Correct the action.") from error
    if how is None or how.scheme is not Scheme.CLIENT_SIDE:
        return as_sent(rules, value)
    from port_hook_cli.engines import encryption

    key = encryption.read_public_key(f"The `key` of the input {name}", how.key.encode())
    return encryption.encrypt_client_side(key, plaintext_of(value))


def _email(documents: Documents, plan: TriggerPlan) -> str | None:
    """Return the email of the user in the --user file, or None without one: Port needs a real user."""
    if plan.user_file is None:
        return None
    user = documents.by.get("user")
    email = user.get("email") if isinstance(user, Mapping) else None
    if not isinstance(email, str):
        raise UsageError(
            f"{plan.user_file} has no `email`, which Port needs to run the action as that user.",
            hint="Add the email, or omit --user.",
        )
    return email


def _exit_code(run: Mapping[str, Any], plan: TriggerPlan, runtime: Runtime) -> ExitCode:
    if not plan.wait_s:
        return ExitCode.OK
    ended = ended_status(run)
    if ended is None:
        tell(f"error: {brief(str(run.get('id')))} did not end within {plan.wait_s:g} s", runtime)
    return ExitCode.OK if ended == "SUCCESS" else ExitCode.FAILED
