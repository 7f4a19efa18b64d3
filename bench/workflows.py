"""The time that a workflow of as many nodes as Port allows takes, without the time of its handlers."""

from __future__ import annotations

import asyncio
import json
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any

from bench.measuring import PORT_HOOK, SECRET, at_most, interleaved, row, seconds_of
from bench.servers import bare

_MOST_ADDED = at_most(1, "s")


def workflow(rounds: int = 5) -> None:
    """Run the chain through `trigger` and in a sandbox, and send as many signed requests without a workflow."""
    from tests.long_workflows import a_chain

    with bare() as address, tempfile.TemporaryDirectory() as folder:
        document = a_chain(address.rstrip("/"))
        file = Path(folder) / "chain.json"
        file.write_text(json.dumps(document), "utf-8")
        command = [*PORT_HOOK, "trigger", str(file), "--to-its-url", "--input", "service=cart"]
        sent = [node["config"]["url"] for node in document["nodes"] if "url" in node["config"]]
        taken = interleaved(
            {
                "trigger": seconds_of(command, folder),
                "sandbox": lambda: asyncio.run(_in_a_sandbox(document, Path(folder) / "sandbox.db")),
                "requests": lambda: asyncio.run(_requests(sent)),
            },
            rounds=rounds,
        )
    for name, place in (("trigger", "by trigger"), ("sandbox", "by a sandbox, --state")):
        ours, theirs = median(taken[name]), median(taken["requests"])
        figures = f"{ours * 1000:.0f} ms - {theirs * 1000:.0f} ms"
        row(f"{len(sent)} nodes run {place}, added to the requests alone", figures, ours - theirs, _MOST_ADDED)


async def _in_a_sandbox(document: dict[str, Any], state: Path) -> float:
    import httpx

    from port_hook_cli.engines.renderer import Renderer
    from port_hook_cli.sandbox import InitialData, Sandbox, Sending

    with Renderer() as renders:
        async with (
            Sandbox.start(InitialData(workflows=[document]), sending=Sending(renders=renders), state=state) as sandbox,
            httpx.AsyncClient(base_url=sandbox.url) as client,
        ):
            credentials = {"clientId": sandbox.client_id, "clientSecret": sandbox.client_secret.reveal()}
            token = (await client.post("/v1/auth/access_token", json=credentials)).json()["accessToken"]
            started = time.perf_counter()
            begun = await client.post(
                "/v1/workflows/chain/runs",
                json={"inputs": {"service": "cart"}},
                headers={"authorization": f"Bearer {token}"},
            )
            run = await sandbox.wait_for_workflow_run(begun.json()["workflowRun"]["identifier"])
            assert run.result == "SUCCESS", run.node_runs[-1].output
            return time.perf_counter() - started


async def _requests(urls: list[str]) -> float:
    from port_hook_cli.http.client import HttpClient
    from port_hook_cli.invocations.headers import Headers
    from port_hook_cli.invocations.models import Invocation
    from port_hook_cli.signatures.signing import TimestampUnit, signed_headers
    from port_hook_cli.text.secret import Secret

    body = b'{"service":"cart"}'
    started = time.perf_counter()
    async with HttpClient(timeout_s=10) as client:
        for url in urls:
            fields = signed_headers(body, Secret(SECRET), TimestampUnit.SECONDS.stamp(0.0))
            headers = Headers((("content-type", "application/json"), *fields))
            request = Invocation(id="b", received_at=0.0, method="POST", target="/", headers=headers, body=body)
            assert (await client.send(request, url)).ok
    return time.perf_counter() - started
