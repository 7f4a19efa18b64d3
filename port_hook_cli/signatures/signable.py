"""The bytes of a payload file that are signed: the form that Port would send, or the file's own bytes."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from port_hook_cli.javascript.stringify import NotJson, stringify

Form = Literal["json-stringify", "raw"]

CAPTURE_MARK = b"port-hook/capture/"
"""A file without these bytes is not a capture file, so most payloads do not have to be parsed to find out."""

_BOM = b"\xef\xbb\xbf"


@dataclass(frozen=True, slots=True, kw_only=True)
class Signable:
    """The bytes to sign, their form, and a phrase that says how they differ from the file's ("" if they do not)."""

    body: bytes = field(repr=False)
    form: Form
    difference: str = ""


def signable(content: bytes, *, raw: bool = False) -> Signable:
    """Return the bytes to sign: `raw` the file's own, else the form that Port sends; then raises NotJson."""
    return Signable(body=content, form="raw") if raw else as_port_sends(content)


def as_port_sends(content: bytes) -> Signable:
    """Return `JSON.stringify(JSON.parse(content))`, the form that Port signs; raises NotJson.

    Handlers in Node serialize the parsed body again before they verify it, so only this form is accepted by all.
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
        return "without the line break at the end of the file"
    return f"as compact JSON, as Port does ({len(body):,} bytes; the file has {len(content):,})"
