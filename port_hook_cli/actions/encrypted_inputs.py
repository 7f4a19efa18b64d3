"""Find the encrypted properties of a payload, decrypt them in memory, and insert the values into the payload.

The payload lists the names of encrypted properties (`payload.censoredProperties`, `action.encryptedProperties`), but
not their paths. port-hook first looks for a name among the inputs, in each form of payload. An `invocationMethod.body`
template can put the property anywhere, so a key with that name elsewhere also counts if its value looks encrypted.
"""

from __future__ import annotations

import json
import math
from base64 import b64encode
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import field
from typing import TYPE_CHECKING, Any

from port_hook_cli.actions.encryption import CannotDecrypt, Problem, Scheme, looks_encrypted
from port_hook_cli.frozen import frozen
from port_hook_cli.invocations.models import Capture, Payload
from port_hook_cli.javascript.nesting import nests_too_deep, strict_json
from port_hook_cli.javascript.paths import MISSING, JsonPath, Step, get_at, set_at
from port_hook_cli.text.safe import brief, printable

if TYPE_CHECKING:
    from port_hook_cli.text.styled import Styled

DECRYPTION = "port-hook/decryption/1"
ENCRYPTION = "port-hook/encryption/1"

_INPUTS: tuple[tuple[str, ...], ...] = (("payload", "properties"), ("inputs",), ("port_payload", "inputs"))
# A malicious body must not make the search expensive.
_MAX_VALUES_SEARCHED = 10_000
_PATH_LIMIT = 200


# A malicious payload can list thousands of encrypted inputs. port-hook shows only the first few of them.
_MAX_SHOWN = 40
# If no key decrypts a value, port-hook reports the first of these problems, because it is the most informative.
_BY_INFORMATION = (Problem.WRONG_KEY, Problem.TRUNCATED, Problem.NOT_ENCRYPTED)


@frozen
class Place:
    """The path where an encrypted property is expected, and the JSON value there, or MISSING."""

    path: JsonPath
    value: Any = field(repr=False)


@frozen(kw_only=True)
class Decryption:
    """The result for one property: its `plaintext` and `scheme`, or a `problem` and a `message` about the problem."""

    path: JsonPath
    plaintext: bytes | None = field(default=None, repr=False)
    scheme: Scheme | None = None
    problem: Problem | None = None
    message: str = ""

    @property
    def value(self) -> Any:
        """The plaintext: an object if it is a JSON object, otherwise text. None if it is missing or not UTF-8."""
        if self.plaintext is None:
            return None
        try:
            text = self.plaintext.decode("utf-8")
        except UnicodeDecodeError:
            return None
        document = _object_in(text)
        return text if document is None else document


