"""What commands share: a bar on a terminal, errors that name the file, expected numbers."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from ..errors import CaseError
from ..results.expected import Expectation

__all__ = ["judged", "progress_bar", "with_file"]


def judged(expected: Sequence[Expectation], args: argparse.Namespace) -> int:
    """Say how the numbers of [expected] compare; return the exit code."""
    missed = [e for e in expected if not e.holds]
    if args.set and expected:  # not the case whose numbers were promised
        if not args.quiet:
            print(
                f"note: {len(missed)} of {len(expected)} [expected] numbers differ; they are"
                " those of the case without --set",
                file=sys.stderr,
            )
        return 0
    for e in missed:
        print(f"FAILED: expected {e.name} = {e.expected:.8g}, found {e.found:.8g}", file=sys.stderr)
    if expected and not missed and not (args.json or args.quiet):
        print(f"all {len(expected)} expected numbers are reproduced")
    return 1 if missed else 0


def with_file(error: CaseError, file: Path) -> CaseError:
    """Return an error that names the case file it comes from."""
    return type(error)(error.path, error.problem, error.file or str(file))


@contextmanager
def progress_bar(wanted: bool) -> Iterator[Callable[[float], None] | None]:
    """Yield a callback that moves a bar on a terminal, or None where there is none."""
    if not wanted or not sys.stderr.isatty():
        yield None
        return
    from tqdm import tqdm

    with tqdm(total=1.0, bar_format="{l_bar}{bar}| {elapsed}<{remaining}", delay=1.0) as bar:
        yield lambda fraction: bar.update(max(0.0, min(fraction, 1.0) - bar.n))
