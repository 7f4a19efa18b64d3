"""The order of the tests for parallel workers. It affects only how long the suite takes.

`--dist worksteal` gives each worker an equal part of the list, and an idle worker takes tests from the end of
another part.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Sequence
from itertools import pairwise
from typing import TypeVar

T = TypeVar("T")

# Chromium takes seconds to start, so one worker gets all tests that need it.
BROWSER = frozenset({"browser"})


def for_workers(tests: Sequence[T], folder: Callable[[T], str], package: Container[str], workers: int) -> list[T]:
    """Return the tests in the order for `workers` workers. Tests of the same kind stay in order.

    Tests are slow if their folder is none of the package's: they test the whole program, in processes of its own.

    The first part begins with the browser tests. Each other part begins with some of the slow tests, so that only short
    tests are left at the end, and no worker waits for another.
    """
    browser = [test for test in tests if folder(test) in BROWSER]
    quick = [test for test in tests if folder(test) in package]
    slow = [test for test in tests if folder(test) not in BROWSER and folder(test) not in package]
    starts = [browser, *_parts(slow, workers - 1)] if browser and workers > 1 else _parts([*browser, *slow], workers)
    size, rest = divmod(len(tests), workers)
    # xdist gives each of the last workers one more test.
    sizes = [size + (number >= workers - rest) for number in range(workers)]
    ordered: list[T] = []
    for start, wanted in zip(starts, sizes, strict=True):
        fill = max(wanted - len(start), 0)
        ordered += [*start, *quick[:fill]]
        del quick[:fill]
    return [*ordered, *quick]


def _parts(tests: Sequence[T], count: int) -> list[Sequence[T]]:
    """Divide the tests into `count` parts that differ by at most one test."""
    bounds = [len(tests) * number // count for number in range(count + 1)]
    return [tests[begin:end] for begin, end in pairwise(bounds)]