def named_places(payload: Payload) -> list[Place]:
    """Return the places of the properties that the payload lists as encrypted, in the order of the list.

    A property that the payload lacks has a place with the value MISSING. A property whose value is null has no place,
    because the user left the input empty.
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
    """Return the place at `path`. A single name that is not a key of the document is looked up among the inputs."""
    value = get_at(document, path)
    name = path.steps[0]
    if value is MISSING and len(path.steps) == 1 and isinstance(name, str):
        return next(iter(_among_inputs(document, name)), Place(path, MISSING))
    return Place(path, value)


def likely_paths(document: Any, *, most: int) -> list[JsonPath]:
    """Return the paths of values that look encrypted, at most `most` of them, for a hint."""
    return [place.path for place, _ in zip(_looking_encrypted(document), range(most), strict=False)]


@frozen(kw_only=True)
class Decrypter:
    """Decrypts properties with the available keys. Each of the `deciphers` returns a plaintext or raises CannotDecrypt.

    `paths` are the properties to decrypt. By default, these are the properties that the payload lists as encrypted.
    """

    deciphers: Mapping[Scheme, Callable[[Any], bytes]] = field(repr=False)
    paths: Sequence[JsonPath] = ()

    def decrypt(self, payload: Payload) -> list[Decryption]:
        """Return the result for each property in `paths`, or for each property that the payload lists as encrypted."""
        return [self._open(place) for place in self._places(payload)]

    def reveal(self, capture: Capture) -> list[Decryption]:
        """Return the results to show with a capture, without missing properties. Never raises."""
        places = [place for place in self._places(capture.payload) if place.value is not MISSING]
        return [self._open(place) for place in places[:_MAX_SHOWN]]

    def _places(self, payload: Payload) -> list[Place]:
        if self.paths:
            return [place_at(payload.document, path) for path in self.paths]
        return named_places(payload)

    def _open(self, place: Place) -> Decryption:
        if place.value is MISSING:
            return Decryption(path=place.path, problem=Problem.MISSING, message="the payload has no value there")
        failures: list[CannotDecrypt] = []
        # A value does not say how it was encrypted. Its authentication tag shows whether a key is the right one.
        for scheme, decipher in self.deciphers.items():
            try:
                return Decryption(path=place.path, plaintext=decipher(place.value), scheme=scheme)
            except CannotDecrypt as failure:
                failures.append(failure)
        return _failed(place.path, failures)


def _failed(path: JsonPath, failures: Sequence[CannotDecrypt]) -> Decryption:
    problem = min((failure.problem for failure in failures), key=_BY_INFORMATION.index)
    messages = dict.fromkeys(str(failure) for failure in failures)
    return Decryption(path=path, problem=problem, message="; ".join(messages))


def with_decrypted(document: Any, decryptions: Iterable[Decryption]) -> Any:
    """Return a copy of `document` with the decrypted values. Values that cannot be decrypted stay encrypted."""
    for decryption in decryptions:
        if decryption.value is not None:
            document = set_at(document, decryption.path, decryption.value)
    return document


def _among_inputs(document: Any, name: str) -> list[Place]:
    paths = [JsonPath((*inputs, name)) for inputs in _INPUTS]
    return [place for path in paths if (place := Place(path, get_at(document, path))).value is not MISSING]


def _looking_encrypted(document: Any) -> Iterator[Place]:
    """Yield the values in a document that look encrypted, breadth first, among a limited number of values."""
    # Each value has the number of its container, so that only the paths of matching values have to be built.
    queue: list[tuple[int, Step, Any]] = [(-1, "", document)]
    for number, (_, _, value) in enumerate(queue):
        if number >= _MAX_VALUES_SEARCHED:
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
    """Return the object that `text` contains as JSON, or None if `text` is not a JSON object."""
    if not text.lstrip(" \t\r\n").startswith("{") or nests_too_deep(text):
        return None
    try:
        document = strict_json(text, parse_float=_finite)
        json.dumps(document)
    except (RecursionError, ValueError):
        return None
    return document if isinstance(document, dict) else None


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"{text} is too large for a double")
    return number


def decryption_lines(decryptions: Sequence[Decryption]) -> Iterator[Styled]:
    """Yield a line for each decrypted property: its path and its complete value, with control characters as escapes."""
    from port_hook_cli.text.styled import JSON, Styled  # imported here so that `encrypt` starts faster

    opened = [decryption for decryption in decryptions if decryption.plaintext is not None]
    names = [brief(str(decryption.path), _PATH_LIMIT) for decryption in opened]
    width = max(map(len, names), default=0)
    for name, decryption in zip(names, opened, strict=True):
        style = "" if isinstance(decryption.value, str) else JSON
        yield Styled.assemble(f"{name.ljust(width)}  ", (printable(plain_value(decryption)), style))


def plain_value(decryption: Decryption) -> str:
    r"""Return a decrypted value as text: a string itself, an object as JSON, and bytes that are not UTF-8 as `\xff`."""
    value = decryption.value
    if isinstance(value, str):
        return value
    if value is None:
        return (decryption.plaintext or b"").decode("utf-8", "backslashreplace")
    return json.dumps(value, ensure_ascii=False)


def problem_lines(decryptions: Sequence[Decryption], *, tried: Sequence[str]) -> Iterator[str]:
    """Yield errors and hints for the properties that could not be decrypted. `tried` describes the keys."""
    failed = [decryption for decryption in decryptions if decryption.problem is not None]
    for decryption in failed:
        yield f"error: {brief(str(decryption.path), _PATH_LIMIT)}: {printable(decryption.message)}"
    problems = {decryption.problem for decryption in failed}
    if Problem.WRONG_KEY in problems:
        yield f"hint: port-hook tried {printable(' and '.join(tried))}."
        if not any(Scheme.CLIENT_SIDE in text for text in tried):
            yield "hint: If it was encrypted client-side, pass its private key with --private-key FILE."
    if Problem.MISSING in problems:
        yield "hint: Pass the path of the property, such as payload.properties.password."


def decryption_record(decryption: Decryption) -> dict[str, Any]:
    """Return the record of one property that `decrypt --json` prints (see docs/reference/json-records.md)."""
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
    """Return the record of an encrypted value that `encrypt --json` prints."""
    return {"schema": ENCRYPTION, "scheme": scheme, "value": value}
