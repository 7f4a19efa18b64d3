"""The messages that the agent gets from Port (Kafka messages and claimed runs), and whether the agent processes them.

These facts come from the agent's source. `kafka_streamer.py` skips messages that are not for the agent, and
`WebhookInvoker.validate_incoming_signature` checks a message of a topic. `streamers/polling/polling_streamer.py` and
`processors/polling/polling_to_webhook_processor.py`, from May 2026 and from a later time, convert a claimed run to an
invocation method and a message. The functions that do the same here raise the same errors as the agent for a run that
it cannot read: AttributeError, KeyError, TypeError or ValueError.
"""

from __future__ import annotations

import hmac
import json
from collections.abc import Callable, Mapping
from copy import deepcopy
from dataclasses import field, replace
from enum import StrEnum
from typing import Any

from port_hook_cli.frozen import frozen
from port_hook_cli.signatures.signing import MESSAGE_SIGNATURE, MESSAGE_TIMESTAMP, sign
from port_hook_cli.text.secret import Secret

_METHOD_DEFAULTS: dict[str, Any] = {"synchronized": False, "method": "POST", "headers": {}}
# The fields that the latest agent reads from a run itself, instead of from the event in the run's body.
_OF_A_RUN = ("type", "url", "agent", "synchronized", "method", "headers")
_EVENT = ("context", "payload", "trigger")


class AgentVersion(StrEnum):
    """The version of the agent to predict. The agent's source shows no version numbers.

    MAY_2026 makes the invocation method from five fields of a claimed run. AFTER_MAY_2026 also uses the event in the
    run's body, and the whole configuration of a node. LATEST does the same, but its message contains the body of the
    node instead of the configuration. The stored sources do not show whether both changes were released together.
    """

    MAY_2026 = "2026-05"
    AFTER_MAY_2026 = "after-2026-05"
    LATEST = "latest"


def action_method(run: Mapping[str, Any], version: AgentVersion) -> dict[str, Any]:
    """Return the invocation method of an action run, including `agent`."""
    kept = run["payload"]
    if version is AgentVersion.MAY_2026:
        return {name: kept[name] for name in ("type", "url", "agent")} | _given(kept)
    body = kept.get("body") or {}
    is_event(body)  # the agent looks at the keys first, and fails on a body without any
    event = body.get("payload", {}).get("action", {}).get("invocationMethod", {})
    method = _with_defaults({**event, **{name: kept[name] for name in _OF_A_RUN if name in kept}})
    if not (method.get("type") and method.get("url")):
        raise ValueError(f"Run {run['id']} has no invocation method type or url")
    return method


def action_message(run: Mapping[str, Any], method: Mapping[str, Any], version: AgentVersion) -> dict[str, Any]:
    """Return the message that the agent builds from an action run and its invocation method."""
    body = run["payload"]["body"]
    document: dict[str, Any]
    if version is AgentVersion.LATEST:
        document = deepcopy(body)
        document.setdefault("headers", {})
        if method["headers"]:
            document["headers"] = method["headers"]
    else:
        document = body.copy()
        document["headers"] = method["headers"]
    document.setdefault("payload", {}).setdefault("action", {})["invocationMethod"] = method
    document.setdefault("context", {})["runId"] = run["id"]
    return document


def node_method(config: Mapping[str, Any], version: AgentVersion) -> dict[str, Any]:
    """Return the invocation method in a node's configuration, without `agent`."""
    if version is AgentVersion.MAY_2026:
        return {"type": config.get("type"), "url": config.get("url")} | _given(config)
    return _with_defaults({name: value for name, value in config.items() if name != "agent"})


def node_message(run: Mapping[str, Any], method: Mapping[str, Any], version: AgentVersion) -> dict[str, Any]:
    """Return the message that the agent builds from a node run and its invocation method."""
    payload = {"action": {"invocationMethod": method}}
    run_id = run["identifier"]
    if version is AgentVersion.LATEST:
        body = deepcopy(method.get("body") or {})
        return {**body, "headers": method["headers"] or {}, "payload": payload, "context": {"runId": run_id}}
    context = {"runId": run_id, "nodeConfig": run["config"]}
    return {"headers": method["headers"], "payload": payload, "context": context}


def is_event(body: Any) -> bool:
    """Return whether the latest agent treats the body of an action run as Port's event."""
    return any(name in body for name in _EVENT)


def version_of_run(kept: Mapping[str, Any]) -> AgentVersion | None:
    """Return the version of the agent that can handle an action run's payload, or None if all versions can."""
    return None if {"type", "url", "agent"} <= kept.keys() else AgentVersion.LATEST


