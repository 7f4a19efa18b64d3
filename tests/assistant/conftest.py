from __future__ import annotations

from collections.abc import Callable

import pytest

from port_hook_cli.runtime import Runtime
from tests.assistant.assistants import Assistant


@pytest.fixture
def assistant(runtime: Callable[..., Runtime]) -> Assistant:
    return Assistant.at(runtime)
