"""`port-hook doctor` finds the problems of a setup, and never shows a secret."""

from __future__ import annotations

import json
import re
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from port_hook_cli.captures.store.capture_store import open_store
from port_hook_cli.cli.app import main
from port_hook_cli.cli.exit_codes import ExitCode
from port_hook_cli.retarget.journal import FOLDER
from port_hook_cli.runtime import Runtime
from tests.conftest import Run
from tests.factories import a_capture, an_invocation
from tests.port_answers import TOKEN, token_answer
from tests.servers import Handler, handler, open_port
from tests.stores import keep, project_file
from tests.terminal_streams import Keyboard, Screen

SECRET = "the-secret-of-this-test"


@pytest.fixture
def port() -> Iterator[Handler]:
    with handler(token_answer(at_s=time.time())) as running:
        yield running


def environ(port: Handler) -> dict[str, str]:
    return {"PORT_CLIENT_ID": "an-id", "PORT_CLIENT_SECRET": SECRET, "PORT_API_URL": port.url}


def checks(run: Run, *options: str, env: Mapping[str, str]) -> dict[str, dict[str, Any]]:
    """The records by check and subject."""
    result = run("doctor", "--json", *options, env=env)
    assert SECRET not in result.out + result.err
    assert TOKEN not in result.out + result.err
    has_problem = any(record["state"] == "problem" for record in result.records)
    assert result.code == (ExitCode.FAILED if has_problem else ExitCode.OK)
    return {" ".join(filter(None, [record["check"], record["subject"]])): record for record in result.records}


def write(path: Path, text: str) -> None:
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)
    path.chmod(0o600)


def test_doctor_finds_no_problem_in_a_good_setup(run: Run, port: Handler) -> None:
    result = run("doctor", env=environ(port))
    assert result.code == ExitCode.OK
    lines = result.out.splitlines()
    assert lines[0].startswith("ok       credentials")
    assert f"{port.url} accepts the credentials" in result.out
    assert lines[-1].startswith("No problems")
    assert SECRET not in result.out + result.err


def test_doctor_prints_one_record_for_each_check(run: Run, port: Handler) -> None:
    found = checks(run, env=environ(port))
    assert list(found)[:5] == ["credentials", "api", "clock", "tunnel auto", "tunnel ngrok"]
    assert {"tunnel cloudflared", "tunnel ssh", "tunnel smee", "store", "handler", "retargets", "versions"} < set(found)
    assert found["credentials"] == {
        "schema": "port-hook/check/1",
        "check": "credentials",
        "subject": None,
        "state": "ok",
        "message": "Client secret: PORT_CLIENT_SECRET in the environment. "
        "Client ID: PORT_CLIENT_ID in the environment. "
        f"API URL: {port.url} (PORT_API_URL in the environment).",
        "next_step": None,
        "details": {
            "client_secret_from": "PORT_CLIENT_SECRET in the environment",
            "client_id_from": "PORT_CLIENT_ID in the environment",
            "api_url_from": "PORT_API_URL in the environment",
            "api_url": port.url,
            "contradictions": [],
        },
    }
    assert found["versions"]["details"]["python"].startswith(f"{sys.version_info.major}.")


def test_page_describes_the_details_of_every_check(run: Run, port: Handler) -> None:
    page = (Path(__file__).parents[2] / "docs" / "reference" / "json-records.md").read_text("utf-8")
    section = page.split("## `port-hook/check/1`")[1].split("\n## ")[0]
    rows = dict(re.findall(r"(?m)^\| `(\w+)` \| (.*) \|$", section))
    for record in checks(run, "--to", "1", env=environ(port)).values():
        described = set(re.findall("`([^`]+)`", rows[record["check"]]))
        assert record["details"].keys() <= described


def test_doctor_without_credentials_asks_the_api_only_for_the_time(run: Run, port: Handler) -> None:
    found = checks(run, env={"PORT_API_URL": port.url})
    assert found["credentials"]["state"] == "problem"
    assert found["credentials"]["message"] == "No client ID and no client secret are set."
    assert "port-hook login" in found["credentials"]["next_step"]
    assert found["api"]["state"] == "skipped"
    assert found["clock"]["state"] == "ok"
    (request,) = port.requests
    assert (request.line, request.value("authorization"), request.body) == ("GET / HTTP/1.1", None, b"")


def test_doctor_sends_nothing_to_an_api_url_from_the_dotenv_file(run: Run, port: Handler, folder: Path) -> None:
    write(folder / ".env", f"PORT_API_URL={port.url}\n")
    found = checks(run, env={"PORT_CLIENT_ID": "an-id", "PORT_CLIENT_SECRET": SECRET})
    assert found["credentials"]["state"] == "problem"
    assert found["api"]["state"] == "skipped"
    assert checks(run, env={})["api"]["state"] == "skipped"
    assert port.requests == []


