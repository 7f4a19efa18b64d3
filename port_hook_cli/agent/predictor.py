"""Predicts what the agent does with a message, with the settings and the environment of a user."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

from port_hook_cli.agent.inputs import AgentInput
from port_hook_cli.engines.agent_jq import AgentJq
from port_hook_cli.engines.encryption import open_aes_gcm
from port_hook_cli.errors import UsageError
from port_hook_cli.port_api.settings import Settings
from port_hook_cli.prediction.decrypted import AgentMasker, decrypted_secrets
from port_hook_cli.prediction.expressions import environment_use
from port_hook_cli.prediction.mapping import DEFAULT_MAPPINGS, AgentMapping
from port_hook_cli.prediction.message import (
    AgentMessage,
    AgentTransport,
    AgentVersion,
    take_message,
    take_topic_message,
)
from port_hook_cli.prediction.prediction import AgentSettings, AgentWorld, ShownPrediction, predict
from port_hook_cli.runtime import Runtime

_STREAMER_VARIABLE, _DETAILED_VARIABLE = "STREAMER_NAME", "DETAILED_LOGGING"
_FALSE = frozenset({"0", "off", "f", "false", "n", "no"})


def agent_settings(settings: Settings, environ: Mapping[str, str], version: AgentVersion) -> AgentSettings:
    """Return the settings of an agent that has these credentials and variables. Raises SettingsError."""
    streamer = environ.get(_STREAMER_VARIABLE, "").lower()
    return AgentSettings(
        secret=settings.require_secret(),
        client_id=settings.client_id or "",
        version=version,
        transport=AgentTransport(streamer) if streamer in set(AgentTransport) else AgentTransport.KAFKA,
        is_detailed=environ.get(_DETAILED_VARIABLE, "true").lower() not in _FALSE,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Predictor:
    """Predicts messages, one at a time. `variables` are the variables of the environment that expressions can read."""

    settings: AgentSettings
    variables: Mapping[str, str] = field(repr=False)
    jq: AgentJq
    runtime: Runtime

    def predict(self, source: AgentInput, mappings: Sequence[AgentMapping]) -> ShownPrediction:
        """Return what the agent does with a message; raises UsageError if it is not a message, and RenderError.

        The crash report masks the decrypted values, until `forget`.
        """
        secret, memory = self.settings.secret, self.runtime.memory
        world = AgentWorld(
            mappings=mappings,
            settings=self.settings,
            timestamp=str(int(self.runtime.now())),
            evaluate=self.jq.evaluate,
            decipher=partial(open_aes_gcm, secret),
        )
        prediction = predict(self._message(source), world)
        decrypted = frozenset(decrypted_secrets(prediction.decrypted))
        hidden = {*self.variables.values(), *decrypted, secret.reveal()}
        new = decrypted - memory.secrets
        memory.secrets |= hidden
        # Only the GitLab default mapping reads variables, so other messages do not need a line about them.
        read = [prediction.mapping] if mappings is DEFAULT_MAPPINGS else mappings
        texts = [text for mapping in read if mapping is not None for _, text in mapping.expressions]
        return ShownPrediction(
            prediction=prediction,
            environment=environment_use(texts),
            given=tuple(self.variables),
            masker=AgentMasker(hidden),
            version=self.settings.version,
            origin=source.origin,
            secrets=new,
        )

    def forget(self, shown: ShownPrediction) -> None:
        """Forget the decrypted values of a message, so that a long stream does not fill the memory.

        A value that was a secret before, such as the client secret in a message, stays.
        """
        self.runtime.memory.secrets.difference_update(shown.secrets)

    def _message(self, source: AgentInput) -> AgentMessage:
        settings = self.settings
        try:
            if source.origin is not None:
                return take_topic_message(source.document, settings.secret)
            return take_message(
                source.document, source.transport, settings.secret, default=settings.transport, version=settings.version
            )
        except ValueError as error:
            raise UsageError(
                f"{source.name} is not a message of the agent: {error}.",
                hint="Give a message of a topic, a run that the agent claims, or a payload.",
            ) from error
