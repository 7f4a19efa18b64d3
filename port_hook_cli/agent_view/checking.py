"""`agent --check`: what is wrong with a mapping file."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from port_hook_cli.agent_view.inputs import load_mappings
from port_hook_cli.engines.agent_jq import AgentJq
from port_hook_cli.errors import ExitCode
from port_hook_cli.prediction.expressions import correction, environment_use
from port_hook_cli.prediction.jq15 import agent_program
from port_hook_cli.prediction.mapping import AgentMapping, MappingProblem, Severity, mapping_notes
from port_hook_cli.runtime import Runtime
from port_hook_cli.terminal.console import Output, emit, tell
from port_hook_cli.text.safe import printable


def check_mapping_file(name: str, runtime: Runtime, *, json: bool) -> ExitCode:
    """Print the problems of a mapping file; the exit code is 1 if the agent does not start, or an expression fails.

    Raises StoreError and UsageError for a file that cannot be read or is not JSON.
    """
    mappings, problems = load_mappings(name, runtime)
    found = (*problems, *_expression_problems(mappings), *mapping_notes(mappings))
    if json:
        from port_hook_cli.prediction.records import check_record

        emit(check_record(name, len(mappings), found), runtime.stdout)
    else:
        _show(name, mappings, found, runtime)
    return ExitCode.FAILED if any(problem.severity is not Severity.NOTE for problem in found) else ExitCode.OK


def _expression_problems(mappings: Sequence[AgentMapping]) -> Iterator[MappingProblem]:
    """Yield the expressions that are always null because jq 1.5 cannot compile them, or that can stop the agent."""
    pairs = [pair for mapping in mappings for pair in mapping.expressions]
    for place, text in pairs:
        for warning in agent_program(text).warnings:
            yield MappingProblem(place=place, message=warning, severity=Severity.ERROR)
    with AgentJq({}) as jq:
        for (place, text), error in zip(pairs, jq.compile_errors([text for _, text in pairs]), strict=True):
            if error:
                hint = correction(text)
                message = f"is always null: {error}{f'; {hint}' if hint else ''}"
                yield MappingProblem(place=place, message=message, severity=Severity.ERROR)


def _show(name: str, mappings: Sequence[AgentMapping], found: Sequence[MappingProblem], runtime: Runtime) -> None:
    from port_hook_cli.prediction.view import problem_lines

    output = Output(runtime.stdout, runtime.environ)
    output.print(*output.wrap(problem_lines(found)))
    used = environment_use([text for mapping in mappings for _, text in mapping.expressions])
    if used.names:
        tell(f"note: its expressions read these variables: {printable(', '.join(used.names))}", runtime)
    if any(problem.severity is Severity.FATAL for problem in found):
        tell(f"error: The agent does not start with {printable(name)}.", runtime)
    elif any(problem.severity is Severity.ERROR for problem in found):
        tell(f"error: {printable(name)} has expressions that are always null, or stop the agent.", runtime)
    else:
        tell(f"{printable(name)} has no errors ({len(mappings)} mapping{'' if len(mappings) == 1 else 's'}).", runtime)
