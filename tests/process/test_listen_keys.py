"""Keys while `listen` runs on a pseudo terminal."""

from __future__ import annotations

import base64
import json
import re
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest

from port_hook_cli.captures.store.capture_store import open_store
from port_hook_cli.invocations.models import Status, Verdict
from port_hook_cli.signatures.signing import TimestampUnit, signed_headers
from port_hook_cli.text.secret import Secret
from tests.factories import a_body, a_capture, a_document, an_invocation
from tests.process.test_typed_keys import SHELL, Terminal, a_shell
from tests.servers import NO_TLS, handler
from tests.stores import keep

if sys.platform == "win32":
    pytest.skip("pseudo terminals are POSIX", allow_module_level=True)

import termios

SECRET = "a-client-secret-of-a-test-0123456789"
LISTEN = ("-m", "port_hook_cli", "listen", "--port", "0", "--tunnel", "none", "--compact")

# A shell that continues a stopped job in the background, leaves what is typed for a second, and then reads it.
BACKGROUND = (
    SHELL.replace("    os.tcsetpgrp(0, job)\n    os.kill(job, signal.SIGCONT)\n", "    break\n").partition("left = ")[0]
    + """
import time
os.kill(job, signal.SIGCONT)
while not select.select([0], [], [], 20)[0]:
    pass
time.sleep(1)  # for the job to see the same keys
state = "stopped" if os.waitpid(job, os.WUNTRACED | os.WNOHANG)[0] else "runs"
print(f"job {state}, typed {os.read(0, 1000)!r}", flush=True)
os.kill(job, signal.SIGKILL)
"""
)


@contextmanager
def a_listener(folder: Path, *options: str, script: str = SHELL, **variables: str) -> Iterator[tuple[Terminal, str]]:
    """A listener on a terminal that reads keys, and its URL."""
    (folder / "secret").write_text(SECRET)
    (folder / "secret").chmod(0o600)
    with a_shell(folder, *LISTEN, "--secret-file", "secret", *options, script=script, **variables) as terminal:
        url = terminal.wait_for(r"Listening on  (http://127\.0\.0\.1:\d+/)")
        terminal.wait_for(r"Press \? for the keys\.")
        yield terminal, url


def send(url: str, *, secret: str = SECRET, age_s: float = 0, number: int = 0) -> int:
    """Send an invocation, and return the status of the response. Another `number` is another run."""
    body = a_body(a_document(context={"runId": f"r_{number:016}"}))
    headers = dict(signed_headers(body, Secret(secret), TimestampUnit.SECONDS.stamp(time.time() - age_s)))
    headers["content-type"] = "application/json"
    response = httpx.post(f"{url}hook", content=body, headers=headers, timeout=30, verify=NO_TLS)
    return response.status_code


def end_of(terminal: Terminal) -> str:
    return terminal.wait_for(r"ended with (.*)\r\n")


def test_q_quits_and_restores_the_terminal(folder: Path) -> None:
    with a_listener(folder) as (terminal, _):
        assert not termios.tcgetattr(terminal.master)[3] & termios.ICANON
        terminal.type("q")
        assert end_of(terminal) == "0, echo on, typed b''"
        settings = termios.tcgetattr(terminal.master)
        assert settings[3] & termios.ICANON
        assert settings[6][termios.VMIN] == b"\x01"


def test_listener_in_the_background_leaves_the_keys_to_the_shell(folder: Path) -> None:
    with a_listener(folder, script=BACKGROUND) as (terminal, _):
        terminal.type("\x1a")
        terminal.wait_for(r"stopped, echo on")
        terminal.type("q\n")
        assert terminal.wait_for(r"job (.*)\r\n") == "runs, typed b'q\\n'"


def test_question_mark_shows_the_working_keys_and_other_keys_do_nothing(folder: Path) -> None:
    with a_listener(folder) as (terminal, _):
        terminal.type("xyz\n\x04\x1b[A?")
        keys = terminal.wait_for(r"(?s)Press \? for the keys\.\r\n(.*q  quit)\r\n")
        terminal.type("q")
        assert end_of(terminal).startswith("0")
    assert [line.split("  ")[0] for line in keys.splitlines()] == ["c", "f", "p", "?", "q"]


def test_question_mark_shows_r_when_a_request_can_be_replayed(folder: Path) -> None:
    with handler() as target, a_listener(folder, "--forward-to", target.url) as (terminal, url):
        send(url)
        terminal.wait_for("create_vm")
        terminal.type("?")
        terminal.wait_for(r"\r\nr  replay the latest request that listen did not reject\r\nc  ")