def version_that_sent(document: Mapping[str, Any], method: Mapping[str, Any], *, is_node: bool) -> AgentVersion | None:
    """Return the version of the agent that sends requests with this body, or None if all versions do.

    A message that Port published has `agent` in its invocation method. A request of the agent does not.
    """
    if not method or "agent" in method:
        return None
    further = method.keys() - set(_OF_A_RUN)
    if not is_node:
        return AgentVersion.LATEST if further else None
    context = document.get("context")
    if not (isinstance(context, Mapping) and "nodeConfig" in context):
        return AgentVersion.LATEST
    return AgentVersion.AFTER_MAY_2026 if further else AgentVersion.MAY_2026


def _given(config: Mapping[str, Any]) -> dict[str, Any]:
    return {name: config.get(name, default) for name, default in deepcopy(_METHOD_DEFAULTS).items()}


def _with_defaults(method: dict[str, Any]) -> dict[str, Any]:
    return method | {name: value for name, value in deepcopy(_METHOD_DEFAULTS).items() if name not in method}


_NODE_RUN_PREFIX = "wfnr_"
_NO_EVENT = (
    "the agent logs a warning: the body does not look like a Port event, because it does not have context, payload "
    "or trigger"
)


class AgentTransport(StrEnum):
    """The way in which the agent gets messages: `STREAMER_NAME` in the agent's settings."""

    KAFKA = "kafka"
    POLLING = "polling"


class Subject(StrEnum):
    """What a message is about."""

    ACTION_RUN = "action run"
    NODE_RUN = "workflow node run"
    CHANGE = "change log event"


class Acceptance(StrEnum):
    """The agent's decision whether to process a message."""

    ACCEPTED = "accepted"
    NOT_FOR_AGENT = "not for the agent"
    BAD_SIGNATURE = "the signature does not match"
    FAULT = "the agent fails on it"


@frozen(kw_only=True)
class AgentMessage:
    """A message in the format that the agent's mappings see.

    `method` is the invocation method. `fault` is the exception that the agent raises for the message, or "". `notes`
    say what is unknown about the message, and what the agent warns about. `looks_like` is the only version of the agent
    that can have sent or can handle the message, or None if all versions can.
    """

    transport: AgentTransport
    subject: Subject
    run_id: str | None
    document: dict[str, Any] = field(repr=False)
    method: dict[str, Any] = field(default_factory=dict)
    acceptance: Acceptance = Acceptance.ACCEPTED
    fault: str = ""
    notes: tuple[str, ...] = ()
    looks_like: AgentVersion | None = None

    @property
    def is_synchronized(self) -> bool:
        """Whether the response ends the run."""
        return bool(self.method.get("synchronized"))


def take_message(
    document: Any,
    transport: AgentTransport | None,
    secret: Secret,
    *,
    default: AgentTransport = AgentTransport.KAFKA,
    version: AgentVersion = AgentVersion.LATEST,
) -> AgentMessage:
    """Return the message in a claimed run, a message of a topic, or a payload that the agent has already accepted.

    `default` is the transport of a message that does not show its transport, if `transport` is None. Raises ValueError
    for any other document, and for a document that does not arrive by this `transport`.
    """
    if not isinstance(document, dict):
        raise ValueError("it is not an object")  # noqa: TRY004 - the document is not an argument of the wrong type
    document = deepcopy(_unwrapped(document))
    claimed = _claim_reader(document)
    if claimed is None:
        return _from_topic(document, transport or default, secret)
    if transport is AgentTransport.KAFKA:
        raise ValueError("it is a run that the agent claims by polling, not a message of a topic")
    return claimed(document, version)


def take_topic_message(document: Any, secret: Secret) -> AgentMessage:
    """Return the message in a value that comes directly from a topic.

    Raises ValueError if the agent cannot read the value. The agent ignores a message of a topic that has no signature,
    or that has the format of a polled run.
    """
    if not isinstance(document, dict):
        raise ValueError("it is not an object")  # noqa: TRY004 - the document is not an argument of the wrong type
    return _from_topic(deepcopy(document), AgentTransport.KAFKA, secret, is_direct=True)


def _unwrapped(document: dict[str, Any]) -> dict[str, Any]:
    """Return the run in a response of Port's API. If there are several runs, return the first."""
    for name in ("run", "runs", "nodeRuns"):
        found = document.get(name)
        if isinstance(found, list) and found:
            found = found[0]
        if isinstance(found, dict) and _claim_reader(found):
            return found
    return document


def _claim_reader(document: Mapping[str, Any]) -> Callable[[dict[str, Any], AgentVersion], AgentMessage] | None:
    kept = document.get("payload")
    if isinstance(document.get("id"), str) and isinstance(kept, Mapping) and _has_method(kept):
        return _from_action_run
    if isinstance(document.get("identifier"), str) and isinstance(document.get("config"), Mapping):
        return _from_node_run
    return None


def _has_method(kept: Mapping[str, Any]) -> bool:
    """Return whether the payload of a run has an invocation method, or an event that contains an invocation method."""
    return bool({"url", "type"} & kept.keys()) or bool(_event_method(kept.get("body")))


