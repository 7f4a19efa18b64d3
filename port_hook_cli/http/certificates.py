"""The certificate authorities that are trusted for TLS."""

from __future__ import annotations

import ssl


def system_trust() -> ssl.SSLContext:
    """Return a context that trusts the system's certificate authorities, or certifi's if the system has none."""
    context = ssl.create_default_context()
    if context.cert_store_stats()["x509_ca"]:
        return context
    import httpx

    return httpx.create_ssl_context(trust_env=False)
