"""What Port's execution agent calls in its polling mode, as the published agent calls it: claim, acknowledge, settings.

Not in Port's API reference. `GET /v1/kafka-credentials` is not here: there is no broker behind the sandbox.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from port_hook_cli.runs.updates import is_node_run
from port_hook_cli.sandbox import checks
from port_hook_cli.sandbox.messages import ApiRequest, ApiResponse, invalid, read_body
from port_hook_cli.sandbox.run import Phase, SandboxRun
from port_hook_cli.sandbox.state import SandboxState

# How long Port keeps a claim that is not acknowledged is not published.
CLAIM_S = 60.0
_DEFAULT_CLAIMED = 10


def claim_runs(state: SandboxState, request: ApiRequest) -> ApiResponse:
    """Give the agent the runs that wait for it."""
    _check_reserved(request)
    body = read_body(request, checks.CLAIM, required=("installationId", "invocationMethod"))
    claimed = claim(state, body, lambda run: not is_node_run(run.id))
    note = f"gave the agent {', '.join(run.id for run in claimed)}" if claimed else "no run waits for the agent"
    return ApiResponse(status=200, document={"ok": True, "runs": [run.document() for run in claimed]}, note=note)


def acknowledge_runs(state: SandboxState, request: ApiRequest) -> ApiResponse:
    """Take the agent's word that it has claimed runs; they are not given again."""
    _check_reserved(request)
    body = read_body(request, checks.ACK, required=("runIds",))
    runs = [state.runs[run_id] for run_id in dict.fromkeys(body["runIds"]) if run_id in state.runs]
    acked = [run for run in runs if run.phase is Phase.CLAIMED]
    for run in acked:
        run.phase = Phase.ACKED
        run.claimed_until = None
        state.keep("run", run.id, run)
        state.tell(run, f"taken by the agent {run.installation_id}")
    return ApiResponse(status=200, document={"ok": True, "ackedCount": len(acked)}, note=f"acknowledged {len(acked)}")


def show_organization(state: SandboxState, _: ApiRequest) -> ApiResponse:
    """Return the answer to a GET of the organization."""
    return ApiResponse(status=200, document={"ok": True, "organization": state.organization})


def update_organization(state: SandboxState, request: ApiRequest) -> ApiResponse:
    """Set what a PATCH names; of the settings, the others stay."""
    body = read_body(request, checks.ORGANIZATION)
    settings = {**state.organization["settings"], **body.pop("settings", {})}
    state.organization.update({**body, "settings": settings})
    state.keep("organization", "", state.organization)
    return ApiResponse(
        status=200, document={"ok": True, "organization": state.organization}, note="changed the organization"
    )


def claim(state: SandboxState, body: Mapping[str, Any], fits: Callable[[SandboxRun], bool]) -> list[SandboxRun]:
    """Return the runs that fit and wait for an agent, the oldest first, and note who has them."""
    now = state.now()
    waiting = [run for run in state.runs.values() if fits(run) and not run.ended and _is_free(run, now)]
    claimed = waiting[: body.get("limit", _DEFAULT_CLAIMED)]
    for run in claimed:
        run.phase = Phase.CLAIMED
        run.claimed_until = now + CLAIM_S
        run.installation_id = body["installationId"]
        state.keep("run", run.id, run)
    return claimed


def _is_free(run: SandboxRun, now: float) -> bool:
    return run.phase is Phase.CLAIMABLE or (run.phase is Phase.CLAIMED and now >= (run.claimed_until or 0.0))


def _check_reserved(request: ApiRequest) -> None:
    if not request.reserved:
        raise invalid("headers must have required property 'x-port-reserved-usage'")
