"""The tutorial about the execution agent: after the first tutorial, its commands give the results that it shows."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from port_hook_cli.signatures.signing import sign
from port_hook_cli.text.secret import Secret
from tests.contract.test_tutorial import TUTORIAL, Page, Reader, fix, let_it_report
from tests.prepared_shell import path_with_port_hook
from tests.sockets import free_port

PAGE = Path(__file__).parents[2] / "docs" / "start" / "execution-agent.md"
pytestmark = [
    pytest.mark.once,
    pytest.mark.skipif(sys.platform == "win32", reason="the commands are for a POSIX shell"),
    pytest.mark.timeout(600),  # 2 s with nothing else to do
]
AGENT_TUTORIAL = Page(PAGE)


@pytest.fixture
def reader(tmp_path: Path) -> Iterator[Reader]:
    ports = {known: str(free_port()) for known in ("8790", "8787", "8000")}
    for page in (TUTORIAL, AGENT_TUTORIAL):
        page.save(tmp_path, ports["8000"])
    fix(tmp_path / "handler.py")
    let_it_report(tmp_path / "handler.py")
    with path_with_port_hook(tmp_path / "bin") as path:
        yield Reader(tmp_path, ports, path)


def test_reader_runs_an_action_through_the_topic_of_the_agent(reader: Reader) -> None:
    watched, shown, ended = [block for block in AGENT_TUTORIAL.blocks if block.language == "sh" and not block.mark]
    # The sandbox accepts connections before it writes .env, which the other terminals read.
    with reader.terminal(AGENT_TUTORIAL.terminal("the sandbox"), shows="Listening."):
        with reader.terminal(AGENT_TUTORIAL.terminal("the watching listener"), shows="Kafka: watching"):
            *run, verify = watched.code.splitlines()
            assert reader.run("\n".join(run)).returncode == 0
            captured = reader.run(". ./.env\nport-hook captures --limit 1 --json")
            for _ in range(100):
                if captured.stdout:
                    break
                captured = reader.run(". ./.env\nsleep 0.1; port-hook captures --limit 1 --json")
            verdict = reader.run(f". ./.env\n{verify}")
            assert verdict.stdout.startswith(AGENT_TUTORIAL.expected_output().strip()), verdict
            message = reader.run(f". ./.env\n{shown.code}")
            assert "invocationMethod" in message.stdout, message
            assert "X-Port-Signature" in message.stdout, message
        with (
            reader.terminal(AGENT_TUTORIAL.terminal("the handler")),
            reader.terminal(AGENT_TUTORIAL.terminal("the forwarding listener"), shows="Kafka: watching"),
        ):
            done = reader.run(f". ./.env\n{ended.code}")
            assert (done.returncode, "SUCCESS" in done.stdout) == (0, True), done


def test_handler_with_the_line_for_the_agent_verifies_what_the_agent_signs(
    reader: Reader, monkeypatch: pytest.MonkeyPatch
) -> None:
    (line,) = [block.code for block in AGENT_TUTORIAL.blocks if block.language == "python" and not block.file]
    handler = (reader.folder / "handler.py").read_text("utf-8")
    before = "    message = timestamp"
    assert handler.count(before) == 1
    monkeypatch.syspath_prepend(reader.folder)  # the handler imports the tutorial's report.py
    scope: dict[str, Any] = {"__name__": "handler"}
    exec(handler.replace(before, line + before), scope)  # noqa: S102 - the page's own code
    del sys.modules["report"]
    monkeypatch.setenv("PORT_CLIENT_SECRET", "secret")

    body = {"vm": {"title": "zoë"}}
    now = str(int(time.time()))
    signed = sign(json.dumps(body, separators=(",", ":")).encode(), Secret("secret"), now)
    assert scope["is_signed"](json.dumps(body).encode(), signed, now)
    assert not scope["is_signed"](b"{}", signed, now)
