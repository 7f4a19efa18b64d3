"""The effect of an HTTP response on a run."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING

from port_hook_cli.invocations.models import WAITS_FOR_REPORT, Kind, Payload, Response
from port_hook_cli.text.safe import plain_output, shorten

if TYPE_CHECKING:
    from port_hook_cli.runs.updates import RunReport

INTERRUPTED_LABEL = "Interrupted"
_SUMMARY_LINES = 20
_MAX_SUMMARY_CHARACTERS = 4_000
_FIRST_SIGNAL_CODE = 129
_LAST_SIGNAL_CODE = 192


class RunFate(StrEnum):
    """The effect of an HTTP response alone on a run. The response can end only `synchronized` runs."""

    SUCCESS = "SUCCESS"
    FAILURE = "FAILURE"
    WAITS = WAITS_FOR_REPORT
    DEPENDS = "depends on `synchronized`"
    NODE_DEPENDS = "depends on `synchronized`, which is true for a workflow node by default"
    NODE_FAILS = "FAILED (not documented for an asynchronous workflow node)"
    NO_RUN = "no run"


OPEN_FATES = frozenset({RunFate.WAITS, RunFate.DEPENDS, RunFate.NODE_DEPENDS})
"""The fates after which the run may still accept a report."""


def run_fate(payload: Payload, response: Response, *, is_message: bool = False) -> RunFate:
    """Return how `response` affects the run of `payload`.

    A 2xx response ends a synchronized run as SUCCESS, and any other response ends it as FAILURE (FAILED for workflow
    nodes). Any other run stays IN_PROGRESS until the handler reports its result. The execution agent reports FAILURE
    for a 4xx or 5xx status, regardless of `synchronized`, and port-hook assumes that Port fails a workflow node then.
    If the payload does not show whether its run is synchronized, both effects of other responses are possible. With
    `is_message`, the payload was in a Kafka topic. Unless the message is for the agent, its consumer must report the
    result, regardless of the response.
    """
    if payload.run_id is None or payload.kind is Kind.CHANGE_LOG:
        return RunFate.NO_RUN
    is_node = payload.kind is Kind.WORKFLOW_NODE
    if payload.via_agent and response.status >= 400:  # noqa: PLR2004 - requests follows redirects, the rest are errors
        return RunFate.FAILURE
    if is_message and not payload.via_agent:
        return RunFate.WAITS
    if payload.synchronized:
        return RunFate.SUCCESS if response.ok else RunFate.FAILURE
    if is_node and fails_any_node(response.status):
        return RunFate.NODE_FAILS
    depends = RunFate.NODE_DEPENDS if is_node else RunFate.DEPENDS
    return depends if payload.synchronized is None else RunFate.WAITS


def fails_any_node(status: int) -> bool:
    """Return whether a status fails even an asynchronous WEBHOOK node. Port does not document this."""
    return status // 100 not in {2, 3}


def command_end(
    run_id: str, exit_code: int, tail: bytes, given: RunReport, *, is_interrupted: bool = False, problem: str = ""
) -> RunReport:
    """Return the report that ends a command's run: SUCCESS for exit code 0, otherwise FAILURE with the last lines.

    `tail` is the end of the output. `given` is the user's own report at the end. `problem` explains why the command did
    not start. An interrupted command has failed, regardless of its exit code. A node run has no summary, and its log
    already contains the last lines.
    """
    from port_hook_cli.runs.updates import RunReport, RunStatus, is_node_run  # only commands that report need this

    has_failed = is_interrupted or exit_code != 0
    summary = given.summary
    if has_failed and summary is None and not is_node_run(run_id):
        summary = _summary(problem or f"{_how(exit_code, is_interrupted=is_interrupted)}.", tail)
    return RunReport(
        status=RunStatus.FAILURE if has_failed else RunStatus.SUCCESS,
        label=INTERRUPTED_LABEL if is_interrupted else given.label,
        summary=summary,
        output=given.output,
        logs=(problem,) if problem else (),
        log_level=given.log_level,
    )


def _how(exit_code: int, *, is_interrupted: bool) -> str:
    if is_interrupted:
        return "The command was interrupted"
    if _FIRST_SIGNAL_CODE <= exit_code <= _LAST_SIGNAL_CODE:
        return f"The command ended with exit code {exit_code} (signal {exit_code - 128})"
    return f"The command ended with exit code {exit_code}"


def _summary(first: str, tail: bytes) -> str:
    lines = [line for line in plain_output(tail).splitlines() if line.strip()][-_SUMMARY_LINES:]
    text = "\n".join(lines)[-_MAX_SUMMARY_CHARACTERS:]
    return f"{first}\n\n{text}" if text else shorten(first, _MAX_SUMMARY_CHARACTERS)
