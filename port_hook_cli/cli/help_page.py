"""The page that `--help` prints, and its examples. This module is imported only for the help."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager

from port_hook_cli.terminal.console import Output
from port_hook_cli.text.layout import wrap
from port_hook_cli.text.styled import Styled

_MOST_COLUMNS = 80
_FEWEST_COLUMNS = 50
_MARGIN = 2
_MOST_OF_A_TERM = 30
_GAP = 2

ROOT_EXAMPLES: Mapping[str, str] = {
    "port-hook demo": "See it work, without a Port account",
    "port-hook listen 8000": "Receive Port's requests, forward them to a port",
    "port-hook replay last": "Send the last request again",
    "port-hook check --to 8000": "Find the mistakes in your handler",
}
"""The examples of `port-hook --help`, and what each does."""

EXAMPLES: Mapping[str, Sequence[str]] = {
    "listen": (
        "port-hook listen 8000",
        "port-hook listen 8000 --retarget deploy_service#deploy",
        "port-hook listen --respond 503 --count 1",
    ),
    "trigger": (
        "port-hook trigger workflow.json --to 8000 --input service=cart",
        "port-hook trigger create_vm.json --to 8000 --input title=test",
        "port-hook trigger actions/#create_vm --dry-run --input @inputs.json",
        "port-hook trigger create_vm --via-port --wait 60 --input title=test",
    ),
    "port-agent": (
        "port-hook port-agent message.json --mapping control_the_payload_config.json",
        "port-hook port-agent last --response 500",
        "port-hook port-agent last --watch --mapping control_the_payload_config.json",
        "port-hook port-agent --kafka --since 10m",
        "port-hook port-agent --check control_the_payload_config.json",
    ),
    "replay": (
        "port-hook replay last",
        "port-hook replay last --to 8000 --set payload.properties.cpu=4",
        "port-hook replay --failed --since 1h",
        "port-hook replay last --compare --ignore request_id",
        "port-hook replay payload.json --to 8000 --times 100 --concurrency 8",
    ),
    "check": (
        "port-hook check --to 8000",
        "port-hook check create_vm.yaml --to 8000 -- python app.py",
        "port-hook check --to 8000 --only signature --junit check.xml",
    ),
    "report-run": (
        'port-hook report-run last --log "VM is up" --status success',
        "port-hook report-run r_QOz6WoOB1Q2lmhZZ -- ./deploy.sh --env staging",
        "port-hook report-run --pending",
    ),
}


def page_text(write: Callable[[HelpPage], None], output: Output) -> str:
    """Return the page that `write` writes, for `output`."""
    page = HelpPage(max(_FEWEST_COLUMNS, min(output.width, _MOST_COLUMNS) - _MARGIN))
    write(page)
    return output.paint(page.lines).rstrip("\n")


class HelpPage:
    """A page of help, with the methods of typer's formatter that port-hook's commands call."""

    def __init__(self, width: int) -> None:
        self.width = width
        self.current_indent = 0
        self.lines: list[Styled] = []

    def write_usage(self, prog: str, args: str = "") -> None:
        """Write the usage line, which shows how to call the command."""
        label = "Usage:"
        line = Styled.assemble((label, "bold"), f" {prog} {args}")
        self.lines += wrap(line, self.width, indent=len(f"{label} {prog} "))

    def write_text(self, text: str) -> None:
        """Write paragraphs."""
        margin = " " * self.current_indent
        for number, paragraph in enumerate(text.split("\n\n")):
            if number:
                self.write_paragraph()
            line = Styled(margin + " ".join(paragraph.split("\n")))
            self.lines += wrap(line, self.width, indent=self.current_indent)

    def write_line(self, text: str) -> None:
        """Write a line. If it is wrapped, indent the lines that continue it."""
        line = Styled(" " * self.current_indent + text)
        self.lines += wrap(line, self.width, indent=self.current_indent + _MARGIN)

    def write_paragraph(self) -> None:
        """Write an empty line, unless the page is empty."""
        if self.lines:
            self.lines.append(Styled())

    def write_dl(self, rows: Iterable[tuple[str, str]], width: int = 0) -> None:
        """Write terms, such as options, with their descriptions in a second column.

        `width` is the length of the longest term in all lists, if other lists have longer terms.
        """
        rows = list(rows)
        margin = " " * self.current_indent
        column = min(max([width, *(len(term) for term, _ in rows)]), _MOST_OF_A_TERM) + _GAP
        for term, description in rows:
            indent = self.current_indent + column
            if len(term) + _GAP > column:
                self.lines.append(Styled.assemble(margin, (term, "cyan")))
                line = Styled(" " * indent + description)
            else:
                line = Styled.assemble(margin, (term, "cyan"), " " * (column - len(term)), description)
            self.lines += wrap(line, self.width, indent=indent)

    @contextmanager
    def section(self, name: str) -> Iterator[None]:
        """Write a heading, and indent the text inside the context."""
        self.write_paragraph()
        self.lines.append(Styled(f"{name}:", "bold"))
        with self.indentation():
            yield

    @contextmanager
    def indentation(self) -> Iterator[None]:
        """Indent the text inside the context."""
        self.current_indent += _MARGIN
        try:
            yield
        finally:
            self.current_indent -= _MARGIN
