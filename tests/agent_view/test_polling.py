"""The question before `agent --poll --send` takes runs away from a running agent."""

from __future__ import annotations

import pytest

from port_hook_cli.agent.message import AgentTransport
from port_hook_cli.agent_view.plan import StreamPlan
from port_hook_cli.agent_view.polling import confirm_claims
from port_hook_cli.errors import UsageError

PORT = "https://api.port.io"


class Asked:
    """Answers questions, and records them."""

    def __init__(self, answer: bool) -> None:
        self._answer, self.questions = answer, list[str]()

    async def __call__(self, question: str) -> bool:
        self.questions.append(question)
        return self._answer


def a_plan(*, take_over: bool = True, yes: bool = False) -> StreamPlan:
    return StreamPlan(transport=AgentTransport.POLLING, take_over=take_over, yes=yes)


async def test_runs_are_claimed_from_port_only_after_a_yes() -> None:
    user = Asked(True)
    await confirm_claims(PORT, a_plan(), can_ask=True, ask=user)
    (question,) = user.questions
    assert (
        "claims runs from https://api.port.io, so a running execution agent does not get them. Take over?" in question
    )
    with pytest.raises(UsageError, match=r"^No run was claimed\.$"):
        await confirm_claims(PORT, a_plan(), can_ask=True, ask=Asked(False))


async def test_runs_are_not_claimed_from_port_without_take_over_or_someone_to_ask() -> None:
    with pytest.raises(UsageError, match="does not get them") as caught:
        await confirm_claims(PORT, a_plan(take_over=False), can_ask=True, ask=Asked(True))
    assert "add --take-over" in caught.value.hint
    with pytest.raises(UsageError, match="there is no terminal"):
        await confirm_claims(PORT, a_plan(), can_ask=False, ask=Asked(True))


@pytest.mark.parametrize(
    ("api_url", "plan"), [("http://127.0.0.1:8790", a_plan(take_over=False)), (PORT, a_plan(yes=True))]
)
async def test_nothing_is_asked_for_a_sandbox_or_with_yes(api_url: str, plan: StreamPlan) -> None:
    await confirm_claims(api_url, plan, can_ask=False, ask=Asked(False))
