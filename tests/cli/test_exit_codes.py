"""Situations in docs/reference/exit-codes.md whose exit codes the tests of the commands don't check."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from port_hook_cli.cli.app import main
from port_hook_cli.cli.exit_codes import ExitCode
from port_hook_cli.runtime import Runtime
from tests.conftest import Run
from tests.factories import SECRET, a_body
from tests.sockets import free_port

EXAMPLES = Path(__file__).parents[2] / "examples"
ENV = {"PORT_CLIENT_SECRET": SECRET.reveal()}


def test_exit_codes_never_change() -> None:
    assert {code.name: int(code) for code in ExitCode} == {
        "OK": 0, "FAILED": 1, "USAGE": 2, "NOT_VALID": 3, "SETTINGS": 4, "LISTEN": 5, "TARGET": 6, "PORT_API": 7,
        "STORE": 8, "RUN_ENDED": 9, "TUNNEL_LOST": 10, "NOT_TRIGGERED": 11, "NOT_OBSERVED": 12, "UNPROVED": 13,
        "BUG": 70, "INTERRUPTED": 130,
    }  # fmt: skip


def test_situation_has_its_exit_code(run: Run, folder: Path) -> None:
    (folder / "payload.json").write_bytes(a_body())
    for line, code in (
        ("sign payload.json", ExitCode.OK),
        ("decrypt payload.json", ExitCode.FAILED),
        ("sign payload.json --secret-file none", ExitCode.SETTINGS),
        (f"listen --port 0 --tunnel ssh://127.0.0.1:{free_port()}", ExitCode.LISTEN),
        ("export payload.json --output payload.json/request.sh", ExitCode.STORE),
        ("captures --store payload.json", ExitCode.STORE),
    ):
        assert run(*line.split(), env=ENV).code == code, line


def test_interrupted_command_ends_with_130(runtime: Callable[..., Runtime]) -> None:
    class Interrupting(io.BytesIO):
        def read(self, *_: object) -> bytes:
            raise KeyboardInterrupt

    assert main(("sign", "-"), replace(runtime(env=ENV), stdin=Interrupting())) == ExitCode.INTERRUPTED


CREATE_VM = str(EXAMPLES / "actions" / "create_vm.json")
READERS = (
    "port-agent FILE",
    "check FILE --to 1",
    "check payload.json --to 1 --cacert FILE",
    "decrypt FILE",
    "render FILE --data payload.json",
    "replay FILE --to 1",
    "sandbox --port 0 FILE",
    "sandbox --port 0 --outputs FILE",
    "sign FILE",
    "trigger FILE --to 1",
    "trigger --list FILE",
    f"trigger {CREATE_VM} --to 1 --input @FILE",
    "verify FILE",
)


def test_unusable_file_ends_with_8_for_every_command(run: Run, folder: Path) -> None:
    (folder / "payload.json").write_bytes(a_body())
    for content in (None, b"{"):
        if content is not None:
            (folder / "named.json").write_bytes(content)
        for line in READERS:
            result = run(*line.replace("FILE", "named.json").split(), env=ENV)
            assert (result.code, result.err != "") == (ExitCode.STORE, True), line
