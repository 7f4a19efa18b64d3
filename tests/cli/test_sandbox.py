from __future__ import annotations

import json
import re
import shlex
import signal
import socket
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from port_hook_cli.actions.samples import create_vm_action
from port_hook_cli.cli.exit_codes import ExitCode
from tests.conftest import Run
from tests.factories import RUN_ID
from tests.handlers.handlers import environ_for
from tests.port_clients import authorized
from tests.prepared import Popen
from tests.processes import running
from tests.record_schemas import checked
from tests.sandboxes import a_sandbox, a_sequence, a_webhook


def a_process(folder: Path, *options: str) -> AbstractContextManager[Popen]:
    return running(folder, "sandbox", *options, text=True, encoding="utf-8")


def line(process: Popen) -> str:
    return str(process.stdout.readline())


def exports(process: Popen) -> dict[str, str]:
    words = [shlex.split(line(process)) for _ in range(5)]
    return dict(pair.split("=", 1) for export, pair in words if export == "export")


def test_printed_exports_configure_port_hook_for_the_sandbox(run: Run, tmp_path: Path) -> None:
    (tmp_path / "action.json").write_text(json.dumps({**create_vm_action(), "identifier": "nowhere"}))
    with a_process(tmp_path, "action.json") as process:
        env = exports(process)
        result = run("report-run", RUN_ID, "--log", "hi \x1b[2J", "--status", "success", env=env)
        assert result.code == ExitCode.OK
        lines = [process.stderr.readline() for _ in range(5)]
        with authorized(env) as port:
            started = port.post("/v1/actions/nowhere/runs", json={"properties": {"title": "x"}})
        run_id = started.json()["run"]["id"]
        lines += [process.stderr.readline() for _ in range(4)]
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=30)
    assert (process.returncode, out) == (ExitCode.OK, "")
    assert list(env) == ["PORT_CLIENT_ID", "PORT_CLIENT_SECRET", "PORT_API_URL", "PORT_BASE_URL", "PORT_API_BASE_URL"]
    assert env["PORT_API_URL"] == env["PORT_BASE_URL"] == env["PORT_API_BASE_URL"]
    path, calls = f"/v1/actions/runs/{RUN_ID}", [text.split(maxsplit=1)[1].rstrip() for text in lines[1:]]
    assert calls[:6] == [
        "POST /v1/auth/access_token 200  issued a token",
        f'GET {path}?version=v2 404  not_found: The action run with identifier "{RUN_ID}" was not found',
        f'POST {path}/logs 201  log "hi \\u001b[2J"; created the unknown run',
        f"PATCH {path} 200  status SUCCESS",
        "POST /v1/auth/access_token 200  issued a token",
        f"POST /v1/actions/nowhere/runs 202  started {run_id} for you@example.com",
    ]
    assert calls[6].startswith(f"run {run_id} nowhere IN_PROGRESS  The sandbox sends only to this machine")
    assert calls[7].startswith(f"run {run_id} nowhere FAILURE  ended ")
    assert env["PORT_CLIENT_SECRET"] not in "".join(lines) + err


def test_strict_sandbox_without_blueprints_prints_a_note(tmp_path: Path) -> None:
    with a_process(tmp_path, "--strict") as process:
        assert [process.stderr.readline() for _ in range(2)][1] == (
            "note: --strict rejects every entity, because the sandbox has no blueprints yet. Pass files with "
            "blueprints, or create them with POST /v1/blueprints.\n"
        )


def test_sandbox_warns_about_outputs_of_unknown_nodes(run: Run, folder: Path) -> None:
    (folder / "w.json").write_text(json.dumps(a_sequence(a_webhook("think"))), "utf-8")
    (folder / "o.json").write_text('{"think": {}, "thnk": {}}', "utf-8")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        result = run("sandbox", "--port", port, "w.json", "--outputs", "o.json")
    assert "warning: no workflow has these nodes of --outputs: thnk\n" in result.err