def test_doctor_shows_the_words_of_a_hostile_api_in_visible_characters(run: Run) -> None:
    body = json.dumps({"error": "\x1b[2J\nok       api"}).encode()
    head = b"HTTP/1.1 401 Unauthorized\r\ndate: \x1b[2J\r\ncontent-length: " + str(len(body)).encode() + b"\r\n\r\n"
    with handler(head + body) as port:
        result = run("doctor", env=environ(port))
    assert "\x1b" not in result.out
    assert not any(line.startswith("ok       api") for line in result.out.splitlines())
    assert "Run `port-hook login` to find the region" in " ".join(result.out.split())


def test_doctor_reports_a_possibly_missing_network(run: Run, port: Handler) -> None:
    port.port = 1
    found = checks(run, env=environ(port))
    assert found["api"]["state"] == "problem"
    assert "may have no network" in found["api"]["next_step"]
    assert found["clock"]["state"] == "skipped"


def test_doctor_reports_a_clock_with_minutes_of_skew(run: Run) -> None:
    with handler(token_answer(at_s=time.time() - 900)) as port:
        found = checks(run, env=environ(port))
    assert found["clock"]["state"] == "problem"
    assert "ahead of the API's clock" in found["clock"]["message"]
    assert 890 < found["clock"]["details"]["skew_s"] < 930


def test_doctor_lists_each_place_with_different_credentials(
    run: Run, port: Handler, folder: Path, tmp_path: Path
) -> None:
    write(folder / ".env", "PORT_CLIENT_SECRET=another-secret\n")
    write(tmp_path / "home" / ".port" / ".env", "PORT_CLIENT_ID=another-id\nPORT_CLIENT_SECRET=a-third-secret\n")
    found = checks(run, env=environ(port))["credentials"]
    assert found["state"] == "warning"
    assert found["details"]["contradictions"] == [
        "PORT_CLIENT_SECRET in ./.env has a different client secret and is not used.",
        f"PORT_CLIENT_ID in {tmp_path}/home/.port/.env has a different client ID and is not used.",
        f"PORT_CLIENT_SECRET in {tmp_path}/home/.port/.env has a different client secret and is not used.",
    ]
    assert "another-" not in json.dumps(found).replace("another-id", "")


def test_doctor_reports_a_secret_with_white_space_or_quotes(run: Run, port: Handler) -> None:
    for secret, words in ((f" {SECRET}", "whitespace around it"), (f"'{SECRET}'", "quotes around it")):
        found = checks(run, env={**environ(port), "PORT_CLIENT_SECRET": secret})
        assert found["credentials"]["state"] == "warning"
        assert f"The client secret has {words}." in found["credentials"]["message"]


def test_doctor_reports_an_id_and_a_secret_from_different_places(run: Run, port: Handler, folder: Path) -> None:
    write(folder / ".env", f"PORT_CLIENT_SECRET={SECRET}\nPORT_API_URL={port.url}\n")
    found = checks(run, env={"PORT_CLIENT_ID": "an-id"})
    assert "different places" in found["credentials"]["message"]


def test_doctor_reports_an_unreadable_settings_file(run: Run, port: Handler, tmp_path: Path) -> None:
    write(tmp_path / "home" / ".port" / "config.yaml", "organizations: [")
    found = checks(run, env={})
    assert "invalid YAML" in found["credentials"]["message"]


def test_doctor_finds_the_placeholder_of_an_example(run: Run, port: Handler) -> None:
    found = checks(run, env={**environ(port), "PORT_CLIENT_SECRET": "changeme"})["credentials"]
    assert found["state"] == "problem"
    place = "PORT_CLIENT_SECRET in the environment"
    assert f" The client secret ({place}) is a placeholder from an example." in f" {found['message']}"
    assert found["next_step"].startswith("Replace it with the value of your organization")


