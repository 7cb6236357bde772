"""What crosses every interface: total, parts, balance; in solver units until `results`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..structure.model import Interface
from ..transport.space import Space
from ..transport.system import TransportState
from .flux import boundary_inflow, face_share, region_residual
from .split import SUBPARTS, region_parts

__all__ = ["InterfaceCurrents", "Share", "interface_currents", "shares"]

Array = NDArray[np.float64]
Indices = NDArray[np.int64]


@dataclass(frozen=True)
class InterfaceCurrents:
    """Currents through one interface per area [1/(nm^2 ps)], positive into its first region.

    Args:
        name: ``first|second``.
        area: Measure of the interface [nm^2, nm or 1].
        flux: Charge and spin flux, shape (4,).
        source: The region whose volume the parts are integrals over, or None where the
            interface has no conducting second region.
        parts: M_relax, M_prec, M, L_diag, L_anti, L, S, A, E, T, B; shape (3,) each;
            and moments, the share of M that is torque on the local moments.
        balance: |sum of parts - spin flux| over the largest part (0 without parts).
    """

    name: str
    area: float
    flux: Array
    source: str | None
    parts: Mapping[str, Array]
    balance: float

    @property
    def total(self) -> Array:
        """Sum of the parts, shape (3,)."""
        return sum((self.parts[k] for k in ("M", "L", "S", "A", "E", "T", "B")), np.zeros(3))


@dataclass(frozen=True)
class Share:
    """How the inflow at the dofs of one region is divided among its faces."""

    region: str
    weights: Mapping[str, Array]


def shares(
    space: Space, conductors: Sequence[str], outer: Mapping[str, tuple[Indices, Indices]]
) -> dict[str, Share]:
    """Return, for every conducting region, the share of each of its faces.

    Args:
        space: The scalar space.
        conductors: Names of the conducting regions.
        outer: Facets and cells of the outer faces through which spin may flow.
    """
    structure = space.structure
    result = {}
    for region in conductors:
        mine = structure.regions.index(region)
        faces: dict[str, tuple[Indices, Indices]] = {}
        for name, face in structure.interfaces.items():
            if region == face.first and (face.second in conductors or name in outer):
                faces[name] = (face.facets, face.cells_first)
            elif region == face.second and face.first in conductors:
                faces[name] = (face.facets, face.cells_second)
        for name, (facets, cells) in outer.items():
            if name in structure.interfaces:
                continue
            here = structure.region_of_cell[cells] == mine
            if here.any():
                faces[name] = (facets[here], cells[here])
        result[region] = Share(region, face_share(space, faces))
    return result


def interface_currents(
    space: Space,
    state: TransportState,
    share: Mapping[str, Share],
    interface: Interface,
    conductors: Sequence[str],
    split: bool = True,
) -> InterfaceCurrents:
    """Return the currents through one interface and their exact decomposition.

    Args:
        space: The scalar space.
        state: Solved transport.
        share: From `shares`.
        interface: The interface.
        conductors: Names of the conducting regions.
        split: Decompose the flux over the volume of the second region.
    """
    area = interface.area
    side = interface.second if interface.second in conductors else interface.first
    sign = -1.0 if side == interface.second else 1.0
    residual = region_residual(space, state, side)
    weights = share[side].weights
    zero = np.zeros(4)
    inflow = {name: boundary_inflow(residual, w) for name, w in weights.items()}
    flux = sign * inflow.get(interface.name, zero) / area
    if side == interface.first or not split:
        return InterfaceCurrents(interface.name, area, flux, None, {}, 0.0)
    cells = region_parts(space, state, side)
    parts = {key: cells[key].sum(axis=0) / area for key in (*SUBPARTS, "moments")}
    others = sum((v for name, v in inflow.items() if name != interface.name), zero)
    full = {
        "M_relax": parts["M_relax"],
        "M_prec": parts["M_prec"],
        "M": parts["M_relax"] + parts["M_prec"],
        "L_diag": parts["L_diag"],
        "L_anti": parts["L_anti"],
        "L": parts["L_diag"] + parts["L_anti"],
        "S": parts["S"],
        "A": parts["A"],
        "E": parts["E"],
        "T": np.zeros(3),
        "B": others[1:] / area,
        "moments": parts["moments"],
    }
    result = InterfaceCurrents(interface.name, area, flux, side, full, 0.0)
    largest = max(float(np.abs(v).max()) for v in (*full.values(), flux[1:]))
    gap = float(np.abs(result.total - flux[1:]).max())
    balance = gap / largest if largest > 0 else 0.0
    return InterfaceCurrents(interface.name, area, flux, side, full, balance)
