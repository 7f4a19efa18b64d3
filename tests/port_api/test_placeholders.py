from __future__ import annotations

import secrets
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from port_hook_cli.port_api.placeholders import is_placeholder
from tests.conftest import Run


@pytest.mark.parametrize(
    "value",
    [
        "...",
        "…",
        " '...' ",
        "xxx",
        "XXXXXXXX",
        "****",
        "<your secret>",
        "<secret>",
        "[client secret]",
        "{{ port_secret }}",
        "$PORT_CLIENT_SECRET",
        "${PORT_CLIENT_SECRET}",
        "%SECRET%",
        "changeme",
        "CHANGE_ME",
        "change-me",
        "your-client-secret",
        "your_secret_here",
        "YOUR_PORT_CLIENT_ID",
        "client_secret",
        "PORT_CLIENT_SECRET",
        "todo",
        "null",
        "undefined",
        "redacted",
    ],
)
def test_value_of_an_example_is_a_placeholder(value: str) -> None:
    assert is_placeholder(value)


@pytest.mark.parametrize(
    "value", ["", "a", "secret-of-this-test", "an-example-and-no-secret", "sandbox_6e15dd70", "x1xx"]
)
def test_other_value_is_not_a_placeholder(value: str) -> None:
    assert not is_placeholder(value)


@given(st.integers(24, 80))
def test_random_secret_is_not_a_placeholder(length: int) -> None:
    assert not is_placeholder(secrets.token_urlsafe(length))
    assert not is_placeholder(secrets.token_hex(length))


@given(st.text(max_size=80))
def test_any_text_is_read(text: str) -> None:
    assert is_placeholder(text) in {True, False}


def test_verify_warns_of_a_placeholder(run: Run, folder: Path) -> None:
    (folder / "body").write_bytes(b"{}")
    result = run(
        "verify", "--body", "body", "--signature", "v1,x", "--timestamp", "1", env={"PORT_CLIENT_SECRET": "..."}
    )
    assert (
        "warning: the client secret (PORT_CLIENT_SECRET in the environment) is a placeholder from an example\n"
    ) in result.err


def test_file_with_a_placeholder_is_shown(run: Run, folder: Path) -> None:
    (folder / "body").write_bytes(b"{}")
    options = ("--body", "body", "--signature", "v1,x", "--timestamp", "1", "--secret-file", "-")
    assert (
        "warning: the client secret (--secret-file -) is a placeholder from an example\n"
        in run("verify", *options, stdin=b"<your secret>\n").err
    )
