"""What a backend receives of the header fields that an action asks for."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from port_hook_cli.actions.samples import create_vm_action
from tests.conftest import Run
from tests.factories import SECRET
from tests.servers import handler

ENV = {"PORT_CLIENT_SECRET": SECRET.reveal()}


def write_action(folder: Path, **method: Any) -> None:
    action = create_vm_action()
    (folder / "action.json").write_text(json.dumps(action | {"invocationMethod": action["invocationMethod"] | method}))


@pytest.mark.parametrize(
    "name", ["X-Port-Signature", "x-port-timestamp", "Content-Length", "Host", "Transfer-Encoding", "transfer-encoding"]
)
def test_header_that_port_sets_is_not_taken_from_the_action(run: Run, folder: Path, name: str) -> None:
    write_action(folder, headers={name: "of the action", "X-Team": "a"})
    with handler() as backend:
        result = run("trigger", "action.json", "--to", backend.url, "--input", "title=a", env=ENV)
    assert result.code == 0, result.err
    (request,) = backend.requests
    assert request.value("x-team") == "a"
    assert "of the action" not in request.head.decode()


def test_error_about_an_invalid_action_on_stdin_names_stdin(run: Run) -> None:
    result = run("trigger", "-", "--to", "http://127.0.0.1:9", stdin=b"{}", env=ENV)
    assert result.code == 2
    assert result.err.startswith("error: stdin ")
