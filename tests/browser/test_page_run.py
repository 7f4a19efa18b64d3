"""The Run tab: the steps of a run on one time axis, reports, another run from a node, and what happens without Port."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import pytest
from playwright.async_api import Locator, Page, Route, expect

from port_hook_cli.engines.renderer import Renderer
from port_hook_cli.sandbox import Sandbox
from tests.browser.acting import added, answered, check, unique, with_axe
from tests.browser.conftest import OpenPage
from tests.browser.inspecting import Desk, a_desk
from tests.sandboxes import a_sandbox, a_sequence, a_webhook, environ_of
from tests.servers import handler

pytestmark = [pytest.mark.once, pytest.mark.asyncio(loop_scope="session")]

BEGAN = datetime(2026, 11, 24, 14, 30, tzinfo=UTC)


def at(seconds: float) -> str:
    return (BEGAN + timedelta(seconds=seconds)).isoformat().replace("+00:00", "Z")


def a_node(name: str, start: float | None = None, end: float | None = None, **fields: Any) -> dict[str, Any]:
    ran = {} if start is None else {"status": "COMPLETED", "result": "SUCCESS", "run_id": f"wfnr_{name}"}
    times = {"started_at": None if start is None else at(start), "ended_at": None if end is None else at(end)}
    return {
        "id": name,
        "type": "WEBHOOK",
        "title": name.capitalize(),
        "status": None,
        "next": [],
        **ran,
        **times,
        **fields,
    }


def a_run(*nodes: dict[str, Any], logs: list[dict[str, Any]] | None = None, **fields: Any) -> dict[str, Any]:
    run: dict[str, Any] = {
        "id": "wfr_0000000000000001",
        "kind": "workflow",
        "name": "deploy",
        "status": "COMPLETED",
        "label": "FAILED",
        "link": [],
        "created_at": at(0),
        "ended_at": at(10),
        "url": None,
    }
    return {"available": True, "run": {**run, **fields}, "logs": logs or [], "nodes": list(nodes)}


FAILED = a_run(
    a_node("start", 0, 0, type="SELF_SERVE_TRIGGER", next=["ready"]),
    a_node("ready", 0, 4, type="CONDITION", next=["ship", "ask"], outlet="yes"),
    *(a_node(f"more{number}", 4, 5, next=[]) for number in range(20)),
    a_node("ship", 5, 10, branch="Ready", depth=1, result="FAILED", error="The webhook responded with status 500.",
           output='{"error":{"message":"no"},"tries":3}'),
    a_node("ask", branch="otherwise", depth=1),
    logs=[{"at": at(6), "level": "ERROR", "text": "quota exceeded", "node": "ship"},
          {"at": at(1), "level": "INFO", "text": "hello", "node": None}],
)  # fmt: skip


def step(page: Page, name: str) -> Locator:
    return page.get_by_role("button", name=re.compile(f"^{name}\\b"))


async def shown(open_page: OpenPage, desk: Desk, answer: Callable[[Route], Awaitable[None]], **how: Any) -> Page:
    """Open the Run tab of a new capture, with these responses of the server about its run."""
    (capture,) = added(desk, answered(unique(), 202, b'{"accepted":true}'))
    routes = {re.compile("/api/runs/[^/]*$"): answer}
    return await open_page(desk, f"?open={capture}&tab=run", routes=routes, **how)


@pytest.mark.extended
async def test_failed_step_is_open_and_bars_share_one_axis_at_every_width(
    shared_desk: Desk, open_page: OpenPage
) -> None:
    page = await shown(open_page, shared_desk, lambda route: route.fulfill(json=FAILED), width=1440)
    ship = step(page, "Ship")
    await expect(ship).to_have_attribute("aria-expanded", "true")
    await expect(ship).to_be_in_viewport()
    await expect(page.locator(".step[aria-expanded=true]")).to_have_count(1)
    detail = page.locator(".step-detail")
    for text in ("The webhook responded with status 500.", "quota exceeded", '"tries": 3'):
        await expect(detail).to_contain_text(text)
    await expect(page.get_by_text("hello")).to_be_visible()  # the log of the run
    await expect(step(page, "Ask")).to_contain_text("not reached")
    assert await step(page, "Ask").locator(".step-bar").count() == 0
    await expect(step(page, "Ready").locator(".step-time")).to_have_text("4.0 s")
    boxes = """() => [...document.querySelectorAll(".step")].slice(0, 2).concat(document.querySelector(".is-bad .step"))
        .map((step) => { const [bar, track] = [".step-bar", ".step-track"].map((name) => step.querySelector(name)
        .getBoundingClientRect()); return [(bar.x - track.x) / track.width, bar.width / track.width]
        .map((part) => Math.round(part * 100)); })"""
    for width in (320, 720, 1440):
        await page.set_viewport_size({"width": width, "height": 900})
        assert await page.evaluate(boxes) == [[0, 1], [0, 40], [50, 50]]
        assert await page.locator(".panel").evaluate("(panel) => panel.scrollWidth <= panel.clientWidth"), width
    indent = "steps => steps.map((each) => each.style.getPropertyValue('--depth'))"
    assert {*await page.locator(".step").evaluate_all(indent)} == {"0", "1"}
    await step(page, "Start").focus()
    await page.keyboard.press("ArrowDown")
    await expect(step(page, "Ready")).to_be_focused()
    await page.keyboard.press("Enter")
    await expect(step(page, "Ready")).to_have_attribute("aria-expanded", "true")
    await expect(detail.first).to_contain_text("chose yes")
    await page.keyboard.press("End")
    await expect(page.locator(".step").last).to_be_focused()


@pytest.mark.extended
async def test_run_is_accessible_and_followed_after_a_failed_poll(shared_desk: Desk, open_page: OpenPage) -> None:
    live = a_run(a_node("ship", 0, status="IN_PROGRESS", result=None), status="IN_PROGRESS", label=None, ended_at=None)
    live["run"]["skew_s"] = -600.4
    port = live

    async def answer(route: Route) -> None:
        await route.fulfill(json=port)

    page = await shown(open_page, shared_desk, answer, width=400, forced_colors="active")
    await expect(page.locator(".run-head .pill")).to_have_text("IN_PROGRESS")
    await expect(page.get_by_text("This machine's clock is 10 min behind Port's.")).to_be_visible()
    await expect(page.get_by_label("Log message")).to_be_visible()
    await check(await with_axe(page), "run", ".panel")
    colors = "(bar) => [getComputedStyle(bar), getComputedStyle(bar.parentNode)].map((each) => each.backgroundColor)"
    bar, track = await page.locator(".step-bar").evaluate(colors)
    assert bar != track
    port = {"available": False, "reason": "Port cannot be reached.", "hint": "", "temporary": True}
    await expect(page.get_by_text(re.compile("Not up to date since .*Port cannot be reached"))).to_be_visible()
    await expect(page.locator(".step")).to_have_count(1)  # the known step stays
    port = FAILED
    await expect(page.locator(".run-head .pill")).to_have_text("FAILED")
    await expect(page.get_by_text("Not up to date")).to_have_count(0)


@pytest.mark.extended
async def test_action_run_has_steps_and_links_but_script_links_stay_text(
    shared_desk: Desk, open_page: OpenPage
) -> None:
    url = "https://app.port.io/organization/run?runId=r_QOz6WoOB1Q2lmhZZ"
    links = [
        "javascript:alert(1)",
        " JaVaScRiPt:alert(1)",
        "data:text/html,<script>alert(1)</script>",
        "https://ok.it/",
    ]
    fields = {"id": "r_QOz6WoOB1Q2lmhZZ", "kind": "action", "name": "<b>x</b>", "status": "FAILURE", "url": url}
    run = a_run(
        logs=[{"at": at(3), "level": "<i>", "text": "<img src=x onerror=alert(1)>"}],
        **{**fields, "label": None, "link": links, "summary": "<script>alert(1)</script>"},
    )
    page = await shown(open_page, shared_desk, lambda route: route.fulfill(json=run))
    names = ("Sent by Port", "Accepted", "Log", "Reported")
    await expect(page.locator(".step-title")).to_have_text([re.compile(name) for name in names])
    await expect(page.get_by_text("<img src=x onerror=alert(1)>")).to_be_visible()
    await expect(page.locator(".links li")).to_have_count(4)
    assert await page.locator(".links a").evaluate_all("links => links.map((link) => link.href)") == [links[3]]
    assert await page.locator(".panel").locator("img, script").count() == 0
    await expect(page.get_by_role("link", name="Open in Port")).to_have_attribute("href", url)
    await step(page, "Accepted").click()
    await expect(page.locator(".step-detail").get_by_text("accepted", exact=True)).to_be_visible()  # the response
    # By the clocks, the capture arrived long after this run. Its bars stay on the axis.
    assert await page.locator(".step-bar").evaluate_all(
        "bars => bars.every((bar) => bar.offsetLeft + bar.offsetWidth <= bar.parentNode.offsetWidth + 1)"
    )


class _Flaky(BaseHTTPRequestHandler):
    """A handler that fails at /ship, once."""

    failed = False

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["content-length"]))
        fails = self.path == "/ship" and not type(self).failed
        type(self).failed |= fails
        content = b'{"error":"quota exceeded"}' if fails else b'{"ready":true}'
        self.send_response(500 if fails else 200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: Any) -> None:
        """Print nothing."""


@contextmanager
def a_workflow(folder: Path) -> Iterator[tuple[Sandbox, Desk, str]]:
    """Yield a sandbox, its listener, and the ID of a run that waits for the node approve."""

    class Own(_Flaky):
        failed = False

    ids = {"nodeRunId": "{{ .workflowNodeRun.identifier }}", "workflowRunId": "{{ .workflowRun.identifier }}"}
    with ThreadingHTTPServer(("127.0.0.1", 0), Own) as server, Renderer() as renderer:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        with a_sandbox(renders=renderer) as sandbox:
            options = ("--forward-to", str(server.server_port))
            with a_desk(folder, *options, env={**environ_of(sandbox), "PORT_HOOK_INSECURE_API": "1"}) as desk:
                configs = {"check": {}, "approve": {"synchronized": False}, "ship": {}}
                nodes = [
                    a_webhook(name, f"{desk.url}{name}", body={"context": ids}, **config)
                    for name, config in configs.items()
                ]
                call(sandbox, "/v1/workflows", a_sequence(*nodes, identifier="flow"))
                started = call(sandbox, "/v1/workflows/flow/runs", {"inputs": {}})
                yield sandbox, desk, started["workflowRun"]["identifier"]
        server.shutdown()


def call(sandbox: Sandbox, path: str, body: Any, token: str = "") -> Any:
    """Post to the sandbox's API."""
    if not token and path != "/v1/auth/access_token":
        asked = {"clientId": sandbox.client_id, "clientSecret": sandbox.client_secret.reveal()}
        token = call(sandbox, "/v1/auth/access_token", asked)["accessToken"]
    headers = {"content-type": "application/json", "authorization": f"Bearer {token}"}
    request = Request(f"{sandbox.url}{path}", json.dumps(body).encode(), headers, method="POST")  # noqa: S310 - loopback
    with urlopen(request) as response:  # noqa: S310
        return json.load(response)


