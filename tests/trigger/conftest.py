"""One process of jq for the tests of a module."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from port_hook_cli.trigger.invoker import Invoker
from port_hook_cli.trigger.open_invoker import invoking
from tests.factories import SECRET


@pytest.fixture(scope="module")
def invoker() -> Iterator[Invoker]:
    with invoking(lambda: SECRET) as found:
        yield found
