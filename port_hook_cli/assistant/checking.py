"""The tool that checks a handler, which exists only with `--allow-send`, and doesn't start commands.

A check starts real work. So this tool checks only handlers on this machine, even if the user allows another target for
replays.
"""

from __future__ import annotations

from contextlib import closing
from functools import partial

from port_hook_cli.actions.action import PortAction
from port_hook_cli.assistant.actions import refuse_other_files
from port_hook_cli.assistant.results import ToolOutput
from port_hook_cli.assistant.sending import TO, allowed_target, require_signature
from port_hook_cli.assistant.tool import (
    CAPTURE,
    UNTRUSTED,
    Arguments,
    Workspace,
    a_text,
    an_object,
    some_texts,
    tool,
)
from port_hook_cli.captures.store.finder import CaptureUse, Finder, FoundRequest
from port_hook_cli.check.catalog import CheckGroup
from port_hook_cli.check.findings import CheckReport
from port_hook_cli.check.plan import CheckLimits, CheckPlan
from port_hook_cli.check.session import CheckBegins, CheckSession
from port_hook_cli.check.sources import SubjectSource
from port_hook_cli.errors import TargetError, UsageError
from port_hook_cli.invocations.models import Delivery, Invocation
from port_hook_cli.invocations.targets import is_on_this_machine
from port_hook_cli.port_api.access import PortAccess
from port_hook_cli.replay.rewriting import KeptReplay
from port_hook_cli.replay.sending import Keep
from port_hook_cli.replay.sources import from_capture
from port_hook_cli.replay.store import keep_in_thread
from port_hook_cli.text.remark import note, warning
from port_hook_cli.text.safe import brief, printable
from port_hook_cli.text.secret import Masker, Secret
from port_hook_cli.trigger.action import RunTarget
from port_hook_cli.trigger.action_files import read_value
from port_hook_cli.trigger.run_data import RunData, default_starter, read_entity, read_inputs

_WITHIN_S, _MAX_WITHIN_S = 40, 45  # a check may take a few seconds more, and clients wait for a minute
_GROUPS = ", ".join(CheckGroup)


@tool(
    title="Check a handler",
    description="Send valid, forged, old, repeated and broken requests to a handler on this machine, and return its "
    "mistakes, why each matters, and how to fix it. Valid requests start the handler's work, so use this tool only for "
    "handlers under development. The last record has the counts and the `outcome`: only `passed` means that a valid "
    "request was accepted and forged requests were rejected. `captures` has the capture IDs of the requests that "
    f"prove a finding. Pass them to show_capture. {UNTRUSTED}",
    parameters={
        "to": a_text(f"{TO}, or the action's own URL if it is on this machine.", minLength=1),
        "capture": a_text(
            f"The request to use. {CAPTURE} Default: the latest capture with a valid signature.", minLength=1
        ),
        "action": a_text(
            "The action to use instead of a capture: a JSON or YAML file in the current directory, FILE#ID, "
            "DIRECTORY#ID, or an identifier in Port. WORKFLOW#NODE uses one node.",
            minLength=1,
        ),
        "inputs": an_object("Inputs of the action by name. Missing inputs get sample values."),
        "entity": an_object("The entity for the action."),
        "only": some_texts(f"Run only these checks or groups, such as `old`. The groups are {_GROUPS}."),
        "skip": some_texts("Skip these checks or groups."),
        "within_s": {
            "type": "number",
            "description": "Stop after this many seconds. The remaining checks are `not-observed`.",
            "exclusiveMinimum": 0,
            "maximum": _MAX_WITHIN_S,
            "default": _WITHIN_S,
        },
    },
    sends=True,
)
async def check_handler(arguments: Arguments, workspace: Workspace) -> ToolOutput:
    """Check a handler on this machine, like `check` without a command."""
    limits = CheckLimits(within_s=arguments.get("within_s", _WITHIN_S))
    plan = CheckPlan.of(arguments.get("only", ()), arguments.get("skip", ()), limits)
    name, access = _name(arguments, workspace), workspace.access()
    with closing(
        Finder(workspace.store, workspace.runtime, CaptureUse.SEND, workspace.say, reads_files=False)
    ) as finder:
        session = CheckSession(
            name=name,
            source=_source(arguments, workspace, finder, access),
            plan=plan,
            access=access,
            runtime=workspace.runtime,
            keep=partial(_keeper, workspace),
        )
        return _output(await _run(session, workspace))