async def test_node_is_reported_and_a_failed_node_is_retried_after_its_earlier_nodes_are_shown(
    tmp_path: Path, open_page: OpenPage
) -> None:
    with a_workflow(tmp_path) as (_, desk, run_id):
        page = await open_page(desk)
        await page.locator(".row", has_text="wfnr_").nth(1).wait_for()
        await page.locator(".row", has_text="wfnr_").first.click()
        await page.keyboard.press("5")
        await expect(step(page, "approve")).to_have_attribute("aria-expanded", "true")
        await page.get_by_label("Log message").fill("Approved by hand")
        await page.get_by_label("Output").fill('{"by": "blair"}')
        await page.get_by_role("button", name="Success", exact=True).click()
        await expect(page.locator(".run-head .pill")).to_have_text("FAILED")
        await expect(step(page, "ship")).to_have_attribute("aria-expanded", "true")
        await expect(page.locator(".step-detail").get_by_text("quota exceeded")).to_be_visible()
        await step(page, "approve").click()
        await expect(page.locator(".step-detail").get_by_text("Approved by hand")).to_be_visible()
        await expect(page.locator(".step-detail").get_by_text('"blair"')).to_be_visible()
        await step(page, "approve").click()
        count = desk.get("/api/session")["count"]
        await page.get_by_role("button", name="Retry from here").click()
        plan = page.get_by_role("form", name="Retry from here")
        await expect(plan.get_by_role("listitem")).to_have_text(
            [re.compile(name) for name in ("check", "approve", "ship")]
        )
        await expect(plan).to_contain_text(run_id)
        assert desk.get("/api/session")["count"] == count  # nothing was sent
        await plan.get_by_role("button", name="Run from here").click()
        await expect(page.get_by_text("The run ended: SUCCESS.")).to_be_visible()
        await page.get_by_text("The run ended").locator("..").get_by_role("button", name="Open capture").click()
        await expect(page.locator(".head .pill")).to_have_text("200")
        await page.goto("about:blank")


