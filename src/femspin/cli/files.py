"""Single files that a command writes: whole or not at all, in place of files alone."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ..case.input_files import real_path
from ..errors import CaseError

__all__ = ["check_file", "new_file"]


def check_file(path: Path, option: str, case: Path) -> None:
    """Refuse a file that cannot be written, or that is no file or the case.

    Args:
        path: The file.
        option: That names it, for the message.
        case: The case file.

    Raises:
        CaseError: Saying why.
    """
    if real_path(path) == real_path(case):
        raise CaseError(option, f"{str(path)!r} is the case file")
    if path.is_dir():
        raise CaseError(option, f"{str(path)!r} is a folder, not a file")
    if path.exists() and not path.is_file():
        raise CaseError(option, f"{str(path)!r} is a pipe or device, not a file")
    if not path.parent.is_dir():
        raise CaseError(option, f"{str(path)!r} lies in no folder that exists")
    try:
        with tempfile.NamedTemporaryFile(prefix=".", dir=path.parent):
            pass
    except OSError as error:
        raise CaseError(option, f"{str(path)!r} cannot be written: {error.strerror}") from None


@contextmanager
def new_file(path: Path) -> Iterator[Path]:
    """Yield the name of a file beside `path`, of its kind, that takes its place at the end."""
    part = path.with_name(f".{path.stem[:80]}.{os.getpid()}.part{path.suffix}")
    try:
        yield part
        part.replace(path)
    except OSError as error:  # name the file, not what stands beside it for a while
        raise OSError(error.errno, error.strerror, str(path)) from None
    finally:
        part.unlink(missing_ok=True)
