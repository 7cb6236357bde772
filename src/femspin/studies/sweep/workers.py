"""Worker processes that solve points, and outlive a point that kills one of them.

Every worker has a pipe of its own, so that the point in hand when a worker dies is known for
certain and the other workers carry on; a pool of `concurrent.futures` breaks as a whole.
"""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import time
from collections import deque
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from multiprocessing import get_context
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any

from ...case.messages import one_line
from ...case.schema import Case
from ...device.observables.quantity import numbers_and_units, quantities
from ...errors import FemspinError
from .stacks import Solve, stack_tables
from .store import About, PointStore, Record

__all__ = ["Solve", "solve_here", "solve_points", "solved_together"]

_SPAWN = get_context("spawn")
_THREADS = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "BLIS_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
    "NUMEXPR_NUM_THREADS",
    "NUMBA_NUM_THREADS",
)
_CHUNK_SECONDS = 0.5  # work handed over at once: far above the cost of a message
_LARGEST_CHUNK = 32
_READY = "ready"


def solved_together(case: Case) -> bool:
    """Return whether a point is a steady exact solution, of which many are solved at once."""
    return (
        case.solver.method == "stack"
        and case.solver.target_error is None
        and case.texture is None
        and case.dynamics is None
        and case.frequency is None
        and case.transient is None
    )


@dataclass
class _Death:
    """What is known of a worker that ended while it held a point."""

    reason: str


@dataclass
class _Worker:
    process: Any
    pipe: Connection
    held: deque[str] = field(default_factory=deque)
    ready: bool = False


def solve_points(
    keys: Sequence[str],
    case_of: Callable[[str], Case],
    store: PointStore,
    folder: Path | None,
    processes: int,
    solve: Solve,
    together: bool = False,
) -> Generator[tuple[str, str | None], None, None]:
    """Solve points in worker processes; yield key and error (None for none) as they finish.

    What a point finds is in `store` when it is yielded.  A point that ends its worker is tried
    once more when all others are done, with no other running, and then given up.

    Args:
        keys: The points.
        case_of: Returns the case of a key.
        store: Where the workers write.
        folder: Where relative mesh paths start.
        processes: How many workers.
        solve: What solves a case; it must be importable by name.
        together: Whether exact stacks are solved as one batch.

    Raises:
        FemspinError: If workers do not start.
    """
    deadly: list[str] = []
    setting = (store, folder, solve, together)
    with contextlib.closing(_run(keys, case_of, setting, processes)) as outcomes:
        for key, outcome in outcomes:
            if isinstance(outcome, _Death):
                deadly.append(key)
            else:
                yield key, outcome
    with contextlib.closing(_run(deadly, case_of, setting, 1)) as outcomes:
        for key, outcome in outcomes:
            if isinstance(outcome, _Death):
                outcome = f"its process died twice, {outcome.reason}"
            yield key, outcome


def solve_here(
    keys: Sequence[str],
    case_of: Callable[[str], Case],
    store: PointStore,
    folder: Path | None,
    solve: Solve,
    together: bool = False,
) -> Generator[tuple[str, str | None], None, None]:
    """Solve points in this process; yields what `solve_points` does, with its arguments."""
    for start in range(0, len(keys), _LARGEST_CHUNK):
        chunk = [(key, case_of(key)) for key in keys[start : start + _LARGEST_CHUNK]]
        yield from ((key, error) for key, error, _ in _solved_chunk(chunk, store, folder, solve, together))


def _run(
    keys: Sequence[str], case_of: Callable[[str], Case], setting: tuple[Any, ...], processes: int
) -> Generator[tuple[str, str | _Death | None], None, None]:
    """Yield key and outcome of every point; a worker that dies is replaced."""
    queue, seconds = deque(keys), 0.0
    workers: list[_Worker] = []
    try:
        while queue or any(w.held for w in workers):
            while len(workers) < min(processes, len(queue) + sum(bool(w.held) for w in workers)):
                workers.append(_start(setting))
            for worker in workers:
                if worker.ready and not worker.held and queue:
                    _hand_over(worker, queue, case_of, _chunk(len(queue), processes, seconds))
            found = wait([w.pipe for w in workers])
            for worker in [w for w in workers if w.pipe in found]:
                try:
                    message = worker.pipe.recv()
                except (EOFError, OSError):
                    workers.remove(worker)
                    yield from _buried(worker, queue)
                    continue
                if message == _READY:
                    worker.ready = True
                else:
                    key, error, took = message
                    seconds = took if seconds == 0 else 0.8 * seconds + 0.2 * took
                    worker.held.remove(key)
                    yield key, error
    finally:
        _stop(workers)


