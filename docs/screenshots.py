"""Write the pictures of the inspector, inspector-light.png, inspector-dark.png and run.png in docs/images.

`.venv/bin/python docs/screenshots.py` writes all pictures. Add `run` to write only run.png.

A real listener with a real inspector receives the requests of an afternoon: valid requests, and requests that are
signed with a wrong secret, stale, re-encoded, failed by the handler, made by a workflow's node, and replayed. Chromium
shows them. The clock and the ids are fixed; ports and latencies are replaced in the page before each picture. What Port
says about the run of a workflow is part of the story too.
"""

from __future__ import annotations

import io
import json
import re
import shutil
import signal
import sys
import tempfile
import threading
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import count
from pathlib import Path
from typing import Any, Literal

from playwright.sync_api import Browser, Page, ViewportSize, sync_playwright

from port_hook_cli import sign
from port_hook_cli.cli.app import main
from port_hook_cli.runtime import Runtime

ROOT = Path(__file__).parents[1]
IMAGES = ROOT / "docs" / "images"
SECRET = "an-example-of-a-client-secret-and-not-one"  # noqa: S105 - an example
NOW = datetime(2026, 11, 24, 14, 30, tzinfo=UTC).timestamp()
_SCHEMES: tuple[Literal["light", "dark"], ...] = ("light", "dark")
_WAIT_S = 20
_ONLY = sys.argv[1] if len(sys.argv) > 1 else ""
_URLS = re.compile(r"Inspector +(http://\S+)")
_LISTENER = re.compile(r"http://127\.0\.0\.1:\d+(?!\S*token)")
# Latencies differ between two runs, and so do the ports.
_STEADY = """ports => {
  const latencies = ["12.4 ms", "9.8 ms", "31.0 ms", "14.2 ms", "11.7 ms", "22.5 ms", "10.3 ms"];
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  for (let at = 0, node = walker.nextNode(); node; node = walker.nextNode()) {
    const isAStep = node.parentElement.closest(".step");
    if (!isAStep && /^\\d+(\\.\\d+)? ms$/.test(node.data)) node.data = latencies[at++ % latencies.length];
    for (const [from, to] of Object.entries(ports)) node.data = node.data.replaceAll(`:${from}`, `:${to}`);
  }
}"""


@dataclass(frozen=True, kw_only=True)
class Sent:
    """A request of the story, sent `ago` seconds before NOW and signed `delay` seconds before it is sent."""

    ago: float
    document: Mapping[str, Any]
    secret: str = SECRET
    delay: float = 0.3
    is_indented: bool = False


def story() -> list[Sent]:
    """Return the requests of the story, oldest first."""
    quoted = f'"{SECRET}"'
    return [
        Sent(ago=2650, document=_scale("cart", 3, "blair@example.com")),
        Sent(ago=2240, document=_create("ci-runner", 4, "eu-west-1", "casey@example.com")),
        Sent(ago=2010, document=_create("ci-runner-2", 4, "eu-west-1", "casey@example.com"), secret=quoted),
        Sent(ago=1980, document=_create("ci-runner-2", 4, "eu-west-1", "casey@example.com"), secret=quoted),
        Sent(ago=1730, document=_scale("billing", 2, "blair@example.com")),
        Sent(ago=1520, document=_scale("search", 6, "alex@example.com")),
        Sent(ago=1500, document=_scale("checkout", 6, "alex@example.com")),
        Sent(ago=1325, document=_create("batch", 64, "us-east-1", "robin@example.com")),
        Sent(ago=1290, document=_create("batch", 64, "us-east-1", "robin@example.com")),
        Sent(ago=1010, document=_node("cart", "2.1.0", "check")),
        Sent(ago=1004, document=_node("cart", "2.1.0", "deploy")),
        Sent(ago=860, document=_scale("cart", 5, "blair@example.com"), is_indented=True),
        Sent(ago=640, document=_create("load-test", 8, "eu-west-1", "robin@example.com"), delay=1260),
        Sent(ago=420, document=_scale("billing", 4, "alex@example.com")),
        Sent(ago=395, document=_scale("search", 4, "alex@example.com")),
        Sent(ago=214, document=_node("billing", "5.0.2", "check")),
        Sent(ago=128, document=_create("preview-218", 2, "eu-west-1", "casey@example.com"), secret=quoted),
        Sent(ago=41, document=_create("preview-218", 2, "eu-west-1", "casey@example.com")),
    ]


def _create(title: str, cpu: int, region: str, user: str) -> dict[str, Any]:
    document: dict[str, Any] = json.loads((ROOT / "examples" / "payloads" / "create_vm.json").read_text("utf-8"))
    document["trigger"]["by"]["user"] = {"email": user}
    document["context"]["runId"] = _run_id(title)
    document["payload"]["properties"] = {"title": title, "cpu": cpu, "memory": cpu * 2, "region": region}
    return document