def test_doctor_lists_usable_tunnels_and_the_default_tunnel(run: Run, port: Handler, tmp_path: Path) -> None:
    program = tmp_path / "bin" / "cloudflared"
    program.parent.mkdir()
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    env = {**environ(port), "PATH": str(program.parent)}
    found = checks(run, env=env)
    assert found["tunnel auto"]["message"] == "`listen` opens a tunnel with cloudflared by default."
    assert found["tunnel auto"]["details"]["provider"] == "cloudflared"
    assert found["tunnel cloudflared"]["message"] == f"Usable: {program} is installed."
    assert found["tunnel ngrok"]["state"] == "skipped"
    assert "the ngrok program is not installed" in found["tunnel ngrok"]["message"]
    assert "NGROK_AUTHTOKEN" in found["tunnel ngrok"]["next_step"]
    for tunnel, state, message, provider in (
        ("none", "ok", "`listen` opens no tunnel by default: ", None),
        ("ssh://me@box.example.com", "ok", "`listen` opens a tunnel with ssh://me@box.example.com by default: ", "ssh"),
        ("ngork", "problem", "`listen` cannot start with its default tunnel: --tunnel 'ngork' is not", None),
    ):
        auto = checks(run, env={**env, "PORT_HOOK_LISTEN_TUNNEL": tunnel})["tunnel auto"]
        assert (auto["state"], auto["details"]["provider"]) == (state, provider)
        assert auto["message"].startswith(message)


def test_doctor_leaves_out_tunnels_with_a_question_without_a_terminal(run: Run, port: Handler) -> None:
    pytest.importorskip("asyncssh")
    found = checks(run, env={**environ(port), "PATH": ""})
    assert found["tunnel auto"]["message"].startswith("`--tunnel auto` has no tunnel to open")
    assert found["tunnel ssh"]["message"] == "Not usable: localhost.run needs your consent, on a terminal."


def test_doctor_reports_the_question_of_listen_on_a_terminal(runtime: Callable[..., Runtime]) -> None:
    pytest.importorskip("asyncssh")
    stdout = Screen()
    main(["doctor"], replace(runtime(env={"PATH": ""}), stdin=Keyboard(), stdout=stdout, stderr=Screen()))
    shown = re.sub(r"\x1b\[[\d;]*m", "", stdout.getvalue())
    assert "`listen` asks before it opens a tunnel with localhost.run by default." in " ".join(shown.split())


def test_doctor_reports_the_missing_extra_for_ssh_tunnels(
    run: Run, port: Handler, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "asyncssh", None)  # as if the package were not installed
    found = checks(run, env=environ(port))["tunnel ssh"]
    command = f"{sys.executable} -m pip install 'asyncssh<3,>=2.23'"
    assert found["next_step"] == f"If you want it, run `{command}`, then use `--tunnel localhost.run`."


def test_doctor_shows_size_and_captures_of_the_store(run: Run, port: Handler, folder: Path) -> None:
    missing = checks(run, env=environ(port))["store"]
    assert (missing["state"], missing["details"]["exists"], missing["details"]["writable"]) == ("ok", False, True)
    assert list(folder.iterdir()) == []
    keep(folder, a_capture(an_invocation()))
    found = checks(run, env=environ(port))["store"]
    assert found["state"] == "ok"
    assert "has 1 capture, " in found["message"]
    assert (found["details"]["captures"], found["details"]["writable"]) == (1, True)
    assert found["details"]["size_bytes"] > 4000


def test_doctor_checks_the_known_handler(run: Run, port: Handler, folder: Path) -> None:
    with open_port() as target, open_store(None, folder, create=True) as store:
        url = f"http://127.0.0.1:{target.getsockname()[1]}"
        store.record_session(url)
        found = checks(run, env=environ(port))["handler"]
        store.record_session("http://192.0.2.1:9")
        elsewhere = checks(run, env=environ(port))["handler"]
    assert (found["state"], found["details"]["target"]) == ("ok", url)
    assert elsewhere["state"] == "skipped"
    project_file(folder, "handler = 1\n")
    known = checks(run, env=environ(port))["handler"]
    assert (known["state"], known["details"]["target"]) == ("warning", "http://127.0.0.1:1")


def test_doctor_checks_the_handler_of_forward_to(run: Run, port: Handler) -> None:
    with open_port() as target:
        assert checks(run, "--to", str(target.getsockname()[1]), env=environ(port))["handler"]["state"] == "ok"
    assert checks(run, "--to", "1", env=environ(port))["handler"]["state"] == "problem"
    assert run("doctor", "--to", "ftp://x", env=environ(port)).code == ExitCode.USAGE


def test_doctor_reports_unrestored_actions_of_a_killed_listener(run: Run, port: Handler, tmp_path: Path) -> None:
    write_folder = tmp_path / "home" / FOLDER
    write_folder.mkdir(parents=True)
    (write_folder / "x.json").write_text("{}")
    result = run("doctor", "--json", env=environ(port))
    (found,) = [record for record in result.records if record["check"] == "retargets"]
    assert found["state"] == "warning"
    assert found["next_step"] == "Run `port-hook restore`."
    assert result.err == ""
