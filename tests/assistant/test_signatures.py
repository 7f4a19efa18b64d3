"""Tool results do not contain usable signatures, and tools do not trust the verdicts in a store when they sign."""

from __future__ import annotations

import asyncio
import base64
import json
import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any
from urllib.parse import quote

import pytest

from port_hook_cli.assistant.catalog import TOOLS
from port_hook_cli.assistant.results import masked
from port_hook_cli.assistant.tool import AssistantTool
from port_hook_cli.captures.exports.formats import EXPORT_FORMATS, Exported
from port_hook_cli.captures.store.capture_store import open_store
from port_hook_cli.invocations.headers import Headers
from port_hook_cli.invocations.models import Capture, Delivery, MessageOrigin, Response, Status, Verdict
from port_hook_cli.kafka.messages import message_headers
from port_hook_cli.runtime import Runtime
from port_hook_cli.signatures.signing import signed_message
from port_hook_cli.signatures.verification import UNCHECKED
from port_hook_cli.text.secret import Masker, Secret
from tests.assistant.assistants import Assistant, document, is_signed
from tests.factories import NOW, SECRET, a_body, a_capture, a_document, an_invocation, signed
from tests.servers import handler

OTHER = Secret("the-secret-of-another-organization-0123")
ORIGIN = MessageOrigin("org.runs", 0, 1, None)


def a_signature(*, secret: Secret = SECRET) -> str:
    return str(signed(a_body(), secret=secret).get("x-port-signature"))


def a_message(secret: Secret = SECRET) -> tuple[Capture, str]:
    """Return a captured Kafka message, and the signature inside it."""
    value = signed_message(a_document(), secret, str(int(NOW)))
    captured = an_invocation(value, headers=message_headers(value), origin=ORIGIN)
    return a_capture(captured, verdict=UNCHECKED), json.loads(value)["headers"]["X-Port-Signature"]


# Tools that neither send nor show captures.
WITHOUT_CAPTURES = {"render_template", "render_action"}
# Arguments with which each tool shows the latest capture. Another capture is before it.
ARGUMENTS: dict[str, Any] = {"capture": "last", "a": "last", "b": "aaaa", "after": "aaaa", "timeout_s": 0.05}
IN_BASE64 = re.compile(r"[A-Za-z0-9+/_-]{8,}={0,2}")


def calls_of(tool: AssistantTool) -> Iterator[dict[str, Any]]:
    """Yield arguments with which a tool shows the latest capture: with each choice, and from several offsets."""
    named = {name: value for name, value in ARGUMENTS.items() if name in tool.parameters}
    choices = {name: tuple(schema["enum"]) for name, schema in tool.parameters.items() if "enum" in schema}
    needed = {name: choices[name][0] for name in tool.required if name in choices}
    unknown = set(tool.required) - named.keys() - needed.keys()
    assert not unknown, f"add {unknown} of {tool.name} to ARGUMENTS in this file, or {tool.name} to WITHOUT_CAPTURES"
    yield {**named, **needed}
    if "capture" in named:  # in other tools, choices are filters
        for name, values in choices.items():
            yield from ({**named, **needed, name: value} for value in values)
    if "offset" in tool.parameters:
        yield from (
            {**named, "body_as": body_as, "offset": offset} for body_as in ("json", "text") for offset in (1, 900)
        )


def everything_shown(assistant: Assistant) -> str:
    """Return everything that the reading tools show about the latest capture, including decoded base64."""
    tools = [tool for tool in TOOLS if not tool.sends and tool.name not in WITHOUT_CAPTURES]
    shown = "\n".join(shown_by(tool, assistant) for tool in tools)
    return "\n".join((shown, *map(decoded, IN_BASE64.findall(shown))))


def shown_by(tool: AssistantTool, assistant: Assistant) -> str:
    """Return what a tool shows. Some captures cannot be shown with some choices, but each with at least one."""
    answers = [asyncio.run(assistant.answer(tool.name, **arguments)) for arguments in calls_of(tool)]
    found = [json.dumps(document(answer), ensure_ascii=False) for answer in answers if not answer.is_error]
    assert found, answers[0].text
    return "\n".join((*found, *(answer.text for answer in answers if answer.is_error)))


def decoded(text: str) -> str:
    """Return the content of base64 in a text, wherever it begins, as latin-1, which has a character for each byte."""
    digits = text.rstrip("=").translate({ord("-"): "+", ord("_"): "/"})
    tails = (digits[start:] for start in range(4))
    parts = (tail[:-1] if len(tail) % 4 == 1 else tail for tail in tails)
    return "\n".join(base64.b64decode(part + "=" * (-len(part) % 4)).decode("latin-1") for part in parts)


