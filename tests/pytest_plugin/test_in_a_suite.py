"""The plugin in a user's test suite: pytest in a separate process and folder."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.prepared import Popen

ROOT = Path(__file__).parents[2]
pytest_plugins = ["pytester"]

# A handler for such a suite. It verifies requests, and reports before it responds, one request at a time.
BACKEND = """
import json, os, threading, urllib.request
from http.server import BaseHTTPRequestHandler, HTTPServer
import pytest
from port_hook_cli import verify

def call(method, path, document, token=""):
    headers = {"content-type": "application/json", "authorization": f"Bearer {token}"}
    url = os.environ["PORT_API_URL"] + "/v1" + path
    request = urllib.request.Request(url, json.dumps(document).encode(), headers, method=method)
    with urllib.request.urlopen(request, timeout=30) as answer:
        return json.load(answer)

class Webhook(BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["content-length"]))
        good = verify(self.headers, body, os.environ["PORT_CLIENT_SECRET"]).status == "valid"
        if good:
            credentials = {"clientId": os.environ["PORT_CLIENT_ID"], "clientSecret": os.environ["PORT_CLIENT_SECRET"]}
            token = call("POST", "/auth/access_token", credentials)["accessToken"]
            run = "/actions/runs/" + json.loads(body)["context"]["runId"]
            call("PATCH", run, {"status": "SUCCESS", "summary": "up", "statusLabel": "Ready"}, token)
        self.send_response(202 if good else 401)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, *_):
        pass

@pytest.fixture
def url(port_sandbox, monkeypatch):
    for name, value in port_sandbox.environ.items():
        monkeypatch.setenv(name, value)
    with HTTPServer(("127.0.0.1", 0), Webhook) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server.server_port
        server.shutdown()
        thread.join()
"""
# Other plugins: port-hook's plugin must work without them, and a suite may have any of them. Loading the plugins of
# this environment takes three times as long as a suite, so a suite loads only the plugins in its options.
ALONE = ("-p", "port_hook", "-p", "no:cacheprovider", "-W", "error")
# pytest in a new interpreter, which has imported nothing: the others run in a fork of one that has imported much.
NEW = (sys.executable, "-m", "pytest")


@pytest.fixture(autouse=True)
def _only_selected_plugins(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    def start(command: Sequence[str], stdin: object, **files: Any) -> subprocess.Popen[Any]:
        if command[1] != "-mpytest":
            return subprocess.Popen(command, stdin=subprocess.DEVNULL, **files)
        return Popen([sys.executable, "-m", "pytest", *command[2:]], stdin=subprocess.DEVNULL, **files)

    monkeypatch.setattr(pytester, "popen", start)
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")


@pytest.fixture
def suite(pytester: pytest.Pytester) -> pytest.Pytester:
    pytester.makeconftest(BACKEND)
    return pytester


def test_fixtures_need_no_other_plugin(suite: pytest.Pytester) -> None:
    suite.makepyfile(
        """
        import asyncio

        def test_synchronous(port_hook, url):
            assert port_hook.invoke("create_vm", {"title": "x"}, to=url).status == "SUCCESS"

        def test_asynchronous(port_hook, port_sandbox, url):
            async def test():
                runs = [port_hook.ainvoke("create_vm", {"title": name}, to=url) for name in "abc"]
                return [run.status for run in await asyncio.gather(*runs)]
            assert asyncio.run(test()) == ["SUCCESS"] * 3
            assert len(port_sandbox.runs) == 3
        """
    )
    suite.runpytest_subprocess(*ALONE).assert_outcomes(passed=2)


@pytest.mark.parametrize(
    "has_all_plugins", [False, pytest.param(True, marks=pytest.mark.extended)], ids=["alone", "all plugins"]
)
def test_fixtures_work_with_pytest_asyncio(
    suite: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, has_all_plugins: bool
) -> None:
    suite.makeini("[pytest]\nasyncio_mode = auto\nasyncio_default_fixture_loop_scope = function")
    suite.makepyfile(
        """
        async def test_asynchronous(port_hook, url):
            assert (await port_hook.ainvoke("create_vm", {"title": "x"}, to=url)).summary == "up"
        """
    )
    if has_all_plugins:
        monkeypatch.delenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD")
        result = suite.run(*NEW, "-W", "error")
    else:
        result = suite.runpytest_subprocess(*ALONE, "-p", "pytest_asyncio.plugin")
    result.assert_outcomes(passed=1)


def test_failure_report_shows_requests_and_responses_without_secrets(suite: pytest.Pytester) -> None:
    workflow = ROOT / "examples" / "workflows" / "deploy_service.json"
    suite.makepyfile(
        f"""
        def test_refused(port_hook, port_sandbox, port_environ, url, monkeypatch):
            monkeypatch.setenv("PORT_CLIENT_SECRET", "another")
            print("the secret is " + port_sandbox.client_secret)
            port_hook.invoke("create_vm", {{"title": "x"}}, to=url)

        def test_wrong(port_hook, url):
            run = port_hook.invoke("create_vm", {{"title": "x"}}, to=url)
            assert run.summary == "down"

        def test_not_ready(port_hook, url):
            run = port_hook.run_workflow({str(workflow)!r}, {{"service": "a"}}, to=url, outputs={{"deploy": {{}}}})
            assert "deploy" in run.nodes

        def test_unreachable(port_hook):
            run = port_hook.invoke({f"{workflow}#deploy"!r}, {{"service": "a"}}, to=1)
            assert run.result == "SUCCESS"
        """
    )
    result = suite.runpytest_subprocess(*ALONE)
    result.assert_outcomes(failed=4)
    result.stdout.fnmatch_lines(
        [
            '>*port_hook.invoke("create_vm", {"title": "x"}, to=url)',
            "E*RunNotEnded: The run r_* of create_vm has not ended. It is IN_PROGRESS and stays so: *with 401.",
            "E*hint: Does the handler read PORT_CLIENT_SECRET from port_sandbox.environ*",
            "*port-hook*",
            "  request   POST http://127.0.0.1:*",
            "  responded 401*",
            "*port-hook*",
            "r_* of create_vm: SUCCESS",
            "  label     Ready",
            "  summary   up",
            "  call      PATCH /v1/actions/runs/r_* 200*",
            "*of deploy_service#check: *",
            "  request   POST http://127.0.0.1:*/builds/check*",
        ]
    )
    text = result.stdout.str()
    secret = text.rpartition("the secret is ")[2].split()[0]
    assert text.count(secret) == 1
    assert "world.py" not in text  # the traceback ends in the test


def test_unused_plugin_does_not_import_modules(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        import sys

        def test_loaded():
            assert {name for name in sys.modules if name.startswith("port_hook_cli")} == {
                "port_hook_cli", "port_hook_cli.pytest_plugin"
            }
            assert {"aiohttp", "httpx", "jq", "asyncio"} & set(sys.modules) == set()
        """
    )
    pytester.run(*NEW, *ALONE).assert_outcomes(passed=1)


