"""What a prediction needs, such as the mappings, and what is needed to show it."""

from __future__ import annotations

from collections.abc import Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from port_hook_cli.agent_view.plan import AgentPlan
from port_hook_cli.engines.agent_jq import AgentJq
from port_hook_cli.engines.encryption import open_aes_gcm
from port_hook_cli.errors import UsageError
from port_hook_cli.invocations.models import MessageOrigin
from port_hook_cli.port_api.settings import Settings
from port_hook_cli.prediction.decrypted import AgentMasker, decrypted_secrets
from port_hook_cli.prediction.expressions import EnvironmentUse, environment_use
from port_hook_cli.prediction.mapping import DEFAULT_MAPPINGS, AgentMapping
from port_hook_cli.prediction.message import AgentMessage, AgentTransport, take_message, take_topic_message
from port_hook_cli.prediction.prediction import AgentWorld, Prediction, predict
from port_hook_cli.prediction.response import AgentResponse
from port_hook_cli.runtime import Runtime

_STREAMER_VARIABLE, _DETAILED_VARIABLE = "STREAMER_NAME", "DETAILED_LOGGING"
_FALSE = frozenset({"0", "off", "f", "false", "n", "no"})


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentInput:
    """A message that may be one for the agent. `name` is for the user.

    `transport` is how the agent gets it, or None for what it shows. `origin` is set if it was read from a topic.
    `problem` says why there is no document, or is "".
    """

    name: str
    document: Any = field(repr=False)
    transport: AgentTransport | None = None
    origin: MessageOrigin | None = None
    problem: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentSession:
    """What stays the same for all messages, and while a mapping file is edited."""

    plan: AgentPlan
    runtime: Runtime
    settings: Settings
    variables: dict[str, str] = field(repr=False)
    responses: tuple[AgentResponse, ...]
    jq: AgentJq

    @property
    def default_transport(self) -> AgentTransport:
        """How the agent gets a message that does not show it: STREAMER_NAME, or its own default, Kafka."""
        name = self.runtime.environ.get(_STREAMER_VARIABLE, "").lower()
        return AgentTransport(name) if name in set(AgentTransport) else AgentTransport.KAFKA


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownPrediction:
    """A prediction for `source`, and what is needed to show it. `secrets` are the values that were decrypted."""

    source: AgentInput
    prediction: Prediction
    secrets: frozenset[str] = field(repr=False)
    environment: EnvironmentUse
    masker: AgentMasker


def predict_input(session: AgentSession, source: AgentInput, mappings: Sequence[AgentMapping]) -> ShownPrediction:
    """Return what the agent does with a message; raises UsageError if it is not a message, and RenderError."""
    secret = session.settings.require_secret()
    world = AgentWorld(
        mappings=mappings,
        evaluate=session.jq.evaluate,
        decipher=partial(open_aes_gcm, secret),
        secret=secret,
        timestamp=str(int(session.runtime.now())),
        is_detailed=session.runtime.environ.get(_DETAILED_VARIABLE, "true").lower() not in _FALSE,
        version=session.plan.version,
        client_id=session.settings.client_id or "",
    )
    prediction = predict(_message(session, source), world)
    decrypted = frozenset(decrypted_secrets(prediction.decrypted))
    hidden = [*session.variables.values(), *decrypted, secret.reveal()]
    for value in hidden:
        session.runtime.keep_secret(value)
    # Only the GitLab default mapping reads variables, so other messages do not need a line about them.
    read = [prediction.mapping] if mappings is DEFAULT_MAPPINGS else mappings
    texts = [text for mapping in read if mapping is not None for _, text in mapping.expressions]
    return ShownPrediction(
        source=source,
        prediction=prediction,
        secrets=decrypted,
        environment=environment_use(texts),
        masker=AgentMasker(hidden),
    )


def _message(session: AgentSession, source: AgentInput) -> AgentMessage:
    secret = session.settings.require_secret()
    try:
        if source.origin is not None:
            return take_topic_message(source.document, secret)
        document = deepcopy(source.document)
        return take_message(
            document, source.transport, secret, default=session.default_transport, version=session.plan.version
        )
    except ValueError as error:
        raise UsageError(
            f"{source.name} is not a message of the agent: {error}.",
            hint="Give a message of a topic, a run that the agent claims, or a payload.",
        ) from error
