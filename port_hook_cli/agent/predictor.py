"""Predicts what the agent does with a message, and reads the user's message, response and variables for this."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import field
from functools import partial
from pathlib import Path
from typing import Any

from port_hook_cli.captures.store.finder import CaptureUse, Finder
from port_hook_cli.engines.agent_jq import AgentJq
from port_hook_cli.engines.encryption import open_aes_gcm
from port_hook_cli.errors import SourceError, UsageError
from port_hook_cli.files.user_files import read_input
from port_hook_cli.frozen import frozen
from port_hook_cli.invocations.headers import Headers
from port_hook_cli.invocations.models import MessageOrigin
from port_hook_cli.invocations.payload import content_type_of
from port_hook_cli.javascript.json_fault import JsonFault
from port_hook_cli.javascript.nesting import nests_too_deep
from port_hook_cli.port_api.settings import Settings
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
from port_hook_cli.prediction.request import AgentMasker, decrypted_secrets
from port_hook_cli.prediction.response import AgentResponse
from port_hook_cli.runtime import Runtime
from port_hook_cli.text.remark import Say

_KINDS = (
    "Pass a message from a topic, a run that the agent claims, a payload, a capture (its ID or `last`), or - for stdin."
)
_BOM = b"\xef\xbb\xbf"


@frozen(kw_only=True)
class AgentInput:
    """A message that may be for the agent. Users see `name`.

    `transport` is the way in which the agent gets the message. None means that the message itself shows its transport.
    `origin` is set if the message was read from a topic. `came_over_http` is true if the message is the body of a
    request. `problem` explains why there is no document.
    """

    name: str
    document: Any = field(repr=False)
    transport: AgentTransport | None = None
    origin: MessageOrigin | None = None
    problem: str = ""
    came_over_http: bool = False


def read_message(
    name: str, transport: AgentTransport | None, store: Path | None, runtime: Runtime, say: Say
) -> AgentInput:
    """Return the message that the user selects. Raises StoreError and UsageError."""
    with closing(Finder(store, runtime, CaptureUse.CHECK, say, kinds=_KINDS, takes_target=True)) as finder:
        found = finder.find(name)
    shown = "The message on stdin" if name == "-" else name
    return AgentInput(
        name=shown,
        document=read_document(found.request.body, shown, hint=_KINDS),
        transport=transport,
        came_over_http=not found.is_body_only and found.request.origin is None,
    )


def read_document(content: bytes, name: str, *, hint: str) -> Any:
    """Parse a JSON document with Python's rules, which are also the agent's rules.

    Raises UsageError.
    """
    try:
        text = content.removeprefix(_BOM).decode()
        if nests_too_deep(text):
            raise SourceError(f"{name} is nested too deep.", hint=hint)
        return json.loads(text, parse_constant=_reject_constant)
    except json.JSONDecodeError as error:
        raise SourceError(f"{name} is not JSON: {JsonFault.of(error)}.", hint=hint) from error
    except ValueError as error:  # includes UnicodeDecodeError
        raise SourceError(f"{name} is not JSON: {error}.", hint=hint) from error


def _reject_constant(name: str) -> Any:
    raise ValueError(f"{name} is not a JSON number")


def read_response(file: str | None, status: int | None, runtime: Runtime) -> AgentResponse | None:
    """Return a response whose body is the content of a file. The default status is 200.

    Return None if there is neither a file nor a status.
    """
    if file is None and status is None:
        return None
    body = b"" if file is None else read_input(file, cwd=runtime.cwd, stdin=runtime.stdin)
    status = status or 200
    headers = Headers((("Content-Type", content_type_of(body)),)) if body else Headers()
    return AgentResponse(name=str(status), status=status, headers=headers, body=body)


def read_variables(names: Sequence[str], runtime: Runtime) -> dict[str, str]:
    """Return the variables that expressions may read. Raises UsageError for an unset variable."""
    found = {}
    for name in names:
        value = runtime.environ.get(name)
        if value is None:
            raise UsageError(f"--env {name}: this variable is not set.", hint=f"Set it: export {name}=…")
        runtime.keep_secret(value)
        found[name] = value
    return found


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


@frozen(kw_only=True)
class Predictor:
    """Predicts messages, one at a time. `variables` are the environment variables that expressions can read."""

    settings: AgentSettings
    variables: Mapping[str, str] = field(repr=False)
    jq: AgentJq
    runtime: Runtime

    def predict(self, source: AgentInput, mappings: Sequence[AgentMapping]) -> ShownPrediction:
        """Return what the agent does with a message.

        Raises RenderError, and UsageError if it is not a message for the agent. A crash report masks the decrypted
        values until `forget` is called.
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
            came_over_http=source.came_over_http,
            secrets=new,
        )

    def forget(self, shown: ShownPrediction) -> None:
        """Forget the decrypted values of a message, so that a long stream does not fill the memory.

        A value that was a secret before the message, such as the client secret, stays masked.
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
            raise SourceError(
                f"{source.name} is not an agent message: {error}.",
                hint="Pass a message from a topic, a run that the agent claims, or a payload.",
            ) from error
