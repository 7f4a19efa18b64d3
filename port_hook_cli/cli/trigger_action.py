"""`trigger` of an action or automation: sends or prints its request, publishes its message, or lets Port run it."""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

from port_hook_cli.actions.action import PortAction
from port_hook_cli.cli.exit_codes import ExitCode
from port_hook_cli.cli.trigger_options import TriggerCommand, refuse_given
from port_hook_cli.cli.trigger_view import message_lines, published_lines, request_lines, response_lines
from port_hook_cli.errors import UsageError
from port_hook_cli.files.user_files import is_file
from port_hook_cli.invocations.models import Delivery, Invocation
from port_hook_cli.runs.fate import RunFate
from port_hook_cli.runs.ids import make_run_id
from port_hook_cli.runtime import Runtime
from port_hook_cli.terminal.console import emit, tell, write_content
from port_hook_cli.text.remark import MOST_ALIKE, Remark, note
from port_hook_cli.text.safe import brief
from port_hook_cli.text.secret import LONGEST_CUT, Masker, masked_errors
from port_hook_cli.trigger.action import (
    Made,
    MadeMessage,
    SignedMessage,
    Unmet,
    address,
    dispatch,
    make,
    require_event,
)
from port_hook_cli.trigger.invoker import Invoker
from port_hook_cli.trigger.open_invoker import invoking
from port_hook_cli.trigger.records import invocation_record, message_record, unmet_record
from port_hook_cli.trigger.remarks import action_differences, action_remarks, failed_expressions
from port_hook_cli.trigger.run_data import RunData

if TYPE_CHECKING:
    from pathlib import Path

    from port_hook_cli.engines.renderer import Renderer


async def trigger_action(action: PortAction, asked: TriggerCommand, renderer: Renderer) -> ExitCode:
    """Run `trigger` for an action, and close `renderer`.

    Raises a PortHookError for a problem with a file, a setting, an input, a template or Port.
    """
    refuse_given(asked.run.for_workflows, f"is for workflows, and {asked.action} is an action.")
    data = asked.run.read(action, asked.runtime)
    with masked_errors(Masker(data.secret_values(action))):
        if asked.port.via_port:
            from port_hook_cli.cli.trigger_in_port import run_action_in_port

            return await run_action_in_port(action, data, asked)
        require_event(action, data)
        if asked.port.wait_s:
            from port_hook_cli.trigger.sandbox_run import require_sandbox

            await require_sandbox(asked.access)
        for remark in (
            *action_remarks(action, data),
            *_input_remarks(action, asked.run.typed_inputs, asked.runtime.cwd),
            *action_differences(action),
        ):
            asked.say(remark)
        with invoking(lambda: asked.access.secret, strict=asked.run.strict, renderer=renderer) as invoker:
            made = await _make(action, data, invoker, asked)
        if isinstance(made, Unmet):
            return tell_unmet(made, asked.runtime, as_json=asked.output.json)
        if isinstance(made, MadeMessage):
            return await _publish(made, asked)
        return await _send(made, asked)


def _input_remarks(action: PortAction, typed: Sequence[str], cwd: Path) -> Iterator[Remark]:
    """Yield remarks on a text that names a file, and on a secret that others can see."""
    given = {text.partition("=")[0].removesuffix(":") for text in typed}
    for name, mark, file in (text.partition("=@") for text in typed):
        if mark and is_file(file, cwd):
            yield note(f"{brief(name)} is the text @{brief(file)}. --input @FILE reads a JSON object of all inputs")
    declared = action.inputs or {}
    if any(
        name in given and isinstance(rules, Mapping) and rules.get("encryption") for name, rules in declared.items()
    ):
        yield note("other users of this machine can see a secret in --input. Pass a JSON object with --input @FILE")


async def _make(
    action: PortAction, data: RunData, invoker: Invoker, asked: TriggerCommand
) -> Made | MadeMessage | Unmet:
    run_id, now = asked.run.run_id or make_run_id(secrets.choice), asked.runtime.now()
    if not asked.target.brokers and not action.is_message:
        target = asked.target.read()
        any_url = not target.to_its_url or target.chosen(action.identifier) is not None
        return await make(action, data, invoker, run_id=run_id, now=now, any_url=any_url)
    if not asked.target.brokers and asked.output.sends:
        raise UsageError(
            f"Port invokes the action {action.identifier} over Kafka: it publishes a message instead of "
            "sending a request.",
            hint="Publish it with --to kafka://HOST:PORT, or print it with --dry-run.",
        )
    from port_hook_cli.trigger.publishing import make_message

    return await make_message(action, data, invoker, run_id=run_id, now=now)