@pytest.mark.extended
async def test_unknown_run_in_port_lists_its_captures(tmp_path: Path, open_page: OpenPage) -> None:
    def of_run(run: str, name: str) -> dict[str, Any]:
        return {"workflow": "flow", "node": name, "context": {"nodeRunId": f"wfnr_{name}", "workflowRunId": run}}

    with a_sandbox() as sandbox, a_desk(tmp_path, env={**environ_of(sandbox), "PORT_HOOK_INSECURE_API": "1"}) as desk:
        for run, name in (("wfr_mine", "check"), ("wfr_other", "check"), ("wfr_mine", "ship")):
            desk.post(of_run(run, name), secret=sandbox.client_secret)
        page = await open_page(desk)
        await page.locator(".row", has_text="flow#ship").click()
        await page.keyboard.press("5")
        await expect(page.get_by_text("Port doesn't know this run. trigger may have run it")).to_be_visible()
        captures = page.locator(".run-captures li")
        await expect(captures).to_have_text([re.compile("flow#check"), re.compile("flow#ship")])
        await expect(captures.get_by_role("button", name="flow#ship")).to_have_attribute("aria-current", "true")
        await captures.get_by_role("button", name="flow#check").click()
        await expect(captures.get_by_role("button", name="flow#check")).to_have_attribute("aria-current", "true")
        await page.goto("about:blank")