@pytest.mark.extended
def test_xdist_workers_are_isolated(suite: pytest.Pytester) -> None:
    suite.makepyfile(
        """
        import pytest

        @pytest.mark.parametrize("number", range(4))
        def test_alone(port_hook, port_sandbox, url, number):
            assert port_hook.invoke("create_vm", {"title": "x"}, to=url).status == "SUCCESS"
            assert len(port_sandbox.runs) == 1
        """
    )
    suite.runpytest_subprocess(*ALONE, "-p", "xdist", "-n", "2").assert_outcomes(passed=4)


def test_settings_select_actions_blueprints_strictness_and_the_timeout(pytester: pytest.Pytester) -> None:
    folder = pytester.mkdir("port")
    (folder / "scale.yaml").write_text(
        "identifier: scale\ntrigger: {type: self-service}\ninvocationMethod: {type: WEBHOOK, url: 'http://127.0.0.1/s'}"
    )
    (pytester.path / "vm.json").write_text('{"identifier": "vm", "schema": {}}')
    pytester.makeini(
        "[pytest]\nport_hook_actions = port\nport_hook_blueprints = vm.json\nport_hook_strict = false\n"
        "port_hook_timeout = 0.05"
    )
    pytester.makepyfile(
        """
        import pytest

        @pytest.mark.parametrize("again", [1, 2])
        def test_actions(port_hook, port_sandbox, again):
            request = port_hook.request("scale")
            with pytest.raises(AssertionError, match="after 0.05 s"):
                port_sandbox.wait_for_end(request.run_id)

        def test_blueprints(port_sandbox):
            assert list(port_sandbox.blueprints) == ["vm"]
            port_sandbox.add_entity("unknown", {"identifier": "a", "properties": {"b": 1}})
        """
    )
    pytester.runpytest_subprocess(*ALONE, "--strict-config").assert_outcomes(passed=3)


def test_rejection_of_an_entity_contains_its_blueprint_and_a_hint(pytester: pytest.Pytester) -> None:
    pytester.makeconftest(BACKEND)
    pytester.makepyfile(
        """
        from conftest import call

        def token(port_sandbox):
            names = {"clientId": "PORT_CLIENT_ID", "clientSecret": "PORT_CLIENT_SECRET"}
            credentials = {field: port_sandbox.environ[name] for field, name in names.items()}
            return call("POST", "/auth/access_token", credentials)["accessToken"]

        def test_handler(port_sandbox, url):
            call("POST", "/blueprints/vm/entities", {"identifier": "a"}, token(port_sandbox))

        def test_several(port_sandbox, url):
            port_sandbox.add_blueprint({"identifier": "team", "schema": {}})
            several = {"entities": [{"identifier": "a", "properties": {"b": 1}}]}
            assert not call("POST", "/blueprints/team/entities/bulk", several, token(port_sandbox))["errors"]

        def test_own(port_sandbox):
            port_sandbox.add_entity("cluster", {"identifier": "a"})
        """
    )
    result = pytester.runpytest_subprocess(*ALONE, "-rN")
    result.assert_outcomes(failed=3)
    result.stdout.fnmatch_lines(
        [
            '*Blueprint with identifier "vm" was not found; the sandbox is strict*blueprint "vm"',
            "hint: Declare*port_sandbox.add_blueprint*port_hook_blueprints*port_hook_strict = false.",
            "*found 'b'; the sandbox is strict*blueprint \"team\"",
            "hint: Declare*",
            '*Blueprint with identifier "cluster" was not found.',
            "*hint: Add its blueprint*",
        ]
    )
    result.stdout.no_fnmatch_line("*world.py*")


