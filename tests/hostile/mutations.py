"""Requests as bytes: well-formed requests of every kind, and requests that no client should send."""

from __future__ import annotations

import json
import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from tests.hostile import oracle

LIMIT = 256 * 1024
"""How many bytes a head may have."""

MOST_OF_A_BODY = 400_000
"""The value of the listener's `--max-body`."""


@dataclass
class Capture:
    """The bytes sent on one connection.

    `expected` are the bodies that must be acknowledged, in this order. None if any response is fine, or none.
    `forbidden` are signed bodies inside another request, which must never be parsed as requests.
    """

    kind: str
    parts: list[bytes]
    expected: list[bytes] | None = None
    forbidden: list[bytes] = field(default_factory=list)
    half_closes: bool = False


@dataclass
class Signer:
    """Makes requests with new bodies. `signed` are all bodies that a listener may accept."""

    secret: str
    host: str
    signed: set[bytes] = field(default_factory=set)
    forbidden: set[bytes] = field(default_factory=set)

    def body(self, rng: random.Random, size: int = 0) -> bytes:
        document = {
            "context": {"runId": f"r_{rng.getrandbits(64):016x}"},
            "text": rng.choice(["", "Zoë\u2028", "\x00"]),
        }
        return json.dumps({**document, "x": "x" * size}, ensure_ascii=False, separators=(",", ":")).encode()

    def fields(self, body: bytes, *, allowed: bool = True) -> list[bytes]:
        stamp = str(int(time.time()))
        (self.signed if allowed else self.forbidden).add(body)
        return [
            f"Host: {self.host}".encode(),
            b"content-type: application/json",
            f"x-port-signature: {oracle.sign(self.secret, stamp, body)}".encode(),
            f"x-port-timestamp: {stamp}".encode(),
        ]

    def request(self, body: bytes, *more: bytes, line: bytes = b"POST / HTTP/1.1", allowed: bool = True) -> bytes:
        fields = self.fields(body, allowed=allowed)
        return head(line, *fields, b"content-length: %d" % len(body), *more) + body


def head(*lines: bytes, end: bytes = b"\r\n") -> bytes:
    return end.join((*lines, b"", b""))


def split(rng: random.Random, content: bytes) -> list[bytes]:
    """Return `content` in one to five parts."""
    cuts = sorted(rng.randrange(len(content) + 1) for _ in range(rng.randrange(5)))
    return [content[start:end] for start, end in zip([0, *cuts], [*cuts, len(content)], strict=True)]


def chunked(rng: random.Random, body: bytes, extension: bytes = b"", trailer: bytes = b"") -> bytes:
    parts = [part for part in split(rng, body) if part]
    return b"".join(b"%x%b\r\n%b\r\n" % (len(part), extension, part) for part in parts) + b"0\r\n" + trailer + b"\r\n"


# --- requests that must be served -----------------------------------------------------------------------------------


def plain(rng: random.Random, signer: Signer) -> Capture:
    body = signer.body(rng, rng.choice([0, 0, 0, 100, 5000, 70_000, 300_000]))
    method, target = (
        rng.choice([b"POST", b"PUT", b"PATCH"]),
        rng.choice([b"/", b"/a/b?c=%0d%0a", b"//x/..;/", b"/?" + b"q" * 999]),
    )
    return Capture("plain", split(rng, signer.request(body, line=b"%b %b HTTP/1.1" % (method, target))), [body])


def in_chunks(rng: random.Random, signer: Signer) -> Capture:
    body = signer.body(rng, rng.choice([0, 5000]))
    extension = rng.choice([b"", b"", b";a=b", b';a="b"', b";" + b"x" * 500])
    trailer = rng.choice([b"", b"x-trailer: y\r\n"])
    start = head(b"POST / HTTP/1.1", *signer.fields(body), b"transfer-encoding: chunked")
    return Capture("chunks", split(rng, start + chunked(rng, body, extension, trailer)), [body])


def pipelined(rng: random.Random, signer: Signer) -> Capture:
    bodies = [signer.body(rng, rng.choice([0, 500])) for _ in range(rng.randint(2, 5))]
    return Capture("pipeline", split(rng, b"".join(map(signer.request, bodies))), bodies)


def expecting(rng: random.Random, signer: Signer) -> Capture:
    body = signer.body(rng)
    request = signer.request(body, b"expect: 100-continue")
    return Capture("expect", [request[: -len(body)], body], [body])


def doubled(rng: random.Random, signer: Signer) -> Capture:
    body = signer.body(rng)
    more = rng.choice([b"content-type: text/plain", b"x-port-signature: v1,x", b"cookie: a", b"x-odd: \xff\x9b"])
    return Capture("doubled", split(rng, signer.request(body, more)), [body])


