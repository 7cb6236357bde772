"""Tables and CSV files of currents against frequency and time, in SI."""

from __future__ import annotations

import csv
import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from ..interface.currents import InterfaceCurrents
from ..units import SPIN_CURRENT_UNIT
from .observables.quantity import ByName, Measure
from .observables.said import BALANCE, interface_table

__all__ = ["FrequencyResponse", "TransientResponse"]

Currents = Mapping[str, InterfaceCurrents]

_UNIT = f"[{SPIN_CURRENT_UNIT}]"
_FREQUENCY = Measure("Hz", "frequency", listed=True)


@dataclass(frozen=True)
class FrequencyResponse:
    """Complex amplitudes of exp(+iWt) for sources of real amplitude.

    Args:
        angular_frequencies: W [rad/s], shape (n,).
        interfaces: Currents by interface name at each frequency.
        dimension: Of the device.
    """

    angular_frequencies: tuple[float, ...]
    interfaces: tuple[Currents, ...]
    dimension: int
    key = "frequency"

    @property
    def table(self) -> dict[str, Any]:
        """What `result.json` holds, by position in the case's list; amplitudes as re and im."""
        return {
            str(k): {
                "frequency": _FREQUENCY(w / (2 * math.pi)),
                "angular_frequency": Measure("rad/s", "angular frequency")(w),
                "interfaces": ByName(
                    (n, _re_im(interface_table(i, self.dimension), f"of {w / (2e9 * math.pi):.6g} GHz"))
                    for n, i in currents.items()
                ),
            }
            for k, (w, currents) in enumerate(zip(self.angular_frequencies, self.interfaces, strict=True))
        }

    def write_csv(self, file: Path) -> None:
        """Write one row per frequency, interface and part."""
        header = ["frequency [Hz]", "interface", "part"]
        header += [f"{c} J^{a} {_UNIT}" for c in ("re", "im") for a in "xyz"]
        with file.open("w", newline="", encoding="utf-8") as stream:
            writer = csv.writer(stream)
            writer.writerow(header)
            for w, currents in zip(self.angular_frequencies, self.interfaces, strict=True):
                for name, part, value in _rows(currents, self.dimension):
                    numbers = [*value.real.tolist(), *value.imag.tolist()]
                    writer.writerow([repr(w / (2 * math.pi)), name, part, *map(repr, numbers)])


@dataclass(frozen=True)
class TransientResponse:
    """Currents in time.

    Args:
        times: [s], shape (n,).
        drives: Scale of the sources at each time.
        interfaces: Currents by interface name at each time.
        dimension: Of the device.
        ends: Of the accepted steps [s].
        rejected: Steps repeated with a smaller one.
        factorisations: Matrices factorised.
    """

    times: tuple[float, ...]
    drives: tuple[float, ...]
    interfaces: tuple[Currents, ...]
    dimension: int
    ends: tuple[float, ...]
    rejected: int
    factorisations: int
    key = "transient"

    @property
    def table(self) -> dict[str, Any]:
        """What `result.json` holds: the final currents and facts; the history is in the CSV."""
        balances = [i.balance for currents in self.interfaces for i in currents.values()]
        return {
            "duration": Measure("s", "duration")(self.times[-1]),
            "outputs": len(self.times),
            "final": ByName(
                (n, _re_im(interface_table(i, self.dimension), "in the end"))
                for n, i in self.interfaces[-1].items()
            ),
            "largest_balance_residual": BALANCE(max(balances, default=0.0)),
            "steps": len(self.ends),
            "rejected_steps": self.rejected,
            "factorisations": self.factorisations,
        }

    def write_csv(self, file: Path) -> None:
        """Write one row per time, interface and part."""
        header = ["time [s]", "drive", "interface", "part", *(f"J^{a} {_UNIT}" for a in "xyz")]
        with file.open("w", newline="", encoding="utf-8") as stream:
            writer = csv.writer(stream)
            writer.writerow(header)
            for t, drive, currents in zip(self.times, self.drives, self.interfaces, strict=True):
                for name, part, value in _rows(currents, self.dimension):
                    numbers = map(repr, value.tolist())
                    writer.writerow([repr(t), repr(drive), name, part, *numbers])


def _rows(currents: Currents, dimension: int) -> list[tuple[str, str, Any]]:
    """Return interface, part and spin current [A/m^2] of everything at one instant."""
    rows: list[tuple[str, str, Any]] = []
    for name, i in currents.items():
        table = interface_table(i, dimension)
        rows.append((name, "total", table["spin_current"]))
        rows += [(name, part, value) for part, value in table.get("parts", {}).items()]
    return rows


def _re_im(value: Any, when: str) -> Any:
    """Return a table whose labels say when, with complex numbers as tables of re and im."""
    if isinstance(value, dict):
        return {k: _re_im(v, when) for k, v in value.items()}
    measure: Measure | None = getattr(value, "measure", None)
    if measure is None:
        return value
    label = measure.label if "{}" in measure.label else measure.label + "{}"
    measure = replace(measure, label=f"{label} {when}")
    if not np.iscomplexobj(value):
        return measure(value)
    plain = np.asarray(value)
    return {
        key: replace(measure, label=f"{key} {measure.label}")(part if part.ndim else float(part))
        for key, part in (("re", plain.real), ("im", plain.imag))
    }
