"""The bytes of a request that the agent makes with `requests.request(method, url, json=…, headers=…, params=…)`.

These facts come from requests 2.32.4 and urllib3 2.4.0, the versions in the agent's poetry.lock (03fc9ed), without the
optional packages for br and zstd. They cover the order of the headers, how a URL is escaped, how `.` and `..` in a URL
are resolved, and how a query is appended. The agent's environment (proxies) and its `.netrc` are unknown.
"""

from __future__ import annotations

import json
import re
from base64 import b64encode
from collections.abc import Iterable, Mapping
from dataclasses import field
from typing import Any
from urllib.parse import quote, unquote, urlencode

from port_hook_cli.frozen import frozen


class AgentFault(Exception):
    """The agent raises an exception.

    The message is the text in the agent's log, which begins with the exception's name.
    """


_UNRESERVED = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-~")
_USERINFO = _UNRESERVED | frozenset("!$&'()*+,;=:")
_PATH = _USERINFO | frozenset("@/")
_QUERY = _PATH | frozenset("?")
# The characters that requests does not escape in a whole URL.
_SAFE, _SAFE_WITHOUT_PERCENT = "!#$%&'()*+,/:;=?@[]~", "!#$&'()*+,/:;=?@[]~"
_DEFAULT_PORTS = {"http": 80, "https": 443}
_MAX_PORT = 65535

_PARTS = re.compile(r"^(?:([a-zA-Z][a-zA-Z0-9+.-]*):)?(?://([^\\/?#]*))?([^?#]*)(?:\?([^#]*))?(?:#(.*))?$", re.DOTALL)
_SCHEME = re.compile(r"^(?:[a-zA-Z][a-zA-Z0-9+\-]*:|/)")
_HOST = re.compile(r"^((?:[^\[\]%:/?#]|%[a-fA-F0-9]{2})*|\[[0-9A-Fa-f:.]+\])(?::0*?(|0|[1-9][0-9]{0,4}))?$", re.DOTALL)
_PERCENT = re.compile(r"%[a-fA-F0-9]{2}")
_TARGET = re.compile(r"^(/[^?#]*)(?:\?([^#]*))?(?:#.*)?$", re.DOTALL)


@frozen(kw_only=True)
class AgentAddress:
    """The address that the agent connects to, and the path and query that it requests.

    `credentials` are the user and password in the URL, or None.
    """

    scheme: str
    host: str
    port: int
    target: str
    credentials: tuple[str, str] | None = None

    @property
    def authority(self) -> str:
        """The value of the `Host` header."""
        host = self.host.rstrip(".")
        return host if self.port == _DEFAULT_PORTS[self.scheme] else f"{host}:{self.port}"

    @property
    def url(self) -> str:
        """The whole URL, without credentials."""
        return f"{self.scheme}://{self.authority}{self.target}"


def read_address(url: Any, query: Any) -> AgentAddress:
    """Return the address to which `requests.request(…, url, params=query)` sends the request.

    Raises AgentFault if requests raises an exception.
    """
    text = str(url).lstrip()
    if ":" in text and not text.lower().startswith("http"):
        raise AgentFault(f"InvalidSchema: No connection adapters were found for {text!r}")
    scheme, authority, path, url_query = _split(text)
    if scheme is None:
        raise AgentFault(f"MissingSchema: Invalid URL {text!r}: No scheme supplied. Perhaps you meant https://{text}?")
    userinfo, _, place = (authority or "").rpartition("@")
    host, port = _host_and_port(place, text, scheme)
    path = _escape(_without_dots(path), _PATH) or "/"
    if not path.startswith("/"):  # it began with a backslash
        path = f"/{path}"
    asked = None if url_query is None else _escape(url_query, _QUERY)
    if added := _query_text(query, is_appended=bool(asked)):
        asked = f"{asked}&{added}" if asked else added
    return AgentAddress(
        scheme=scheme,
        host=host,
        port=port,
        target=_target(path, asked),
        credentials=_credentials(userinfo),
    )


def _split(text: str) -> tuple[str | None, str | None, str, str | None]:
    """Return the scheme, authority, path and query of a URL, which are split as in urllib3."""
    match = _PARTS.match(text if _SCHEME.match(text) else f"//{text}")
    assert match is not None  # every string matches
    scheme, authority, path, query, _ = match.groups()
    return (scheme.lower() if scheme else None), authority, path, query


def _host_and_port(place: str, text: str, scheme: str) -> tuple[str, int]:
    match = _HOST.match(place)
    if match is None or (match[2] and int(match[2]) > _MAX_PORT):
        raise AgentFault(f"InvalidURL: Failed to parse: {text}")
    if scheme not in _DEFAULT_PORTS:
        raise AgentFault(f"InvalidSchema: No connection adapters were found for {text!r}")
    host = _host(match[1])
    if not host:
        raise AgentFault(f"InvalidURL: Invalid URL {text!r}: No host supplied")
    if host.startswith(("*", ".")):
        raise AgentFault("InvalidURL: URL has an invalid label.")
    try:
        host.encode("idna")
    except UnicodeError:
        raise AgentFault(f"LocationParseError: Failed to parse: {host!r}, label empty or too long") from None
    return host, int(match[2]) if match[2] else _DEFAULT_PORTS[scheme]


