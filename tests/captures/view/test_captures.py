from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from port_hook_cli.captures.documents.capture_fields import truncate
from port_hook_cli.captures.listed import ListedCapture
from port_hook_cli.captures.view.captures import COLUMNS, captures_lines, captures_table, local_time
from port_hook_cli.captures.view.stored import stored_lines
from port_hook_cli.invocations.headers import Headers
from port_hook_cli.invocations.models import (
    Capture,
    Cause,
    Delivery,
    MessageOrigin,
    Payload,
    Response,
    Simulated,
    Status,
    Verdict,
)
from port_hook_cli.text.styled import cell_width
from tests.any_texts import any_texts
from tests.captures.listing import listed
from tests.factories import NOW, RUN_ID, a_body, a_capture, a_document, an_invocation
from tests.styles import plain

HOSTILE = "\x1b[2J\x9b31m[/bold][red]\u202e\n\x00\ud800"


def a_full_one() -> Capture:
    return a_capture(
        delivery=Delivery(
            url="http://127.0.0.1:8000/",
            status=500,
            latency_ms=12.34,
            headers=Headers((("Server", "sample"),)),
            body=b'{"oops":1}',
        ),
        response=Response(status=500, headers=Headers((("X-Answer", "yes"),)), body=b"\xff\xfe"),
    )


def hostile() -> Capture:
    body = a_body(a_document(action=HOSTILE.replace("\ud800", ""), extra={HOSTILE[:-1]: HOSTILE[:-1]}))
    headers = Headers((("x\x1b", "\x1b[2J\x9b"), ("y", "\xe2\x80\xae")))
    return a_capture(
        an_invocation(body, method=HOSTILE, target=HOSTILE, headers=headers, replay_of=HOSTILE),
        verdict=Verdict(status=Status.INVALID, signed_form=HOSTILE, causes=(Cause(HOSTILE, HOSTILE, HOSTILE),)),
        delivery=Delivery(url=HOSTILE, fault=HOSTILE, error=HOSTILE, headers=headers, body=HOSTILE[:-1].encode()),
        response=Response(status=502, headers=headers, body=HOSTILE[:-1].encode()),
    )


def full(capture: Capture) -> str:
    return "\n".join(plain(line) for line in stored_lines(capture))


def table(*captures: Capture, width: int = 80, now: float = NOW) -> str:
    return "".join(f"{plain(line)}\n" for line in captures_table(listed(*captures), now=now, width=width))


def is_harmless(text: str) -> bool:
    return not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]", text)


def value_of(label: str, capture: Capture) -> str | None:
    """Return the text after a label."""
    match = re.search(rf"^  {label} +(.*)$", full(capture), re.MULTILINE)
    return match[1] if match else None


def with_body(body: bytes, **fields: Any) -> Capture:
    return a_capture(an_invocation(body), **fields)


def test_captures_lines_have_whole_cells_under_their_headers() -> None:
    header, first, second = captures_lines(
        listed(a_full_one(), a_capture(an_invocation(b"?", id="f", headers=Headers())))
    )
    assert header.split() == [*COLUMNS]
    assert first.index(RUN_ID) == header.index("run")
    assert first.split()[2:5] == ["0123456789ab", "valid", "500"]
    assert second.endswith("  f             valid      -       (no action)  -")
    wide = a_capture(an_invocation(a_body(a_document(action="部署服务")), replay_of="aa00"))
    header, *rows = captures_lines(listed(wide, *[a_full_one()] * 100, with_body(a_body(a_document(action="a" * 200)))))
    assert {cell_width(row.partition(RUN_ID)[0]) for row in rows} == {header.index("run")}


def counted(count: int, read: list[int]) -> Iterator[ListedCapture]:
    (capture,) = listed(a_capture())
    for number in range(count):
        read.append(number)
        yield capture


def test_list_begins_before_all_captures_are_read() -> None:
    for is_table in [True, False]:
        read: list[int] = []
        captures = counted(10_000, read)
        lines = captures_table(captures, now=NOW, width=100) if is_table else captures_lines(captures)
        next(iter(lines))
        assert len(read) <= 100
        assert sum(1 for _ in lines) == 10_000


def test_table_has_a_row_for_each_day_before_today() -> None:
    captures = [a_capture(an_invocation(received_at=NOW - days * 86_400)) for days in (0, 0, 1, 1, 2)]
    rows = table(*captures).splitlines()[1:]
    assert [number for number, row in enumerate(rows) if re.fullmatch(r"\d{4}-\d\d-\d\d", row)] == [2, 5]
    assert table(*captures[:1], now=NOW + 86_400).splitlines()[1] == local_time(NOW)[:10]


