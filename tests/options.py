"""The commands and their options, from typer's declarations."""

from __future__ import annotations

from functools import cache
from types import SimpleNamespace
from typing import Any

import typer

from port_hook_cli.cli.app import app


@cache
def command(name: str) -> Any:
    """Return a command by its name."""
    return typer.main.get_command(app).get_command(SimpleNamespace(obj=None), name)  # type: ignore[attr-defined]


def summary(name: str) -> str:
    """Return the first line of a command's help."""
    return str(command(name).help.partition("\n")[0])


def options(name: str) -> list[Any]:
    """Return the options of a command except --help."""
    return [parameter for parameter in command(name).params if parameter.param_type_name == "option"]
