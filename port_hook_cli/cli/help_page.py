"""The page that `--help` prints, and its examples. This module is imported only for the help."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager

from port_hook_cli.cli.commands import ADDED
from port_hook_cli.registry import features
from port_hook_cli.terminal.console import Output
from port_hook_cli.text.layout import wrap
from port_hook_cli.text.styled import Styled

_MOST_COLUMNS = 80
_FEWEST_COLUMNS = 50
_MARGIN = 2
_MOST_OF_A_TERM = 30
_GAP = 2

_ROOT_EXAMPLES = (
    (20, "port-hook listen 8000", "Receive Port's requests, forward them to a port"),
    (30, "port-hook replay last", "Send the last request again"),
)

EXAMPLES: Mapping[str, Sequence[str]] = {
    "listen": (
        "port-hook listen 8000",
        "port-hook listen 8000 -- python app.py",
        "port-hook listen 8000 --retarget deploy_service#deploy",
    ),
    "captures": (
        "port-hook captures",
        "port-hook captures create_vm --failed",
        "port-hook captures --since yesterday --watch",
    ),
    "show": ("port-hook show", "port-hook show last~1", "port-hook show r_QOz6WoOB1Q2lmhZZ --body"),
    "diff": ("port-hook diff", "port-hook diff last~3 last --ignore header:host"),
    "verify": (
        "port-hook verify last",
        "port-hook verify last --signature v1,abc=",
        "port-hook verify --body b.json --signature v1,abc= --timestamp 1700000000",
    ),
    "replay": (
        "port-hook replay payload.json",
        "port-hook replay last --set payload.properties.cpu=4",
        "port-hook replay --failed --since 1h",
    ),
    "sign": ("port-hook sign payload.json", "port-hook sign - < payload.json", "port-hook sign last --json"),
    "export": (
        "port-hook export",
        "port-hook export last --redact -o shared.json",
        "port-hook export last --format pytest",
    ),
    "report-run": (
        "port-hook report-run last --status success",
        "port-hook report-run last --status failure --log-file build.log",
        "port-hook report-run r_QOz6WoOB1Q2lmhZZ -- ./deploy.sh",
    ),
    "login": ("port-hook login", "port-hook login staging", "port-hook login --list"),
    "init": ("port-hook init", "port-hook init 8000", "port-hook init --handler fastapi"),
    "logout": ("port-hook logout staging", "port-hook logout --all"),
    "prune": ("port-hook prune --older-than 7d", "port-hook prune --older-than 7d --dry-run"),
    **{name: row.examples for name, row in ADDED.items()},
}
"""The examples of each command."""


def root_examples() -> list[tuple[str, str]]:
    """Return the examples of `port-hook --help`, and what each does."""
    rows = [*_ROOT_EXAMPLES, *(each.example for each in features().values() if each.example)]
    return [(line, what) for _, line, what in sorted(rows)]


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
