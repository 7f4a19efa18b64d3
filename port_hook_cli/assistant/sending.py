"""The tools that send, which exist only with `--allow-send`: replay and report.

The tools follow the rules of the commands. In addition, an agent cannot choose another machine. The agent's input may
come from an untrusted sender who wants it to send a signed request or a capture to that machine.
"""

from __future__ import annotations

import asyncio
from contextlib import closing
from functools import partial
from urllib.parse import urlsplit

from port_hook_cli.assistant.reading import as_in_node
from port_hook_cli.assistant.results import ToolOutput
from port_hook_cli.assistant.tool import (
    CAPTURE,
    UNTRUSTED,
    Arguments,
    Schema,
    Workspace,
    a_flag,
    a_text,
    an_object,
    one_of,
    some_texts,
    tool,
)
from port_hook_cli.captures.store.finder import CaptureUse, Finder
from port_hook_cli.errors import UsageError
from port_hook_cli.http.client import HttpClient
from port_hook_cli.invocations.targets import is_on_this_machine, read_target
from port_hook_cli.javascript.paths import JsonPath
from port_hook_cli.port_api.access import PortAccess
from port_hook_cli.port_api.settings import ONLY_THE_SECRET
from port_hook_cli.replay.editing import Assignment, Edits
from port_hook_cli.replay.rewriting import ReadyReplay, Rewriter, UnsignedReplay, parse_method
from port_hook_cli.replay.sending import announce, send
from port_hook_cli.replay.sources import SIGNED, ReplaySource, captured_verdict, from_capture
from port_hook_cli.replay.store import keep_in_thread
from port_hook_cli.replay.tally import sent_record
from port_hook_cli.reporting.report import send_report
from port_hook_cli.runs.ids import check_run_id, doubt_about
from port_hook_cli.runs.updates import LogLevel, RunReport, RunStatus, is_node_run, plan_report
from port_hook_cli.runs.urls import run_page
from port_hook_cli.runs.view import report_record
from port_hook_cli.signatures.signing import Signer
from port_hook_cli.text.remark import note, warning
from port_hook_cli.text.safe import brief, printable
from port_hook_cli.text.secret import Secret

DEFAULT_TIMEOUT_S = 30
MAX_TIMEOUT_S = 55
TO = (
    "The target on this machine, or the target allowed by the user: a port or a URL. Without a path, the request's "
    "own path and query are used. Default: the user's"
)
TIMEOUT: Schema = {
    "type": "number",
    "description": "Wait this many seconds for the response.",
    "exclusiveMinimum": 0,
    "maximum": MAX_TIMEOUT_S,
    "default": DEFAULT_TIMEOUT_S,
}


def allowed_target(text: str | None, workspace: Workspace) -> str | None:
    """Return the target URL of a tool: `text`, the user's `--to`, or None.

    Raises UsageError for a URL on another machine, unless the URL has the address of `--to`.
    """
    if text is None:
        return workspace.to
    url = read_target(text, "`to`")
    if is_on_this_machine(url) or (workspace.to is not None and urlsplit(url)[:2] == urlsplit(workspace.to)[:2]):
        return url
    raise UsageError(
        f"{brief(url)} is not on this machine, so nothing was sent.",
        hint="Tools send to this machine only. The user can allow one other target with `port-hook mcp --to URL`.",
    )


@tool(
    title="Replay a capture",
    description="Send a capture again to a handler on this machine, newly signed, like `replay`. The record's "
    "`capture` is the capture ID of the replay: show_capture shows its response. A capture whose "
    f"signature does not match the client secret is only sent unchanged. {UNTRUSTED}",
    parameters={
        "capture": a_text(CAPTURE, minLength=1),
        "to": a_text(f"{TO}. Required without a default.", minLength=1),
        "set": an_object('Values to set in the body, by path: {"payload.properties.cpu": 4}. "+PATH" adds a value.'),
        "unset": some_texts("Paths of values to remove from the body, before `set` is applied."),
        "method": a_text("Send with another method.", minLength=1),
        "as_captured": a_flag("Send body, timestamp and signature as captured."),
        "timeout_s": TIMEOUT,
    },
    required=("capture",),
    sends=True,
)
async def replay_capture(arguments: Arguments, workspace: Workspace) -> ToolOutput:
    """Send a capture in the store again, newly signed, like `replay`."""
    ready, rewriter, access = await asyncio.to_thread(_prepared, arguments, workspace)
    for remark in ready.notes:
        _note(f"{ready.source.name}: {remark.text}", workspace)
    await announce([ready], access)
    keep = partial(keep_in_thread, workspace.store_file, rewriter.signer.secret if rewriter.signer else None)
    async with HttpClient(timeout_s=arguments.get("timeout_s", DEFAULT_TIMEOUT_S)) as client:
        request = await asyncio.to_thread(rewriter.finish, ready.draft)
        sent = await send(request, ready.url, client, keep)
    if sent.kept.problem:
        workspace.say(warning(f"the responses were not saved: {sent.kept.problem}"))
    return ToolOutput([sent_record(ready, sent)])


