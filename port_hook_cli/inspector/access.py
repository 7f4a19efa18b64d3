"""Decides who may use the inspector: only a browser or a script that has the token. This module is pure."""

from __future__ import annotations

from collections.abc import Mapping
from hmac import compare_digest
from hmac import new as keyed_hash

from port_hook_cli.frozen import frozen
from port_hook_cli.http.web_pages import find_web_page_request

CHANGE_HEADER = "x-port-hook"
_BEARER = "bearer "
_ENTRY_LENGTH = 16
_READING = frozenset({"GET", "HEAD"})

SECURITY_HEADERS: Mapping[str, str] = {
    "content-security-policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; "
        "frame-ancestors 'none'; base-uri 'none'; form-action 'none'; require-trusted-types-for 'script'"
    ),
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "cache-control": "no-store",
}
"""The headers of every response. The page never treats a payload as HTML, but they would protect it even if it did."""


@frozen
class Asker:
    """The parts of a request that decide whether the request is allowed. A missing part is None."""

    method: str
    host: str | None = None
    origin: str | None = None
    site: str | None = None
    authorization: str | None = None
    change: str | None = None
    content_type: str | None = None


@frozen
class AccessRefusal:
    """Why a request is rejected: the status of the response, and a message that tells nothing about the store."""

    status: int
    message: str
    hint: str


_NO_TOKEN = AccessRefusal(
    403, "This inspector needs its token.", "Open the URL that port-hook printed last. It contains the token."
)
_OTHER_SITE = "This request came from another site."
_OPEN_IT = "Open the inspector in a browser by the URL that port-hook printed."
_NO_CHANGE_HEADER = AccessRefusal(
    403,
    "A request that changes something needs the header x-port-hook: 1 and a JSON body.",
    "Send x-port-hook: 1 and content-type: application/json.",
)


def refusal(asker: Asker, token: str) -> AccessRefusal | None:
    """Return why a request to the API is rejected, or None if it is allowed.

    Only the `authorization` header grants access to the API, because browsers would send a cookie to every port of a
    host.
    """
    if from_elsewhere := other_site_refusal(asker):
        return from_elsewhere
    if not _has_token(asker, token):
        return _NO_TOKEN
    if asker.method not in _READING and not _is_deliberate(asker):
        return _NO_CHANGE_HEADER
    return None


def other_site_refusal(asker: Asker) -> AccessRefusal | None:
    """Return why a request from another site is rejected, or None.

    A page on another port of this machine counts as another site, although browsers treat it as the same site.
    """
    from_elsewhere = find_web_page_request(asker.host, asker.origin, asker.site, names=())
    if from_elsewhere is None and asker.host is not None and asker.origin in {None, f"http://{asker.host}"}:
        return None
    return AccessRefusal(from_elsewhere.status if from_elsewhere else 403, _OTHER_SITE, _OPEN_IT)


def entry_path(token: str) -> str:
    """Return the path of the page.

    The path is derived from the token. Otherwise, a program that used this port earlier could have left a page with the
    same path in the browser's cache, and that page would read the token from the URL.
    """
    return f"/{_derived(token, 'entry')[:_ENTRY_LENGTH]}"


def proof(token: str, nonce: str) -> str:
    """Return a proof that this server knows the token.

    The proof is an HMAC-SHA-256 in hexadecimal, not the token itself.
    """
    return _derived(token, f"hello {nonce}")


def is_token(given: str, token: str) -> bool:
    """Return whether `given` is the token. The comparison takes constant time."""
    return compare_digest(given.encode("utf-8", "replace"), token.encode())


def _has_token(asker: Asker, token: str) -> bool:
    authorization = asker.authorization or ""
    if authorization[: len(_BEARER)].lower() == _BEARER:
        return is_token(authorization[len(_BEARER) :].strip(), token)
    return False


def _derived(token: str, purpose: str) -> str:
    return keyed_hash(token.encode(), f"port-hook {purpose}".encode(), "sha256").hexdigest()


def _is_deliberate(asker: Asker) -> bool:
    """Return whether a request cannot come from an HTML form.

    Forms cannot send the header and content type of the API.
    """
    content_type = (asker.content_type or "").partition(";")[0].strip().lower()
    return asker.change == "1" and content_type == "application/json"
