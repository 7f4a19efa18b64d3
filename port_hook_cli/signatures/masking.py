"""Mask signatures in text and bytes for readers who must not be able to send the request. Pure."""

from __future__ import annotations

import re

from port_hook_cli.text.secret import MASK

# `v1,` and the base64 of 32 bytes, with or without the `=` at its end, which anyone can add again. The punctuation may
# be written with the escapes of JSON (once or twice) and of URLs.
_BASE64 = r"(?:[A-Za-z0-9+/]|\\+/|\\+u002[bBfF]|%2[bBfF])"
_SIGNATURE = rf"v1(?:,|\\+u002[cC]|%2[cC]){_BASE64}{{43}}(?:=|\\+u003[dD]|%3[dD])?"
# Whatever a header field inside JSON says, as in a message of Kafka.
_MEMBER = r'("[xX]-[pP][oO][rR][tT]-[sS][iI][gG][nN][aA][tT][uU][rR][eE]"\s*:\s*)"(?:[^"\\]|\\.)*"'

_in_text = re.compile(_SIGNATURE)
_in_bytes = re.compile(_SIGNATURE.encode())
_member = re.compile(_MEMBER.encode(), re.DOTALL)


def without_signatures(text: str) -> str:
    """Return text with every signature masked that is written as Port writes it, plain or escaped."""
    return _in_text.sub(MASK, text)


def content_without_signatures(content: bytes) -> bytes:
    """Return a body with its signatures masked, and with the value of each JSON member `x-port-signature`."""
    return _in_bytes.sub(MASK.encode(), _member.sub(rb'\1"%s"' % MASK.encode(), content))
