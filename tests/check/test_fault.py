"""Handlers with one mistake each in their verification, and the mistake that the search reports."""

from __future__ import annotations

import hmac
import json
import time
from base64 import b64decode, b64encode, urlsafe_b64encode
from collections.abc import Awaitable, Callable, Mapping
from itertools import count
from typing import Any

import pytest
from aiohttp import web

from port_hook_cli.check.fault import MOST_REQUESTS, FaultKind, FaultSearch, FoundFault, find_fault
from port_hook_cli.http.client import HttpClient
from port_hook_cli.invocations.headers import Headers
from port_hook_cli.invocations.models import Delivery, Invocation
from port_hook_cli.signatures.signing import SigningKeys
from port_hook_cli.text.secret import Secret
from tests.servers import application
from tests.sockets import free_port

SECRET = "an-example-and-no-secret-with-40-letters"
KEYS = SigningKeys(Secret(SECRET), client_id="an-example-id", other=Secret("another-secret"), other_place=".env")
PLAIN = {"action": "create_vm", "properties": {"cpu": 4, "name": "web"}}
WHOLE = {"z": "ë🚀", "text": "/<>&'\u2028\x7f", "numbers": [0.5, 12], "empty": {}, **PLAIN}
REJECTED, DONE = 401, 200

Answers = Callable[[web.Request], Awaitable[web.StreamResponse]]
Verifies = Callable[[Mapping[str, str], bytes], int]
"""Returns the status for a request."""


def compact(document: object) -> bytes:
    return json.dumps(document, separators=(",", ":"), ensure_ascii=False).encode()


async def search(verifies: Verifies, document: object = WHOLE, keys: SigningKeys = KEYS) -> FoundFault:
    """Return what a search finds at a handler that responds with the status of `verifies`.

    A document that is text is the body.
    """
    body = document.encode() if isinstance(document, str) else compact(document)
    return await search_at(as_handler(verifies), body, keys)


def as_handler(verifies: Verifies) -> Callable[[web.Request], Awaitable[web.Response]]:
    async def respond(request: web.Request) -> web.Response:
        return web.Response(status=verifies(request.headers, await request.read()))

    return respond


async def search_at(
    respond: Callable[[web.Request], Awaitable[web.StreamResponse]], body: bytes, keys: SigningKeys = KEYS
) -> FoundFault:
    app, ids = web.Application(), count()
    app.router.add_post("/hook", respond)

    def fresh() -> Invocation:
        headers = Headers((("content-type", "application/json"), ("x-port-signature", "v1,old")))
        return Invocation(id=str(next(ids)), received_at=0, method="POST", target="/", headers=headers, body=body)

    with application(app) as url:
        async with HttpClient(timeout_s=5) as client:

            async def send(request: Invocation) -> Delivery:
                return await client.send(request, f"{url}/hook")

            return await find_fault(FaultSearch(fresh, keys, time.time, send))


def is_equal(one: str, other: str) -> bool:
    return hmac.compare_digest(one.encode(), other.encode())


def mac(message: bytes, key: bytes = SECRET.encode(), algorithm: str = "sha256") -> bytes:
    return hmac.digest(key, message, algorithm)


def text(digest: bytes) -> str:
    return b64encode(digest).decode()


def with_dot(headers: Mapping[str, str], body: bytes, key: bytes = SECRET.encode()) -> bytes:
    return mac(headers["x-port-timestamp"].encode() + b"." + body, key)


def is_recent(headers: Mapping[str, str], per_s: int = 1) -> bool:
    return abs(time.time() - int(headers["x-port-timestamp"]) / per_s) < 300


def as_port(
    headers: Mapping[str, str], body: bytes, *, key: bytes = SECRET.encode(), per_s: int = 1, age_first: bool = True
) -> int:
    """Verify like in Port's documentation, with the clock compared before or after the signature."""
    is_signed = is_equal(headers["x-port-signature"], f"v1,{text(with_dot(headers, body, key))}")
    if age_first:
        return DONE if is_recent(headers, per_s) and is_signed else REJECTED
    return REJECTED if not is_signed else DONE if is_recent(headers, per_s) else 400


def dotted(headers: Mapping[str, str], body: bytes) -> bytes:
    return headers["x-port-timestamp"].encode() + b"." + body


def spaced(body: bytes) -> bytes:
    return json.dumps(json.loads(body)).encode()


