"""The bytes of a request that the agent makes with `requests.request(method, url, json=…, headers=…, params=…)`.

The order of the header fields is that of requests 2.32.4 and urllib3 2.4.0, which the agent's poetry.lock (03fc9ed)
names, without the optional packages for br and zstd. The agent's environment (proxies) and its `.netrc`
are not known.
"""

from __future__ import annotations

import json
import re
from base64 import b64encode
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from port_hook_cli.agent.address import AgentAddress, read_address
from port_hook_cli.agent.fault import AgentFault

REQUESTS_AGENT = "python-requests/2.32.4"
"""The `User-Agent` of the agent's requests. The number depends on the agent's image."""

_URLLIB3_AGENT = "python-urllib3/2.4.0"
_NAME = re.compile(r"^[^:\s][^:\r\n]*$")
_VALUE = re.compile(r"^\S[^\r\n]*$|^$")
_NO_TOKEN = re.compile(r"[^-!#$%&'*+.^_`|~0-9a-zA-Z]")
_LAST_CHUNK = b"0\r\n\r\n"
_WITHOUT_LENGTH = frozenset({"GET", "HEAD"})


@dataclass(frozen=True, slots=True, kw_only=True)
class WireRequest:
    """A request as it is sent. `headers` begin with `Host`, in wire order."""

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
    """Return the body that `requests` writes for `json=document`: ASCII, with spaces; None sends no body.

    Raises AgentFault for numbers that are not JSON.
    """
    if document is None:
        return None
    try:
        return json.dumps(document, allow_nan=False).encode()
    except ValueError as error:
        raise AgentFault(f"InvalidJSONError: {error}") from None


def signed_content(document: Any) -> bytes:
    """Return the form of a body that the agent signs: compact, ASCII (`WebhookInvoker._request`)."""
    return json.dumps(document, separators=(",", ":")).encode()


def wire_request(
    method: Any, url: Any, *, headers: Mapping[str, Any], query: Any, body: Any, user_agent: str = REQUESTS_AGENT
) -> WireRequest:
    """Return the request that `requests` sends; raises AgentFault if it raises an exception instead."""
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
    """Header fields by name, in the order in which each was first set. The latest spelling of a name is used."""

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
    """Add `headers`. None removes a field, even one that requests adds."""
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
    """Raise AgentFault for what Python's http.client refuses: other characters, and a line feed at the end."""
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
    """Return the fields as urllib3 writes them: first, it adds its own that the request lacks."""
    first = [] if "host" in fields else [("Host", address.authority)]
    if "accept-encoding" not in fields:
        first.append(("Accept-Encoding", "identity"))
    if "user-agent" not in fields:
        first.append(("User-Agent", _URLLIB3_AGENT))
    return (*first, *fields.items())
