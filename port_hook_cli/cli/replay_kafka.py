"""`replay --to kafka://…`: publishes the bodies of requests as Port's Kafka messages, newly signed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING

from port_hook_cli.cli.exit_codes import ExitCode
from port_hook_cli.cli.option_groups import refuse_contradictions
from port_hook_cli.cli.replay_options import (
    ReplayChanges,
    ReplayOutput,
    ReplayResponses,
    ReplaySeries,
    ReplaySignature,
    ReplaySources,
)
from port_hook_cli.cli.trigger_view import message_lines, published_lines
from port_hook_cli.errors import UsageError
from port_hook_cli.kafka.producer import brokers_in
from port_hook_cli.port_api.access import PortAccess
from port_hook_cli.replay.rewriting import ReadyReplay
from port_hook_cli.replay.sending import announce
from port_hook_cli.runtime import Runtime
from port_hook_cli.terminal.console import Output, emit, write_content
from port_hook_cli.trigger.publishing import captured_message, open_topic, publish
from port_hook_cli.trigger.records import message_record

if TYPE_CHECKING:
    from port_hook_cli.signatures.signing import Signer


class KafkaTarget:
    """The brokers in `--to kafka://HOST:PORT,…`. Raises UsageError for a broker that is not on this machine."""

    def __init__(self, to: str) -> None:
        self._brokers = brokers_in(to)

    def refuse(
        self,
        places: ReplaySources,
        changes: ReplayChanges,
        responses: ReplayResponses,
        repeated: ReplaySeries,
        signature: ReplaySignature,
    ) -> None:
        """Raise UsageError for options about requests, responses and series."""
        if places.missed:
            raise UsageError("--missed sends requests, and cannot publish messages.", hint="Leave out --to kafka://….")
        given = {
            "--method": changes.method is not None,
            "--header": bool(changes.header),
            "--compare": responses.compare,
            "--expect-status": responses.expect_status is not None,
            "--times": repeated.times > 1,
            "--concurrency": repeated.concurrency > 1,
            "--rate": repeated.rate is not None,
            "--as-captured": signature.as_captured,
        }
        refuse_contradictions(pointless={"Messages are published, and no request is sent": given})

    async def send(
        self,
        readies: Sequence[ReadyReplay],
        signer: Signer | None,
        timeout_s: float,
        output: ReplayOutput,
        access: PortAccess,
        runtime: Runtime,
    ) -> ExitCode:
        """Publish the bodies of requests, or print the messages with --dry-run.

        Raises SourceError for a body that is not a JSON object, and the errors of `open_topic` and `publish`.
        """
        made = [captured_message(ready.source.shown, ready.draft) for ready in readies]
        messages = [each.signed(signer, now=runtime.now()) for each in made]
        if output.dry_run:
            for message in messages:
                write_content(message.content, runtime.stdout, end="\n")
            return ExitCode.OK
        await announce(readies, access)
        screen = Output(runtime.stdout, runtime.environ)
        async with open_topic(self._brokers, access, runtime, timeout_s=timeout_s) as topic:
            for message in messages:
                published = await publish(message, topic)
                if output.json:
                    place = {"brokers": list(self._brokers), **asdict(published)}
                    emit(message_record(message, place), runtime.stdout)
                    continue
                lines = (*message_lines(message, topic.name), *published_lines(message.made, published))
                screen.print(*screen.fit(lines))
                runtime.stdout.flush()
        return ExitCode.OK
