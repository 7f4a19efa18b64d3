"""The request of a run: made, addressed, signed and sent, with secrets masked in all output about it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator, Sequence
from typing import Any

import pytest

from port_hook_cli.actions.action import read_action
from port_hook_cli.actions.samples import create_vm_action
from port_hook_cli.cli.trigger_view import request_lines, response_lines
from port_hook_cli.errors import PortHookError, SettingsError, UsageError
from port_hook_cli.http.client import HttpClient
from port_hook_cli.invocations.models import Delivery, Invocation, Status
from port_hook_cli.runs.fate import RunFate
from port_hook_cli.signatures.signing import Signer
from port_hook_cli.signatures.verification import verify_signature
from port_hook_cli.trigger.action import Announce, Made, RunTarget, Unmet, address, dispatch, make
from port_hook_cli.trigger.invoker import Invoker
from port_hook_cli.trigger.open_invoker import invoking
from port_hook_cli.trigger.records import invocation_record
from port_hook_cli.trigger.run_data import RunData
from tests.factories import NOW, RUN_ID, SECRET

KEY = "correct-horse-battery-staple"
HERE = RunTarget(to="http://127.0.0.1:9/x")


@pytest.fixture(scope="module", params=[False, True], ids=["lenient", "strict"])
def any_invoker(request: pytest.FixtureRequest) -> Iterator[Invoker]:
    with invoking(lambda: SECRET, strict=request.param) as found:
        yield found


class Handler:
    """A recipient that records its requests."""

    def __init__(self, status: int | None = 200) -> None:
        self.got: list[tuple[Invocation, str]] = []
        self._status = status

    async def send(self, invocation: Invocation, url: str, /) -> Delivery:
        self.got.append((invocation, url))
        return Delivery(url=url, status=self._status)


def an_action(**method: Any) -> dict[str, Any]:
    action = create_vm_action()
    return {**action, "invocationMethod": {**action["invocationMethod"], **method}}


async def made(invoker: Invoker, action: dict[str, Any], **data: Any) -> Made:
    run = RunData(**{"properties": {"title": "a"}, **data})
    found = await make(read_action(action), run, invoker, run_id=RUN_ID, now=NOW)
    assert isinstance(found, Made)
    return found


def announcing(told: list[Any]) -> Announce:
    async def announce(runs: Sequence[Any]) -> None:
        told.extend(runs)

    return announce


async def test_request_is_addressed_signed_announced_and_sent(invoker: Invoker) -> None:
    handler, told = Handler(), list[Any]()
    ready = address(await made(invoker, an_action(url="https://example.com/vms?a=1")),
                    RunTarget(to="http://127.0.0.1:9"), lambda: Signer(SECRET), id="c1", now=NOW)  # fmt: skip
    delivery = await dispatch(ready, handler, announcing(told))
    ((sent, url),) = handler.got
    assert (url, sent.id, sent.method) == ("http://127.0.0.1:9/vms?a=1", "c1", "POST")
    assert verify_signature(sent.headers, sent.body, SECRET, now=NOW).status is Status.VALID
    assert (told[0]["runId"], told[0]["action"], told[0]["properties"]) == (RUN_ID, "create_vm", {"title": "a"})
    assert ready.fate(delivery) is RunFate.WAITS


@pytest.mark.parametrize(("status", "fate"), [(200, RunFate.SUCCESS), (500, RunFate.FAILURE), (None, RunFate.FAILURE)])
async def test_response_or_its_lack_ends_a_synchronized_run(
    invoker: Invoker, status: int | None, fate: RunFate
) -> None:
    ready = address(await made(invoker, an_action(synchronized=True)), HERE, lambda: None, id="c1", now=NOW)
    assert ready.invocation.headers.get("x-port-signature") is None
    assert ready.fate(await dispatch(ready, Handler(status))) is fate


async def test_secret_is_read_only_when_a_request_is_sent(invoker: Invoker) -> None:
    def no_secret() -> Signer:
        raise SettingsError("no secret")

    elsewhere = await made(invoker, an_action())
    with pytest.raises(UsageError, match="not on this machine"):
        address(elsewhere, RunTarget(), no_secret, id="c1", now=NOW)
    with pytest.raises(SettingsError):
        address(elsewhere, HERE, no_secret, id="c1", now=NOW)


async def test_automation_needs_a_matching_event_and_is_not_announced(invoker: Invoker) -> None:
    trigger = {"type": "automation", "event": {}, "condition": {"type": "JQ", "expressions": [".n > 1"]}}
    action, told = {**an_action(), "trigger": trigger}, list[Any]()
    with pytest.raises(UsageError, match="needs an event"):
        await made(invoker, action, properties={})
    unmet = await make(read_action(action), RunData(event={"n": 1}), invoker, run_id=RUN_ID, now=NOW)
    assert isinstance(unmet, Unmet)
    assert [(each.expression, each.reason) for each in unmet.expressions] == [(".n > 1", "is false")]
    ready = address(await made(invoker, action, properties={}, event={"n": 2}), HERE, lambda: None, id="c1", now=NOW)
    assert (await dispatch(ready, Handler(), announcing(told))).ok
    assert told == []


async def said(invoker: Invoker, action: dict[str, Any], target: RunTarget) -> str:
    """Return all output about a run: an error, or the remarks, the record and the lines."""
    try:
        found = await made(invoker, action, secrets={"KEY": KEY})
        ready = address(found, target, lambda: Signer(SECRET), id="c1", now=NOW)
    except PortHookError as problem:
        return f"{problem.message} {problem} {problem.hint}"
    async with HttpClient(timeout_s=5) as client:
        delivery = await dispatch(ready, client)
    lines = [*request_lines(ready), *response_lines(ready, delivery, source="a.json")]
    record = json.dumps([invocation_record(ready), invocation_record(ready, delivery)])
    return "\n".join([*(remark.line for remark in found.remarks), *(line.plain for line in lines), record])


@pytest.mark.parametrize(
    "method",
    [
        {"body": "{{ .secrets.KEY.x }}"},
        {"body": {"a": "k-{{ .secrets.KEY }}"}, "url": "http://127.0.0.1:9/"},
        {"url": "{{ .secrets.KEY }}"},
        {"url": "https://127.0.0.1.example/{{ .secrets.KEY }}"},
        {"headers": "{{ .secrets.KEY }}"},
        {"url": "x" * 190 + "{{ .secrets.KEY }}"},  # half of it is shown
        {"url": "http://me:{{ .secrets.KEY }}@127.0.0.1:9/"},
        {"url": "http://{{ .secrets.KEY }}.localhost:9/"},
        {"headers": {"{{ .secrets.KEY }}": "a", "b": "{{ .secrets.KEY }}é"}, "url": "http://127.0.0.1:9/"},
    ],
)
def test_messages_do_not_contain_secrets(any_invoker: Invoker, method: Any) -> None:
    text = asyncio.run(said(any_invoker, an_action(**method), RunTarget()))
    if "example" in str({**an_action()["invocationMethod"], **method}["url"]):
        method = {**method, "url": "http://127.0.0.1:9/{{ .secrets.KEY }}"}  # no test sends to another machine
    sent = asyncio.run(said(any_invoker, an_action(**method), RunTarget(to_its_url=True)))
    assert text
    assert sent
    assert "corr" not in text + sent