@pytest.mark.parametrize(
    ("setting", "expected"),
    [
        ("port_hook_actions = nowhere.yaml", "port_hook_actions in tox.ini: File not found: *nowhere.yaml.*"),
        ("port_hook_timeout = nan", "*port_hook_timeout is 'nan'*"),
    ],
)
def test_invalid_setting_is_reported(pytester: pytest.Pytester, setting: str, expected: str) -> None:
    pytester.makeini(f"[pytest]\n{setting}")
    pytester.makepyfile("def test_it(port_sandbox): pass")
    result = pytester.runpytest_subprocess(*ALONE)
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines([expected])
    result.stdout.no_fnmatch_line("*world.py*")
    result.stdout.no_fnmatch_line("*exception*")


def test_failed_comparisons_do_not_show_the_secret(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        def test_environ(port_environ, tmp_path):
            (tmp_path.parent.parent / "secret").write_text(port_environ["PORT_CLIENT_SECRET"])
            assert port_environ | {} == {**port_environ.copy(), "PORT_CLIENT_SECRET": "other"}

        def test_secret(port_sandbox):
            assert port_sandbox.client_secret == "other"
        """
    )
    result = pytester.runpytest_subprocess(*ALONE, "-vv", "--basetemp", "it")
    result.assert_outcomes(failed=2)
    secret = (pytester.path / "secret").read_text()
    assert secret
    result.stdout.no_fnmatch_line(f"*{secret}*")


def test_blocked_sockets_are_reported_with_a_hint(pytester: pytest.Pytester) -> None:
    pytester.makepyfile("def test_it(port_sandbox): pass")
    blocking = (*ALONE, "-p", "pytest_socket", "--disable-socket")
    result = pytester.runpytest_subprocess(*blocking)
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*run pytest with --allow-hosts=127.0.0.1"])
    allowed = pytester.runpytest_subprocess(*blocking, "--allow-hosts=127.0.0.1")
    allowed.assert_outcomes(passed=1)


@pytest.mark.extended
def test_examples_of_the_how_to_page_pass(pytester: pytest.Pytester) -> None:
    page = (ROOT / "docs" / "test" / "pytest.md").read_text("utf-8")
    in_process = page.partition("## Test a server")[0]
    about_workflows = page.partition("## Test a workflow\n")[2].partition("\n## ")[0]
    blocks, (block,) = (re.findall(r"```python\n(.*?)```", part, re.DOTALL) for part in (in_process, about_workflows))
    assert len(blocks) == 2
    pytester.makepyfile(
        test_how_to="\n".join(blocks), test_workflows=f"from test_workflow_handler import url\n\n\n{block}"
    )
    examples = {
        "fastapi": ("fastapi_handler.py", "create_vm.yaml"),
        "workflows": ("deploy_service.json", "workflow_handler.py", "test_workflow_handler.py"),
    }
    for folder, names in examples.items():
        for name in names:
            (pytester.path / name).write_bytes((ROOT / "examples" / folder / name).read_bytes())
    # Starlette warns about httpx in its test client, which is not about this plugin.
    result = pytester.runpytest_subprocess(*ALONE, "-W", "default", "test_how_to.py", "test_workflows.py")
    result.assert_outcomes(passed=4 + block.count("def test_"))


def test_each_check_of_a_handler_is_a_separate_test(suite: pytest.Pytester) -> None:
    suite.makepyfile(
        """
        import pytest

        def test_handler(port_hook_check, url):
            port_hook_check(url)

        @pytest.mark.parametrize("port_hook_check", ["no-signature"], indirect=True)
        def test_chosen(port_hook_check, url):
            port_hook_check(url)
        """
    )
    chosen = "header-case or not-json or same-delivery or sync-status or no-signature or secret-unset"
    result = suite.runpytest_subprocess(*ALONE, "-k", chosen, "-v", "-rs")
    result.assert_outcomes(passed=3, failed=2, skipped=1)  # not `secret-unset`: a test starts the handler itself
    result.stdout.fnmatch_lines_random(
        [
            "*test_handler?header-case? PASSED*",
            "*test_handler?sync-status? SKIPPED*",
            "*test_chosen?no-signature? PASSED*",
            "E*HandlerCheckFailed: not-json: The handler fails on a body that is not JSON.",
            "E*HandlerCheckWarning: same-delivery: the handler does its work twice*",
            "E*request   POST http://127.0.0.1:*",
            "SKIPPED*not observed: it applies only to synchronous actions",
        ]
    )
    text = result.stdout.str()
    assert "world.py" not in text  # the traceback ends in the test
