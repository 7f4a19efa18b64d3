"""What `agent` prints: the request, what the agent reports, or a record."""

from __future__ import annotations

from collections.abc import Sequence

from port_hook_cli.agent_view.session import AgentInput, AgentSession, ShownPrediction
from port_hook_cli.errors import ExitCode, PortHookError
from port_hook_cli.invocations.models import Delivery
from port_hook_cli.prediction.calls import AgentOutcome
from port_hook_cli.runtime import Runtime
from port_hook_cli.terminal.console import Output, emit, tell, write_content
from port_hook_cli.text.safe import brief
from port_hook_cli.text.styled import Styled

_MOST_OF_A_TITLE = 300


def _outcomes(session: AgentSession, shown: ShownPrediction) -> list[AgentOutcome]:
    prediction = shown.prediction
    if prediction.wire is None:
        return [prediction.unsent] if prediction.unsent else []
    return [prediction.outcome(response) for response in session.responses]


def show_prediction(session: AgentSession, shown: ShownPrediction) -> None:
    """Print a prediction, with what the agent reports for each response."""
    outcomes = _outcomes(session, shown)
    if session.plan.json:
        emit_prediction(session, shown, outcomes)
        return
    from port_hook_cli.prediction.view import before_lines, outcome_lines, title_of

    show_request(session, shown)
    output = Output(session.runtime.stdout, session.runtime.environ)
    output.print(*output.fit(before_lines(shown.prediction, masker=shown.masker)))
    for outcome in outcomes:
        calls = outcome.calls[len(shown.prediction.before) :]
        output.print(*output.fit(outcome_lines(outcome, calls, masker=shown.masker, title=title_of(outcome))))


def show_request(session: AgentSession, shown: ShownPrediction) -> None:
    """Print the message, the mappings and the request."""
    from port_hook_cli.prediction.view import prediction_lines

    output = Output(session.runtime.stdout, session.runtime.environ)
    lines = prediction_lines(
        shown.prediction,
        environment=shown.environment,
        given=tuple(session.variables),
        masker=shown.masker,
        version=session.plan.version,
    )
    output.print(*output.fit(lines))


def emit_prediction(
    session: AgentSession, shown: ShownPrediction, outcomes: Sequence[AgentOutcome], delivery: Delivery | None = None
) -> None:
    """Print a prediction as a record."""
    from port_hook_cli.prediction.records import prediction_record

    record = prediction_record(
        shown.prediction,
        outcomes,
        environment=shown.environment,
        given=tuple(session.variables),
        masker=shown.masker,
        version=session.plan.version,
        delivery=delivery,
        origin=shown.source.origin,
    )
    emit(record, session.runtime.stdout)


def show_title(session: AgentSession, title: str, *, is_first: bool) -> None:
    """Print the title of one of several messages."""
    if not session.plan.json:
        output = Output(session.runtime.stdout, session.runtime.environ)
        output.print(*output.fit([*([] if is_first else [Styled("")]), Styled(brief(title, _MOST_OF_A_TITLE), "bold")]))


def show_unpredicted(session: AgentSession, source: AgentInput, reason: str) -> None:
    """Print why there is no prediction for a message."""
    if session.plan.json:
        from port_hook_cli.prediction.records import unpredicted_record

        emit(unpredicted_record(source.name, reason, origin=source.origin), session.runtime.stdout)
        return
    from port_hook_cli.prediction.view import unpredicted_line

    output = Output(session.runtime.stdout, session.runtime.environ)
    output.print(*output.fit([unpredicted_line(reason)]))
    session.runtime.stdout.flush()


def print_raw(shown: ShownPrediction, runtime: Runtime) -> ExitCode:
    """Print the bytes of the request; secrets are masked, and then a note says so."""
    wire = shown.prediction.wire
    if wire is None:
        raise PortHookError(f"The agent sends nothing: {shown.masker.text(shown.prediction.reason)}.")
    content = shown.masker.content(wire.content)
    if content != wire.content:
        tell("note: secrets are masked, so this is not exactly what would be sent", runtime)
    write_content(content, runtime.stdout, end="\n")
    return ExitCode.OK
