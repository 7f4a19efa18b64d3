"""Which properties of a payload are encrypted, where they stand, and what they say once decrypted.

The payload names them (`payload.censoredProperties`, `action.encryptedProperties`) without saying where they stand.
So a name is looked for among the inputs of each shape first. An `invocationMethod.body` template may put it anywhere:
a key of that name elsewhere counts if its value looks encrypted.
"""

from __future__ import annotations

import json
import math
from base64 import b64encode
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, NoReturn

from port_hook_cli.actions.encryption import Problem, Scheme, looks_encrypted
from port_hook_cli.invocations.models import Payload
from port_hook_cli.javascript.nesting import nests_too_deep
from port_hook_cli.javascript.paths import MISSING, JsonPath, Step, get_at, set_at

DECRYPTION = "port-hook/decryption/1"
ENCRYPTION = "port-hook/encryption/1"

_INPUTS: tuple[tuple[str, ...], ...] = (("payload", "properties"), ("inputs",), ("port_payload", "inputs"))
# A hostile body must not make the search expensive.
_MOST_VALUES_SEARCHED = 10_000


@dataclass(frozen=True, slots=True)
class Place:
    """Where an encrypted property is expected, and what stands there: a value of JSON, or MISSING."""

    path: JsonPath
    value: Any = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Decryption:
    """What became of one property: its `plaintext` and `scheme`, or a `problem` and a `message` that explains it."""

    path: JsonPath
    plaintext: bytes | None = field(default=None, repr=False)
    scheme: Scheme | None = None
    problem: Problem | None = None
    message: str = ""

    @property
    def value(self) -> Any:
        """The object whose JSON the plaintext is, else its text; None when it is no UTF-8 or there is none."""
        if self.plaintext is None:
            return None
        try:
            text = self.plaintext.decode("utf-8")
        except UnicodeDecodeError:
            return None
        document = _object_in(text)
        return text if document is None else document


def named_places(payload: Payload) -> list[Place]:
    """Return where the properties stand that the payload names as encrypted, in the order of the names.

    A name that stands nowhere gives a MISSING at the path of its own; one whose value is null, an input that was left
    empty, gives nothing.
    """
    names = dict.fromkeys(payload.censored)
    found: dict[str, list[Place]] = {name: _among_inputs(payload.document, name) for name in names}
    for place in _looking_encrypted(payload.document):
        name = place.path.steps[-1]
        if isinstance(name, str) and name in found and place not in found[name]:
            found[name].append(place)
    return [
        place
        for name, places in found.items()
        for place in places or [Place(JsonPath((name,)), MISSING)]
        if place.value is not None
    ]


def place_at(document: Any, path: JsonPath) -> Place:
    """Return what stands at `path`. A single name that the document itself has not is looked for among the inputs."""
    value = get_at(document, path)
    name = path.steps[0]
    if value is MISSING and len(path.steps) == 1 and isinstance(name, str):
        return next(iter(_among_inputs(document, name)), Place(path, MISSING))
    return Place(path, value)


def likely_paths(document: Any, *, most: int) -> list[JsonPath]:
    """Return the paths of at most `most` values that look encrypted, for a hint."""
    return [place.path for place, _ in zip(_looking_encrypted(document), range(most), strict=False)]


def with_decrypted(document: Any, decryptions: Iterable[Decryption]) -> Any:
    """Return a copy of `document` that holds the decrypted values; what could not be decrypted stays as it is."""
    for decryption in decryptions:
        if decryption.value is not None:
            document = set_at(document, decryption.path, decryption.value)
    return document


def decryption_record(decryption: Decryption) -> dict[str, Any]:
    """Return one property as `decrypt --json` prints it, described in docs/reference/json-records.md."""
    value, plaintext = decryption.value, decryption.plaintext
    is_text = plaintext is None or value is not None
    return {
        "schema": DECRYPTION,
        "path": str(decryption.path),
        "value": value,
        **({} if is_text else {"value_base64": b64encode(plaintext or b"").decode()}),
        "scheme": decryption.scheme,
        "problem": decryption.problem,
        "message": decryption.message or None,
    }


def encryption_record(scheme: Scheme, value: str) -> dict[str, Any]:
    """Return an encrypted value as `encrypt --json` prints it."""
    return {"schema": ENCRYPTION, "scheme": scheme, "value": value}


def _among_inputs(document: Any, name: str) -> list[Place]:
    paths = [JsonPath((*inputs, name)) for inputs in _INPUTS]
    return [place for path in paths if (place := Place(path, get_at(document, path))).value is not MISSING]


def _looking_encrypted(document: Any) -> Iterator[Place]:
    """Yield the values that look encrypted, breadth first, up to a bound."""
    # Each with the number of the value that holds it: paths are put together for what is found only.
    queue: list[tuple[int, Step, Any]] = [(-1, "", document)]
    for number, (_, _, value) in enumerate(queue):
        if number >= _MOST_VALUES_SEARCHED:
            return
        if isinstance(value, dict):
            queue.extend((number, key, inner) for key, inner in value.items())
        elif isinstance(value, list):
            queue.extend((number, index, inner) for index, inner in enumerate(value))
        elif number and looks_encrypted(value):
            yield Place(_path(queue, number), value)


def _path(queue: Sequence[tuple[int, Step, Any]], number: int) -> JsonPath:
    steps: list[Step] = []
    while number > 0:
        number, step, _ = queue[number]
        steps.append(step)
    return JsonPath(tuple(reversed(steps)))


def _object_in(text: str) -> dict[str, Any] | None:
    """Return the object that `text` is the JSON of, None when it is not: a string may look like anything."""
    if not text.lstrip(" \t\r\n").startswith("{") or nests_too_deep(text):
        return None
    try:
        document = json.loads(text, parse_constant=_refuse, parse_float=_finite)
        json.dumps(document)
    except (RecursionError, ValueError):
        return None
    return document if isinstance(document, dict) else None


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is not JSON")


def _finite(text: str) -> float:
    number = float(text)
    return number if math.isfinite(number) else _refuse(text)
