"""The observers that write to the terminal: text for a person, or JSON records for a program."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TextIO, TypeAlias

from port_hook_cli.captures.view.capture import BLOCK_INDENT, Revealed, capture_lines
from port_hook_cli.captures.view.compact import RUN_HIDDEN, RUN_HIDDEN_BELOW, compact_line
from port_hook_cli.frozen import frozen
from port_hook_cli.invocations.models import Capture
from port_hook_cli.invocations.view import EVENT, invocation_event
from port_hook_cli.listener.observers import Observer
from port_hook_cli.listener.view import WAITING_SIGNS, waiting_line
from port_hook_cli.terminal.console import Output, message_lines
from port_hook_cli.terminal.footer import Footer
from port_hook_cli.terminal.printer import BackgroundWriter
from port_hook_cli.text.safe import printable
from port_hook_cli.text.styled import Styled
from port_hook_cli.tunnels.report import TunnelReport, tunnel_event, tunnel_lines

_CLOSE_S = 2.0
_OUTPUT_INDENT = 4

# All records share this encoder, because `json.dumps` with options builds a new encoder each time.
_encode = json.JSONEncoder(separators=(",", ":"), check_circular=False).encode

Reveal: TypeAlias = Callable[[Capture], Sequence[Revealed]]
"""Decrypts the inputs of a capture."""


@frozen(kw_only=True)
class Display:
    """The settings for invocations as text: in one line each with `compact`, with links to runs if `app_url` is set.

    `reveal` decrypts inputs for the screen. It runs in the screen's thread for invocations with full details, and must
    not raise an exception. `conflict` means that two places have different secrets. It is added to the fix for a wrong
    secret. With `names_target`, each invocation has the URL to which it was forwarded. With `reports`, the listener
    reports results, so the command for that is not shown.
    """

    compact: bool = False
    names_target: bool = False
    reports: bool = False
    app_url: str | None = None
    reveal: Reveal | None = None
    conflict: str = ""


class _Screen(Observer):
    """Writes in the background, so that a slow terminal or pipe does not slow the listener."""

    def __init__(
        self,
        out: BackgroundWriter,
        stderr: TextIO,
        *,
        footer: Footer | None = None,
        follows: BackgroundWriter | None = None,
    ) -> None:
        self._out = out
        self._err = BackgroundWriter(
            stderr, summarize=lambda _: "", on_broken=lambda: None, footer=footer, follows=follows
        )

    def tunnel(self, report: TunnelReport) -> None:
        """Show a change of the tunnel's state."""
        for line in tunnel_lines(report):
            self.notice(line)

    def close(self) -> None:
        """Write the text that waits for output, and stop."""
        self._out.close(_CLOSE_S)
        self._err.close(_CLOSE_S)


