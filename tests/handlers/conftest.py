"""One sandbox process for the tests of a module without options. Each test looks only at its own runs."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.handlers.handlers import Records, a_sandbox_process


@pytest.fixture(scope="module")
def sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Records]:
    folder: Path = tmp_path_factory.mktemp("sandbox")
    with a_sandbox_process(folder) as running:
        yield running


@pytest.fixture(scope="module")
def client(sandbox: Records) -> Iterator[httpx.Client]:
    with sandbox.client() as opened:
        yield opened
