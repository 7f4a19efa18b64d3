"""Copies of the tree, and pytest in them."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

ROOT = Path(__file__).parents[2]
PACKAGE = "port_hook_cli"

_NOT_COPIED = (".git", ".venv*", "build", "dist", "__pycache__", ".hypothesis", ".*_cache", ".coverage*", ".bench")
_PYTEST = ("-m", "pytest", "-q", "-p", "no:randomly", "--no-header", "--hypothesis-seed=0", "--rootdir=.")


def copy_tree(to: Path) -> Path:
    """Copy the project's files. Return the copy's path without symbolic links."""
    shutil.copytree(ROOT, to, ignore=shutil.ignore_patterns(*_NOT_COPIED), symlinks=True)
    return to.resolve()


def fingerprint(tree: Path) -> str:
    """Return a hash of the package and its tests."""
    digest = hashlib.sha256()
    for path in _sources(tree):
        digest.update(f"{path.relative_to(tree)}\0".encode() + hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()[:16]


def hashes(tree: Path) -> dict[str, str]:
    """Return the hash of each module of the package by its path in the tree."""
    return {
        path.relative_to(tree).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in _sources(tree)
        if path.is_relative_to(tree / PACKAGE)
    }


def _sources(tree: Path) -> Iterator[Path]:
    for folder in (PACKAGE, "tests"):
        yield from sorted(path for path in (tree / folder).rglob("*.py"))


def start_pytest(tree: Path, *arguments: str, quiet: bool = True) -> subprocess.Popen[bytes]:
    """Start pytest in a copy of the tree, in a process group of its own."""
    return subprocess.Popen(
        [sys.executable, *_PYTEST, *arguments],
        cwd=tree,
        env={**os.environ, "PYTHONPATH": str(tree), "HOME": str(tree)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL if quiet else None,
        stderr=subprocess.DEVNULL if quiet else None,
        start_new_session=True,
    )


def files_of(tree: Path, tests: Sequence[str]) -> list[str]:
    """Return the files of the tests, in the order of the tests, without files that the tree lacks."""
    files = dict.fromkeys(test.partition("::")[0] for test in tests)
    return [file for file in files if (tree / file).exists()]
