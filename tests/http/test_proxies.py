"""Clients for plain HTTP on this machine don't read the certificate authorities, and trust no certificate."""

from __future__ import annotations

import ssl
from pathlib import Path

import httpx
import pytest
import trustme

from port_hook_cli.http.proxies import open_client
from tests.servers import handler


async def test_only_a_client_for_plain_http_on_this_machine_does_not_read_authorities(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "missing.pem"))
    with handler() as target:
        async with open_client(target.url) as client:
            assert (await client.post(target.url)).status_code == 200
    for url in ("https://127.0.0.1:1", "https://example.com", "http://example.com"):
        with pytest.raises(FileNotFoundError):
            open_client(url)


async def test_client_trusts_the_authorities_of_ssl_cert_file_unless_it_is_for_plain_http(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    with handler(ssl=context) as target:
        url = target.url.replace("http:", "https:")
        async with open_client(url) as client:
            with pytest.raises(httpx.ConnectError, match="CERTIFICATE_VERIFY_FAILED"):
                await client.post(url)
        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
        async with open_client(url) as client:
            assert (await client.post(url)).status_code == 200
        async with open_client(target.url) as client:
            with pytest.raises(httpx.ConnectError, match="certificate verify failed"):
                await client.post(url)
