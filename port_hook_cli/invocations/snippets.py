"""Format a signed request as text to paste: a shell command with curl or HTTPie, or a Python program.

Each format sends exactly the signed bytes. In the shell, `printf` writes the bytes. The command is built in, so its
arguments have no size limit, and POSIX lets it write any byte, including NUL, from an octal escape.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import NamedTuple

from port_hook_cli.text.safe import is_visible

_NAME = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"  # a token of RFC 9110
_CONTROL = "[\x00-\x08\x0a-\x1f\x7f]"  # all control characters except the tab, which a value may contain


class SignedRequest(NamedTuple):
    """A request that is ready to be sent. `headers` includes the signature, in the form of `Headers`."""

    url: str
    headers: tuple[tuple[str, str], ...]
    body: bytes
    method: str = "POST"


def format_headers(request: SignedRequest) -> str:
    """Return the lines for the two headers that Port adds."""
    return "\n".join(f"{name}: {value}" for name, value in _carried(request) if name.lower().startswith("x-port-"))


def format_curl(request: SignedRequest) -> str:
    """Return a POSIX shell command that sends the request with curl and shows the complete response."""
    options = [f"--request {_word(request.method)}", "--silent --show-error --include", "--data-binary @-"]
    # Without --globoff, curl reads [ ] { } in a URL as a range of URLs.
    options += ["--globoff"] if set(request.url) & set("[]{}") else []
    fields = [f"{name}: {value}" if value.strip() else f"{name};" for name, value in _sendable(request)]
    # Otherwise, curl would add the content type of a form.
    fields += [] if _has_content_type(request) else ["content-type:"]
    options += [f"--header {shell_quoted(each)}" for each in fields]
    return _piped(request.body, "curl", [*options, f"--url {shell_quoted(request.url)}"])


def format_httpie(request: SignedRequest) -> str:
    """Return a POSIX shell command that sends the request with HTTPie."""
    # The space prevents HTTPie from reading a value that begins with = or @ as JSON or as the name of a file.
    fields = [f"{name}: {value}" if value.strip() else f"{name};" for name, value in _sendable(request)]
    fields += [] if _has_content_type(request) else ["content-type:"]
    # A name may begin with a hyphen, and HTTPie would read it as an option.
    first = "-- " if any(field.startswith("-") for field in fields) else ""
    lines = [f"{first}{_word(request.method)} {shell_quoted(request.url)}", *map(shell_quoted, fields)]
    return _piped(request.body, "http", lines)


def format_python(request: SignedRequest) -> str:
    """Return a Python program without dependencies that sends the request and prints the response."""
    fields = "\n".join(f"    {_python_text(name)}: {_python_text(value)}," for name, value in _joined(request))
    return f"""\
import urllib.error
import urllib.request

body = {python_bytes(request.body)}
headers = {{
{fields}
}}
request = urllib.request.Request({_python_text(request.url)}, data=body, headers=headers, method={request.method!r})
try:
    response = urllib.request.urlopen(request)
except urllib.error.HTTPError as error:
    response = error
with response:
    print(response.status, response.reason)
    print(response.read().decode(errors="replace"))"""


def _word(text: str) -> str:
    """Quote a method as one word of a shell. An untrusted store may contain any text as a method."""
    return text if text.isascii() and text.isalpha() else shell_quoted(text)


def _sendable(request: SignedRequest) -> Iterator[tuple[str, str]]:
    """Yield the headers that HTTP can send. Each value is the text whose UTF-8 encoding is sent.

    An untrusted store may contain other headers, which commands would read as file names, options or more headers.
    """
    for name, value in _carried(request):
        yield name, _as_bytes(value)


def _carried(request: SignedRequest) -> Iterator[tuple[str, str]]:
    """Yield the headers whose names and values HTTP allows."""
    for name, value in request.headers:
        if re.fullmatch(_NAME, name) and not re.search(_CONTROL, value):
            yield name, value


def _as_bytes(value: str) -> str:
    """Return the text that a shell writes as the bytes of `value`. The value is decoded as Latin-1."""
    try:
        return value.encode("latin-1").decode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        return value


def _has_content_type(request: SignedRequest) -> bool:
    return any(name.lower() == "content-type" for name, _ in request.headers)


def _joined(request: SignedRequest) -> Iterator[tuple[str, str]]:
    """Yield the headers, with repeated headers joined, because Python's urllib sends each header only once."""
    values: dict[str, tuple[str, list[str]]] = {}
    for name, value in _carried(request):
        values.setdefault(name.lower(), (name, []))[1].append(value)
    for name, parts in values.values():
        yield name, ", ".join(parts)


