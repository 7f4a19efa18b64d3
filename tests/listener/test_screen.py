"""The two screens of a listener, on real pipes."""

from __future__ import annotations

import json
import os
import re
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

import pyte
import pytest

from port_hook_cli.actions.encrypted_inputs import Decryption
from port_hook_cli.captures.store.capture_store import open_store
from port_hook_cli.captures.view.capture import capture_lines
from port_hook_cli.captures.view.compact import compact_line
from port_hook_cli.invocations.models import (
    Capture,
    Cause,
    Delivery,
    EventChange,
    Kind,
    Payload,
    Response,
    Status,
    Verdict,
)
from port_hook_cli.invocations.view import invocation_event
from port_hook_cli.javascript.paths import JsonPath
from port_hook_cli.listener.responses import OK
from port_hook_cli.listener.screen import Display, JsonScreen, TextScreen
from port_hook_cli.listener.view import ready_event
from port_hook_cli.signatures import causes
from tests.factories import RUN_ID, a_body, a_capture, a_document, an_invocation

MOST_PENDING = 4_000
HOSTILE = "a\x1b[2Jb\nc\u202e"


@dataclass
class Streams:
    """stdout and stderr as pipes, read in separate threads after `start_reading`."""

    stdout: TextIO
    stderr: TextIO
    ends: tuple[int, int]

    def __post_init__(self) -> None:
        self.read: list[bytearray] = [bytearray(), bytearray()]
        self._threads: list[threading.Thread] = []
        self.broken = threading.Event()

    def start_reading(self) -> None:
        for end, into in zip(self.ends, self.read, strict=True):
            thread = threading.Thread(target=_read_all, args=(end, into))
            thread.start()
            self._threads.append(thread)

    def end(self) -> tuple[str, str]:
        """Close the writing ends and return everything that was written to each."""
        self.stdout.close()
        self.stderr.close()
        for thread in self._threads:
            thread.join(30)
        return self.read[0].decode(), self.read[1].decode()


def _read_all(end: int, into: bytearray) -> None:
    while part := os.read(end, 65536):
        into += part


@pytest.fixture
def streams() -> Iterator[Streams]:
    with ExitStack() as stack:
        (out, stdout), (err, stderr) = os.pipe(), os.pipe()
        it = Streams(os.fdopen(stdout, "w", encoding="utf-8"), os.fdopen(stderr, "w", encoding="utf-8"), (out, err))
        stack.callback(_close, it)
        yield it


def _close(streams: Streams) -> None:
    for end in streams.ends:  # first, because it ends a thread stuck in a write
        os.close(end)
    for stream in (streams.stdout, streams.stderr):
        with suppress(OSError):
            stream.close()


def text_screen(streams: Streams, **display: Any) -> TextScreen:
    return TextScreen(
        streams.stdout, streams.stderr, environ={}, display=Display(**display), on_broken=streams.broken.set
    )


def json_screen(streams: Streams) -> JsonScreen:
    return JsonScreen(streams.stdout, streams.stderr, on_broken=streams.broken.set)


def printed(streams: Streams, screen: TextScreen | JsonScreen, *captures: Capture) -> tuple[str, str]:
    """Show captures, close the screen, and return what it wrote to stdout and to stderr."""
    streams.start_reading()
    for capture in captures:
        screen.captured(capture)
    screen.close()
    return streams.end()


def numbered(number: int) -> Capture:
    return a_capture(an_invocation(b"{}", id=f"{number:012}"), response=OK)


def in_full(capture: Capture) -> str:
    return "".join(f"{line.plain}\n" for line in capture_lines(capture, app_url=None))


def test_text_screen_prints_a_capture_without_escape_sequences_to_a_pipe(streams: Streams) -> None:
    capture = a_capture(response=OK)
    out, err = printed(streams, text_screen(streams), capture)
    assert out == in_full(capture)
    assert "\x1b" not in out
    assert err == ""


def test_screen_shows_the_report_run_command_once(streams: Streams) -> None:
    captures = [a_capture(an_invocation(id=f"{number:012}"), response=OK) for number in range(3)]
    out, _ = printed(streams, text_screen(streams), *captures)
    assert out.count(f"port-hook report-run {RUN_ID} --status success") == 1
    assert out.count("  in Port the run stays IN_PROGRESS until the handler reports its result\n") == 3


