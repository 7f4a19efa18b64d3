"""The output of `port-agent`: predictions and the results of requests, as text, as records, or as a raw request."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from enum import Enum, auto
from typing import TYPE_CHECKING

from port_hook_cli.errors import PortHookError
from port_hook_cli.prediction.calls import AgentOutcome
from port_hook_cli.prediction.mapping import Severity
from port_hook_cli.prediction.prediction import ShownPrediction
from port_hook_cli.prediction.response import AgentResponse
from port_hook_cli.runtime import Runtime
from port_hook_cli.terminal.console import Output, emit, tell, write_content
from port_hook_cli.text.remark import Remark, note, plain
from port_hook_cli.text.safe import brief, printable
from port_hook_cli.text.styled import Styled

if TYPE_CHECKING:
    from port_hook_cli.agent.mappings import CheckedMappings
    from port_hook_cli.agent.performing import AboutToSend, Performed
    from port_hook_cli.agent.predictor import AgentInput
    from port_hook_cli.agent.stream import AgentEvent, Unsent

_MOST_OF_A_TITLE = 300
_REDIRECTS = range(300, 400)


class AgentForm(Enum):
    """The form of the output for each message."""

    TEXT = auto()
    RECORD = auto()
    BYTES = auto()


class AgentScreen:
    """Prints predictions and events. `responses` are the responses for which the agent's reports are shown.

    `beginning` contains the remarks to print when messages can arrive.
    """

    def __init__(
        self,
        runtime: Runtime,
        form: AgentForm,
        responses: Sequence[AgentResponse],
        *,
        beginning: Sequence[Remark] = (),
    ) -> None:
        self._runtime, self._form, self._responses = runtime, form, responses
        self._beginning = beginning
        self._output = Output(runtime.stdout, runtime.environ)
        self._is_titled = False

    def show(self, shown: ShownPrediction) -> None:
        """Print a prediction, with the agent's reports for each response."""
        match self._form:
            case AgentForm.BYTES:
                self._write_request(shown)
            case AgentForm.RECORD:
                self._emit(shown, self._outcomes(shown))
            case AgentForm.TEXT:
                self._print_prediction(shown)

    def on_event(self, event: AgentEvent) -> None:
        """Print an event about a message."""
        from port_hook_cli.agent import stream

        match event:
            case Remark():
                self._tell([event])
            case stream.Watching():
                self._tell(self._beginning)
            case stream.Arrived():
                self._print_title(event.title)
            case stream.Unread():
                self._show_unread(event.source, event.reason)
            case stream.Predicted():
                self.show(event.shown)
            case _:
                self._on_request(event)
        self._runtime.stdout.flush()

    def _on_request(self, event: Unsent | AboutToSend | Performed) -> None:
        from port_hook_cli.agent import performing, stream

        match event:
            case stream.Unsent():
                self.show(event.shown)
                self._runtime.stdout.flush()
                self._tell_problem(event.problem)
            case performing.AboutToSend():
                self._print_request(event.shown)
            case performing.Performed():
                self._show_performed(event)

    def _tell(self, remarks: Iterable[Remark]) -> None:
        for remark in remarks:
            tell(remark.line, self._runtime)

    def _tell_problem(self, problem: PortHookError) -> None:
        tell(f"error: {problem.message}", self._runtime)
        if problem.hint:
            tell(f"hint: {problem.hint}", self._runtime)

    def _outcomes(self, shown: ShownPrediction) -> list[AgentOutcome]:
        prediction = shown.prediction
        if prediction.wire is None:
            return [prediction.unsent] if prediction.unsent else []
        return [prediction.outcome(response) for response in self._responses]

    def _emit(
        self, shown: ShownPrediction, outcomes: Sequence[AgentOutcome], performed: Performed | None = None
    ) -> None:
        from port_hook_cli.prediction.view import prediction_record

        record = prediction_record(shown, outcomes, None if performed is None else performed.delivery)
        emit(record, self._runtime.stdout)

    def _print_prediction(self, shown: ShownPrediction) -> None:
        from port_hook_cli.prediction.view import before_lines, title_of

        self._print_request(shown)
        self._print(before_lines(shown))
        for outcome in self._outcomes(shown):
            self._print_outcome(shown, outcome, skipped=len(shown.prediction.before), title=title_of(outcome))

    def _print_request(self, shown: ShownPrediction) -> None:
        """Print the message, the mappings and the request."""
        if self._form is AgentForm.TEXT:
            from port_hook_cli.prediction.view import prediction_lines

            self._print(prediction_lines(shown))

    def _print_outcome(self, shown: ShownPrediction, outcome: AgentOutcome, *, skipped: int = 0, title: str) -> None:
        from port_hook_cli.prediction.view import outcome_lines

        self._print(outcome_lines(outcome, outcome.calls[skipped:], masker=shown.masker, title=title))

    def _print(self, lines: Iterable[Styled]) -> None:
        self._output.print(*self._output.fit(lines))

    def _print_title(self, title: str) -> None:
        """Print the title of a message if several messages may follow each other."""
        if self._form is AgentForm.TEXT:
            self._print([*([Styled("")] if self._is_titled else []), Styled(brief(title, _MOST_OF_A_TITLE), "bold")])
            self._is_titled = True

    def _show_unread(self, source: AgentInput, reason: str) -> None:
        """Print why a message has no prediction. Raises PortHookError if the form is BYTES."""
        match self._form:
            case AgentForm.BYTES:
                raise PortHookError(f"The agent does not send a request: {reason}")
            case AgentForm.RECORD:
                from port_hook_cli.prediction.view import unpredicted_record

                emit(unpredicted_record(source.name, reason, origin=source.origin), self._runtime.stdout)
            case AgentForm.TEXT:
                from port_hook_cli.prediction.view import unpredicted_line

                self._print([unpredicted_line(reason)])

    def _write_request(self, shown: ShownPrediction) -> None:
        """Print the raw request with secrets masked. Print a note if any secret was masked."""
        wire = shown.prediction.wire
        if wire is None:
            raise PortHookError(f"The agent does not send a request: {shown.masker.text(shown.prediction.reason)}.")
        content = shown.masker.content(wire.content)
        if content != wire.content:
            self._tell([note("secrets are masked, so this is not exactly what would be sent")])
        write_content(content, self._runtime.stdout, end="\n")

    def _show_performed(self, performed: Performed) -> None:
        shown, delivery = performed.shown, performed.delivery
        self._tell(_response_remarks(performed))
        if self._form is AgentForm.RECORD:
            self._emit(shown, [performed.outcome], performed)
            return
        from port_hook_cli.invocations.view import BODY_INDENT, delivery_lines

        masked = replace(delivery, url=shown.masker.text(delivery.url), body=shown.masker.content(delivery.body))
        if delivery.status is not None:
            self._output.print(*self._output.fit(delivery_lines(masked), indent=BODY_INDENT))
        self._print_outcome(shown, performed.outcome, title="it would report")


