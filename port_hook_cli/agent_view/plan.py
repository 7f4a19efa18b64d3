"""The options of `agent`, parsed and checked."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from port_hook_cli.prediction.message import AgentTransport, AgentVersion


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamPlan:
    """Messages that are shown as they arrive: those of the topics, or the runs that the agent gets by polling.

    `since_s` is seconds since the epoch; without it, a topic is read from its end, and all runs in progress are shown.
    Reading ends after `count` messages. `take_over` allows claiming runs that a running agent would get; `yes` skips
    the question.
    """

    transport: AgentTransport
    since_s: float | None = None
    count: int | None = None
    take_over: bool = False
    yes: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentPlan:
    """What `agent` does. `source` names a message, or says which to read.

    `mapping` is a file, or None for the agent's choice. `to` is where the request is sent instead of the
    mapping's URL. `variables` are names of the environment that expressions may read. Times are seconds; a `timeout_s`
    of 0 is no limit.
    """

    source: str | StreamPlan
    mapping: str | None
    transport: AgentTransport | None
    version: AgentVersion
    response: str | None
    status: int | None
    variables: tuple[str, ...]
    raw: bool
    watch: bool
    send: bool
    to: str | None
    to_its_url: bool
    report: bool
    timeout_s: float
    api_timeout_s: float
    json: bool
    store: Path | None
    org: str | None
    secret_file: str | None
    insecure_api: bool
