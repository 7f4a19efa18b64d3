from __future__ import annotations

from port_hook_cli.runs.fate import command_end
from port_hook_cli.runs.updates import RunReport, RunStatus
from tests.factories import RUN_ID

NODE_RUN = "wfnr_abc123"
NOTHING = RunReport()


def test_command_end_is_success_without_a_summary_for_exit_code_0() -> None:
    assert command_end(RUN_ID, 0, b"one\n", NOTHING) == RunReport(status=RunStatus.SUCCESS)


def test_command_end_has_the_last_20_lines_of_a_failed_command() -> None:
    tail = b"".join(b"line %d\n\n" % number for number in range(30))
    report = command_end(RUN_ID, 2, tail, NOTHING)
    assert report.status is RunStatus.FAILURE
    expected = "\n".join(f"line {number}" for number in range(10, 30))
    assert report.summary == f"The command ended with exit code 2.\n\n{expected}"


def test_command_end_bounds_the_summary() -> None:
    report = command_end(RUN_ID, 1, b"x" * 100_000, NOTHING)
    assert 4_000 < len(report.summary or "") < 4_100


def test_command_end_names_the_signal_of_an_exit_code() -> None:
    assert command_end(RUN_ID, 137, b"", NOTHING).summary == "The command ended with exit code 137 (signal 9)."


def test_command_end_of_an_interrupted_command_is_a_failure_whatever_its_exit_code() -> None:
    report = command_end(RUN_ID, 0, b"", RunReport(label="mine"), is_interrupted=True)
    assert (report.status, report.label) == (RunStatus.FAILURE, "Interrupted")
    assert report.summary == "The command was interrupted."


def test_command_end_keeps_the_summary_and_the_output_that_are_given() -> None:
    report = command_end(RUN_ID, 1, b"x", RunReport(summary="mine", output={"a": 1}))
    assert (report.summary, report.output) == ("mine", {"a": 1})


def test_command_end_of_a_node_run_has_no_summary_because_the_log_has_the_lines() -> None:
    assert command_end(NODE_RUN, 1, b"x\n", NOTHING) == RunReport(status=RunStatus.FAILURE)
