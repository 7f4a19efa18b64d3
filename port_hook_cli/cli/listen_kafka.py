"""The options of `listen` for the Kafka messages of Port's execution agent."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from port_hook_cli.cli.listen_additions import Addition, Listen, ListenOptions
from port_hook_cli.cli.option_groups import NoEffect, option, option_group

if TYPE_CHECKING:
    from port_hook_cli.listener.serving import ListenPlan

_NO_KAFKA = NoEffect("No messages are read", without=("--kafka",))
_NO_GROUP = NoEffect("No group is joined", without=("--group",))


@option_group("Kafka", after="ListenTunnel")
class ListenKafka(ListenOptions):
    """The options for the Kafka messages to read."""

    is_read: Annotated[
        bool,
        option("--kafka", help="Also read the execution agent's Kafka topics, without consuming its messages."),
    ] = False
    since: Annotated[
        str | None,
        option(
            "--since",
            metavar="TIME",
            help="Start with messages since this time: now, 10m, 2h, or 2026-05-01T13:30. Default: where this store's"
            " last listener stopped.",
            no_effect=(_NO_KAFKA,),
        ),
    ] = None
    group: Annotated[
        str | None,
        option(
            "--group",
            metavar="NAME",
            help="Join this consumer group. Its name must start with your organization's ID.",
            no_effect=(_NO_KAFKA,),
        ),
    ] = None
    take_over: Annotated[
        bool,
        option(
            "--take-over",
            help="Join the agent's consumer group. Messages read here don't reach the agent.",
            no_effect=(_NO_KAFKA, _NO_GROUP),
        ),
    ] = False

    @property
    def replaces_tunnel(self) -> bool:
        """Whether messages are read."""
        return self.is_read

    def refuse(self, listen: Listen) -> None:
        """Raise UsageError for a time that cannot be read."""
        self._since_s(listen)

    def addition(self, listen: Listen, plan: ListenPlan) -> Addition:
        """Return the source of the messages, if they are read."""
        del plan
        if not self.is_read:
            return Addition()
        from port_hook_cli.kafka.opening import KafkaOptions, kafka_opening

        options = KafkaOptions(
            group=self.group,
            take_over=self.take_over,
            yes=listen.is_confirmed,
            since_s=self._since_s(listen),
            from_end=self.since == "now",
            forwards=listen.has_handler,
        )
        return Addition(sources=[kafka_opening(listen.runtime, listen.access.client, options, listen.ask)])

    def _since_s(self, listen: Listen) -> float | None:
        if self.since in {None, "now"} or self.since is None:
            return None
        from port_hook_cli.text.durations import parse_since

        return parse_since(self.since, now=listen.runtime.now())
