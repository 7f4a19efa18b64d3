"""`trigger --via-port`: Port runs the action or workflow, and port-hook shows the run until it ends."""

from __future__ import annotations

from collections.abc import Mapping

from port_hook_cli.actions.action import PortAction
from port_hook_cli.cli.exit_codes import ExitCode
from port_hook_cli.cli.trigger_options import TriggerCommand, refuse_given
from port_hook_cli.cli.trigger_view import (
    end_line,
    log_line,
    node_line,
    port_headline,
    port_log_line,
    question_lines,
    result_lines,
    run_line,
    waiting_lines,
)
from port_hook_cli.errors import UsageError
from port_hook_cli.runs.updates import ended_status
from port_hook_cli.runs.urls import run_page
from port_hook_cli.runtime import Runtime
from port_hook_cli.terminal.console import emit, tell
from port_hook_cli.text.remark import Remark, note
from port_hook_cli.text.safe import brief, printable
from port_hook_cli.text.secret import Masker
from port_hook_cli.text.styled import Styled
from port_hook_cli.trigger.action_files import FoundWorkflow
from port_hook_cli.trigger.in_port import (
    LogLine,
    RunChanged,
    WorkflowSeen,
    follow,
    follow_workflow,
    require_startable,
    start_action_in_port,
    start_workflow_in_port,
    startable_trigger,
)
from port_hook_cli.trigger.port_workflows import PortWorkflows
from port_hook_cli.trigger.records import node_record, run_record, workflow_run_record
from port_hook_cli.trigger.remarks import unpublished_remark
from port_hook_cli.trigger.run_data import RunData
from port_hook_cli.trigger.workflow_start import form_of_workflow
from port_hook_cli.workflows.shown_run import ShownNodeRun, ShownRun
from port_hook_cli.workflows.workflow import NodeType

_CONTINUED = 4  # the column in which a long line continues
_SUCCESS = "SUCCESS"


async def run_action_in_port(action: PortAction, data: RunData, asked: TriggerCommand) -> ExitCode:
    """Run `action` through Port's API, which checks the inputs. Raises UsageError, SettingsError and PortApiError.

    The exit code is 1 for a run that failed, was declined, or did not end within --wait.
    """
    require_startable(action)
    if not action.is_published:
        asked.say(unpublished_remark("the action has `publish: false`"))
    screen, wait_s = ActionScreen(asked), asked.port.wait_s
    async with asked.access.client(on_retry=lambda text: asked.say(note(printable(text)))) as port:
        run = await start_action_in_port(port, action, data, run_as=_email(data, asked.run.files.get("user")))
        page = run_page(asked.access.settings.app_url, str(run.get("id", "")))
        screen.begin(run, page)
        if wait_s:
            run = await follow(port, run, wait_s=wait_s, on_event=screen.event)
    return _end_action(action.identifier, run, page, screen, asked)


async def follow_action_here(action: str, run_id: str, asked: TriggerCommand) -> ExitCode:
    """Follow a run in the sandbox after `trigger` has sent its request or message. Raises PortApiError.

    The exit code is 1 for a run that failed or did not end within --wait.
    """
    from port_hook_cli.trigger.sandbox_run import follow_in_sandbox

    screen = ActionScreen(asked)
    run = await follow_in_sandbox(asked.access, run_id, wait_s=asked.port.wait_s, on_event=screen.event, say=asked.say)
    return _end_action(action, run, "", screen, asked)


def _end_action(
    action: str, run: Mapping[str, object], page: str, screen: ActionScreen, asked: TriggerCommand
) -> ExitCode:
    """Print the record of a run, or an error if the run did not end in time. Return the exit code."""
    wait_s = asked.port.wait_s
    if asked.output.json:
        emit(run_record(action, run, page=page, logs=screen.logs), asked.runtime.stdout)
    run_id = brief(str(run.get("id")))
    if not wait_s:
        tell(f"hint: Run `port-hook runs {run_id} --watch` to follow the run.", asked.runtime)
        return ExitCode.OK
    ended = ended_status(run)
    if ended is None:
        tell(f"error: {run_id} did not end within {wait_s:g} s", asked.runtime)
    return ExitCode.OK if ended == _SUCCESS else ExitCode.FAILED


class ActionScreen:
    """Prints the progress of an action run for people, and remembers the run's log messages."""

    def __init__(self, asked: TriggerCommand) -> None:
        self.logs: list[str] = []
        self._asked = asked

    def begin(self, run: Mapping[str, object], page: str) -> None:
        """Print the started run and the URL of its page."""
        self._print(run_line(run))
        if page:
            self._print(page)

    def event(self, event: RunChanged | LogLine) -> None:
        """Print a new log entry or a change of the run."""
        if isinstance(event, LogLine):
            self.logs.append(str(event.entry.get("message", "")))
            self._print(log_line(event.entry))
        else:
            self._print(run_line(event.run))

    def _print(self, line: str) -> None:
        self._asked.show([Styled(line)], indent=_CONTINUED)


