"""What becomes of a run through the HTTP response alone."""

from __future__ import annotations

from enum import StrEnum

from port_hook_cli.invocations.models import Kind, Payload, Response


class RunFate(StrEnum):
    """What becomes of a run through the answer alone (contract: `synchronized` runs end with it)."""

    SUCCESS = "SUCCESS"
    FAILURE = "FAILURE"
    WAITS = "waits for a report"
    DEPENDS = "depends on `synchronized`"
    NO_RUN = "no run"


def run_fate(payload: Payload, response: Response) -> RunFate:
    """Return what Port makes of `answer`.

    A synchronized run is SUCCESS on a 2xx answer and FAILURE on any other; any other run stays IN_PROGRESS until
    the backend reports. A payload that does not say whether its run is synchronized leaves both open.
    """
    if payload.run_id is None or payload.kind is Kind.CHANGE_LOG:
        return RunFate.NO_RUN
    if payload.synchronized is None:
        return RunFate.DEPENDS
    if not payload.synchronized:
        return RunFate.WAITS
    return RunFate.SUCCESS if response.status // 100 == 2 else RunFate.FAILURE  # noqa: PLR2004 - the class of 2xx
