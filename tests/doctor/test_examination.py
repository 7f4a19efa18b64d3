"""All checks end in time, even if something hangs."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from port_hook_cli.doctor.check import CheckResult, CheckState
from port_hook_cli.doctor.examination import Examination, examine
from port_hook_cli.port_api.access import PortAccess
from port_hook_cli.runtime import Runtime
from port_hook_cli.text.remark import say_nothing
from tests.port_answers import token_answer
from tests.servers import handler

Build = Callable[..., Runtime]


async def examined(runtime: Runtime, *, timeout_s: float, secret_file: str | None = None) -> list[CheckResult]:
    access = PortAccess(runtime, say_nothing, secret_file=secret_file)
    return await examine(Examination(access=access, timeout_s=timeout_s, margin_s=0), runtime)


async def test_checks_end_when_the_api_does_not_respond(runtime: Build) -> None:
    with handler(token_answer(), delay_s=30) as port:
        env = {"PORT_CLIENT_ID": "i", "PORT_CLIENT_SECRET": "s", "PORT_API_URL": port.url}
        async with asyncio.timeout(30):
            results = await examined(runtime(env=env), timeout_s=0.5)
    by_name = {result.check: result for result in results}
    assert by_name["api"].state is CheckState.PROBLEM
    assert "did not send a complete response within 0.5 s" in by_name["api"].message
    assert by_name["clock"].state is CheckState.SKIPPED
    assert by_name["store"].state is CheckState.OK


async def test_checks_end_when_the_api_without_credentials_does_not_respond(runtime: Build) -> None:
    with handler(token_answer(), delay_s=30) as port:
        async with asyncio.timeout(30):
            results = await examined(runtime(env={"PORT_API_URL": port.url}), timeout_s=0.5)
    assert "did not respond within 0.5 s" in {result.check: result for result in results}["api"].message


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs pipes")
async def test_checks_end_when_a_secret_file_is_a_silent_pipe(runtime: Build, folder: Path) -> None:
    os.mkfifo(folder / "pipe")
    try:
        async with asyncio.timeout(30):
            world = runtime(env={"PORT_API_URL": "http://127.0.0.1:1"})
            results = await examined(world, secret_file="pipe", timeout_s=0.3)
    finally:
        os.close(os.open(folder / "pipe", os.O_WRONLY))
    assert results[0].check == "credentials"
    assert "did not end within 0.3 s" in results[0].message