@pytest.mark.parametrize(
    ("status", "secret"),
    [
        (Status.VALID, SECRET),
        (Status.UNCHECKED, SECRET),
        (Status.INVALID, SECRET),
        (Status.INVALID, OTHER),
        (Status.VALID, Secret(f" {SECRET.reveal()}\n")),
        (Status.INVALID, Secret(f'"{SECRET.reveal()}"')),
        *((status, SECRET) for status in Status if status not in {Status.VALID, Status.UNCHECKED, Status.INVALID}),
    ],
)
def test_signature_is_never_shown(assistant: Assistant, status: Status, secret: Secret) -> None:
    """The verdict may be planted, missing because of --verify off, or made with another secret."""
    headers = signed(a_body(), secret=secret)
    assistant.save(a_capture(an_invocation(id="a" * 12)))
    assistant.save(a_capture(an_invocation(headers=headers), verdict=Verdict(status=status)))
    shown = everything_shown(assistant)
    assert a_signature(secret=secret).removeprefix("v1,") not in shown
    fields = dict(assistant.result("show_capture")["request"]["headers"])
    assert (fields["x-port-signature"], fields["x-port-timestamp"]) == ("***", "1700000000")


@pytest.mark.parametrize("secret", [SECRET, OTHER])
def test_signature_inside_a_kafka_message_is_not_shown(assistant: Assistant, secret: Secret) -> None:
    message, signature = a_message(secret)
    assistant.save(a_capture(an_invocation(id="a" * 12)), message)
    assert signature.removeprefix("v1,") not in everything_shown(assistant)
    shown = assistant.result("show_capture")["request"]["body"]["json"]
    assert shown["headers"] == {"X-Port-Signature": "***", "X-Port-Timestamp": "1700000000"}
    assert shown["action"] == a_document()["action"]


def test_jq_of_a_list_does_not_read_the_signature(assistant: Assistant) -> None:
    message, signature = a_message()
    assistant.save(message)
    for expression in (
        'error(.headers["X-Port-Signature"] | explode | map(tostring) | join(" "))',
        '.headers["X-Port-Signature"] | startswith("v1,")',
        "[.. | strings | select(length == 47)] | length > 0",
    ):
        found = assistant.document("list_captures", jq=expression)
        assert found["result"]["captures"] == []
        assert " ".join(str(ord(character)) for character in signature[:9]) not in json.dumps(found)


@pytest.mark.parametrize("tool", ["list_captures", "wait_for_invocation"])
def test_search_does_not_find_masked_text(assistant: Assistant, tool: str) -> None:
    """An agent could find a signature, or the secret in a body, one character at a time."""
    message, inside = a_message()
    body = b'{"plain":"Text","secret":"%s"}' % SECRET.reveal().encode()
    headers = Headers((*signed(body), ("authorization", "Bearer of-the-handler"), ("x-plain", "Field")))
    # A wait for a capture without a response takes all of its time.
    assistant.save(a_capture(an_invocation(id="a" * 12)), replace(message, response=Response(status=200)))
    with open_store(None, assistant.workspace.runtime.cwd, create=True, keep_secrets=True) as store:
        invocation = an_invocation(body, id="c" * 12, headers=headers, target="/Path")
        store.add([a_capture(invocation, response=Response(status=200))])
    assistant.document("explain_verdict")  # reads the secret, which is masked from then on

    def is_found(text: str, within_s: float = 0.05) -> bool:
        if tool == "wait_for_invocation":
            return assistant.result(tool, search=text, after="a" * 12, timeout_s=within_s) is not None
        return bool(assistant.result(tool, search=text)["captures"])

    beginning = str(headers.get("x-port-signature"))[:6]
    for hidden in (beginning, beginning[3:].upper(), inside[:6], SECRET.reveal()[:10], "bearer of"):
        assert not is_found(hidden), hidden
    for shown in ("tEXT", "field", "/path", "x-port-signature"):
        assert is_found(shown, within_s=30), shown


