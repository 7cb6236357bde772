"""``femspin run`` on a case with [scan]: all points in, one table and a plot out."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from ..case import Case
from ..case.messages import one_line
from ..results.folder import to_json
from ..simulation import sweep
from ..studies.sweep import PointResult, ScanResult
from .stopping import how

__all__ = ["run_scan_case"]

_MOST_LINES = 5


def run_scan_case(args: argparse.Namespace, case: Case, file: Path, folder: Path) -> int:
    """Run the scan of a case and write its result folder; return the exit code."""
    assert case.scan is not None
    finished = [0, case.scan.points]
    try:
        with progress_bar(not args.quiet) as show:

            def progress(done: int, total: int) -> None:
                finished[:] = done, total
                show(done, total)

            result = sweep(case, file.parent, folder, progress, args.fresh)
        result.write(folder, overwrite=args.force)
    except KeyboardInterrupt as stop:
        (done, total), (word, code) = finished, how(stop)
        print(
            f"femspin: {word}; {done} of {total} points are kept, and the same command resumes",
            file=sys.stderr,
        )
        return code
    if args.json:
        sys.stdout.write(to_json(result.summary))
    elif not args.quiet:
        _summary(result, folder)
    _complain(result)
    return 1 if result.failures else 0


@contextmanager
def progress_bar(wanted: bool) -> Iterator[Callable[[int, int], None]]:
    """Yield a callback that moves a bar on a terminal and does nothing where there is none."""
    if not wanted or not sys.stderr.isatty():
        yield lambda done, total: None
        return
    from tqdm import tqdm

    with tqdm(unit="point", delay=1.0) as bar:

        def show(done: int, total: int) -> None:
            bar.total = total
            bar.update(done - bar.n)

        yield show


def _summary(result: ScanResult, folder: Path) -> None:
    if result.case.title:
        print(result.case.title)
    assert result.case.scan is not None
    print(result.case.scan.summary)
    for e in result.estimates:
        print(f"estimate: {e['path']} = {e['value']} ({e['material']}; {e['source']})", file=sys.stderr)
    for warning, count in list(result.warnings.items())[:_MOST_LINES]:
        points = "1 point" if count == 1 else f"{count} points"
        some = [p for p in result.points if warning in p.warnings]
        where = "" if len(some) == len(result.points) else f": {_places(some)}"
        print(f"warning ({points}{where}): {warning}", file=sys.stderr)
    if len(result.warnings) > _MOST_LINES:
        print(f"warning: and {len(result.warnings) - _MOST_LINES} more; see result.json", file=sys.stderr)
    if result.case.expected:
        print("the [expected] numbers are not compared in a scan", file=sys.stderr)
    if result.stale:
        print(
            f"{result.stale} points kept by another version of femspin or of the packages it"
            " rests on are not used",
            file=sys.stderr,
        )
    reused = len(result.points) - result.computed
    known = f", {reused} known or repeated" if reused > 0 else ""
    print(
        f"{result.computed} solved, {len(result.failures)} failed{known}, {result.seconds:.1f} s -> {folder}"
    )


def _complain(result: ScanResult) -> None:
    """Say which points failed."""
    for _, point in result.failures[:_MOST_LINES]:
        where = _place(point)
        print(f"femspin: failed at {where}: {one_line(point.error)}", file=sys.stderr)
    more = len(result.failures) - _MOST_LINES
    if more > 0:
        print(f"femspin: and {more} more points; see the column error", file=sys.stderr)


def _place(point: PointResult) -> str:
    """Return the coordinates of a point as text."""
    return ", ".join(
        f"{name} = {value:.10g}" if isinstance(value, float) else f"{name} = {value}"
        for name, value in point.coordinates.items()
    )


def _places(points: Sequence[PointResult]) -> str:
    """Return where some points lie, the first ones of many."""
    more = ", ..." if len(points) > _MOST_LINES else ""
    return "; ".join(map(_place, points[:_MOST_LINES])) + more
