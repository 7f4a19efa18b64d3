"""Which calls are repeated, and after which the run is looked at first."""

from __future__ import annotations

import pytest

from port_hook_cli.errors import RunEndedError
from tests.factories import RUN_ID
from tests.flaky_port import Fault
from tests.port_api.test_client import flaky

LIMITED = Fault(status=429, headers={"retry-after": "1"})
BUSY = Fault(status=503)
LOST = Fault(lose=True)


async def test_rate_limited_status_is_sent_again_without_reading_the_run() -> None:
    async with flaky(LIMITED) as (port, api, _):
        await api.patch_run(RUN_ID, {"status": "SUCCESS"})
        assert port.lines == [f"PATCH {RUN_ID}", f"PATCH {RUN_ID}"]


@pytest.mark.parametrize("fault", [BUSY, LOST])
async def test_update_that_does_not_end_the_run_is_sent_again_without_reading_the_run(fault: Fault) -> None:
    async with flaky(fault) as (port, api, _):
        await api.patch_run(RUN_ID, {"summary": "half way"})
        assert port.lines == [f"PATCH {RUN_ID}", f"PATCH {RUN_ID}"]


@pytest.mark.parametrize("fault", [BUSY, LOST, LIMITED])
async def test_reading_a_run_is_retried_without_other_calls(fault: Fault) -> None:
    async with flaky(fault) as (port, api, _):
        assert (await api.get_run(RUN_ID))["id"] == RUN_ID
        assert port.lines == [f"GET {RUN_ID}"] * 2


async def test_status_is_refused_when_the_run_ended_with_the_same_status_before_the_first_try() -> None:
    async with flaky() as (port, api, _):
        port.run["status"] = "SUCCESS"
        with pytest.raises(RunEndedError, match="already ended with SUCCESS"):
            await api.patch_run(RUN_ID, {"status": "SUCCESS"})
        assert port.lines == [f"PATCH {RUN_ID}", f"GET {RUN_ID}"]


async def test_log_to_an_ended_run_is_refused_after_a_lost_response() -> None:
    async with flaky(LOST) as (port, api, _):
        port.run["status"] = "SUCCESS"
        with pytest.raises(RunEndedError, match="already ended with SUCCESS"):
            await api.add_log(RUN_ID, "too late")
        assert port.lines == [f"POST {RUN_ID}/logs", f"POST {RUN_ID}/logs", f"GET {RUN_ID}"]
