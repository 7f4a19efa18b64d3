from __future__ import annotations

from pathlib import Path

import pytest

from port_hook_cli.http.proxies import system_trust


def test_certificate_authorities_of_certifi_are_trusted_when_the_system_has_none(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    empty = tmp_path / "none.pem"
    empty.touch()
    monkeypatch.setenv("SSL_CERT_FILE", str(empty))
    monkeypatch.setenv("SSL_CERT_DIR", str(tmp_path))
    assert system_trust().cert_store_stats()["x509_ca"] > 0
