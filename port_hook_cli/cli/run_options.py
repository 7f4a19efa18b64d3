"""The options for the content of a run, for the commands that build its request."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any

from port_hook_cli.cli.option_groups import option_group, short_option
from port_hook_cli.errors import UsageError

if TYPE_CHECKING:
    from port_hook_cli.actions.action import PortAction
    from port_hook_cli.runtime import Runtime
    from port_hook_cli.trigger.run_data import RunData

RUN_FILES = ("entity", "event", "user", "secrets", "outputs")
"""The names that `--with` accepts."""

_FILE_MARK = "@"
_NAMES = f"{', '.join(RUN_FILES[:-1])} or {RUN_FILES[-1]}"


def read_files(texts: list[str]) -> dict[str, str]:
    """Return the files of `--with` by name. Raises UsageError."""
    files: dict[str, str] = {}
    for text in texts:
        name, equals, file = text.partition("=")
        if name not in RUN_FILES:
            raise UsageError(f"--with has no name {name!r}.", hint=f"Write --with NAME=FILE. NAME is {_NAMES}.")
        if not equals or not file:
            raise UsageError(f"--with {name} has no file.", hint=f"Write it like --with {name}=FILE.")
        if name in files:
            raise UsageError(f"--with sets {name} twice.", hint="Pass one file for each name.")
        files[name] = file
    return files


def _inputs_on_stdin(text: str) -> str:
    return "the inputs" if text == f"{_FILE_MARK}-" else ""


def _file_on_stdin(text: str) -> str:
    name, _, file = text.partition("=")
    return f"the {name}" if file == "-" else ""


@option_group("Run")
class RunContents:
    """The options for the content of a run."""

    input_: Annotated[
        list[str] | None,
        short_option(
            "--input",
            metavar="NAME=VALUE",
            help="An input, read by its declared type; NAME:=JSON, or @FILE (repeatable).",
            completes="input_files",
            stdin=_inputs_on_stdin,
        ),
    ] = None
    with_: Annotated[
        list[str] | None,
        short_option(
            "--with",
            metavar="NAME=FILE",
            help=f"The run's {_NAMES} (repeatable).",
            completes="run_files",
            choices=tuple(f"{name}=" for name in RUN_FILES),
            stdin=_file_on_stdin,
        ),
    ] = None

    @property
    def files(self) -> Mapping[str, str]:
        """The files of --with by name. Raises UsageError."""
        return read_files(self.with_ or [])

    @property
    def given(self) -> list[str]:
        """The options that have a value, for messages."""
        return [*(["--input"] if self.input_ else []), *(f"--with {name}" for name in self.files)]

    @property
    def typed_inputs(self) -> list[str]:
        """The inputs on the command line, without those in files."""
        return [text for text in self.input_ or [] if not text.startswith(_FILE_MARK)]

    def read(self, form: PortAction, runtime: Runtime) -> RunData:
        """Return the run data that the options specify. `form` is the action, or the workflow's form as an action.

        Inputs on the command line replace inputs in files. port-hook remembers the secrets in the data, so that a crash
        report masks them. Raises UsageError for invalid data, and StoreError for an unreadable file.
        """
        from port_hook_cli.actions.inputs import parse_input
        from port_hook_cli.trigger import run_data
        from port_hook_cli.trigger.action_files import read_object

        properties: dict[str, Any] = {}
        for text in self.input_ or []:
            if text.startswith(_FILE_MARK):
                properties |= read_object(text.removeprefix(_FILE_MARK), runtime, run_data.read_inputs) or {}
        properties |= dict(parse_input(text, form.inputs) for text in self.typed_inputs)
        files = self.files
        event = read_object(files.get("event"), runtime, run_data.read_event)
        data = run_data.RunData(
            properties=properties,
            by=read_object(files.get("user"), runtime, run_data.read_by) or run_data.default_starter(form, event),
            entity=read_object(files.get("entity"), runtime, run_data.read_entity),
            event=event,
            secrets=read_object(files.get("secrets"), runtime, run_data.read_secrets, secret=True) or {},
        )
        for value in data.secret_values(form):
            runtime.keep_secret(value)
        return data
