"""Redacted captures contain no part of 8 or more characters of a planted secret."""

from __future__ import annotations

import gzip
import json
import random
import re
import string
from collections.abc import Callable, Iterable
from itertools import count
from typing import Any
from urllib.parse import quote

from hypothesis import assume, given
from hypothesis import strategies as st

from port_hook_cli.captures.documents.capture_file import to_capture
from port_hook_cli.captures.redaction.captures import redact
from port_hook_cli.captures.redaction.names import KEYS, VALUES
from port_hook_cli.captures.redaction.pseudonyms import Pseudonyms
from port_hook_cli.invocations.headers import Headers
from port_hook_cli.invocations.models import (
    Capture,
    Cause,
    Delivery,
    Invocation,
    MessageOrigin,
    Response,
    Simulated,
    Status,
    Verdict,
)
from port_hook_cli.invocations.payload import read_payload
from port_hook_cli.signatures.signing import signed_headers
from tests.factories import NOW, SECRET, a_document

PART = 8
VALID = Verdict(status=Status.VALID, signed_form="raw", age_s=0.0)


def parts(text: str) -> set[str]:
    return {text[start : start + PART] for start in range(max(1, len(text) - PART + 1))}


def leaks(capture: Capture, planted: Iterable[str]) -> list[str]:
    """Return the planted secrets with a part in the document of a capture, or in one of its decoded bodies."""
    document = to_capture(capture)
    text = json.dumps(document, ensure_ascii=False)
    for body in (capture.invocation.body, *(each.body for each in (capture.delivery, capture.response) if each)):
        raw = gzip.decompress(body) if body.startswith(b"\x1f\x8b\x08") else body
        text += raw.decode("latin-1") + raw.decode("utf-8", "replace") + raw.decode("utf-16", "replace")
    present = {text[start : start + PART] for start in range(len(text))}
    return [secret for secret in planted if parts(secret) & present]