def _name(arguments: Arguments, workspace: Workspace) -> str | None:
    """Return the name of the request to check.

    Raises UsageError for a capture with an action, and for a file elsewhere.
    """
    capture, action = arguments.get("capture"), arguments.get("action")
    if capture is not None and action is not None:
        raise UsageError("`capture` and `action` cannot be combined.", hint="Pass only one of them.")
    if action is not None:
        refuse_other_files(action, workspace.runtime)
        return str(action)
    if "inputs" in arguments or "entity" in arguments:
        raise UsageError("`inputs` and `entity` need an `action`.", hint="Pass `action`, or omit them.")
    return None if capture is None else str(capture)


def _source(arguments: Arguments, workspace: Workspace, finder: Finder, access: PortAccess) -> SubjectSource:
    is_action = "action" in arguments
    to = _target(arguments, workspace)
    if to is None and not is_action:
        raise UsageError(
            "Missing argument `to`: tools do not use a target from the store.",
            hint="Pass the port or URL of the user's handler on this machine. "
            "The user can set a default with `port-hook mcp --to`.",
        )
    return SubjectSource(
        finder=finder,
        access=access,
        runtime=workspace.runtime,
        say=workspace.say,
        target=RunTarget(to=to),
        run_data=partial(_data, arguments, workspace),
        reads_definitions=is_action,
        accepts=partial(_require_signed_capture, access),
    )


def _target(arguments: Arguments, workspace: Workspace) -> str | None:
    to = allowed_target(arguments.get("to"), workspace)
    if to is not None and not is_on_this_machine(to):
        raise UsageError(
            f"{brief(to)} is not on this machine. A check starts real work, so nothing was sent.",
            hint="Pass the port of a handler on this machine. The user can check others with `port-hook check`.",
        )
    return to


def _data(arguments: Arguments, workspace: Workspace, form: PortAction) -> RunData:
    data = RunData(
        properties=read_value("inputs", arguments["inputs"], read_inputs) if "inputs" in arguments else {},
        by=default_starter(form, None),
        entity=read_value("entity", arguments["entity"], read_entity) if "entity" in arguments else None,
    )
    for value in data.secret_values(form):
        workspace.runtime.keep_secret(value)
    return data


def _require_signed_capture(access: PortAccess, found: FoundRequest) -> None:
    """Raise UsageError unless the request is a capture that the owner of the secret signed."""
    if not found.is_stored:
        raise UsageError(f"{found.name} is not a capture in the store.", hint="Pass the ID of a capture.")
    require_signature(from_capture(found.shown, found.capture, is_stored=True), access.secret)


def _keeper(workspace: Workspace, secret: Secret, masker: Masker) -> Keep:
    """Return the function that saves the requests of findings in the store. It warns once if saving fails."""
    problems = set[str]()

    async def keep(request: Invocation, delivery: Delivery) -> KeptReplay:
        kept = await keep_in_thread(workspace.store_file, secret, request, delivery, creates=True, masker=masker)
        if kept.problem and kept.problem not in problems:
            problems.add(kept.problem)
            workspace.say(warning(f"the requests were not saved: {kept.problem}"))
        return kept

    return keep


async def _run(session: CheckSession, workspace: Workspace) -> CheckReport:
    async def on_begin(begins: CheckBegins) -> None:
        text = f"a handler at {begins.url} that does not verify requests starts real work about {begins.works} times"
        workspace.say(note(printable(text)))
        if not begins.sees_reports:
            workspace.say(
                note("the settings do not point to a running sandbox, so reports and most repeats are not observed")
            )

    try:
        return await session.run(on_begin)
    except TargetError as problem:
        raise TargetError(problem.message, hint="Ask the user to start the handler, or pass its port.") from problem


def _output(report: CheckReport) -> ToolOutput:
    return ToolOutput([*(finding.record for finding in report.findings), report.record()])
