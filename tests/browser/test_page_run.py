"""The Run tab: the steps of a run on one time axis, reports, another run from a node, and what happens without Port."""

from __future__ import annotations

import json
import re
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import pytest
from playwright.async_api import Locator, Page, expect

from port_hook_cli.engines.renderer import Renderer
from port_hook_cli.sandbox import Sandbox
from tests.browser.conftest import OpenPage
from tests.browser.inspecting import Desk, a_desk, a_vm
from tests.browser.test_page_accessibility import violations, with_axe
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


async def shown(open_page: OpenPage, desk: Desk, run: Any, **how: Any) -> Page:
    """Open the Run tab of a new capture. Port's response is `run`, or the function's result."""
    desk.post(a_vm(mark := f"run{time.monotonic_ns()}"))
    capture = desk.get(f"/api/captures?text={mark}")["captures"][0]["id"]
    answer = run if callable(run) else lambda route: route.fulfill(json=run)
    page = await open_page(desk, **how)
    await page.route(re.compile("/api/runs/[^/]*$"), answer)
    await page.goto(f"{desk.page}?open={capture}&tab=run")
    return page


async def test_failed_step_is_open_and_in_view_and_steps_are_reached_by_keyboard(
    shared_desk: Desk, open_page: OpenPage
) -> None:
    page = await shown(open_page, shared_desk, FAILED)
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
    await step(page, "Start").focus()
    await page.keyboard.press("ArrowDown")
    await expect(step(page, "Ready")).to_be_focused()
    await page.keyboard.press("Enter")
    await expect(step(page, "Ready")).to_have_attribute("aria-expanded", "true")
    await expect(detail.first).to_contain_text("chose yes")
    await page.keyboard.press("End")
    await expect(page.locator(".step").last).to_be_focused()


async def test_bars_show_start_and_duration_on_one_axis_at_every_width(shared_desk: Desk, open_page: OpenPage) -> None:
    page = await shown(open_page, shared_desk, FAILED, width=1440)
    boxes = """() => [...document.querySelectorAll(".step")].slice(0, 2).concat(document.querySelector(".is-bad .step"))
        .map((step) => { const [bar, track] = [".step-bar", ".step-track"].map((name) => step.querySelector(name)
        .getBoundingClientRect()); return [(bar.x - track.x) / track.width, bar.width / track.width]
        .map((part) => Math.round(part * 100)); })"""
    for width in (320, 400, 720, 1440, 1920):
        await page.set_viewport_size({"width": width, "height": 900})
        await expect(page.locator(".step-bar").first).to_be_attached()
        assert await page.evaluate(boxes) == [[0, 1], [0, 40], [50, 50]]
        panel = "(panel) => panel.scrollWidth <= panel.clientWidth"
        assert await page.locator(".panel").evaluate(panel), width
    await expect(step(page, "Ready").locator(".step-time")).to_have_text("4.0 s")
    indents = await page.locator(".step").evaluate_all(
        "steps => steps.map((each) => each.style.getPropertyValue('--depth'))"
    )
    assert sorted(set(indents)) == ["0", "1"]


@pytest.mark.parametrize(
    "how",
    [
        pytest.param({"width": 320}, marks=pytest.mark.extended),
        pytest.param({"width": 1440, "color_scheme": "dark"}, marks=pytest.mark.extended),
        {"width": 400, "forced_colors": "active"},
    ],
)
async def test_steps_and_their_forms_are_accessible(shared_desk: Desk, open_page: OpenPage, how: Any) -> None:
    live = a_run(a_node("ship", 0, status="IN_PROGRESS", result=None), status="IN_PROGRESS", label=None, ended_at=None)
    page = await with_axe(await shown(open_page, shared_desk, live, **how))
    await expect(page.get_by_label("Log message")).to_be_visible()
    assert [(each["id"], each["impact"]) for each in await violations(page, ".panel")] == []
    if "forced_colors" in how:
        colors = (
            "(bar) => [getComputedStyle(bar), getComputedStyle(bar.parentNode)].map((each) => each.backgroundColor)"
        )
        bar, track = await page.locator(".step-bar").evaluate(colors)
        assert bar != track


