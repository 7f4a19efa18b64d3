"""Tests of the handler. The git server is a folder with bare repositories."""

from __future__ import annotations

import json
import os
import subprocess
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from secrets import token_hex

import pytest
from template_handler import app
from werkzeug.serving import make_server

from port_hook_cli.pytest_plugin import PortHook, PortSandbox


@pytest.fixture(autouse=True)
def repositories(port_sandbox: PortSandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder with the repositories. The environment has no identity and no settings for git."""
    variables = {
        **port_sandbox.environ,
        "REPOSITORY_REMOTE": str(tmp_path / "{name}.git"),
        "REPOSITORY_LINK": "https://git.example.com/{name}",
        "GIT_CONFIG_GLOBAL": os.devnull,
        "GIT_CONFIG_NOSYSTEM": "1",
    }
    for name in [name for name in os.environ if name.startswith("GIT_")]:
        monkeypatch.delenv(name)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    for name in ("billing", "cart"):
        git("init", "--quiet", "--bare", str(tmp_path / f"{name}.git"))
    return tmp_path


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    server = make_server("127.0.0.1", 0, app, threaded=True)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def git(*arguments: str) -> str:
    return subprocess.run(["git", *arguments], check=True, capture_output=True, encoding="utf-8").stdout.strip()


def pushed(repository: Path, file: str) -> str:
    return git(f"--git-dir={repository}", "show", f"main:{file}")


def test_a_service_is_created(port_hook: PortHook, port_sandbox: PortSandbox, url: str, repositories: Path) -> None:
    inputs = {"name": "billing", "description": "Bills customers"}
    run = port_hook.invoke("action.json", inputs, to=url, by={"email": "zoe@example.com"})
    assert (run.status, run.summary) == ("SUCCESS", "The repository of billing is ready.")
    assert run.link == "https://git.example.com/billing"
    repository = repositories / "billing.git"
    commit, author, message = git(f"--git-dir={repository}", "log", "--format=%H%n%an <%ae>%n%B", "main").split("\n", 2)
    assert author == "Port <port@example.com>"
    assert message == "Create billing from the template\n\nRequested-by: zoe@example.com"
    files = git(f"--git-dir={repository}", "ls-tree", "-r", "--name-only", "main").splitlines()
    assert files == ["README.md", "package.json", "server.mjs", "server.test.mjs"]
    assert pushed(repository, "README.md").startswith("# billing\n\nBills customers\n")
    entity = port_sandbox.entities["service", "billing"]
    assert entity["properties"] == {"description": "Bills customers", "repository": run.link, "commit": commit}
    blueprint = json.loads(Path(__file__).with_name("blueprint.json").read_bytes())
    assert entity["properties"].keys() == blueprint["schema"]["properties"].keys()
    assert len(run.entities) == 1  # the entity belongs to the run
    assert run.logs == (
        "Rendered the template for billing.",
        f"Pushed commit {commit[:12]} to https://git.example.com/billing.",
    )


def test_two_services_are_created_at_the_same_time(
    port_hook: PortHook, port_sandbox: PortSandbox, url: str, repositories: Path
) -> None:
    names = ("billing", "cart")
    inputs = [{"name": name, "description": f"This is {name}"} for name in names]
    runs = [port_hook.invoke("action.json", each, to=url, wait=False) for each in inputs]
    assert [port_sandbox.wait_for_end(run.id).status for run in runs] == ["SUCCESS", "SUCCESS"]
    for name in names:
        assert json.loads(pushed(repositories / f"{name}.git", "package.json"))["description"] == f"This is {name}"


def test_a_description_is_not_run_as_a_template(port_hook: PortHook, url: str, repositories: Path) -> None:
    description = """{{ 7 * 7 }} "}}{% raw %}\\n {# x #} 日本 🚀\ntwo lines"""
    run = port_hook.invoke("action.json", {"name": "billing", "description": description}, to=url)
    assert run.status == "SUCCESS"
    assert json.loads(pushed(repositories / "billing.git", "package.json"))["description"] == description


def test_the_run_fails_when_the_repository_is_not_empty(port_hook: PortHook, url: str, repositories: Path) -> None:
    git_dir = f"--git-dir={repositories / 'billing.git'}"
    identity = ("-c", "user.name=me", "-c", "user.email=me@example.com")
    tree = git(git_dir, "hash-object", "-t", "tree", "-w", os.devnull)
    git(git_dir, "update-ref", "refs/heads/main", commit := git(git_dir, *identity, "commit-tree", tree, "-m", "mine"))
    run = port_hook.invoke("action.json", {"name": "billing", "description": "Bills customers"}, to=url)
    assert (run.status, run.summary) == ("FAILURE", "The repository of billing is not empty. Choose another name.")
    assert git(git_dir, "rev-parse", "main") == commit


def test_the_run_fails_when_there_is_no_repository(port_hook: PortHook, url: str) -> None:
    run = port_hook.invoke("action.json", {"name": "orders", "description": "Takes orders"}, to=url)
    assert run.status == "FAILURE"
    assert run.summary is not None
    assert run.summary.startswith("The service orders is not ready. git failed: ")
    assert "orders.git' does not appear to be a git repository" in run.summary


@pytest.mark.parametrize("name", ["../billing", "--upload-pack=id", "Billing"])
def test_the_run_fails_when_the_name_is_not_valid(port_hook: PortHook, port_sandbox: PortSandbox, name: str) -> None:
    # The form refuses such a name, so the test makes the request itself.
    run = port_sandbox.add_run(f"r_{token_hex(8)}", action="create_service")
    service = {"name": name, "description": ""}
    headers, body = port_hook.sign({"runId": run.id, "requestedBy": "me@example.com", "service": service})
    assert app.test_client().post("/port/create-service", headers=headers, data=body).status_code == 202
    ended = port_sandbox.wait_for_end(run.id)
    assert ended.status == "FAILURE"
    assert ended.summary is not None
    assert ended.summary.startswith(f"The name {name} is not valid. A name has 2 to 40 lowercase letters")


def test_a_changed_request_is_refused(port_hook: PortHook) -> None:
    request = port_hook.request("action.json", {"name": "billing", "description": "Bills customers"})
    changed = replace(request, body=request.body.replace(b'"billing"', b'"payroll"'))
    response = app.test_client().post(request.path, headers=dict(request.headers), data=changed.body)
    assert response.status_code == 401


def test_an_old_request_is_refused(port_hook: PortHook) -> None:
    headers, body = port_hook.sign({"runId": "r_0123456789abcdef"}, timestamp=1_700_000_000)
    assert app.test_client().post("/port/create-service", headers=headers, data=body).status_code == 401


def test_a_body_of_another_template_is_refused(port_hook: PortHook) -> None:
    headers, body = port_hook.sign({"runId": "r_0123456789abcdef", "vm": {"cpu": 2}})
    assert app.test_client().post("/port/create-service", headers=headers, data=body).status_code == 422


def test_a_run_that_is_delivered_twice_is_done_once(port_hook: PortHook, port_sandbox: PortSandbox, url: str) -> None:
    request = port_hook.request("action.json", {"name": "billing", "description": "Bills customers"})
    client = app.test_client()
    responses = [client.post(request.path, headers=dict(request.headers), data=request.body) for _ in range(2)]
    assert [response.status_code for response in responses] == [202, 202]
    port_hook.invoke("action.json", {"name": "cart", "description": "Sells"}, to=url)
    run = port_sandbox.wait_for_end(request.run_id)
    assert (run.status, len(run.logs)) == ("SUCCESS", 2)
