"""Prompts on the terminal. The question is on stderr, and the user's answer is read from stdin."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeVar

from port_hook_cli.errors import UsageError
from port_hook_cli.runtime import Runtime
from port_hook_cli.terminal.coding_agent import coding_agent
from port_hook_cli.terminal.console import tell
from port_hook_cli.text.safe import printable_lines

Ask = Callable[[str], Awaitable[bool]]
"""A function that asks a question and returns whether the user agrees."""

_Value = TypeVar("_Value")
_TRIES = 3


def can_ask(runtime: Runtime) -> bool:
    """Return whether a user can answer prompts: stdin and stderr are a terminal, and no coding agent runs port-hook."""
    return runtime.stdin.isatty() and runtime.stderr.isatty() and not coding_agent(runtime.environ)


def confirm(question: str, runtime: Runtime, *, default: bool) -> bool:
    """Return the user's answer to a yes-or-no question. `question` is printable.

    Enter means `default`. The end of stdin and any other text mean no. In a running event loop, call `confirm_in_loop`
    instead, because with `confirm`, Ctrl-C would take effect only after the answer.
    """
    _put(_with_choice(question, default=default), runtime)
    return _is_yes(_ended(runtime.stdin.readline(), runtime), default=default)


def ask_for(question: str, read: Callable[[str], _Value], runtime: Runtime, *, default: str) -> _Value:
    """Ask for a value, and return the result of `read` for the answer. `question` is printable.

    An empty answer means `default`. If `read` raises UsageError, print the error and ask again, up to three times in
    total. Raises UsageError if the last answer is invalid, or if stdin ends after an invalid answer.
    """
    for tries_left in reversed(range(_TRIES)):
        _put(f"{question} [{default}]:", runtime)
        line = _ended(runtime.stdin.readline(), runtime)
        if not line and tries_left < _TRIES - 1:
            break
        try:
            return read(line.decode("utf-8", "replace").strip() or default)
        except UsageError as error:
            if not tries_left:
                raise
            tell(f"error: {error.message}", runtime)
            tell(f"hint: {error.hint}", runtime)
    raise UsageError("No valid answer was entered.", hint="Run the command again.")


async def confirm_in_loop(question: str, runtime: Runtime, *, default: bool) -> bool:
    """Return the same answer as `confirm`, without blocking the event loop."""
    _put(_with_choice(question, default=default), runtime)
    return _is_yes(_ended(await _line_in_loop(runtime), runtime), default=default)


def asker(runtime: Runtime) -> Ask | None:
    """Return a function that asks a yes-or-no question in the event loop, or None if no user can answer questions."""
    if not can_ask(runtime):
        return None

    async def ask(question: str) -> bool:
        return await confirm_in_loop(printable_lines(question), runtime, default=False)

    return ask


async def ask_in_loop(question: str, runtime: Runtime) -> str:
    """Return the line that the user types, or "" for an empty line or the end of stdin. `question` is printable."""
    _put(question, runtime)
    return _ended(await _line_in_loop(runtime), runtime).decode("utf-8", "replace").strip()


async def _line_in_loop(runtime: Runtime) -> bytes:
    import asyncio  # imported here, because `init` and `login` ask without an event loop

    loop = asyncio.get_running_loop()
    is_ready = asyncio.Event()
    try:
        loop.add_reader(runtime.stdin.fileno(), is_ready.set)
    except NotImplementedError:  # Windows, where the user presses Enter after Ctrl-C
        return await asyncio.to_thread(runtime.stdin.readline)
    try:
        await is_ready.wait()
    finally:
        loop.remove_reader(runtime.stdin.fileno())
    return runtime.stdin.readline()


def _with_choice(question: str, *, default: bool) -> str:
    return f"{question} [{'Y/n' if default else 'y/N'}]"


def _put(question: str, runtime: Runtime) -> None:
    print(f"{question} ", end="", file=runtime.stderr, flush=True)


def _ended(line: bytes, runtime: Runtime) -> bytes:
    """Return the line read from stdin. If stdin ended without Enter, print the missing line break."""
    if not line.endswith(b"\n"):
        print(file=runtime.stderr)
    return line


def _is_yes(line: bytes, *, default: bool) -> bool:
    answer = line.strip().lower()
    return answer in {b"y", b"yes"} or (default and line.endswith(b"\n") and not answer)
