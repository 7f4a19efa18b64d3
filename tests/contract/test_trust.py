"""What the code must keep to, so that a secret goes nowhere unchecked."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import port_hook_cli

pytestmark = pytest.mark.once

PACKAGE = Path(port_hook_cli.__file__).parent


def callers_of(name: str) -> Iterator[str]:
    for path in sorted(PACKAGE.rglob("*.py")):
        source = path.read_text("utf-8")
        for node in ast.walk(ast.parse(source)) if name in source else ():
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == name:
                yield path.relative_to(PACKAGE).as_posix()


def test_port_api_client_is_created_only_where_its_address_is_checked() -> None:
    assert list(callers_of("PortApi")) == ["port_api/credentials.py"]
