"""The view of a capture on a terminal."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from itertools import product
from typing import Any
from unicodedata import bidirectional, category

import pytest
from hypothesis import given
from hypothesis import strategies as st

from port_hook_cli.actions.encrypted_inputs import Decryption
from port_hook_cli.actions.encryption import Problem
from port_hook_cli.captures.view.capture import capture_lines, clock_time
from port_hook_cli.captures.view.compact import compact_line
from port_hook_cli.captures.view.parts import payload_lines
from port_hook_cli.invocations.headers import Headers
from port_hook_cli.invocations.models import (
    Capture,
    Cause,
    Delivery,
    EventChange,
    Kind,
    MessageOrigin,
    Payload,
    Response,
    Status,
    Verdict,
)
from port_hook_cli.invocations.payload import read_payload
from port_hook_cli.javascript.paths import JsonPath
from port_hook_cli.listener import responses as answering
from port_hook_cli.listener.responses import OK
from port_hook_cli.signatures import causes
from port_hook_cli.text.styled import Styled
from tests.any_texts import any_texts
from tests.factories import NOW, RUN_ID, SECRET, a_capture, a_document, an_invocation
from tests.styles import plain

URL = "http://127.0.0.1:8000/"
APP = "https://app.port.io"
REPORT = f"port-hook report-run {RUN_ID} --status success"
OVERRIDES = {"LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"}
UNSEEN = {"Cc", "Cs", "Zl", "Zp"}
# The text contains what clears a screen, ends a C string, reads as rich markup, reverses a line, is invisible, or
# cannot be encoded.
HOSTILE = "\x1b[2J\x00[/x][bold red]\u202e\u2066\u061c\u200b\U000e0041\ud800\x9b31m\x07\u2028end"


def lines_of(capture: Capture, *, app_url: str | None = None) -> list[str]:
    return [plain(line) for line in capture_lines(capture, app_url=app_url)]


def of(document: Any, *, response: Response | None = OK, **overrides: Any) -> Capture:
    """Return a capture with the body `document`, which may be bytes."""
    body = document if isinstance(document, bytes) else json.dumps(document).encode()
    fields = {"response": response, "payload": read_payload(body, Headers())}
    return a_capture(an_invocation(body), **fields | overrides)


def value_at(label: str, lines: Sequence[str]) -> str:
    """Return the text next to `label`."""
    return next(line for line in lines if line.startswith(f"  {label.ljust(8)}"))[10:]


def is_safe(text: str) -> bool:
    """Return whether a terminal would show `text` only as characters, and whether any stream can encode it."""
    return not any(
        category(character) in UNSEEN or bidirectional(character) in OVERRIDES or character in "\u061c\u200b\U000e0041"
        for character in text
    )


def head(text: str, capture_id: str = "01234567") -> str:
    """Return the first line of a block."""
    return f"{clock_time(NOW)}  {text}  ".ljust(72) + capture_id


def test_valid_action_run_shows_all_fields_and_the_report_run_command() -> None:
    delivery = Delivery(url=URL, status=202, latency_ms=12.34)
    capture = a_capture(delivery=delivery, response=Response(status=202))
    expected = [
        head("create_vm CREATE  valid  -> 202 in 12.3 ms"),
        f"  run     {RUN_ID}  by zoë@example.com from UI, blueprint vm",
        '  inputs  title "dev-env"  cpu 2  memory 4  region "eu-west-1"',
        "  in Port the run stays IN_PROGRESS until the handler reports its result",
        f"          {REPORT}",
    ]
    assert lines_of(capture) == expected
    later = capture_lines(capture, app_url=None, names_target=True, shows_command=False)
    assert [line.plain for line in later] == [*expected[:3], f"  handler {URL}", expected[3]]
    pending = lines_of(a_capture())
    assert pending[0] == head("create_vm CREATE  valid")
    assert not any(line.startswith("  in Port") for line in pending)


def test_decrypted_inputs_are_marked_and_escape_control_characters() -> None:
    document = a_document(context={"entity": "vm-1", "blueprint": "vm", "runId": RUN_ID})
    document["payload"]["censoredProperties"] = ["password", "token"]
    plaintexts = {"payload.properties.password": HOSTILE, "a": '{"b":1}', "long": "x" * 1000}
    decrypted = [
        Decryption(path=JsonPath.parse(path), plaintext=text.encode("utf-8", "replace"))
        for path, text in plaintexts.items()
    ]
    decrypted += [
        Decryption(path=JsonPath.parse("bytes"), plaintext=b"\xff\x1b"),
        Decryption(path=JsonPath(("bad\x1b",)), problem=Problem.WRONG_KEY, message="it does not open"),
    ]
    styled = list(capture_lines(of(document), app_url=None, decrypted=decrypted))
    lines = [plain(line) for line in styled]
    start = next(index for index, line in enumerate(lines) if line.startswith("          decrypted"))
    shown = [line.removeprefix("          decrypted  ") for line in lines[start : start + 5]]
    assert ", entity vm-1" in value_at("run", lines)
    assert lines[start - 1] == "          encrypted: password, token"
    assert shown[0].startswith('payload.properties.password  "\\u001b[2J')
    assert shown[1] == 'a  {"b": 1}'
    assert shown[2].endswith("x…")
    assert shown[3] == "bytes  (2 bytes that are not UTF-8 text)"
    assert shown[4] == "bad\\x1b  not decrypted: it does not open"
    assert [styled[start + number].spans[-1].style for number in (0, 3, 4)] == ["magenta", "dim", "yellow"]
    assert all(map(is_safe, lines))


def test_inputs_and_changes_are_truncated() -> None:
    def inputs_of(properties: dict[str, Any]) -> list[str]:
        return lines_of(of(a_document(payload={"properties": properties})))

    shown = value_at("inputs", inputs_of({f"input-{number}": number for number in range(45)}))
    assert shown.endswith("  input-39 39  and 5 more (use `port-hook show ID`)")
    assert value_at("inputs", inputs_of({"a": "x" * 1000})) == 'a "' + "x" * 46 + "…"
    assert value_at("inputs", inputs_of({"n" * 1000: 1, "b": 2})) == "n" * 39 + "…" + " 1  b 2"
    diff = {"before": {}, "after": {str(number): number for number in range(100)}}
    assert sum(" null -> " in line for line in lines_of(of({"event": {"action": "UPDATE", "diff": diff}}))) == 20


AUTOMATION = {
    "event": {
        "action": "UPDATE",
        "resourceType": "entity",
        "trigger": {"by": {"userId": "auth0|1"}, "origin": "API"},
        "context": {"blueprintIdentifier": "service", "entityIdentifier": "checkout"},
        "diff": {"before": {"p": {"tier": "silver", "n": 1}}, "after": {"p": {"tier": "gold", "n": [1, "é"]}}},
    },
    "inputs": None,
}


def test_automation_shows_its_event_and_the_changed_values() -> None:
    assert lines_of(of(AUTOMATION)) == [
        head("automation UPDATE service/checkout  valid  -> 200"),
        "  about   by auth0|1 from API, blueprint service, entity checkout",
        '  changes p.tier: "silver" -> "gold"',
        '          p.n: 1 -> [1, "é"]',
    ]
    line = lines_of(of({"changelogDestination": {}, "action": "DELETE", "context": {"blueprint": "vm"}, "diff": {}}))[0]
    assert "  change log DELETE vm  valid" in line


UNVERIFIED = Verdict(
    status=Status.INVALID, causes=(causes.SECRET_OR_BODY, Cause("clock-skew", "late", "set the clock"))
)


def test_unverified_request_shows_each_cause_with_its_fix_and_no_report_run_command() -> None:
    lines = lines_of(a_capture(verdict=UNVERIFIED, response=answering.rejected(UNVERIFIED), rejected=True))
    assert lines[0] == head("create_vm CREATE  invalid  -> 401, not forwarded")
    assert value_at("cause", lines) == f"secret-or-body: {causes.SECRET_OR_BODY.explanation}"
    assert value_at("fix", lines) == causes.SECRET_OR_BODY.fix
    assert "  cause   clock-skew: late" in lines
    assert not any(line.startswith("  in Port") or REPORT in line for line in lines)
    shown = "\n".join([*lines, compact_line(a_capture(verdict=UNVERIFIED)).plain])
    assert SECRET.reveal() not in shown
    assert "v1," not in shown


@pytest.mark.parametrize(
    ("missing", "cause"),
    [
        ((causes.SIGNATURE_MISSING, causes.TIMESTAMP_MISSING), "no x-port-signature and no x-port-timestamp header"),
        ((causes.TIMESTAMP_MISSING,), "no x-port-timestamp header"),
    ],
)
def test_unsigned_request_shows_its_cause_and_a_fix_once(missing: tuple[Cause, ...], cause: str) -> None:
    verdict = Verdict(status=Status.MISSING, causes=missing)
    request = an_invocation(b"{}", target="/favicon.ico")
    fields = {"verdict": verdict, "response": Response(status=401), "rejected": True}
    assert lines_of(a_capture(request, payload=read_payload(b"{}", Headers()), **fields)) == [
        head("(no action)  POST /favicon.ico  missing  -> 401, not forwarded"),
        f"  cause   {cause}",
        "  fix     sign it (port-hook sign), or accept it (listen --verify warn)",
    ]


def test_accepted_request_shows_causes_as_warnings_and_its_effect_in_port() -> None:
    verdict = Verdict(status=Status.REENCODED, signed_form="python", causes=(Cause("reserialized-python", "w", "f"),))
    lines = lines_of(a_capture(verdict=verdict, response=OK))
    assert value_at("form", lines) == "matches another form of the same JSON: python"
    assert value_at("warning", lines) == "reserialized-python: w"
    lines = lines_of(a_capture(verdict=Verdict(status=Status.VALID, causes=(causes.REPLAYED,)), response=OK))
    assert value_at("warning", lines) == f"replayed: {causes.REPLAYED.explanation}"
    assert REPORT in lines[-1]
    lines = lines_of(a_capture(response=Response(status=401)))
    assert lines[0].endswith("  -> 401".ljust(len(lines[0]) - lines[0].index("  -> 401") - 8) + "01234567")
    assert any(line.startswith("  in Port") for line in lines)


def test_handler_failure_shows_a_hint_and_the_beginning_of_its_body() -> None:
    for body, shown in (
        (b"too\tmany CPUs\nsee\x1b[2J log", ["too\tmany CPUs", r"see\x1b[2J log"]),
        (b'{"cpu":["too"]}', ["{", '  "cpu": [', '    "too"', "  ]", "}"]),
        (b"\xff\x00" * 1024, ["(2,048 bytes that are not UTF-8 text)"]),
        (b"line\n" * 24, ["line"] * 24),
        (b"line\n" * 25, [*["line"] * 24, "and more (use `port-hook show ID`)"]),
        (b"~" * 100_000, ["~" * 2047 + "…", "and more (use `port-hook show ID`)"]),
    ):
        delivery = Delivery(url=URL, status=422, latency_ms=3.0, body=body)
        lines = lines_of(a_capture(delivery=delivery, response=Response(status=422)))
        assert "  -> 422 in 3.0 ms " in lines[0]
        start = lines.index(f"  handler {URL}")
        hint = value_at("hint", lines)
        assert "may say which field" in hint
        assert [line[10:] for line in lines[start + 1 : lines.index(f"  hint    {hint}")]] == shown
    delivery = Delivery(url=URL, status=200, body=b"a secret of the handler")
    assert not any("secret" in line for line in lines_of(a_capture(delivery=delivery, response=OK)))


def test_missing_handler_response_shows_the_fault_and_a_hint() -> None:
    for fault, hint in [("unreachable", "replay last"), ("timeout", "--timeout")]:
        delivery = Delivery(url=URL, latency_ms=0.4, fault=fault, error="nothing listens here")
        lines = lines_of(a_capture(delivery=delivery, response=answering.undelivered(delivery)))
        assert f"  -> {502 if fault == 'unreachable' else 504}, {fault} in 0.4 ms " in lines[0]
        assert value_at("handler", lines) == URL
        assert "          nothing listens here" in lines
        assert hint in value_at("hint", lines)


def synchronized(value: bool | None) -> dict[str, Any]:
    document = a_document()
    document["payload"]["action"]["invocationMethod"]["synchronized"] = value
    return document


def test_synchronized_run_ends_with_the_response_and_shows_no_report_run_command() -> None:
    for status, end in [(200, "SUCCESS"), (302, "FAILURE")]:
        lines = lines_of(of(synchronized(True), response=Response(status=status)))
        assert value_at("in Port", lines) == f"the run is synchronized: this response ends it as {end}"
        assert not any("report-run" in line for line in lines)


def test_possibly_synchronized_run_shows_both_outcomes() -> None:
    for status, end in [(200, "SUCCESS"), (500, "FAILURE")]:
        lines = lines_of(of(synchronized(None), response=Response(status=status)))
        assert f"ends with this response ({end}), and any other run stays IN_PROGRESS" in value_at("in Port", lines)
        assert lines[-1].strip() == f"port-hook report-run {RUN_ID} --status {end.lower()}"


def test_unknown_json_payload_is_shown_as_indented_json() -> None:
    assert lines_of(of({"hello": {"wörld": [1.0, None]}})) == [
        head("(no action)  valid  -> 200"),
        "  body    {",
        '            "hello": {',
        '              "wörld": [',
        "                1.0,",
        "                null",
        "              ]",
        "            }",
        "          }",
    ]


def test_non_json_body_shows_the_problem_and_the_text() -> None:
    for body, problem, shown in [
        (b"", "empty", None),
        (b"hello\nworld", "not JSON (line 1, column 1)", "          world"),
        (b"a\xff\x00", "not UTF-8 text (at byte 1)", "          (3 bytes that are not UTF-8 text)"),
        (b"[" * 100_000, "nested too deeply", "[" * 2047 + "…"),
    ]:
        lines = lines_of(of(body))
        assert problem in value_at("body", lines)
        assert shown is None or any(line.endswith(shown) for line in lines)


def links(lines: Sequence[Styled]) -> list[tuple[str, str]]:
    """Return each linked text with the URL of its link."""
    return [(span.text, span.link) for line in lines for span in line.spans if span.link]


def test_run_id_links_to_its_page_when_the_app_url_is_known() -> None:
    capture = a_capture(response=OK)
    assert links(list(capture_lines(capture, app_url=APP))) == [(RUN_ID, f"{APP}/organization/run?runId={RUN_ID}")]
    assert links(list(capture_lines(capture, app_url=None))) == []
    assert links(list(capture_lines(capture, app_url=""))) == []
    assert lines_of(capture, app_url=APP) == lines_of(capture, app_url=None)


def test_invalid_run_id_has_no_link_and_no_report_run_command() -> None:
    unsafe_in_a_shell = ["x; rm -rf ~", "$(id)", "`id`", "--help", "a b", "a'b", 'a"b', "a\nb", "é", "a|b"]
    for run_id in (HOSTILE, "r_1&runId=r_2", "wfnr_" + "a" * 1000, *unsafe_in_a_shell):
        capture = a_capture(payload=Payload(kind=Kind.ACTION_RUN, run_id=run_id), response=OK)
        lines = list(capture_lines(capture, app_url=APP))
        assert links(lines) == []
        assert not any("report-run" in line.plain for line in lines)
        assert any("until the handler reports its result" in line.plain for line in lines)


def test_report_run_command_is_never_wrapped_or_truncated() -> None:
    node_run = "wfnr_" + "A1b2" * 20
    lines = list(capture_lines(of(a_document(context={"runId": node_run}, **{"x" * 200: "y" * 10_000})), app_url=None))
    assert lines[-1].plain.strip() == f"port-hook report-run {node_run} --status success"
    assert lines[-1].no_wrap


def hostile_documents() -> list[Any]:
    """Return documents with hostile text in every shown field."""
    action = {
        "action": HOSTILE,
        HOSTILE: HOSTILE,
        "resourceType": "run",
        "trigger": {"by": {"user": {"email": HOSTILE}}, "origin": HOSTILE, "operation": HOSTILE},
        "context": {"runId": HOSTILE, "entity": HOSTILE, "blueprint": HOSTILE},
        "payload": {"properties": {HOSTILE: HOSTILE, "b": [HOSTILE]}, "censoredProperties": [HOSTILE]},
    }
    event = {
        "event": {
            "action": HOSTILE,
            "context": {"blueprintIdentifier": HOSTILE, "entityIdentifier": HOSTILE},
            "diff": {"before": {HOSTILE: HOSTILE}, "after": {HOSTILE: [HOSTILE]}},
        }
    }
    return [action, event, {HOSTILE: [HOSTILE, {HOSTILE: HOSTILE}]}, HOSTILE]


def test_hostile_text_in_any_field_is_escaped_on_its_own_line() -> None:
    for document in hostile_documents():
        for ascii_only in [True, False]:
            body = json.dumps(document, ensure_ascii=ascii_only).encode("utf-8", "surrogatepass")
            capture = a_capture(
                an_invocation(body, target=f"/{HOSTILE}", headers=Headers((("run_id", HOSTILE),))),
                payload=read_payload(body, Headers((("run_id", HOSTILE),))),
                verdict=Verdict(status=Status.INVALID, signed_form="raw", causes=(Cause("a-slug", HOSTILE, HOSTILE),)),
                delivery=Delivery(url=f"http://h/{HOSTILE}", fault="broken", error=HOSTILE, body=body),
                response=Response(status=502, body=body),
            )
            shown = [*lines_of(capture), compact_line(capture).plain]
            assert [line for line in shown if not is_safe(line)] == []
            # Markup is ordinary text and is not removed.
            assert any("[/x][bold red]" in line for line in shown)


LONG = "\x1b" * 100_000


def endless() -> Capture:
    """Return a capture with very long text in every field."""
    payload = Payload(
        kind=Kind.AUTOMATION,
        run_id=LONG,
        action=LONG,
        operation=LONG,
        event=LONG,
        user=LONG,
        origin=LONG,
        blueprint=LONG,
        entity=LONG,
        inputs={LONG: LONG, LONG + "2": [LONG]},
        censored=(LONG, LONG),
        changes=(EventChange(LONG, LONG, {LONG: LONG}),),
        document={LONG: LONG},
        problem=LONG,
    )
    return a_capture(
        an_invocation(LONG.encode(), method=LONG, target=LONG, id=LONG),
        payload=payload,
        verdict=Verdict(status=Status.REENCODED, signed_form=LONG, causes=(Cause(LONG, LONG, LONG),) * 2),
        delivery=Delivery(url=LONG, fault=LONG, error=LONG, body=LONG.encode()),
        response=Response(status=502),
    )


def test_capture_from_an_oversized_request_is_truncated() -> None:
    for kind in Kind:
        capture = endless()
        capture = replace(capture, payload=replace(capture.payload, kind=kind))
        lines = lines_of(capture, app_url=APP)
        # Each line shows one field, or the two values of a change. The long texts are the beginnings of two bodies.
        assert max(map(len, lines)) < 2100
        assert sum(map(len, lines)) < 12_000
        assert len(lines) < 30
    line = compact_line(endless()).plain
    assert len(line) < 300
    assert "  reencoded  502!  " in line


def test_causes_and_fixes_are_never_truncated() -> None:
    # This text is longest when it contains a sentence about everything that was not tried.
    cause = causes.SECRET_OR_BODY._replace(
        explanation=" ".join((causes.SECRET_OR_BODY.explanation, *["It is too large for that."] * 12)),
    )
    lines = lines_of(a_capture(verdict=Verdict(status=Status.INVALID, causes=(cause,))))
    assert value_at("cause", lines) == f"{cause.slug}: {cause.explanation}"
    assert value_at("fix", lines) == cause.fix


def test_compact_line_shows_the_verdict_response_latency_action_and_the_run_or_the_cause() -> None:
    clock = clock_time(NOW)
    unsigned = Verdict(status=Status.MISSING, causes=(causes.SIGNATURE_MISSING, causes.TIMESTAMP_MISSING))
    for fields, expected in (
        ({"response": OK}, f"valid      200        -  create_vm     {RUN_ID}     01234567"),
        ({"latency_ms": 1.4}, f"valid      202     1 ms  create_vm     {RUN_ID}     01234567"),
        ({"latency_ms": 30_012.0}, f"valid      202     30 s  create_vm     {RUN_ID}     01234567"),
        ({"fault": "timeout"}, f"valid      504!    0 ms  create_vm     {RUN_ID}     01234567"),
        ({"verdict": unsigned}, "missing    -          -  create_vm     no x-port-signature    01234567"),
        ({"verdict": UNVERIFIED}, "invalid    -          -  create_vm     secret-or-…clock-skew 01234567"),
    ):
        capture = a_capture(**as_delivered(**fields))
        line = compact_line(capture, 80).plain
        assert line.split() == [clock, *expected.split()]
        assert len(line) == 80
    replay = a_capture(an_invocation(replay_of="aa00"))
    assert compact_line(replay, 80).plain.endswith(f"  cre…vm (replay)  {RUN_ID}  01234567")


def as_delivered(*, latency_ms: float | None = None, fault: str | None = None, **fields: Any) -> dict[str, Any]:
    """Return the fields of a capture whose handler responded with 202, or not at all because of a fault."""
    if latency_ms is None and fault is None:
        return fields
    delivery = Delivery(url=URL, status=None if fault else 202, latency_ms=latency_ms or 0, fault=fault)
    return {**fields, "delivery": delivery, "response": Response(status=504 if fault else 202)}


def test_latency_is_shown_in_seconds_from_one_second_on() -> None:
    for latency_ms, words in [(999.94, "999.9 ms"), (1000.0, "1 s"), (30_012.0, "30 s")]:
        assert f"  -> 202 in {words} " in lines_of(a_capture(**as_delivered(latency_ms=latency_ms)))[0]


def test_every_status_and_kind_can_be_shown() -> None:
    for status, kind in product(Status, Kind):
        capture = of(b"{}", verdict=Verdict(status=status))
        capture = replace(capture, payload=replace(capture.payload, kind=kind))
        assert f"  {status}  -> 200" in lines_of(capture)[0]
        assert f"  {status}  " in compact_line(capture).plain
        assert len(list(payload_lines(capture.payload, b"{}", app_url=APP))) == (kind is Kind.UNKNOWN)


def a_message(**method: Any) -> Capture:
    document = a_document(payload={"action": {"identifier": "create_vm", "invocationMethod": method}})
    body = json.dumps(document).encode()
    origin = MessageOrigin("org.runs", 0, 1)
    return a_capture(an_invocation(body, origin=origin), payload=read_payload(body, Headers()), response=OK)


def test_message_shows_who_ends_its_run() -> None:
    methods: list[tuple[dict[str, Any], str, bool]] = [
        ({"type": "KAFKA"}, "the run stays IN_PROGRESS until the consumer of the topic reports its result", True),
        (
            {"type": "WEBHOOK", "agent": True, "synchronized": False},
            "the run stays IN_PROGRESS until the handler reports its result",
            True,
        ),
        (
            {"type": "WEBHOOK", "agent": True, "synchronized": True},
            "Port's execution agent reports the response to its own request, which ends it",
            False,
        ),
    ]
    for method, words, is_reported in methods:
        shown = "\n".join(lines_of(a_message(**method)))
        assert words in shown
        assert (f"port-hook report-run {RUN_ID} --status success" in shown) is is_reported
    shown = "\n".join(lines_of(replace(a_message(type="KAFKA"), rejected=True)))
    assert "  valid  not forwarded  " in shown
    assert "IN_PROGRESS" not in shown


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | any_texts(8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(any_texts(8), inner, max_size=4),
    max_leaves=10,
)


@given(json_values | st.binary(max_size=300), st.sampled_from(Status), st.integers(100, 599), any_texts(8))
def test_any_document_is_shown_without_terminal_escapes(
    document: Any, status: Status, answered: int, text: str
) -> None:
    body = document if isinstance(document, bytes) else json.dumps(document).encode()
    delivery = Delivery(url=text, status=None if answered % 2 else answered, body=body, fault="broken", error=text)
    capture = a_capture(
        an_invocation(body, target=text),
        payload=read_payload(body, Headers()),
        verdict=Verdict(status=status),
        delivery=delivery,
        response=Response(status=answered),
    )
    for line in [*lines_of(capture), *lines_of(capture, app_url=APP), compact_line(capture).plain]:
        # A handler's body keeps its tabs, because they are part of its layout.
        assert is_safe(line.replace("\t", ""))