def _scale(service: str, replicas: int, user: str) -> dict[str, Any]:
    return {
        "port_context": {
            "runId": _run_id(service),
            "action": "scale_service",
            "entity": service,
            "blueprint": "service",
        },
        "trigger": {"by": {"user": {"email": user}}, "origin": "UI"},
        "inputs": {"replicas": replicas},
    }


def _node(service: str, version: str, node: str) -> dict[str, Any]:
    return {
        "workflow": "deploy_service",
        "workflowRunId": f"wfr_{_run_id(service)[2:]}",
        "node": node,
        "context": {"nodeRunId": f"wfnr_{_run_id(service + node)[2:]}"},
        "inputs": {"service": service, "version": version},
    }


_numbers = count(1)


def _letters(text: str) -> str:
    return "".join(chr(ord("A") + (ord(letter) * 7 + at * 11) % 26) for at, letter in enumerate(text * 16))[:12]


def _run_id(text: str) -> str:
    return f"r_{_letters(text)}{next(_numbers):04d}"


def run_in_port(check: str, deploy: str) -> dict[str, Any]:
    """Return what the inspector's API says about the run of a workflow, from the ids of two node runs in the story."""

    def at(seconds: float) -> str:
        return datetime.fromtimestamp(NOW - 1010.4 + seconds, UTC).isoformat()

    def node(name: str, kind: str, title: str, following: list[str], *times: float, **fields: Any) -> dict[str, Any]:
        known = {"id": name, "type": kind, "title": title, "next": following, "status": None, "run_id": None}
        if times:
            start, end = map(at, times)
            known |= {"status": "COMPLETED", "result": "SUCCESS", "started_at": start, "ended_at": end}
        return {**known, **fields}

    error = "The image cart:2.1.0 was not found in eu-west-1."
    logs = [(6.9, "INFO", "Deploying cart 2.1.0"), (9.2, "INFO", "Started 3 of 3 tasks"), (14.4, "ERROR", error)]
    return {
        "available": True,
        "run": {
            "id": "wfr_0H4XQ7N2R9KD6TBC",
            "kind": "workflow",
            "name": "deploy_service",
            "status": "COMPLETED",
            "label": "FAILED",
            "summary": None,
            "link": [],
            "created_at": at(0),
            "ended_at": at(14.6),
            "url": None,
        },
        "logs": [{"at": at(when), "level": level, "text": text, "node": "deploy"} for when, level, text in logs],
        "nodes": [
            node("trigger", "SELF_SERVE_TRIGGER", "Deploy a service", ["check"], 0, 0.1),
            node("check", "WEBHOOK", "Check the build", ["is_ready"], 0.2, 4.8, run_id=check),
            node("is_ready", "CONDITION", "Is the build ready?", ["record", "ask"], 4.8, 4.9, outlet="ready"),
            node("record", "UPSERT_ENTITY", "Record the version", ["deploy"], 4.9, 6.3, branch="Ready", depth=1),
            node(
                "deploy", "WEBHOOK", "Deploy", ["tell"], 6.4, 14.6, depth=1, run_id=deploy, result="FAILED", error=error
            ),
            node("tell", "WEBHOOK", "Tell the team", [], depth=1),
            node("ask", "INPUT", "Ask for a new build", [], branch="otherwise", depth=1),
        ],
    }


@dataclass
class Demo:
    """A running listener: its clock, its URL, the inspector's URL with the token, and the handler's port."""

    url: str = ""
    inspector: str = ""
    handler_port: int = 0
    now: float = NOW
    ids: Iterator[str] = field(default_factory=lambda: (f"{at * 7919 % 65536:04x}c0ffee{at:02x}" for at in count(1)))

    def send(self, request: Sent) -> None:
        """Send a request of the story, at its time."""
        self.now = NOW - request.ago
        headers, body = sign(request.document, request.secret, timestamp=int(self.now - request.delay))
        if request.is_indented:
            body = json.dumps(request.document, indent=2).encode()
        sent = urllib.request.Request(self.url, body, dict(headers), method="POST")  # noqa: S310 - loopback
        try:
            urllib.request.build_opener(urllib.request.ProxyHandler({})).open(sent, timeout=_WAIT_S).close()
        except urllib.error.HTTPError as refusal:
            refusal.close()


def show(use: Callable[[Demo], None]) -> None:
    """Run a listener with the story in this thread, and `use` it in another thread; raises what `use` raises."""
    problems: list[BaseException] = []

    def work() -> None:
        try:
            demo.inspector = err.wait_for(_URLS)[1]
            demo.url = err.wait_for(_LISTENER)[0]
            for request in story():
                demo.send(request)
            demo.now = NOW
            use(demo)
        except BaseException as error:  # noqa: BLE001 - raised again in the main thread
            problems.append(error)
        finally:
            signal.raise_signal(signal.SIGINT) if sys.platform == "win32" else signal.pthread_kill(
                threading.main_thread().ident or 0, signal.SIGINT
            )

    with tempfile.TemporaryDirectory() as name, _handler() as port:
        folder, err, demo = Path(name), _Terminal(), Demo(handler_port=port)
        worker = threading.Thread(target=work)
        worker.start()
        shutil.copytree(ROOT / "examples" / "actions", folder / "actions")
        main(
            ("listen", "--port", "0", "--tunnel", "none", "--forward-to", str(port), "--inspect"),
            Runtime(
                environ={"PORT_CLIENT_SECRET": SECRET},
                cwd=folder,
                home=folder,
                stdin=io.BytesIO(),
                stdout=io.StringIO(),
                stderr=err,
                now=lambda: demo.now,
                new_id=lambda: next(demo.ids),
            ),
        )
        worker.join()
    if problems:
        raise problems[0]


