"""One interface as a table."""

from __future__ import annotations

from typing import Any

from ...interface.currents import InterfaceCurrents
from ...units import SPIN_CURRENT

__all__ = ["interface_table"]


_PARTS = ("M_relax", "M_prec", "M", "L_diag", "L_anti", "L", "S", "A", "E", "T", "B")


def interface_table(currents: InterfaceCurrents) -> dict[str, Any]:
    """Return one interface: currents in A/m^2, parts, balance."""
    table: dict[str, Any] = {
        "area": currents.area,
        "charge_current": -currents.flux[0] * SPIN_CURRENT,
        "spin_current": currents.flux[1:] * SPIN_CURRENT,
    }
    if currents.source is not None:
        table["split_over"] = currents.source
        table["parts"] = {k: currents.parts[k] * SPIN_CURRENT for k in _PARTS}
        table["M_on_moments"] = currents.parts["moments"] * SPIN_CURRENT
        table["sum_of_parts"] = currents.total * SPIN_CURRENT
        table["balance_residual"] = currents.balance
    return table
