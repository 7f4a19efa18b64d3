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
    NODE_DEPENDS = "depends on `synchronized`, which is true for a workflow node unless it says otherwise"
    UNDOCUMENTED = "not documented"
    NO_RUN = "no run"


OPEN_FATES = frozenset({RunFate.WAITS, RunFate.DEPENDS, RunFate.NODE_DEPENDS, RunFate.UNDOCUMENTED})
"""The fates after which the run may still accept a report."""


def run_fate(payload: Payload, response: Response, *, is_message: bool = False) -> RunFate:
    """Return what `response` does to the run of `payload`.

    A 2xx response ends a synchronized run as SUCCESS, any other response as FAILURE (workflow nodes: FAILED). Any other
    run stays IN_PROGRESS until the backend reports. Port's execution agent reports FAILURE for a status of 400 or more,
    whatever `synchronized` says. Port does not document what such a status does to an asynchronous workflow node that
    it calls itself. If the payload does not say whether its run is synchronized, both are possible. With `is_message`,
    the payload was in a Kafka topic: unless it is for the agent, its consumer has to report, whatever the response is.
    """
    if payload.run_id is None or payload.kind is Kind.CHANGE_LOG:
        return RunFate.NO_RUN
    is_good = response.status // 100 == 2  # noqa: PLR2004 - the class of 2xx
    is_node = payload.kind is Kind.WORKFLOW_NODE
    if payload.via_agent and response.status >= 400:  # noqa: PLR2004 - requests follows redirects, the rest are errors
        return RunFate.FAILURE
    if is_message and not payload.via_agent:
        return RunFate.WAITS
    if payload.synchronized is None:
        return RunFate.NODE_DEPENDS if is_node else RunFate.DEPENDS
    if payload.synchronized:
        return RunFate.SUCCESS if is_good else RunFate.FAILURE
    return RunFate.UNDOCUMENTED if is_node and not is_good else RunFate.WAITS
