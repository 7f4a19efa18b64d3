"""The time to make a request: templates alone, and whole invocations."""

from __future__ import annotations

import asyncio
import json
import time
from statistics import median

from bench.measuring import HERE, SECRET, at_least, at_most, interleaved, ratio, row
from bench.servers import bare


def render(bodies: int = 3_000, rounds: int = 5) -> None:
    from port_hook_cli import render as render_template
    from tests.conformance.cases import BODY, DATA
    from tests.conformance.run import RELEASE, engine_seconds, is_installed

    def seconds() -> float:
        started = time.perf_counter()
        for _ in range(bodies):
            render_template(BODY, DATA)
        return time.perf_counter() - started

    measures = {"ours": seconds}
    if is_installed():
        measures["theirs"] = lambda: engine_seconds(BODY, DATA, bodies)
    taken = interleaved(measures, rounds=rounds)
    rate = bodies / median(taken["ours"])
    row("bodies of ten expressions rendered", "", rate, at_least(2_000, "/s"))
    if "theirs" not in taken:
        print("Port's engine is not built here (`tests/campaign conformance` builds it): not compared")
        return
    row(
        f"… compared with Port's engine {RELEASE} in Node",
        f"{rate:.0f}/s / {bodies / median(taken['theirs']):.0f}/s",
        ratio(taken["theirs"], taken["ours"]),
        at_least(0.9),
    )


def trigger(requests: int = 200, rounds: int = 5) -> None:
    """Compare making, signing and sending an invocation with signing and sending the same bytes, with jq running."""
    with bare() as url:
        medians = asyncio.run(trigger_medians(url, requests, rounds))
    made, direct = medians["trigger"] * 1000, medians["direct"] * 1000
    row(
        "added by making the request (inputs, jq, JSON)",
        f"{made:.2f} ms - {direct:.2f} ms",
        made - direct,
        at_most(15, "ms"),
    )


async def trigger_medians(url: str, requests: int, rounds: int) -> dict[str, float]:
    from port_hook_cli.actions.action import read_action
    from port_hook_cli.http.client import HttpClient
    from port_hook_cli.invocations.headers import Headers
    from port_hook_cli.invocations.models import Invocation
    from port_hook_cli.signatures.signing import TimestampUnit, signed_headers
    from port_hook_cli.text.secret import Secret
    from port_hook_cli.trigger.open_invoker import invoking
    from port_hook_cli.trigger.run_data import RunData
    from tests.conformance.cases import BODY, DATA

    document = json.loads((HERE.parent / "examples" / "actions" / "create_vm.json").read_text())
    document["invocationMethod"]["body"] = BODY
    action = read_action(document)
    data = RunData(properties={"title": "dev-env", "cpu": 4}, by=DATA["trigger"]["by"])

    async def send(client: HttpClient, body: bytes) -> None:
        fields = signed_headers(body, Secret(SECRET), TimestampUnit.SECONDS.stamp(time.time()))
        headers = Headers((("content-type", "application/json"), *fields))
        request = Invocation(id="b", received_at=0.0, method="POST", target="/", headers=headers, body=body)
        assert (await client.send(request, url)).ok

    times: dict[str, list[float]] = {"trigger": [], "direct": []}
    with invoking(lambda: Secret(SECRET)) as invoker:
        async with HttpClient(timeout_s=10) as client:
            for number in range(requests * rounds):
                started = time.perf_counter()
                made = await invoker.request(action, data, run_id="r_QOz6WoOB1Q2lmhZZ", at="")
                body = made.content
                await send(client, body)
                between = time.perf_counter()
                await send(client, body)
                if number >= requests // 10:  # the first requests are not counted
                    times["trigger"].append(between - started)
                    times["direct"].append(time.perf_counter() - between)
    return {name: median(values) for name, values in times.items()}
