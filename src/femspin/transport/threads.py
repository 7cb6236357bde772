"""Threads for the compiled kernels, which leave Python's lock."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from importlib.util import find_spec
from typing import Any

__all__ = ["compiled_available", "run_in_threads", "thread_count"]


@cache
def compiled_available() -> bool:
    """Return whether numba is installed."""
    return find_spec("numba") is not None


def thread_count() -> int:
    """Return how many threads kernels use: OMP_NUM_THREADS, or the cores this process may use."""
    wanted = os.environ.get("OMP_NUM_THREADS", "").split(",")[0]
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return int(wanted) if wanted.isdigit() and int(wanted) > 0 else (cores or 1)


def run_in_threads(work: Callable[..., Any], parts: Sequence[tuple[Any, ...]]) -> None:
    """Call `work` with the arguments of every part, all parts at the same time.

    Every part must write where no other does.
    """
    if len(parts) == 1:
        work(*parts[0])
        return
    with ThreadPoolExecutor(len(parts)) as pool:
        for done in [pool.submit(work, *arguments) for arguments in parts]:
            done.result()