def _host(host: str) -> str:
    if host.isascii():
        return host.lower()
    try:
        return host.lower().encode("idna").decode("ascii")
    except UnicodeError:
        raise AgentFault("InvalidURL: URL has an invalid label.") from None


def _credentials(userinfo: str) -> tuple[str, str] | None:
    """Return the user and password in a URL. requests ignores a user name that has no colon after it."""
    user, colon, password = _escape(userinfo, _USERINFO).partition(":")
    return (unquote(user), unquote(password)) if colon and (user or password) else None


def _target(path: str, query: str | None) -> str:
    """Return the path and query, quoted as in requests and then quoted again as in urllib3."""
    quoted = _requote(path if not query else f"{path}?{query}")
    if quoted.startswith("//"):  # requests before 2.33 sends a single slash
        quoted = f"/{quoted.lstrip('/')}"
    match = _TARGET.match(quoted)
    assert match is not None  # it begins with a slash
    target = _escape(match[1], _PATH)
    return target if match[2] is None else f"{target}?{_escape(match[2], _QUERY)}"


def _requote(text: str) -> str:
    parts = text.split("%")
    for number, part in enumerate(parts[1:], 1):
        code = part[:2]
        if len(code) == 2 and code.isalnum():  # noqa: PLR2004 - two hexadecimal digits
            try:
                character = chr(int(code, 16))
            except ValueError:  # requests raises InvalidURL here, and then quotes all percent signs
                return quote(text, safe=_SAFE_WITHOUT_PERCENT)
            parts[number] = character + part[2:] if character in _UNRESERVED else f"%{part}"
        else:
            parts[number] = f"%{part}"
    return quote("".join(parts), safe=_SAFE)


def _escape(text: str, allowed: frozenset[str]) -> str:
    """Return `text` with every byte that is not in `allowed` as `%XX`. Valid escapes stay, but in uppercase."""
    text, escapes = _PERCENT.subn(lambda match: match[0].upper(), text)
    content = text.encode("utf-8", "surrogatepass")
    keeps_percent = escapes == content.count(b"%")
    return "".join(
        chr(byte) if (byte == ord("%") and keeps_percent) or chr(byte) in allowed else f"%{byte:02X}"
        for byte in content
    )


def _without_dots(path: str) -> str:
    """Return a path without `.` and `..` segments (RFC 3986, section 5.2.4)."""
    segments = path.split("/")
    output: list[str] = []
    for segment in segments:
        if segment == ".":
            continue
        if segment != "..":
            output.append(segment)
        elif output:
            output.pop()
    if path.startswith("/") and (not output or output[0]):
        output.insert(0, "")
    if path.endswith(("/.", "/..")):
        output.append("")
    return "/".join(output)


def _query_text(query: Any, *, is_appended: bool) -> str:
    """Return the query string that `requests` encodes from `params`. Raises AgentFault for values that it rejects.

    A number is accepted only after a query in the URL.
    """
    if not query or isinstance(query, str):
        return query or ""
    if isinstance(query, Mapping):
        return _encoded(query.items())
    if isinstance(query, list):
        return _encoded_pairs(query)
    if is_appended:
        return str(query)
    raise AgentFault("TypeError: Cannot mix str and non-str arguments")


def _encoded_pairs(query: list[Any]) -> str:
    try:
        return _encoded([(name, values) for name, values in query])
    except (TypeError, ValueError) as error:
        raise AgentFault(f"{type(error).__name__}: {error}") from None


def _encoded(items: Iterable[tuple[Any, Any]]) -> str:
    pairs = []
    for name, values in items:
        if values is None:  # requests removes values that are None
            continue
        several = values if isinstance(values, (list, Mapping)) else [values]
        pairs += [(name, value) for value in several if value is not None]
    try:
        return urlencode(pairs, doseq=True)
    except (TypeError, UnicodeError) as error:
        raise AgentFault(f"{type(error).__name__}: {error}") from None


REQUESTS_AGENT = "python-requests/2.32.4"
"""The `User-Agent` of the agent's requests. The version number depends on the agent's image."""

_URLLIB3_AGENT = "python-urllib3/2.4.0"
_NAME = re.compile(r"^[^:\s][^:\r\n]*$")
_VALUE = re.compile(r"^\S[^\r\n]*$|^$")
_NO_TOKEN = re.compile(r"[^-!#$%&'*+.^_`|~0-9a-zA-Z]")
_LAST_CHUNK = b"0\r\n\r\n"
_WITHOUT_LENGTH = frozenset({"GET", "HEAD"})


@frozen(kw_only=True)
class WireRequest:
    """The request on the wire. `headers` are in the order in which they are sent, starting with `Host`."""

    method: str
    address: AgentAddress
    headers: tuple[tuple[str, str], ...]
    body: bytes = field(repr=False)

    @property
    def content(self) -> bytes:
        """All bytes of the request."""
        lines = [f"{self.method} {self.address.target} HTTP/1.1", *(f"{name}: {value}" for name, value in self.headers)]
        return "\r\n".join([*lines, "", ""]).encode("latin-1") + self.body