def compact_ascii(body: bytes) -> bytes:
    return json.dumps(json.loads(body), separators=(",", ":")).encode()


def expects(make: Callable[[Mapping[str, str], bytes], str]) -> Verifies:
    """Return a handler that expects another value of the signature, and checks the age."""
    return lambda headers, body: (
        DONE if is_recent(headers) and is_equal(headers["x-port-signature"], make(headers, body)) else REJECTED
    )


def signs(message: Callable[[bytes, bytes], bytes]) -> Verifies:
    """Return a handler that signs another message, made from the timestamp and the body."""
    return expects(lambda headers, body: f"v1,{text(mac(message(headers['x-port-timestamp'].encode(), body)))}")


def keyed(key: bytes) -> Verifies:
    """Return a handler with this secret."""
    return lambda headers, body: as_port(headers, body, key=key)


def rewriting(write: Callable[[bytes], bytes], **options: Any) -> Verifies:
    """Return a handler that verifies the rewritten body."""
    return lambda headers, body: as_port(headers, write(body), **options)


PUBLIC: dict[str, Verifies] = {
    "milliseconds": lambda headers, body: as_port(headers, body, per_s=1000),
    "body-hex": expects(lambda _, body: mac(body).hex()),
    "json-dumps": rewriting(spaced),
    "milliseconds-json-dumps": rewriting(spaced, per_s=1000),
    "body-sha256-hex": expects(lambda _, body: f"sha256={mac(body).hex()}"),
}
OTHERS: dict[str, Verifies] = {
    "body-base64": expects(lambda _, body: text(mac(body))),
    "body-v1": expects(lambda _, body: f"v1,{text(mac(body))}"),
    "body-v1-hex": expects(lambda _, body: f"v1,{mac(body).hex()}"),
    "hex": expects(lambda headers, body: with_dot(headers, body).hex()),
    "v1-hex": expects(lambda headers, body: f"v1,{with_dot(headers, body).hex()}"),
    "sha256-hex": expects(lambda headers, body: f"sha256={with_dot(headers, body).hex()}"),
    "base64": expects(lambda headers, body: text(with_dot(headers, body))),
    "t-v1": expects(lambda headers, body: f"t={headers['x-port-timestamp']},v1={with_dot(headers, body).hex()}"),
    "body-hex-json-dumps": expects(lambda _, body: mac(spaced(body)).hex()),
    "milliseconds-body-hex": lambda headers, body: (
        DONE if is_recent(headers, 1000) and is_equal(headers["x-port-signature"], mac(body).hex()) else REJECTED
    ),
    "without-dot": expects(lambda headers, body: f"v1,{text(mac(headers['x-port-timestamp'].encode() + body))}"),
    "v0": expects(lambda given, body: f"v0={mac(b':'.join((b'v0', given['x-port-timestamp'].encode(), body))).hex()}"),
    "sha1": expects(
        lambda headers, body: f"v1,{text(mac(headers['x-port-timestamp'].encode() + b'.' + body, algorithm='sha1'))}"
    ),
    "sha1-hex": expects(lambda _, body: mac(body, algorithm="sha1").hex()),
    "sha1-base64": expects(lambda _, body: text(mac(body, algorithm="sha1"))),
    "sha1-v1": expects(lambda _, body: f"v1,{text(mac(body, algorithm='sha1'))}"),
    "bytes-repr": signs(lambda timestamp, body: f"{timestamp.decode()}.{body!r}".encode()),
    "python-dict": signs(lambda timestamp, body: f"{timestamp.decode()}.{json.loads(body)}".encode()),
    "json-stringify-indented": signs(lambda at, body: at + b"." + json.dumps(json.loads(body), indent=2).encode()),
    "empty-body": signs(lambda timestamp, _: timestamp + b"."),
    "empty-object": signs(lambda timestamp, _: timestamp + b".{}"),
    "object-object": signs(lambda timestamp, _: timestamp + b".[object Object]"),
    "undefined": signs(lambda timestamp, _: timestamp + b".undefined"),
    "timestamp-after-body": signs(lambda timestamp, body: body + b"." + timestamp),
    "timestamp-after-body-without-dot": signs(lambda timestamp, body: body + timestamp),
    "wrong-separator-line-break": signs(lambda timestamp, body: timestamp + b"\n" + body),
    "wrong-separator-colon": signs(lambda timestamp, body: timestamp + b":" + body),
    "wrong-separator-comma": signs(lambda timestamp, body: timestamp + b"," + body),
    "base64-urlsafe": expects(lambda given, body: f"v1,{urlsafe_b64encode(with_dot(given, body)).decode()}"),
    "base64-urlsafe-padding": expects(
        lambda given, body: f"v1,{urlsafe_b64encode(with_dot(given, body)).decode().rstrip('=')}"
    ),
    "base64-padding": expects(lambda headers, body: f"v1,{text(with_dot(headers, body)).rstrip('=')}"),
    "base64-of-hex": expects(lambda headers, body: f"v1,{text(with_dot(headers, body).hex().encode())}"),
    "wrong-hash-sha512": expects(lambda headers, body: f"v1,{text(mac(dotted(headers, body), algorithm='sha512'))}"),
    "wrong-hash-sha512-hex": expects(lambda headers, body: mac(dotted(headers, body), algorithm="sha512").hex()),
    "wrong-hash-sha512-body-hex": expects(lambda _, body: mac(body, algorithm="sha512").hex()),
    "wrong-hash-sha1-hex": expects(lambda headers, body: mac(dotted(headers, body), algorithm="sha1").hex()),
    "swapped-key": expects(lambda headers, body: f"v1,{text(mac(SECRET.encode(), key=dotted(headers, body)))}"),
    "other-secret": keyed(b"another-secret"),
    "empty-secret": keyed(b""),
    "client-id": keyed(b"an-example-id"),
    "secret-undefined": keyed(b"undefined"),
    "secret-placeholder": keyed(b"<CLIENT_SECRET>"),
    "secret-changeme": keyed(b"changeme"),
    "secret-quoted": keyed(f'"{SECRET}"'.encode()),
    "secret-with-line-break": keyed(f"{SECRET}\n".encode()),
    "secret-decoded": keyed(b64decode(SECRET.replace("-", "+") + "=" * (-len(SECRET) % 4))),
    "secret-cut": keyed(SECRET[:32].encode()),
}


