"""The sandbox's state (credentials, actions, runs, entities and settings), and which of its parts have changed."""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import field
from functools import partial
from typing import Any

from port_hook_cli.actions.samples import create_vm_action
from port_hook_cli.errors import StoreError
from port_hook_cli.frozen import frozen
from port_hook_cli.invocations.payload import is_run_id
from port_hook_cli.invocations.view import format_time
from port_hook_cli.runs.ids import make_run_id
from port_hook_cli.sandbox.call_log import CallLog
from port_hook_cli.sandbox.events import RunEvent
from port_hook_cli.sandbox.limits import DEFAULT_RULES, MAX_STATE_BYTES, ApiRules, StateSize, read_token, signed_token
from port_hook_cli.sandbox.run import MAX_RUNS, UNKNOWN_ACTION, Phase, SandboxRun
from port_hook_cli.sandbox.workflows.book import WorkflowBook
from port_hook_cli.text.durations import format_duration
from port_hook_cli.text.secret import Masker, Secret
from port_hook_cli.workflows.run import WorkflowRun

_UNDER_WAY = frozenset({Phase.PENDING, Phase.SENDING})
ResourceKey = tuple[str, ...]
"""The kind of a resource, and its place within this kind: `("team", name)`."""
Row = tuple[str, str, Any]
"""A part of the state as a file stores it: a kind, a key, and a JSON value, or None if the part was deleted."""


@frozen(kw_only=True)
class InitialData:
    """The data that a sandbox starts with, and that `reset` returns to.

    `actions` replace the sample action. `runs` are the IDs of runs in progress. `secrets` are the secrets of the
    organization. The nodes in `outputs` have these outputs and don't run. `kafka_brokers` (`HOST:PORT`) are
    the brokers in the response of GET /v1/kafka-credentials.
    """

    actions: Sequence[Mapping[str, Any]] = ()
    runs: Sequence[str] = ()
    workflows: Sequence[Mapping[str, Any]] = ()
    blueprints: Sequence[Mapping[str, Any]] = ()
    secrets: Mapping[str, str] = field(default_factory=dict, repr=False)
    outputs: Mapping[str, Mapping[str, Any]] = field(default_factory=dict, repr=False)
    kafka_brokers: Sequence[str] = ()


