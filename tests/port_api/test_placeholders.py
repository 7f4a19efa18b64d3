from __future__ import annotations

import secrets
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from port_hook_cli.port_api.settings import is_placeholder
from tests.conftest import Run


def test_value_of_an_example_is_a_placeholder() -> None:
    for value in [
        "...", "…", " '...' ", "xxx", "XXXXXXXX", "****", "<your secret>", "<secret>", "[client secret]",
        "{{ port_secret }}", "$PORT_CLIENT_SECRET", "${PORT_CLIENT_SECRET}", "%SECRET%", "changeme", "CHANGE_ME",
        "change-me", "your-client-secret", "your_secret_here", "YOUR_PORT_CLIENT_ID", "client_secret",
        "PORT_CLIENT_SECRET", "todo", "null", "undefined", "redacted",
    ]:  # fmt: skip
        assert is_placeholder(value)


def test_other_value_is_not_a_placeholder() -> None:
    for value in ["", "a", "secret-of-this-test", "an-example-and-no-secret", "sandbox_6e15dd70", "x1xx"]:
        assert not is_placeholder(value)


@given(st.integers(24, 80))
def test_random_secret_is_not_a_placeholder(length: int) -> None:
    assert not is_placeholder(secrets.token_urlsafe(length))
    assert not is_placeholder(secrets.token_hex(length))


def test_verify_warns_of_a_placeholder(run: Run, folder: Path) -> None:
    (folder / "body").write_bytes(b"{}")
    words = ("verify", "--body", "body", "--signature", "v1,x", "--timestamp", "1")
    for result, place in (
        (run(*words, env={"PORT_CLIENT_SECRET": "..."}), "PORT_CLIENT_SECRET in the environment"),
        (run(*words, "--secret-file", "-", stdin=b"<your secret>\n"), "--secret-file -"),
    ):
        assert f"warning: the client secret ({place}) is a placeholder from an example\n" in result.err