def test_full_view_labels_each_part() -> None:
    message = an_invocation(replay_of="aa00", origin=MessageOrigin("org.runs", 0, 3, int(NOW * 1000)))
    replay = a_capture(an_invocation(id="bb11"), response=Response(status=202))
    capture = replace(a_full_one(), invocation=message)
    replays = [replay, replace(replay, response=None)]
    shown = [(line[2:13].strip(), line[13:]) for line in map(plain, stored_lines(capture, replays))]
    for part in (
        ("capture", "0123456789ab"),
        ("replay of", "aa00"),
        ("message", "org.runs[0]@3"),
        ("in Kafka", "2023-11-14T22:13:20.000Z"),
        ("request", "POST /"),
        ("kind", "action-run"),
        ("action", "create_vm"),
        ("operation", "CREATE"),
        ("body", f"{len(a_body()):,} bytes"),
        ("forwarded", "http://127.0.0.1:8000/ 500 in 12.3 ms"),
    ):
        assert part in shown
    assert [text.split(" as ")[1] for label, text in shown if label == "replayed"] == [
        "bb11: 202",
        "bb11: no response",
    ]


def test_full_view_shows_the_first_256_bytes_of_a_binary_body() -> None:
    for size, last in [(256, "000000f0  "), (257, "… 1 more bytes")]:
        lines = full(a_capture(an_invocation(b"\xff" * size, headers=Headers()))).splitlines()
        assert lines[-1].strip().startswith(last)


def test_full_view_shows_every_part_of_a_capture() -> None:
    text = full(
        replace(
            a_full_one(),
            verdict=Verdict(
                status=Status.REENCODED,
                signed_form="python",
                age_s=-2.0,
                causes=(Cause("reserialized-python", "the body was written anew", "sign exactly what you send"),),
            ),
        )
    )
    for part in (
        "2023-11-14T22:13:20.000Z",
        "x-port-timestamp: 1700000000",
        "reencoded, matches the python form of the body, signed 2 s after it arrived",
        "reserialized-python: the body was written anew",
        "sign exactly what you send",
        "the run stays IN_PROGRESS until the handler reports its result",
        RUN_ID,
        "zoë@example.com",
        "eu-west-1",
        '"resourceType": "run"',
        "Server: sample",
        "\n  responded  500",
        '"oops": 1',
        "X-Answer: yes",
        "ff fe",
    ):
        assert part in text
    assert text.count('"resourceType"') == 1
    assert full(a_capture(an_invocation(b'{"unheard":"of"}'))).count("unheard") == 1
    invocation = an_invocation(b"no json", headers=Headers((("RUN_ID", RUN_ID),)))
    assert f"  run        {RUN_ID}" in full(a_capture(invocation))


def test_large_bodies_are_truncated_with_a_pointer_to_the_option_that_shows_them() -> None:
    text = full(a_capture(an_invocation(b"x" * 100_000)))
    assert "x" * 60_000 in text
    assert len(text) < 70_000
    assert "and more. Use --body for all 100,000 bytes" in text
    text = full(
        a_capture(
            delivery=Delivery(url="http://h/", status=200, body=b"y" * 100_000),
            response=Response(status=200, body=b"z" * 90_000),
        )
    )
    assert text.count("and more. Use --json for all") == 2
    assert len(text) < 140_000
    assert "[" * 1000 in full(a_capture(an_invocation(b"[" * 10_000 + b"]" * 10_000)))


def test_every_long_field_is_truncated() -> None:
    long = "\x1b" * 100_000
    headers = Headers(((long, long),))
    text = full(
        a_capture(
            an_invocation(b"", id=long, method=long, target=long, headers=headers, replay_of=long),
            payload=Payload(run_id=long, action=long, operation=long, event=long, problem=long),
            verdict=Verdict(status=Status.INVALID, signed_form=long, causes=(Cause(long, long, long),)),
            delivery=Delivery(url=long, fault=long, error=long, headers=headers),
        )
    )
    assert max(map(len, text.splitlines())) < 1300
    assert len(text) < 8000
    value = ("é" * 500).encode().decode("latin-1")
    assert f"x-long: {'é' * 199}…" in full(a_capture(an_invocation(headers=Headers((("x-long", value),)))))


def test_control_characters_of_a_capture_are_escaped_in_every_view() -> None:
    for text in (full(hostile()), table(hostile(), width=120), "\n".join(captures_lines(listed(hostile())))):
        assert is_harmless(text)
        assert r"\x1b[2J" in text
    text = full(a_capture(simulated=Simulated(failure=HOSTILE[:-1] + "x" * 1000)))
    assert is_harmless(text)
    assert "x" * 25 not in text


@given(st.binary(max_size=60), any_texts(10))
def test_any_body_and_target_are_shown_without_terminal_escapes(body: bytes, target: str) -> None:
    text = full(a_capture(an_invocation(body, target=target)))
    assert is_harmless(text)
    assert f"{len(body)} bytes" in text