def test_sandbox_json_prints_the_credentials_and_then_a_record_for_each_call_and_step(run: Run, tmp_path: Path) -> None:
    blueprint = {"identifier": "vm", "schema": {"properties": {"cpu": {"type": "number"}}}}
    (tmp_path / "vm.json").write_text(json.dumps(blueprint))
    with a_process(tmp_path, "--json", "--strict", "vm.json") as process:
        ready: dict[str, Any] = checked(json.loads(line(process)))
        env = environ_for(ready)
        assert run("report-run", RUN_ID, "--status", "failure", env=env).code == ExitCode.PORT_API
        with authorized(env) as port:
            entities = [{"identifier": name, "properties": {name: 1}} for name in ("cpu", "ram")]
            answers = [port.post("/v1/blueprints/vm/entities", json=entity) for entity in entities]
            started = port.post("/v1/actions/create_vm/runs", json={"properties": {"title": "x"}})
        records = [checked(json.loads(line(process))) for _ in range(9)]
        process.terminate()
        out, err = process.communicate(timeout=30)
    assert (process.returncode, out, err) == (ExitCode.OK, "", "")
    assert (ready["schema"], ready["type"]) == ("port-hook/sandbox/1", "ready")
    assert [answer.status_code for answer in answers] == [201, 422]
    *calls, first, last = records
    assert {(call["schema"], call["type"]) for call in calls} == {("port-hook/sandbox/1", "call")}
    assert [(call["method"], call["status"], call["run_id"]) for call in calls[:2]] == [
        ("POST", 200, None),
        ("GET", 404, None),
    ]
    assert (first["type"], last["type"]) == ("run", "run")
    assert (last["run_id"], last["action"], last["status"]) == (started.json()["run"]["id"], "create_vm", "FAILURE")
    assert ready["client_secret"] not in json.dumps(records)


def test_sandbox_error_has_a_hint_when_the_port_is_in_use(run: Run) -> None:
    with a_sandbox() as other:
        result = run("sandbox", "--port", other.url.rpartition(":")[2])
    assert result.code == ExitCode.LISTEN
    assert "the port is already in use" in result.err
    assert "--port" in result.err


def test_sandbox_rejects_invalid_options(run: Run) -> None:
    for words, message in (
        (("--kafka", "kafka.example.com:9092"), "only to brokers on this machine"),
        (("--kafka", "9092"), "is not the address of a Kafka broker"),
        (("--rate-limit", "5/h"), "'5/h' is not N, N/m or N/s"),
    ):
        result = run("sandbox", *words)
        assert (result.code, result.out) == (ExitCode.USAGE, "")
        assert message in result.err


def test_env_file_gets_the_credentials_instead_of_stdout(run: Run, folder: Path) -> None:
    with a_process(folder, "--env-file", ".env") as process:
        assert re.fullmatch(r"The credentials for http://127\.0\.0\.1:\d+ are in \.env\.\n", process.stderr.readline())
        assert run("report-run", RUN_ID, "--status", "success").code == ExitCode.OK
        process.send_signal(signal.SIGINT)
        assert process.communicate(timeout=30)[0] == ""


def test_env_file_with_a_real_account_stops_the_sandbox(run: Run, folder: Path) -> None:
    (folder / ".env").write_text("PORT_CLIENT_ID=abc\n")
    result = run("sandbox", "--env-file", ".env", "--state", "state.db")
    assert (result.code, result.out) == (ExitCode.STORE, "")
    assert result.err == (
        "error: .env exists and is not a sandbox's credentials.\n"
        "hint: Move it away, or pass another file name, such as --env-file sandbox.env.\n"
    )
    assert not (folder / "state.db").exists()


def test_sandbox_reports_a_missing_file(run: Run, folder: Path) -> None:
    result = run("sandbox", "missing.json")
    assert result.code == ExitCode.STORE
    assert result.err == (
        f"error: File not found: {folder / 'missing.json'}.\n"
        "hint: Pass the path of a JSON or YAML file, or of a directory with such files.\n"
    )
