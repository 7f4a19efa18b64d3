"""A logger that writes nothing, for aiohttp's servers."""

from __future__ import annotations

import logging


def disabled_logger() -> logging.Logger:
    """Return a logger for aiohttp, which would log a traceback for every malformed request."""
    logger = logging.getLogger("port_hook_cli.disabled")
    logger.setLevel(logging.CRITICAL + 1)
    return logger