def half_closed(rng: random.Random, signer: Signer) -> Capture:
    bodies = [signer.body(rng, rng.choice([0, 500])) for _ in range(rng.randint(1, 3))]
    return Capture("half-close", split(rng, b"".join(map(signer.request, bodies))), bodies, half_closes=True)


# --- requests that may be rejected in any way -----------------------------------------------------------------------


def lengths(rng: random.Random, signer: Signer) -> Capture:
    """Conflicting or odd framing, with a signed request where another reader would see the next one."""
    inner = signer.body(rng)
    hidden = signer.request(inner, allowed=False)
    size = len(hidden)
    frames: Sequence[tuple[bytes, ...]] = (
        (b"content-length: %d" % size, b"content-length: 0"),
        (b"content-length: 0", b"content-length: %d" % size),
        (b"content-length: %d, 0" % size,),
        (b"content-length: %d" % size, b"transfer-encoding: chunked"),
        (b"transfer-encoding: chunked", b"transfer-encoding: identity", b"content-length: %d" % size),
        (b"transfer-encoding: xchunked", b"content-length: %d" % size),
        (b"transfer-encoding : chunked", b"content-length: %d" % size),
        (b"transfer-encoding:\x0bchunked", b"content-length: %d" % size),
        (b"transfer-encoding: chunked, identity", b"content-length: %d" % size),
        (b"content-length: +%d" % size,),
        (b"content-length: 0x%x" % size,),
        (b"content-length: -1",),
        (b"content-length: %d" % 10**30,),
        (b"content-length: %d" % size,),
        (b"content-length : %d" % size,),
        (b"content-length:\t%d " % size,),
    )
    frame = rng.choice(frames)
    start = rng.choice([b"", b"0\r\n\r\n"]) if b"chunked" in b"".join(frame) else b""
    outer = head(b"POST / HTTP/1.1", b"Host: " + signer.host.encode(), *frame)
    return Capture("lengths", split(rng, outer + start + hidden), None, [inner])


def line_ends(rng: random.Random, signer: Signer) -> Capture:
    request = signer.request(signer.body(rng))
    ways: Sequence[Callable[[bytes], bytes]] = (
        lambda text: text.replace(b"\r\n", b"\n"),
        lambda text: text.replace(b"\r\n", b"\r"),
        lambda text: text.replace(b"\r\n", b"\n", rng.randint(1, 3)),
        lambda text: text.replace(b"\r\n", b"\r\r\n", 2),
        lambda text: b"\r\n" * rng.randint(1, 2000) + text,
        lambda text: text.replace(b"\r\nx-port", b"\r\n x-port"),
        lambda text: text.replace(b"x-port-timestamp: ", b"x-port-timestamp:\r\n\t"),
        lambda text: text.replace(b"x-port-timestamp:", b"x-port-timestamp :"),
        lambda text: text.replace(b"Host:", b"\x00Host:"),
    )
    return Capture("line ends", split(rng, rng.choice(ways)(request)))


def targets(rng: random.Random, signer: Signer) -> Capture:
    lines = (
        f"POST http://{signer.host}/ HTTP/1.1".encode(),
        b"POST http://169.254.169.254/latest HTTP/1.1",
        b"CONNECT 127.0.0.1:22 HTTP/1.1",
        b"OPTIONS * HTTP/1.1",
        b"POST * HTTP/1.1",
        b"POST x HTTP/1.1",
        b"POST  / HTTP/1.1",
        b"POST /\x1b[2J\xe2\x80\xae HTTP/1.1",
        b"POST /\x00 HTTP/1.1",
        b"POST /%s HTTP/1.1" % (b"a" * rng.choice([8190, 70_000, LIMIT])),
        b"POST / HTTP/1.0",
        b"POST / HTTP/0.9",
        b"POST / HTTP/2.0",
        b"POST / HTTP/1.10",
        b"POST /",
        b"POST / http/1.1",
        b"PO\xd6ST / HTTP/1.1",
        b"\x1b[2J / HTTP/1.1",
        b"M-SEARCH / HTTP/1.1",
        b"%s / HTTP/1.1" % (b"A" * 5000),
    )
    return Capture("targets", split(rng, signer.request(signer.body(rng), line=rng.choice(lines))))


