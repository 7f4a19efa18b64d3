"""What httpx clients read from their environment: proxies and certificate authorities."""

from __future__ import annotations

import os
import ssl
from functools import cache
from typing import TYPE_CHECKING, Any

from port_hook_cli.invocations.targets import may_be_on_this_machine

if TYPE_CHECKING:
    import httpx


class BadProxy(Exception):
    """A proxy in the environment cannot be used. The message is a clause without the proxy's URL."""


def open_client(url: str, **options: Any) -> httpx.AsyncClient:
    """Return an httpx client for `url` that doesn't follow redirects or add credentials of its own.

    Raises BadProxy if a proxy in the environment cannot be used. A proxy can see the requests that it forwards, so
    requests to this machine never use a proxy.
    """
    import httpx

    is_here = may_be_on_this_machine(url)
    if "verify" not in options:
        # The empty context rejects every certificate. A plain HTTP URL without a proxy needs no certificate.
        options["verify"] = (
            ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            if is_here and url.lower().startswith("http:")
            else _trust(os.environ.get("SSL_CERT_FILE"), os.environ.get("SSL_CERT_DIR"))
        )
    try:
        return httpx.AsyncClient(trust_env=not is_here, follow_redirects=False, **options)
    except (ImportError, ValueError, httpx.InvalidURL) as error:
        raise BadProxy("the proxy in HTTP_PROXY, HTTPS_PROXY or ALL_PROXY cannot be used") from error


@cache
def _trust(*_: str | None) -> ssl.SSLContext:
    """Return a TLS context for these values of the variables that httpx reads.

    Reading the authorities takes a while.
    """
    import httpx

    return httpx.create_ssl_context()


def trust_also(pem: str) -> ssl.SSLContext:
    """Return a TLS context that trusts the certificates in a PEM text, and the system's authorities.

    Raises ValueError if the text has no certificate.
    """
    context = system_trust()
    try:
        context.load_verify_locations(cadata=pem)
    except ssl.SSLError as error:
        raise ValueError("no certificate") from error
    return context


def system_trust() -> ssl.SSLContext:
    """Return a TLS context that trusts the system's certificate authorities, or certifi's if the system has none."""
    context = ssl.create_default_context()
    if context.cert_store_stats()["x509_ca"]:
        return context
    import httpx

    return httpx.create_ssl_context(trust_env=False)