def test_screen_of_a_listener_that_reports_shows_no_report_run_command(streams: Streams) -> None:
    out, _ = printed(streams, text_screen(streams, reports=True), a_capture(an_invocation(), response=OK))
    assert "in Port the run" in out
    assert "report-run" not in out


def test_compact_screen_prints_one_line_for_each_capture(streams: Streams) -> None:
    captures = [numbered(number) for number in range(3)]
    out, _ = printed(streams, text_screen(streams, compact=True), *captures)
    assert out.splitlines() == [compact_line(capture).plain for capture in captures]


def test_decrypted_inputs_are_shown_on_the_screen_and_not_added_to_the_capture(
    streams: Streams, tmp_path: Path
) -> None:
    threads: list[str] = []

    def reveal(capture: Capture) -> list[Decryption]:
        threads.append(threading.current_thread().name)
        return [Decryption(path=JsonPath.parse("password"), plaintext=capture.invocation.id.encode() + b" s3cret")]

    capture = a_capture(response=OK)
    out, _ = printed(streams, text_screen(streams, reveal=reveal), capture)
    assert '  decrypted  password  "0123456789ab s3cret"\n' in out
    assert threads == ["printer"]
    assert b"s3cret" not in json.dumps(invocation_event(capture)).encode()
    with open_store(tmp_path / "captures.db", tmp_path, create=True) as store:
        store.add([capture])
    assert not any(b"s3cret" in path.read_bytes() for path in tmp_path.glob("captures.db*"))


def test_compact_screen_decrypts_nothing(streams: Streams) -> None:
    revealed: list[Capture] = []

    def reveal(capture: Capture) -> list[Decryption]:
        revealed.append(capture)
        return []

    out, _ = printed(streams, text_screen(streams, compact=True, reveal=reveal), numbered(1))
    assert len(out.splitlines()) == 1
    assert revealed == []


@pytest.mark.parametrize("build", [text_screen, json_screen])
def test_notices_are_printed_to_stderr_on_one_line_each_with_escapes(
    streams: Streams, build: Callable[[Streams], TextScreen | JsonScreen]
) -> None:
    streams.start_reading()
    screen = build(streams)
    screen.notice("one")
    screen.notice(HOSTILE)
    screen.close()
    assert streams.end() == ("", "one\na\\x1b[2Jb\\nc\\u202e\n")


def test_text_screen_ignores_events(streams: Streams) -> None:
    streams.start_reading()
    screen = text_screen(streams)
    screen.event(ready_event(url="http://h/", public_url=None))
    screen.close()
    assert streams.end() == ("", "")


def test_json_screen_prints_only_one_record_per_line_on_stdout(streams: Streams) -> None:
    streams.start_reading()
    screen = json_screen(streams)
    ready = ready_event(url="http://h/", public_url=None)
    verdict = Verdict(status=Status.INVALID, causes=(Cause("secret-or-body", HOSTILE, HOSTILE),))
    capture = a_capture(an_invocation(a_body(a_document(action=HOSTILE)), target=HOSTILE), verdict=verdict)
    screen.event(ready)
    screen.notice("in between")
    screen.captured(capture)
    screen.close()
    out, err = streams.end()
    assert out.isascii()
    assert [json.loads(line) for line in out.splitlines()] == [ready, invocation_event(capture)]
    assert err == "in between\n"


def test_json_screen_prints_every_record_of_a_burst(streams: Streams) -> None:
    out, _ = printed(streams, json_screen(streams), *map(numbered, range(3000)))
    assert [json.loads(line)["id"] for line in out.splitlines()] == [f"{n:012}" for n in range(3000)]


def test_json_screen_prints_a_record_of_omitted_records_when_the_reader_stalls(streams: Streams) -> None:
    screen = json_screen(streams)
    record: dict[str, Any] = {"filler": "x" * 1000}
    count = MOST_PENDING * 3
    for _ in range(count):
        screen.event(record)
    streams.start_reading()
    screen.close()
    records = [json.loads(line) for line in streams.end()[0].splitlines()]
    kept, (last,) = records[:-1], records[-1:]
    assert all(one == record for one in kept)
    assert len(kept) >= MOST_PENDING
    assert last == {"schema": "port-hook/event/1", "type": "dropped", "count": count - len(kept)}