FREQUENT_WAYS = (
    "body-base64", "body-v1", "body-v1-hex", "bytes-repr", "python-dict", "empty-body", "object-object",
    "empty-object", "undefined", "empty-secret", "client-id", "other-secret", "secret-quoted",
)  # fmt: skip
REWRITING = {"json-dumps", "python-dict", "json-stringify-indented"}


def kind_of(slug: str) -> FaultKind:
    return FaultKind.REWRITES if slug in REWRITING else FaultKind.WRONG_WAY


async def test_published_mistake_is_found_within_ten_requests() -> None:
    for slug, verifies in PUBLIC.items():
        found = await search(verifies)
        assert (found.kind, found.way and found.way.slug) == (kind_of(slug), slug)
        assert (found.sent <= 10, found.rewrites_too) == (True, False), slug
        assert found.sentence.startswith("The handler ")
        assert found.fix
        forged, valid, accepted, confirmed = found.requests
        assert [each.delivery.status for each in (forged, valid, accepted, confirmed)] == [401, 401, 200, 401]
        assert (accepted.what, confirmed.what) == (slug, "forged")


# Each is found with either document. These differ in the requests that find them.
PLAIN_TOO = ("python-dict", "json-stringify-indented", "body-hex-json-dumps", "bytes-repr", "secret-decoded")


async def test_other_mistake_is_found_within_the_limit() -> None:
    cases = [*((slug, WHOLE) for slug in OTHERS), *((slug, PLAIN) for slug in PLAIN_TOO)]
    for slug, document in cases:
        found = await search(OTHERS[slug], document)
        # Python escapes the text of the whole body.
        written = "json-dumps-indented" if slug == "json-stringify-indented" and document is WHOLE else slug
        kind = FaultKind.REWRITES if written == "json-dumps-indented" else kind_of(slug)
        assert (found.kind, found.way and found.way.slug, found.rewrites_too) == (kind, written, False), slug
        assert found.sent <= (30 if slug in FREQUENT_WAYS else MOST_REQUESTS), slug


