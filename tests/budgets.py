"""The numbers of budgets.toml."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any


def most(name: str) -> Any:
    """Return the highest allowed number of a budget, which must have a reason."""
    budget = tomllib.loads(Path(__file__).with_name("budgets.toml").read_text("utf-8"))[name]
    assert budget["why"], f"say why in {name} of tests/budgets.toml"
    return budget["most"]
