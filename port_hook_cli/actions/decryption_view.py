"""Decrypted properties as lines of text."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence

from port_hook_cli.actions.encrypted_inputs import Decryption
from port_hook_cli.actions.encryption import Problem, Scheme
from port_hook_cli.text.safe import brief, printable
from port_hook_cli.text.styled import JSON, Styled

_PATH_LIMIT = 200


def decryption_lines(decryptions: Sequence[Decryption]) -> Iterator[Styled]:
    """Yield a line for each decrypted property: its path and its whole value, with control characters as escapes."""
    opened = [decryption for decryption in decryptions if decryption.plaintext is not None]
    names = [brief(str(decryption.path), _PATH_LIMIT) for decryption in opened]
    width = max(map(len, names), default=0)
    for name, decryption in zip(names, opened, strict=True):
        style = "" if isinstance(decryption.value, str) else JSON
        yield Styled.assemble(f"{name.ljust(width)}  ", (printable(plain_value(decryption)), style))


def plain_value(decryption: Decryption) -> str:
    r"""Return a decrypted value as text: a string itself, an object as JSON, bytes that are not UTF-8 as `\xff`."""
    value = decryption.value
    if isinstance(value, str):
        return value
    if value is None:
        return (decryption.plaintext or b"").decode("utf-8", "backslashreplace")
    return json.dumps(value, ensure_ascii=False)


def problem_lines(decryptions: Sequence[Decryption], *, tried: Sequence[str]) -> Iterator[str]:
    """Yield errors and hints for properties that could not be decrypted. `tried` names the keys with their places."""
    failed = [decryption for decryption in decryptions if decryption.problem is not None]
    for decryption in failed:
        yield f"error: {brief(str(decryption.path), _PATH_LIMIT)}: {printable(decryption.message)}"
    problems = {decryption.problem for decryption in failed}
    if Problem.WRONG_KEY in problems:
        yield f"hint: This was tried: {printable(' and '.join(tried))}."
        if not any(Scheme.CLIENT_SIDE in text for text in tried):
            yield "hint: If it was encrypted client-side, give its private key with --private-key FILE."
    if Problem.MISSING in problems:
        yield "hint: Give the path of the property, such as payload.properties.password."