def _piped(body: bytes, program: str, lines: list[str]) -> str:
    return f"printf {printf_arguments(body)} |\n  {program} " + " \\\n    ".join(lines)


def shell_quoted(text: str) -> str:
    """Quote `text` as one word of a POSIX shell, with visible characters and line breaks only.

    `printf` writes the other characters, because not every shell supports `$'...'`. A command substitution removes the
    line breaks at the end of its output, so they are added after it.
    """
    if is_visible(text):
        return _in_quotes(text)
    kept = text.rstrip("\n")
    # An interactive bash expands `!` even in double quotes.
    written = f'"$(printf {_printf_format(kept)})"'.replace("!", "\\041") if kept else ""
    ends = text[len(kept) :]
    return written + (_in_quotes(ends) if ends else "")


def printf_arguments(body: bytes) -> str:
    """Return the arguments with which `printf` writes `body`: the text itself, or a format with octal escapes.

    Characters that a terminal, a clipboard or a paste may change are escaped.
    """
    text = body.decode("utf-8", "surrogateescape")
    return f"'%s' {_in_quotes(text)}" if is_visible(text) else _printf_format(text)


def _in_quotes(text: str) -> str:
    return "'" + text.replace("'", "'\\''") + "'"


def _printf_format(text: str) -> str:
    # `printf` would read a format that begins with a hyphen as an option.
    first = "\\055" if text.startswith("-") else _in_format(text[0])
    return _in_quotes(first + "".join(_in_format(character) for character in text[1:]))


def _in_format(character: str) -> str:
    if character == "\n":
        return "\\n"
    if character in "%\\":
        return character * 2
    if is_visible(character):
        return character
    return "".join(f"\\{byte:03o}" for byte in character.encode("utf-8", "surrogateescape"))


def python_bytes(body: bytes) -> str:
    """Return a Python expression for `body`, which is readable text if the body is UTF-8."""
    try:
        text = body.decode("utf-8")
    except UnicodeDecodeError:
        return repr(body)
    return repr(body) if text.isascii() else f"{_python_text(text)}.encode()"


def _python_text(text: str) -> str:
    """Return a Python literal for `text` with only visible characters. `repr` leaves some invisible characters."""
    return "".join(char if is_visible(char) else f"\\U{ord(char):08x}" for char in repr(text))


class Format(NamedTuple):
    """A format for requests: its name, and the extension of its files.

    With `needs_capture`, the format contains data that only a capture has, such as a response. Without `takes_many`, it
    contains exactly one request.
    """

    name: str
    ending: str
    needs_capture: bool = False
    takes_many: bool = True


FORMATS = (
    Format("curl", "sh"),
    Format("httpie", "sh"),
    Format("python", "py"),
    Format("http", "http", takes_many=False),
    Format("har", "har", needs_capture=True),
    Format("pytest", "py", needs_capture=True),
    Format("lambda", "json", takes_many=False),
    Format("postman", "json"),
    Format("capture", "json", needs_capture=True, takes_many=False),
    Format("headers", "txt", takes_many=False),
)
"""The formats of `export`. `captures.exports.formats` writes them."""

REQUEST_FORMATS = tuple(row.name for row in FORMATS if not row.needs_capture)
"""The formats of `sign` and `trigger`, for unsent requests."""


class SnippetFormat(NamedTuple):
    """A format that is quick to write: a shell command (`is_command`) or a program."""

    name: str
    write: Callable[[SignedRequest], str]
    is_command: bool = True


SNIPPET_FORMATS = (
    SnippetFormat("curl", format_curl),
    SnippetFormat("httpie", format_httpie),
    SnippetFormat("python", format_python, is_command=False),
)
