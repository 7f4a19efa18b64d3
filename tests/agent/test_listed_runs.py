"""The sources of `port-agent --poll`: which runs they pass on while Port repeats and loses things."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest

from port_hook_cli.agent.mappings import StreamMappings
from port_hook_cli.agent.predictor import Predictor
from port_hook_cli.agent.sources import ListedRuns
from port_hook_cli.agent.stream import (
    AgentEvent,
    AgentFailure,
    MessageStream,
    Predicted,
)
from port_hook_cli.engines.agent_jq import AgentJq
from port_hook_cli.errors import PortApiError
from port_hook_cli.prediction.mapping import AgentMapping
from port_hook_cli.prediction.prediction import AgentSettings
from port_hook_cli.runtime import Runtime
from port_hook_cli.text.remark import Remark
from tests.agent.scripted_port import (
    LIST,
    LOST,
    OTHER,
    RUN,
    ScriptedPort,
    a_run,
    runs,
    scripted_port,
)
from tests.factories import SECRET
from tests.port_clients import port_client

MAPPINGS = StreamMappings((AgentMapping(place="the mapping"),))
LOCAL = "http://127.0.0.1:1/"


@dataclass
class Followed:
    """What a stream did. `sent` are the URLs of its requests."""

    failure: AgentFailure | None = None
    events: list[AgentEvent] = field(default_factory=list)

    @property
    def predicted(self) -> list[str | None]:
        return [event.shown.prediction.message.run_id for event in self.events if isinstance(event, Predicted)]

    @property
    def remarks(self) -> list[str]:
        return [event.line for event in self.events if isinstance(event, Remark)]


async def follow(port: ScriptedPort, runtime: Runtime, *, count: int) -> Followed:
    """List runs until `count` were handled, 20 seconds at most."""
    followed = Followed()
    with AgentJq({}) as jq:
        predictor = Predictor(settings=AgentSettings(secret=SECRET), variables={}, jq=jq, runtime=runtime)
        client = port_client(api_url=port.url, client_secret=SECRET, max_tries=1)
        async with client as api, asyncio.timeout(20):
            messages = MessageStream(predictor, MAPPINGS, None, count, followed.events.append)
            followed.failure = await messages.take_all(ListedRuns(api, 0))
    return followed


@pytest.fixture
def world(runtime: Callable[..., Runtime]) -> Runtime:
    return runtime()


async def test_polling_continues_and_reports_each_outage_once_when_port_cannot_be_reached(world: Runtime) -> None:
    first, second = a_run(), a_run(run_id=OTHER)
    script = [runs(first), LOST, LOST, LOST, runs(first), LOST, 403, 403, runs(first, second)]
    with scripted_port({LIST: script}) as port:
        followed = await follow(port, world, count=2)
    assert (followed.failure, followed.predicted) == (None, [RUN, OTHER])
    lost = f"warning: port-hook cannot reach Port's API at {port.url}: Server disconnected without sending a response."
    assert followed.remarks[:2] == [f"{lost} Trying again."] * 2
    assert [" 403" in line for line in followed.remarks[2:]] == [True]


async def test_polling_does_not_start_when_port_cannot_be_reached(world: Runtime) -> None:
    with scripted_port({LIST: [LOST]}) as port, pytest.raises(PortApiError, match="cannot reach"):
        await follow(port, world, count=1)


async def test_note_about_a_full_list_is_printed_once(world: Runtime) -> None:
    others = [{"id": f"r_{number}"} for number in range(999)]
    full = runs(*others, {"id": "r_999"})
    with scripted_port({LIST: [full, full, runs(*others, a_run())]}) as port:
        followed = await follow(port, world, count=1)
    assert len(port.moments[LIST]) == 3
    assert followed.remarks == ["note: Port lists 1,000 runs at most, so others may be missing"]


async def test_run_is_not_shown_again_when_it_returns_to_a_full_list(world: Runtime) -> None:
    others = [{"id": f"r_{number}"} for number in range(1000)]
    shown, other = a_run(), a_run(run_id=OTHER)
    script = [runs(*others[1:], shown), runs(*others), runs(*others[2:], shown, other)]
    with scripted_port({LIST: script}) as port:
        assert (await follow(port, world, count=2)).predicted == [RUN, OTHER]


async def test_run_is_shown_once_when_a_list_has_it_twice(world: Runtime) -> None:
    with scripted_port({LIST: [runs(a_run(), a_run(), a_run(run_id=OTHER))]}) as port:
        assert (await follow(port, world, count=2)).predicted == [RUN, OTHER]
