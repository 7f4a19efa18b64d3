"""The routes that Port's execution agent calls in polling mode to claim and acknowledge runs.

Integrations built on Port's Ocean framework claim and acknowledge their runs in the same way. Port's API reference
doesn't contain these routes. They follow the published agent and Ocean. Ocean also reads `identityToken`,
`portAccessToken` and `executionIdentity` of a claimed node run. Port does not document what these fields contain, so
the sandbox leaves them out.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from port_hook_cli.runs.updates import is_node_run
from port_hook_cli.sandbox import checks
from port_hook_cli.sandbox.messages import ApiRequest, ApiResponse, Rejected, invalid, ok, read_body
from port_hook_cli.sandbox.run import Phase, RunInvocation, SandboxRun
from port_hook_cli.sandbox.state import SandboxState
from port_hook_cli.text.safe import brief

# Port does not publish how long a claim lasts without an acknowledgment.
CLAIM_S = 60.0
DEFAULT_CLAIMED = 10
AGENT = "_PORT_EXEC_AGENT"
"""The `installationId` of Port's execution agent."""


def claim_runs(state: SandboxState, request: ApiRequest) -> ApiResponse:
    """Claim the runs that wait for the agent or for an integration, and return them.

    Port's agent sends an `invocationMethod` and gets the runs of webhooks. An integration doesn't send an
    `invocationMethod`, and gets the runs whose INTEGRATION_ACTION has the integration's `installationId`.
    """
    _check_reserved(request)
    body = read_body(request, checks.CLAIM, required=("installationId",))
    excluded, is_agent = body.get("exclude", ()), "invocationMethod" in body
    installation = None if is_agent else body["installationId"]

    def is_wanted(run: SandboxRun) -> bool:
        return (
            not is_node_run(run.id) and run.start.action not in excluded and run.invocation.integration == installation
        )

    claimed = claim_matching(state, body, is_wanted)
    claimer = "the agent" if is_agent else f"the integration {brief(body['installationId'])}"
    note = f"{claimer} claimed {', '.join(run.id for run in claimed)}" if claimed else _no_runs(state, installation)
    return ok({"runs": [run.claimed_document() for run in claimed]}, note)


def _no_runs(state: SandboxState, installation: str | None) -> str:
    if installation is not None:
        return f"no runs to claim for the integration {brief(installation)} (the agent sends an `invocationMethod`)"
    return "no runs to claim: with --kafka, they are published" if state.kafka_brokers else "no runs to claim"


def acknowledge_runs(state: SandboxState, request: ApiRequest) -> ApiResponse:
    """Mark claimed runs as acknowledged, so that no agent can claim them again.

    Port's agent sends `runIds`. An integration sends one `runId`, and gets a 409 if the run was already taken or was
    not claimed.
    """
    _check_reserved(request)
    body = read_body(request, checks.ACK)
    if body.keys() & {"runIds", "runId"} == set():
        raise invalid("body must have required property 'runIds'")
    named = [*body.get("runIds", ()), *([body["runId"]] if "runId" in body else ())]
    runs = [state.runs[run_id] for run_id in dict.fromkeys(named) if run_id in state.runs]
    acked = [run for run in runs if run.invocation.phase is Phase.CLAIMED]
    if "runId" in body and body["runId"] not in {run.id for run in acked}:
        raise Rejected(409, "already_acknowledged", f'The run "{body["runId"]}" was taken already, or was not claimed')
    for run in acked:
        run.invocation.phase = Phase.ACKED
        run.invocation.claimed_until = None
        run.invocation.rendered = None  # an acknowledged run cannot be claimed again
        state.record_change("run", run.id, run)
        who = "agent" if run.invocation.integration is None else "integration"
        state.add_event(run, f"acknowledged by the {who} {brief(run.invocation.installation_id or '')}")
    return ok({"ackedCount": len(acked)}, f"acknowledged {len(acked)}")


def claim_matching(
    state: SandboxState, body: Mapping[str, Any], matches: Callable[[SandboxRun], bool]
) -> list[SandboxRun]:
    """Claim the runs that wait for an agent and for which `matches` is true. Return the claimed runs, oldest first."""
    now = state.now()
    waiting = [run for run in state.runs.values() if matches(run) and not run.ended and _is_free(run.invocation, now)]
    claimed = waiting[: body.get("limit", DEFAULT_CLAIMED)]
    for run in claimed:
        invocation = run.invocation
        invocation.phase = Phase.CLAIMED
        invocation.claimed_until = now + body.get("visibilityTimeoutMs", CLAIM_S * 1000) / 1000
        invocation.installation_id = body["installationId"]
        state.record_change("run", run.id, run)
    return claimed


def _is_free(invocation: RunInvocation, now: float) -> bool:
    is_lapsed = invocation.phase is Phase.CLAIMED and now >= (invocation.claimed_until or 0.0)
    return is_lapsed or invocation.phase is Phase.CLAIMABLE


def _check_reserved(request: ApiRequest) -> None:
    if not request.reserved:
        raise invalid("headers must have required property 'x-port-reserved-usage'")
