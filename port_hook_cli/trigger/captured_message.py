"""`trigger CAPTURE --kafka`: publishes a captured body, freshly signed, instead of an action's message."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Callable
from contextlib import closing
from typing import Any

from port_hook_cli.captures.documents.request_file import NotARequest, capture_in
from port_hook_cli.captures.documents.truncation import require_whole
from port_hook_cli.captures.store.finder import CaptureUse, Finder
from port_hook_cli.errors import ExitCode, StoreError, UsageError
from port_hook_cli.files.input import read_input
from port_hook_cli.invocations.models import Exchange
from port_hook_cli.javascript.stringify import NotJson
from port_hook_cli.javascript.values import read_json
from port_hook_cli.port_api.settings import Settings
from port_hook_cli.runtime import Runtime
from port_hook_cli.text.safe import brief
from port_hook_cli.text.secret import Masker
from port_hook_cli.trigger.files import is_file
from port_hook_cli.trigger.message_output import MadeMessage
from port_hook_cli.trigger.plan import TriggerPlan
from port_hook_cli.trigger.publishing import publish_made, sign_for

_LAST = "last"
_is_id = re.compile(r"[0-9a-f]{4,32}").fullmatch


def find_captured(plan: TriggerPlan, runtime: Runtime) -> Exchange | None:
    """Return the capture that the plan names, None if it names an action; raises StoreError and UsageError."""
    found = _find(plan.action, runtime)
    if found is not None:
        _refuse_options_of_actions(plan)
    return found


def publish_captured(
    captured: Exchange, plan: TriggerPlan, settings: Callable[[], Settings], runtime: Runtime
) -> ExitCode:
    """Publish or print the body of a capture as a message; raises UsageError for one that is not a JSON object."""
    invocation = require_whole(f"the capture {captured.invocation.id}", captured.invocation)
    payload = captured.payload
    made = MadeMessage(
        action=payload.action or payload.node or "",
        run_id=payload.run_id or "",
        content=sign_for(plan, settings, runtime, _document(invocation.body)),
        synchronized=bool(payload.synchronized),
        agent=payload.via_agent,
        masker=Masker(()),
    )
    return asyncio.run(publish_made(made, plan, settings, runtime))


def _find(name: str, runtime: Runtime) -> Exchange | None:
    if is_file(name, runtime):
        try:
            return capture_in(read_input(name, cwd=runtime.cwd, stdin=runtime.stdin))
        except NotARequest as problem:
            raise StoreError(f"{name} cannot be read: {problem}.") from problem
    if name != _LAST and not _is_id(name):
        return None
    with closing(Finder(None, runtime, CaptureUse.SHOW)) as captures:
        try:
            return captures.find(name).exchange
        except StoreError:
            if name == _LAST:
                raise
            return None  # an action can have such an identifier


def _document(body: bytes) -> Any:
    try:
        document = read_json(body.decode())
    except (UnicodeDecodeError, NotJson, json.JSONDecodeError):
        document = None
    if not isinstance(document, dict):
        raise UsageError("The body of the capture is not a JSON object, so it cannot be a message from Port.")
    return document


def _refuse_options_of_actions(plan: TriggerPlan) -> None:
    given = {
        "--input": plan.inputs,
        "--inputs": plan.inputs_file,
        "--entity": plan.entity_file,
        "--event": plan.event_file,
        "--user": plan.user_file,
        "--operation": plan.operation,
        "--run-id": plan.run_id,
        "--secrets": plan.secrets_file,
        "--outputs": plan.outputs_file,
        "--output": plan.output_texts,
        "--respond": plan.responses,
        "--wait": plan.wait_s,
    }
    for option, value in given.items():
        if value:
            raise UsageError(
                f"{option} has no effect: {brief(plan.action)} is a capture, which is published as it was captured.",
                hint="Leave it out.",
            )
