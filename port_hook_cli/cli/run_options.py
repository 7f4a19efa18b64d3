"""The options for the content of an action run, for the commands that build its request."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from port_hook_cli.cli.option_groups import option, option_group

if TYPE_CHECKING:
    from port_hook_cli.actions.action import PortAction
    from port_hook_cli.runtime import Runtime
    from port_hook_cli.trigger.run_data import RunData

InputValues = Annotated[
    list[str] | None,
    option(
        "--input",
        metavar="NAME=VALUE",
        help="An input, read by its declared type; NAME:=JSON reads JSON (repeatable).",
    ),
]
EventFile = Annotated[
    str | None,
    option("--event", metavar="FILE", help="The event that starts the automation.", stdin="the event"),
]
SecretsFile = Annotated[
    str | None,
    option(
        "--secrets",
        metavar="FILE",
        help="The organization's secrets for `.secrets`: JSON or .env.",
        stdin="the secrets",
    ),
]
OutputValues = Annotated[
    list[str] | None,
    option(
        "--output",
        metavar="NODE.PATH=JSON",
        help="One value in the output of a node that should not run (repeatable).",
    ),
]


@option_group("Run")
class RunContents:
    """The options for the content of a run."""

    input_: InputValues = None
    inputs: Annotated[
        str | None,
        option(
            "--inputs",
            metavar="FILE",
            help="Inputs as JSON or YAML, or a payload that contains them.",
            stdin="the inputs",
        ),
    ] = None
    entity: Annotated[
        str | None, option("--entity", metavar="FILE", help="The entity that the action runs on.", stdin="the entity")
    ] = None
    event: EventFile = None
    user: Annotated[
        str | None,
        option(
            "--user", metavar="FILE", help="The user who runs the action. Default: a sample user.", stdin="the user"
        ),
    ] = None
    secrets: SecretsFile = None

    def read_run(self, form: PortAction, runtime: Runtime) -> RunData:
        """Return the run data that the options specify. `form` is the action, or the workflow's form as an action.

        port-hook remembers the secrets in the data, so that a crash report masks them. Raises UsageError for invalid
        data, and StoreError for an unreadable file.
        """
        from port_hook_cli.actions.inputs import parse_input
        from port_hook_cli.trigger import run_data
        from port_hook_cli.trigger.action_files import read_object

        properties = read_object(self.inputs, runtime, run_data.read_inputs) or {}
        properties |= dict(parse_input(text, form.inputs) for text in self.input_ or [])
        event = read_object(self.event, runtime, run_data.read_event)
        data = run_data.RunData(
            properties=properties,
            by=read_object(self.user, runtime, run_data.read_by) or run_data.default_starter(form, event),
            entity=read_object(self.entity, runtime, run_data.read_entity),
            event=event,
            secrets=read_object(self.secrets, runtime, run_data.read_secrets, secret=True) or {},
        )
        for value in data.secret_values(form):
            runtime.keep_secret(value)
        return data