def test_text_screen_counts_the_omitted_captures_of_a_burst_with_a_pointer_to_captures(streams: Streams) -> None:
    screen = text_screen(streams)
    for number in range(MOST_PENDING * 2):
        screen.captured(numbered(number))
    streams.start_reading()
    screen.close()
    lines = streams.end()[0].splitlines()
    told = [line for line in lines if line.startswith("... ")]
    assert told
    assert all("`port-hook captures` lists them" in line for line in told)
    shown = [line for line in lines if re.match(r"\d\d:\d\d:\d\d  ", line)]
    assert sum(int(line.split()[1]) for line in told) + len(shown) == MOST_PENDING * 2


@pytest.mark.parametrize("build", [text_screen, json_screen])
def test_closed_stdout_is_reported_and_notices_continue(
    streams: Streams, build: Callable[[Streams], TextScreen | JsonScreen]
) -> None:
    screen = build(streams)
    out, err = streams.ends
    spare, unused = os.pipe()
    os.close(unused)
    os.dup2(spare, out)  # closes the reading end of stdout, but not its number
    os.close(spare)
    screen.captured(numbered(1))
    assert streams.broken.wait(30)
    screen.notice("still here")
    screen.close()
    assert os.read(err, 100) == b"still here\n"


def test_closed_stderr_does_not_stop_the_screen(streams: Streams) -> None:
    screen = json_screen(streams)
    out, err = streams.ends
    spare, unused = os.pipe()
    os.close(unused)
    os.dup2(spare, err)
    os.close(spare)
    screen.notice("into the void")
    screen.captured(numbered(1))
    screen.close()
    assert json.loads(os.read(out, 10_000))["id"] == f"{1:012}"
    assert not streams.broken.is_set()


APP = "https://app.port.io"
# All that an untrusted sender could try: titles, the clipboard, links, clearing, C1 codes, directions, hidden text,
# line ends.
COMMANDS = (
    "r_\x1b]0;PWNED\x07\x1b[2J\x1b]52;c;QQ==\x1b\\\x1b]8;;http://evil/\x1b\\\x9b31m\x9d0;PWNED\x9c\x90q\x9c"
    "\x00\x07\x08\x7f\r\n\t\x0b\x0c\x85\u2028\u202e\u2066\u061c\u200b\u200f\u2060\ufeff\u180e\U000e0041\ud800[bold red]"
)
# What port-hook itself writes: styles, and links that begin and end.
STYLE_OR_LINK = re.compile(r"\x1b\[[0-9;]*m|\x1b\]8;[a-z0-9=._-]*;([\x21-\x7e]*)\x1b\\")


@dataclass
class Terminal:
    """A pseudo terminal. `painted` is every byte that a text screen wrote to it."""

    width: int
    painted: bytes = b""

    def show(self, capture: Capture, *, app_url: str | None = APP, compact: bool = False) -> str:
        """Show a capture and return what was written, as text."""
        return self.write(lambda screen: screen.captured(capture), app_url=app_url, compact=compact)

    def say(self, text: str) -> str:
        """Show a message and return what was written, as text."""
        return self.write(lambda screen: screen.notice(text))

    def write(
        self,
        show: Callable[[TextScreen], None],
        *,
        app_url: str | None = APP,
        compact: bool = False,
        until: bytes = b"",
        after: bytes = b"",
    ) -> str:
        """Let a screen show something, and return what it wrote, complete or up to `until`.

        The text also contains `after`.
        """
        master, slave = os.openpty()
        with os.fdopen(slave, "w", encoding="utf-8") as stream:
            into = bytearray()
            thread = threading.Thread(target=_read_terminal, args=(master, into))
            thread.start()
            screen = TextScreen(
                stream,
                stream,
                environ={"COLUMNS": str(self.width), "LINES": "50", "TERM": "xterm-256color", "COLORTERM": "truecolor"},
                display=Display(compact=compact, app_url=app_url),
                on_broken=lambda: None,
            )
            show(screen)
            while until and not (after in into and into.endswith(until)):
                time.sleep(0.001)  # no event reports it
            before = bytes(into)
            screen.close()
        thread.join(30)
        os.close(master)
        self.painted = before if until else bytes(into)
        return self.painted.decode("utf-8")

    def lines(self) -> list[str]:
        """Return what a person sees."""
        screen = pyte.Screen(self.width, 100)
        pyte.ByteStream(screen).feed(self.painted)
        assert screen.title == ""
        return [line.rstrip() for line in screen.display]


