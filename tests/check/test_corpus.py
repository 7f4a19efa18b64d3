"""A check reports the one defect of each handler of the corpus, and no defect of the correct handlers."""

from __future__ import annotations

import functools
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from port_hook_cli.captures.store.finder import CaptureUse, Finder
from port_hook_cli.check.plan import CheckLimits, CheckPlan
from port_hook_cli.check.session import CheckBegins, CheckSession
from port_hook_cli.check.sources import SubjectSource
from port_hook_cli.port_api.access import PortAccess
from port_hook_cli.port_api.settings import Settings
from port_hook_cli.runtime import Runtime
from port_hook_cli.text.remark import say_nothing
from port_hook_cli.trigger.action import RunTarget
from tests.check.corpus import (
    CORRECT,
    DEFECTS,
    DOCUMENTED,
    FAILED,
    HANDLERS,
    INFORMATION,
    SOURCES,
    WARNING,
    DefectCase,
)
from tests.installed import path_of
from tests.processes import environment
from tests.sockets import free_port

# Correct handlers, mistakes in signatures and defects that need no process are also in test_checking.py,
# test_hidden_effects.py and test_fault.py. test_handler_process.py and tests/cli/test_check.py start handlers.
pytestmark = pytest.mark.extended

_WRONG = {FAILED, WARNING, INFORMATION}
_EXPRESS_ROOT = Path(__file__).parents[2] / "examples" / "express"


def _command(case: DefectCase, port: str) -> list[str]:
    """Return the words that start the handler, or skip the test."""
    words = [str(HANDLERS / case.program), port, case.defect]
    if case.program.endswith(".py"):
        return [sys.executable, *words]
    node = path_of("node")
    if "express" in case.program and not _has_express(node):
        pytest.skip("Express is not installed: run `npm ci` in its folder")
    return [node, *words]


@functools.cache
def _has_express(node: str) -> bool:
    found = subprocess.run([node, "-e", "require('express')"], cwd=_EXPRESS_ROOT, capture_output=True, check=False)
    return found.returncode == 0


@pytest.mark.once
@pytest.mark.parametrize("case", [*CORRECT, *DOCUMENTED, *DEFECTS], ids=lambda case: case.name)
async def test_check_reports_only_the_defect_of_a_handler(
    case: DefectCase, runtime: Callable[..., Runtime], folder: Path
) -> None:
    world, port = runtime(env=environment(folder)), str(free_port())
    access = PortAccess.known(Settings(), world)
    session = CheckSession(
        name=str(SOURCES / case.source),
        source=SubjectSource(
            finder=Finder(None, world, CaptureUse.SEND, say_nothing),
            access=access,
            runtime=world,
            say=say_nothing,
            target=RunTarget(to=f"http://127.0.0.1:{port}/"),
        ),
        plan=CheckPlan.of(case.groups, limits=CheckLimits(waits=case.waits)),
        access=access,
        runtime=world,
        command=tuple(_command(case, port)),
    )
    report = await session.run(_begin)
    named = {each.check.slug: str(each.status) for each in report.findings if each.status in _WRONG}
    assert named == case.expected, (report.findings, report.output)
    assert report.outcome() == ("failed" if FAILED in named.values() else "passed")


async def _begin(_: CheckBegins) -> None:
    pass