def json_content(document: Any) -> bytes | None:
    """Return the body that `requests` writes for `json=document`: ASCII, with spaces. None sends an empty request.

    Raises AgentFault for numbers that JSON does not allow.
    """
    if document is None:
        return None
    try:
        return json.dumps(document, allow_nan=False).encode()
    except ValueError as error:
        raise AgentFault(f"InvalidJSONError: {error}") from None


def signed_content(document: Any) -> bytes:
    """Return the form of a body that the agent signs: compact ASCII (`WebhookInvoker._request`)."""
    return json.dumps(document, separators=(",", ":")).encode()


def wire_request(
    method: Any, url: Any, *, headers: Mapping[str, Any], query: Any, body: Any, user_agent: str = REQUESTS_AGENT
) -> WireRequest:
    """Return the request that `requests` sends. Raises AgentFault if `requests` raises an exception instead."""
    if not isinstance(method, str):
        raise AgentFault(f"AttributeError: {type(method).__name__!r} object has no attribute 'upper'")
    method = method.upper()
    if unusable := _NO_TOKEN.search(method):
        found = f"(found at least {unusable[0]!r})"
        raise AgentFault(f"ValueError: Method cannot contain non-token characters {method!r} {found}")
    address = read_address(url, query)
    fields = _FieldSet({"User-Agent": user_agent, "Accept-Encoding": "gzip, deflate", "Accept": "*/*"})
    fields["Connection"] = "keep-alive"
    _merge(fields, headers)
    content = json_content(body)
    _add_length(fields, method, content)
    if content is not None and "content-type" not in fields:
        fields["Content-Type"] = "application/json"
    if address.credentials:
        fields["Authorization"] = _basic(*address.credentials)
    for name, value in fields.items():
        _check_sendable(name, value)
    if content is None and "transfer-encoding" in fields and "content-length" not in fields:
        content = _LAST_CHUNK
    return WireRequest(method=method, address=address, headers=_in_wire_order(fields, address), body=content or b"")


class _FieldSet:
    """Headers by name, in the order in which each name was first set. The latest spelling of a name is used."""

    def __init__(self, fields: Mapping[str, Any]) -> None:
        self._fields: dict[str, tuple[str, Any]] = {}
        for name, value in fields.items():
            self[name] = value

    def __setitem__(self, name: str, value: Any) -> None:
        self._fields[name.lower()] = (name, value)

    def __contains__(self, name: str) -> bool:
        return name in self._fields

    def remove_none(self) -> None:
        self._fields = {key: item for key, item in self._fields.items() if item[1] is not None}

    def items(self) -> list[tuple[str, Any]]:
        return list(self._fields.values())


def _merge(fields: _FieldSet, headers: Mapping[str, Any]) -> None:
    """Add `headers`. A value of None removes a header, including a header that requests adds itself."""
    for name, value in headers.items():
        fields[name] = value
    fields.remove_none()
    for name, value in fields.items():
        _check_field(name, value)


def _check_field(name: str, value: Any) -> None:
    if not isinstance(value, str):
        part = f"Header part ({value!r}) from ({name!r}, {value!r})"
        raise AgentFault(f"InvalidHeader: {part} must be of type str or bytes, not {type(value)}")
    for part, pattern, what in ((name, _NAME, "name"), (value, _VALUE, "value")):
        if not pattern.match(part):
            fault = "Invalid leading whitespace, reserved character(s), or return character(s)"
            raise AgentFault(f"InvalidHeader: {fault} in header {what}: {part!r}")


def _check_sendable(name: str, value: str) -> None:
    """Raise AgentFault for a header that Python's http.client rejects: other characters, or a line feed at the end."""
    try:
        encoded = {"name": name.encode("ascii"), "value": value.encode("latin-1")}
    except UnicodeEncodeError as error:
        raise AgentFault(f"UnicodeEncodeError: {error}") from None
    for what, part in encoded.items():
        if part.endswith(b"\n"):
            raise AgentFault(f"ValueError: Invalid header {what} {part!r}")


def _add_length(fields: _FieldSet, method: str, content: bytes | None) -> None:
    if content:
        fields["Content-Length"] = str(len(content))
    elif content is None and method not in _WITHOUT_LENGTH and "content-length" not in fields:
        fields["Content-Length"] = "0"


def _basic(user: str, password: str) -> str:
    try:
        return f"Basic {b64encode(f'{user}:{password}'.encode('latin-1')).decode('ascii')}"
    except UnicodeEncodeError as error:
        raise AgentFault(f"UnicodeEncodeError: {error}") from None


def _in_wire_order(fields: _FieldSet, address: AgentAddress) -> tuple[tuple[str, str], ...]:
    """Return the headers in urllib3's order. urllib3's own default headers come first if the request lacks them."""
    first = [] if "host" in fields else [("Host", address.authority)]
    if "accept-encoding" not in fields:
        first.append(("Accept-Encoding", "identity"))
    if "user-agent" not in fields:
        first.append(("User-Agent", _URLLIB3_AGENT))
    return (*first, *fields.items())
