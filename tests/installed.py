"""Programs that tests use. A test is skipped if its program isn't installed, with the same reason in every test."""

from __future__ import annotations

import shutil

import pytest


def needs(program: str) -> pytest.MarkDecorator:
    """Skip a test, or a parameter of one, if the program isn't on PATH."""
    return pytest.mark.skipif(shutil.which(program) is None, reason=f"{program} is not installed")


def each(*programs: str) -> list[object]:
    """Return the programs as the values of a parameter. Programs that aren't on PATH are skipped."""
    return [pytest.param(program, marks=needs(program)) for program in programs]


def path_of(program: str) -> str:
    """Return the path of a program, or skip the test."""
    path = shutil.which(program)
    if path is None:
        pytest.skip(f"{program} is not installed")
    return path
