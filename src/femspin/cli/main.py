"""Arguments, messages and exit codes: 0 done, 1 failed, 2 bad input, 130 interrupted."""

from __future__ import annotations

import argparse
import io
import logging
import os
import re
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from importlib import import_module
from typing import NoReturn

from .. import __version__
from ..errors import FemspinError, closest
from .options import OPTIONS
from .stopping import OUTPUT, begin_work, how, received

__all__ = ["main"]

_EXAMPLES = """examples:
  femspin run cases/eus_pt.toml                      result in cases/eus_pt.out
  femspin run case.toml --set drive.temperature="20 K" -o hot
  femspin check case.toml                            validate, show lengths and size
  femspin conductances case.toml --csv g.csv         conductances, published and exact
  femspin template > mine.toml                       a commented case to start from
  femspin materials Pt                               one material with its sources
"""


class _Parser(argparse.ArgumentParser):
    """Argument errors in one line, with the closest known word."""

    def error(self, message: str) -> NoReturn:
        unknown = re.search(r"invalid choice: '(.*)' \(", message)
        if unknown:
            hint = closest(unknown[1], _COMMANDS)
            message = f"unknown command '{unknown[1]}'{hint} (commands: {', '.join(_COMMANDS)})"
        elif message.startswith("unrecognized arguments: -"):
            word = message.split()[2].split("=")[0]
            known = _options(self)
            other = f"; {word} belongs to other commands, see --help of this one"
            message += other if word in known else closest(word, known)
        raise SystemExit(_fail(message, 2))


def _options(parser: argparse.ArgumentParser) -> list[str]:
    """Return all options of a parser and of its commands."""
    found: list[str] = []
    for action in parser._actions:
        found += action.option_strings
        if isinstance(action, argparse._SubParsersAction):
            for sub in action.choices.values():
                found += _options(sub)
    return list(dict.fromkeys(found))


# Module of every command, whose function has its name, and what it does.
_COMMANDS = {
    "run": ("run", "run a case file and write its result folder"),
    "check": ("check", "validate a case file; show derived lengths, conductances and size"),
    "conductances": ("conductances", "show every conductance of the F regions, published and exact"),
    "template": ("show", "print a commented case file"),
    "materials": ("show", "list the materials, or show one with its sources"),
    "schema": ("show", "print the JSON schema of case files, for editors"),
    "info": ("show", "print versions"),
    "smr": ("smr", "spin Hall magnetoresistance of a case: amplitudes and angular scans"),
    "sensitivities": ("sensitivities", "what every parameter of a case does to its results"),
    "fit": ("fit", "estimate parameters of a case from measured data"),
    "afm-torques": ("afm_torques", "torque coefficients of an antiferromagnetic band structure"),
}


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="femspin",
        description="Finite-element spin transport and torques at interfaces with spin-orbit coupling.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"femspin {__version__}")
    commands = parser.add_subparsers(dest="command", metavar="command", parser_class=_Parser)
    for name, (_, text) in _COMMANDS.items():
        sub = commands.add_parser(name, help=text, description=text, allow_abbrev=False)
        for names, meaning in OPTIONS.get(name, ()):
            sub.add_argument(*names, **meaning)
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code."""
    parser = _parser()
    args = parser.parse_args(arguments)
    if args.command is None:
        parser.print_help()
        return 2
    _set_up_streams(getattr(args, "verbose", False))
    try:
        # Imported before work begins, so that an interrupt until then leaves nothing to clear.
        module = import_module(f".{_COMMANDS[args.command][0]}", __package__)
        begin_work()
        with ExitStack() as args.held:  # what a command holds to its end, as the lock of a folder
            code: int = getattr(module, args.command.replace("-", "_"))(args)
        sys.stdout.flush()
        return code
    except FemspinError as error:
        return _fail(str(error), error.exit_code)
    except KeyboardInterrupt as stop:
        return _stopped(stop)
    except BrokenPipeError:  # the reader of a pipe has gone; nothing may be flushed at exit
        _drop_output()
        return 0
    except OSError as error:
        if error.filename == OUTPUT:
            _drop_output()
        where = f": {error.filename}" if error.filename else ""
        return _fail(f"{error.strerror or error}{where}", 1)
    except MemoryError:
        return _fail("not enough memory; use a coarser mesh or order 1", 1)
    except Exception:
        signal = received()  # what an interrupt may turn into inside libraries
        if signal is None:
            raise
        return _stopped(signal)


def _stopped(stop: BaseException) -> int:
    word, code = how(stop)
    return _fail(f"{word}; nothing was written", code)


def _drop_output() -> None:
    """Let what is printed from now on, and at exit, go nowhere."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _fail(message: str, code: int) -> int:
    from ..case.messages import one_line

    print(f"femspin: {one_line(message)}", file=sys.stderr)
    return code


def _set_up_streams(verbose: bool) -> None:
    """Log to stderr, and print titles and names that the terminal cannot show as far as it can."""
    logging.basicConfig(level=logging.WARNING, format="%(name)s: %(message)s", stream=sys.stderr)
    logging.getLogger("femspin").setLevel(logging.INFO if verbose else logging.WARNING)
    logging.getLogger("skfem").setLevel(logging.ERROR)
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")
