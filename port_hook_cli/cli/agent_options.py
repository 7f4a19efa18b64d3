"""The options of `port-agent`, in the groups of its help."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated

from port_hook_cli.cli import options
from port_hook_cli.cli.option_groups import NoEffect, also, argument, option, option_group, short_option
from port_hook_cli.errors import UsageError
from port_hook_cli.frozen import frozen
from port_hook_cli.prediction.message import AgentTransport, AgentVersion

if TYPE_CHECKING:
    from port_hook_cli.agent.mappings import MappingChoice
    from port_hook_cli.agent.performing import AgentSender
    from port_hook_cli.agent.predictor import Predictor
    from port_hook_cli.cli.agent_screen import AgentForm, AgentScreen
    from port_hook_cli.port_api.access import PortAccess
    from port_hook_cli.prediction.response import AgentResponse
    from port_hook_cli.runtime import Runtime
    from port_hook_cli.text.remark import Remark

_NO_MESSAGE = NoEffect("--check does not use a message", beside=("--check",))
_NOT_SENT = NoEffect("Nothing is sent", without=("--send",))
_NOT_FOLLOWED = NoEffect("No messages arrive", without=("--kafka", "--poll"))

Message = Annotated[
    str | None,
    argument(
        name="a MESSAGE",
        metavar="MESSAGE",
        help="A file (Kafka message, claimed run, payload or capture; - for stdin), a capture ID, or `last`.",
        show_default=False,
        excludes=("--check", "--kafka", "--poll"),
        stdin="the message",
        completes="captures_and_files",
    ),
]


@option_group("Message")
class AgentReading:
    """The options for reading a message, and for the version of the agent that reads it."""

    transport: Annotated[
        AgentTransport | None,
        option(
            "--transport",
            help="How the agent receives the message. Default: from STREAMER_NAME, otherwise from the message.",
        ),
    ] = None
    agent_version: Annotated[
        AgentVersion,
        option(
            "--agent-version",
            help="The agent version to predict: May 2026, later, or the latest. Their messages and logs differ.",
        ),
    ] = AgentVersion.LATEST
    store: options.Store = None


@option_group("Incoming messages")
class AgentArrivals:
    """The options for a stream of messages."""

    kafka: Annotated[
        bool,
        short_option(
            "--kafka",
            help="Show each message in the agent's Kafka topics as it arrives, without consuming it.",
            excludes=("--poll",),
        ),
    ] = False
    poll: Annotated[
        bool, short_option("--poll", help="Show the agent's action runs in progress, without claiming them.")
    ] = False
    since: Annotated[
        str | None,
        short_option(
            "--since",
            metavar="TIME",
            help="With --kafka or --poll: show messages or runs since this time: 10m, 2h, or 2026-05-01T13:30.",
            no_effect=(_NOT_FOLLOWED,),
        ),
    ] = None
    count: Annotated[
        int | None,
        short_option(
            "--count",
            metavar="N",
            help="With --kafka or --poll: stop after N messages or runs.",
            min=1,
            no_effect=(_NOT_FOLLOWED,),
        ),
    ] = None

    @property
    def follows(self) -> bool:
        """Whether the command follows a stream of messages."""
        return self.kafka or self.poll

    def since_s(self, now: float) -> float | None:
        """Return `--since` in seconds since the epoch. Raises UsageError if it is not a time."""
        from port_hook_cli.text.durations import parse_since

        return None if self.since is None else parse_since(self.since, now=now)


@option_group("Mapping")
class AgentMappingFile:
    """The options for the mapping file, and for the variables that its expressions can read."""

    mapping: Annotated[
        str | None,
        short_option(
            "--mapping",
            metavar="FILE",
            help="The agent's mapping file. Default: CONTROL_THE_PAYLOAD_CONFIG_PATH, or "
            "control_the_payload_config.json in the current directory, or the agent's own default.",
            no_effect=(_NO_MESSAGE,),
            stdin="the mapping file",
        ),
    ] = None
    env: Annotated[
        list[str] | None,
        short_option(
            "--env",
            metavar="NAME",
            help="Let expressions read this environment variable (repeatable). Default: none.",
            no_effect=(_NO_MESSAGE,),
        ),
    ] = None
    check: Annotated[
        str | None,
        short_option(
            "--check",
            metavar="FILE",
            help="Check a mapping file instead, without a message.",
            excludes=("--kafka", "--poll"),
            stdin="the mapping file",
        ),
    ] = None
    watch: Annotated[
        bool,
        short_option(
            "--watch",
            help="Show the prediction again whenever the mapping file changes, until Ctrl-C.",
            excludes=("--raw", "--send"),
            no_effect=(_NO_MESSAGE,),
        ),
    ] = False


@option_group("Responses")
class AgentResponses:
    """The options for the response for which the agent's reports are shown."""

    response: Annotated[
        str | None,
        short_option(
            "--response",
            metavar="STATUS|@FILE",
            help="Show only the reports for this response status, or for 200 with the body in a file.",
        ),
    ] = None

    def read(self, runtime: Runtime) -> AgentResponse | None:
        """Return the response, or None without the option. Raises UsageError if it is neither a status nor a file."""
        if self.response is None:
            return None
        from port_hook_cli.agent.predictor import read_response

        text, at, name = self.response.partition("@")
        if at and not text:
            return read_response(name, None, runtime)
        if not re.fullmatch("[2-5][0-9]{2}", self.response):
            raise UsageError(
                f"--response {self.response!r} is neither a status from 200 to 599 nor @FILE.",
                hint="Write it as 500, or as @response.json.",
            )
        return read_response(None, int(self.response), runtime)


