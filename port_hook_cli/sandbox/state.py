"""What the sandbox knows: its credentials, actions, runs, entities and settings, and what of it has changed."""

from __future__ import annotations

import hmac
import json
import secrets
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from port_hook_cli.actions.samples import create_vm_action
from port_hook_cli.errors import StoreError
from port_hook_cli.invocations.payload import is_run_id
from port_hook_cli.invocations.records import format_time
from port_hook_cli.runs.ids import make_run_id
from port_hook_cli.sandbox.run import IN_PROGRESS as IN_PROGRESS  # noqa: PLC0414 - a re-export
from port_hook_cli.sandbox.run import Phase, SandboxRun
from port_hook_cli.text.secret import Secret

TOKEN_LIFETIME_S = 3 * 60 * 60
Row = tuple[str, str, Any]
"""A part of the state as a file keeps it: kind, key, and a JSON value or None for what is gone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiEvent:
    """One call that the sandbox answered. `at` is seconds since the epoch, `note` what the call did, in words."""

    at: float
    method: str
    path: str
    status: int
    run_id: str | None = None
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunEvent:
    """One step in the life of a run that the sandbox started. `at` is seconds since the epoch."""

    at: float
    run_id: str
    action: str
    status: str
    note: str


@dataclass(frozen=True, slots=True)
class Given:
    """What a sandbox has from the start: actions, which stand in for the sample, and ids of runs."""

    actions: tuple[Mapping[str, Any], ...]
    runs: tuple[str, ...]


class SandboxState:
    """Credentials, runs, actions and entities of one sandbox. `now` returns seconds since the epoch.

    Whoever keeps the state takes what has changed from `changes`, and gives it back with `restore`.
    """

    def __init__(self, *, now: Callable[[], float], strict_runs: bool, token_lifetime_s: float) -> None:
        self.now = now
        self.client_id = f"sandbox_{secrets.token_hex(8)}"
        self.client_secret = Secret(secrets.token_hex(32))
        self.token_lifetime_s = token_lifetime_s
        self.runs: dict[str, SandboxRun] = {}
        self.actions: dict[str, dict[str, Any]] = {}
        self.entities: dict[tuple[str, str], dict[str, Any]] = {}
        self.organization = _organization(f"org_{secrets.token_hex(8)}")
        self._strict_runs = strict_runs
        self._changes: dict[tuple[str, str], Any] = {}
        self._told: list[RunEvent] = []

    def start_anew(self, *, sample: bool) -> None:
        """Begin as a fresh sandbox does: with its credentials, and, for a `sample`, the action "Create VM"."""
        self.keep("credentials", "", {"id": self.client_id, "secret": self.client_secret.reveal()})
        self.keep("organization", "", self.organization)
        if sample:
            self.add_action(create_vm_action())

    def begin(self, given: Given, rows: Sequence[Row] = ()) -> None:
        """Begin with what a file has, or anew, and with what is given; raises StoreError for a damaged file."""
        try:
            self.restore(rows)
        except ValueError as problem:
            raise StoreError(f"The state file is damaged: {problem}.", hint="Move it away to start anew.") from problem
        if not rows:
            self.start_anew(sample=not given.actions)
        for action in given.actions:
            self.add_action(action)
        for run_id in given.runs:
            if run_id not in self.runs:
                self.add_run(run_id)

    def clear(self) -> None:
        """Forget all but the credentials and the organization's id; tokens that were given stay good."""
        for run in self.runs.values():
            self.keep("run", run.id, None)
            self._forget_logs(run)
        self.runs.clear()
        for identifier in list(self.actions):
            self.remove_action(identifier)
        for key in list(self.entities):
            self.set_entity(*key, None)
        self.organization = _organization(self.organization["id"])

    def restore(self, rows: Iterable[Row]) -> None:
        """Take over what `changes` gave, logs after their runs; raises ValueError for what is no such thing."""
        takers: dict[str, Callable[[str, Any], None]] = {
            "credentials": self._take_credentials,
            "organization": lambda _, value: self.organization.update(value),
            "action": lambda key, value: self.actions.update({key: value}),
            "entity": lambda key, value: self.entities.update({_entity_key(key): value}),
            "run": lambda key, value: self.runs.update({key: SandboxRun.restored(value)}),
            "log": lambda key, value: self.runs[key.partition("#")[0]].logs.append(value),
        }
        for kind, key, value in rows:
            try:
                takers[kind](key, value)
            except (KeyError, TypeError, AttributeError) as problem:
                raise ValueError(f"{kind} {key}: {problem!r}") from problem

    def keep(self, kind: str, key: str, value: Any) -> None:
        """Note that a part has changed; `value` None means that it is gone."""
        self._changes[kind, key] = value

    def changes(self) -> list[Row]:
        """Return every part that has changed since `forget_changes`, as JSON values."""
        return [
            (kind, key, value.saved() if isinstance(value, SandboxRun) else value)
            for (kind, key), value in self._changes.items()
        ]

    def forget_changes(self) -> None:
        """Take what has changed as kept."""
        self._changes.clear()

    def tell(self, run: SandboxRun, note: str) -> None:
        """Note a step in the life of a run, for the onlooker."""
        self._told.append(RunEvent(at=self.now(), run_id=run.id, action=run.action, status=run.status, note=note))

    def take_told(self) -> list[RunEvent]:
        """Return the steps that have been told since the last time."""
        told, self._told = self._told, []
        return told

    def give_token(self) -> str:
        """Return a fresh token, good for `token_lifetime_s` seconds. It carries its end, signed: none is kept."""
        ends = f"{(self.now() + self.token_lifetime_s) * 1000:.0f}.{secrets.token_urlsafe(12)}"
        return f"{ends}.{self._mark(ends)}"

    def is_good(self, token: str | None) -> bool:
        """Whether the sandbox gave this token and it has not expired."""
        ends, _, mark = (token or "").rpartition(".")
        if not hmac.compare_digest(mark.encode("utf-8", "replace"), self._mark(ends).encode()):
            return False
        return self.now() * 1000 < float(ends.partition(".")[0])

    def add_run(self, run_id: str, **fields: Any) -> SandboxRun:
        """Add, or start anew, a run in progress; `fields` are those of `SandboxRun`."""
        now = self.now()
        if run_id in self.runs:
            self._forget_logs(self.runs[run_id])
        run = self.runs[run_id] = SandboxRun(id=run_id, created_at=now, updated_at=now, **fields)
        self.keep("run", run_id, run)
        return run

    def new_run_id(self) -> str:
        """Return an id that no run has."""
        return make_run_id(secrets.choice)

    def update_run(self, run: SandboxRun, said: Mapping[str, Any]) -> None:
        """Set fields of a run, named as Port's API names them, and tell the end of one that was started here."""
        was_ended = run.ended
        run.update(said, self.now())
        self.keep("run", run.id, run)
        if run.ended and not was_ended and run.phase is not Phase.NONE:
            self.tell(run, f"ended {self.now() - run.created_at:.1f} s after it was started")

    def add_log(self, run: SandboxRun, said: Mapping[str, Any], *, by: str | None = None) -> dict[str, Any]:
        """Add an entry to a run's log and return it as Port shows it."""
        log = {
            "id": f"rl_{secrets.token_hex(8)}",
            "runId": run.id,
            **said,
            "createdBy": by or self.client_id,
            "createdAt": format_time(self.now()),
        }
        self.keep("log", _log_key(run.id, len(run.logs)), log)
        run.logs.append(log)
        return log

    def add_action(self, fields: Mapping[str, Any]) -> dict[str, Any]:
        """Add, or replace, an action or automation; `fields` are those that Port's API takes, `identifier` among them.

        What Port sets itself is added where it is not given.
        """
        at = format_time(self.now())
        identifier = str(fields["identifier"])
        action = self.actions[identifier] = {
            "id": self.actions.get(identifier, {}).get("id", f"action_{secrets.token_hex(8)}"),
            **fields,
            **{name: fields.get(name, self.client_id) for name in ("createdBy", "updatedBy")},
            **{name: fields.get(name, at) for name in ("createdAt", "updatedAt")},
        }
        self.keep("action", identifier, action)
        return action

    def remove_action(self, identifier: str) -> None:
        """Forget an action."""
        del self.actions[identifier]
        self.keep("action", identifier, None)

    def set_entity(self, blueprint: str, identifier: str, entity: dict[str, Any] | None) -> None:
        """Set an entity as Port shows it, or forget it."""
        if entity is None:
            del self.entities[blueprint, identifier]
        else:
            self.entities[blueprint, identifier] = entity
        self.keep("entity", json.dumps([blueprint, identifier]), entity)

    def find_run(self, name: str) -> tuple[SandboxRun | None, bool]:
        """Return the run with this id or external id, and whether it was made up just now.

        A run is made up for every well-formed id that is not known, unless the sandbox is strict about runs.
        """
        run = self.runs.get(name) or next((run for run in self.runs.values() if run.external_run_id == name), None)
        if run is None and is_run_id(name) and not self._strict_runs:
            return self.add_run(name), True
        return run, False

    def _forget_logs(self, run: SandboxRun) -> None:
        for number, _ in enumerate(run.logs):
            self.keep("log", _log_key(run.id, number), None)

    def _take_credentials(self, _: str, value: Any) -> None:
        self.client_id, self.client_secret = str(value["id"]), Secret(str(value["secret"]))

    def _mark(self, text: str) -> str:
        return hmac.new(self.client_secret.reveal().encode(), text.encode("utf-8", "replace"), "sha256").hexdigest()


def _organization(identifier: str) -> dict[str, Any]:
    return {"id": identifier, "name": "sandbox", "settings": {}}


def _log_key(run_id: str, number: int) -> str:
    return f"{run_id}#{number:09d}"


def _entity_key(key: str) -> tuple[str, str]:
    blueprint, identifier = json.loads(key)
    return str(blueprint), str(identifier)
