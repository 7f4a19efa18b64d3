"""How to install optional packages that are missing."""

from __future__ import annotations

import sys
from pathlib import Path


def install_hint(package: str) -> str:
    """Return the hint to install `package`, or several with spaces between, where port-hook is installed."""
    return f"Install it where port-hook is: {install_command(package, Path(sys.prefix))}"


def install_command(packages: str, prefix: Path) -> str:
    """Return the command that installs packages beside port-hook in the environment `prefix`.

    pipx and uv leave a file in an environment that they manage; uv's has no pip.
    """
    if (prefix / "pipx_metadata.json").is_file():
        return f"pipx inject {prefix.name} {packages}"
    if (prefix / "uv-receipt.toml").is_file():
        return f"uv pip install --python {sys.executable} {packages}"
    return f"{sys.executable} -m pip install {packages}"
