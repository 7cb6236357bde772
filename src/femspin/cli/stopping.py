"""What ends a run from outside: Ctrl-C and the signals by which a system ends a process."""

from __future__ import annotations

import errno
import io
import os
import signal
import sys
import threading

TYPE_CHECKING = False  # of type checkers; typing itself loads before Ctrl-C is listened for
if TYPE_CHECKING:
    from types import FrameType
    from typing import Any

__all__ = [
    "OUTPUT",
    "ClosedStream",
    "NamedOutput",
    "Stopped",
    "begin_work",
    "how",
    "listen",
    "received",
    "rest",
]

OUTPUT = "standard output"

_WORDS = {"SIGINT": "interrupted", "SIGTERM": "terminated", "SIGHUP": "terminated"}


class Stopped(KeyboardInterrupt):
    """A signal that ends the run; its number is the first argument."""


class _State:
    """What this process knows of signals; there is one of each per process."""

    working = False
    got = 0
    taken: tuple[int, ...] = ()


class ClosedStream(io.TextIOBase):
    """In place of a standard output that the caller has closed."""

    def write(self, text: str) -> int:
        """Raise the error of a closed file, in words."""
        raise OSError(errno.EBADF, f"{OUTPUT} is closed")


class NamedOutput(io.FileIO):
    """The standard output, whose errors (a full disk) say what they are of."""

    def write(self, data: Any, /) -> int:
        """Write bytes."""
        try:
            return super().write(data)
        except OSError as error:
            raise OSError(error.errno, error.strerror, OUTPUT) from None


def listen() -> None:
    """Take the signals: until work begins they end the process at once, in one line.

    An interrupt in the middle of an import comes out as other errors, of many lines.  A signal
    that is ignored (`nohup`, a shell's background) stays so.
    """
    for name in _WORDS:
        number = getattr(signal, name, None)
        if number is None:
            continue
        if signal.getsignal(number) in (signal.SIG_DFL, signal.default_int_handler):
            signal.signal(number, _handle)
            _State.taken += (number,)
    sys.unraisablehook = _unraisable


def begin_work() -> None:
    """From now on signals raise `Stopped`, so that what was begun can be cleared away."""
    _State.working = True


def rest() -> None:
    """Give the signals back; what is left to do is to exit."""
    for number in _State.taken:
        signal.signal(number, signal.SIG_DFL)


def received() -> Stopped | None:
    """Return the signal that has come, whatever error it has turned into on its way."""
    return Stopped(_State.got) if _State.got else None


def how(stop: BaseException) -> tuple[str, int]:
    """Return the word for what ended a run, and its exit code."""
    number = stop.args[0] if isinstance(stop, Stopped) and stop.args else int(signal.SIGINT)
    return _WORDS[signal.Signals(number).name], 128 + int(number)


def _handle(number: int, frame: FrameType | None) -> None:
    if not _State.working:
        word, code = how(Stopped(number))
        os.write(2, f"femspin: {word}; nothing was written\n".encode())
        os._exit(code)
    _State.got = number
    raise Stopped(number)


def _unraisable(found: Any) -> None:
    """Send a signal again that came where Python drops errors, instead of printing them."""
    if isinstance(found.exc_value, KeyboardInterrupt):
        number = _State.got or int(signal.SIGINT)
        again = threading.Timer(0.02, os.kill, (os.getpid(), number))
        again.daemon = True
        again.start()
    else:
        sys.__unraisablehook__(found)