async def test_second_mistake_in_the_serialization_is_reported() -> None:
    for slug, key, per_s in (("milliseconds", SECRET.encode(), 1000), ("other-secret", b"another-secret", 1)):
        found = await search(rewriting(compact_ascii, key=key, per_s=per_s))
        assert (found.way and found.way.slug, found.rewrites_too) == (slug, True)
        assert "It also changes the body before it verifies it" in found.sentence
        assert "raw body" in found.fix


async def test_white_space_around_the_configured_secret_is_reported() -> None:
    keys = KEYS._replace(secret=Secret(f"{SECRET}\r\n"))
    found = await search(as_port, PLAIN, keys)
    assert found.way is not None
    assert found.way.slug == "secret-trimmed"
    assert SECRET not in repr(found)


async def test_milliseconds_are_reported_when_the_signature_is_checked_before_the_age() -> None:
    found = await search(rewriting(spaced, per_s=1000, age_first=False))
    assert (found.kind, found.way and found.way.slug) == (FaultKind.WRONG_WAY, "milliseconds-json-dumps")
    assert found.sent <= 10


async def test_error_is_not_a_second_mistake_when_it_is_not_about_the_timestamp() -> None:
    found = await search(lambda headers, body: 400 if headers["x-port-signature"] == mac(body).hex() else REJECTED)
    assert (found.kind, found.way and found.way.slug) == (FaultKind.WRONG_WAY, "body-hex")


async def test_handler_is_searched_when_it_responds_with_500_to_a_bad_signature() -> None:
    def verifies(headers: Mapping[str, str], body: bytes) -> int:
        return 500 if PUBLIC["body-hex"](headers, body) == REJECTED else DONE

    found = await search(verifies)
    assert found.way is not None
    assert found.way.slug == "body-hex"


async def test_way_is_reported_when_the_work_fails_with_the_plain_body() -> None:
    def verifies(headers: Mapping[str, str], body: bytes) -> int:
        if PUBLIC["milliseconds"](headers, body) == REJECTED:
            return REJECTED
        return DONE if "ë" in body.decode() else 500

    found = await search(verifies)
    assert found.way is not None
    assert found.way.slug == "milliseconds"


async def test_whole_body_is_searched_when_the_plain_body_is_rejected_before_verification() -> None:
    def verifies(headers: Mapping[str, str], body: bytes) -> int:
        return 422 if "ë" not in body.decode() else PUBLIC["body-hex"](headers, body)

    found = await search(verifies)
    assert (found.way and found.way.slug, found.rewrites_too) == ("body-hex", False)


def go(body: bytes) -> bytes:
    """Write a body like Go's `json.Marshal`. Its numbers have JavaScript's format."""
    text = sorted_as_it_is(body)
    for character in "<>&\u2028":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text.replace("1e-05", "0.00001").replace("1e-07", "1e-7").encode()


def ruby(body: bytes) -> bytes:
    """Write a body like Ruby's `to_json`."""
    return body.replace(b"0.00001", b"1.0e-05").replace(b"1e-7", b"1.0e-07").replace(b"1e+21", b"1.0e+21")


def php(body: bytes) -> bytes:
    """Write a body like PHP's `json_encode`."""
    escaped = compact_ascii(body).replace(b"/", b"\\/").replace(b"{}", b"[]")
    return escaped.replace(b"1e-05", b"1.0e-5").replace(b"1e-07", b"1.0e-7").replace(b"1e+21", b"1.0e+21")


def sorted_as_it_is(body: bytes) -> str:
    return json.dumps(json.loads(body), separators=(",", ":"), ensure_ascii=False, sort_keys=True)


# JSON.stringify writes these numbers in this way. json.dumps writes other text for the same numbers.
UNUSUAL = json.dumps({**WHOLE, "small": "@"}, separators=(",", ":"), ensure_ascii=False).replace(
    '"@"', "[1e-7,0.00001,1e+21]"
)


async def test_serializer_is_reported_when_a_handler_rewrites_the_body() -> None:
    writers: dict[str, Callable[[bytes], bytes]] = {
        "json-dumps-compact": compact_ascii,
        "json-dumps-compact-sorted": lambda body: compact_ascii(json.dumps(json.loads(body), sort_keys=True).encode()),
        "json-dumps-sorted": lambda body: json.dumps(json.loads(body), sort_keys=True).encode(),
        "json-dumps-unescaped": lambda body: json.dumps(json.loads(body), ensure_ascii=False).encode(),
        "go": go,
        "ruby": ruby,
        "php": php,
    }
    for slug, write in writers.items():
        found = await search(rewriting(write), UNUSUAL)
        assert (found.kind, found.way and found.way.slug) == (FaultKind.REWRITES, slug)
        assert (found.sent <= 13, found.rewrites_too) == (True, False), slug
        assert "raw body" in found.fix