def _read_terminal(master: int, into: bytearray) -> None:
    with suppress(OSError):  # Linux: the other side has gone
        while part := os.read(master, 65536):
            into += part


def hostile(kind: Kind, run_id: str) -> Capture:
    """Return a capture with terminal commands wherever text of an untrusted sender can be."""
    body = json.dumps({COMMANDS: [COMMANDS]}, ensure_ascii=False).encode("utf-8", "surrogatepass")
    return a_capture(
        an_invocation(body, method=COMMANDS, target=COMMANDS),
        payload=Payload(
            kind=kind,
            run_id=run_id,
            action=COMMANDS,
            operation=COMMANDS,
            event=COMMANDS,
            user=COMMANDS,
            origin=COMMANDS,
            blueprint=COMMANDS,
            entity=COMMANDS,
            inputs={} if kind is Kind.UNKNOWN else {COMMANDS: COMMANDS, "b": [COMMANDS]},
            censored=(COMMANDS,),
            changes=(EventChange(COMMANDS, COMMANDS, [COMMANDS]),),
            document={COMMANDS: [COMMANDS]},
            problem=COMMANDS if kind is Kind.CHANGE_LOG else None,
        ),
        verdict=Verdict(status=Status.REENCODED, signed_form=COMMANDS, causes=(Cause(COMMANDS, COMMANDS, COMMANDS),)),
        delivery=Delivery(url=COMMANDS, fault=COMMANDS, error=COMMANDS, body=COMMANDS.encode("utf-8", "replace")),
        response=Response(status=502, body=COMMANDS.encode("utf-8", "replace")),
    )


posix = pytest.mark.skipif(sys.platform == "win32", reason="pseudo terminals are POSIX")


@posix
@pytest.mark.parametrize(
    ("kind", "run_id", "width"),
    [
        *((kind, COMMANDS, 60) for kind in Kind),
        (Kind.ACTION_RUN, RUN_ID, 120),
        (Kind.ACTION_RUN, "r_1&x=y", 60),
        (Kind.WORKFLOW_NODE, "wfnr_abc", 60),
    ],
)
def test_screen_sends_the_terminal_only_its_own_styles_and_links(kind: Kind, run_id: str, width: int) -> None:
    terminal = Terminal(width)
    text = terminal.show(hostile(kind, run_id))
    assert b"\x1b" in terminal.painted
    # A handler's body keeps its tabs, because they are part of its layout.
    left = STYLE_OR_LINK.sub("", text).replace("\r\n", "").replace("\t", "")
    assert [character for character in left if not character.isprintable()] == []
    page = f"{APP}/organization/run?runId={run_id}"
    assert [link for link in STYLE_OR_LINK.findall(text) if link] == ([page] if run_id in {RUN_ID, "wfnr_abc"} else [])
    terminal.lines()


@posix
def test_screen_shows_inputs_and_the_body_of_a_failure_as_json_in_color() -> None:
    delivery = Delivery(url="http://127.0.0.1:8000/", status=500, body=b'{"reason":["disk full"]}')
    text = Terminal(120).show(a_capture(an_invocation(a_body(a_document())), delivery=delivery))
    assert '\x1b[36m"reason"\x1b[0m' in text
    assert '\x1b[32m"disk full"\x1b[0m' in text
    assert re.search(r"inputs.*\x1b\[3[235]m", text)


@posix
def test_compact_line_on_a_terminal_has_no_escape_sequences_from_the_payload() -> None:
    left = STYLE_OR_LINK.sub("", Terminal(120).show(hostile(Kind.ACTION_RUN, COMMANDS), compact=True))
    assert left.replace("\r\n", "").isprintable()
    assert len(left) < 500


