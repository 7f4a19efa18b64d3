"""Every situation in docs/reference/exit-codes.md ends with its exit code."""

from __future__ import annotations

import io
import signal
import socket
import sys
import tempfile
import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from port_hook_cli.cli.app import main
from port_hook_cli.cli.exit_codes import ExitCode
from port_hook_cli.invocations.models import Status, Verdict
from port_hook_cli.runtime import Runtime
from port_hook_cli.signatures.causes import UNDIAGNOSED
from tests.conftest import Run
from tests.factories import RUN_ID, SECRET, a_body, a_capture, an_invocation
from tests.processes import listener
from tests.sandboxes import a_sandbox, environ_of
from tests.servers import handler
from tests.sockets import free_port
from tests.sshd import sshd_for
from tests.stores import keep

EXAMPLES = Path(__file__).parents[2] / "examples"
ENV = {"PORT_CLIENT_SECRET": SECRET.reveal()}
LOCAL = ("--port", "0", "--tunnel", "none", "--no-verify")


@dataclass(frozen=True)
class World:
    """The fixtures of a situation. The current directory has a payload, and no store."""

    run: Run
    runtime: Callable[..., Runtime]
    folder: Path
    request: pytest.FixtureRequest
    monkeypatch: pytest.MonkeyPatch

    def code(self, *words: str, **env: str) -> int:
        return self.run(*words, env={**ENV, **env}).code

    def file(self, name: str, content: bytes = b"") -> str:
        (self.folder / name).write_bytes(content)
        return name


@pytest.fixture
def world(
    run: Run,
    runtime: Callable[..., Runtime],
    folder: Path,
    request: pytest.FixtureRequest,
    monkeypatch: pytest.MonkeyPatch,
) -> World:
    (folder / "payload.json").write_bytes(a_body())
    return World(run, runtime, folder, request, monkeypatch)


def a_stopped_listener(world: World) -> int:
    with listener(world.folder, "--no-verify") as listening:
        listening.process.send_signal(signal.SIGINT)
        return listening.process.wait(30)


def a_check(world: World) -> int:
    with handler() as accepting_everything:
        target = ("--to", str(accepting_everything.port))
        return world.code("check", "payload.json", *target, "--only", "no-signature")


def a_difference(world: World) -> int:
    return world.code("diff", "payload.json", world.file("other.json", b"{}"))


def an_expectation(world: World) -> int:
    with handler() as target:
        return world.code("replay", "payload.json", "--to", str(target.port), "--expect-status", "500")


def an_unreproducible_verdict(world: World) -> int:
    keep(world.folder, a_capture(verdict=Verdict(status=Status.INVALID, causes=(UNDIAGNOSED,), age_s=0.0)))
    return world.code("export", "last", "--redact", PORT_CLIENT_SECRET="")


def a_port_in_use(world: World) -> int:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return world.code("sandbox", "--port", str(taken.getsockname()[1]))


def a_missing_package(world: World) -> int:
    world.monkeypatch.setitem(sys.modules, "mcp", None)
    world.monkeypatch.delitem(sys.modules, "port_hook_cli.assistant.server", raising=False)
    return world.code("mcp")


def a_missing_topic(world: World) -> int:
    brokers = world.request.getfixturevalue("cluster").address
    return world.code("listen", *LOCAL, "--kafka", KAFKA_CONSUMER_BROKERS=brokers, PORT_ORG_ID="nobody")


def a_rejected_call(world: World) -> int:
    with a_sandbox() as sandbox:
        return world.code("trigger", "nothing", "--to", "1", **environ_of(sandbox))


def an_ended_run(world: World) -> int:
    with a_sandbox() as sandbox:
        sandbox.add_run(RUN_ID)
        report = ("report-run", RUN_ID, "--status", "success")
        assert world.code(*report, **environ_of(sandbox)) == ExitCode.OK
        return world.code(*report, **environ_of(sandbox))


def an_existing_file(world: World) -> int:
    world.code("init")
    return world.code("init")


def an_unwritable_file(world: World) -> int:
    return world.code("export", "payload.json", "--output", "payload.json/request.sh")


def unusable_content(world: World) -> int:
    keep(world.folder, a_capture(an_invocation(body=b"\xff")))
    assert world.code("export", "last", "--format", "postman") == ExitCode.STORE
    assert world.code("sandbox", *LOCAL[:2], "--outputs", world.file("outputs.json", b"[1]")) == ExitCode.STORE
    return world.code("replay", world.file("bad.json", b"{"), "--to", "1")


def a_store_of_another_program(world: World) -> int:
    return world.code("captures", "--store", "payload.json")


def a_lost_tunnel(world: World) -> int:
    options = ("--public-url", f"http://127.0.0.1:{free_port()}", "--exit-on-tunnel-loss", "0.1")
    with sshd_for(world.folder, world.folder / "sshd") as sshd:
        tunnel = ("--tunnel", f"{sshd.address}/{free_port()}", "--probe-interval", "60")
        with listener(world.folder, *tunnel, *options) as listening:
            sshd.is_away = True
            sshd.signal(signal.SIGKILL)
            return listening.process.wait(30)


def an_unmet_condition(world: World) -> int:
    automation = str(EXAMPLES / "actions" / "tier_changed.json")
    event = world.file("event.json", b'{"diff": {"before": {}, "after": {}}}')
    return world.code("trigger", automation, "--to", "1", "--event", event)


def no_result(world: World) -> int:
    with handler() as target:
        return world.code("check", "payload.json", "--only", "reports", "--to", str(target.port))


