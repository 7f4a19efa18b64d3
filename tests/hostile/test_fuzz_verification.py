"""Verification against the oracle: port-hook and the oracle agree about validity, and verification never raises."""

from __future__ import annotations

import base64
import gzip
import json
import random
from dataclasses import dataclass
from functools import partial

from port_hook_cli.invocations.headers import Headers
from port_hook_cli.invocations.models import Status
from port_hook_cli.signatures.verification import verify_signature, verify_without_diagnosis
from port_hook_cli.text.secret import Secret
from tests.hostile import oracle
from tests.hostile.fuzzing import chance, how_to_repeat, report, rounds

CASES = 250  # in a round
NOW = 1_700_000_000.0
NAMES = ("x-port-signature", "X-Port-Signature", "X-PORT-SIGNATURE"), ("x-port-timestamp", "X-Port-Timestamp")


@dataclass
class Case:
    """A request, before and after it was tampered with."""

    secret: str
    body: bytes
    timestamp: str
    signature: str
    now: float
    tolerance_s: float
    fields: list[tuple[str, str]]


def a_secret(rng: random.Random) -> str:
    made_up = "".join(rng.choices("abcXYZ019+/=-_.é€🚢 ", k=rng.randint(1, 40)))
    return rng.choice(["a-client-secret", made_up, made_up, f" {made_up}\n", f'"{made_up}"', "\ud800x", "x" * 100, ""])


def a_body(rng: random.Random) -> bytes:
    document = {
        "n": rng.choice([1, 1.0, -0.0, 1e21, 2**60]),
        "t": rng.choice(["", "Zoë", "\x1b[2J", "\u2028", "x" * 500]),
    }
    text = json.dumps(document, ensure_ascii=rng.random() < 0.5, separators=rng.choice([(",", ":"), (", ", ": ")]))
    kinds = (
        text.encode(),
        rng.randbytes(rng.choice([0, 1, 63, 64, 65, 1000])),
        text.encode() + rng.choice([b"\n", b"\r\n", b" ", b"\x00"]),
        b"\xef\xbb\xbf" + text.encode(),
        text.encode("utf-16"),
        gzip.compress(text.encode(), mtime=0),
        b'{"a":1,"a":2}',
        b"[" * 2000 + b"]" * 2000,
    )
    return rng.choice(kinds)


def a_timestamp(rng: random.Random, now: float, tolerance_s: float) -> str:
    offset = rng.choice([0, 0, 0, 1, -1, tolerance_s, -tolerance_s, tolerance_s + 1, -tolerance_s - 1, 10**6])
    seconds = int(now + offset)
    odd = ("", "-", "+1", "1.5", "0x10", "1e9", "٣", "²", "9" * 18, "9" * 19, "9" * 65, f"-{seconds}", f"{seconds}\x00")
    return rng.choice([str(seconds)] * 12 + [str(int((now + offset) * 1000))] * 3 + [f"0{seconds}", rng.choice(odd)])


def in_another_notation(rng: random.Random, signature: str) -> str:
    text = signature.removeprefix("v1,")
    raw = base64.b64decode(text)
    ways = (
        text,
        f"V1,{text}",
        f"v2,{text}",
        f"v1, {text}",
        f"v1={text}",
        f"v1,{raw.hex()}",
        f"v1,{base64.urlsafe_b64encode(raw).decode()}",
        signature.rstrip("="),
        signature + "=",
        f"{signature}, {signature}",
        signature.swapcase(),
        signature[:-2] + chr(ord(signature[-2]) + 1) + "=",
        "v1," + base64.b64encode(raw[:-1]).decode(),
        "v1,",
        "\xff" * 47,
        "v1," * 3000,
    )
    return rng.choice(ways)


def spoiled(rng: random.Random, text: str) -> str:
    """Return `text` with one character changed, removed or added."""
    at = rng.randrange(len(text) + 1)
    other = rng.choice("0aZ=+/, \t\x00\x7f\xa0\xff")
    return text[:at] + rng.choice(["", other]) + text[at + rng.choice([0, 1]) :]