class SandboxState:
    """The credentials, runs, actions and entities of one sandbox. `now` returns seconds since the epoch.

    `changes` returns the parts to save, and `restore` loads saved parts. `size` is the size of the state.
    """

    def __init__(
        self, rules: ApiRules = DEFAULT_RULES, *, now: Callable[[], float], max_bytes: int = MAX_STATE_BYTES
    ) -> None:
        self.rules = rules
        self.now = now
        self.client_id = f"sandbox_{secrets.token_hex(8)}"
        self.client_secret = Secret(secrets.token_hex(32))
        self.runs: dict[str, SandboxRun] = {}
        self.actions: dict[str, dict[str, Any]] = {}
        self.entities: dict[tuple[str, str], dict[str, Any]] = {}
        self.blueprints: dict[str, dict[str, Any]] = {}
        self.integrations: dict[str, dict[str, Any]] = {}
        self.organization = _organization(make_run_id(secrets.choice, "org_"))
        self.workflows = WorkflowBook(self.record_change, now)
        self.resources: dict[ResourceKey, dict[str, Any]] = {}
        self.secrets: dict[str, str] = {}
        self.outputs: Mapping[str, Mapping[str, Any]] = {}
        self.secret_descriptions: dict[str, str] = {}
        self.kafka_brokers: tuple[str, ...] = ()
        self.has_topic = False
        self.url = ""
        self.size = StateSize(max_bytes)
        self.call_log = CallLog()
        self._masker: Masker | None = None
        self._changes: dict[tuple[str, str], Any] = {}
        self._events: list[RunEvent] = []

    def initialize(self, *, sample: bool) -> None:
        """Record the credentials of a new sandbox. With `sample`, add the sample action "Create VM"."""
        self.record_change("credentials", "", {"id": self.client_id, "secret": self.client_secret.reveal()})
        self.record_change("organization", "", self.organization)
        if sample:
            self.add_action(create_vm_action())

    def begin(self, initial: InitialData, rows: Sequence[Row] = ()) -> None:
        """Load the rows of a file, if any, then add the initial data. Raises StoreError for a damaged file."""
        try:
            self.restore(rows)
        except ValueError as problem:
            raise StoreError(
                f"The state file is damaged: {problem}.",
                hint="Move it to another directory to start with an empty state.",
            ) from problem
        if not rows:
            self.initialize(sample=not initial.actions)
        for action in initial.actions:
            self.add_action(action)
        for blueprint in initial.blueprints:
            self.add_blueprint(blueprint)
        self.secrets, self.kafka_brokers = dict(initial.secrets), tuple(initial.kafka_brokers)
        self.outputs = initial.outputs
        self._masker = None
        for workflow in initial.workflows:
            self.workflows.put(workflow, org=self.organization["id"], by=self.client_id)
        for run_id in initial.runs:
            if run_id not in self.runs:
                self.add_run(run_id)

    def clear(self) -> None:
        """Delete everything except the credentials and the ID of the organization. Issued tokens stay valid."""
        for run in self.runs.values():
            self.record_change("run", run.id, None)
            self._forget_logs(run)
        self.runs.clear()
        for identifier in list(self.actions):
            self.remove_action(identifier)
        for key in list(self.entities):
            self.set_entity(*key, None)
        for identifier in list(self.blueprints):
            self.set_blueprint(identifier, None)
        for resource in list(self.resources):
            self.set_resource(resource, None)
        for identifier in list(self.integrations):
            self.set_integration(identifier, None)
        self.workflows.clear()
        for name in list(self.secrets):
            self.set_secret(name, None)
        self.organization = _organization(self.organization["id"])
        self.call_log.clear()

    def restore(self, rows: Iterable[Row]) -> None:
        """Load rows that `changes` returned. Logs come after their runs. Raises ValueError for invalid rows."""
        loaders: dict[str, Callable[[str, Any], None]] = {
            "credentials": self._load_credentials,
            "organization": lambda _, value: self.organization.update(value),
            "action": lambda key, value: self.actions.update({key: value}),
            "blueprint": lambda key, value: self.blueprints.update({key: value}),
            "integration": lambda key, value: self.integrations.update({key: value}),
            "resource": lambda key, value: self.resources.update({_resource_key(key): value}),
            "entity": lambda key, value: self.entities.update({_entity_key(key): value}),
            "run": lambda key, value: self.runs.update({key: SandboxRun.restored(value)}),
            "log": lambda key, value: self.runs[key.partition("#")[0]].logs.append(value),
            **{
                kind: partial(self.workflows.load, kind)
                for kind in ("workflow", "workflow_run", "node_run", "node_report")
            },
        }
        for kind, key, value in rows:
            try:
                loaders[kind](key, value)
                self.size.set(kind, key, value)
            except (LookupError, TypeError, AttributeError, ArithmeticError, RecursionError) as problem:
                raise ValueError(f"{kind} {key}: {problem!r}") from problem

    def record_change(self, kind: str, key: str, value: Any) -> None:
        """Record that a part has changed. `value` is None if the part was deleted."""
        self._changes[kind, key] = value
        if value is None:
            self.size.set(kind, key, None)

    def changes(self) -> list[Row]:
        """Return every part that has changed since `clear_changes`, as JSON values.

        If the state is full, this method first deletes the oldest runs that have ended.
        """
        rows = self._changed()
        for row in rows:
            self.size.set(*row)
        has_dropped = False
        while self.size.is_full and (self._drop_ended() or self.workflows.drop_ended()):
            has_dropped = True
        return self._changed() if has_dropped else rows

    def _changed(self) -> list[Row]:
        return [
            (kind, key, value.saved() if isinstance(value, SandboxRun) else value)
            for (kind, key), value in self._changes.items()
        ]

    def clear_changes(self) -> None:
        """Mark all changes as saved."""
        self._changes.clear()

    def masker(self) -> Masker:
        """Return a masker that masks the organization's secrets and the client secret in text to show or save."""
        if self._masker is None:
            self._masker = Masker([*self.secrets.values(), self.client_secret.reveal()])
        return self._masker

    def add_event(self, run: SandboxRun, note: str) -> None:
        """Record a step of a run, for observers."""
        self._add_event(run.id, run.start.action, run.report.status, note)

    def add_workflow_event(self, run: WorkflowRun, note: str) -> None:
        """Record a step of a workflow run, for observers."""
        self._add_event(run.id, run.workflow.identifier, str(run.result or run.status), note)

    def _add_event(self, run_id: str, action: str, status: str, note: str) -> None:
        self._events.append(RunEvent(at=self.now(), run_id=run_id, action=action, status=status, note=note))

    def take_events(self) -> list[RunEvent]:
        """Return the steps since the last call of this method."""
        events, self._events = self._events, []
        return events

    def issue_token(self) -> str:
        """Return a new token, which is valid for the `token_lifetime_s` of the rules.

        Ocean processes actions only if the token contains `isMachine`.
        """
        now = self.now()
        claims = {
            "orgId": self.organization["id"],
            "isMachine": True,
            "iat": round(now, 3),
            "exp": round(now + self.rules.token_lifetime_s, 3),
            "jti": secrets.token_urlsafe(12),
        }
        return signed_token(claims, self._key())

    def is_valid_token(self, token: str | None) -> bool:
        """Return whether the sandbox issued this token and the token has not expired."""
        claims = read_token(token or "", self._key())
        return claims is not None and self.now() < float(claims["exp"])

    def add_run(self, run_id: str, **fields: Any) -> SandboxRun:
        """Add or restart a run in progress. `fields` are fields of `SandboxRun` and its parts.

        If the sandbox then has more than `MAX_RUNS` runs, this method deletes the oldest ended run. If no run has
        ended, it deletes the oldest run. It never deletes a run whose request is pending or being sent.
        """
        now = self.now()
        if run_id in self.runs:
            self._forget_logs(self.runs[run_id])
        run = self.runs[run_id] = SandboxRun.of(id=run_id, created_at=now, updated_at=now, **fields)
        self.record_change("run", run_id, run)
        if len(self.runs) > MAX_RUNS:
            self._drop_ended(run)
        return run

    def new_run_id(self) -> str:
        """Return a new ID, which no other run has."""
        return make_run_id(secrets.choice)

    def update_run(self, run: SandboxRun, changes: Mapping[str, Any]) -> None:
        """Set fields of a run, named as in Port's API.

        If the change ends a run that the sandbox started, record the event.
        """
        was_ended = run.ended
        run.update(changes, self.now())
        self.record_change("run", run.id, run)
        if run.ended and not was_ended and run.invocation.phase is not Phase.NONE:
            self.add_event(run, f"ended {format_duration(self.now() - run.created_at)} after its start")

    def add_log(self, run: SandboxRun, fields: Mapping[str, Any], *, by: str | None = None) -> dict[str, Any]:
        """Add an entry to a run's log and return the entry in the format of Port's API."""
        log = {
            "id": f"rl_{secrets.token_hex(8)}",
            "runId": run.id,
            **fields,
            "createdBy": by or self.client_id,
            "createdAt": format_time(self.now()),
        }
        self.record_change("log", _log_key(run.id, len(run.logs)), log)
        run.logs.append(log)
        return log

    def add_action(self, fields: Mapping[str, Any]) -> dict[str, Any]:
        """Add or replace an action or automation. `fields` are the fields of Port's API, including `identifier`.

        Missing fields that Port sets itself are added.
        """
        at = format_time(self.now())
        identifier = str(fields["identifier"])
        action = self.actions[identifier] = {
            "id": self.actions.get(identifier, {}).get("id", f"action_{secrets.token_hex(8)}"),
            **fields,
            **{name: fields.get(name, self.client_id) for name in ("createdBy", "updatedBy")},
            **{name: fields.get(name, at) for name in ("createdAt", "updatedAt")},
        }
        self.record_change("action", identifier, action)
        return action

    def remove_action(self, identifier: str) -> None:
        """Delete an action."""
        self._set("action", self.actions, identifier, None)

    def set_entity(
        self, blueprint: str, identifier: str, entity: dict[str, Any] | None, *, datasource: str = ""
    ) -> None:
        """Set an entity in the format of Port's API. None deletes the entity.

        `datasource` is the user agent of the caller.
        """
        origin = ("origin", blueprint, identifier)
        if entity is None:
            del self.entities[blueprint, identifier]
            if origin in self.resources:
                self.set_resource(origin, None)
        else:
            self.entities[blueprint, identifier] = entity
            self.set_resource(origin, {"datasource": datasource, "updatedAt": format_time(self.now())})
        self.record_change("entity", json.dumps([blueprint, identifier]), entity)

    def set_resource(self, key: ResourceKey, value: dict[str, Any] | None) -> None:
        """Set a resource that no other part of the sandbox reads. None deletes the resource.

        The key begins with the kind.
        """
        if value is None:
            del self.resources[key]
        else:
            self.resources[key] = value
        self.record_change("resource", json.dumps(key), value)

    def resources_of(self, *beginning: str) -> list[dict[str, Any]]:
        """Return the resources whose keys begin with these parts, oldest first."""
        return [value for key, value in self.resources.items() if key[: len(beginning)] == beginning]

    def set_secret(self, name: str, value: str | None) -> None:
        """Set a secret of the organization without saving it to the state file. None deletes the secret."""
        if value is None:
            del self.secrets[name]
            self.secret_descriptions.pop(name, None)
        else:
            self.secrets[name] = value
        self.size.set("secret", name, value)
        self._masker = None

    def add_blueprint(self, fields: Mapping[str, Any]) -> dict[str, Any]:
        """Add or replace a blueprint. `fields` are the fields of Port's API, including `identifier`."""
        at = format_time(self.now())
        identifier = str(fields["identifier"])
        set_here = {"createdAt": at, "createdBy": self.client_id}
        blueprint = {**_BLUEPRINT, **set_here, **fields, "updatedAt": at, "updatedBy": self.client_id}
        self.set_blueprint(identifier, blueprint)
        return blueprint

    def set_blueprint(self, identifier: str, blueprint: dict[str, Any] | None) -> None:
        """Set a blueprint in the format of Port's API. None deletes the blueprint and its scorecards."""
        if blueprint is None:
            for key in [key for key in self.resources if key[:2] == ("scorecard", identifier)]:
                self.set_resource(key, None)
        self._set("blueprint", self.blueprints, identifier, blueprint)

    def set_integration(self, identifier: str, integration: dict[str, Any] | None) -> None:
        """Set an integration in the format of Port's API. None deletes the integration."""
        self._set("integration", self.integrations, identifier, integration)

    def _set(self, kind: str, held: dict[str, dict[str, Any]], key: str, value: dict[str, Any] | None) -> None:
        if value is None:
            del held[key]
        else:
            held[key] = value
        self.record_change(kind, key, value)

    def known_run(self, name: str) -> SandboxRun | None:
        """Return the run with this ID or external ID."""
        return self.runs.get(name) or next(
            (run for run in self.runs.values() if run.report.external_run_id == name), None
        )

    def find_run(self, name: str) -> tuple[SandboxRun | None, bool]:
        """Return the run with this ID or external ID, and whether this call created the run.

        A well-formed unknown ID creates a run and marks it as made up, unless `strict_runs` is set.
        """
        run = self.known_run(name)
        if run is None and is_run_id(name) and not self.rules.strict_runs:
            return self.add_run(name, action=UNKNOWN_ACTION, made_up=True), True
        return run, False

    def _drop_ended(self, latest: SandboxRun | None = None) -> bool:
        """Delete the oldest run that has ended.

        If none has ended, delete the oldest run other than `latest`, if it is set. Return whether a run was deleted.
        """
        others = [run for run in self.runs.values() if run is not latest and run.invocation.phase not in _UNDER_WAY]
        dropped = next((run for run in others if run.ended), others[0] if latest and others else None)
        if dropped is not None:
            self._drop(dropped)
        return dropped is not None

    def _drop(self, run: SandboxRun) -> None:
        del self.runs[run.id]
        self.record_change("run", run.id, None)
        self._forget_logs(run)

    def _forget_logs(self, run: SandboxRun) -> None:
        for number, _ in enumerate(run.logs):
            self.record_change("log", _log_key(run.id, number), None)

    def _load_credentials(self, _: str, value: Any) -> None:
        self.client_id, self.client_secret = str(value["id"]), Secret(str(value["secret"]))

    def _key(self) -> bytes:
        return self.client_secret.reveal().encode()


_BLUEPRINT: Mapping[str, Any] = {
    "title": "",
    "relations": {},
    "mirrorProperties": {},
    "calculationProperties": {},
    "aggregationProperties": {},
}


def _organization(identifier: str) -> dict[str, Any]:
    return {"id": identifier, "name": "sandbox", "settings": {}}


def _log_key(run_id: str, number: int) -> str:
    return f"{run_id}#{number:09d}"


def _resource_key(key: str) -> ResourceKey:
    return tuple(str(part) for part in json.loads(key))


def _entity_key(key: str) -> tuple[str, str]:
    blueprint, identifier = json.loads(key)
    return str(blueprint), str(identifier)