@option_group("Send the request")
class AgentSending:
    """The options for sending the request."""

    send: Annotated[
        bool,
        short_option(
            "--send",
            help="Send the request, only to this machine unless you pass --to.",
            excludes=("--poll",),
            no_effect=(_NO_MESSAGE,),
        ),
    ] = False
    to: Annotated[
        str | None,
        short_option(
            "--to",
            metavar="URL|PORT",
            help="With --send: the target. If it has no path, port-hook uses the request's path.",
            no_effect=(_NOT_SENT,),
        ),
    ] = None

    def sender(self) -> AgentSender | None:
        """Return the sender of requests, or None if requests are not sent. Raises UsageError for an invalid target."""
        if not self.send:
            return None
        from port_hook_cli.agent.performing import AgentSender, AgentTarget, send_like_the_agent
        from port_hook_cli.invocations.targets import read_target

        target = AgentTarget(None if self.to is None else read_target(self.to, "--to"))
        return AgentSender(target=target, send=send_like_the_agent)


@option_group("Signature")
class AgentSecret:
    """The options for the client secret."""

    secret_file: options.SecretFile = None
    org: options.Org = None


@option_group("Output")
class AgentOutput:
    """The output options."""

    raw: Annotated[
        bool, short_option("--raw", help="Print only the raw request.", excludes=("--send",), no_effect=(_NO_MESSAGE,))
    ] = False
    json: Annotated[options.Json, also(excludes=("--raw",))] = False

    @property
    def form(self) -> AgentForm:
        """The form of the output for each message."""
        from port_hook_cli.cli.agent_screen import AgentForm

        return AgentForm.BYTES if self.raw else AgentForm.RECORD if self.json else AgentForm.TEXT


@frozen(kw_only=True)
class AgentOptions:
    """The options of one call of `port-agent`, and the values that several groups determine."""

    runtime: Runtime
    reading: AgentReading
    arrivals: AgentArrivals
    mapping: AgentMappingFile
    responses: AgentResponses
    sending: AgentSending
    secret: AgentSecret
    output: AgentOutput

    def access(self, *, needs_api: bool) -> PortAccess:
        """Return the access to Port. Without `needs_api`, it needs only the client secret."""
        from port_hook_cli.port_api.access import PortAccess
        from port_hook_cli.port_api.settings import ALL_NEEDS, ONLY_THE_SECRET
        from port_hook_cli.terminal.console import sayer

        return PortAccess(
            self.runtime,
            sayer(self.runtime),
            org=self.secret.org,
            secret_file=self.secret.secret_file,
            needs=ALL_NEEDS if needs_api else ONLY_THE_SECRET,
        )

    def mappings(self) -> MappingChoice:
        """Return the source of the mappings."""
        from port_hook_cli.agent.mappings import MappingChoice
        from port_hook_cli.terminal.console import sayer

        return MappingChoice(
            named=self.mapping.mapping, sends=self.sending.send, runtime=self.runtime, say=sayer(self.runtime)
        )

    @contextmanager
    def predictor(
        self, access: PortAccess, beginning: Sequence[Remark] = ()
    ) -> Iterator[tuple[Predictor, AgentScreen]]:
        """Yield the predictor of messages, and the screen for the predictions."""
        from port_hook_cli.agent.predictor import Predictor, agent_settings, read_variables
        from port_hook_cli.cli.agent_screen import AgentScreen
        from port_hook_cli.engines.agent_jq import AgentJq
        from port_hook_cli.prediction.response import default_responses

        runtime, settings = self.runtime, access.settings
        response = self.responses.read(runtime)
        variables = read_variables(self.mapping.env or (), runtime)
        agents = agent_settings(settings, runtime.environ, self.reading.agent_version)
        screen = AgentScreen(
            runtime,
            self.output.form,
            default_responses() if response is None else (response,),
            beginning=beginning,
        )
        with AgentJq(variables) as jq:
            yield Predictor(settings=agents, variables=variables, jq=jq, runtime=runtime), screen
