"""The file of logins: written content is read back, and any other content is rejected."""

from __future__ import annotations

import json
import os
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given
from hypothesis import strategies as st

from port_hook_cli.errors import SettingsError
from port_hook_cli.files.own_files import lock_file
from port_hook_cli.files.settings_file import LOGINS
from port_hook_cli.port_api.logins import KeptIn, Login, keep_login, read_logins, remove_login
from port_hook_cli.text.secret import Secret

texts = st.text(st.characters(codec="utf-8"), min_size=1)
json_values = st.recursive(
    st.none() | st.booleans() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
)
fields = st.dictionaries(
    st.sampled_from(["client_id", "api_url", "kept_in", "client_secret"]),
    st.sampled_from(["file", "keyring", "https://api.port.io", ""]) | json_values,
)
whole = st.fixed_dictionaries(
    {
        "client_id": st.just("an-id"),
        "api_url": st.just("https://api.port.io"),
        "kept_in": st.sampled_from(["file", "keyring"]),
        "client_secret": st.just("a-secret"),
    }
)
documents = st.fixed_dictionaries(
    {
        "schema": st.just("port-hook/logins/1"),
        "default": st.none() | json_values,
        "organizations": st.dictionaries(st.text(), whole, max_size=3)
        | st.dictionaries(st.text(), whole | fields | json_values, max_size=3)
        | json_values,
    }
)


def a_login(name: str = "a", client_id: str = "an-id", secret: str = "a-secret") -> Login:
    return Login(
        name=name, client_id=client_id, api_url="https://api.port.io", kept_in=KeptIn.FILE, secret=Secret(secret)
    )


def write(home: Path, content: bytes) -> None:
    path = home / LOGINS
    path.parent.mkdir(mode=0o700)
    path.write_bytes(content)
    path.chmod(0o600)


@given(name=texts, client_id=texts, secret=texts)
def test_login_is_read_unchanged(name: str, client_id: str, secret: str) -> None:
    with TemporaryDirectory() as folder:
        keep_login(Path(folder), a_login(name, client_id, secret), only=KeptIn.FILE)
        found = read_logins(Path(folder))
    assert found.default == name
    assert found.by_name == {name: a_login(name, client_id, secret)}


def test_concurrent_logins_are_all_saved(tmp_path: Path) -> None:
    names = [f"organization {number}" for number in range(8)]
    with ThreadPoolExecutor(len(names)) as threads:
        list(threads.map(lambda name: keep_login(tmp_path, a_login(name), only=KeptIn.FILE), names))
    assert set(read_logins(tmp_path).by_name) == set(names)
    assert [path.name for path in (tmp_path / LOGINS).parent.iterdir()] == ["logins.json"]


def test_login_fails_when_another_process_keeps_changing_the_logins(tmp_path: Path) -> None:
    lock = (tmp_path / LOGINS).with_suffix(".lock")
    lock.parent.mkdir(mode=0o700)
    handle = lock_file(lock)
    assert handle is not None
    try:
        with pytest.raises(SettingsError, match=r"Another process is changing .*logins\.json"):
            keep_login(tmp_path, a_login(), only=KeptIn.FILE, wait_s=0.05)
    finally:
        os.close(handle)
    assert read_logins(tmp_path).by_name == {}


@given(logins=st.dictionaries(texts, whole, min_size=1, max_size=3))
def test_complete_logins_are_read(logins: dict[str, dict[str, str]]) -> None:
    document = {"schema": "port-hook/logins/1", "default": None, "organizations": logins}
    with TemporaryDirectory() as folder:
        write(Path(folder), json.dumps(document).encode())
        found = read_logins(Path(folder))
    assert {name: (login.client_id, login.api_url) for name, login in found.by_name.items()} == dict.fromkeys(
        logins, ("an-id", "https://api.port.io")
    )


@given(content=(documents | json_values).map(json.dumps).map(str.encode) | st.binary(min_size=1))
def test_any_content_is_logins_or_rejected(content: bytes) -> None:
    with TemporaryDirectory() as folder:
        write(Path(folder), content)
        with suppress(SettingsError):
            found = read_logins(Path(folder))
            assert found.default is None or found.default in found.by_name
            assert all(login.client_id and login.api_url for login in found.by_name.values())


def test_last_remaining_login_becomes_the_default(tmp_path: Path) -> None:
    for name in ("a", "b"):
        keep_login(tmp_path, a_login(name), only=KeptIn.FILE)
    assert read_logins(tmp_path).default == "b"
    remove_login(tmp_path, "b")
    assert read_logins(tmp_path).default == "a"


def test_failed_write_is_reported_and_leaves_the_file_unchanged(tmp_path: Path) -> None:
    keep_login(tmp_path, a_login(), only=KeptIn.FILE)
    before = (tmp_path / LOGINS).read_bytes()
    with pytest.raises(SettingsError, match="Login not found: 'x'"):
        remove_login(tmp_path, "x")
    assert (tmp_path / LOGINS).read_bytes() == before
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / ".port-hook").write_text("")
    with pytest.raises(SettingsError, match="cannot write"):
        keep_login(tmp_path / "other", a_login(), only=KeptIn.FILE)
