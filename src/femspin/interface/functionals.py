"""Reported currents as linear functionals of the potentials: what an adjoint solve starts from.

Every current, part and voltage that a result reports is affine in mu.  Here are the weights of
mu in it, under the name and in the SI unit of the result.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import scipy.sparse as sp

from ..structure.model import Interface
from ..transport.assembly.boundary import ElectrodeFace
from ..transport.assembly.regions import Blocks, block_matrix
from ..transport.elements.space import Space
from ..transport.system import TransportState
from ..units import E_CHARGE, ENERGY, LENGTH, SPIN_CURRENT, TIME, Array
from .currents import Share, over_pairs
from .split import SPLIT, flux_functionals, part_functionals

if TYPE_CHECKING:
    from ..transport.assembly.coefficients import Coefficients

__all__ = [
    "Functional",
    "current_functionals",
    "electrode_functionals",
    "interface_functionals",
    "outer_functionals",
]


@dataclass(frozen=True)
class Functional:
    """One output that is affine in mu.

    Args:
        path: Where the result holds it, e.g. ``interfaces.Pt|F.parts.M_relax.y``.
        weights: Its derivative by mu [output/meV], shape (n_dofs, 4).
    """

    path: str
    weights: Array


def interface_functionals(
    space: Space,
    state: TransportState,
    share: Mapping[str, Share],
    interface: Interface,
    conductors: Sequence[str],
    split: bool = True,
) -> list[Functional]:
    """Return the functionals of one interface: fluxes, parts and B, as `interface_currents` has.

    Args:
        space: The scalar space.
        state: Solved transport; its blocks are used.
        share: From `shares`.
        interface: The interface.
        conductors: Names of the conducting regions.
        split: Also the parts over the volume of the second region.
    """
    side = interface.second if interface.second in conductors else interface.first
    sign = -1.0 if side == interface.second else 1.0
    pulled = _InflowWeights(space, state, share[side], side)
    base, area = f"interfaces.{interface.name}", interface.area
    empty = np.zeros(space.n_dofs)
    own = share[side].weights.get(interface.name, empty)
    unit = SPIN_CURRENT / area
    found = [Functional(f"{base}.charge_current", -sign * unit * pulled.weights(own, 0))]
    for a, axis in enumerate("xyz", 1):
        weights = sign * unit * pulled.weights(own, a)
        found.append(Functional(f"{base}.spin_current.{axis}", weights))
    if side == interface.first or not split:
        return found
    others = sum((w for n, w in share[side].weights.items() if n != interface.name), empty)
    for a, axis in enumerate("xyz", 1):
        found.append(Functional(f"{base}.parts.B.{axis}", unit * pulled.weights(others, a)))
    return found + _split_functionals(space, state, side, base, unit)


def outer_functionals(
    space: Space,
    state: TransportState,
    share: Mapping[str, Share],
    name: str,
    regions: Sequence[str],
    source: str | None = None,
) -> list[Functional]:
    """Return the functionals of the spin currents into an outer face, as `outer_currents` has.

    Args:
        space: The scalar space.
        state: Solved transport; its blocks are used.
        share: From `shares`.
        name: The face.
        regions: Regions that end there.
        source: The region whose volume the current is split over, if any.
    """
    area = float(space.structure.facet_measures(space.structure.faces[name]).sum())
    unit, base = SPIN_CURRENT / area, f"interfaces.{name}"
    total, others = np.zeros((2, 3, space.n_dofs, 4))
    for region in regions:
        pulled = _InflowWeights(space, state, share[region], region)
        weights = share[region].weights
        rest = sum((w for n, w in weights.items() if n != name), np.zeros(space.n_dofs))
        for a in range(3):
            total[a] += unit * pulled.weights(weights[name], a + 1)
            others[a] += unit * pulled.weights(rest, a + 1)
    found = [Functional(f"{base}.spin_current.{x}", w) for x, w in zip("xyz", total, strict=True)]
    if source is None:
        return found
    found += [Functional(f"{base}.parts.B.{x}", -w) for x, w in zip("xyz", others, strict=True)]
    return found + _split_functionals(space, state, source, base, -unit)


def _split_functionals(
    space: Space, state: TransportState, side: str, base: str, unit: float
) -> list[Functional]:
    """Return the functionals of the parts over the volume of a region, all but B."""
    parts = unit * part_weights(space, state.coefficients[side], side)
    by_name = {f"parts.{part}": parts[..., k, :] for k, part in enumerate(SPLIT)}
    by_name["M_on_moments"] = by_name.pop("parts.moments")
    for whole, halves in (("M", ("M_relax", "M_prec")), ("L", ("L_diag", "L_anti"))):
        by_name[f"parts.{whole}"] = by_name[f"parts.{halves[0]}"] + by_name[f"parts.{halves[1]}"]
    return [
        Functional(f"{base}.{key}.{axis}", weights[..., a])
        for key, weights in by_name.items()
        for a, axis in enumerate("xyz")
    ]


class _InflowWeights:
    """Turns weights of the inflow at the dofs of a region into weights of mu."""

    def __init__(self, space: Space, state: TransportState, share: Share, side: str) -> None:
        self.share = share
        self.region = _matrix(space, state.blocks[side]).T
        everything = sp.csr_array(block_matrix(space, state.blocks))
        if share.contacts is not None:
            everything = sp.csr_array(everything + share.contacts)
        self.whole = everything.T if np.any(share.electrode) else None

    def weights(self, inflow: Array, eta: int) -> Array:
        """Return the weights of mu in sum_i inflow_i r_i^eta, shape (n_dofs, 4)."""
        full = np.zeros((len(inflow), 4))
        full[:, eta] = inflow
        found: Array = self.region @ full.ravel()
        if eta == 0 and self.whole is not None and np.any(self.share.electrode[inflow > 0]):
            # What an electrode feeds in at these dofs is taken off; see `interface_currents`.
            full[:, 0] = over_pairs(self.share.electrode * inflow, self.share.joined)
            found = found - self.whole @ full.ravel()
        return found.reshape(-1, 4)


def _matrix(space: Space, blocks: Blocks) -> sp.csr_array:
    return sp.csr_array(block_matrix(space, {"": blocks}))


def part_weights(space: Space, c: Coefficients, region: str) -> Array:
    """Return the weights of mu in the parts of a whole region, shape (n_dofs, 4, 8, 3)."""
    total = np.zeros((space.n_dofs, 4, len(SPLIT), 3))
    for cells, weights in part_functionals(space, c, region):
        np.add.at(total, space.dofs[cells], weights)
    return total


def current_functionals(space: Space, state: TransportState, region: str) -> list[Functional]:
    """Return the functionals of the mean charge current density of a region [A/m^2]."""
    c = state.coefficients[region]
    total = np.zeros((space.n_dofs, 4, 3))
    for cells, weights in flux_functionals(space, c, region):
        np.add.at(total, space.dofs[cells], weights[:, :, :, :, 0])
    volume = space.measure(space.in_region(region))
    return [
        Functional(f"charge_current_density.{region}.{axis}", -SPIN_CURRENT / volume * total[..., j])
        for j, axis in enumerate("xyz")
    ]


def electrode_functionals(
    space: Space,
    state: TransportState,
    electrodes: Sequence[ElectrodeFace],
    traces: Mapping[str, Array] | None = None,
    contacts: sp.csr_array | None = None,
) -> list[Functional]:
    """Return the functionals of the voltage [V] and current of every electrode.

    Args:
        space: The scalar space.
        state: Solved transport; its blocks are used.
        electrodes: The electrodes.
        traces: Scalar weights of every dof in the current of an electrode, shape (n_dofs,), by
            name; default one at its dofs.
        contacts: What passes contacts, from `exchange`.
    """
    if not electrodes:
        return []
    everything = sp.csr_array(block_matrix(space, state.blocks))
    if contacts is not None:
        everything = sp.csr_array(everything + contacts)
    whole = everything.T
    per_current = -E_CHARGE / TIME / LENGTH ** (3 - space.dimension)
    found = []
    for face in electrodes:
        at = np.zeros((space.n_dofs, 4))
        at[face.dofs[0], 0] = -ENERGY / (2 * E_CHARGE)
        found.append(Functional(f"electrodes.{face.name}.voltage", at))
        fed = np.zeros((space.n_dofs, 4))
        if traces is None:
            fed[face.dofs, 0] = per_current
        else:
            fed[:, 0] = per_current * traces[face.name]
        inflow = (whole @ fed.ravel()).reshape(-1, 4)
        found.append(Functional(f"electrodes.{face.name}.current", inflow))
    return found
