from __future__ import annotations

import ast
import json
import os
import re
import shutil
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from port_hook_cli.captures.documents.capture_file import to_capture
from port_hook_cli.cli.exit_codes import ExitCode
from port_hook_cli.installed import command_for_tests
from port_hook_cli.invocations.models import Delivery, Truncation
from tests.conftest import Run
from tests.factories import RUN_ID, a_capture, an_invocation
from tests.installed import needs
from tests.sandboxes import a_sandbox, environ_of
from tests.servers import handler
from tests.stores import keep, last_listener, project_file

FORWARDED = a_capture(
    an_invocation(id="aa0000000001", target="/a"), delivery=Delivery(url="http://127.0.0.1:4000/hooks", status=200)
)
REMOTE = a_capture(
    an_invocation(id="bb0000000002", target="/b"), delivery=Delivery(url="http://203.0.113.9/x", status=200)
)


@pytest.fixture(autouse=True)
def _kept(folder: Path) -> None:
    keep(folder, FORWARDED, REMOTE)


def urls(archive: str) -> list[str]:
    return [entry["request"]["url"] for entry in json.loads(archive)["log"]["entries"]]


def test_export_writes_several_captures_for_where_each_was_forwarded_on_this_machine(run: Run) -> None:
    result = run("export", "aa00", "last", "--format", "har")
    assert (result.code, result.err) == (0, "")
    assert urls(result.out) == ["http://127.0.0.1:4000/hooks", "http://127.0.0.1:8000/b"]


def test_export_of_an_unforwarded_capture_uses_the_known_handler(run: Run, folder: Path) -> None:
    last_listener(folder, "http://127.0.0.1:5000")
    assert urls(run("export", "last", "--format", "har").out) == ["http://127.0.0.1:5000/b"]
    project_file(folder, "handler = 6000\n")
    assert urls(run("export", "last", "--format", "har").out) == ["http://127.0.0.1:6000/b"]


def test_export_reads_a_capture_file_without_a_store(run: Run, folder: Path) -> None:
    shutil.rmtree(folder / ".port-hook")
    (folder / "c.json").write_text(json.dumps(to_capture(REMOTE)))
    assert urls(run("export", "c.json", "--format", "har").out) == ["http://127.0.0.1:8000/b"]


def test_export_writes_a_new_private_file(run: Run, folder: Path) -> None:
    result = run("export", "last", "--format", "postman", "--output", "collection.json")
    assert (result.code, result.out) == (0, "")
    file = folder / "collection.json"
    assert json.loads(file.read_text())["info"]["name"] == "Captures of port-hook"
    if os.name == "posix":
        assert stat.S_IMODE(file.stat().st_mode) == 0o600


@pytest.mark.skipif(os.name == "nt", reason="needs links")
def test_export_overwrites_neither_a_file_nor_what_a_link_points_to(run: Run, folder: Path, tmp_path: Path) -> None:
    mine = tmp_path / "mine"
    mine.write_text("mine")
    (folder / "link").symlink_to(mine)
    (folder / "dangling").symlink_to(tmp_path / "none")
    (folder / "file").write_text("mine")
    for name in ("link", "dangling", "file"):
        result = run("export", "last", "--format", "har", "--output", name)
        assert result.code == ExitCode.STORE
        assert f"{name} already exists." in result.err
    assert (mine.read_text(), (folder / "file").read_text()) == ("mine", "mine")
    assert not (tmp_path / "none").exists()


def test_export_to_a_missing_folder_is_an_error(run: Run) -> None:
    result = run("export", "last", "--format", "har", "--output", "none/x.har")
    assert result.code == ExitCode.STORE
    assert result.err == (
        "error: The directory of none/x.har does not exist.\nhint: Create it, or pass another file name.\n"
    )


def test_export_rejects_several_captures_for_a_single_capture_format(run: Run) -> None:
    for name in ("http", "lambda", "capture"):
        result = run("export", "aa00", "bb00", "--format", name)
        assert (result.code, result.out) == (ExitCode.USAGE, "")
        assert f"The format {name} takes one capture." in result.err
        assert run("export", "aa00", "--format", name).code == 0


def test_export_rejects_a_truncated_body(run: Run, folder: Path) -> None:
    keep(folder, a_capture(an_invocation(id="cc0000000003", truncated=Truncation(9999, "0" * 64))))
    result = run("export", "last", "--format", "curl")
    assert result.code == ExitCode.STORE
    assert "incomplete" in result.err


def test_export_without_arguments_writes_a_curl_command_for_the_last_capture(run: Run) -> None:
    result = run("export")
    assert (result.code, result.raw) == (0, run("export", "last", "--format", "curl").raw)
    assert "--url 'http://127.0.0.1:8000/b'" in result.out


REQUEST = b"PUT /x?a=1 HTTP/1.1\r\ncontent-type: application/json\r\n\r\n{}"


def test_export_reads_stdin_and_raw_requests_and_runs(run: Run, folder: Path) -> None:
    (folder / "r.http").write_bytes(REQUEST)
    assert urls(run("export", "r.http", "--format", "har").out) == ["http://127.0.0.1:8000/x?a=1"]
    assert run("export", "-", "--format", "har", stdin=REQUEST).out == run("export", "r.http", "--format", "har").out
    assert run("export", RUN_ID).raw == run("export", "last").raw


def test_export_prints_a_note_when_a_request_has_no_signature(run: Run) -> None:
    result = run("export", "-", stdin=REQUEST)
    assert (result.code, "--request PUT" in result.out) == (0, True)
    assert result.err == "note: stdin has no signature, because no client secret is set\n"
    assert run("export", "-", "--format", "postman", stdin=REQUEST).err == ""


def test_export_gets_the_request_of_a_run_from_port(run: Run) -> None:
    run_id, kept = "r_0123456789abcdef", {"url": "https://old.example/hook", "method": "PUT", "body": {"z": 1}}
    with a_sandbox() as sandbox:
        sandbox.add_run(run_id, payload=kept)
        result = run("export", run_id, "--format", "har", env=environ_of(sandbox))
    (request,) = [each["request"] for each in json.loads(result.out)["log"]["entries"]]
    assert (request["method"], request["url"]) == ("PUT", "http://127.0.0.1:8000/hook")
    assert request["postData"]["text"] == '{"z":1}'


@needs("curl")
def test_several_captures_are_sent_by_one_script(run: Run, folder: Path) -> None:
    with handler() as target:
        script = run("export", "aa00", "bb00", "--format", "curl", "--to", target.url).raw
        subprocess.run(["sh"], input=script, check=True, capture_output=True, timeout=30)
        assert [request.line for request in target.requests] == ["POST /a HTTP/1.1", "POST /b HTTP/1.1"]


def test_pytest_module_explains_what_its_environment_needs(run: Run) -> None:
    result = run("export", "aa00", "--format", "pytest")
    assert (result.code, result.err) == (0, "")
    about = ast.get_docstring(ast.parse(result.out))
    assert about is not None
    assert about.endswith("    python -m pip install '/path/to/clone[pytest]'")


def test_export_to_pytest_prints_the_install_command_when_pytest_is_missing(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pytest", None)  # as in an environment of pipx
    result = run("export", "aa00", "--format", "pytest")
    assert result.code == 0
    command = command_for_tests()
    assert re.fullmatch(r"python -m pip install \S+\[pytest\]'?", command)
    assert result.err == (f"note: Your tests need port-hook in their environment. Install it there: {command}\n")
    assert "pip install" not in run("export", "aa00", "--format", "curl").err
