"""What an HTTP response does to a run."""

from __future__ import annotations

from enum import StrEnum

from port_hook_cli.invocations.models import Kind, Payload, Response


class RunFate(StrEnum):
    """What the HTTP response alone does to a run. It ends only runs that are `synchronized`."""

    SUCCESS = "SUCCESS"
    FAILURE = "FAILURE"
    WAITS = "waits for a report"
    DEPENDS = "depends on `synchronized`"
    NO_RUN = "no run"


def run_fate(payload: Payload, response: Response) -> RunFate:
    """Return what `response` does to the run of `payload`.

    A 2xx response ends a synchronized run as SUCCESS, any other response as FAILURE. Any other run stays IN_PROGRESS
    until the backend reports. If the payload does not say whether its run is synchronized, both are possible.
    """
    if payload.run_id is None or payload.kind is Kind.CHANGE_LOG:
        return RunFate.NO_RUN
    if payload.synchronized is None:
        return RunFate.DEPENDS
    if not payload.synchronized:
        return RunFate.WAITS
    return RunFate.SUCCESS if response.status // 100 == 2 else RunFate.FAILURE  # noqa: PLR2004 - the class of 2xx