@pytest.mark.extended
async def test_page_of_the_sandbox_starts_a_run_and_its_capture_shows_the_run(
    tmp_path: Path, open_page: OpenPage
) -> None:
    with handler() as target:
        node = a_webhook("ship", target.url, body={"service": "cart"})  # the body has no run ID
        (tmp_path / "flow.json").write_text(json.dumps(a_sequence(node, identifier="flow")))
        with a_desk(tmp_path, "--inspect", "flow.json", command=("sandbox",)) as desk:
            page = await open_page(desk)
            await page.locator(".empty-state").get_by_role("button", name="Trigger an action or workflow").click()
            await page.get_by_label("Action or workflow", exact=True).select_option("flow#start")
            # The sandbox does not run a node alone.
            await expect(page.locator("#trigger-action option[value='flow#ship']")).to_have_count(0)
            await page.get_by_role("dialog").get_by_role("button", name="Trigger", exact=True).click()
            await expect(page.get_by_text("The sandbox started the run wfr_")).to_be_visible()
            await page.get_by_role("button", name="Show the capture").click()
            await page.keyboard.press("5")
            await expect(page.locator(".run-head .pill")).to_have_text("SUCCESS")
            await expect(page.locator(".step-detail .capture-parts").get_by_text("Request")).to_be_visible()
            await expect(page.locator(".row .digest")).to_have_text("service=cart")
            await page.goto("about:blank")
