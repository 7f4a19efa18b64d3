"""Start Chromium with Playwright, or explain why this machine cannot."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from playwright.async_api import Browser

# Reasons for skipping browser tests. Details follow a colon.
NO_DRIVER = "Playwright's driver does not start"
NO_CHROMIUM = "Chromium is not installed"
NO_START = "Chromium does not start"

_START_S = 30.0


class CannotStart(Exception):
    """No browser can start. The message is the reason."""


@asynccontextmanager
async def a_browser() -> AsyncIterator[Browser]:
    """Start Chromium, and close it at the end of the block. Raises CannotStart."""
    from playwright.async_api import Error, async_playwright
    from playwright.async_api import TimeoutError as TooLate

    if problem := driver_problem():
        raise CannotStart(f"{NO_DRIVER}: {problem}")
    async with async_playwright() as driver:
        path = chromium(driver.chromium.executable_path)
        if path is None:
            raise CannotStart(NO_CHROMIUM)
        # No sandbox: it needs rights that a container or root does not have. Memory is measured exactly. All pages of a
        # context share a process, because each takes a second to start.
        arguments = [
            "--no-sandbox",
            "--enable-precise-memory-info",
            "--disable-gpu",
            "--disable-site-isolation-trials",
            "--renderer-process-limit=1",
        ]
        try:
            opened = await driver.chromium.launch(executable_path=path, args=arguments, timeout=_START_S * 1000)
        except TooLate:  # a busy machine is not a reason to skip
            raise
        except Error as error:
            raise CannotStart(f"{NO_START}: {_complaint(error.message)}") from error
        try:
            yield opened
        finally:
            await opened.close()


def driver_problem(timeout_s: float = _START_S) -> str:
    """Return why Playwright's driver does not start, or "" if it starts.

    The driver bundles a Node.js, which needs a library that a minimal Debian lacks. Playwright itself would wait for
    the driver's first message.
    """
    driver = subprocess.Popen(
        [sys.executable, "-m", "playwright", "--version"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        _, written = driver.communicate(timeout=timeout_s)
    except subprocess.TimeoutExpired:
        _kill_all(driver)
        driver.communicate()
        return f"no response within {timeout_s:g} s"
    return (_last_line(written) or f"exit code {driver.returncode}") if driver.returncode else ""


def _kill_all(process: subprocess.Popen[str]) -> None:
    """Kill a process and its children."""
    if sys.platform == "win32":
        process.kill()
    else:
        os.killpg(process.pid, signal.SIGKILL)


def chromium(downloaded: str) -> str | None:
    """Return the machine's Chromium, or Playwright's downloaded Chromium, or None."""
    names = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome")
    found = next((path for name in names if (path := shutil.which(name))), None)
    return found or (downloaded if Path(downloaded).exists() else None)


def _complaint(message: str) -> str:
    """Return the last line of Chromium's stderr that Playwright quotes, otherwise the first line of the message."""
    written = [line.partition("[err] ")[2] for line in message.splitlines() if "[err] " in line]
    return _last_line("\n".join(written)) or message.partition("\n")[0]


def _last_line(text: str) -> str:
    return next((line.strip() for line in reversed(text.splitlines()) if line.strip()), "")
