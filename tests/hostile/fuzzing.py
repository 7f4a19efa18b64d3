"""Shared parts of the fuzz tests: the seed and the duration.

`PORT_HOOK_FUZZ_S` is the number of seconds that each fuzz test runs for. Without it, each runs one round, with the same
cases every time. `PORT_HOOK_FUZZ_SEED` chooses the cases. Every failure message contains the seed and the case.
"""

from __future__ import annotations

import itertools
import os
import random
import secrets
import sys
import time
from collections.abc import Iterator

# Read before a test removes all PORT_ variables from the environment.
SECONDS = float(os.environ.get("PORT_HOOK_FUZZ_S") or 0)
SEED = os.environ.get("PORT_HOOK_FUZZ_SEED") or (secrets.token_hex(4) if SECONDS else "port-hook")


def rounds() -> Iterator[int]:
    """Yield the numbers of the rounds, from 0: one in the suite, otherwise until the time is over."""
    until = time.monotonic() + SECONDS
    for number in itertools.count():
        yield number
        if time.monotonic() >= until:
            return


def chance(*case: object) -> random.Random:
    """Return the random numbers of one case, the same for the same seed."""
    return random.Random(":".join(map(str, (SEED, *case))))  # noqa: S311 - a failing case must be repeatable


def how_to_repeat(*case: object) -> str:
    """Return which case failed and how to run it again."""
    return f"case {case}; repeat with PORT_HOOK_FUZZ_SEED={SEED}"


def report(figures: str) -> None:
    """Print the result of a long run. pytest shows it with `-s`."""
    sys.stdout.write(f"\n{figures} (seed {SEED})\n")
