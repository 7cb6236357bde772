"""Threads for the compiled kernels, which leave Python's lock."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from functools import cache
from importlib.util import find_spec
from itertools import pairwise
from typing import Any, TypeVar

__all__ = [
    "compiled_available",
    "run_beside",
    "run_by_rows",
    "run_each",
    "run_jobs",
    "run_parts",
    "thread_count",
]

First = TypeVar("First")
Second = TypeVar("Second")

_OWN = threading.local()
# Nanoseconds of work that are worth another thread: handing over takes up to a tenth of it.
_WORTH_THREADS = 1_000_000
# Of one row, where the caller does not know better.
_ROW = 100.0


@cache
def compiled_available() -> bool:
    """Return whether numba is installed."""
    return find_spec("numba") is not None


def thread_count() -> int:
    """Return how many threads kernels use: OMP_NUM_THREADS, or the cores this process may use.

    One within `run_each`, whose jobs share the cores.
    """
    if getattr(_OWN, "single", False):
        return 1
    return _thread_count(os.environ.get("OMP_NUM_THREADS", ""))


@cache
def _thread_count(given: str) -> int:
    wanted = given.split(",")[0]
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return int(wanted) if wanted.isdigit() and int(wanted) > 0 else (cores or 1)


def run_by_rows(work: Callable[..., Any], rows: int, *arguments: Any, row: float = _ROW) -> list[Any]:
    """Return ``work(low, high, *arguments)`` for ranges that make up all rows, at the same time.

    Args:
        work: Every call must write to its own rows only.
        rows: How many there are.
        arguments: Of every call.
        row: About how many nanoseconds one row takes; little work is done by one thread.
    """
    count = thread_count() if rows * row >= _WORTH_THREADS else 1
    bounds = [rows * k // count for k in range(count + 1)]
    return run_parts(work, bounds, *arguments, row=row)


def run_parts(
    work: Callable[..., Any], bounds: Sequence[int], *arguments: Any, row: float = _ROW
) -> list[Any]:
    """Return ``work(low, high, *arguments)`` between neighbouring bounds, at the same time.

    The arguments are those of `run_by_rows`.
    """
    parts, count = list(pairwise(bounds)), thread_count()
    if len(parts) == 1 or count == 1 or (bounds[-1] - bounds[0]) * row < _WORTH_THREADS:
        return [work(*part, *arguments) for part in parts]
    pool = _pool(os.getpid(), count)
    others = [pool.submit(work, *part, *arguments) for part in parts[1:]]
    try:
        first = work(*parts[0], *arguments)  # the caller need not wait
    finally:
        wait(others)  # they write to arrays of the caller
    return [first, *(done.result() for done in others)]


def run_jobs(jobs: Sequence[Callable[[], Any]]) -> list[Any]:
    """Return what each of some compiled jobs returns, run at the same time; longest ones first."""
    count = thread_count()
    if len(jobs) == 1 or count == 1:
        return [job() for job in jobs]
    pool = _pool(os.getpid(), count)
    return [done.result() for done in [pool.submit(job) for job in jobs]]


def run_each(work: Callable[[First], Second], items: Sequence[First]) -> list[Second]:
    """Return what a function gives for every item, several at the same time in one thread each."""
    count = min(thread_count(), len(items))
    if count < 2:
        return [work(item) for item in items]

    def alone(item: First) -> Second:
        _OWN.single = True
        return work(item)

    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(alone, items))


def run_beside(first: Callable[[], First], second: Callable[[], Second]) -> tuple[First, Second]:
    """Return what two functions return that may themselves use threads, run at the same time."""
    if thread_count() == 1:
        return first(), second()
    with ThreadPoolExecutor(1) as aside:  # waits for the second, whatever the first does
        other = aside.submit(second)
        return first(), other.result()


@cache
def _pool(process: int, count: int) -> ThreadPoolExecutor:
    """Return threads of this process: a forked one has not got those of its parent."""
    return ThreadPoolExecutor(count)
