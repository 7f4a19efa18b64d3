"""Predicts what the agent does with a message: its mapping, its request, and its reports for each response."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import field, replace
from functools import partial

from port_hook_cli.frozen import frozen
from port_hook_cli.invocations.models import MessageOrigin
from port_hook_cli.prediction.calls import AgentCall, AgentOutcome, Reporter, taking_calls
from port_hook_cli.prediction.expressions import EnvironmentUse, Evaluate, Evaluated
from port_hook_cli.prediction.mapping import AgentMapping
from port_hook_cli.prediction.message import Acceptance, AgentMessage, AgentTransport, AgentVersion, Subject
from port_hook_cli.prediction.request import (
    AgentMasker,
    Decipher,
    DecryptedPath,
    MappedField,
    MappedRequest,
    decrypt_paths,
    map_request,
    sign_request,
)
from port_hook_cli.prediction.response import AgentResponse, quoted
from port_hook_cli.prediction.wire import AgentFault, WireRequest, wire_request
from port_hook_cli.text.secret import Secret

_SHARED_TOPIC = (
    "The agent still reports FAILED, even if another agent on the same topic handles the node run. port-agent's pull "
    "request 84 (August 2026) makes this optional"
)


@frozen(kw_only=True)
class AgentSettings:
    """The settings of the predicted agent: its credentials, version, STREAMER_NAME and DETAILED_LOGGING.

    `transport` is used for a message that does not show its transport. The agent masks the client secret and
    `client_id` in responses that it quotes.
    """

    secret: Secret
    client_id: str = ""
    version: AgentVersion = AgentVersion.LATEST
    transport: AgentTransport = AgentTransport.KAFKA
    is_detailed: bool = True


@frozen(kw_only=True)
class AgentWorld:
    """The settings and data that a prediction depends on, besides the message.

    `timestamp` is the time in the signature.
    """

    mappings: Sequence[AgentMapping]
    settings: AgentSettings
    timestamp: str
    evaluate: Evaluate = field(repr=False)
    decipher: Decipher = field(repr=False)


@frozen(kw_only=True)
class MappingTry:
    """A mapping that the agent tries, and whether it is enabled. `result` is set if `enabled` is an expression."""

    mapping: AgentMapping
    is_enabled: bool
    result: Evaluated | None = None


@frozen(kw_only=True)
class Prediction:
    """The prediction of what the agent does with `message`, whose document is decrypted.

    `tries` ends with the mapping that the agent uses, if any. `wire` is None if the agent doesn't send a request. In
    this case, `reason` explains why, and `unsent` is the agent's report.
    """

    message: AgentMessage
    tries: tuple[MappingTry, ...] = ()
    decrypted: tuple[DecryptedPath, ...] = ()
    fields: tuple[MappedField, ...] = ()
    request: MappedRequest | None = None
    wire: WireRequest | None = None
    reason: str = ""
    unsent: AgentOutcome | None = None
    reporter: Reporter | None = None

    @property
    def mapping(self) -> AgentMapping | None:
        """The mapping that the agent uses, or None."""
        return self.tries[-1].mapping if self.tries and self.tries[-1].is_enabled else None

    @property
    def taking(self) -> tuple[AgentCall, ...]:
        """The calls by which the agent got the message."""
        return taking_calls(self.message)

    @property
    def before(self) -> tuple[AgentCall, ...]:
        """The calls before the request, which are part of each outcome.

        Without a request, there are no calls.
        """
        return () if self.wire is None or self.reporter is None else self.reporter.before_sending()

    def outcome(self, response: AgentResponse) -> AgentOutcome:
        """Return what the agent reports if its request gets `response`."""
        assert self.request is not None
        assert self.reporter is not None
        return self.reporter.outcome(self.request, response)


@frozen(kw_only=True)
class ShownPrediction:
    """A prediction, and the data that its view needs.

    `environment` has the variables that the expressions read. `given` has the names of the variables that the
    expressions can read. `origin` is set if the message was read from a topic. `came_over_http` means that the message
    is the body of a captured request. `secrets` are the decrypted values that were not known to be secret before.
    """

    prediction: Prediction
    environment: EnvironmentUse
    given: tuple[str, ...]
    masker: AgentMasker
    version: AgentVersion
    origin: MessageOrigin | None = None
    came_over_http: bool = False
    secrets: frozenset[str] = field(default=frozenset(), repr=False)


def predict(message: AgentMessage, world: AgentWorld) -> Prediction:
    """Return what the agent does with a message.

    This function changes the message's document: it decrypts values in it.
    """
    reporter = Reporter(message=message, mapping=None, evaluate=world.evaluate, quote=_quote(world))
    if message.acceptance is not Acceptance.ACCEPTED:
        return _rejected(message, reporter)
    tries = tuple(_tries(message, world))
    prediction = Prediction(message=message, tries=tries)
    mapping = prediction.mapping
    if mapping is None:
        reason = "no mapping is enabled for it" if tries else "there is no mapping"
        if message.subject is Subject.NODE_RUN and message.transport is AgentTransport.KAFKA:
            reason += f". {_SHARED_TOPIC}"
        return replace(prediction, reason=reason, unsent=reporter.untouched())
    reporter = replace(reporter, mapping=mapping)
    decrypted = decrypt_paths(message.document, mapping.decrypt_paths, world.decipher)
    prediction = replace(prediction, decrypted=decrypted, reporter=reporter)
    if message.subject is Subject.CHANGE and not message.method.get("url"):
        reason = "the message has no run, and its `changelogDestination` has no URL"
        return replace(prediction, reason=reason, unsent=AgentOutcome(response=None, calls=()))
    return _prepared(prediction, mapping, reporter, world)


def _quote(world: AgentWorld) -> Callable[[str], str] | None:
    """Return the function that quotes a response like the agent, or None if the agent does not quote responses."""
    settings = world.settings
    if not settings.is_detailed:
        return None
    if settings.version is AgentVersion.MAY_2026:
        return str
    return partial(quoted, known=(Secret(settings.client_id), settings.secret))


def _rejected(message: AgentMessage, reporter: Reporter) -> Prediction:
    if message.acceptance is Acceptance.NOT_FOR_AGENT:
        unsent = AgentOutcome(response=None, calls=())
        return Prediction(message=message, reason="`agent` is not true, so the agent ignores it", unsent=unsent)
    if message.acceptance is Acceptance.BAD_SIGNATURE:
        reason = "its signature does not match the client secret, so the agent ignores it"
        return Prediction(message=message, reason=reason, unsent=reporter.untouched())
    unsent = AgentOutcome(response=None, calls=tuple(reporter.failed(was_sending=False)), error=message.fault)
    return Prediction(message=message, reason=f"the agent fails: {message.fault}", unsent=unsent)


def _tries(message: AgentMessage, world: AgentWorld) -> Sequence[MappingTry]:
    """Return the mappings up to the first enabled mapping. The agent does not try the mappings after it."""
    tries: list[MappingTry] = []
    for mapping in world.mappings:
        tries.append(_try(mapping, message, world))
        if tries[-1].is_enabled:
            break
    return tries


def _try(mapping: AgentMapping, message: AgentMessage, world: AgentWorld) -> MappingTry:
    if isinstance(mapping.enabled, bool):
        return MappingTry(mapping=mapping, is_enabled=mapping.enabled)
    (result,) = world.evaluate([mapping.enabled], message.document)
    return MappingTry(mapping=mapping, is_enabled=result.value is True, result=result)


def _prepared(prediction: Prediction, mapping: AgentMapping, reporter: Reporter, world: AgentWorld) -> Prediction:
    """Return the prediction with the request, or with the exception that prevents the request."""
    was_sending = False
    try:
        request, fields = map_request(prediction.message, mapping, world.evaluate)
        prediction, was_sending = replace(prediction, fields=fields), True
        request = sign_request(request, world.settings.secret, world.timestamp)
        wire = wire_request(
            request.method, request.url, headers=request.headers, query=request.query, body=request.body
        )
    except AgentFault as fault:
        unsent = reporter.faulted(str(fault), was_sending=was_sending)
        return replace(prediction, reason=f"the agent fails: {fault}", unsent=unsent)
    return replace(prediction, request=request, wire=wire)
