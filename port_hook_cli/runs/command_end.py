"""What the end of a command says about its run."""

from __future__ import annotations

from port_hook_cli.runs.updates import RunReport, RunStatus, is_node_run
from port_hook_cli.text.command_output import plain_output
from port_hook_cli.text.safe import shorten

INTERRUPTED_LABEL = "Interrupted"
_SUMMARY_LINES = 20
_MAX_SUMMARY_CHARACTERS = 4_000
_FIRST_SIGNAL_CODE = 129
_LAST_SIGNAL_CODE = 192


def command_end(
    run_id: str, exit_code: int, tail: bytes, given: RunReport, *, is_interrupted: bool = False, problem: str = ""
) -> RunReport:
    """Return the report that ends a command's run: SUCCESS for the exit code 0, else FAILURE with the last lines.

    `tail` is the end of the output, `given` what the user wants to report at the end, and `problem` says why the
    command could not be started. An interrupted command has failed, whatever its exit code is. A workflow node's run
    has no summary, and its log has the last lines already.
    """
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