def _event_method(body: Any) -> Mapping[str, Any]:
    """Return the invocation method of an event, or an empty mapping if there is none."""
    found = body
    for name in ("payload", "action", "invocationMethod"):
        found = found.get(name) if isinstance(found, Mapping) else None
    return found if isinstance(found, Mapping) else {}


def _from_action_run(run: dict[str, Any], version: AgentVersion) -> AgentMessage:
    message = AgentMessage(
        transport=AgentTransport.POLLING,
        subject=Subject.ACTION_RUN,
        run_id=run["id"],
        document={},
        looks_like=version_of_run(run["payload"]),
    )
    try:
        method = action_method(run, version)
        if not method.pop("agent", False):
            return replace(message, method=method, acceptance=Acceptance.NOT_FOR_AGENT)
        document = action_message(run, method, version)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        return replace(message, acceptance=Acceptance.FAULT, fault=f"{type(error).__name__}: {error}")
    is_known = version is AgentVersion.MAY_2026 or is_event(run["payload"]["body"])
    return replace(message, method=method, document=document, notes=() if is_known else (_NO_EVENT,))


def _from_node_run(run: dict[str, Any], version: AgentVersion) -> AgentMessage:
    method = node_method(run["config"], version)
    message = AgentMessage(
        transport=AgentTransport.POLLING,
        subject=Subject.NODE_RUN,
        run_id=run["identifier"],
        document={},
        method=method,
    )
    if not run["config"].get("agent"):
        return replace(message, acceptance=Acceptance.NOT_FOR_AGENT)
    try:
        return replace(message, document=node_message(run, method, version))
    except TypeError as error:
        return replace(message, acceptance=Acceptance.FAULT, fault=f"TypeError: {error}")


def _from_topic(
    document: dict[str, Any], transport: AgentTransport, secret: Secret, *, is_direct: bool = False
) -> AgentMessage:
    """Return the message in a document. `is_direct` means that it was read from a topic.

    Any other message may lack its signature.
    """
    is_change = "changelogDestination" in document
    try:
        found = document["changelogDestination"] if is_change else _method_in(document)
        method = dict(found)
        agent = method.pop("agent", None)
        run_id = document.get("context", {}).get("runId")
        subject = _subject(run_id)
    except (AttributeError, TypeError, ValueError) as error:
        raise ValueError(f"the agent cannot read it: {type(error).__name__}: {error}") from None
    message = AgentMessage(
        transport=transport,
        subject=subject,
        run_id=run_id or None,
        document=document,
        method=method,
        looks_like=None if is_change else version_that_sent(document, found, is_node=subject is Subject.NODE_RUN),
    )
    headers = document.get("headers")
    is_signed = isinstance(headers, Mapping) and bool({MESSAGE_SIGNATURE, MESSAGE_TIMESTAMP} & headers.keys())
    if is_change or is_direct or is_signed:
        if not agent:
            return replace(message, acceptance=Acceptance.NOT_FOR_AGENT)
        return message if is_change else _verified(message, secret)
    if agent is not None and not agent:
        return replace(message, acceptance=Acceptance.NOT_FOR_AGENT)
    return replace(
        message, notes=("it has no signature headers, so it is treated as a message that the agent has accepted",)
    )


def _method_in(document: Mapping[str, Any]) -> Any:
    return document.get("payload", {}).get("action", {}).get("invocationMethod", {})


def _subject(run_id: Any) -> Subject:
    if not run_id:
        return Subject.CHANGE
    if not isinstance(run_id, str):
        raise TypeError("context.runId is not text")
    return Subject.NODE_RUN if run_id.startswith(_NODE_RUN_PREFIX) else Subject.ACTION_RUN


def _verified(message: AgentMessage, secret: Secret) -> AgentMessage:
    """Return the message without the fields of the signature, as mappings see it, and whether the signature matches."""
    document = message.document
    headers = document.get("headers", {})
    if not isinstance(headers, dict):
        raise ValueError("the agent cannot read it: `headers` is not an object")  # noqa: TRY004 - part of a document
    signature, timestamp = headers.get(MESSAGE_SIGNATURE), headers.get(MESSAGE_TIMESTAMP)
    if not (signature and timestamp):
        return replace(message, acceptance=Acceptance.BAD_SIGNATURE)
    if message.method.get("type") == "GITLAB":
        del document["headers"]
    else:
        del headers[MESSAGE_SIGNATURE], headers[MESSAGE_TIMESTAMP]
    try:
        content = json.dumps(document, separators=(",", ":"), ensure_ascii=False).encode()
    except UnicodeEncodeError as error:
        return replace(message, acceptance=Acceptance.FAULT, fault=f"UnicodeEncodeError: {error}")
    expected = sign(content, secret, str(timestamp))
    is_good = hmac.compare_digest(expected.encode(), str(signature).encode("utf-8", "surrogatepass"))
    return message if is_good else replace(message, acceptance=Acceptance.BAD_SIGNATURE)
