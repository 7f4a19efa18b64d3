"""What of a payload file is signed: the form that Port would send, or the bytes as they are."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from port_hook_cli.javascript.stringify import NotJson, stringify

Form = Literal["json-stringify", "raw"]

CAPTURE_MARK = b"port-hook/capture/"
"""A file without these bytes is no capture file; most payloads need no closer look."""

_BOM = b"\xef\xbb\xbf"


@dataclass(frozen=True, slots=True, kw_only=True)
class Signable:
    """The bytes to sign, their form, and in words how they differ from those of the file ("" if they do not)."""

    body: bytes = field(repr=False)
    form: Form
    difference: str = ""


def as_written(content: bytes) -> Signable:
    """Return the bytes as they are."""
    return Signable(body=content, form="raw")


def as_port_sends(content: bytes) -> Signable:
    """Return `JSON.stringify(JSON.parse(content))`, the form that Port signs; raises NotJson.

    A handler in Node writes the parsed body again before it verifies, so only this form is accepted by all.
    """
    try:
        text = content.removeprefix(_BOM).decode("utf-8")
    except UnicodeDecodeError as error:
        raise NotJson(f"byte {error.start + 1} is not UTF-8") from error
    body = stringify(text).encode("utf-8")
    return Signable(body=body, form="json-stringify", difference=_difference(content, body))


def _difference(content: bytes, body: bytes) -> str:
    if content == body:
        return ""
    if content.rstrip(b"\r\n") == body:
        return "without the line end at the end of the file"
    return f"in the form of JSON.stringify, {len(body)} bytes instead of the file's {len(content)}"
