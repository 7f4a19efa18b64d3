"""The saved part of a response's body: the whole raw body, or its decompressed beginning."""

from __future__ import annotations

import zlib

from port_hook_cli.http.failures import ResponseTooLarge, UnreadableResponse, body_too_large
from port_hook_cli.invocations.headers import Headers

SHOWN_BYTES = 64 * 1024
"""The number of bytes of a body to save for display only. The rest is read and discarded."""


class WholeBody:
    """The whole raw body of a response, which has at most `limit` bytes."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._size = 0
        self._parts: list[bytes] = []

    def take(self, part: bytes) -> None:
        """Add the next part of the body. Raises ResponseTooLarge above the limit."""
        self._size += len(part)
        if self._size > self._limit:
            self._parts.clear()
            raise ResponseTooLarge(body_too_large(self._limit))
        self._parts.append(part)

    def content(self, headers: Headers) -> bytes:  # noqa: ARG002 - the signature of BodyBeginning.content
        """Return the whole body."""
        return self._parts[0] if len(self._parts) == 1 else b"".join(self._parts)


class BodyBeginning:
    """The first SHOWN_BYTES of a body of at most `limit` bytes, decompressed if it has one content coding."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._size = 0
        self._kept = bytearray()

    def take(self, part: bytes) -> None:
        """Add the next part of the body. Raises ResponseTooLarge above the limit."""
        self._size += len(part)
        if self._size > self._limit:
            raise ResponseTooLarge(body_too_large(self._limit))
        if len(self._kept) < SHOWN_BYTES:
            self._kept += part[: SHOWN_BYTES - len(self._kept)]

    def content(self, headers: Headers) -> bytes:
        """Return the beginning of the body. Raises UnreadableResponse if the beginning cannot be decompressed."""
        try:
            return _decompressed(bytes(self._kept), headers.get("content-encoding") or "")
        except zlib.error as error:
            raise UnreadableResponse(f"its body cannot be decompressed: {error}") from error


def _decompressed(data: bytes, coding: str) -> bytes:
    """Return the decompressed beginning of `data`, at most SHOWN_BYTES. Raises zlib.error."""
    match coding.strip().lower():
        case "gzip" | "x-gzip":
            return _inflated(data, zlib.MAX_WBITS | 16)
        case "deflate":
            try:
                return _inflated(data, zlib.MAX_WBITS)
            except zlib.error:  # `deflate` is a zlib stream, but some servers send raw deflate data
                return _inflated(data, -zlib.MAX_WBITS)
        case _:
            return data


def _inflated(data: bytes, wbits: int) -> bytes:
    return zlib.decompressobj(wbits).decompress(data, SHOWN_BYTES)