def _email(data: RunData, file: str | None) -> str | None:
    """Return the email of the user in the user's file, or None without a file. Port needs a real user's email."""
    if file is None:
        return None
    user = data.by.get("user")
    email = user.get("email") if isinstance(user, Mapping) else None
    if not isinstance(email, str):
        raise UsageError(
            f"{file} has no `email`, which Port needs to run the action as that user.",
            hint="Add the email, or leave out --with user.",
        )
    return email


async def run_workflow_in_port(found: FoundWorkflow, data: RunData, asked: TriggerCommand) -> ExitCode:
    """Run a workflow in Port through its API, which checks the inputs. Raises UsageError and PortApiError.

    The exit code is 1 for a run that failed, was cancelled, or did not end within --wait.
    """
    refuse_given(
        {f"--with {name}": name in asked.run.files for name in ("entity", "user")},
        "has no effect: Port's API accepts only inputs for a workflow run.",
    )
    trigger = startable_trigger(found)
    if not trigger.is_published:
        asked.say(unpublished_remark(f"the trigger {brief(trigger.identifier)} has `published: false`"))
    form = form_of_workflow(found.workflow, trigger.identifier)
    screen = _WorkflowScreen(found, Masker(data.secret_values(form)), asked)
    async with asked.access.client(on_retry=lambda text: asked.say(note(printable(text)))) as api:
        port = PortWorkflows(api)
        run = await start_workflow_in_port(port, found, data)
        screen.begin(run)
        if asked.port.wait_s:
            run = await follow_workflow(port, run, wait_s=asked.port.wait_s, on_event=screen.event)
    screen.end(run)
    return _exit_code(run, asked.port.wait_s, asked.runtime)


class _WorkflowScreen:
    """Prints the progress of a workflow run in Port, for people or as records."""

    def __init__(self, found: FoundWorkflow, masker: Masker, asked: TriggerCommand) -> None:
        self._workflow = found.workflow
        self._version = found.version
        self._masker = masker
        self._asked = asked
        self._is_json = asked.output.json
        self._begun: set[str] = set()
        self._ended: set[str] = set()
        self._logs: list[str] = []
        self._new_logs: list[Mapping[str, object]] = []

    def begin(self, run: ShownRun) -> None:
        """Print the started run."""
        self._asked.show([port_headline(self._workflow, run, self._version)])

    def event(self, event: WorkflowSeen | LogLine | Remark) -> None:
        """Print a remark or the progress of the run, and collect the run's log entries."""
        if isinstance(event, Remark):
            self._asked.say(event)
        elif isinstance(event, LogLine):
            self._logs.append(self._masker.text(str(event.entry.get("message") or event.entry.get("log") or "")))
            self._new_logs.append(event.entry)
        else:
            self._show(event.run)

    def end(self, run: ShownRun) -> None:
        """Print how the run has ended, if port-hook has followed it."""
        if self._is_json:
            emit(workflow_run_record(self._workflow, run, self._logs), self._asked.runtime.stdout)
        elif self._asked.port.wait_s:
            self._asked.show([end_line(run)])

    def _show(self, run: ShownRun) -> None:
        for node_run in run.node_runs:
            if node_run.id not in self._begun:
                self._begun.add(node_run.id)
                self._begin_node(node_run)
            self._show_logs(node_run.id)
            if node_run.has_ended and node_run.id not in self._ended:
                self._ended.add(node_run.id)
                self._end_node(run, node_run)
        self._show_logs(None)

    def _begin_node(self, node_run: ShownNodeRun) -> None:
        node = self._workflow.nodes.get(node_run.node)
        self._asked.show([node_line(node_run, node_run.type or ("" if node is None else node.type))])
        is_asynchronous = node is not None and node.type == NodeType.WEBHOOK and not node.is_synchronized
        if is_asynchronous and not node_run.has_ended:
            self._asked.show(waiting_lines(node_run.id))
        if node is not None and node.type == NodeType.INPUT and not node_run.has_ended:
            self._asked.show(question_lines(node_run.id, node))

    def _end_node(self, run: ShownRun, node_run: ShownNodeRun) -> None:
        node = self._workflow.nodes.get(node_run.node)
        is_trigger = node is not None and node.is_trigger
        if not self._is_json:
            self._asked.show(result_lines(node_run, self._masker, is_trigger=is_trigger))
        elif not is_trigger:
            emit(node_record(self._workflow, run.id, node_run, self._masker), self._asked.runtime.stdout)

    def _show_logs(self, node_run_id: str | None) -> None:
        """Print the new log entries of a node run, or all remaining entries if `node_run_id` is None."""
        new, self._new_logs = self._new_logs, []
        for entry in new:
            if node_run_id in {None, str(entry.get("nodeRunIdentifier"))}:
                self._asked.show([port_log_line(entry, self._masker)])
            else:
                self._new_logs.append(entry)


def _exit_code(run: ShownRun, wait_s: float, runtime: Runtime) -> ExitCode:
    if not wait_s:
        return ExitCode.OK
    if not run.has_ended:
        current = run.current
        where = (
            ""
            if current is None
            else f": the node {brief(current.node)} ({brief(current.id)}) is {brief(current.status)}"
        )
        tell(f"error: {brief(run.id)} did not end within {wait_s:g} s{where}", runtime)
    return ExitCode.OK if run.result == _SUCCESS and run.has_ended else ExitCode.FAILED