async def test_serializer_is_not_reported_when_a_handler_decodes_the_body_wrongly() -> None:
    decoders: dict[str, Callable[[bytes], bytes]] = {
        "body-latin-1": lambda body: body.decode("latin-1").encode(),
        "body-ascii": lambda body: body.decode("ascii", "ignore").encode(),
    }
    for slug, decode in decoders.items():
        found = await search(rewriting(decode))
        assert (found.kind, found.way and found.way.slug) == (FaultKind.REWRITES, slug)
        assert "serializes" not in found.sentence
        assert "without decoding them" in found.fix


async def test_serializer_is_reported_as_possible_for_text_in_another_character_set() -> None:
    found = await search(rewriting(lambda body: body.decode("cp1252", "replace").encode()))
    assert found.sentence == (
        "The handler changes non-ASCII text before it verifies the signature: it decodes the body in another "
        "character set, or serializes it again."
    )


@pytest.mark.parametrize(
    ("document", "write", "words"),
    [
        ({"a": "ë", "b": "/"}, lambda body: body.replace("ë".encode(), b"\\u00EB"), "non-ASCII text"),
        ({"a": "ë", "b": "/", "c": 1e-7}, lambda body: body.replace(b"/", b"\\/"), "the characters / < > & ' +"),
        ({"a": "ë", "b": "/", "c": "<"}, lambda body: body.replace(b"<", b"\\u003C"), "the characters / < > & ' +"),
        ({"b": "ë/\u2028", "a": {}}, lambda body: body.replace("\u2028".encode(), b"\\u2028"), "U+2028"),
        ({"a": "ë", "b": 0.00001, "c": {}}, lambda body: body.replace(b"1e-05", b"0.000010"), "0.00001"),
        ({"a": "ë", "b": {}, "c": "/"}, lambda body: body.replace(b"{}", b"[]"), "empty objects"),
        ({"b": "ë", "a": "<"}, lambda body: sorted_as_it_is(body).encode(), "the order of keys"),
    ],
)
async def test_differently_written_feature_is_reported(
    document: object, write: Callable[[bytes], bytes], words: str
) -> None:
    found = await search(rewriting(write), document)
    assert found.kind is FaultKind.REWRITES
    assert words in found.sentence
    assert found.sent <= 15


async def test_white_space_of_the_body_is_reported_when_the_handler_rewrites_it() -> None:
    body = json.dumps(PLAIN, indent=1).encode()
    found = await search_at(as_handler(rewriting(compact_ascii)), body)
    assert (found.kind, found.way and found.way.slug) == (FaultKind.REWRITES, "json-stringify")


async def test_whole_body_is_searched_when_it_has_no_plain_form() -> None:
    for body in (b"no JSON", b'{"a":' * 2000 + b"1" + b"}" * 2000, b'"\xff"', b""):
        found = await search_at(as_handler(PUBLIC["body-hex"]), body)
        assert (found.way and found.way.slug, found.sent) == ("body-hex", 5)


async def test_valid_signature_differs_in_the_url_safe_alphabet() -> None:
    for number in range(10):
        found = await search(lambda *_: 404, {**PLAIN, "number": number})
        signature = found.requests[1].request.headers.get("x-port-signature") or ""
        assert {"+", "/"} & set(signature)
        assert as_port(dict(found.requests[1].request.headers.items), compact({**PLAIN, "number": number})) == DONE


async def test_correct_handler_is_not_searched() -> None:
    found = await search(as_port)
    assert (found.kind, found.sent, found.tried) == (FaultKind.NOTHING, 2, ())
    assert [each.what for each in found.requests] == ["forged", "valid"]


async def test_response_ends_the_search_when_it_is_not_about_the_signature() -> None:
    for status, kind, words in (
        (200, FaultKind.UNVERIFIED, "it also accepts another secret"),
        (404, FaultKind.PATH, "responds with 404 Not Found to a valid and to a forged request"),
        (405, FaultKind.PATH, "the path or the method is probably wrong"),
        (501, FaultKind.PATH, "the path or the method is probably wrong"),
        (308, FaultKind.PATH, "redirects with 308"),
        (429, FaultKind.REQUEST, "429 Too Many Requests"),
    ):
        found = await search_at(always(status, ""), compact(WHOLE))
        assert (found.kind, found.sent) == (kind, 2)
        assert words in found.sentence
        assert found.fix


