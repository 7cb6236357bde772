"""Arguments, messages and exit codes: 0 done, 1 failed, 2 bad input, 130 interrupted."""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Callable, Sequence
from typing import NoReturn

from .. import __version__
from ..errors import FemspinError, closest

__all__ = ["main"]

_EXAMPLES = """examples:
  femspin run cases/eus_pt.toml                      result in cases/eus_pt.out
  femspin run case.toml --set drive.temperature="20 K" -o hot
  femspin check case.toml                            validate, show lengths and size
  femspin template > mine.toml                       a commented case to start from
  femspin materials Pt                               one material with its sources
"""


class _Parser(argparse.ArgumentParser):
    """Argument errors in one line, with the closest known word."""

    def error(self, message: str) -> NoReturn:
        hint = ""
        if "invalid choice: '" in message:
            got = message.split("invalid choice: '")[1].split("'")[0]
            hint = closest(got, _COMMANDS)
        print(f"femspin: {message}{hint}", file=sys.stderr)
        raise SystemExit(2)


def _run(args: argparse.Namespace) -> int:
    from .run import run

    return run(args)


def _check(args: argparse.Namespace) -> int:
    from .check import check

    return check(args)


def _template(args: argparse.Namespace) -> int:
    from ..case.template import template

    sys.stdout.write(template())
    return 0


def _materials(args: argparse.Namespace) -> int:
    from .show import materials

    return materials(args.name)


def _schema(args: argparse.Namespace) -> int:
    from .show import schema

    return schema()


def _info(args: argparse.Namespace) -> int:
    from .show import info

    return info()


_COMMANDS: dict[str, tuple[Callable[[argparse.Namespace], int], str]] = {
    "run": (_run, "run a case file and write its result folder"),
    "check": (_check, "validate a case file; show derived lengths, conductances and size"),
    "template": (_template, "print a commented case file"),
    "materials": (_materials, "list the materials, or show one with its sources"),
    "schema": (_schema, "print the JSON schema of case files, for editors"),
    "info": (_info, "print versions"),
}


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="femspin",
        description="Finite-element spin transport and torques at interfaces with spin-orbit"
        " coupling.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"femspin {__version__}")
    commands = parser.add_subparsers(dest="command", metavar="command", parser_class=_Parser)
    for name, (function, text) in _COMMANDS.items():
        sub = commands.add_parser(name, help=text, description=text)
        sub.set_defaults(function=function)
        if name in ("run", "check"):
            sub.add_argument("case", help="case file (TOML)")
            sub.add_argument("--set", action="append", default=[], metavar="KEY=VALUE",
                             help="replace one key, e.g. drive.temperature=\"20 K\"; repeatable")
            sub.add_argument("-v", "--verbose", action="store_true", help="log each stage")
            sub.add_argument("-q", "--quiet", action="store_true", help="no progress, no summary")
            sub.add_argument("--json", action="store_true", help="print the result as JSON")
        if name == "run":
            sub.add_argument("-o", "--output", metavar="DIR", help="result folder")
            sub.add_argument("--force", action="store_true", help="replace an earlier result")
        if name == "materials":
            sub.add_argument("name", nargs="?", help="one material")
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code."""
    parser = _parser()
    args = parser.parse_args(arguments)
    if args.command is None:
        parser.print_help()
        return 2
    level = logging.INFO if getattr(args, "verbose", False) else logging.WARNING
    logging.basicConfig(level=level, format="%(name)s: %(message)s", stream=sys.stderr)
    logging.getLogger("skfem").setLevel(logging.ERROR)
    try:
        code: int = args.function(args)
        sys.stdout.flush()
        return code
    except FemspinError as error:
        print(f"femspin: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print("femspin: interrupted; nothing was written", file=sys.stderr)
        return 130
    except BrokenPipeError:  # the reader of a pipe has gone
        sys.stderr.close()
        return 0
    except OSError as error:
        print(f"femspin: {error.strerror or error}: {error.filename or ''}", file=sys.stderr)
        return 1
    except MemoryError:
        print("femspin: not enough memory; use a coarser mesh or order 1", file=sys.stderr)
        return 1
