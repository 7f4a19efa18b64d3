"""Which topics `--kafka` reads, where it starts, and which consumer groups it may join. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from port_hook_cli.errors import UsageError
from port_hook_cli.kafka.connection import is_usable_text
from port_hook_cli.text.safe import brief

TopicPart: TypeAlias = tuple[str, int]
"""A topic and the number of a partition."""

_WATCH = "port-hook.watch"


@dataclass(frozen=True, slots=True, kw_only=True)
class KafkaPlan:
    """The topics to read, and how.

    Without a `group`, all partitions are watched: nothing is taken from other consumers, and nothing is committed.
    Reading starts where the last listener with the same store stopped, or at the end if there was none; `since_s`
    (seconds since the epoch) starts with the messages from then on, and `from_end` always at the end. A group starts
    where it has committed. A partition without a commit starts at the end, or where `since_s` says. A watcher looks for
    new partitions and topics every `look_for_partitions_s` seconds. The brokers remove a group
    member after `session_timeout_s` seconds without a heartbeat.
    """

    org_id: str
    topics: tuple[str, ...]
    group: str | None = None
    since_s: float | None = None
    from_end: bool = False
    look_for_partitions_s: float = 30.0
    session_timeout_s: float = 10.0

    @property
    def group_id(self) -> str:
        """The group's id for the client. Brokers let an organization use only groups that start with its id."""
        return self.group or f"{self.org_id}.{_WATCH}"


def is_agents_group(group: str, *, org_id: str, username: str) -> bool:
    """Return whether the execution agent may use this group: its name is the user name or the organization's id."""
    return group in {org_id, username}


def check_group(group: str, *, org_id: str, username: str, user: str) -> None:
    """Raise UsageError if Port's brokers would refuse the group. `user` is for the suggestion."""
    if not (group.isprintable() and is_usable_text(group or "-")):
        raise UsageError(f"{brief(group)} is not the name of a group.", hint="Use letters, digits, dots and dashes.")
    if not group.startswith(org_id) and group != (username or org_id):
        raise UsageError(
            f"Port's brokers refuse the group {brief(group)}: its name must start with {brief(org_id)}.",
            hint=f"Use, for example, --group {brief(org_id)}.port-hook.{brief(user)}",
        )