def _response_remarks(performed: Performed) -> Iterator[Remark]:
    """Yield notes and errors about the response."""
    from port_hook_cli.http.response_body import SHOWN_BYTES
    from port_hook_cli.text.remark import RemarkKind

    delivery = performed.delivery
    if len(delivery.body) >= SHOWN_BYTES:
        yield note(f"only the first {SHOWN_BYTES:,} bytes of the response are used")
    if delivery.status in _REDIRECTS and delivery.headers.get("location"):
        yield note("the agent follows redirects and gets another response, but port-hook does not follow them")
    if delivery.status is None:
        yield Remark(RemarkKind.ERROR, printable(performed.shown.masker.text(delivery.error or "no response")))


def show_check(name: str, checked: CheckedMappings, runtime: Runtime, *, json: bool) -> None:
    """Print the problems of a mapping file."""
    if json:
        from port_hook_cli.prediction.view import check_record

        emit(check_record(name, len(checked.mappings), checked.problems), runtime.stdout)
        return
    from port_hook_cli.prediction.view import problem_lines

    output = Output(runtime.stdout, runtime.environ)
    output.print(*output.wrap(problem_lines(checked.problems)))
    for remark in _check_remarks(printable(name), checked):
        tell(remark.line, runtime)


def _check_remarks(name: str, checked: CheckedMappings) -> Iterator[Remark]:
    from port_hook_cli.prediction.expressions import environment_use
    from port_hook_cli.text.remark import RemarkKind

    count = len(checked.mappings)
    used = environment_use([text for mapping in checked.mappings for _, text in mapping.expressions])
    if used.names:
        yield note(f"its expressions read these environment variables: {printable(', '.join(used.names))}")
    match checked.worst:
        case Severity.FATAL:
            yield Remark(RemarkKind.ERROR, f"The agent does not start with {name}.")
        case Severity.ERROR:
            text = f"{name} has expressions that are always null, or stop the agent."
            yield Remark(RemarkKind.ERROR, text)
        case _:
            yield plain(f"{name} has no errors ({count} mapping{'' if count == 1 else 's'}).")
