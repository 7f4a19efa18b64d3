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


async def test_a_status_that_port_refused_for_now_is_sent_again_without_a_look() -> None:
    async with flaky(LIMITED) as (port, api, _):
        await api.patch_run(RUN_ID, {"status": "SUCCESS"})
        assert port.lines == [f"PATCH {RUN_ID}", f"PATCH {RUN_ID}"]


@pytest.mark.parametrize("fault", [BUSY, LOST])
async def test_a_field_that_ends_no_run_is_sent_again_without_a_look(fault: Fault) -> None:
    async with flaky(fault) as (port, api, _):
        await api.patch_run(RUN_ID, {"summary": "half way"})
        assert port.lines == [f"PATCH {RUN_ID}", f"PATCH {RUN_ID}"]


@pytest.mark.parametrize("fault", [BUSY, LOST, LIMITED])
async def test_a_run_is_read_again_and_nothing_else_is(fault: Fault) -> None:
    async with flaky(fault) as (port, api, _):
        assert (await api.get_run(RUN_ID))["id"] == RUN_ID
        assert port.lines == [f"GET {RUN_ID}"] * 2


async def test_a_run_that_had_ended_before_the_first_try_is_refused_even_with_the_same_status() -> None:
    async with flaky() as (port, api, _):
        port.run["status"] = "SUCCESS"
        with pytest.raises(RunEndedError, match="already ended with SUCCESS"):
            await api.patch_run(RUN_ID, {"status": "SUCCESS"})
        assert port.lines == [f"PATCH {RUN_ID}", f"GET {RUN_ID}"]


async def test_a_log_to_a_run_that_ended_with_a_status_is_refused_after_a_lost_try_too() -> None:
    async with flaky(LOST) as (port, api, _):
        port.run["status"] = "SUCCESS"
        with pytest.raises(RunEndedError, match="already ended with SUCCESS"):
            await api.add_log(RUN_ID, "too late")
        assert port.lines == [f"POST {RUN_ID}/logs", f"POST {RUN_ID}/logs", f"GET {RUN_ID}"]
