r"""Exact spin transport through laterally uniform multilayers.

Every layer is uniform, so the transport equations are ordinary differential equations in z
with constant coefficients; `femspin.transport.layers.slab` tells how they are integrated.  Potentials
and fluxes are continuous from layer to layer, or jump at a contact conductance;
:math:`J^{z0}` is the same everywhere and :math:`\mu^0 = 0` at the very top.

Fluxes count particles and are positive along +z.  With an angular frequency all results are
complex amplitudes of :math:`e^{iWt}`; the charge follows without delay.

A case with dual numbers in it (`femspin.dual`) has a solution with dual numbers, exact to
round-off: its changes are those at interfaces that move with the layers, not at a fixed z.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from ...errors import SolverError
from ...units import E_CHARGE, ENERGY, AnyArray
from .balance import FluxSplit, layer_sources
from .batch import contact_batch, face_batch
from .case import Conductance, Contact, Face, Insulating, SpinFlux, SpinPotential, StackCase, StackLayer
from .columns import Columns, LayerSystem, solve_columns
from .slab import local_laws
from .states import LayerStates

__all__ = [
    "Conductance",
    "Contact",
    "Face",
    "Insulating",
    "SpinFlux",
    "SpinPotential",
    "StackCase",
    "StackLayer",
    "StackSolution",
    "admittance",
    "admittance_parts",
    "solve_stack",
]

INSULATING = Insulating()


@dataclass(frozen=True)
class StackSolution(LayerStates):
    """Potentials and fluxes in one stack: `LayerStates` without further axes.

    Args:
        case: What was solved.
    """

    case: StackCase

    @property
    def _given(self) -> StackCase:
        return self.case

    def _state(self, z: ArrayLike, side: int) -> AnyArray:
        z, edges = np.asarray(z, float), self.case.interfaces
        found = self._between((), z.ravel(), side, np.broadcast_to(edges, (z.size, len(edges))))
        return found.reshape(*z.shape, 8)


def solve_stack(case: StackCase) -> StackSolution:
    """Return the exact potentials and fluxes of a stack.

    Raises:
        SolverError: If the spin potential is not determined, or continuity is missed.
    """
    found = _columns(case)
    lower, upper, integral = found.lower[..., 0], found.upper[..., 0], found.integral[..., 0]
    return StackSolution(lower, upper, integral, found.operators, float(found.mismatch), case)


def _columns(case: StackCase, probe: bool = False) -> Columns:
    """Return the states in a stack, and with `probe` the answers to drives of its top face."""
    system = LayerSystem(
        local_laws(case.fields, case.frequency),
        case.thickness,
        case.charge_flux,
        face_batch([case.bottom], 1),
        face_batch([case.top], -1),
        {k: contact_batch([contact]) for k, contact in sorted(case.contacts.items())},
    )
    found = solve_columns(system, probe)
    for reason in found.errors.values():
        raise SolverError(reason)
    return found


def admittance(
    layers: Sequence[StackLayer],
    bottom: Face = INSULATING,
    contacts: Mapping[int, Contact] | None = None,
    frequency: float = 0.0,
) -> tuple[AnyArray, AnyArray]:
    """Return G and J_E of the flux out of the top of a stack, J^{za} = G_ab mu^b/e^2 + J_E^a.

    Args:
        layers: From bottom to top.
        bottom: Condition on the bottom face.
        contacts: Contact conductances as in `StackCase`.
        frequency: Angular frequency W [rad/s].

    Returns:
        G [S/m^2], shape (3, 3), and J_E [1/(m^2 s)], shape (3,); both can be given as they are
        to `Conductance` for the bottom face of a stack above.
    """
    case = StackCase(layers, bottom, SpinPotential((0, 0, 0)), contacts or {}, frequency)
    flux = _columns(case, probe=True).upper[-1, 5:]
    return flux[:, 1:] * (E_CHARGE**2 / ENERGY), flux[:, 0]


def admittance_parts(
    layer: StackLayer, bottom: Face = INSULATING, frequency: float = 0.0
) -> tuple[FluxSplit, FluxSplit]:
    """Return the split of `admittance` of a single layer, part by part.

    Returns:
        The parts of G [S/m^2], shape (3, 3) each, and of J_E [1/(m^2 s)], shape (3,) each.
    """
    case = StackCase((layer,), bottom, SpinPotential((0, 0, 0)), frequency=frequency)
    found = _columns(case, probe=True)
    lower, upper, integral = (x[0].T for x in (found.lower, found.upper, found.integral))
    parts = layer_sources(
        layer.fields,
        layer.thickness,
        integral[:, 1:4],
        upper[:, :4] - lower[:, :4],
        lower[:, 5:],
        frequency,
        found.drive,
    ).parts()
    scale = E_CHARGE**2 / ENERGY
    return (
        FluxSplit(**{name: scale * part[1:].T for name, part in parts.items()}),
        FluxSplit(**{name: part[0] for name, part in parts.items()}),
    )