def test_views_show_simulations() -> None:
    simulations: list[tuple[Simulated, int | None, str, str]] = [
        (Simulated(failure="fail-first"), 500, "500 create_vm (simulated)", "failure (--fail-first)"),
        (Simulated(failure="drop", dropped=True), None, "- create_vm (dropped)", "closed connection (--respond drop)"),
        (Simulated(delay_s=2.5), 200, "200 create_vm (delayed)", "delay of 2.50 s (--delay)"),
    ]
    for simulated, status, cell, line in simulations:
        capture = a_capture(response=status and Response(status=status), simulated=simulated)
        assert cell in re.sub(" +", " ", table(capture))
        assert f"simulated  {line}" in full(capture)


def test_full_view_of_a_message_does_not_have_a_response() -> None:
    request = a_capture(response=Response(status=200))
    message = replace(request, invocation=an_invocation(origin=MessageOrigin("org.runs", 0, 1, None)))
    assert "responded" in full(request)
    assert "responded" not in full(message) + full(replace(message, rejected=True))
    assert "rejected   not forwarded" in full(replace(message, rejected=True))
    origin = MessageOrigin("org.runs", 0, 1, int(NOW * 1000) - 5)
    text = full(a_capture(an_invocation(origin=origin), verdict=Verdict(status=Status.VALID, age_s=2.0)))
    assert "signed 2 s before it was sent to Kafka" in text


def test_body_with_a_problem_is_shown_with_the_reason() -> None:
    for body, problem in [
        (b"", "empty"),
        (b"hello", "not JSON (line 1, column 1)"),
        (b"a\xff", "not UTF-8 text (at byte 1)"),
    ]:
        assert value_of("problem", with_body(body)) == problem
        assert value_of("body", with_body(body)) == f"{len(body):,} bytes"
    assert value_of("problem", a_capture()) is None


def test_event_is_shown_for_an_automation_only() -> None:
    assert value_of("event", a_capture()) is None
    event = {"event": {"action": "UPDATE", "diff": {"before": {}, "after": {}}}}
    assert value_of("event", with_body(a_body(event))) == "UPDATE"


def test_capture_shows_whether_the_run_is_synchronized_when_the_payload_has_it() -> None:
    document = a_document()
    method = document["payload"]["action"]["invocationMethod"]
    lines = [value_of("sync", with_body(a_body({**document, "synchronized": None})))]
    method["synchronized"] = True
    lines.append(value_of("sync", with_body(a_body(document))))
    assert None not in lines
    assert lines[0] != lines[1]
    del method["synchronized"]
    assert value_of("sync", with_body(a_body(document))) is None


def test_verdict_shows_the_time_between_signing_and_receipt() -> None:
    for age_s, side in [(2.25, "2.2 s before"), (0.0, "0(.0)? s before"), (-3.0, "3(.0)? s after")]:
        verdict = Verdict(status=Status.VALID, signed_form="raw", age_s=age_s)
        line = value_of("verdict", a_capture(verdict=verdict))
        assert line is not None
        assert line.startswith("valid, ")
        assert re.search(side, line)
        assert "raw" in line


def test_truncated_body_shows_both_sizes_and_the_hash_of_the_whole_body() -> None:
    invocation = truncate(an_invocation(b"x" * 300_000))
    assert invocation.truncated is not None
    capture = a_capture(invocation, rejected=True)
    line = value_of("body", capture) or ""
    assert [size for size in ("262,144", "300,000") if size not in line] == []
    assert (value_of("sha-256", capture) or "").startswith(invocation.truncated.sha256)


def test_binary_body_is_shown_as_a_hex_dump_with_printable_characters() -> None:
    text = full(with_body(b"\xff\x00A~ \x7f" + bytes(range(16))))
    assert "00000000  ff 00 41 7e 20 7f 00 01 02 03 04 05 06 07 08 09  ..A~ ..........." in text
    assert "00000010  0a 0b 0c 0d 0e 0f                                ......" in text


def test_delivery_is_shown_with_its_headers_and_body_or_its_error() -> None:
    delivery = Delivery(url="http://127.0.0.1:8000/", status=500, latency_ms=12.34, headers=Headers((("Server", "x"),)))
    capture = a_capture(delivery=replace(delivery, body=b"oops"))
    below = full(capture).split("http://127.0.0.1:8000/ 500 in 12.3 ms")[1]
    assert re.search(r"^ +Server: x$", below, re.MULTILINE)
    assert re.search(r"^ +oops$", below, re.MULTILINE)
    assert value_of("error", capture) is None
    failed = a_capture(delivery=replace(delivery, status=None, fault="unreachable", error="connection refused"))
    assert value_of("error", failed) == "connection refused"
    assert value_of("forwarded", failed) == "http://127.0.0.1:8000/ unreachable in 12.3 ms"
