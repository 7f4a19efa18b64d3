"""One process of jq for the tests of a module."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from port_hook_cli.engines.agent_jq import AgentJq


@pytest.fixture(scope="module")
def jq() -> Iterator[AgentJq]:
    with AgentJq({"TOKEN": "t0ken-of-the-environment"}) as running:
        yield running