async def test_failed_work_after_a_valid_signature_is_recognized() -> None:
    for status in (400, 404, 422, 500):
        found = await search(lambda *request, status=status: status if as_port(*request) == DONE else REJECTED)
        assert (found.kind, found.sent) == (FaultKind.WORK, 3)
        assert str(status) in found.sentence


def in_words(status: Callable[[int], int], words: Mapping[int, str]) -> Callable[[Verifies], Answers]:
    """Return what makes a handler respond with `status`, and with words for what it does: 200, 401 or 422."""

    def respond(verifies: Verifies) -> Answers:
        async def handle(request: web.Request) -> web.Response:
            done = verifies(request.headers, await request.read())
            return web.Response(status=status(done), text=words[done])

        return handle

    return respond


always_200 = in_words(lambda _: 200, {DONE: "ok", REJECTED: '{"error": "Invalid signature"}', 422: "no such VM"})
silent_200 = in_words(lambda _: 200, {DONE: '{"status": "SUCCESS"}', REJECTED: '{"status": "IGNORED"}'})
always_500 = in_words(
    lambda done: done if done == DONE else 500, {DONE: "", REJECTED: "Invalid signature", 422: "Oops"}
)


async def test_rejection_with_200_is_not_reported_as_acceptance_of_a_wrong_secret() -> None:
    for respond in (always_200, silent_200):
        found = await search_at(respond(as_port), compact(WHOLE))
        assert found.kind is FaultKind.NOTHING
        assert "but with a different body" in found.sentence


async def test_mistake_is_reported_when_a_handler_rejects_with_200() -> None:
    for slug in ("milliseconds", "body-hex"):
        found = await search_at(always_200(PUBLIC[slug]), compact(WHOLE))
        assert (found.kind, found.way and found.way.slug) == (FaultKind.WRONG_WAY, slug)


async def test_acceptance_of_a_wrong_secret_is_reported_when_all_responses_differ() -> None:
    ids = iter("abcdefgh")

    async def handle(request: web.Request) -> web.Response:
        return web.Response(text=next(ids))

    found = await search_at(handle, compact(WHOLE))
    assert (found.kind, found.sent) == (FaultKind.UNVERIFIED, 3)


async def test_words_of_a_500_distinguish_a_failure_from_a_rejection() -> None:
    found = await search_at(always_500(lambda *request: 422 if as_port(*request) == DONE else REJECTED), compact(WHOLE))
    assert found.kind is FaultKind.WORK
    assert "but the response says that it rejected the request" in found.sentence


async def test_rejection_of_the_signature_is_not_reported_when_every_response_is_500() -> None:
    found = await search(lambda *_: 500)
    assert found.kind is FaultKind.NOT_FOUND
    assert found.sentence.startswith("The handler responds with 500 Internal Server Error to the valid request, and 5")
    assert "may fail after verification" in found.fix


async def test_unverified_rejection_of_the_content_is_recognized() -> None:
    found = await search(lambda _, body: 422 if "ë" in body.decode() else 200)
    assert found.kind is FaultKind.UNVERIFIED
    assert "content" in found.sentence


def always(status: int, words: str) -> Answers:
    async def handle(_: web.Request) -> web.Response:
        return web.Response(status=status, text=words)

    return handle


async def test_rejected_content_with_any_signature_ends_the_search() -> None:
    for status, words in (
        (422, ""),
        (422, '{"detail":[{"loc":["body","size"],"msg":"field required"}]}'),
        (400, '{"error":"validation failed: size is missing"}'),
        (400, "Cannot parse JSON"),
    ):
        found = await search_at(always(status, words), compact(PLAIN))
        assert (found.kind, found.sent) == (FaultKind.REQUEST, 2), words
        assert f"rejects the content of the body ({status} " in found.sentence
        assert "`port-hook check FILE`" in found.fix
        assert f"If the handler rejects signatures with {status}" in found.fix


