"""Questions that only a person can answer."""

from __future__ import annotations

from collections.abc import Callable

from port_hook_cli.runtime import Runtime
from port_hook_cli.views.text import printable_lines


def asker(runtime: Runtime) -> Callable[[str], bool]:
    """Return what puts a yes-or-no question to whoever sits at the terminal; where nobody does, the answer is no."""
    if not (runtime.stdin.isatty() and runtime.stderr.isatty()):
        return lambda _: False

    def ask(question: str) -> bool:
        print(f"{printable_lines(question)} [y/N] ", end="", file=runtime.stderr, flush=True)
        return runtime.stdin.readline().strip().lower() in {b"y", b"yes"}

    return ask
