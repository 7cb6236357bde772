"""``femspin conductances``: every conductance of the F regions, side by side."""

from __future__ import annotations

import argparse
import csv
import io
import sys
from pathlib import Path
from typing import Any

from ..case import load_case
from ..device.build import build_device
from ..errors import CaseError
from ..fields.validity import ValidityWarning
from ..interface.conductance import ConductanceTable
from ..results.folder import to_json
from ..studies.conductances import ConductanceTables, conductance_tables
from ..units import LENGTH
from .files import check_file, new_file
from .progress import with_file
from .run import say_what_is_left_out

__all__ = ["conductances", "tables_as_dict"]

_COLUMNS = ("printed", "corrected", "exact")
_CSV = ("region", "name", "equation", "unit", *_COLUMNS, "error", *(f"exact_{p}" for p in "MLSAE"))


def conductances(args: argparse.Namespace) -> int:
    """Print the conductances of every F region of a case; return the exit code."""
    file = Path(args.case)
    case = load_case(file, args.set)
    if args.csv is not None:  # refused early, before the work
        check_file(Path(args.csv), "--csv", file)
    say_what_is_left_out(case)
    try:
        tables = conductance_tables(build_device(case, file.parent))
    except CaseError as error:
        raise with_file(error, file) from None
    if args.csv is not None:
        _write_csv(Path(args.csv), tables)
    if args.json:
        sys.stdout.write(to_json(tables_as_dict(tables)))
    elif not args.quiet:
        for table, conditions in tables.values():
            _print(table, conditions)
    return 0


def tables_as_dict(tables: ConductanceTables) -> dict[str, Any]:
    """Return the tables as plain data, G in S/m^2, lengths in m."""
    return {
        name: {
            "thickness": table.thickness,
            "m": table.m,
            "decay_lengths": dict(zip(("parallel", "perpendicular"), table.lengths, strict=True)),
            "conductances": {
                row.name: {
                    "equation": row.equation,
                    "unit": row.unit,
                    **{column: getattr(row, column) for column in _COLUMNS},
                    "relative_error": row.error,
                    "exact_parts": row.parts,
                }
                for row in table.rows
            },
            "tensors": {
                "printed": table.printed,
                "corrected": table.corrected,
                "contracted": {
                    key: getattr(table.contracted, key)
                    for key in ("K", "Omega", "Gamma", "M", "L", "S", "A", "total")
                },
                "exact": {key: getattr(table.exact, key) for key in ("M", "L", "S", "A", "E", "B", "total")},
                "thin": table.thin,
            },
            "validity": [
                {"code": c.code, "holds": c.holds, "value": c.value, "limit": c.limit, "message": c.message}
                for c in conditions
            ],
        }
        for name, (table, conditions) in tables.items()
    }


def _number(value: float | None, width: int = 13) -> str:
    return f"{'-' if value is None else f'{value + 0.0:.4e}':>{width}}"


def _print(table: ConductanceTable, conditions: tuple[ValidityWarning, ...]) -> None:
    m = ", ".join(f"{x:.3g}" for x in table.m)
    par, perp = (f"{x / LENGTH:.3g} nm" for x in table.lengths)
    print(
        f"{table.region}: {table.thickness / LENGTH:.4g} nm, m = ({m}), decay lengths"
        f" {par} along m, {perp} across; conductances in S/m^2"
    )
    heads = ("", "equation", *_COLUMNS)
    print(f"  {heads[0]:11}{heads[1]:9}" + "".join(f"{h:>13}" for h in heads[2:]) + f"{'error':>10}")
    for row in table.rows:
        values = "".join(_number(getattr(row, column)) for column in _COLUMNS)
        error = "-" if row.error is None else f"{row.error:.1e}"
        print(f"  {row.name:11}{row.equation:9}{values}{error:>10}")
    if table.corrected is None:
        print("  closed forms need u_yz = u_zx, or a gauge field of the form of Eqs. (9)-(11)")
    print("  exact: the resolved layer, insulated below; error: of the corrected closed form")
    print("  validity:")
    for c in conditions:
        state = "holds" if c.holds else "FAILS"
        print(f"    {state} {c.code:22} {c.value:10.3g} <= {c.limit:<10.3g} {c.message}")


def _write_csv(target: Path, tables: ConductanceTables) -> None:
    """Write all rows to a file that appears whole or not at all."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(_CSV)
    for name, (table, _) in tables.items():
        for row in table.rows:
            values = [*(getattr(row, column) for column in _COLUMNS), row.error]
            values += [row.parts.get(part) for part in "MLSAE"]
            writer.writerow(
                [
                    name,
                    row.name,
                    row.equation,
                    row.unit,
                    *("" if v is None else repr(float(v)) for v in values),
                ]
            )
    with new_file(target) as part:
        part.write_text(text.getvalue(), encoding="utf-8")
