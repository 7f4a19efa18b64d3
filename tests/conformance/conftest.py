"""These tests judge the sandbox with programs from npm and PyPI, so only `tests/campaign conformance` runs them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.conformance.prism import installed

collect_ignore_glob = [] if os.environ.get("PORT_HOOK_CONFORMANCE") else ["test_*.py"]


@pytest.fixture(scope="session")
def prism() -> Path:
    """The program."""
    return installed()
