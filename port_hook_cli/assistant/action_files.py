"""The actions that a tool may read: files of the working folder, or what Port has under an identifier."""

from __future__ import annotations

from pathlib import Path

from port_hook_cli.assistant.tool import Arguments
from port_hook_cli.assistant.workspace import Workspace
from port_hook_cli.errors import UsageError
from port_hook_cli.files.input import DOCUMENT_SUFFIXES, documents_in
from port_hook_cli.http.limits import API_TIMEOUT_S
from port_hook_cli.runs.ids import check_run_id
from port_hook_cli.runtime import Runtime
from port_hook_cli.signatures.signing import TimestampUnit
from port_hook_cli.text.safe import brief
from port_hook_cli.trigger.files import locate
from port_hook_cli.trigger.plan import TriggerPlan

DEFAULT_TIMEOUT_S = 30
_GIVEN = ("inputs", "entity", "event")


def require_file(action: str, workspace: Workspace) -> None:
    """Raise UsageError unless `action` is a file or a directory that a tool may read."""
    if locate(action, workspace.runtime).file is None:
        raise UsageError(f"There is no file {brief(action)}.", hint="Give the file of an action, FILE#ID or DIR#ID.")
    refuse_other_files(action, workspace.runtime)


def refuse_other_files(action: str, runtime: Runtime) -> None:
    """Raise UsageError for a file outside the working folder, and for one that is neither JSON nor YAML.

    An agent that was deceived by what it reads must not be able to read other files of the user.
    """
    file = locate(action, runtime).file
    if file is None:
        return
    path, folder = (runtime.cwd / file).resolve(), runtime.cwd.resolve()
    if file == "-" or not path.is_relative_to(folder) or not (path.is_dir() or _is_document(path)):
        raise UsageError(
            f"{brief(action)} is not a JSON or YAML file, or a directory, in {folder}.",
            hint="Tools read actions only in the folder in which port-hook was started.",
        )
    if path.is_dir():
        _refuse_links(path, folder)


def _refuse_links(directory: Path, folder: Path) -> None:
    """Raise UsageError if one of the files that are read with a directory is a link to a file that may not be read."""
    for file in documents_in(directory):
        target = file.resolve()
        if not (target.is_relative_to(folder) and _is_document(target)):
            raise UsageError(
                f"{brief(str(file))} is a link to a file that is not a JSON or YAML file in {folder}.",
                hint="Remove the link, or name the file of the action.",
            )


def _is_document(path: Path) -> bool:
    return path.suffix.lower() in DOCUMENT_SUFFIXES


def trigger_plan(
    arguments: Arguments, workspace: Workspace, *, to: str | None = None, dry_run: bool = False, no_sign: bool = False
) -> TriggerPlan:
    """Return the options of `trigger` that the arguments of a tool stand for; raises UsageError for another file."""
    refuse_other_files(arguments["action"], workspace.runtime)
    run_id = arguments.get("run_id")
    return TriggerPlan(
        action=arguments["action"],
        to=to,
        routes={},
        to_its_url=False,
        inputs=(),
        inputs_file=None,
        entity_file=None,
        event_file=None,
        user_file=None,
        operation=arguments.get("operation"),
        run_id=None if run_id is None else check_run_id(run_id),
        origin="UI",
        secrets_file=None,
        dry_run=dry_run,
        output=None,
        via_port=False,
        wait_s=0.0,
        strict=arguments.get("strict", False),
        no_sign=no_sign,
        unit=TimestampUnit.SECONDS,
        timeout_s=arguments.get("timeout_s", DEFAULT_TIMEOUT_S),
        api_timeout_s=API_TIMEOUT_S,
        json=True,
        org=workspace.org,
        secret_file=workspace.secret_file,
        insecure_api=workspace.insecure_api,
        given={name: arguments[name] for name in _GIVEN if name in arguments},
    )
