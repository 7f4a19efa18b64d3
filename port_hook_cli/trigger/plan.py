"""What `trigger` was asked for: its options, read and checked, and the data of the run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from port_hook_cli.invocations.snippets import SnippetFormat
from port_hook_cli.signatures.signing import TimestampUnit


@dataclass(frozen=True, slots=True, kw_only=True)
class TriggerPlan:
    """The options of `trigger`, read and checked. Targets are URLs; times are in seconds.

    With `brokers` (`HOST:PORT`), what Port publishes to Kafka is published there instead of being sent.
    `given` has the documents that are values instead of files: `inputs`, `entity`, `event`.
    """

    action: str
    to: str | None
    routes: Mapping[str, str]
    to_its_url: bool
    inputs: Sequence[str]
    inputs_file: str | None
    entity_file: str | None
    event_file: str | None
    user_file: str | None
    operation: str | None
    run_id: str | None
    origin: str
    secrets_file: str | None
    dry_run: bool
    output: SnippetFormat | None
    via_port: bool
    wait_s: float
    strict: bool
    no_sign: bool
    unit: TimestampUnit
    timeout_s: float
    api_timeout_s: float
    json: bool
    org: str | None
    secret_file: str | None
    insecure_api: bool
    outputs_file: str | None = None
    outputs: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    output_texts: Sequence[str] = ()
    responses: Mapping[str, str] = field(default_factory=dict)
    brokers: tuple[str, ...] = ()
    given: Mapping[str, Any] = field(default_factory=dict)

    @property
    def inputs_by_name(self) -> tuple[tuple[str, str | None], ...]:
        """Every input that is read, with the name of its file; `-` is stdin."""
        return (
            ("the action", self.action.partition("#")[0]),
            ("the inputs", self.inputs_file),
            ("the entity", self.entity_file),
            ("the event", self.event_file),
            ("the user", self.user_file),
            ("the secrets", self.secrets_file),
            ("the outputs", self.outputs_file),
            ("the client secret", self.secret_file),
        )

    @property
    def sends(self) -> bool:
        """Whether the request is sent, not only printed."""
        return not self.dry_run and self.output is None


@dataclass(frozen=True, slots=True, kw_only=True)
class Documents:
    """The data of the run from files and options."""

    properties: Mapping[str, Any]
    by: Mapping[str, Any]
    entity: Mapping[str, Any] | None = None
    event: Mapping[str, Any] | None = None
    secrets: Mapping[str, str]