@tool(
    title="Report on a run to Port",
    description="Report logs, fields and the status of an action run or a node run to Port, like "
    "`report-run`. The status ends the run and is sent last. Report only what the user asked for.",
    parameters={
        "run_id": a_text("The run ID.", minLength=1),
        "status": one_of("End the run with this status.", tuple(map(str, RunStatus))),
        "label": a_text("The status label shown next to the run."),
        "summary": a_text("The run's summary."),
        "links": some_texts("Links for the run's page."),
        "external_run_id": a_text("The run ID in another system."),
        "logs": some_texts("Log messages, sent in order."),
        "log_level": one_of("The level of the log messages of a node run.", tuple(map(str, LogLevel))),
        "output": an_object("The output of a node run."),
    },
    required=("run_id",),
    sends=True,
)
async def report_run(arguments: Arguments, workspace: Workspace) -> ToolOutput:
    """Report on a run to Port, like `report-run`."""
    plan = plan_report(_run_id(arguments["run_id"], workspace), _report(arguments))
    for remark in plan.remarks:
        _note(remark, workspace)
    access = workspace.access()
    async with access.client(on_retry=lambda words: _note(words, workspace)) as api:
        reported = await send_report(api, plan)
    page = "" if is_node_run(reported.run_id) else run_page(access.settings.app_url, reported.run_id)
    return ToolOutput(report_record(reported, page=page))


def _prepared(arguments: Arguments, workspace: Workspace) -> tuple[ReadyReplay, Rewriter, PortAccess]:
    """Return a replay that is ready to be sent. Raises UsageError for a capture that the client secret did not sign."""
    runtime, as_captured, edits = workspace.runtime, arguments.get("as_captured", False), _edits(arguments)
    if as_captured and edits:
        raise UsageError("`as_captured` sends the body unchanged.", hint="Omit `set` and `unset`.")
    method, to = arguments.get("method"), _replay_target(arguments, workspace)
    access = workspace.access(ONLY_THE_SECRET)
    # Replays are saved, and tools show their bodies, so the bodies must not contain a new signature.
    signer = None if as_captured else Signer(access.secret, inside=False)
    rewriter = Rewriter(
        signer=signer,
        now=runtime.now,
        new_id=runtime.new_id,
        edit=edits.apply if edits else None,
        method=None if method is None else parse_method(method),
    )
    with closing(Finder(workspace.store, runtime, CaptureUse.SEND, workspace.say, reads_files=False)) as finder:
        capture = finder.find(arguments["capture"]).capture
    source = from_capture(capture.invocation.id, capture, is_stored=True)
    if signer is not None:
        require_signature(source, signer.secret)
    try:
        return rewriter.prepare(source, to), rewriter, access
    except UnsignedReplay as problem:
        raise UnsignedReplay(problem.message, hint="Omit `as_captured` to sign it.") from problem


def require_signature(source: ReplaySource, secret: Secret) -> None:
    """Raise UsageError unless the owner of the secret signed the source, at any time.

    An untrusted sender must not get a signature through a replay by an agent. The verdict in the store doesn't count,
    because it may be planted, or made with another secret or without a secret.
    """
    status = captured_verdict(source, secret).status
    if status not in SIGNED:
        raise UsageError(
            f"The signature of {source.name} is {status}, so no tool signs this request.",
            hint=f"Set `as_captured`, or ask the user to check the capture and run `port-hook replay {source.name}`.",
        )


def _replay_target(arguments: Arguments, workspace: Workspace) -> str:
    """Return the target URL for a capture. Raises UsageError if neither the call nor the user sets a target.

    Unlike `replay`, a tool doesn't use the target in the store. The store may come from someone else, who could choose
    any port of this machine.
    """
    to = allowed_target(arguments.get("to"), workspace)
    if to is None:
        raise UsageError(
            "Missing argument `to`: tools do not use a target from the store.",
            hint="Pass the port or URL of the user's handler on this machine. "
            "The user can set a default with `port-hook mcp --to`.",
        )
    return to


def _edits(arguments: Arguments) -> Edits | None:
    values, removed = arguments.get("set", {}), arguments.get("unset", [])
    if not (values or removed):
        return None
    return Edits(
        unset=tuple(map(JsonPath.parse, removed)),
        assignments=tuple(
            Assignment.at(path, as_in_node(f"The value for {brief(path)}", value)) for path, value in values.items()
        ),
    )


def _report(arguments: Arguments) -> RunReport:
    report = RunReport.of(arguments)
    if report.is_empty:
        raise UsageError("The report is empty.", hint="Pass `status`, `logs`, or another argument.")
    return report


def _run_id(text: str, workspace: Workspace) -> str:
    run_id = check_run_id(text)
    if doubt := doubt_about(run_id):
        _note(doubt, workspace)
    return run_id


def _note(words: str, workspace: Workspace) -> None:
    workspace.say(note(printable(words)))