class _Terminal(io.StringIO):
    """A stream; `wait_for` waits until something was written to it."""

    def __init__(self) -> None:
        super().__init__()
        self._written = threading.Condition()

    def write(self, text: str) -> int:
        with self._written:
            self._written.notify_all()
            return super().write(text)

    def wait_for(self, pattern: re.Pattern[str]) -> re.Match[str]:
        """Return the first match of a pattern."""
        with self._written:
            found = self._written.wait_for(lambda: pattern.search(self.getvalue()), _WAIT_S)
        if found is None:
            raise TimeoutError(f"the listener has not printed {pattern.pattern}:\n{self.getvalue()}")
        return found


@contextmanager
def _handler() -> Iterator[int]:
    """Serve a handler that accepts everything but machines with 64 processors, and yield its port."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            document = json.loads(self.rfile.read(int(self.headers["content-length"])))
            is_too_large = document.get("payload", {}).get("properties", {}).get("cpu") == 64  # noqa: PLR2004
            status, body = (500, {"error": "quota exceeded: 64 vCPU"}) if is_too_large else (202, {"accepted": True})
            content = json.dumps(body).encode()
            self.send_response(status)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: Any) -> None:
            """Print nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield server.server_port
        finally:
            server.shutdown()


def chromium() -> str | None:
    """Return the path of the machine's Chromium, None for the Chromium that Playwright installs."""
    names = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome")
    return next((path for name in names if (path := shutil.which(name))), None)


def _take(demo: Demo) -> None:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium(), args=["--no-sandbox"])
        for scheme in _SCHEMES if _ONLY != "run" else ():
            page = _new_page(browser, scheme)
            _replay_and_open(page, demo, is_first=scheme == "light")
            _write(page, demo, f"inspector-{scheme}.png")
        page = _new_page(browser, "light")
        _open_run(page, demo)
        _write(page, demo, "run.png")
        browser.close()


def _new_page(browser: Browser, scheme: Literal["light", "dark"]) -> Page:
    context = browser.new_context(
        viewport=ViewportSize(width=1600, height=1000),
        color_scheme=scheme,
        reduced_motion="reduce",
        timezone_id="UTC",
        locale="en-US",
    )
    page = context.new_page()
    page.clock.set_fixed_time(datetime.fromtimestamp(NOW, UTC))
    return page


def _write(page: Page, demo: Demo, name: str) -> None:
    page.evaluate(_STEADY, {demo.url.rpartition(":")[2]: "8787", str(demo.handler_port): "8000"})
    page.evaluate("() => new Promise(requestAnimationFrame)")
    path = IMAGES / name
    page.screenshot(path=path)
    print(f"Wrote {path.relative_to(ROOT)}, {path.stat().st_size:,} bytes.")
    page.context.close()


def _open_run(page: Page, demo: Demo) -> None:
    """Open the run of a workflow at the request of a node that failed later."""
    page.goto(demo.inspector)
    ids = [_node_run(page, name) for name in ("cartcheck", "cartdeploy")]
    page.route("**/api/runs/*", lambda route: route.fulfill(json=run_in_port(*ids)))
    page.locator(".row", has_text=ids[1]).click()
    page.get_by_role("tab", name="Run").click()
    page.locator(".capture summary").first.wait_for()
    page.mouse.move(0, 0)
    page.get_by_text("live", exact=True).wait_for()


def _node_run(page: Page, name: str) -> str:
    """Return the id of a node run in the list."""
    text = page.locator(".row", has_text=f"wfnr_{_letters(name)}").inner_text()
    found = re.search(r"wfnr_\w{16}", text)
    assert found is not None
    return found[0]


def _replay_and_open(page: Page, demo: Demo, *, is_first: bool) -> None:
    """Replay the latest request, once, and open the latest request that was refused."""
    page.goto(demo.inspector)
    page.locator(".row").first.wait_for()
    if is_first:
        demo.now = NOW - 5
        page.locator(".row").first.click()
        page.get_by_role("button", name="Replay", exact=True).click()
        page.locator(".row .tag.replay").first.wait_for()
        demo.now = NOW
        page.reload()
    page.locator(".row[aria-label*='signature invalid']").first.click()
    page.get_by_role("heading", name="create_vm").wait_for()
    page.mouse.move(0, 0)
    page.locator(".timeline svg").wait_for()
    page.get_by_text("live", exact=True).wait_for()


if __name__ == "__main__":
    show(_take)
