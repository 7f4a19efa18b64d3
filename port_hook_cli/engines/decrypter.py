"""Decrypting a payload's properties, in memory: nothing here is saved, and no capture is changed."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from port_hook_cli.actions.encrypted_inputs import Decryption, Place, named_places, place_at
from port_hook_cli.actions.encryption import CannotDecrypt, Problem, Scheme
from port_hook_cli.invocations.models import Exchange, Payload
from port_hook_cli.javascript.paths import MISSING, JsonPath

# A hostile payload may name thousands, and a screen shows no more inputs than these either.
_MOST_SHOWN = 40
# When no key opens a value, the first of these that was met says most.
_TELLING = (Problem.WRONG_KEY, Problem.TRUNCATED, Problem.NOT_ENCRYPTED)


@dataclass(frozen=True, slots=True, kw_only=True)
class Decrypter:
    """Opens what the keys at hand open. `deciphers` return the plaintext of a value or raise CannotDecrypt.

    `paths` are the properties to decrypt; without any, those that a payload names as encrypted.
    """

    deciphers: Mapping[Scheme, Callable[[Any], bytes]] = field(repr=False)
    paths: Sequence[JsonPath] = ()

    def decrypt(self, payload: Payload) -> list[Decryption]:
        """Return what became of each property: of the paths, or of those that the payload names."""
        return [self._open(place) for place in self._places(payload)]

    def reveal(self, exchange: Exchange) -> list[Decryption]:
        """Return what a screen shows beside an exchange: properties that are not there are left out. Never raises."""
        places = [place for place in self._places(exchange.payload) if place.value is not MISSING]
        return [self._open(place) for place in places[:_MOST_SHOWN]]

    def _places(self, payload: Payload) -> list[Place]:
        if self.paths:
            return [place_at(payload.document, path) for path in self.paths]
        return named_places(payload)

    def _open(self, place: Place) -> Decryption:
        if place.value is MISSING:
            return Decryption(path=place.path, problem=Problem.MISSING, message="the payload has nothing there")
        failures: list[CannotDecrypt] = []
        # A value does not say how it was encrypted; its tag says whether the right key was tried.
        for scheme, decipher in self.deciphers.items():
            try:
                return Decryption(path=place.path, plaintext=decipher(place.value), scheme=scheme)
            except CannotDecrypt as failure:
                failures.append(failure)
        return _failed(place.path, failures)


def _failed(path: JsonPath, failures: Sequence[CannotDecrypt]) -> Decryption:
    problem = min((failure.problem for failure in failures), key=_TELLING.index)
    messages = dict.fromkeys(str(failure) for failure in failures)
    return Decryption(path=path, problem=problem, message="; ".join(messages))
