"""A logger that says nothing, for aiohttp's servers."""

from __future__ import annotations

import logging


def silent_logger() -> logging.Logger:
    """Return a logger for aiohttp, which would print a traceback for every request that is not HTTP."""
    logger = logging.getLogger("port_hook_cli.silent")
    logger.setLevel(logging.CRITICAL + 1)
    return logger
