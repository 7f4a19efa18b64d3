"""The options of `agent`, in the groups of its help."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from port_hook_cli.invocations.forwarding import read_target
from port_hook_cli.prediction.message import AgentTransport, AgentVersion

if TYPE_CHECKING:
    from port_hook_cli.agent.performing import AgentTarget
    from port_hook_cli.cli.agent_screen import AgentForm


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentReading:
    """How the message is read."""

    transport: AgentTransport | None
    agent_version: AgentVersion
    store: Path | None


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentArrivals:
    """Messages that arrive."""

    kafka: bool
    poll: bool
    since: str | None
    count: int | None
    take_over: bool
    yes: bool

    def since_s(self, now: float) -> float | None:
        """Return `--since` in seconds since the epoch. Raises UsageError."""
        from port_hook_cli.text.durations import parse_since

        return None if self.since is None else parse_since(self.since, now=now)


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentMappingFile:
    """The mapping file, and what its expressions can read."""

    mapping: str | None
    env: list[str] | None
    watch: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentResponses:
    """The response whose reports are shown."""

    status: int | None
    response: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentSending:
    """Where the request is sent."""

    send: bool
    to: str | None
    to_its_url: bool
    timeout_s: float

    def target(self) -> AgentTarget:
        """Return the target. Raises UsageError."""
        from port_hook_cli.agent.performing import AgentTarget

        return AgentTarget(None if self.to is None else read_target(self.to, "--to"), self.to_its_url)


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentReporting:
    """Reports to Port."""

    report: bool
    api_timeout_s: float
    insecure_api: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentSecret:
    """The client secret."""

    secret_file: str | None
    org: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentOutput:
    """What is printed."""

    raw: bool
    json: bool

    @property
    def form(self) -> AgentForm:
        """What is printed for each message."""
        from port_hook_cli.cli.agent_screen import AgentForm

        return AgentForm.BYTES if self.raw else AgentForm.RECORD if self.json else AgentForm.TEXT
