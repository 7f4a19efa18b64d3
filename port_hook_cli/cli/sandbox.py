"""The command `port-hook sandbox`."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from port_hook_cli.cli import options
from port_hook_cli.cli.exit_codes import ExitCode
from port_hook_cli.cli.option_groups import (
    ANY_VALUE,
    NoEffect,
    Trust,
    also,
    argument,
    command,
    option,
    option_group,
    short_option,
)
from port_hook_cli.files.user_files import file_path
from port_hook_cli.frozen import frozen
from port_hook_cli.runtime import Runtime
from port_hook_cli.signatures.signing import TimestampUnit
from port_hook_cli.terminal.console import emit, tell
from port_hook_cli.text.safe import brief, printable

if TYPE_CHECKING:
    from port_hook_cli.cli.inspect import SandboxInspector
    from port_hook_cli.sandbox import ApiEvent, ApiRules, InitialData, RunEvent, Sandbox, Sending

_NO_INSPECTOR = NoEffect("The inspector does not run", without=("--inspect",))
_NO_BLUEPRINTS = (
    "note: --strict rejects every entity, because the sandbox has no blueprints yet. Pass files with blueprints, or "
    "create them with POST /v1/blueprints."
)


def _check_rate(text: str) -> str:
    from port_hook_cli.sandbox.limits import parse_rate

    try:
        parse_rate(text)
    except ValueError as fault:
        raise typer.BadParameter(f"{fault}.") from None
    return text


@option_group()
class SandboxContent:
    """The options for the initial content of the sandbox."""

    secrets: Annotated[
        str | None,
        option(
            "--secrets", help="The organization's secrets for `.secrets` in templates: JSON or .env.", metavar="FILE"
        ),
    ] = None
    outputs: Annotated[
        str | None,
        option(
            "--outputs",
            help="The outputs of nodes that should not run, such as AI nodes: a map, or a run exported from Port.",
            metavar="FILE",
        ),
    ] = None
    kafka: Annotated[
        str | None,
        option(
            "--kafka",
            help="Publish Port's Kafka messages to this broker. `embedded` starts a broker.",
            metavar="HOST:PORT|embedded",
        ),
    ] = None
    state: Annotated[
        Path | None,
        short_option("--state", help="Save everything in this file and load it at the next start.", metavar="FILE"),
    ] = None

    def read(self, paths: Sequence[Path], runtime: Runtime) -> InitialData:
        """Return the initial data from the files of the options and from `paths`.

        Raises UsageError for invalid content, and StoreError for an unreadable file.
        """
        from port_hook_cli.sandbox import InitialData
        from port_hook_cli.sandbox.definition_files import read_definitions
        from port_hook_cli.trigger.action_files import read_object
        from port_hook_cli.trigger.outputs import read_outputs
        from port_hook_cli.trigger.run_data import read_secrets
        from port_hook_cli.workflows.workflow import read_workflow

        found = read_definitions(
            (runtime.cwd / path for path in paths),
            notice=lambda message: tell(f"note: {printable(message)}", runtime),
        )
        initial = InitialData(
            **found._asdict(),
            secrets=read_object(self.secrets, runtime, read_secrets, secret=True) or {},
            outputs=read_object(self.outputs, runtime, read_outputs) or {},
        )
        for value in initial.secrets.values():
            runtime.keep_secret(value)
        nodes = {name for workflow in initial.workflows for name in read_workflow(workflow).nodes}
        if nodes and (unknown := [name for name in initial.outputs if name not in nodes]):
            tell(f"warning: no workflow has these nodes of --outputs: {brief(', '.join(unknown))}", runtime)
        return initial

    def brokers(self) -> Sequence[str] | None:
        """Return the user's Kafka brokers.

        The result is empty for the embedded broker, and None without Kafka. Raises UsageError for text other than
        addresses of brokers, and for brokers on other machines.
        """
        if self.kafka is None:
            return None
        from port_hook_cli.kafka.producer import EMBEDDED, read_bootstrap

        return () if self.kafka == EMBEDDED else read_bootstrap(self.kafka)


@option_group()
class SandboxBehavior:
    """The options for how the sandbox responds to calls and sends invocations."""

    strict: Annotated[
        bool,
        short_option(
            "--strict", help="Reject unknown runs, and entities that don't match their blueprints.", trust=ANY_VALUE
        ),
    ] = False
    allow_remote: Annotated[bool, option("--allow-remote", help="Send invocations even to other machines.")] = False
    timeout: Annotated[
        float,
        options.seconds(
            "--timeout",
            "Wait S seconds for a webhook's response; 0 waits indefinitely.",
            trust=Trust(0.001, 30.0),
        ),
    ] = 30.0
    timestamp_unit: Annotated[TimestampUnit, options.TIMESTAMP_UNIT] = TimestampUnit.SECONDS
    rate_limit: Annotated[
        str,
        option(
            "--rate-limit",
            help="Respond with 429 after N calls a minute, or a second with N/s; 0 disables the limit.",
            metavar="N|N/s",
            callback=_check_rate,
            trust=ANY_VALUE,
        ),
    ] = "0"

    def rules(self) -> ApiRules:
        """Return the rules that the options set for the API."""
        from port_hook_cli.sandbox import ApiRules
        from port_hook_cli.sandbox.limits import parse_rate

        return ApiRules(strict_runs=self.strict, strict=self.strict, call_rate=parse_rate(self.rate_limit))

    def sending(self) -> Sending:
        """Return the settings for sending invocations."""
        from port_hook_cli.sandbox import Sending

        return Sending(unit=self.timestamp_unit, timeout_s=self.timeout, allow_remote=self.allow_remote)


@command
def sandbox(
    ctx: typer.Context,
    paths: Annotated[
        list[Path] | None,
        argument(
            help="Files or directories with actions, workflows and blueprints, in JSON or YAML. Default: a sample "
            "action, create_vm.",
            metavar="[PATH]...",
        ),
    ] = None,
    port: Annotated[
        int,
        short_option(
            "--port",
            "-p",
            help="The port to listen on; 0 chooses a free port.",
            metavar="N",
            min=0,
            max=65535,
            trust=ANY_VALUE,
        ),
    ] = 0,
    *,
    content: SandboxContent,
    behavior: SandboxBehavior,
    env_file: Annotated[
        Path | None,
        short_option(
            "--env-file",
            help="Write the credentials to this file, which only you can read, instead of printing them.",
            metavar="FILE",
        ),
    ] = None,
    inspect: Annotated[bool, short_option("--inspect", help="Show requests and runs in the browser.")] = False,
    inspect_port: Annotated[options.InspectPort, also(no_effect=(_NO_INSPECTOR,))] = 0,
    as_json: options.Json = False,
) -> ExitCode:
    """Simulate Port's API.

    Listens on 127.0.0.1 and generates credentials. Prints the environment variables that a handler needs, and then
    every call and every step of a run. POST /v1/workflows/ID/runs starts a workflow run, and POST /v1/actions/ID/runs
    an action run. The sandbox signs each invocation, sends it to the URL of the node or action, and records it.
    """
    import asyncio

    runtime: Runtime = ctx.obj
    if env_file is not None:
        from port_hook_cli.sandbox.env_file import check_env_file

        file_path("--env-file", env_file, runtime.cwd)
        check_env_file(str(env_file), cwd=runtime.cwd)
    plan = _Plan(
        address=("127.0.0.1", port),
        initial=content.read(paths or (), runtime),
        rules=behavior.rules(),
        sending=behavior.sending(),
        state=None if content.state is None else file_path("--state", content.state, runtime.cwd),
        brokers=content.brokers(),
    )
    shown = None
    if inspect:
        from port_hook_cli.cli.inspect import SandboxInspector

        shown = SandboxInspector(runtime, port=inspect_port, actions=paths or [])
    asyncio.run(_serve(plan, _Teller(runtime, as_json=as_json, env_file=env_file), shown))
    return ExitCode.OK


@frozen(kw_only=True)
class _Plan:
    """The sandbox to start. `brokers` is None without Kafka, and empty for the embedded broker."""

    address: tuple[str, int]
    initial: InitialData
    rules: ApiRules
    sending: Sending
    state: Path | None
    brokers: Sequence[str] | None

    @property
    def is_embedded(self) -> bool:
        """Whether the sandbox starts its own broker."""
        return self.brokers is not None and not self.brokers

    async def with_broker(self, stack: AsyncExitStack) -> _Plan:
        """Return the plan of a sandbox that publishes to its broker, if it has a broker."""
        if self.brokers is None:
            return self
        from port_hook_cli.kafka.producer import local_publisher

        publisher, brokers = await stack.enter_async_context(local_publisher(tuple(self.brokers) or None))
        return replace(
            self,
            initial=replace(self.initial, kafka_brokers=brokers),
            sending=replace(self.sending, publisher=publisher),
        )


async def _serve(plan: _Plan, teller: _Teller, shown: SandboxInspector | None) -> None:
    from port_hook_cli.sandbox import EventHandlers, Sandbox
    from port_hook_cli.terminal.signals import stop_signal
    from port_hook_cli.trigger.open_invoker import SandboxInvoker, invoking

    up: list[Sandbox] = []
    with stop_signal() as stop, invoking(lambda: up[0].client_secret) as invoker:
        async with AsyncExitStack() as stack:
            plan = await plan.with_broker(stack)
            handlers = EventHandlers(on_event=teller.tell_event, on_run=teller.tell_event)
            running = await stack.enter_async_context(
                Sandbox.start(
                    plan.initial,
                    address=plan.address,
                    state=plan.state,
                    rules=plan.rules,
                    sending=replace(plan.sending, invoker=SandboxInvoker(invoker), renders=invoker.renderer),
                    handlers=handlers if shown is None else replace(handlers, on_delivery=shown.add),
                    now=teller.runtime.now,
                )
            )
            up.append(running)
            teller.tell_ready(running, plan.initial.kafka_brokers, is_embedded=plan.is_embedded)
            if plan.rules.strict and not running.blueprints:
                teller.tell(_NO_BLUEPRINTS)
            if shown is None:
                await stop.wait()
                return
            async with shown.opened(running.url, running.client_id, running.client_secret) as url:
                teller.tell(f"Inspector {url}")
                await stop.wait()


@frozen
class _Teller:
    """Prints what happens: the lines to paste or the records on stdout, and everything else on stderr."""

    runtime: Runtime
    as_json: bool
    env_file: Path | None

    def tell_ready(self, running: Sandbox, brokers: Sequence[str], *, is_embedded: bool) -> None:
        from port_hook_cli.sandbox.events import format_exports, kafka_fields, kafka_lines, sandbox_ready_record

        # This secret may be shown, because the sandbox generated it, and it is valid nowhere else.
        secret = running.client_secret.reveal()
        self.runtime.keep_secret(secret)
        organization = running.organization if brokers else None
        exports = format_exports(running.url, running.client_id, secret, organization)
        if self.env_file is not None:
            from port_hook_cli.sandbox.env_file import write_env_file

            write_env_file(str(self.env_file), exports, cwd=self.runtime.cwd)
        if self.as_json:
            topic = running.topic
            kafka = None if topic is None else kafka_fields(topic, brokers, is_embedded=is_embedded)
            emit(sandbox_ready_record(running.url, running.client_id, secret, kafka=kafka), self.runtime.stdout)
            return
        if self.env_file is None:
            print(exports, file=self.runtime.stdout, flush=True)
        else:
            self.tell(f"The credentials for {running.url} are in {printable(str(self.env_file))}.")
        if running.topic is not None:
            for line in kafka_lines(running.topic, brokers, is_embedded=is_embedded):
                self.tell(line)
        print("Listening. Every call is shown here. Press Ctrl-C to stop.", file=self.runtime.stderr, flush=True)

    def tell(self, line: str) -> None:
        print(line, file=self.runtime.stderr, flush=True)

    def tell_event(self, event: ApiEvent | RunEvent) -> None:
        # Even if the reader of stdout has ended, the caller's request must not fail.
        with contextlib.suppress(OSError):
            if self.as_json:
                emit(event.record, self.runtime.stdout)
            else:
                tell(event.line, self.runtime)
                self.runtime.stderr.flush()