@posix
def test_words_are_wrapped_below_their_value_on_a_narrow_terminal() -> None:
    words = "The signature matches neither the body as it arrived nor any other form of it, or it was changed."
    verdict = Verdict(status=Status.INVALID, causes=(Cause("secret-or-body", words, "Compare the client secret."),))
    for width in (60, 80):
        terminal = Terminal(width)
        terminal.show(a_capture(verdict=verdict, response=Response(status=401)))
        lines = terminal.lines()
        start = next(number for number, line in enumerate(lines) if line.startswith("  cause   "))
        end = lines.index("  fix     Compare the client secret.")
        assert end - start > 1
        assert all(line.startswith(" " * 10) for line in lines[start + 1 : end])
        assert " ".join(line[10:] for line in lines[start:end]) == f"secret-or-body: {words}"


@posix
def test_report_run_command_is_not_wrapped_on_a_narrow_terminal() -> None:
    for width in (60, 80):
        command = f"port-hook report-run {RUN_ID} --status success"
        document = a_document(context={"runId": RUN_ID, "entity": "東京 " * 30})
        terminal = Terminal(width)
        text = terminal.show(a_capture(an_invocation(a_body(document)), response=OK))
        assert command in STYLE_OR_LINK.sub("", text)
        assert any(line.startswith(f"  run     {RUN_ID}") for line in terminal.lines())
        # pyte leaves the cell behind a wide character empty.
        assert sum(line.count("東京") for line in terminal.lines()) == 30


def columns_of(screen: pyte.Screen, text: str) -> tuple[int, int]:
    row = next(row for row, line in enumerate(screen.display) if text in line)
    return row, screen.display[row].index(text)


@posix
def test_compact_lines_have_color_and_name_the_hidden_run_once_on_a_narrow_terminal() -> None:
    for width in (60, 120):
        terminal = Terminal(width)
        verdict = Verdict(status=Status.INVALID, causes=(Cause("secret-or-body", "words", "fix"),))
        delivery = Delivery(url="http://h/", status=503)
        capture = a_capture(verdict=verdict, delivery=delivery, response=Response(status=401))
        terminal.show(capture, compact=True)
        lines = [line for line in terminal.lines() if line]
        assert lines == [*["run: hidden (below 80 columns)"][: width < 80], compact_line(capture, width).plain]
        screen = pyte.Screen(width, 100)
        pyte.ByteStream(screen).feed(terminal.painted)
        for text in ("invalid", "401"):
            row, column = columns_of(screen, text)
            assert screen.buffer[row][column].fg == "red"


@posix
def test_message_is_wrapped_between_words_and_its_label_has_color() -> None:
    for width in (60, 80):
        terminal = Terminal(width)
        text = "error: The tunnel was lost and did not come back within 60 s. Start it again with `port-hook listen`."
        terminal.say(text)
        screen = pyte.Screen(width, 100)
        pyte.ByteStream(screen).feed(terminal.painted)
        lines = [line.rstrip() for line in screen.display if line.strip()]
        assert len(lines) > 1
        assert " ".join(lines).split() == text.split()
        assert any("`port-hook listen`." in line for line in lines)
        assert screen.buffer[0][0].fg == "red"


CONFLICT = "PORT_CLIENT_SECRET in the environment differs from the client secret in ./.env; the first is used."


def test_rejections_are_shown_with_the_conflict_between_two_secrets_but_valid_requests_without(
    streams: Streams,
) -> None:
    rejected = Response(status=401)
    verdict = Verdict(status=Status.INVALID, causes=(causes.SECRET_OR_BODY,))
    by_the_handler = a_capture(delivery=Delivery(url="http://127.0.0.1:8000/", status=401), response=rejected)
    captures = (a_capture(verdict=verdict, response=rejected), by_the_handler, a_capture(response=OK))
    out, _ = printed(streams, text_screen(streams, conflict=CONFLICT), *captures)
    by_the_listener, by_the_handler_text, valid = (f"{block}\n" for block in re.split(r"\n(?=\d)", out.strip()))
    assert f"  fix     {CONFLICT} {causes.SECRET_OR_BODY.fix}\n" in by_the_listener
    assert CONFLICT in by_the_handler_text
    assert CONFLICT not in valid