async def test_run_is_followed_after_a_failed_poll(shared_desk: Desk, open_page: OpenPage) -> None:
    live = a_run(a_node("ship", 0, status="IN_PROGRESS", result=None), status="IN_PROGRESS", label=None, ended_at=None)
    live["run"]["skew_s"] = -600.4
    down = {"available": False, "reason": "Port cannot be reached.", "hint": "", "temporary": True}

    port = live

    async def answer(route: Any) -> None:
        await route.fulfill(json=port)

    page = await shown(open_page, shared_desk, answer)
    await expect(page.locator(".run-head .pill")).to_have_text("IN_PROGRESS")
    await expect(page.get_by_text("This machine's clock is 10 min behind Port's.")).to_be_visible()
    port = down
    await expect(page.get_by_text(re.compile("Not up to date since .*Port cannot be reached"))).to_be_visible()
    await expect(page.locator(".step")).to_have_count(1)  # the known step stays
    port = FAILED
    await expect(page.locator(".run-head .pill")).to_have_text("FAILED")
    await expect(page.get_by_text("Not up to date")).to_have_count(0)


async def test_action_run_has_steps_from_the_request_to_the_report_and_a_link_to_port(
    shared_desk: Desk, open_page: OpenPage
) -> None:
    url = "https://app.port.io/organization/run?runId=r_QOz6WoOB1Q2lmhZZ"
    fields = {"id": "r_QOz6WoOB1Q2lmhZZ", "kind": "action", "name": "create_vm", "status": "FAILURE", "url": url}
    run = a_run(logs=[{"at": at(3), "level": None, "text": "no machine is left"}], **{**fields, "label": None})
    page = await shown(open_page, shared_desk, run)
    names = ("Sent by Port", "Accepted", "Log", "Reported")
    await expect(page.locator(".step-title")).to_have_text([re.compile(name) for name in names])
    await expect(page.get_by_text("no machine is left")).to_be_visible()
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
            options = ("--forward-to", str(server.server_port), "--insecure-api")
            with a_desk(folder, *options, env=environ_of(sandbox)) as desk:
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
        await page.close()


async def test_node_of_an_unknown_run_can_be_reported(shared_desk: Desk, open_page: OpenPage) -> None:
    unknown = {
        "available": False,
        "reason": "No run has it.",
        "hint": "Name it.",
        "temporary": False,
        "can_report": True,
        "captures": [],
    }
    page = await shown(open_page, shared_desk, unknown)
    await expect(page.get_by_text("No run has it. Name it.")).to_be_visible()
    await expect(page.get_by_role("button", name="Success", exact=True)).to_be_visible()


async def test_unknown_run_in_port_lists_its_captures(tmp_path: Path, open_page: OpenPage) -> None:
    def of_run(run: str, name: str) -> dict[str, Any]:
        return {"workflow": "flow", "node": name, "context": {"nodeRunId": f"wfnr_{name}", "workflowRunId": run}}

    with a_sandbox() as sandbox, a_desk(tmp_path, "--insecure-api", env=environ_of(sandbox)) as desk:
        for run, name in (("wfr_mine", "check"), ("wfr_other", "check"), ("wfr_mine", "ship")):
            desk.post(of_run(run, name), secret=sandbox.client_secret)
        page = await open_page(desk)
        await page.locator(".row", has_text="flow/ship").click()
        await page.keyboard.press("5")
        await expect(page.get_by_text("Port doesn't know this run. trigger may have run it")).to_be_visible()
        captures = page.locator(".run-captures li")
        await expect(captures).to_have_text([re.compile("flow/check"), re.compile("flow/ship")])
        await expect(captures.get_by_role("button", name="flow/ship")).to_have_attribute("aria-current", "true")
        await captures.get_by_role("button", name="flow/check").click()
        await expect(captures.get_by_role("button", name="flow/check")).to_have_attribute("aria-current", "true")
        await page.close()


async def test_page_of_the_sandbox_starts_a_run_and_its_capture_shows_the_run(
    tmp_path: Path, open_page: OpenPage
) -> None:
    with handler() as target:
        node = a_webhook("ship", target.url, body={"service": "cart"})  # the body has no run ID
        (tmp_path / "flow.json").write_text(json.dumps(a_sequence(node, identifier="flow")))
        with a_desk(tmp_path, "--inspect", "--workflows", "flow.json", command=("sandbox",)) as desk:
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
            await page.close()
