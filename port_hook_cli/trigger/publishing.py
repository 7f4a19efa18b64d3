"""`trigger --kafka`: publishes what Port publishes for its execution agent, and for a KAFKA action's consumer."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from typing import TYPE_CHECKING, Any

from port_hook_cli.actions.action import PortAction
from port_hook_cli.errors import BrokerError, ExitCode, SettingsError, TargetError, UsageError
from port_hook_cli.kafka.connection import RUNS_SUFFIX
from port_hook_cli.kafka.environment import ORG_ID, read_kafka_settings
from port_hook_cli.port_api.credentials import open_port_api
from port_hook_cli.port_api.settings import Settings
from port_hook_cli.runtime import Runtime
from port_hook_cli.signatures.signing import signed_message
from port_hook_cli.text.secret import Masker
from port_hook_cli.trigger.invoker import Invoker, RunParameters
from port_hook_cli.trigger.message_output import MadeMessage, print_message, show_message, show_published
from port_hook_cli.trigger.output import warn
from port_hook_cli.trigger.plan import TriggerPlan

if TYPE_CHECKING:
    from port_hook_cli.kafka.producer import KafkaPublisher, Published

_ORGANIZATION_HINT = f"Set {ORG_ID} to your organization's id."


class SignedTopic:
    """A topic to which signed messages are published."""

    def __init__(
        self,
        name: str,
        publisher: KafkaPublisher,
        plan: TriggerPlan,
        settings: Callable[[], Settings],
        runtime: Runtime,
    ) -> None:
        self.name = name
        self._publisher = publisher
        self._plan = plan
        self._settings = settings
        self._runtime = runtime

    async def publish(self, document: Any) -> Published:
        """Sign and publish a message; raises TargetError if it is not confirmed."""
        return await self.publish_signed(sign_for(self._plan, self._settings, self._runtime, document))

    async def publish_signed(self, content: bytes) -> Published:
        """Publish a message as it is; raises TargetError if it is not confirmed."""
        with _as_target():
            return await self._publisher.publish(self.name, content)


@contextmanager
def _as_target() -> Iterator[None]:
    try:
        yield
    except BrokerError as problem:
        raise TargetError(problem.message, hint=problem.hint) from problem


def sign_for(plan: TriggerPlan, settings: Callable[[], Settings], runtime: Runtime, document: Any) -> bytes:
    """Return a signed message, or one without a signature if the plan says so."""
    secret = None if plan.no_sign else settings().require_secret()
    return signed_message(document, secret, plan.unit.stamp(runtime.now()))


@asynccontextmanager
async def opened_topic(
    plan: TriggerPlan, settings: Callable[[], Settings], runtime: Runtime
) -> AsyncIterator[SignedTopic]:
    """Yield the topic of the organization's runs at the plan's brokers; raises SettingsError and PortApiError."""
    from port_hook_cli.kafka.local import local_publisher
    from port_hook_cli.kafka.producer import PUBLISH_TIMEOUT_S

    name = await _topic(plan, settings, runtime)
    async with local_publisher(plan.brokers, timeout_s=plan.timeout_s or PUBLISH_TIMEOUT_S) as (publisher, _):
        with _as_target():
            await publisher.find(name)
        yield SignedTopic(name, publisher, plan, settings, runtime)


async def publish_invocation(
    action: PortAction,
    asked: RunParameters,
    plan: TriggerPlan,
    invoker: Invoker,
    masker: Masker,
    settings: Callable[[], Settings],
    runtime: Runtime,
    announce: Callable[[Mapping[str, Any]], Awaitable[None]],
) -> ExitCode:
    """Publish or print the message of a run; raises what Invoker.request raises, and TargetError.

    `announce` tells a sandbox of the run, with its inputs, before its message is published.
    """
    if plan.sends and not plan.brokers:
        raise UsageError(
            f"The action {action.identifier} is invoked by Kafka: Port publishes a message and sends no request.",
            hint="Publish it with --kafka HOST:PORT, or print it with --dry-run.",
        )
    made = await _make(action, asked, plan, invoker, masker, settings, runtime)
    warn(made.errors, masker, runtime)
    return await publish_made(made, plan, settings, runtime, announce)


async def _tell_no_one(_: Mapping[str, Any]) -> None:
    return


async def publish_made(
    made: MadeMessage,
    plan: TriggerPlan,
    settings: Callable[[], Settings],
    runtime: Runtime,
    announce: Callable[[Mapping[str, Any]], Awaitable[None]] = _tell_no_one,
) -> ExitCode:
    """Publish or print a message; raises TargetError, and what the search for the topic raises.

    Raises UsageError for options that choose where a request is sent.
    """
    _refuse_targets(plan)
    if not plan.sends:
        print_message(made, runtime, json=plan.json)
        return ExitCode.OK
    async with opened_topic(plan, settings, runtime) as topic:
        if not plan.json:
            show_message(made, topic.name, runtime)
        await announce(made.properties)
        published = await topic.publish_signed(made.content)
    show_published(made, published, list(plan.brokers), runtime, json=plan.json)
    return ExitCode.OK


def _refuse_targets(plan: TriggerPlan) -> None:
    given = {"--to": plan.to, "--route": plan.routes, "--to-its-url": plan.to_its_url}
    for option, value in given.items():
        if value:
            raise UsageError(
                f"{option} has no effect: a message is published to a topic, and no request is sent.",
                hint=f"Leave out {option}.",
            )


async def _make(
    action: PortAction,
    asked: RunParameters,
    plan: TriggerPlan,
    invoker: Invoker,
    masker: Masker,
    settings: Callable[[], Settings],
    runtime: Runtime,
) -> MadeMessage:
    from port_hook_cli.trigger.open_invoker import as_published, as_sent

    if action.is_message:
        message = await invoker.message(action, **asked)
        made, errors = as_published(message), message.errors
    else:
        request = await invoker.request(action, **asked)
        if not request.agent:
            raise UsageError(
                f"Port sends the request of {action.identifier} itself and publishes nothing: its `agent` is not true.",
                hint="Leave out --kafka.",
            )
        made, errors = as_sent(request), request.errors
    return MadeMessage(
        action=action.identifier,
        run_id=asked["run_id"],
        content=sign_for(plan, settings, runtime, made.message(asked["run_id"])),
        synchronized=made.synchronized,
        agent=made.agent,
        errors=errors,
        masker=masker,
        properties=made.properties or {},
    )


async def _topic(plan: TriggerPlan, settings: Callable[[], Settings], runtime: Runtime) -> str:
    """Return the topic of the runs, by the organization's id from the user's own places or from the API."""
    known = read_kafka_settings(runtime.environ, runtime.home)
    if known.runs_topic or known.org_id:
        return known.runs_topic or f"{known.org_id}{RUNS_SUFFIX}"
    known_settings = settings()
    if known_settings.client_id is None or known_settings.client_secret is None:
        raise SettingsError(
            "The topic is named after the organization, whose id is not known.",
            hint=f"{_ORGANIZATION_HINT} Or set PORT_CLIENT_ID and the secret, to read it from Port's API.",
        )
    async with open_port_api(known_settings, runtime, timeout_s=plan.api_timeout_s) as api:
        answer = await api.call("GET", "/v1/organization")
    found = answer.get("organization")
    identifier = found.get("id") if isinstance(found, dict) else None
    if not isinstance(identifier, str) or not identifier:
        raise SettingsError("Port's API did not return the organization's id.", hint=_ORGANIZATION_HINT)
    return f"{identifier}{RUNS_SUFFIX}"
