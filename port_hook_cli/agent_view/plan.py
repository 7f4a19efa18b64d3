"""The options of `agent`, parsed and checked."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from port_hook_cli.agent.message import AgentTransport


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentPlan:
    """What `agent` does. `source` is a message; `mapping` is a file, None for the one that the agent would read.

    `to` is where the request is sent instead of the mapping's URL. `variables` are names of the environment that
    expressions may read. Times are seconds; a `timeout_s` of 0 is no limit.
    """

    source: str
    mapping: str | None
    transport: AgentTransport | None
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