class Planter:
    """Generates secrets, and remembers them."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)  # noqa: S311 - the same secrets each time
        self.planted: list[str] = []

    def _one(self, alphabet: str, length: int) -> str:
        secret = "".join(self.random.choices(alphabet, k=length))
        self.planted.append(secret)
        return secret

    def text(self) -> str:
        alphabets = (string.ascii_letters + string.digits, string.ascii_lowercase, string.hexdigits, "äöüßéñçøÅ")
        return self._one(self.random.choice(alphabets), self.random.randint(10, 40))

    def ascii(self) -> str:
        return self._one(string.ascii_letters + string.digits, self.random.randint(10, 40))

    def name(self) -> str:
        return self._one(string.ascii_uppercase + string.ascii_lowercase + "-_. /+=:", self.random.randint(12, 30))

    def mail(self) -> str:
        return f"{self._one(string.ascii_lowercase, 12)}@{self._one(string.ascii_lowercase, 10)}.com"

    def url(self) -> str:
        return f"https://{self.ascii()}.example.net/{self.ascii()}?{self.ascii()}={quote(self.text())}#{self.ascii()}"

    def number(self) -> str:
        return "1" + self._one("123456789", self.random.randint(9, 17))

    def fraction(self) -> str:
        return f"{self.number()}.{self._one('123456789', 9)}"

    def phone(self) -> str:
        secret = "-".join(self._one(string.digits, 3) for _ in range(4))
        del self.planted[-4:]
        self.planted.append(secret)
        return secret

    def run(self) -> str:
        return f"r_{self._one(string.ascii_letters, 16)}"

    def document(self) -> dict[str, Any]:
        """Return a payload with secrets as keys and values: nested, in strings with JSON, and in long numbers."""
        inner = {
            self.ascii(): [self.text(), {"password": self.name(), self.name(): self.mail()}],
            "phone": self.phone(),
        }
        deeper = json.dumps({"url": self.url(), "again": json.dumps([self.text(), self.ascii()])})
        numbers = [json.loads(self.number()), float(self.fraction())]
        del self.planted[-2:]  # a float rounds the fraction
        document = a_document()
        document["trigger"]["by"] = {
            "orgId": f"org_{self.ascii()}",
            "user": {"email": self.mail(), "lastName": self.text()},
        }
        document["context"] = {"runId": self.run(), "entity": self.ascii()}
        document["payload"]["properties"] = {
            **inner,
            "json": deeper,
            "numbers": numbers,
            "text": f"see {self.url()} ok",
        }
        return document


def a_capture(planter: Planter, body: bytes, *more: tuple[str, str], **overrides: Any) -> Capture:
    headers = Headers(
        (
            ("Host", f"{planter.ascii()}.example.org"),
            ("content-type", f"application/json; boundary={planter.ascii()}"),
            ("Authorization", f"Bearer {planter.ascii()}"),
            ("Cookie", planter.name()),
            (f"X-{planter.ascii()}", planter.name()),
            ("RUN_ID", planter.run()),
            ("User-Agent", f"{planter.ascii()}/1.0"),
            ("X-Real-IP", "10.20.30.40"),
            ("referer", planter.url()),
            ("x-name", planter.text().encode().decode("latin-1")),
            *signed_headers(body, SECRET, str(int(NOW))),
            *more,
        )
    )
    invocation = Invocation(
        id=planter.ascii(),
        received_at=NOW,
        method=planter.random.choice(["POST", planter.ascii()]),
        target=f"/{planter.ascii()}/{quote(planter.text())}?{planter.ascii()}={quote(planter.name())}&b={planter.url()}",
        headers=headers,
        body=body,
        replay_of=planter.ascii(),
        **overrides,
    )
    answer = json.dumps(
        {"error": f"no {planter.text()} at {planter.mail()}", planter.ascii(): planter.phone()}
    ).encode()
    response_headers = Headers((("Location", planter.url()), (f"x-{planter.ascii()}", planter.ascii())))
    return Capture(
        invocation=invocation,
        verdict=Verdict(status=Status.VALID, signed_form="raw", causes=(Cause(planter.ascii(), planter.name(), ""),)),
        payload=read_payload(body, headers),
        delivery=Delivery(
            url=planter.url(),
            error=f"{planter.url()} refused the connection: {planter.text()}",
            fault=planter.ascii(),
            headers=response_headers,
            body=answer,
        ),
        response=Response(status=500, headers=response_headers, body=gzip.compress(answer)),
        simulated=Simulated(failure=planter.ascii()),
    )


def plain_capture(body: bytes) -> Capture:
    invocation = Invocation(id="0" * 12, received_at=NOW, method="POST", target="/", headers=Headers(), body=body)
    return Capture(invocation=invocation, verdict=VALID, payload=read_payload(b"", Headers()))


def redacted(capture: Capture) -> Capture:
    numbers = count()
    return redact(capture, VALID, Pseudonyms(), new_secret=lambda: f"throwaway-{next(numbers)}").capture


BODIES: dict[str, Callable[[str], bytes]] = {
    "compact": lambda text: text.encode(),
    "gzip": lambda text: gzip.compress(text.encode()),
    "latin-1": lambda text: text.encode("latin-1", "replace"),
    "utf-16": lambda text: text.encode("utf-16"),
    "with a byte order mark": lambda text: text.encode("utf-8-sig"),
    "cut off": lambda text: text[: len(text) * 2 // 3].encode(),
    "without quotation marks": lambda text: text.replace('"', "").encode(),
    "unbalanced": lambda text: text.replace("}", '"').encode(),
    "form": lambda text: b"payload=" + quote(text).encode(),
    "binary": lambda text: b"\x00\x01\xff\xfe\x80" + text.encode() + b"\x00\x9f",
    "broken gzip": lambda text: b"\x1f\x8b" + text.encode() + b"\xff",
}


def test_redaction_removes_a_thousand_planted_secrets() -> None:
    planted = 0
    for seed, (name, encode) in enumerate([*BODIES.items()] * 3):
        planter = Planter(seed)
        text = json.dumps(planter.document(), ensure_ascii=seed % 2 == 0, indent=seed % 3 or None)
        capture = a_capture(planter, encode(text))
        planted += len(planter.planted)
        assert leaks(capture, planter.planted), "the secrets are in the original"
        assert leaks(redacted(capture), planter.planted) == [], name
    assert planted > 1_000


@given(st.randoms(use_true_random=False), st.sampled_from(sorted(BODIES)), st.booleans())
def test_redaction_removes_planted_secrets_from_any_capture(seeded: random.Random, name: str, escapes: bool) -> None:
    planter = Planter(seeded.randrange(2**32))
    text = json.dumps(planter.document(), ensure_ascii=escapes)
    assert leaks(redacted(a_capture(planter, BODIES[name](text))), planter.planted) == []


# Words that Port or HTTP defines, times and punctuation stay.
SECRETS = st.text(
    st.sampled_from(string.ascii_letters + string.digits + "-_./@:%+ \\\"'{}[]éß私🔑"), min_size=12, max_size=60
)


@given(SECRETS, st.booleans())
def test_redaction_removes_every_part_of_any_text(text: str, escapes: bool) -> None:
    assume(text not in KEYS | VALUES and not re.search(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d", text))
    body = json.dumps({text: [text, json.dumps([text])]}, ensure_ascii=escapes).encode()
    ((key, (value, inner)),) = json.loads(redacted(plain_capture(body)).invocation.body).items()
    left = parts(text) & (parts(key) | parts(value) | parts(json.loads(inner)[0]))
    left -= parts("@example.com")  # this is the replacement for the domain of an email address
    assert not [part for part in left if sum(map(str.isalnum, part)) >= PART // 2]


def test_redacted_kafka_message_does_not_contain_planted_secrets() -> None:
    planter = Planter(7)
    body = json.dumps({**planter.document(), "headers": {"X-Port-Signature": planter.ascii()}}).encode()
    origin = MessageOrigin(f"{planter.ascii()}.runs", 0, int(planter.number()), int(NOW * 1000))
    assert leaks(redacted(a_capture(planter, body, origin=origin)), planter.planted) == []


def test_redaction_does_not_change_the_structure() -> None:
    for original, new in [
        ('{"runId":"r_QOz6WoOB1Q2lmhZZ"}', '{"runId":"r_Zyxwvutsrqponmlk"}'),
        ('{"email": "alice.smith@corp.io"}', '{"email": "zyxwv.yyxwv@host1.example.com"}'),
        ('{"url":"https:\\/\\/hooks.corp.io:8443\\/a?b=1"}', '{"url":"https:\\/\\/host1.example.com:8443\\/z?y=0"}'),
        (
            '{"at":"2023-11-14T22:13:20.000Z","born":"1980-05-03"}',
            '{"at":"2023-11-14T22:13:20.000Z","zyxw":"2001-01-02"}',
        ),
        ('{"trigger":"DAY-2","cpu":2,"ok":true,"n":null}', '{"trigger":"DAY-2","zyx":2,"ok":true,"z":null}'),
        ('{"email":"zo\\u00eb@corp.io"}', '{"email":"zy\\u00e0@host1.example.com"}'),
        ('{"email":"\\u007aoë@corp.io"}', '{"email":"\\u007ayà@host1.example.com"}'),
        ('{"url":"https://m\\u00fcnchen.io/x"}', '{"url":"https://z\\u00e8xwvut.zy/z"}'),
        ('{ "name" :\t"Zo\\u00eb" }\n', '{ "name" :\t"Zy\\u00e0" }\n'),
        ('{"name":"Zo\\u00EB\\n😀"}', '{"name":"Zy\\u00E0\\n😁"}'),
        ('{"id":"3F2A9C0B-1111-4222-8333-444455556666"}', '{"id":"00000000-0000-4000-8000-000000000001"}'),
        ('{"a":{"10000009":1,"10000004":2}}', '{"z":{"10000001":1,"10000000":2}}'),
        ('["10.1.2.3","127.0.0.1","http://localhost:3000/x"]', '["198.18.0.1","127.0.0.1","http://localhost:3000/z"]'),
    ]:
        assert redacted(plain_capture(original.encode())).invocation.body.decode() == new


def test_different_values_remain_different() -> None:
    values = [
        *("a@corp.io", "a@corp.org", "b@corp.io", "http://corp.io", "http://host1.example.com", "10.0.0.1", "10.0.0.2"),
        *("2001-01-02", "2001-01-03", "Zoë", "zoë", "zoé", "私", "鍵", "12345678", "1234567890123456789", 100_000_000),
        *(letter * length for letter in string.ascii_letters for length in (1, 2, 9)),
        *(digit * 10**20 for digit in range(1, 6)),
    ]
    new = json.loads(redacted(plain_capture(json.dumps([*values, *values]).encode())).invocation.body)
    assert new[: len(values)] == new[len(values) :]
    assert len(set(new)) == len(values)
    assert not [one for one, other in zip(values, new, strict=False) if one == other]


def test_redaction_takes_linear_time() -> None:
    """A pattern that reads the rest of a text again at each position would take minutes."""
    hostile = ['"\\', '"\\"', "a.", "a@", "[", '{"a":', "http://", "%41", "1-", "é", "\\u0041", "1e1", "2023-11-14T"]
    for piece in hostile:
        body = (piece * (50_000 // len(piece))).encode()
        for text in (body, b'{"a":"' + body + b'"}'):
            redacted(plain_capture(text))
