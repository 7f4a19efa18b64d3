"""Shared fixtures of the listener's tests."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from port_hook_cli.runtime import Runtime


@pytest.fixture
def plain_runtime(runtime: Callable[..., Runtime]) -> Runtime:
    """A runtime without input and environment."""
    return runtime()
