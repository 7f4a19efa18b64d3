"""How long a reader of topics waits."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class ReaderTimes:
    """Times in seconds.

    - `poll_s`: for a message, before a reader notices that it is to stop.
    - `tend_s`: between two looks at the connection and at the lag.
    - `pause_after_s`: with too much in progress, before the partitions are paused.
    - `check_s`: for the response of brokers whose connection may be lost.
    - `refused_after_s`: before the first connection fails if all brokers refuse it.
    """

    poll_s: float = 0.2
    tend_s: float = 0.5
    pause_after_s: float = 2.0
    check_s: float = 1.0
    refused_after_s: float = 1.5


READER_TIMES = ReaderTimes()
