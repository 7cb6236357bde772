"""Conductances of the F regions of a case in all forms."""

from __future__ import annotations

from ..device.model import Device
from ..device.observables.regions import region_thickness
from ..errors import CaseError
from ..fields.validity import ValidityWarning, validity_conditions
from ..interface.closed_forms import spin_orbit_constants
from ..interface.conductance import ConductanceTable, conductance_table

__all__ = ["conductance_tables"]


ConductanceTables = dict[str, tuple[ConductanceTable, tuple[ValidityWarning, ...]]]


def conductance_tables(device: Device) -> ConductanceTables:
    """Return the conductances of every F region of a case, and all conditions of validity.

    Raises:
        CaseError: If no region is of kind F.
    """
    tables: ConductanceTables = {}
    for name, region in device.parameters.items():
        if device.kinds[name] != "F":
            continue
        fields = device.region_fields(name, device.direction)
        thickness = region_thickness(device, name)
        assert thickness is not None
        soc = spin_orbit_constants(region, device.conditions.magnetic_field)
        table = conductance_table(fields, thickness, soc)
        known = {condition.code for condition in table.validity}
        rest = validity_conditions(region, fields, thickness)
        tables[name] = table, (*table.validity, *(c for c in rest if c.code not in known))
    if not tables:
        kinds = ", ".join(f"{n}: {k}" for n, k in device.kinds.items())
        raise CaseError("regions", f'no region of kind "F" has conductances to show (got {kinds})')
    return tables