async def _send(made: Made, asked: TriggerCommand) -> ExitCode:
    runtime, sends = asked.runtime, asked.output.sends
    for remark in made.remarks:
        asked.say(remark)
    target = replace(asked.targets(), is_lenient=not sends)
    signer = asked.signature.signer(asked.access)
    ready = address(made, target, signer, id=runtime.new_id(), now=runtime.now())
    if not sends:
        record = invocation_record(ready) if asked.output.json else None
        return print_request(ready.invocation, ready.url, made.masker, asked, record)
    asked.show(request_lines(ready))
    from port_hook_cli.http.client import HttpClient

    announce = asked.announce
    async with HttpClient(timeout_s=asked.target.timeout_s) as client:
        delivery = await dispatch(ready, client, announce)
    run_id, waits, ended = made.request.run_id, ready.fate(delivery) is RunFate.WAITS, None
    if waits and announce is not None and made.is_announced:
        from port_hook_cli.trigger.sandbox_run import ended_in_sandbox

        ended = await ended_in_sandbox(asked.access, run_id)
    if asked.output.json:
        emit(invocation_record(ready, delivery, ended=ended), runtime.stdout)
    else:
        conflict = asked.signature.conflict(asked.access)
        asked.show(response_lines(ready, delivery, source=asked.action, conflict=conflict, ended=ended))
    if not (waits and asked.port.wait_s):
        return _exit_code(delivery)
    if not delivery.ok:
        asked.say(note(f"the run is not followed, because the handler responded with {delivery.status}"))
        return _exit_code(delivery)
    return await _follow(made.action.identifier, run_id, asked)


async def _follow(action: str, run_id: str, asked: TriggerCommand) -> ExitCode:
    from port_hook_cli.cli.trigger_in_port import follow_action_here

    return await follow_action_here(action, run_id, asked)


def tell_unmet(unmet: Unmet, runtime: Runtime, *, as_json: bool) -> ExitCode:
    """Print why an automation or workflow doesn't run for its event, and return the exit code."""
    if as_json:
        emit(unmet_record(unmet), runtime.stdout)
        return ExitCode.NOT_TRIGGERED
    tell(f"The condition of {brief(unmet.action)} is not met, so no request is sent:", runtime)
    for each in unmet.expressions[:MOST_ALIKE]:
        tell(f"  {brief(each.expression, LONGEST_CUT)} {brief(each.reason, LONGEST_CUT)}", runtime)
    if (left_out := len(unmet.expressions) - MOST_ALIKE) > 0:
        tell(f"note: {left_out} more expressions are not shown", runtime)
    return ExitCode.NOT_TRIGGERED


def print_request(
    request: Invocation, to: str, masker: Masker, asked: TriggerCommand, record: Mapping[str, Any] | None
) -> ExitCode:
    """Print a request instead of sending it: as its `record`, if there is one, in a format of `export`, or as HTTP."""
    from port_hook_cli.invocations.masking import masked_request
    from port_hook_cli.invocations.targets import masked_url, sendable_url

    runtime, shown, url = asked.runtime, masked_request(request, masker), masked_url(to, masker.text)
    if (shown.headers, shown.body, url) != (request.headers, request.body, to):
        print("note: secrets are masked, so this is not exactly what would be sent", file=runtime.stderr)
    if record is not None:
        emit(record, runtime.stdout)
    elif asked.output.output is not None:
        from port_hook_cli.captures.exports.formats import write_request

        write_content(write_request(asked.output.output, shown, sendable_url(url)), runtime.stdout)
    else:
        from port_hook_cli.invocations.view import request_text

        content = request_text(shown, sendable_url(url))
        write_content(content, runtime.stdout, environ=runtime.environ, end="\n")
    return ExitCode.OK


def _exit_code(delivery: Delivery) -> ExitCode:
    if delivery.fault == "unreachable":
        return ExitCode.TARGET
    return ExitCode.OK if delivery.ok else ExitCode.FAILED


async def _publish(made: MadeMessage, asked: TriggerCommand) -> ExitCode:
    """Publish or print the message for a run of an action."""
    message = made.signed(asked.signature.signer(asked.access)(), now=asked.runtime.now())
    for remark in failed_expressions(made.errors, made.masker):
        asked.say(remark)
    refuse_given(asked.target.chosen, "has no effect: a message is published to a topic, and no request is sent.")
    if not asked.output.sends:
        _print_message(message, asked.runtime, as_json=asked.output.json)
        return ExitCode.OK
    from port_hook_cli.trigger.publishing import open_topic, publish

    async with open_topic(asked.target.brokers, asked.access, asked.runtime, timeout_s=asked.target.timeout_s) as topic:
        asked.show(message_lines(message, topic.name))
        published = await publish(message, topic, asked.announce)
    if asked.output.json:
        place = {"brokers": list(asked.target.brokers), **asdict(published)}
        emit(message_record(message, place), asked.runtime.stdout)
    else:
        asked.show(published_lines(made, published))
    if asked.port.wait_s:
        return await _follow(made.action, made.run_id, asked)
    return ExitCode.OK


def _print_message(message: SignedMessage, runtime: Runtime, *, as_json: bool) -> None:
    if message.shown != message.content:
        print("note: secrets are masked, so this is not exactly what would be published", file=runtime.stderr)
    if as_json:
        emit(message_record(message), runtime.stdout)
    else:
        write_content(message.shown, runtime.stdout, end="\n")