class _IgnoresUnsigned(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        if self.headers["x-port-signature"]:
            self.send_response(202)
            self.end_headers()
        else:
            self.server.is_over.wait(30)  # type: ignore[attr-defined]

    def log_message(self, *_: object) -> None:
        pass


def nothing_proved(world: World) -> int:
    with ThreadingHTTPServer(("127.0.0.1", 0), _IgnoresUnsigned) as server:
        server.is_over = threading.Event()  # type: ignore[attr-defined]
        threading.Thread(target=server.serve_forever, args=(0.01,)).start()
        target = ("--to", str(server.server_port), "--timeout", "0.2")
        code = world.code("check", "payload.json", *target, "--only", "valid", "--only", "no-signature")
        server.is_over.set()  # type: ignore[attr-defined]
        server.shutdown()
    return code


def a_bug(world: World) -> int:
    def now() -> float:
        raise ZeroDivisionError

    world.monkeypatch.setattr(tempfile, "tempdir", str(world.folder))
    return main(("sign", "payload.json"), replace(world.runtime(env=ENV), now=now))


def an_interruption(world: World) -> int:
    class Interrupting(io.BytesIO):
        def read(self, *_: object) -> bytes:
            raise KeyboardInterrupt

    return main(("sign", "-"), replace(world.runtime(env=ENV), stdin=Interrupting()))


SITUATIONS: dict[str, Callable[[World], int]] = {
    "the command succeeded": lambda world: world.code("sign", "payload.json"),
    "`listen` was stopped by Ctrl-C or SIGTERM": a_stopped_listener,
    "a check failed": a_check,
    "`diff` found a difference": a_difference,
    "an expectation such as `--expect-status` is unmet": an_expectation,
    "`export --redact` cannot reproduce a verdict": an_unreproducible_verdict,
    "any other failure": lambda world: world.code("decrypt", "payload.json"),
    "the command line is invalid": lambda world: world.code("listen", "--port", "x"),
    "`verify`: the verdict is not `valid`": lambda world: world.code("verify", _unsigned(world)),
    "a secret or client ID is missing": lambda world: world.code("sign", "payload.json", PORT_CLIENT_SECRET=""),
    "a settings file, secret file or key file is missing, unreadable, invalid or unsafe": (
        lambda world: world.code("sign", "payload.json", "--secret-file", "none")
    ),
    "an optional package is not installed": a_missing_package,
    "the listener or another local server could not start": a_port_in_use,
    "the tunnel could not open": lambda world: world.code(
        "listen", "--port", "0", "--tunnel", f"ssh://127.0.0.1:{free_port()}"
    ),
    "the Kafka broker cannot be used": a_missing_topic,
    "the target of a request could not be reached": lambda world: world.code(
        "replay", "payload.json", "--to", str(free_port())
    ),
    "Port's API rejected a call": a_rejected_call,
    "Port's API could not be reached": lambda world: world.code(
        "report-run", RUN_ID, "--log", "x", PORT_CLIENT_ID="id", PORT_API_URL=f"http://127.0.0.1:{free_port()}"
    ),
    "a file or capture is missing": lambda world: world.code("show", "last"),
    "a new file already exists": an_existing_file,
    "a file cannot be read or written": an_unwritable_file,
    "a file or capture has unusable content": unusable_content,
    "the capture store cannot be read or written": a_store_of_another_program,
    "the run has ended, so Port rejects its status and fields": an_ended_run,
    "`listen`: the tunnel was lost for longer than `--exit-on-tunnel-loss`": a_lost_tunnel,
    "`trigger`: the event does not meet the condition, so nothing was sent": an_unmet_condition,
    "`check`: no check has a result": no_result,
    "`check`: nothing is proved, because `valid`, `no-signature` or `other-secret` has no result": nothing_proved,
    "a bug in port-hook, described in a crash report": a_bug,
    "interrupted with Ctrl-C": an_interruption,
}


def _unsigned(world: World) -> str:
    return world.file("request.http", b"POST / HTTP/1.1\r\nhost: h\r\ncontent-length: 2\r\n\r\n{}")


@pytest.mark.once
@pytest.mark.skipif(sys.platform == "win32", reason="signals and SSH servers of the tests are POSIX")
@pytest.mark.parametrize(
    ("code", "situation"),
    [pytest.param(code, situation, id=situation) for code in ExitCode for situation in code.situations],
)
def test_situation_has_its_exit_code(world: World, code: ExitCode, situation: str) -> None:
    assert SITUATIONS[situation](world) == code


CREATE_VM = str(EXAMPLES / "actions" / "create_vm.json")
READERS = (
    "agent FILE",
    "check FILE --to 1",
    "check payload.json --to 1 --cacert FILE",
    "decrypt FILE",
    "render FILE --data payload.json",
    "replay FILE --to 1",
    "sandbox --port 0 --actions FILE",
    "sign FILE",
    "trigger FILE --to 1",
    "trigger --list FILE",
    f"trigger {CREATE_VM} --to 1 --inputs FILE",
    "verify FILE",
)


@pytest.mark.parametrize("content", [None, b"{"], ids=["missing", "wrong-content"])
@pytest.mark.parametrize("line", READERS)
def test_unusable_file_ends_with_8_for_every_command(world: World, line: str, content: bytes | None) -> None:
    if content is not None:
        world.file("named.json", content)
    assert world.code(*line.replace("FILE", "named.json").split()) == ExitCode.STORE