@pytest.mark.parametrize(
    "written",
    [
        lambda text: text,
        lambda text: text.rstrip("="),
        lambda text: text.replace("/", "\\/"),
        lambda text: text.replace("+", "\\u002B").replace("=", "\\u003D"),
        lambda text: text.replace(",", "%2C").replace("+", "%2B").replace("/", "%2F").replace("=", "%3D"),
    ],
    ids=["plain", "unpadded", "php", "net", "url"],
)
def test_signature_repeated_by_a_handler_is_not_shown(assistant: Assistant, written: Callable[[str], str]) -> None:
    # A secret for which the signature has both characters that are written as escapes.
    secret = next(each for each in map(_numbered, range(10_000)) if {"+", "/"} <= set(a_signature(secret=each)))
    echoed = written(a_signature(secret=secret))
    body = b'{"headers":{"other":"%s"},"filler":"%s"}' % (echoed.encode(), b"x" * 2000)
    fields = Headers((("x-echo", echoed),))
    invocation = an_invocation(target=f"/{echoed}?raw={echoed}&encoded={quote(a_signature(secret=secret), safe='')}")
    delivery = Delivery(url=f"http://127.0.0.1:1{invocation.target}", status=200, headers=fields, body=body)
    capture = a_capture(invocation, delivery=delivery, response=Response(status=200, headers=fields, body=body))
    assistant.save(a_capture(an_invocation(id="a" * 12)), capture)
    shown = everything_shown(assistant)
    for part in ("handler_response", "response"):
        shown += json.dumps(assistant.document("show_capture", part=part))
        shown += json.dumps(assistant.document("show_capture", part=part, offset=40))
    assert a_signature(secret=secret)[3:12] not in shown
    assert echoed[-12:] not in shown
    assert json.dumps(echoed[-12:])[1:-1] not in shown
    digits = re.findall(r"[A-Za-z0-9]{6,}", a_signature(secret=secret))
    assert not [run for run in digits if run in shown], "the tool has to use `masked`"
    safe = masked(capture, Masker(()))
    for url in (safe.invocation.target, safe.delivery.url if safe.delivery else ""):
        for row in EXPORT_FORMATS:  # some decode the query
            text = row.write([Exported(safe, url)])
            assert not [run for run in digits if run in text], f"`masked` leaves a signature to {row.name}"


def _numbered(number: int) -> Secret:
    return Secret(f"a-client-secret-of-an-organization-{number:06}")


def test_signature_in_a_binary_body_is_not_shown(assistant: Assistant) -> None:
    signature = a_signature()
    assistant.save(a_capture(an_invocation(b"\xff" + signature.encode())))
    shown = base64.b64decode(assistant.result("show_capture")["request"]["body"]["base64"])
    assert shown == b"\xff***"


@pytest.mark.parametrize("secret", [SECRET, OTHER])
def test_signature_in_a_body_is_shown_by_no_tool_in_base64(assistant: Assistant, secret: Secret) -> None:
    signature = a_signature(secret=secret)
    assistant.save(a_capture(an_invocation(id="a" * 12)))
    for body in (b"\xff " + signature.encode(), b'{"repeated":"%s"}' % signature.encode()):
        delivery = Delivery(url="http://127.0.0.1:1/", status=200, body=body)
        response = Response(status=200, body=body)
        assistant.save(a_capture(an_invocation(body), delivery=delivery, response=response))
        assert signature.removeprefix("v1,") not in everything_shown(assistant), "the tool has to use `masked`"


def test_capture_is_not_signed_because_of_a_verdict_in_the_store(assistant: Assistant) -> None:
    """The store may come from someone else, who wants their request signed."""
    statuses = (Status.VALID, Status.REENCODED, Status.STALE)
    forged = (signed(a_body(), secret=OTHER), signed(b"{}"), Headers())
    invocations = [an_invocation(headers=headers, id=f"{n}" * 12) for n, headers in enumerate(forged, 1)]
    message = replace(a_message(OTHER)[0].invocation, id="9" * 12)
    with handler() as target:
        for invocation, status in [*zip(invocations, statuses, strict=True), (message, Status.VALID)]:
            assistant.save(a_capture(invocation, verdict=Verdict(status=status)))
            text = assistant.error("replay_capture", capture=invocation.id, to=target.url)
            assert "so no tool signs this request" in text
        assert target.requests == []


def test_valid_signature_is_signed_again_regardless_of_age_and_the_stored_verdict(assistant: Assistant) -> None:
    """The capture was received with --verify off, or before the user corrected the secret."""
    message, _ = a_message()
    assistant.save(message)
    for number, status in enumerate((Status.UNCHECKED, Status.INVALID), 1):
        old = an_invocation(received_at=NOW + 86_400, id=f"{number}" * 12)
        assistant.save(a_capture(old, verdict=Verdict(status=status)))
    for name in (message.invocation.id, "1" * 12, "2" * 12):
        with handler() as target:
            assistant.result("replay_capture", capture=name, to=target.url)
            assert is_signed(target)


def test_store_does_not_choose_the_target(assistant: Assistant) -> None:
    """Someone else's store could send requests to any port of this machine."""
    with handler() as chosen:
        assistant.save(a_capture(delivery=Delivery(url=f"{chosen.url}/", status=200)))
        for as_captured in (False, True):
            text = assistant.error("replay_capture", capture="last", as_captured=as_captured)
            assert "Missing argument `to`" in text
            assert "port-hook mcp --to" in text
        assert chosen.requests == []


def test_users_target_is_used_instead_of_the_stores_target(runtime: Callable[..., Runtime]) -> None:
    with handler() as chosen, handler() as target:
        assistant = Assistant.at(runtime, to=target.url)
        assistant.save(a_capture(delivery=Delivery(url=f"{chosen.url}/", status=200)))
        assistant.result("replay_capture", capture="last")
        assert is_signed(target)
        assert chosen.requests == []
