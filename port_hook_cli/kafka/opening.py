"""`--kafka` of `listen` and `agent`: makes the source that reads the topics, from options and settings."""

from __future__ import annotations

import getpass
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import TYPE_CHECKING

from port_hook_cli.errors import CredentialsError, PortApiError, SettingsError, UsageError
from port_hook_cli.frozen import frozen
from port_hook_cli.kafka.connection import KafkaPlan, check_group, is_agents_group, is_usable_text
from port_hook_cli.kafka.environment import KafkaSettings, read_credentials, read_kafka_settings
from port_hook_cli.runtime import Runtime
from port_hook_cli.text.safe import brief

if TYPE_CHECKING:
    from port_hook_cli.invocations.source import Source, SourceContext
    from port_hook_cli.kafka.connection import KafkaConnection
    from port_hook_cli.port_api.client import PortApi

_NO_KAFKA = "Ask Port to enable Kafka for your organization. If your agent polls, run `port-hook port-agent --poll`."
_NO_ORG_ID = "Set PORT_ORG_ID to your organization ID. Port shows it at `...` > Organization."


@frozen(kw_only=True)
class KafkaOptions:
    """The options for reading the topics.

    `forwards` means that a handler gets the messages, or the requests made from them. `yes` skips the question that
    `take_over` asks. `since_s` is in seconds since the epoch.
    """

    group: str | None = None
    take_over: bool = False
    yes: bool = False
    since_s: float | None = None
    from_end: bool = False
    forwards: bool = False


@frozen(kw_only=True)
class KafkaOpening:
    """Opens the topics. Call an instance with a `SourceContext`.

    `open_api` opens a client of Port's API, for missing `settings`. `ask` asks the user a yes-or-no question, and is
    None if port-hook cannot ask the user. `on_secret` receives each password.
    """

    options: KafkaOptions
    settings: KafkaSettings
    open_api: Callable[[], PortApi]
    ask: Callable[[str], Awaitable[bool]] | None = None
    on_secret: Callable[[str], None] = lambda _: None

    async def __call__(self, context: SourceContext) -> Source:
        """Return the source of invocations. Raises PortHookError."""
        from port_hook_cli.kafka.source import open_kafka

        org_id = self.settings.org_id or await self._org_id()
        connection = await self._connection()
        await self._check_group(org_id, connection.username)
        plan = KafkaPlan(
            org_id=org_id,
            topics=self.settings.topics(org_id),
            group=self.options.group,
            since_s=self.options.since_s,
            from_end=self.options.from_end,
        )
        if self.options.forwards and not self.options.take_over:
            context.notice("warning: The execution agent handles these runs too, so their work may be done twice.")
        return await open_kafka(plan, self._connection, context)

    async def _connection(self) -> KafkaConnection:
        """Return the brokers and the credentials. If the settings lack them, each call gets them from Port's API."""
        given = None
        if self.settings.needs_api:
            async with self.open_api() as api:
                given = await _given(api)
        connection = self.settings.connection(given)
        if connection.password is not None:
            self.on_secret(connection.password.reveal())
        return connection

    async def _org_id(self) -> str:
        try:
            async with self.open_api() as api:
                shown = (await api.call("GET", "/v1/organization")).get("organization")
        except (PortApiError, SettingsError) as error:
            # The organization's ID alone would not help, because the brokers come from the same API.
            if self.settings.needs_api and (isinstance(error, SettingsError) or error.is_for_doctor):
                raise
            raise CredentialsError(f"The organization ID is unknown. {error.message}", hint=_NO_ORG_ID) from None
        found = shown.get("id") if isinstance(shown, dict) else None
        if not (isinstance(found, str) and found.isprintable() and is_usable_text(found)):
            raise SettingsError("The organization ID is unknown.", hint=_NO_ORG_ID)
        return found

    async def _check_group(self, org_id: str, username: str) -> None:
        group, options = self.options.group, self.options
        if group is None:
            return
        check_group(group, org_id=org_id, username=username, user=_user())
        is_agents = group == self.settings.agents_group or is_agents_group(group, org_id=org_id, username=username)
        if not is_agents:
            if options.take_over:
                raise UsageError(
                    f"{brief(group)} is not the execution agent's group, so there is nothing to take over.",
                    hint="Leave out --take-over.",
                )
            return
        if not options.take_over:
            raise UsageError(
                f"{brief(group)} is the execution agent's group: a listener in it consumes the agent's messages.",
                hint=f"Use --group {brief(org_id)}.port-hook.{_user()}, or add --take-over to consume them.",
            )
        await self._confirm(group)

    async def _confirm(self, group: str) -> None:
        if self.options.yes:
            return
        if self.ask is None:
            raise UsageError(
                "port-hook cannot ask for confirmation of --take-over because this is not a terminal.",
                hint="Pass --yes. The listener then consumes the agent's messages.",
            )
        question = (
            f"A listener in the group {brief(group)} consumes the execution agent's messages: while it runs, the\n"
            "agent does not handle the runs that the listener gets. Take over?"
        )
        if not await self.ask(question):
            raise UsageError("The listener did not join the agent's group.", hint="Leave out --group to watch.")


def kafka_opening(
    runtime: Runtime,
    open_api: Callable[[], PortApi],
    options: KafkaOptions,
    ask: Callable[[str], Awaitable[bool]] | None = None,
) -> KafkaOpening:
    """Return a factory of the source.

    Raises SettingsError for an invalid setting, and BrokerError without confluent-kafka.

    `open_api` is called when Port's API is needed. `ask` is None if port-hook cannot ask the user.
    """
    return KafkaOpening(
        options=options,
        settings=load_kafka_settings(runtime),
        open_api=open_api,
        ask=ask,
        on_secret=runtime.keep_secret,
    )


def load_kafka_settings(runtime: Runtime) -> KafkaSettings:
    """Return the Kafka settings.

    Raises SettingsError for an invalid setting, and BrokerError without confluent-kafka.
    """
    import port_hook_cli.kafka.client  # noqa: F401 - it may be missing, which must be reported first

    return read_kafka_settings(runtime.environ, runtime.home)


async def _given(api: PortApi) -> KafkaConnection:
    try:
        return read_credentials(await api.call("GET", "/v1/kafka-credentials"))
    except PortApiError as error:
        if error.status != HTTPStatus.NOT_FOUND:
            raise
        raise PortApiError(error.message, hint=_NO_KAFKA, status=error.status) from None


def _user() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError):
        return "USER"
