"""Kafka messages for tests: JSON in ordinary and unusual forms, and texts that are not JSON."""

from __future__ import annotations

import json
from random import Random

from hypothesis import strategies as st

from tests.javascript.json_texts import JSON_TEXTS

_KEYS = [
    '"a"',
    '"a"',
    '"headers"',
    '"\\u0068eaders"',
    '"x\\"headers"',
    '"10"',
    '"2"',
    '"-1"',
    '"zo\xeb"',
    '""',
    '"\\ud83d"',
]
_FIELDS = [
    *['"X-Port-Signature"', '"X-Port-Timestamp"', '"RUN_ID"'] * 3,
    '"x-port-signature"', '"X-PORT-TIMESTAMP"', '"X-Port-\\u0053ignature"', '"Content-Type"', '"content-length"',
    '"a b"', '"zo\xeb"', '"1"', '"0"', '"\\n"', '""',
]  # fmt: skip
_SCALARS = [
    *["0", "-0", "1", "-1", "2.0", "0.1", "1e-7", "1e21", "1E5", "1e400", "5e-324", "9007199254740993", "1" * 30],
    *["1" * 5_000, "true", "false", "null", "NaN", "Infinity", '""', '"v1,abc="', '"1795936580"', '"a\\/b"', '"\\t"'],
    *['"\xe9"', '"\U0001f600"', '"\\ud83d\\ude00"', '"\\ud83d"', '"\ud83d"', '"\\u007f"', '"\x7f"', '"\\r\\n"'],
    *['"\\u00e9"', '"\\"headers\\":{}"', '"\u2028"', "[]", "{}"],
]  # fmt: skip
_SPACES = ["", "", "", "", " ", "\n"]
_ENDS = ["", "", "", "", "", "", "\n", "}", " x", "\ufeff"]

FIELD_TEXTS = st.sampled_from(_FIELDS)


def _object(members: list[tuple[str, str]]) -> str:
    return f"{{{','.join(f'{name}:{value}' for name, value in members)}}}"


_HEADERS = st.lists(st.tuples(FIELD_TEXTS, st.sampled_from(_SCALARS) | JSON_TEXTS), max_size=5).map(_object)
_MEMBERS = st.tuples(st.sampled_from(_KEYS), JSON_TEXTS) | st.tuples(st.just('"headers"'), _HEADERS)
MESSAGES = st.lists(_MEMBERS, max_size=4).map(_object).map(lambda text: text.encode("utf-8", "surrogatepass"))


def any_message(random: Random) -> bytes:
    """Return a message. Half of the messages are in Port's form, so only their values are unusual."""
    if random.random() < 0.5:
        document = {"action": "a", "n": _value(random), "headers": _fields(random), "z": _value(random)}
        keys = random.sample(list(document), random.randint(1, len(document)))
        text = json.dumps({key: document[key] for key in keys}, separators=(",", ":"), ensure_ascii=False)
    else:
        text = _container(random, 0) + random.choice(_ENDS)
    value = text.encode("utf-8", "surrogatepass")
    return b"\xef\xbb\xbf" + value if random.random() < 0.01 else value


def _fields(random: Random) -> dict[str, object]:
    return {json.loads(random.choice(_FIELDS)): _value(random) for _ in range(random.randint(0, 5))}


def _value(random: Random) -> object:
    text = random.choice(_SCALARS)
    return None if len(text) > 1_000 else json.loads(text)  # Python cannot read longer numbers


def _container(random: Random, depth: int) -> str:
    members = []
    for _ in range(random.randint(0, 4)):
        name = random.choice(_KEYS)
        value = _headers(random) if "eaders" in name and random.random() < 0.7 else _text(random, depth + 1)
        members.append(f"{_space(random)}{name}{_space(random)}:{_space(random)}{value}")
    return f"{{{','.join(members)}{_space(random)}}}"


def _headers(random: Random) -> str:
    members = [(random.choice(_FIELDS), _text(random, 2)) for _ in range(random.randint(0, 5))]
    return _object(members)


def _text(random: Random, depth: int) -> str:
    if depth < 3 and random.random() < 0.3:
        return _container(random, depth)
    if random.random() < 0.05:
        return f"[{random.choice(_SCALARS)},{random.choice(_SCALARS)}]"
    return random.choice(_SCALARS)


def _space(random: Random) -> str:
    return random.choice(_SPACES)
