"""`listen --report` and `listen --follow` as a process, with a sandbox as Port."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from port_hook_cli.cli.exit_codes import ExitCode
from port_hook_cli.engines.renderer import Renderer
from port_hook_cli.sandbox import Sandbox
from tests.conftest import Run
from tests.factories import RUN_ID, a_body, a_document, now_signed
from tests.processes import listener
from tests.sandboxes import a_sandbox, a_sequence, a_webhook, environ_of


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    with a_sandbox(runs=[RUN_ID]) as running:
        yield running


def test_listen_reports_and_follows_a_run_before_it_ends(sandbox: Sandbox, folder: Path) -> None:
    options = ("--report", "success", "--follow", "--count", "1")
    with listener(folder, *options, env=environ_of(sandbox)) as listening:
        assert listening.post(a_body(), now_signed(a_body(), secret=sandbox.client_secret))[0] == 200
        out, err = listening.process.communicate(timeout=30)
    assert listening.process.returncode == ExitCode.OK
    assert sandbox.runs[RUN_ID].report.status == "SUCCESS"
    assert f"Reported {RUN_ID}: SUCCESS (--report)" in err.decode()
    types = [line.partition(b'"type":"')[2].partition(b'"')[0] for line in out.splitlines()]
    assert sorted(types) == [b"invocation", b"report", b"run", b"summary"]
    assert b'"waiting":[]' in out.splitlines()[-1]


def test_listen_lists_only_runs_that_have_not_ended_when_it_can_ask_a_sandbox(folder: Path, run: Run) -> None:
    other = RUN_ID[:-1] + "Y"
    with a_sandbox(runs=[RUN_ID, other]) as sandbox:
        env = environ_of(sandbox)
        with listener(folder, "--count", "2", env=env) as listening:
            assert run("report-run", RUN_ID, "--status", "success", env=env).code == ExitCode.OK
            for run_id in (other, RUN_ID):
                body = a_body(a_document(context={"runId": run_id}))
                assert listening.post(body, now_signed(body, secret=sandbox.client_secret))[0] == 200
            out, err = listening.process.communicate(timeout=30)
    summary = err.decode().partition("2 received")[2].splitlines()[1:]
    assert summary == [
        "1 run stays IN_PROGRESS until the handler reports its result:",
        f"  port-hook report-run {other} --status success",
    ]
    assert f'"waiting":["{other}"]'.encode() in out.splitlines()[-1]


def test_node_with_a_body_of_its_own_is_recognized_by_the_path_of_its_url(folder: Path, run: Run) -> None:
    node = a_webhook("deploy", "https://hooks.example/deploy", synchronized=True, body={"mine": 1})
    with Renderer() as renderer, a_sandbox(workflows=[a_sequence(node)], renders=renderer) as sandbox:
        env, name = environ_of(sandbox), "one#deploy"
        options = ("--retarget", name, "--only", name, "--yes", "--count", "1", "--store", str(folder / "c.db"))
        with listener(folder, *options, env=env) as listening:
            assert run("trigger", "one", "--via-port", "--wait", "20", env=env).code == ExitCode.OK
            listening.process.communicate(timeout=30)
    assert f"200     {name}" in run("captures", "--action", name, "--store", str(folder / "c.db")).out


def test_listen_does_not_start_without_the_credentials_to_report(run: Run) -> None:
    result = run("listen", "--report", "success", env={"PORT_CLIENT_SECRET": "x" * 20})
    assert (result.code, "No client ID is set." in result.err) == (ExitCode.SETTINGS, True)
