"""What to do about an optional package that is missing."""

from __future__ import annotations

import sys


def install_hint(package: str) -> str:
    """Return the hint to install `package` for the very Python that port-hook runs in, pipx's or another."""
    return f"Install it where port-hook is: {sys.executable} -m pip install {package}"