async def test_ambiguous_response_is_searched() -> None:
    for status, words in (
        (400, ""),
        (400, "Bad Request"),
        (400, "Invalid signature of the body"),
        (422, '{"detail":[{"loc":["header","x-hub-signature"],"msg":"field required"}]}'),
    ):
        respond = in_words({DONE: DONE, REJECTED: status}.__getitem__, {DONE: "", REJECTED: words})
        found = await search_at(respond(PUBLIC["body-hex"]), compact(PLAIN))
        assert found.way is not None, words
        assert found.way.slug == "body-hex"


async def test_way_is_not_reported_when_it_is_accepted_with_any_secret() -> None:
    def verifies(headers: Mapping[str, str], body: bytes) -> int:
        return DONE if headers["x-port-signature"].startswith("sha256=") else REJECTED

    found = await search(verifies)
    assert found.kind is FaultKind.NOT_FOUND
    assert "body-sha256-hex" in found.tried


async def test_unsuccessful_search_reports_the_tried_ways() -> None:
    found = await search(lambda *_: REJECTED)
    assert (found.kind, found.way) == (FaultKind.NOT_FOUND, None)
    assert f"{len(found.tried) - 1} wrong ways to sign it" in found.sentence
    assert len(found.requests) == 2
    assert found.sent < MOST_REQUESTS


async def test_search_reports_the_request_after_a_crash_of_the_handler() -> None:
    async def respond(request: web.Request) -> web.Response:
        if not request.headers["x-port-signature"].startswith("v1,") and request.transport is not None:
            request.transport.abort()
        return web.Response(status=REJECTED)

    found = await search_at(respond, json.dumps(PLAIN).encode())
    assert found.kind is FaultKind.NO_RESPONSE
    assert found.sentence.startswith("The handler stopped responding after the request `body-hex`: ")


async def test_sentence_about_a_stopped_handler_ends_with_one_period() -> None:
    async def send(request: Invocation) -> Delivery:
        async with HttpClient(timeout_s=5) as client:
            return await client.send(request, f"http://127.0.0.1:{free_port()}/")

    request = Invocation(id="a", received_at=0, method="POST", target="/", headers=Headers(()), body=b"{}")
    found = await find_fault(FaultSearch(lambda: request, KEYS, time.time, send))
    assert (found.kind, found.sentence[-2:]) == (FaultKind.NO_RESPONSE, "g?")


async def test_search_ends_at_its_limit() -> None:
    sent = count()
    found = await search(lambda *_: REJECTED if next(sent) < 2 else DONE, PLAIN)
    assert (found.kind, found.sent) == (FaultKind.NOT_FOUND, MOST_REQUESTS)
    assert str(MOST_REQUESTS) in found.sentence


async def test_rate_limit_ends_the_search() -> None:
    sent = count()
    found = await search(lambda *_: REJECTED if next(sent) < 5 else 429)
    assert (found.kind, found.sent) == (FaultKind.NOT_FOUND, 6)
    assert "limit the rate" in found.sentence


async def test_unresponsive_handler_ends_the_search() -> None:
    sent = count()

    async def respond(request: web.Request) -> web.StreamResponse:
        if next(sent) >= 2:
            assert request.transport is not None
            request.transport.close()
        return web.Response(status=REJECTED)

    found = await search_at(respond, compact(WHOLE))
    assert (found.kind, found.sent) == (FaultKind.NO_RESPONSE, 4)


async def test_mistake_is_reported_when_a_handler_rejects_by_closing_the_connection() -> None:
    async def respond(request: web.Request) -> web.StreamResponse:
        body = await request.read()
        if PUBLIC["json-dumps"](request.headers, body) != DONE:  # like an uncaught error in many servers
            assert request.transport is not None
            request.transport.close()
        return web.Response()

    found = await search_at(respond, compact(WHOLE))
    assert (found.kind, found.way and found.way.slug) == (FaultKind.REWRITES, "json-dumps")


async def test_rejection_of_the_signature_is_not_reported_when_every_connection_is_closed() -> None:
    async def respond(request: web.Request) -> web.StreamResponse:
        assert request.transport is not None
        request.transport.close()
        return web.Response()

    found = await search_at(respond, compact(WHOLE))
    assert (found.kind, found.sent) == (FaultKind.NOT_FOUND, 9)
    assert found.sentence.startswith("The handler closes the connection after the valid request, and ")
    assert found.fix.startswith("Find the error in the handler's log.")