def heads(rng: random.Random, signer: Signer) -> Capture:
    fields = (
        b"x: " + b"a" * rng.choice([10_000, LIMIT, 2 * LIMIT]),
        b"\r\n".join(b"x%d: y" % number for number in range(rng.choice([500, 20_000]))),
        b": no name",
        b"no colon",
        b"x\x00: y",
        b"x: \x00",
        b"x: a\rb",
        b"connection: upgrade\r\nupgrade: websocket",
        b"connection: upgrade, http2-settings\r\nupgrade: h2c\r\nhttp2-settings: AAMAAABkAAQAAP__",
        b"connection: close, content-length, host",
        b"expect: 200-maybe",
        b"content-encoding: gzip",
        b"te: trailers, chunked",
        b"Host: a\r\nHost: b",
    )
    return Capture("heads", split(rng, signer.request(signer.body(rng), rng.choice(fields))))


def chunks(rng: random.Random, signer: Signer) -> Capture:
    """Chunked bodies with a mistake."""
    body = signer.body(rng)
    right = chunked(rng, body)
    wrong = (
        b"-1\r\n" + right,
        b"0x5\r\nabcde\r\n" + right,
        b"5\nabcde\n" + right,
        b"f" * 17 + b"\r\n",
        b"5;" + b"x" * (2 * LIMIT) + b"\r\nabcde\r\n" + right,
        b"5 \r\nabcde\r\n" + right,
        b"5\r\nabcdefg\r\n" + right,
        right.replace(b"0\r\n\r\n", b"0\r\n" + b"x: y\r\n" * 50_000 + b"\r\n"),
        right.replace(b"0\r\n\r\n", b"00000\r\n\r\n"),
        right.removesuffix(b"0\r\n\r\n"),
        right.replace(b"0\r\n\r\n", b"0\r\nx y\r\n\r\n"),
    )
    start = head(b"POST / HTTP/1.1", *signer.fields(body), b"transfer-encoding: chunked")
    return Capture("invalid chunks", split(rng, start + rng.choice(wrong)))


def cut_off(rng: random.Random, signer: Signer) -> Capture:
    request = signer.request(signer.body(rng, rng.choice([0, 50_000])))
    return Capture("cut off", split(rng, request[: rng.randrange(1, len(request))]), half_closes=rng.random() < 0.5)


def too_large(rng: random.Random, signer: Signer) -> Capture:
    """More than --max-body, said in the head or found out on the way."""
    body = signer.body(rng, MOST_OF_A_BODY)
    request = signer.request(body)
    if rng.random() < 0.5:
        fields = signer.fields(body)
        request = head(b"POST / HTTP/1.1", *fields, b"transfer-encoding: chunked") + chunked(rng, body)
    return Capture("too large", [request])


def unsigned(rng: random.Random, signer: Signer) -> Capture:
    """Requests without a signature, or with a signature for another body or another time."""
    body, other = signer.body(rng), signer.body(rng)
    request = signer.request(other, allowed=False)
    fields = request.partition(b"\r\n\r\n")[0].split(b"\r\n")[1:]
    kept = [each for each in fields if not each.startswith(b"content-length")]
    if rng.random() < 0.3:
        kept = kept[:2]
    content = rng.choice([body, other + b" ", other[:-1], b"", b"[" * 5000])
    return Capture(
        "unsigned", [head(b"POST / HTTP/1.1", *kept, b"content-length: %d" % len(content)) + content], None, [other]
    )


def mutated(rng: random.Random, signer: Signer) -> Capture:
    """A valid request with a few bytes changed, removed, doubled or added."""
    request = bytearray(signer.request(signer.body(rng)))
    for _ in range(rng.choice([1, 1, 2, 5, 20])):
        start = rng.randrange(len(request))
        end = start + rng.choice([0, 1, 1, 4, 30])
        piece = bytes(request[start:end])
        request[start:end] = rng.choice(
            [b"", piece * 2, rng.randbytes(len(piece)), b"\r\n", b"\x00", b":", b" ", b"\xff"]
        )
        if not request:
            break
    return Capture("mutated", split(rng, bytes(request)))


def noise(rng: random.Random, signer: Signer) -> Capture:
    kinds = (
        rng.randbytes(rng.choice([1, 10, 1000, 100_000])),
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + rng.randbytes(50),
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + rng.randbytes(500),
        b"SSH-2.0-OpenSSH_9.6\r\n",
        b"GET / HTTP/1.1\r\n\r\n" * 200,
        b"\x00" * 5000,
        b"",
    )
    return Capture("noise", [rng.choice(kinds)], half_closes=rng.random() < 0.5)


GOOD = (plain, plain, in_chunks, pipelined, expecting, doubled, half_closed)
BAD = (
    lengths,
    lengths,
    line_ends,
    targets,
    heads,
    chunks,
    cut_off,
    too_large,
    unsigned,
    mutated,
    mutated,
    mutated,
    noise,
)
