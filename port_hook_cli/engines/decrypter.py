"""Decrypts properties of a payload in memory. Nothing is saved, and captures do not change."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from port_hook_cli.actions.encrypted_inputs import Decryption, Place, named_places, place_at
from port_hook_cli.actions.encryption import CannotDecrypt, Problem, Scheme
from port_hook_cli.invocations.models import Exchange, Payload
from port_hook_cli.javascript.paths import MISSING, JsonPath

# A hostile payload may list thousands of encrypted inputs; a screen shows only the first ones.
_MAX_SHOWN = 40
# If no key decrypts a value, the first of these that occurred is reported, as the most informative one.
_BY_INFORMATION = (Problem.WRONG_KEY, Problem.TRUNCATED, Problem.NOT_ENCRYPTED)


@dataclass(frozen=True, slots=True, kw_only=True)
class Decrypter:
    """Decrypts properties with the available keys. `deciphers` return the plaintext of a value or raise CannotDecrypt.

    `paths` are the properties to decrypt; by default, the properties that the payload lists as encrypted.
    """

    deciphers: Mapping[Scheme, Callable[[Any], bytes]] = field(repr=False)
    paths: Sequence[JsonPath] = ()

    def decrypt(self, payload: Payload) -> list[Decryption]:
        """Return the result for each property in `paths`, or for each property that the payload lists as encrypted."""
        return [self._open(place) for place in self._places(payload)]

    def reveal(self, exchange: Exchange) -> list[Decryption]:
        """Return the results to show with an exchange, without missing properties. Never raises."""
        places = [place for place in self._places(exchange.payload) if place.value is not MISSING]
        return [self._open(place) for place in places[:_MAX_SHOWN]]

    def _places(self, payload: Payload) -> list[Place]:
        if self.paths:
            return [place_at(payload.document, path) for path in self.paths]
        return named_places(payload)

    def _open(self, place: Place) -> Decryption:
        if place.value is MISSING:
            return Decryption(path=place.path, problem=Problem.MISSING, message="the payload has no value there")
        failures: list[CannotDecrypt] = []
        # A value does not say how it was encrypted; its authentication tag shows whether the key is right.
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
