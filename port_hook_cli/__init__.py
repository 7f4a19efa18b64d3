"""port-hook: a webhook debugger for Port's workflows and self-service actions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from port_hook_cli.api import UNDEFINED, Cause, Status, Verdict, render, sign, verify

__version__ = "0.1.0"
__all__ = ["UNDEFINED", "Cause", "Status", "Verdict", "__version__", "render", "sign", "verify"]


def __getattr__(name: str) -> Any:
    # The API is loaded on demand, because the command line can start without it.
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from port_hook_cli import api

    return getattr(api, name)