def a_case(rng: random.Random) -> Case:
    secret, body, tolerance_s = a_secret(rng), a_body(rng), rng.choice([300.0, 300.0, 300.0, 10.0, 0.0])
    now = NOW + rng.choice([0, 0.5, 12345])
    timestamp = a_timestamp(rng, now, tolerance_s)
    signed_at = timestamp if timestamp.isascii() else "1"
    case = Case(secret, body, timestamp, oracle.sign(secret, signed_at, body), now, tolerance_s, [])
    tamper(rng, case)
    signature, stamp = rng.choice(NAMES[0]), rng.choice(NAMES[1])
    padding = rng.choice(["", "", " ", "\t "])
    case.fields = [(signature, padding + case.signature + padding), (stamp, padding + case.timestamp)]
    double(rng, case)
    return case


def tamper(rng: random.Random, case: Case) -> None:
    """Change one thing, or nothing: about half of the cases stay as Port would send them."""
    match rng.randrange(18):
        case 0:
            case.signature = in_another_notation(rng, case.signature)
        case 1:
            case.signature = spoiled(rng, case.signature)
        case 2:
            case.timestamp = spoiled(rng, case.timestamp)
        case 3:
            case.body = spoiled(rng, case.body.decode("latin-1")).encode("latin-1")
        case 4:
            case.body = case.body.strip() + rng.choice([b"", b"\n"])
        case 5:
            case.secret = rng.choice([case.secret.strip(), case.secret[:-1], f"{case.secret}\n", ""])
        case 6:
            case.timestamp = f"{case.timestamp}000"
        case _:
            pass


def double(rng: random.Random, case: Case) -> None:
    """Add headers, including repeated headers, or a declared form of the body."""
    other = rng.choice([*case.fields, (NAMES[0][0], ""), (NAMES[1][0], " "), (NAMES[0][1], "v1,x"), (NAMES[1][0], "1")])
    if rng.random() < 0.15:
        case.fields.insert(rng.randint(0, len(case.fields)), other)
    if rng.random() < 0.1:
        case.fields *= rng.choice([2, 6])
    if rng.random() < 0.2:
        case.fields.append(("content-encoding", rng.choice(["gzip", "deflate", "br", "gzip, gzip"])))
    if rng.random() < 0.2:
        charset = rng.choice(["utf-16", "latin-1", "x" * 2000, "\xff", "rot13", "unicode_escape"])
        case.fields.append(("content-type", f"application/json; charset={charset}"))
    if rng.random() < 0.1:
        rng.shuffle(case.fields)


def test_oracle_signs_like_openssl() -> None:
    """`printf '1700000000.{"a":1}' | openssl dgst -sha256 -hmac a-client-secret -binary | base64`."""
    assert oracle.sign("a-client-secret", "1700000000", b'{"a":1}') == "v1,fzohPxYY67giOAAL6etHZMjp6OZmjr1eYaw4C5lNFNM="


def test_verification_agrees_with_the_oracle_and_never_raises() -> None:
    found = {True: 0, False: 0}
    for number in rounds():
        for index in range(CASES):
            case = a_case(chance("verification", number, index))
            expected = oracle.is_valid(case.fields, case.body, case.secret, now=case.now, tolerance_s=case.tolerance_s)
            check(case, expected, how_to_repeat(number, index))
            found[expected] += 1
    report(
        f"verification: {found[True]} valid and {found[False]} other signatures verified as the oracle verifies them"
    )
    # Otherwise the test would show nothing.
    assert min(found.values()) > CASES / 5


def check(case: Case, expected: bool, failed: str) -> None:
    headers, secret = Headers(tuple(case.fields)), Secret(case.secret)
    ask = partial(verify_signature, headers, case.body, secret, now=case.now, tolerance_s=case.tolerance_s)
    ask_plainly = partial(
        verify_without_diagnosis, headers, case.body, secret, now=case.now, tolerance_s=case.tolerance_s
    )
    try:
        verdict, plain, repeated = ask(), ask_plainly(), ask(seen=NOW)
    except Exception as error:
        raise AssertionError(f"verify_signature raised {error!r} for {case}\n{failed}") from error
    assert (verdict.status is Status.VALID) == expected, f"{verdict} for {case}\n{failed}"
    assert plain is None or plain == verdict, f"{plain} at once, {verdict} in the end, for {case}\n{failed}"
    assert repeated.status is verdict.status, f"{repeated} when seen before, for {case}\n{failed}"
