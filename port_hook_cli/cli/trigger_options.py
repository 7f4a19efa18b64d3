"""The options of `trigger`, in the groups of its help, and the values that they build."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated

from port_hook_cli.cli import options
from port_hook_cli.cli.option_groups import (
    ANY_VALUE,
    HANDLER_HERE,
    NoEffect,
    also,
    option,
    option_group,
    short_option,
)
from port_hook_cli.cli.run_options import RunContents
from port_hook_cli.errors import UsageError
from port_hook_cli.frozen import frozen
from port_hook_cli.invocations.snippets import REQUEST_FORMATS
from port_hook_cli.signatures.signing import Signer, TimestampUnit
from port_hook_cli.terminal.console import Output

if TYPE_CHECKING:
    from port_hook_cli.cli.handlers import FindHandler
    from port_hook_cli.port_api.access import PortAccess
    from port_hook_cli.runtime import Runtime
    from port_hook_cli.text.remark import Say
    from port_hook_cli.text.styled import Styled
    from port_hook_cli.trigger.action import Announce, RunTarget
    from port_hook_cli.trigger.outputs import GivenOutputs
    from port_hook_cli.workflows.workflow import Workflow


_IN_PORT = (NoEffect("With --via-port, Port sends the request", beside=("--via-port",)),)
# A default --dry-run must not start a run.
_DRY_IN_PORT = (_IN_PORT[0]._replace(defaults_count=True),)


@option_group("Target")
class TriggerTarget:
    """The options for the target of a run's request or message."""

    to: Annotated[
        str | None,
        short_option(
            "--to",
            metavar="URL|PORT",
            help="Default: the action's URL if it is on this machine, your handler, or 8000. "
            "kafka://HOST:PORT publishes Port's Kafka message to a broker on this machine.",
            trust=HANDLER_HERE,
            no_effect=_IN_PORT,
        ),
    ] = None
    route: Annotated[
        list[str] | None,
        option("--route", metavar="ACTION=URL", help="Another target for this action (repeatable).", completes="rules"),
    ] = None
    to_its_url: Annotated[
        bool,
        option("--to-its-url", help="Send to the action's own URL, even on another machine.", no_effect=_IN_PORT),
    ] = False
    timeout_s: Annotated[options.ResponseTimeout, also(no_effect=_IN_PORT)] = 40.0

    def read(self) -> RunTarget:
        """Return the targets as URLs. Raises UsageError if one is invalid."""
        from port_hook_cli.invocations.targets import read_target
        from port_hook_cli.trigger.action import RunTarget

        to = None if self.to is None or self.brokers else read_target(self.to, "--to")
        routes = {}
        for text in self.route or []:
            action, equals, target = text.partition("=")
            if not (action and equals and target):
                raise UsageError(f"--route {text!r} is not ACTION=URL.", hint="Write it as --route create_vm=8001.")
            routes[action] = read_target(target, "--route")
        return RunTarget(to=to, routes=routes, to_its_url=self.to_its_url)

    @property
    def brokers(self) -> tuple[str, ...]:
        """The Kafka brokers for messages. Raises UsageError if --to has a broker that is not on this machine."""
        if self.to is None or not self.to.startswith("kafka://"):
            return ()
        from port_hook_cli.kafka.producer import brokers_in

        return brokers_in(self.to)

    @property
    def chosen(self) -> Mapping[str, object]:
        """The values of the options that choose the target of a request."""
        to = None if self.brokers else self.to
        return {"--to": to, "--route": self.route, "--to-its-url": self.to_its_url}


@option_group("Run")
class TriggerRun(RunContents):
    """The options for the content of a run, and for the nodes of a workflow."""

    from_: Annotated[
        str | None,
        short_option(
            "--from",
            metavar="NODE",
            help="Run the workflow from this node.",
            no_effect=(NoEffect("Port does not document how to run a workflow from a node", beside=("--via-port",)),),
        ),
    ] = None
    output_of: Annotated[
        list[str] | None,
        option(
            "--output",
            metavar="NODE.PATH=JSON",
            help="One value in the output of a node that should not run (repeatable).",
            no_effect=_IN_PORT,
        ),
    ] = None
    respond: Annotated[
        list[str] | None,
        option(
            "--respond",
            metavar="NODE=OUTLET",
            help="The response to an INPUT node (repeatable).",
            no_effect=_IN_PORT,
        ),
    ] = None
    run_id: Annotated[
        str | None, option("--run-id", metavar="ID", help="The run's ID. Default: a new ID.", no_effect=_IN_PORT)
    ] = None
    strict: Annotated[
        bool,
        option(
            "--strict",
            help="Fail if a jq expression fails, instead of using null.",
            trust=ANY_VALUE,
            no_effect=_IN_PORT,
        ),
    ] = False

    @property
    def responses(self) -> dict[str, str]:
        """The chosen outlets by INPUT node. Raises UsageError for an invalid --respond."""
        if not self.respond:
            return {}
        from port_hook_cli.trigger.outputs import read_responses

        return read_responses(self.respond)

    @property
    def for_workflows(self) -> Mapping[str, object]:
        """The values of the options that only workflows have."""
        outputs = self.files.get("outputs")
        return {
            "--with outputs": outputs,
            "--output": self.output_of,
            "--respond": self.respond,
            "--from": self.from_,
        }

    @property
    def wants_last(self) -> bool:
        """Whether the outputs of the latest run are used."""
        outputs = self.files.get("outputs")
        if outputs is None:
            return self.from_ is not None
        from port_hook_cli.trigger.outputs import LAST

        return outputs == LAST

    async def find_outputs(
        self, workflow: Workflow, node: str | None, access: PortAccess, runtime: Runtime, say: Say
    ) -> GivenOutputs:
        """Return the outputs by node from the options, or from the last run and the options."""
        from functools import reduce

        from port_hook_cli.trigger.action_files import read_object
        from port_hook_cli.trigger.outputs import (
            GivenOutputs,
            add_output,
            last_outputs,
            read_given_outputs,
            reject_unknown_nodes,
            require_node,
        )
        from port_hook_cli.trigger.retry import earlier_outputs

        if self.wants_last:
            if self.from_ is None:
                require_node(workflow, node)
            found = await last_outputs(workflow, access, say)
        else:
            found = read_object(self.files.get("outputs"), runtime, read_given_outputs) or GivenOutputs({})
            reject_unknown_nodes(workflow, found.outputs)
        if self.from_ is not None and found.run is not None:  # the run's later outputs are not used
            found = replace(found, outputs=earlier_outputs(workflow, self.from_, found.outputs))
        return replace(found, outputs=reduce(add_output, self.output_of or [], found.outputs))