def test_r_replays_the_latest_request_of_the_store_before_the_first_request_arrives(folder: Path) -> None:
    keep(
        folder,
        a_capture(an_invocation(id="aaaaaaaaaaaa")),
        a_capture(an_invocation(a_body(a_document(action="delete_vm")), id="bbbbbbbbbbbb")),
        a_capture(an_invocation(id="cccccccccccc", replay_of="bbbbbbbbbbbb")),
        a_capture(an_invocation(id="dddddddddddd"), verdict=Verdict(status=Status.INVALID), rejected=True),
    )
    with handler() as target, a_listener(folder, "--forward-to", target.url) as (terminal, _):
        terminal.type("r")
        terminal.wait_for(r"Replaying delete_vm CREATE \(bbbbbbbbbbbb\), captured at 2023-11-1\d \d\d:13:20\.")
        terminal.wait_for(r"200 .* ms")
        terminal.type("q")
        assert end_of(terminal).startswith("0")
    assert [json.loads(request.body)["action"] for request in target.requests] == ["delete_vm"]


def test_r_without_a_handler_shows_the_missing_option(folder: Path) -> None:
    with a_listener(folder) as (terminal, url):
        send(url)
        terminal.wait_for("create_vm")
        terminal.type("r")
        terminal.wait_for(r"`r` needs a handler\. Start `listen` with --forward-to\.")


def test_r_replays_the_last_invocation_with_a_new_signature(folder: Path) -> None:
    with handler() as target, a_listener(folder, "--forward-to", target.url) as (terminal, url):
        terminal.type("r")
        terminal.wait_for(r"Nothing to replay yet\.")
        send(url, age_s=100)
        terminal.type("r")
        terminal.wait_for(r"Replaying create_vm CREATE \([0-9a-f]{12}\), captured at ")
        terminal.wait_for(r"(?s)create_vm.*create_vm")
        terminal.type("q")
        assert end_of(terminal).startswith("0")
    assert len(target.requests) == 2
    first, second = target.requests
    assert second.body == first.body
    assert int(second.value("x-port-timestamp") or 0) >= int(first.value("x-port-timestamp") or 0) + 100


def test_r_does_not_sign_a_rejected_request(folder: Path) -> None:
    with handler() as target, a_listener(folder, "--forward-to", target.url) as (terminal, url):
        send(url, secret="of-a-stranger")
        terminal.wait_for(r"401")
        terminal.type("r")
        terminal.wait_for(r"Nothing to replay yet\.")
        terminal.type("q")
        assert end_of(terminal).startswith("0")
    assert target.requests == []


def test_f_switches_between_one_line_and_everything(folder: Path) -> None:
    with a_listener(folder) as (terminal, url):
        send(url)
        terminal.wait_for("create_vm")
        terminal.type("f")
        terminal.wait_for(r"Showing everything\.")
        send(url)
        terminal.wait_for(r"(?s)Showing everything\..*port-hook report-run")
        terminal.type("f")
        terminal.wait_for(r"Showing one line per invocation\.")


def test_c_copies_the_url_through_the_terminal(folder: Path) -> None:
    with a_listener(folder, PATH=str(folder)) as (terminal, url):
        terminal.type("c")
        copied = terminal.wait_for(r"\x1b\]52;c;([A-Za-z0-9+/=]+)\x07")
        assert base64.b64decode(copied).decode() == url
        terminal.wait_for(r"Asked the terminal to copy it")


def test_i_opens_the_inspector_or_reports_a_missing_inspector(folder: Path) -> None:
    with a_listener(folder) as (terminal, _):
        terminal.type("i")
        terminal.wait_for(r"The inspector is not open\. Start `listen` with --inspect\.")


def test_i_opens_the_page_of_the_inspector(folder: Path) -> None:
    browser = folder / "browser"
    browser.write_text(f'#!/bin/sh\necho "$1" > "{folder}/opened"\n')
    browser.chmod(0o700)
    with a_listener(folder, "--inspect", BROWSER=f"{browser} %s") as (terminal, _):
        page = urlsplit(terminal.wait_for(r"Inspector +(http://\S+)"))
        terminal.type("i")
        terminal.wait_for(r"Opening the inspector in the browser\.")
        until = time.monotonic() + 30
        while not ((folder / "opened").exists() and (folder / "opened").read_text()):
            assert time.monotonic() < until
            time.sleep(0.01)  # nothing tells of it
        opened = (folder / "opened").read_text().strip()
        assert page.fragment.removeprefix("token=") not in opened
        response = httpx.get(opened, verify=NO_TLS)
    assert opened.startswith(f"http://{page.netloc}/once/")
    assert response.headers["location"] == f"{page.path}#{page.fragment}"


