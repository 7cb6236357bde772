"""The table of a scan: which numbers, their units, and its files."""

from __future__ import annotations

import csv
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

__all__ = [
    "LOST",
    "WALL",
    "Column",
    "column_names",
    "matching",
    "unit_of",
    "write_csv",
    "write_netcdf",
    "write_parquet",
]

_DEFAULT = re.compile(
    r"(interfaces|transient\.final|frequency\.\d+\.interfaces)\..+\."
    r"(spin_current|charge_current)(\..+)?"
    r"|torques\..+\.(torque|efficiency_\w+)(\.[xyz])?"
    r"|electrodes\..+\.(voltage|current)"
    r"|charge_current_density\..+"
    r"|frequency\.\d+\.frequency"
    r"|dynamics\.final\.[xyz]"
    r"|texture\.(?!initial).+"
    r"|balance_residual"
)
_SPIN_CURRENT = "A/m^2 (hbar/2e)"
_UNITS = {
    "spin_current": _SPIN_CURRENT,
    "parts": _SPIN_CURRENT,
    "sum_of_parts": _SPIN_CURRENT,
    "M_on_moments": _SPIN_CURRENT,
    "longitudinal_resistivity": "Ohm m",
    "transverse_resistivity": "Ohm m",
    "transverse_spin_current": _SPIN_CURRENT,
    "longitudinal_spin_current": _SPIN_CURRENT,
    "absorbed_by_moments": _SPIN_CURRENT,
    "charge_current": "A/m^2",
    "current_density": "A/m^2",
    "charge_current_density": "A/m^2",
    "torque": "J/m^2",
    "voltage": "V",
    "lengths": "m",
    "conductivity": "S/m",
    "longitudinal_conductivity": "S/m",
    "transverse_conductivity": "S/m",
    "sheet_conductance": "S",
    "dos": "1/(J m^3)",
    "diffusion_constant": "m^2/s",
    "precession": "1/s",
    "splitting": "J",
    "exchange_energy": "J",
    "tau_parallel": "s",
    "tau_perpendicular": "s",
    "curie_temperature": "K",
    "conductances": "S/m^2",
    "mean_potential": "meV",
    "spin_density": "1/m^3",
    "areal_spin_density": "1/m^2",
    "damping_like_per_field": "S/m",
    "field_like_per_field": "S/m",
    "frequency": "Hz",
    "angular_frequency": "rad/s",
    "duration": "s",
    "final_torque": "1/s",
    "final_energy": "J/m^3",
}
WALL = "texture.wall"
LOST = f"{WALL}.lost"
"""Whether the wall of a texture left the magnet, so that its other numbers end there."""

_TOTAL_CURRENT = {1: "A/m^2", 2: "A/m", 3: "A"}


@dataclass(frozen=True)
class Column:
    """One column: name, unit (or an empty text), and a number or text per point."""

    name: str
    unit: str
    values: Sequence[Any]

    @property
    def head(self) -> str:
        """Name and unit."""
        return f"{self.name} [{self.unit}]" if self.unit else self.name


def matching(names: Iterable[str], numbers: Mapping[str, float], defaults: bool = False) -> dict[str, float]:
    """Return the numbers of some names; a name also stands for all numbers below it.

    Args:
        names: Dotted names of numbers, vectors or tables.
        numbers: By dotted name.
        defaults: Also currents, torques and efficiencies.
    """
    wanted = set(names)
    heads = tuple(f"{name}." for name in wanted)
    return {
        k: v
        for k, v in numbers.items()
        if k in wanted or k.startswith(heads) or (defaults and _DEFAULT.fullmatch(k))
    }


def column_names(rows: Iterable[Mapping[str, float]]) -> tuple[str, ...]:
    """Return the names of all rows, in the order in which they appear first."""
    return tuple(dict.fromkeys(name for row in rows for name in row))


def unit_of(name: str, dimension: int) -> str:
    """Return the unit of a number of transport or a macrospin, or an empty text where it has none.

    Those of textures carry their own, see `results.number`.

    Args:
        name: Dotted name as in `Solution.values`.
        dimension: Of the mesh.
    """
    parts = name.split(".")
    if parts[0] == "electrodes" and parts[-1] == "current":
        return _TOTAL_CURRENT[dimension]
    if "lengths" in parts[2:3]:
        return _UNITS["lengths"]
    outer = 1 if parts[0] == "frequency" else 0  # here the head names a group
    return next((_UNITS[p] for p in reversed(parts[outer:]) if p in _UNITS), "")


def write_csv(columns: Sequence[Column], file: Path) -> None:
    """Write one row per point; cells without a number are empty."""
    with file.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream)
        writer.writerow(column.head for column in columns)
        for row in zip(*(column.values for column in columns), strict=True):
            writer.writerow(map(_cell, row))


def _cell(value: Any) -> str:
    if isinstance(value, float):
        return "" if math.isnan(value) else repr(value)
    return str(value)


def write_parquet(columns: Sequence[Column], file: Path) -> bool:
    """Write the same table as Parquet, and return whether pyarrow is there to do so."""
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError:
        return False
    arrays = {column.head: pyarrow.array(list(column.values)) for column in columns}
    pyarrow.parquet.write_table(pyarrow.table(arrays), file)
    return True


def write_netcdf(columns: Sequence[Column], file: Path) -> bool:
    """Write the same table as netCDF, and return whether xarray is there to do so."""
    try:
        import xarray
    except ImportError:
        return False
    variables = {
        column.name.replace("/", "_"): (
            "point",
            np.array(column.values),
            {"units": column.unit} if column.unit else {},
        )
        for column in columns
    }
    xarray.Dataset(variables).to_netcdf(file)
    return True