class TextScreen(_Screen):
    """Shows invocations on stdout, and everything else on stderr. `on_broken` is called when stdout has no reader."""

    def __init__(
        self,
        stdout: TextIO,
        stderr: TextIO,
        *,
        environ: Mapping[str, str],
        display: Display,
        on_broken: Callable[[], None],
    ) -> None:
        self._output = Output(stdout, environ)
        self._messages = Output(stderr, environ)
        self._display = display
        self._compact = display.compact
        self._waiting: dict[str, tuple[Capture, str]] = {}
        self._has_named_hidden, self._has_shown_command = False, display.reports
        self._is_ascii = not _can_encode(stdout if self._output.is_terminal else stderr, "".join(WAITING_SIGNS))
        # Only a terminal can erase a line in place. stderr shows on the same terminal unless it is redirected.
        self._footer = Footer() if self._output.is_terminal and self._output.has_styles else None
        out = BackgroundWriter(stdout, summarize=_and_more, on_broken=on_broken, footer=self._footer)
        super().__init__(out, stderr, footer=self._footer if self._messages.is_terminal else None, follows=out)

    def captured(self, capture: Capture) -> None:
        """Show a capture."""
        self._out.put(
            lambda behind: self._show(capture, compact=behind or self._compact), held=len(capture.invocation.body)
        )

    def waiting(self, capture: Capture, reason: str) -> None:
        """Show that a capture waits. A terminal shows this in its last line until the wait ends.

        Other outputs get a message.
        """
        name = capture.invocation.id
        self._waiting[name] = (capture, reason)
        if self._footer is not None:
            self._show_footer(self._footer)
            return
        text = waiting_line(capture, reason, is_ascii=self._is_ascii)
        # The message is skipped if the wait ends before the message is written. Otherwise, it would follow the capture
        # itself.
        self._err.put(lambda _: f"{text}\n" if name in self._waiting else "")

    def no_longer_waiting(self, capture: Capture) -> None:
        """Erase the line that `waiting` wrote, if possible."""
        self._waiting.pop(capture.invocation.id, None)
        if self._footer is not None:
            self._show_footer(self._footer)

    def _show_footer(self, footer: Footer) -> None:
        """Show the oldest waiting capture, and the number of other waiting captures.

        The listener's thread calls this method.
        """
        output, is_ascii = self._output, self._is_ascii
        oldest = next(iter(self._waiting.values()), None)
        others = len(self._waiting) - 1

        def paint() -> str:
            assert oldest is not None
            return waiting_line(*oldest, others=others, width=output.width - 1, is_ascii=is_ascii)

        footer.show(None if oldest is None else paint)
        self._out.refresh()

    def close(self) -> None:
        """Write the text that waits for output, and erase the line in place."""
        if self._footer is not None:
            self._footer.show(None)
        super().close()

    def toggle(self) -> bool:
        """Switch between one line per invocation and full details.

        Return whether invocations are now shown in one line.
        """
        self._compact = not self._compact
        return self._compact

    def notice(self, text: str) -> None:
        """Show a message."""
        messages = self._messages
        self._err.put(lambda _: messages.paint(messages.wrap(message_lines(printable(text)))))

    def command_output(self, lines: Sequence[str]) -> None:
        """Show lines of the handler's command on stderr, indented."""
        messages = self._messages
        shown = [Styled(f"{_OUTPUT_INDENT * ' '}{printable(line)}", "dim") for line in lines]
        self._err.put(lambda _: messages.paint(messages.fit(shown, indent=_OUTPUT_INDENT)))

    def _show(self, capture: Capture, *, compact: bool) -> str:
        output, display = self._output, self._display
        width = output.width if output.is_terminal else None
        if compact:
            line = compact_line(capture, width)
            if width is None or width >= RUN_HIDDEN_BELOW or self._has_named_hidden:
                return output.paint([line])
            self._has_named_hidden = True
            return output.paint([RUN_HIDDEN, line])
        lines = list(
            capture_lines(
                capture,
                app_url=display.app_url,
                width=width or RUN_HIDDEN_BELOW,
                decrypted=display.reveal(capture) if display.reveal else (),
                conflict=display.conflict,
                names_target=display.names_target,
                shows_command=not self._has_shown_command,
            )
        )
        self._has_shown_command = self._has_shown_command or lines[-1].no_wrap
        return output.paint(output.fit(lines, indent=BLOCK_INDENT))


class JsonScreen(_Screen):
    """Prints one JSON record per line on stdout. Everything else goes to stderr."""

    def __init__(self, stdout: TextIO, stderr: TextIO, *, on_broken: Callable[[], None]) -> None:
        super().__init__(BackgroundWriter(stdout, summarize=_dropped, on_broken=on_broken, lossless=True), stderr)

    def captured(self, capture: Capture) -> None:
        """Print a capture as an `invocation` record."""
        # The record is rendered here, not in the thread, because a waiting record takes a tenth of the memory of its
        # capture.
        self.event(invocation_event(capture))

    def notice(self, text: str) -> None:
        """Show a message on stderr."""
        self._err.put(lambda _: f"{printable(text)}\n")

    def command_output(self, lines: Sequence[str]) -> None:
        """Show lines of the handler's command on stderr."""
        self._err.put(lambda _: "".join(f"{printable(line)}\n" for line in lines))

    def tunnel(self, report: TunnelReport) -> None:
        """Show a change of the tunnel on stderr, and print it as a `tunnel` record."""
        super().tunnel(report)
        self.event(tunnel_event(report))

    def event(self, record: Mapping[str, Any]) -> None:
        """Print a record."""
        line = _encode(record) + "\n"
        self._out.put(lambda _: line)


def _can_encode(stream: TextIO, text: str) -> bool:
    try:
        text.encode(stream.encoding or "utf-8")
    except (LookupError, UnicodeEncodeError):
        return False
    return True


def _and_more(count: int) -> str:
    return f"... {count} more invocations, not shown. `port-hook captures` lists them.\n"


def _dropped(count: int) -> str:
    return json.dumps({"schema": EVENT, "type": "dropped", "count": count}, separators=(",", ":")) + "\n"
