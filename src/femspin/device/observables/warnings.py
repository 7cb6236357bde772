"""What a device or its solution should make one doubt, as sentences."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from ...case.schema import Case
from ...fields.build import Conditions, case_conditions
from ...fields.validity import ValidityWarning, validity
from ...materials.parameters import RegionParameters, polarisation_squared
from ...structure.corners import MOST_GRADED
from ...units import E_CHARGE, ENERGY, FLUX, LENGTH, Array
from .input_warnings import Input, coarse_mesh, device_input, doubtful_input, missing_input
from .regions import region_thickness
from .stack import StackSaid

if TYPE_CHECKING:
    from ..model import Device, Transport
__all__ = ["stack_validity", "stack_warnings", "validity_of", "warnings_of"]


def validity_of(device: Device, transport: Transport) -> tuple[ValidityWarning, ...]:
    """Return the conditions of the theory that the regions of a device fail."""
    found: list[ValidityWarning] = []
    for name, f in transport.all_fields.items():
        thickness = region_thickness(device, name) if device.kinds[name] == "F" else None
        found += validity(device.parameters[name], f, thickness)
    return tuple(found)


def warnings_of(
    device: Device, transport: Transport, invalid: Sequence[ValidityWarning] | None = None
) -> list[str]:
    """Return where the theory's own conditions fail, as sentences, and what else makes one doubt.

    Args:
        device: The problem.
        transport: Its solution.
        invalid: From `validity_of`, if it is at hand.
    """
    structure, given = device.structure, device_input(device)
    found = [f"mesh.file: {note}" for note in structure.notes]
    found += [w.sentence for w in (validity_of(device, transport) if invalid is None else invalid)]
    insulated = set(structure.axes) - {structure.axes[row] for row, _ in structure.periods}
    laws = {name: transport.state.laws[name].conductance for name in device.flux_tables}
    found += _drive_warnings(device.case, device.conditions, insulated)
    found += _gain_warnings({name: G * (E_CHARGE**2 * FLUX / ENERGY) for name, G in laws.items()})
    found += _electrode_warnings(device) + _corner_warnings(device)
    return found + coarse_mesh(device) + missing_input(given) + doubtful_input(given)


def stack_validity(said: StackSaid, parameters: Mapping[str, RegionParameters]) -> list[ValidityWarning]:
    """Return the conditions of the theory that the regions of an exact stack fail.

    Args:
        said: What its solution says.
        parameters: Conducting regions by name.
    """
    each = (validity(p, said.fields[n], said.layers.get(n)) for n, p in parameters.items())
    return [warning for found in each for warning in found]


def stack_warnings(
    case: Case,
    said: StackSaid,
    parameters: Mapping[str, RegionParameters],
    invalid: Sequence[ValidityWarning],
) -> list[str]:
    """Return what `warnings_of` finds, of an exact stack that has no mesh.

    Args:
        case: Completed.
        said: What its solution says.
        parameters: Conducting regions by name.
        invalid: What `stack_validity` finds.
    """
    found = [w.sentence for w in invalid]
    found += _drive_warnings(case, case_conditions(case), {2})
    names = {frozenset(i.name.split("|")): i.name for i in said.problem.interfaces}
    laws = said.state.coefficients.laws
    found += _gain_warnings({names.get(frozenset(k.split("|")), k): x.conductance for k, x in laws.items()})
    given = Input(case, parameters, said.fields, said.touching)
    return found + missing_input(given) + doubtful_input(given)


def _corner_warnings(device: Device) -> list[str]:
    """Return the interfaces on which a face with a fixed spin potential ends, if bars miss it.

    What such a face takes up at the common edge is shared with the interface by area, which is
    accurate to first order in the cell size only.  The same holds for a magnet's face whose
    conductance or potential takes up spin.  In a plane the error bars come from a mesh graded to
    such corners and cover it; without one they are half of the error.
    """
    boundary, space = device.problem.boundary, device.space
    next_order = space.size * ((space.order + 1) / space.order) ** 2
    if space.dimension == 2 and next_order <= MOST_GRADED:
        return []
    fixed = {e.name: e.sinks for e in boundary.electrodes if len(e.sinks)}
    fixed |= {p.name: p.dofs for p in boundary.potential}
    absorbing = {f.name for f in boundary.flux} | {p.name for p in boundary.potential}
    return [
        f"interfaces.{name}: {end} fixes the spin potential at its edge; what {end} absorbs there"
        " is shared by area, so the spin current converges slowly, to a few percent on usual meshes,"
        " and its error is up to about twice its error bar"
        for name, face in device.structure.interfaces.items()
        for end, dofs in fixed.items()
        if ({face.first, face.second} <= set(device.conductors) or name in absorbing)
        and name != end
        and np.isin(dofs, space.interface_dofs(face)).any()
    ]


def _drive_warnings(case: Case, conditions: Conditions, insulated: Collection[int]) -> list[str]:
    """Return why nothing, or nothing along some direction, can flow.

    Args:
        case: Completed.
        conditions: Its fields.
        insulated: Axes of the mesh along which it ends at insulating faces.
    """
    found, field = [], conditions.electric_field
    for axis in sorted(insulated):
        if field[axis] != 0:
            found.append(
                f"drive.electric_field: {field[axis]:.3g} V/m drive no current along"
                f" {'xyz'[axis]}, where the device ends at insulating faces; charge builds up"
                " until the field is cancelled; use drive.electrodes, or a periodic direction"
            )
    voltages = {e.voltage for e in case.drive.electrodes.values() if e.voltage is not None}
    currents = [e.current for e in case.drive.electrodes.values() if e.current]
    sources = any(
        t.condition in ("spin_potential", "spin_flux") or t.drift_flux is not None
        for t in case.interfaces.values()
    )
    own = any(r.override is not None and r.override.electric_field is not None for r in case.regions.values())
    if not (np.any(field) or own or len(voltages) > 1 or currents or sources):
        found.append("drive: no field, voltage, current or spin source; everything is zero")
    return found


def _electrode_warnings(device: Device) -> list[str]:
    """Return the electrodes that hold back the spin current of a polarised metal.

    One on another metal does so, too, if spins reach it.
    """
    boundary, space = device.problem.boundary, device.space
    polarised = [n for n in device.conductors if polarisation_squared(device.case.regions[n])]
    return [
        f"drive.electrodes.{e.name}.spin: blocked on the polarised metal {name}; spins gather"
        ' there and add to the resistance; "sink" lets them pass'
        for e in boundary.electrodes
        for name in polarised
        if not len(e.sinks) and np.isin(e.dofs, space.dofs[space.in_region(name)]).any()
    ] + _near_electrodes(device, polarised)


def _near_electrodes(device: Device, polarised: list[str]) -> list[str]:
    """Return the blocked electrodes within a spin diffusion length of a polarised metal."""
    space, found = device.space, []
    at = space.locations
    own = {n: np.unique(space.dofs[space.in_region(n)]) for n in device.conductors}
    for e in device.problem.boundary.electrodes:
        metals = [n for n, dofs in own.items() if np.isin(e.dofs, dofs).any()]
        if len(e.sinks) or set(metals) & set(polarised):
            continue
        reach = max(device.parameters[n].region.spin_diffusion_length or 0.0 for n in metals)
        for name in polarised:
            from scipy.spatial import KDTree  # here: few cases need it

            away = KDTree(at[:, own[name]].T).query(at[:, e.dofs].T)[0].min()
            if away * LENGTH < reach:
                found.append(
                    f"drive.electrodes.{e.name}.spin: blocked {away:.3g} nm from the polarised"
                    f" metal {name}, within the spin diffusion length of {' and '.join(metals)};"
                    ' where spins pass into the contact, set "sink"'
                )
    return found


def _gain_warnings(conductances: Mapping[str, Array]) -> list[str]:
    """Return the faces whose conductance [S/m^2] creates spin instead of absorbing it."""
    found = []
    for name, G in conductances.items():
        gain = np.linalg.eigvalsh(G + G.T).max()
        if gain > 1e-9 * np.abs(G).max() > 0:
            found.append(
                f"interfaces.{name}: the conductance creates spin (G + G^T has a positive"
                f" eigenvalue, {gain:.3g} S/m^2); absorption needs G_s <= 0 and G_s <= G_r"
            )
    return found
