"""Files that a user names: regular ones only, read up to a size, with what fails in one line."""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

__all__ = ["UnreadableError", "open_regular", "read_regular", "real_path"]


_CHUNK = 1 << 20


class UnreadableError(Exception):
    """A file cannot be read as input; the text says why and goes behind its name."""


@contextlib.contextmanager
def open_regular(path: Path | str) -> Iterator[BinaryIO]:
    """Open a regular file, or what a link to one leads to, for reading bytes.

    A pipe would wait for a writer without end, and a device has no end.

    Raises:
        FileNotFoundError: If there is none.
        UnreadableError: If it is no regular file, or refused by the system.
    """
    try:
        # Without O_NONBLOCK a pipe is waited for already when it is opened.
        handle = os.open(
            path,
            os.O_RDONLY
            | getattr(os, "O_NONBLOCK", 0)
            | getattr(os, "O_BINARY", 0)
            | getattr(os, "O_NOCTTY", 0),
        )
        with open(handle, "rb") as stream:
            mode = os.fstat(handle).st_mode
            if stat.S_ISDIR(mode):
                raise UnreadableError("is a folder, not a file")
            if not stat.S_ISREG(mode):
                raise UnreadableError("is a pipe or device, not a regular file")
            yield stream
    except FileNotFoundError:
        raise
    except IsADirectoryError:
        raise UnreadableError("is a folder, not a file") from None
    except OSError as error:
        raise UnreadableError(f"cannot be read: {error.strerror}") from None


def read_regular(path: Path | str, limit: int) -> bytes:
    """Return the content of a regular file; see `open_regular`.

    Args:
        path: The file.
        limit: Most bytes; the size may grow while it is read.

    Raises:
        FileNotFoundError: If there is none.
        UnreadableError: If it is no regular file, too large, or refused by the system.
    """
    with open_regular(path) as stream:
        # Files of some systems say a size of 0 and have content, so that is asked for too.
        data = stream.read(min(os.fstat(stream.fileno()).st_size, limit) + 1)
        while len(data) <= limit and (more := stream.read(min(_CHUNK, limit + 1))):
            data += more
    if len(data) > limit:
        raise UnreadableError(f"is larger than {_size(limit)}")
    return data


def real_path(path: Path | str) -> Path:
    """Return the absolute path without links; a link that leads to itself stays one."""
    return Path(os.path.realpath(path))


def _size(limit: int) -> str:
    unit, name = (1_000_000_000, "GB") if limit >= 1_000_000_000 else (1_000_000, "MB")
    return f"{limit // unit} {name}"
