"""Copy requests and responses with their secrets masked. This module is pure."""

from __future__ import annotations

from dataclasses import replace

from port_hook_cli.invocations.headers import Headers
from port_hook_cli.invocations.models import Delivery, Invocation
from port_hook_cli.invocations.targets import masked_url
from port_hook_cli.text.secret import Masker


def masked_request(request: Invocation, masker: Masker) -> Invocation:
    """Return a request with secrets masked in its target, headers and body. Its signature no longer matches."""
    return replace(
        request,
        target=masked_url(request.target, masker.text),
        headers=_masked_headers(request.headers, masker),
        body=masker.content(request.body),
    )


def masked_delivery(delivery: Delivery, masker: Masker) -> Delivery:
    """Return a delivery with secrets masked in its URL, its error, and the response's headers and body."""
    return replace(
        delivery,
        url=masked_url(delivery.url, masker.text),
        headers=_masked_headers(delivery.headers, masker),
        body=masker.content(delivery.body),
        error=None if delivery.error is None else masker.text(delivery.error),
    )


def _masked_headers(headers: Headers, masker: Masker) -> Headers:
    return Headers.from_raw([(masker.content(name), masker.content(value)) for name, value in headers.raw()])