def _chunk(left: int, processes: int, seconds: float) -> int:
    """Return how many points to hand over: one at first, then what takes half a second."""
    if seconds == 0:
        return 1
    fair = -(-left // (2 * processes))
    return max(1, min(fair, _LARGEST_CHUNK, int(_CHUNK_SECONDS / seconds)))


def _hand_over(worker: _Worker, queue: deque[str], case_of: Callable[[str], Case], count: int) -> None:
    chunk = [queue.popleft() for _ in range(count)]
    worker.held.extend(chunk)
    with contextlib.suppress(OSError):  # a dead worker is noticed when it is listened to
        worker.pipe.send([(key, case_of(key)) for key in chunk])


def _buried(worker: _Worker, queue: deque[str]) -> Iterator[tuple[str, _Death]]:
    """Yield the point that ended a worker; put its other points back into the queue."""
    worker.pipe.close()
    worker.process.join()
    code = worker.process.exitcode
    if not worker.ready:
        raise FemspinError(
            "the worker processes of the scan do not start (a script that runs a scan needs"
            f' `if __name__ == "__main__":`); exit code {code}'
        )
    if not worker.held:
        return
    key = worker.held.popleft()
    queue.extendleft(reversed(worker.held))
    reason = f"exit code {code}"
    if code is not None and code < 0:
        with contextlib.suppress(ValueError):
            reason = f"killed by {signal.Signals(-code).name}"
    yield key, _Death(reason)


def _start(setting: tuple[Any, ...]) -> _Worker:
    """Start a worker with one thread, deaf to Ctrl-C from its first moment on."""
    here, there = _SPAWN.Pipe()
    # A daemon ends with this process; one that is killed outright leaves an end of file behind.
    process = _SPAWN.Process(target=_work, args=(there, *setting), daemon=True)
    before = {name: os.environ.get(name) for name in _THREADS}
    deaf = threading.current_thread() is threading.main_thread()
    handler = signal.signal(signal.SIGINT, signal.SIG_IGN) if deaf else None
    try:
        os.environ.update(dict.fromkeys(_THREADS, "1"))
        process.start()
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
        if deaf:
            signal.signal(signal.SIGINT, handler)
        there.close()
    return _Worker(process, here)


def _stop(workers: Sequence[_Worker]) -> None:
    """End all workers; an idle one ends by itself, one in the middle of a point is stopped."""
    for worker in workers:
        if worker.held or not worker.ready:
            worker.process.terminate()
        worker.pipe.close()
    for worker in workers:
        worker.process.join(5)
        if worker.process.is_alive():
            worker.process.kill()
            worker.process.join()


def _work(pipe: Connection, store: PointStore, folder: Path | None, solve: Solve, together: bool) -> None:
    """Solve points until the other end of the pipe is closed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with contextlib.suppress(EOFError, OSError):
        pipe.send(_READY)
        while True:
            for outcome in _solved_chunk(pipe.recv(), store, folder, solve, together):
                pipe.send(outcome)


def _solved_chunk(
    chunk: Sequence[tuple[str, Case]], store: PointStore, folder: Path | None, solve: Solve, together: bool
) -> Iterator[tuple[str, str | None, float]]:
    """Solve some points; yield key, error and seconds of each."""
    stacks = [(key, case) for key, case in chunk if together and solved_together(case)]
    yield from _solved_as_stacks(stacks, store, folder, solve)
    done = {key for key, _ in stacks}
    for key, case in chunk:
        if key not in done:
            began = time.perf_counter()
            error = _solved(key, partial(solve, case, folder), store)
            yield key, error, time.perf_counter() - began


def _solved_as_stacks(
    stacks: Sequence[tuple[str, Case]], store: PointStore, folder: Path | None, solve: Solve
) -> Iterator[tuple[str, str | None, float]]:
    """Solve points together; yield key, error and seconds of each."""
    if not stacks:
        return
    began = time.perf_counter()
    tables = stack_tables([case for _, case in stacks], solve, folder)
    each = (time.perf_counter() - began) / len(stacks)
    for (key, _), table in zip(stacks, tables, strict=True):
        began = time.perf_counter()
        error = _solved(key, table, store)
        yield key, error, each + time.perf_counter() - began


def _about(table: Mapping[str, Any]) -> dict[str, About]:
    """Return what is known of the numbers of a table."""
    found = quantities(table)
    bare = not any(q.listed for q in found.values())  # of a solver that says nothing of its numbers
    return {n: About(q.unit, q.label, q.listed or bare) for n, q in found.items()}


def _solved(key: str, solve: Callable[[], Mapping[str, Any]], store: PointStore) -> str | None:
    """Solve one point and keep what it finds; return what went wrong."""
    try:
        table = solve()
        numbers, units = numbers_and_units(table)
        about = store.about((*numbers, *units), partial(_about, table))
        store.write(key, Record(numbers, tuple(table.get("warnings", ())), about))
    except FemspinError as error:
        return one_line(str(error))
    except MemoryError:
        return "not enough memory"
    except OSError as error:
        return one_line(f"{error.strerror or error}: {error.filename or store.folder}")
    except Exception as error:  # whatever it is, the other points go on
        return one_line(f"{type(error).__name__}: {error}")
    return None
