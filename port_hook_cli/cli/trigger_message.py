"""`trigger --kafka`: the message of an action or of a capture is published, or printed."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

from port_hook_cli.cli.exit_codes import ExitCode
from port_hook_cli.cli.trigger_options import TriggerCommand
from port_hook_cli.cli.trigger_view import message_lines, published_lines
from port_hook_cli.errors import UsageError
from port_hook_cli.invocations.models import Exchange
from port_hook_cli.terminal.console import Output, emit, write_content
from port_hook_cli.text.safe import brief
from port_hook_cli.trigger.action import MadeMessage, SignedMessage
from port_hook_cli.trigger.publishing import (
    captured_message,
    open_topic,
    publish,
)
from port_hook_cli.trigger.records import message_record
from port_hook_cli.trigger.remarks import failed_expressions

if TYPE_CHECKING:
    from port_hook_cli.kafka.producer import Published


async def publish_message(made: MadeMessage, asked: TriggerCommand) -> ExitCode:
    """Publish or print the message of a run of an action."""
    message = made.signed(asked.signature.signer(asked.access)(), now=asked.runtime.now())
    for remark in failed_expressions(made.errors, made.masker):
        asked.say(remark)
    return await _publish(message, asked)


async def trigger_captured(captured: Exchange, asked: TriggerCommand) -> ExitCode:
    """Publish or print a captured body, newly signed, instead of an action's message."""
    _refuse_options_of_actions(asked)
    made = captured_message(captured)
    signer = asked.signature.signer(asked.access)
    return await _publish(made.signed(signer(), now=asked.runtime.now()), asked)


async def _publish(message: SignedMessage, asked: TriggerCommand) -> ExitCode:
    for option, value in asked.target.chosen.items():
        if value:
            raise UsageError(
                f"{option} has no effect: a message is published to a topic, and no request is sent.",
                hint=f"Leave out {option}.",
            )
    if not asked.output.sends:
        _print_message(message, asked)
        return ExitCode.OK
    brokers = asked.target.brokers or ()
    async with open_topic(brokers, asked.access, asked.runtime, timeout_s=asked.target.timeout_s) as topic:
        screen = Output(asked.runtime.stdout, asked.runtime.environ)
        if not asked.output.json:
            screen.print(*screen.fit(message_lines(message, topic.name)))
        published = await publish(message, topic, None if asked.signature.no_sign else asked.access.announce)
    _show_published(message, published, asked)
    return ExitCode.OK


def _print_message(message: SignedMessage, asked: TriggerCommand) -> None:
    runtime = asked.runtime
    if message.shown != message.content:
        print("note: secrets are masked, so this is not exactly what would be published", file=runtime.stderr)
    if asked.output.json:
        emit(message_record(message), runtime.stdout)
    else:
        write_content(message.shown, runtime.stdout, end="\n")


def _show_published(message: SignedMessage, published: Published, asked: TriggerCommand) -> None:
    if asked.output.json:
        place = {"brokers": list(asked.target.brokers or ()), **asdict(published)}
        emit(message_record(message, place), asked.runtime.stdout)
        return
    screen = Output(asked.runtime.stdout, asked.runtime.environ)
    screen.print(*screen.fit(published_lines(message.made, published)))


def _refuse_options_of_actions(asked: TriggerCommand) -> None:
    run, workflow = asked.run, asked.workflow
    given: dict[str, object] = {
        "--input": run.input_,
        "--inputs": run.inputs,
        "--entity": run.entity,
        "--event": run.event,
        "--user": run.user,
        "--operation": run.operation,
        "--run-id": run.run_id,
        "--secrets": run.secrets,
        "--outputs": workflow.outputs,
        "--output": workflow.output_of,
        "--respond": workflow.respond,
        "--wait": asked.port.wait_s,
    }
    for option, value in given.items():
        if value:
            raise UsageError(
                f"{option} has no effect: {brief(asked.action)} is a capture, which is published as it was captured.",
                hint="Leave it out.",
            )