def test_p_holds_requests_until_it_is_pressed_again(folder: Path) -> None:
    with (
        handler() as target,
        a_listener(folder, "--forward-to", target.url) as (terminal, url),
        ThreadPoolExecutor(2) as senders,
    ):
        terminal.type("p")
        terminal.wait_for(r"Holding incoming requests: they are saved, not forwarded\. Press p to release them\.")
        sent = [senders.submit(send, url, number=number) for number in range(2)]
        terminal.wait_for(r"Holding create_vm CREATE \([0-9a-f]{12}\) \(2 held\)\.")
        terminal.type("?")
        terminal.wait_for(r"p  hold incoming requests, or release them \(2 held\)")
        assert (target.requests, any(future.done() for future in sent)) == ([], False)
        terminal.type("p")
        terminal.wait_for(r"Released 2 held requests\.")
        assert [future.result(20) for future in sent] == [200, 200]
        terminal.type("q")
        assert end_of(terminal).startswith("0")
    assert len(target.requests) == 2


def test_p_and_the_page_hold_and_release_the_same_requests(folder: Path) -> None:
    with (
        handler() as target,
        a_listener(folder, "--inspect", "--forward-to", target.url) as (terminal, url),
        ThreadPoolExecutor(2) as senders,
    ):
        page = urlsplit(terminal.wait_for(r"Inspector +(http://\S+)"))
        headers = {"authorization": f"Bearer {page.fragment.removeprefix('token=')}", "x-port-hook": "1"}
        with httpx.Client(base_url=f"http://{page.netloc}", headers=headers, timeout=30, verify=NO_TLS) as client:
            terminal.type("p")
            terminal.wait_for(r"Holding incoming requests: .* Press p to release them\.")
            assert client.get("/api/held").json()["holding"] is True
            sent = [senders.submit(send, url, number=number) for number in range(2)]
            terminal.wait_for(r" \(2 held\)\.")
            terminal.wait_for(r"\.\.\. held|… held")  # the last line
            first, _ = client.get("/api/held").json()["held"]
            answer = {"status": 503, "body": "{}"}
            assert client.post(f"/api/held/{first['id']}/respond", json=answer).json()["count"] == 1
            terminal.wait_for(rf"Responding to create_vm CREATE \({first['id']}\) by hand with 503 \(1 held\)\.")
            terminal.wait_for(r"\(by hand\)")
            client.post("/api/hold", json={"holding": False})
            terminal.wait_for(r"Released 1 held request\.")
            assert sorted(future.result(20) for future in sent) == [200, 503]
            client.post("/api/hold", json={"holding": True})
            terminal.wait_for(r"(?s)Released.*Holding incoming requests: ")
            terminal.type("p")
            terminal.wait_for(r"Released 0 held requests\.")
            assert client.get("/api/held").json() | {"schema": ""} == {
                "schema": "",
                "holding": False,
                "count": 0,
                "held": [],
            }
        terminal.type("q")
        assert end_of(terminal).startswith("0")
    assert len(target.requests) == 1
    with open_store(None, folder) as store:
        kept = store.get(first["id"])
    assert kept.simulated
    assert kept.simulated.manual


def test_q_ends_a_pause_without_a_response_to_the_held_request(folder: Path) -> None:
    with (
        handler() as target,
        a_listener(folder, "--forward-to", target.url) as (terminal, url),
        ThreadPoolExecutor(1) as sender,
    ):
        terminal.type("p")
        terminal.wait_for("Holding incoming requests")
        sent = sender.submit(send, url)
        terminal.wait_for("1 held")
        terminal.type("q")
        terminal.wait_for(
            r"Stopping. 1 held request gets no response\. `port-hook replay --failed` sends held requests\."
        )
        assert end_of(terminal).startswith("0")
        with pytest.raises(httpx.RemoteProtocolError):
            sent.result(20)
    assert target.requests == []
    with open_store(None, folder) as store:
        kept = store.get("last")
    assert kept.delivery
    assert kept.delivery.fault == "interrupted"


def test_json_output_reads_no_keys(folder: Path) -> None:
    with a_shell(
        folder, "-m", "port_hook_cli", "listen", "--port", "0", "--tunnel", "none", "--verify", "off", "--json"
    ) as terminal:
        terminal.wait_for(r'"ready"')
        terminal.wait_for_echo(on=False)
        terminal.type("q\x03")
        assert end_of(terminal).startswith("0")
    assert not re.search(rb"Press \?", terminal.raw)
