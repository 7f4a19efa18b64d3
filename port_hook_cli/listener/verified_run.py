"""The run that a verified request belongs to, if the response has not ended it."""

from __future__ import annotations

from port_hook_cli.invocations.models import Exchange, Status
from port_hook_cli.runs.fate import OPEN_FATES, run_fate

_VERIFIED = frozenset({Status.VALID, Status.REENCODED})


def open_run(exchange: Exchange) -> str | None:
    """Return the id of the run that may accept a report after an exchange, or None.

    There is none for a request that was refused, failed verification, was not verified, repeats an earlier signature,
    or got no response.
    """
    verdict, response = exchange.verdict, exchange.response
    if exchange.refused or response is None or verdict.status not in _VERIFIED or "replayed" in verdict.slugs:
        return None
    return (
        exchange.payload.run_id
        if run_fate(exchange.payload, response, is_message=exchange.is_message) in OPEN_FATES
        else None
    )
