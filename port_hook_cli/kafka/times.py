"""How long a topic reader waits."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class ReaderTimes:
    """Waits of a topic reader, in seconds.

    - `poll_s`: for a message, before the reader checks whether it should stop.
    - `tend_s`: between checks of the connection and the lag.
    - `pause_after_s`: while too many messages are in progress, before the reader pauses the partitions.
    - `check_s`: for the brokers' response when the connection may be lost.
    - `refused_after_s`: before the first connection fails if all brokers refuse it.
    """

    poll_s: float = 0.2
    tend_s: float = 0.5
    pause_after_s: float = 2.0
    check_s: float = 1.0
    refused_after_s: float = 1.5


READER_TIMES = ReaderTimes()
