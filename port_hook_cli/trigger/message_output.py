"""What `trigger --kafka` prints: the message, where it was published, and who ends the run. Secrets are masked."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from port_hook_cli.actions.templates import JqError
from port_hook_cli.runtime import Runtime
from port_hook_cli.terminal.console import Output, emit, write_content
from port_hook_cli.text.secret import Masker
from port_hook_cli.trigger.records import message_record
from port_hook_cli.trigger.view import message_lines, published_lines

if TYPE_CHECKING:
    from port_hook_cli.kafka.producer import Published


@dataclass(frozen=True, slots=True, kw_only=True)
class MadeMessage:
    """The message of a run: its signed bytes, and how its run ends.

    With `agent`, Port's execution agent sends the request that is in it; `synchronized` means that the response ends
    the run. `properties` are those of the run.
    """

    action: str
    run_id: str
    content: bytes
    synchronized: bool
    agent: bool
    masker: Masker
    errors: tuple[JqError, ...] = ()
    properties: Mapping[str, Any] = field(default_factory=dict)

    @property
    def shown(self) -> bytes:
        """The message with its secrets masked."""
        return self.masker.content(self.content)


def print_message(made: MadeMessage, runtime: Runtime, *, json: bool) -> None:
    """Print a message instead of publishing it."""
    if made.shown != made.content:
        print("note: secrets are masked, so this is not exactly what would be published", file=runtime.stderr)
    if json:
        emit_message(made, None, (), runtime)
    else:
        write_content(made.shown, runtime.stdout, end="\n")


def show_message(made: MadeMessage, topic: str, runtime: Runtime) -> None:
    """Show a message before it is published."""
    screen = Output(runtime.stdout, runtime.environ)
    screen.print(*screen.fit(message_lines(made.action, made.run_id, topic=topic, content=made.shown)))


def show_published(
    made: MadeMessage, published: Published, brokers: Sequence[str], runtime: Runtime, *, json: bool
) -> None:
    """Print where a message is, and what ends its run in Port."""
    if json:
        emit_message(made, published, brokers, runtime)
        return
    screen = Output(runtime.stdout, runtime.environ)
    lines = published_lines(str(published), made.run_id, agent=made.agent, synchronized=made.synchronized)
    screen.print(*screen.fit(lines))


def emit_message(made: MadeMessage, published: Published | None, brokers: Sequence[str], runtime: Runtime) -> None:
    """Print the record of a message."""
    place = None
    if published is not None:
        place = {
            "brokers": list(brokers),
            "topic": published.topic,
            "partition": published.partition,
            "offset": published.offset,
        }
    record = message_record(
        made.action,
        made.run_id,
        made.masker.value(json.loads(made.content)),
        synchronized=made.synchronized,
        agent=made.agent,
        errors=[(error.expression.strip(), made.masker.message(error.message)) for error in made.errors],
        published=place,
    )
    emit(record, runtime.stdout)