SLOW = a_capture(an_invocation(id="aaaaaaaaaaaa"))
OTHER = a_capture(an_invocation(id="bbbbbbbbbbbb"))


def test_waiting_capture_is_a_message_in_a_pipe(streams: Streams) -> None:
    streams.start_reading()
    screen = text_screen(streams)
    screen.waiting(SLOW, "waiting for 8000")
    screen.close()
    out, err = streams.end()
    assert out == ""
    assert re.fullmatch(r"\d\d:\d\d:\d\d  → create_vm CREATE  POST / … waiting for 8000\n", err)


def test_capture_is_printed_once_when_it_ends_before_it_was_printed_as_waiting(streams: Streams) -> None:
    streams.start_reading()
    screen = text_screen(streams, compact=True)
    screen.waiting(SLOW, "waiting for 8000")
    screen.no_longer_waiting(SLOW)
    screen.captured(SLOW)
    screen.close()
    out, err = streams.end()
    assert (out.count("create_vm"), err) == (1, "")


def test_waiting_capture_is_printed_in_ascii_to_an_ascii_stream() -> None:
    reading, writing = os.pipe()
    with os.fdopen(writing, "w", encoding="ascii") as stream, os.fdopen(reading, "rb") as end:
        screen = TextScreen(stream, stream, environ={}, display=Display(), on_broken=lambda: None)
        screen.waiting(a_capture(an_invocation(target="/ü")), "waiting for 8000")
        screen.close()
        stream.close()
        assert end.read().endswith(b"  -> create_vm CREATE  POST /\\xfc ... waiting for 8000\n")


@posix
def test_waiting_captures_are_one_line_of_a_terminal_until_they_end() -> None:
    terminal = Terminal(80)

    def show(screen: TextScreen) -> None:
        screen.waiting(SLOW, "waiting for 8000")
        screen.waiting(OTHER, "waiting for its turn")
        screen.notice("Paused.")

    terminal.write(show, until=b"(1 more in flight)", after=b"Paused.")
    lines = [line for line in terminal.lines() if line]
    assert lines[0] == "Paused."
    assert lines[1].endswith("  → create_vm CREATE  POST / … waiting for 8000 (1 more in flight)")
    assert len(lines) == 2


@posix
def test_capture_replaces_its_waiting_line_on_a_terminal() -> None:
    terminal = Terminal(80)

    def show(screen: TextScreen) -> None:
        screen.waiting(SLOW, "waiting for 8000")
        screen.waiting(OTHER, "waiting for 9000")
        screen.no_longer_waiting(SLOW)
        screen.captured(SLOW)

    terminal.write(show, until=b"waiting for 9000", after=b"valid", compact=True)
    lines = [line for line in terminal.lines() if line]
    assert "  valid  " in lines[0]
    assert lines[-1].endswith("→ create_vm CREATE  POST / … waiting for 9000")
    assert sum("waiting for" in line for line in lines) == 1


@posix
def test_closed_screen_leaves_no_waiting_line_on_a_terminal() -> None:
    terminal = Terminal(80)
    terminal.write(lambda screen: screen.waiting(SLOW, "waiting for 8000"))
    assert not any(terminal.lines())


@posix
def test_waiting_line_fits_into_a_narrow_terminal() -> None:
    terminal = Terminal(50)
    long = a_capture(an_invocation(target="/hooks/" + "長" * 60))
    terminal.write(lambda screen: screen.waiting(long, "waiting for 8000"), until=b"8000")
    (line,) = [line for line in terminal.lines() if line]
    assert line.endswith("… waiting for 8000")


def test_message_is_printed_after_the_capture_before_it(streams: Streams) -> None:
    streams.start_reading()
    slow = threading.Event()

    def reveal(_: Capture) -> list[Decryption]:
        assert slow.wait(30)
        return []

    screen = TextScreen(
        streams.stdout, streams.stdout, environ={}, display=Display(reveal=reveal), on_broken=streams.broken.set
    )
    screen.captured(numbered(1))
    screen.notice("Reported")
    threading.Timer(0.05, slow.set).start()  # a message alone is printed sooner
    screen.close()
    assert streams.end()[0].endswith("00000000\n  body    {}\nReported\n")
