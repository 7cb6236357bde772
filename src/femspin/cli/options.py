"""Arguments and options of every command."""

from __future__ import annotations

from typing import Any

__all__ = ["OPTIONS"]

_Option = tuple[tuple[str, ...], dict[str, Any]]


def _option(*names: str, **meaning: Any) -> _Option:
    return names, meaning


_JSON = _option("--json", action="store_true", help="print the result as JSON")
_FORCE = _option("--force", action="store_true", help="replace an earlier result")
_CSV = _option("--csv", metavar="FILE", help="also write the table to a CSV file")
_FOLDER = (_option("-o", "--output", metavar="DIR", help="result folder"), _FORCE)
_CASE = (
    _option("case", help="case file (TOML)"),
    _option(
        "--set",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help='replace one key, e.g. drive.temperature="20 K"; repeatable',
    ),
    _option("-v", "--verbose", action="store_true", help="log each stage"),
    _option("-q", "--quiet", action="store_true", help="no progress, no summary"),
    _JSON,
)

OPTIONS: dict[str, tuple[_Option, ...]] = {
    "run": (
        *_CASE,
        *_FOLDER,
        _option(
            "--fresh", action="store_true", help="of a scan: solve points again that an earlier run finished"
        ),
        _option(
            "--resume",
            action="store_true",
            help="of a texture: go on from the checkpoint of a run that was cut off",
        ),
    ),
    "check": _CASE,
    "conductances": (*_CASE, _CSV),
    "smr": (
        *_CASE,
        _option(
            "--angles",
            type=int,
            default=0,
            metavar="N",
            help="also scan N angles in the planes xy, yz and xz",
        ),
        _option("--rotate", choices=("m", "B"), default="m", help="what is turned: m, or B with m along it"),
    ),
    "sensitivities": (
        *_CASE,
        _option(
            "--outputs",
            nargs="+",
            action="extend",
            metavar="NAME",
            help="numbers of the result, also patterns; default: spin currents and torque efficiencies",
        ),
        _option(
            "--parameters",
            nargs="+",
            action="extend",
            metavar="PATH",
            help="numbers of the case, also patterns; default: all",
        ),
        _option(
            "-o", "--output", metavar="DIR", help="result folder, or a file that ends in .json, .csv or .png"
        ),
        _CSV,
        _FORCE,
    ),
    "fit": (
        _option("fit", help="fit file (TOML)"),
        *_FOLDER,
        _option("-q", "--quiet", action="store_true", help="no summary"),
        _JSON,
    ),
    "afm-torques": (*_CASE, *_FOLDER),
    "materials": (_option("name", nargs="?", help="one material"),),
}
"""Names and `argparse` keywords of what each command takes, in the order of its help."""
