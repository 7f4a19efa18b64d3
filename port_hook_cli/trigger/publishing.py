"""Publishes Port's Kafka messages: for its execution agent, and for the consumer of a KAFKA action."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import TYPE_CHECKING, Any

from port_hook_cli.actions.action import ActionKind, PortAction
from port_hook_cli.errors import BrokerError, SettingsError, SourceError, TargetError, UsageError
from port_hook_cli.invocations.models import Invocation
from port_hook_cli.invocations.payload import read_payload
from port_hook_cli.invocations.view import format_time
from port_hook_cli.javascript.stringify import NotJson
from port_hook_cli.javascript.values import read_json
from port_hook_cli.kafka.connection import RUNS_SUFFIX
from port_hook_cli.kafka.environment import ORG_ID, read_kafka_settings
from port_hook_cli.port_api.access import PortAccess
from port_hook_cli.runtime import Runtime
from port_hook_cli.text.secret import Masker, masked_errors
from port_hook_cli.trigger.action import Announce, MadeMessage, SignedMessage, Unmet, announcement, find_unmet
from port_hook_cli.trigger.invoker import Invoker
from port_hook_cli.trigger.run_data import RunData

if TYPE_CHECKING:
    from port_hook_cli.kafka.producer import KafkaPublisher, Published

_ORGANIZATION_HINT = f"Set {ORG_ID} to your organization ID."


async def make_message(
    action: PortAction, data: RunData, invoker: Invoker, *, run_id: str, now: float
) -> MadeMessage | Unmet:
    """Return the message of a run of a KAFKA action, or of an action whose request the execution agent sends.

    Raises UsageError for an action whose request Port itself sends, and the same errors as `make`.
    """
    masker = Masker(data.secret_values(action))
    with masked_errors(masker):
        if unmet := await find_unmet(action, data, invoker):
            return unmet
        return await _make(action, data, invoker, run_id, now, masker)


async def _make(
    action: PortAction, data: RunData, invoker: Invoker, run_id: str, now: float, masker: Masker
) -> MadeMessage:
    from port_hook_cli.trigger.open_invoker import as_published, as_sent

    at = format_time(now)
    if action.is_message:
        message = await invoker.message(action, data, run_id=run_id, at=at)
        made, errors = as_published(message), message.errors
    else:
        request = await invoker.request(action, data, run_id=run_id, at=at)
        if not request.agent:
            raise UsageError(
                f"Port sends the request of {action.identifier} itself and does not publish a message: its `agent` is "
                "not true.",
                hint="Pass the handler's URL or port with --to.",
            )
        made, errors = as_sent(request), request.errors
    is_self_service = action.kind is ActionKind.SELF_SERVICE
    return MadeMessage(
        action=action.identifier,
        run_id=run_id,
        document=made.message(run_id),
        synchronized=made.synchronized,
        agent=made.agent,
        errors=errors,
        masker=masker,
        announcement=announcement(action, data, run_id, made.properties or {}) if is_self_service else None,
    )


async def publish(message: SignedMessage, topic: Topic, announce: Announce | None = None) -> Published:
    """Publish a message. A sandbox first learns about its run.

    Raises TargetError if the broker does not confirm the message.
    """
    if announce is not None and message.made.announcement is not None:
        await announce([message.made.announcement])
    return await topic.publish(message.content)


class Topic:
    """The topic in which Port publishes the runs of an organization."""

    def __init__(self, name: str, publisher: KafkaPublisher) -> None:
        self.name = name
        self._publisher = publisher

    async def publish(self, content: bytes) -> Published:
        """Publish a message. Raises TargetError if the broker does not confirm the message."""
        with _as_target():
            return await self._publisher.publish(self.name, content)


@asynccontextmanager
async def open_topic(
    brokers: tuple[str, ...], access: PortAccess, runtime: Runtime, *, timeout_s: float
) -> AsyncIterator[Topic]:
    """Yield the topic of the organization's runs at `brokers` (`HOST:PORT`).

    `timeout_s` is how long a broker may take to confirm a message, in seconds. 0 means the default. Raises
    SettingsError, PortApiError and TargetError.
    """
    from port_hook_cli.kafka.producer import PUBLISH_TIMEOUT_S, local_publisher

    name = await _topic_name(access, runtime)
    async with local_publisher(brokers, timeout_s=timeout_s or PUBLISH_TIMEOUT_S) as (publisher, _):
        with _as_target():
            await publisher.find(name)
        yield Topic(name, publisher)


async def _topic_name(access: PortAccess, runtime: Runtime) -> str:
    """Return the topic of the runs. The ID of the organization comes from the user's own settings or from the API."""
    known = read_kafka_settings(runtime.environ, runtime.home)
    if known.runs_topic or known.org_id:
        return known.runs_topic or f"{known.org_id}{RUNS_SUFFIX}"
    if access.settings.client_id is None or access.settings.client_secret is None:
        raise SettingsError(
            "The topic is named after the organization, but the organization ID is unknown.",
            hint=f"{_ORGANIZATION_HINT} Or set PORT_CLIENT_ID and the secret, to read it from Port's API.",
        )
    async with access.client() as api:
        response = await api.call("GET", "/v1/organization")
    found = response.get("organization")
    identifier = found.get("id") if isinstance(found, dict) else None
    if not isinstance(identifier, str) or not identifier:
        raise SettingsError("Port's API did not return the organization ID.", hint=_ORGANIZATION_HINT)
    return f"{identifier}{RUNS_SUFFIX}"


@contextmanager
def _as_target() -> Iterator[None]:
    try:
        yield
    except BrokerError as problem:
        raise TargetError(problem.message, hint=problem.hint) from problem


def captured_message(name: str, request: Invocation) -> MadeMessage:
    """Return the body of a request as a message. Raises SourceError if the body is not a JSON object."""
    payload = read_payload(request.body, request.headers)
    return MadeMessage(
        action=payload.action or payload.node or "",
        run_id=payload.run_id or "",
        document=_document(name, request.body),
        synchronized=bool(payload.synchronized),
        agent=payload.via_agent,
        masker=Masker(()),
    )


def _document(name: str, body: bytes) -> Any:
    try:
        document = read_json(body.decode())
    except (UnicodeDecodeError, NotJson, json.JSONDecodeError):
        document = None
    if not isinstance(document, dict):
        raise SourceError(f"The body of {name} is not a JSON object, so it cannot be a message from Port.")
    return document
