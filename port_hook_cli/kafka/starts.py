"""Where to start reading partitions."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from threading import Event
from typing import TypeAlias

from port_hook_cli.invocations.models import Partition
from port_hook_cli.kafka.client import Consumer, KafkaException, TopicPartition
from port_hook_cli.kafka.plan import KafkaPlan
from port_hook_cli.kafka.trouble import error_text

TopicPart: TypeAlias = tuple[str, int]
"""A topic and the number of a partition."""

CALL_TIMEOUT_S = 10.0
_ASK_AGAIN_S = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class GivenPartitions:
    """The partitions of this reader, each with the offset of its next message. `lag` is how many messages wait.

    `shortened` are partitions that end before the position that was kept, `lost` how many messages the broker deleted
    before they were read. `finds_none` says that there are messages, but none since the plan's time.
    """

    cluster: str
    starts: Mapping[TopicPart, int]
    lag: int = 0
    shortened: Sequence[TopicPart] = ()
    lost: int = 0
    is_resumed: bool = False
    finds_none: bool = False


@dataclass(frozen=True, slots=True)
class StartFinder:
    """Finds where to start reading partitions.

    For a group, it asks the brokers again every `ask_again_s` seconds until they respond.
    """

    consumer: Consumer
    cluster: str
    plan: KafkaPlan
    start_at: Callable[[Partition], int | None]
    ask_again_s: float = _ASK_AGAIN_S

    def find(self, parts: Sequence[TopicPart], *, are_new: bool = False) -> GivenPartitions:
        """Return the first offset of each partition; `are_new` says that they did not exist at the start."""
        since = self._offsets_since(parts) if self.plan.since_s is not None else {}
        has_own_start = are_new or self.plan.from_end or self.plan.since_s is not None
        starts: dict[TopicPart, int] = {}
        shortened: list[TopicPart] = []
        lag = lost = held = 0
        is_resumed = False
        for part in parts:
            low, high = self.consumer.get_watermark_offsets(TopicPartition(*part), timeout=CALL_TIMEOUT_S)
            kept = None if has_own_start else self.start_at(Partition(self.cluster, *part))
            default = low if are_new else since.get(part, high)
            start = default if kept is None else min(max(kept, low), high)
            if kept is not None:
                is_resumed = True
                lost += max(0, low - kept)
                shortened += [part] if kept > high else []
            starts[part] = start
            lag += high - start
            held += high - low
        return GivenPartitions(
            cluster=self.cluster,
            starts=starts,
            lag=lag,
            shortened=shortened,
            lost=lost,
            is_resumed=is_resumed,
            finds_none=self.plan.since_s is not None and not are_new and not since and held > 0,
        )

    def find_in_group(
        self, given: list[TopicPartition], stopping: Event, tell: Callable[[str], None]
    ) -> tuple[dict[TopicPart, int], list[TopicPart]] | None:
        """Return where a member of a group starts, and which partitions have no commit.

        Ask until the brokers respond, because messages would be missed or read again from a start that is guessed;
        `tell` gets the first reason why they do not. None if `stopping` is set first.
        """
        is_told = False
        while not stopping.is_set():
            try:
                return self._group_starts(given)
            except KafkaException as error:
                if not is_told:
                    tell(f"the group's positions are not known: {error_text(error.args[0])}; asking again")
                is_told = True
                stopping.wait(self.ask_again_s)
        return None

    def _group_starts(self, given: list[TopicPartition]) -> tuple[dict[TopicPart, int], list[TopicPart]]:
        known = self.consumer.committed(given, timeout=CALL_TIMEOUT_S)
        starts = {(item.topic, item.partition): item.offset for item in known if item.offset >= 0}
        fresh = [(item.topic, item.partition) for item in known if item.offset < 0]
        return starts | dict(self.find(fresh).starts), fresh

    def _offsets_since(self, parts: Sequence[TopicPart]) -> dict[TopicPart, int]:
        moment = round((self.plan.since_s or 0) * 1000)
        wanted = [TopicPartition(*part, moment) for part in parts]
        found = self.consumer.offsets_for_times(wanted, timeout=CALL_TIMEOUT_S)
        return {(item.topic, item.partition): item.offset for item in found if item.offset >= 0}