@option_group("Signature")
class TriggerSignature:
    """The options for signing requests."""

    secret_file: options.SecretFile = None
    org: options.Org = None
    unit: Annotated[TimestampUnit, options.TIMESTAMP_UNIT, also(no_effect=_IN_PORT)] = TimestampUnit.SECONDS
    no_sign: Annotated[
        bool, option("--no-sign", help="Send without a signature. Doesn't need a secret.", no_effect=_IN_PORT)
    ] = False

    def signer(self, access: PortAccess) -> Callable[[], Signer | None]:
        """Return a function that returns the signer.

        The function reads the secret, so call it when a request is signed.
        """
        return lambda: None if self.no_sign else Signer(access.secret, self.unit)

    def conflict(self, access: PortAccess) -> str:
        """Return the hint about two places with different secrets, or "" for requests without a signature."""
        return "" if self.no_sign else access.settings.conflict


@option_group("Run in Port")
class TriggerInPort:
    """The options for the run in Port, and for calls of Port's API."""

    via_port: Annotated[bool, short_option("--via-port", help="Start it in Port: real work.")] = False
    wait_s: Annotated[
        float,
        options.seconds(
            "--wait",
            "Follow the run for S seconds, in the sandbox or in Port. In a workflow, each report has S seconds.",
        ),
        also(no_effect=(NoEffect("Nothing is sent", beside=("--dry-run", "--format")),), in_short_help=True),
    ] = 0.0


@option_group("Output")
class TriggerOutput:
    """The output options."""

    list_: Annotated[
        bool,
        short_option(
            "--list",
            help="List what can be triggered in the file or directory ACTION. Default: the current directory, actions/ "
            "and workflows/.",
        ),
    ] = False
    dry_run: Annotated[options.DryRun, also(no_effect=_DRY_IN_PORT, in_short_help=True)] = False
    output: Annotated[
        str | None,
        options.request_format(REQUEST_FORMATS, "Print the signed request without sending it:", no_effect=_IN_PORT),
        also(in_short_help=True),
    ] = None
    json: Annotated[options.Json, also(excludes=("--format",))] = False

    @property
    def sends(self) -> bool:
        """Whether the request is sent, instead of only printed."""
        return not self.dry_run and self.output is None


@frozen(kw_only=True)
class TriggerCommand:
    """A call of `trigger`: the action's name, the options, and the objects that the call needs."""

    action: str
    target: TriggerTarget
    run: TriggerRun
    signature: TriggerSignature
    port: TriggerInPort
    output: TriggerOutput
    runtime: Runtime
    access: PortAccess
    say: Say
    handler: FindHandler

    def targets(self) -> RunTarget:
        """Return the targets, with the rule for the handler. Raises UsageError if one is invalid."""
        return replace(self.target.read(), handler=self.handler)

    @property
    def announce(self) -> Announce | None:
        """The function that announces a run to a sandbox, or None for a request without a signature."""
        return None if self.signature.no_sign and not self.port.wait_s else self.access.announce

    def show(self, lines: Iterable[Styled], *, indent: int | None = None) -> None:
        """Print lines for people. With --json, print nothing."""
        if not self.output.json:
            screen = Output(self.runtime.stdout, self.runtime.environ)
            screen.print(*screen.fit(lines, indent=indent))
            self.runtime.stdout.flush()


def refuse_given(options: Mapping[str, object], reason: str, hint: str = "Leave it out.") -> None:
    """Raise UsageError for an option that has a value."""
    for name, value in options.items():
        if value:
            raise UsageError(f"{name} {reason}", hint=hint)
