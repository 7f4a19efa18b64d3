"""The sources of `agent --poll`: which runs they pass on, and what they claim, while Port repeats and loses things."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest

from port_hook_cli.agent.mappings import StreamMappings
from port_hook_cli.agent.performing import AgentSender, AgentTarget, Performed
from port_hook_cli.agent.predictor import Predictor
from port_hook_cli.agent.sources import ClaimedRuns, ListedRuns
from port_hook_cli.agent.stream import (
    AgentEvent,
    AgentFailure,
    Arrived,
    ClaimLeft,
    ClaimState,
    MessageStream,
    Predicted,
    Unfinished,
    Unsent,
)
from port_hook_cli.engines.agent_jq import AgentJq
from port_hook_cli.errors import PortApiError
from port_hook_cli.invocations.models import Delivery, Invocation
from port_hook_cli.prediction.mapping import AgentMapping
from port_hook_cli.prediction.prediction import AgentSettings
from port_hook_cli.runtime import Runtime
from port_hook_cli.text.remark import Remark
from tests.agent.scripted_port import (
    ACK,
    CLAIM,
    ELSEWHERE,
    LIST,
    LOST,
    OTHER,
    RUN,
    ScriptedPort,
    a_run,
    acknowledged,
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
    sent: list[str] = field(default_factory=list)

    async def send(self, _: Invocation, url: str) -> Delivery:
        self.sent.append(url)
        return Delivery(url=url, status=200)

    @property
    def predicted(self) -> list[str | None]:
        return [event.shown.prediction.message.run_id for event in self.events if isinstance(event, Predicted | Unsent)]

    @property
    def remarks(self) -> list[str]:
        return [event.line for event in self.events if isinstance(event, Remark)]

    @property
    def left(self) -> list[ClaimState]:
        return [event.state for event in self.events if isinstance(event, ClaimLeft)]


async def follow(
    port: ScriptedPort, runtime: Runtime, *, count: int, sends: bool = False, reports: bool = False, pause_s: float = 0
) -> Followed:
    """List runs, or claim them with `sends`, until `count` were handled, 20 seconds at most."""
    followed = Followed()
    with AgentJq({}) as jq:
        predictor = Predictor(settings=AgentSettings(secret=SECRET), variables={}, jq=jq, runtime=runtime)
        client = port_client(api_url=port.url, client_secret=SECRET, max_tries=1)
        async with client as api, asyncio.timeout(20):
            target = AgentTarget()
            sender = AgentSender(target=target, send=followed.send, port=api if reports else None) if sends else None
            source = ClaimedRuns(api, pause_s, reports=reports) if sends else ListedRuns(api, pause_s)
            messages = MessageStream(predictor, MAPPINGS, sender, count, followed.events.append)
            followed.failure = await messages.take_all(source)
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


# Claiming.


async def test_run_is_sent_after_its_acknowledgment_and_reported_after_its_response(world: Runtime) -> None:
    with scripted_port({CLAIM: [runs(a_run(LOCAL))], ACK: [acknowledged(1)]}) as port:
        followed = await follow(port, world, count=1, sends=True, reports=True)
    log, status = f"POST /v1/actions/runs/{RUN}/logs", f"PATCH /v1/actions/runs/{RUN}"
    assert port.moments[ACK][0] < port.moments[log][0] < port.moments[status][0]
    assert (followed.failure, followed.sent, followed.left) == (None, [LOCAL], [])
    kinds = [type(event) for event in followed.events if not isinstance(event, Remark)]
    assert kinds.index(Arrived) < kinds.index(Performed)
    # The agent continues after a call that Port rejects.
    assert f"warning: PATCH /v1/actions/runs/{RUN}: " in "\n".join(followed.remarks)


async def test_run_for_another_machine_is_left_without_an_acknowledgment(world: Runtime) -> None:
    with scripted_port({CLAIM: [runs(a_run(ELSEWHERE))], ACK: [acknowledged(1)]}) as port:
        followed = await follow(port, world, count=1, sends=True)
    assert (followed.sent, port.moments[ACK], followed.left) == ([], [], [ClaimState.CLAIMED])
    (unsent,) = (event for event in followed.events if isinstance(event, Unsent))
    assert followed.failure is unsent.problem


@pytest.mark.parametrize(("response", "state"), [(acknowledged(0), ClaimState.LOST), (422, ClaimState.CLAIMED)])
async def test_run_is_not_sent_when_it_cannot_be_acknowledged(
    world: Runtime, response: object, state: ClaimState
) -> None:
    with scripted_port({CLAIM: [runs(a_run(LOCAL))], ACK: [response]}) as port:
        followed = await follow(port, world, count=1, sends=True)
    assert (followed.failure, followed.sent, followed.left, followed.predicted) == (None, [], [state], [RUN])


async def test_acknowledgment_is_not_repeated_when_its_response_is_lost(
    world: Runtime,
) -> None:
    with scripted_port({CLAIM: [runs(a_run(LOCAL))], ACK: [LOST, acknowledged(0)]}) as port:
        followed = await follow(port, world, count=1, sends=True)
    assert (len(port.moments[ACK]), followed.sent, followed.left) == (1, [], [ClaimState.UNCLEAR])


async def test_run_with_a_lost_acknowledgment_is_sent_if_port_hands_it_out_again(world: Runtime) -> None:
    with scripted_port({CLAIM: [runs(a_run(LOCAL))], ACK: [LOST, acknowledged(1)]}) as port:
        followed = await follow(port, world, count=2, sends=True)
    assert followed.sent == [LOCAL]


async def test_run_stays_acknowledged_when_its_report_is_lost(world: Runtime) -> None:
    script = {CLAIM: [runs(a_run(LOCAL))], ACK: [acknowledged(1)], f"PATCH /v1/actions/runs/{RUN}": [LOST]}
    with scripted_port(script) as port:
        followed = await follow(port, world, count=1, sends=True, reports=True)
    assert (followed.sent, followed.left) == ([LOCAL], [ClaimState.ACKNOWLEDGED])
    (unfinished,) = (event for event in followed.events if isinstance(event, Unfinished))
    assert followed.failure is unfinished.problem


async def test_sent_run_is_not_sent_again_if_port_hands_it_out_again(world: Runtime) -> None:
    again, other = a_run(f"{LOCAL}a"), a_run(f"{LOCAL}b", OTHER)
    script = {CLAIM: [runs(again), runs(again, again), runs(other)], ACK: [acknowledged(1)]}
    with scripted_port(script) as port:
        followed = await follow(port, world, count=2, sends=True)
    assert followed.sent == [f"{LOCAL}a", f"{LOCAL}b"]
    assert followed.remarks == ["note: Port has no route to claim workflow node runs, so only action runs are claimed"]


async def test_polling_pauses_when_port_hands_a_run_out_again_immediately(world: Runtime) -> None:
    left, last = runs(a_run(ELSEWHERE)), runs(a_run(LOCAL, OTHER))
    with scripted_port({CLAIM: [left, left, left, left, last], ACK: [acknowledged(1)]}) as port:
        followed = await follow(port, world, count=2, sends=True, pause_s=0.1)
    moments = port.moments[CLAIM]
    assert (len(moments), followed.predicted) == (5, [RUN])
    assert moments[-1] - moments[0] > 0.18  # pauses after the second and the fourth claim
