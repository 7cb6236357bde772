"""What crosses every interface: total, parts, balance; in solver units until `results`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import scipy.sparse as sp

from ..dual import value_of
from ..errors import SolverError
from ..structure.model import Interface
from ..transport.assembly.boundary import ContactFace, contact_terms
from ..transport.assembly.coefficients import Coefficients
from ..transport.elements.space import Space, outer_cells
from ..transport.harmonic import HarmonicState
from ..transport.storage import region_inflow
from ..transport.system import TransportState
from ..units import AnyArray, Indices
from .flux import boundary_inflow, face_share
from .split import SPLIT, CellIntegrals, cell_integrals, cell_parts, stored_spin

if TYPE_CHECKING:
    pass

__all__ = [
    "NOTHING",
    "InterfaceCurrents",
    "Share",
    "balanced",
    "exchange",
    "face_mean",
    "face_source",
    "fed_in",
    "interface_currents",
    "outer_currents",
    "outer_faces",
    "over_pairs",
    "require_balance",
    "require_balanced",
    "shares",
]


# A flux of 1e-14 A/m^2 is no flux: the balance of nothing is not judged.
NOTHING = 1e-25
# Of the largest part: a defect that is an error.
_UNBALANCED = 1e-6
# Of what the potentials of a device could drive across it: fluxes that are round-off.
_ROUND_OFF = 1e-10


@dataclass(frozen=True)
class InterfaceCurrents:
    """Currents through one interface per area [1/(nm^2 ps)], positive into its first region.

    Through an outer face they are positive into the device, and its parts are what becomes of
    them in the region there.  Complex amplitudes if they come from a harmonic state.

    Args:
        name: ``first|second``, or the name of an outer face.
        area: Measure of the interface [nm^2, nm or 1].
        flux: Charge and spin flux, shape (4,).
        source: The region whose volume the parts are integrals over, or None where the
            interface has no conducting second region; of an outer face its F, if that is all
            it belongs to.
        parts: M_relax, M_prec, M, L_diag, L_anti, L, S, A, E, T, B; shape (3,) each;
            and moments, the share of M that is torque on the local moments.
        balance: |sum of parts - spin flux| over the largest part (0 without parts).
    """

    name: str
    area: float
    flux: AnyArray
    source: str | None
    parts: Mapping[str, AnyArray]
    balance: float

    @property
    def total(self) -> AnyArray:
        """Sum of the parts, shape (3,)."""
        return sum((self.parts[k] for k in ("M", "L", "S", "A", "E", "T", "B")), np.zeros(3))


@dataclass(frozen=True)
class Share:
    """How the inflow at the dofs of one region is divided among its faces.

    Args:
        region: The region.
        weights: By face, its share of the spin inflow of each dof, shape (n_dofs,).
        electrode: The region's share of the charge that electrodes feed in at each dof.
        joined: Pairs of dofs, shape (2, n) each, that have one mu^0 on two sides of a contact.
        contacts: From `exchange`, if regions meet at contacts.
    """

    region: str
    weights: Mapping[str, AnyArray]
    electrode: AnyArray
    joined: Sequence[Indices] = ()
    contacts: sp.csr_array | None = None


def shares(
    space: Space,
    conductors: Sequence[str],
    outer: Mapping[str, tuple[Indices, Indices]],
    electrodes: Sequence[tuple[Indices, Indices]] = (),
    joined: Sequence[Indices] = (),
    contacts: Sequence[ContactFace] = (),
) -> dict[str, Share]:
    """Return, for every conducting region, the share of each of its faces.

    Args:
        space: The scalar space.
        conductors: Names of the conducting regions.
        outer: Facets and cells of the outer faces through which spin may flow.
        electrodes: Facets and cells of the electrodes.
        joined: Pairs of dofs with one mu^0 on two sides of a contact.
        contacts: Contacts between regions.
    """
    structure = space.structure
    exchanged = exchange(space, contacts)
    fed = _electrode_shares(space, conductors, electrodes, joined)
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
        result[region] = Share(region, face_share(space, faces), fed[region], joined, exchanged)
    return result


def exchange(space: Space, contacts: Sequence[ContactFace]) -> sp.csr_array | None:
    """Return what takes mu to the outflow of every dof through contacts, (4 n_dofs, 4 n_dofs)."""
    if not contacts:
        return None
    total = sp.csr_array((space.size, space.size))
    for face in contacts:
        total = sp.csr_array(total + contact_terms(face))
    return total


def _electrode_shares(
    space: Space,
    conductors: Sequence[str],
    electrodes: Sequence[tuple[Indices, Indices]],
    joined: Sequence[Indices],
) -> dict[str, AnyArray]:
    """Return, by region, its share of an electrode's current at each dof, by facet mass."""
    masses = {name: np.zeros(space.n_dofs) for name in conductors}
    for facets, cells in electrodes:
        for name in conductors:
            mine = space.structure.region_of_cell[cells] == space.structure.regions.index(name)
            if mine.any():
                masses[name] += space.facet_mass(facets[mine], cells[mine])[0].diagonal()
    total = over_pairs(sum(masses.values(), np.zeros(space.n_dofs)), joined)
    return {name: m / np.where(total > 0, total, 1.0) for name, m in masses.items()}


def over_pairs(values: AnyArray, joined: Sequence[Indices]) -> AnyArray:
    """Return dof values with those of joined dofs replaced by their sum."""
    result = values.copy()
    for a, b in joined:
        result[a] = result[b] = values[a] + values[b]
    return result


def fed_in(
    space: Space, state: TransportState | HarmonicState, share: Share, mu_dot: AnyArray | None = None
) -> AnyArray:
    """Return what electrodes feed into a region at every dof, shape (n_dofs,).

    The inflow of all regions together is the electrodes' current.

    Args:
        space: The scalar space.
        state: Solved transport.
        share: Of the region.
        mu_dot: d_t mu [meV/ps], shape (n_dofs, 4), if it changes.
    """
    fed = np.zeros_like(state.mu[:, 0])
    for name, c in state.coefficients.items():
        fed += region_inflow(space, name, c, state.mu, state.mu_low, mu_dot)[:, 0]
    if share.contacts is not None:  # what passes a contact is not fed in either
        fed += (share.contacts @ (state.mu + state.mu_low).ravel())[::4]
    found: AnyArray = share.electrode * over_pairs(fed, share.joined)
    return found


def interface_currents(
    space: Space,
    state: TransportState | HarmonicState,
    share: Mapping[str, Share],
    interface: Interface,
    conductors: Sequence[str],
    split: bool = True,
    mu_dot: AnyArray | None = None,
) -> InterfaceCurrents:
    """Return the currents through one interface and their exact decomposition.

    The sum of parts equals the flux for the mu_dot with which the state solves W1: none for a
    steady state, iW mu for a harmonic one, the quotient of the time scheme for a moving one.

    Args:
        space: The scalar space.
        state: Solved transport; of a harmonic state all currents are complex amplitudes.
        share: From `shares`.
        interface: The interface.
        conductors: Names of the conducting regions.
        split: Decompose the flux over the volume of the second region.
        mu_dot: d_t mu of the state [meV/ps], shape (n_dofs, 4); default that of the state.
    """
    if mu_dot is None and isinstance(state, HarmonicState):
        mu_dot = state.mu_dot
    area = interface.area
    side = interface.second if interface.second in conductors else interface.first
    sign = -1.0 if side == interface.second else 1.0
    residual = region_inflow(space, side, state.coefficients[side], state.mu, state.mu_low, mu_dot)
    weights = share[side].weights
    own = share[side].electrode
    if interface.name in weights and np.any(own[weights[interface.name] > 0]):
        # Where an electrode ends on the interface, what it feeds in is not the interface's.
        residual[:, 0] -= fed_in(space, state, share[side], mu_dot)
    zero = np.zeros(4)
    inflow = {name: boundary_inflow(residual, w) for name, w in weights.items()}
    flux = sign * inflow.get(interface.name, zero) / area
    if side == interface.first or not split:
        return InterfaceCurrents(interface.name, area, flux, None, {}, 0.0)
    parts, noise = _region_sums(space, state, side, mu_dot)
    others = sum((v for name, v in inflow.items() if name != interface.name), zero)
    scaled = {key: value / area for key, value in (parts | {"B": others[1:]}).items()}
    return balanced(interface.name, area, flux, side, scaled, noise)


def _region_sums(
    space: Space, state: TransportState | HarmonicState, region: str, mu_dot: AnyArray | None
) -> tuple[dict[str, AnyArray], float]:
    """Return all parts of a region but B, of its whole volume, and the noise of `balanced`."""
    c = state.coefficients[region]
    cells = cell_parts(space, c, state.mu, region)
    parts = {key: cells[key].sum(axis=0) for key in SPLIT}
    stored = np.zeros(3)
    if mu_dot is not None:
        stored = stored_spin(space, c, mu_dot, region).sum(axis=0)
    parts["T"] = -stored
    return parts, _noise(c, cell_integrals(space, c, state.mu, region))


def outer_faces(space: Space, share: Mapping[str, Share]) -> dict[str, tuple[str, ...]]:
    """Return the outer faces through which spin may flow, with the regions that end there."""
    found: dict[str, tuple[str, ...]] = {}
    for region, own in share.items():
        for name in own.weights:
            if name not in space.structure.interfaces:
                found[name] = (*found.get(name, ()), region)
    return found


def face_source(regions: Sequence[str], kinds: Mapping[str, str]) -> str | None:
    """Return the region over which the current through an outer face is split, or None."""
    return regions[0] if len(regions) == 1 and kinds[regions[0]] == "F" else None


def outer_currents(
    space: Space,
    state: TransportState | HarmonicState,
    share: Mapping[str, Share],
    name: str,
    source: str | None = None,
    electrode: bool = False,
    mu_dot: AnyArray | None = None,
) -> InterfaceCurrents:
    """Return the currents into the device through one outer face.

    Args:
        space: The scalar space.
        state: Solved transport, as for `interface_currents`.
        share: From `shares`.
        name: The face.
        source: The region whose volume the current is split over, if any.
        electrode: Whether the face feeds in charge.
        mu_dot: As for `interface_currents`.
    """
    if mu_dot is None and isinstance(state, HarmonicState):
        mu_dot = state.mu_dot
    area = float(space.structure.facet_measures(space.structure.faces[name]).sum())
    inflow, others = np.zeros(4), np.zeros(4)
    for region in outer_faces(space, share)[name]:
        own = share[region]
        c = state.coefficients[region]
        residual = region_inflow(space, region, c, state.mu, state.mu_low, mu_dot)
        here = own.weights[name]
        if np.any(own.electrode[here > 0]):
            fed = fed_in(space, state, own, mu_dot)
            residual[:, 0] -= fed
            inflow = inflow + np.array([electrode * fed[here > 0].sum(), 0, 0, 0])
        inflow = inflow + boundary_inflow(residual, here)
        rest = (boundary_inflow(residual, w) for key, w in own.weights.items() if key != name)
        others = others + sum(rest, np.zeros(4))
    if source is None:
        return InterfaceCurrents(name, area, inflow / area, None, {}, 0.0)
    parts, noise = _region_sums(space, state, source, mu_dot)
    scaled = {key: -value / area for key, value in (parts | {"B": others[1:]}).items()}
    return balanced(name, area, inflow / area, source, scaled, noise)


def balanced(
    name: str, area: float, flux: AnyArray, source: str, parts: Mapping[str, AnyArray], noise: float = 0.0
) -> InterfaceCurrents:
    """Return the currents of an interface with M and L added up and the balance taken.

    Args:
        name: ``first|second``.
        area: Measure of the interface.
        flux: Charge and spin flux, shape (4,).
        source: The region the parts belong to.
        parts: Sub-parts, S, A, E, T, B and moments, shape (3,) each.
        noise: Size below which spin fluxes are round-off; the balance is relative to at least it.
    """
    full = {
        "M_relax": parts["M_relax"],
        "M_prec": parts["M_prec"],
        "M": parts["M_relax"] + parts["M_prec"],
        "L_diag": parts["L_diag"],
        "L_anti": parts["L_anti"],
        "L": parts["L_diag"] + parts["L_anti"],
        **{key: parts[key] for key in ("S", "A", "E", "T", "B", "moments")},
    }
    result = InterfaceCurrents(name, area, flux, source, full, 0.0)
    largest = max(float(np.abs(value_of(v)).max()) for v in (*full.values(), flux[1:]))
    gap = float(np.abs(value_of(result.total - flux[1:])).max())
    scale = max(largest, noise, NOTHING)
    return replace(result, balance=gap / scale if scale > 0 else 0.0)


def require_balance(
    space: Space,
    state: TransportState | HarmonicState,
    interfaces: Mapping[str, InterfaceCurrents],
    when: str = "",
) -> None:
    """Refuse currents whose parts do not add up to them.

    They do on every mesh, whatever its size: if not, the mesh or the solution is damaged.

    Args:
        space: The scalar space.
        state: Where the currents come from.
        interfaces: By name.
        when: Words on the frequency or time.

    Raises:
        SolverError: With the interface.
    """
    extent = float(np.ptp(space.structure.mesh.p, axis=1).max())
    sizes = [
        c.dos * c.diffusion * float(np.abs(state.mu[space.dofs[space.in_region(name)]]).max())
        for name, c in state.coefficients.items()
    ]
    require_balanced(interfaces, max(sizes, default=0.0) / extent, when)


def require_balanced(interfaces: Mapping[str, InterfaceCurrents], largest: float, when: str = "") -> None:
    """Refuse currents whose parts do not add up to them, see `require_balance`.

    Args:
        interfaces: By name.
        largest: Flux that the potentials of the device could drive across it [1/(nm^2 ps)].
        when: Words on the frequency or time.

    Raises:
        SolverError: With the interface.
    """
    noise = _ROUND_OFF * largest
    for name, i in interfaces.items():
        if i.balance <= _UNBALANCED:
            continue
        if float(np.abs(i.total - i.flux[1:]).max()) > noise:
            raise SolverError(
                f"the parts of the spin current at {name} miss it by {i.balance:.1e} of the"
                f" largest{when} (allowed {_UNBALANCED:.0e}): cells of the mesh overlap, or the"
                " solution is not converged (lower solver.tolerance)"
            )


def _noise(c: Coefficients, integrals: CellIntegrals) -> float:
    """Return the spin flux that is round-off of the charge flux, per area."""
    slope = np.abs(integrals.gradient[:, :, 0]) / integrals.measure[:, None]
    charge = np.abs(c.drift[..., 0]).max() + c.dos * c.diffusion * slope.max(initial=0.0)
    return 1e-10 * float(charge)


def face_mean(space: Space, mu: AnyArray, face: str) -> tuple[float, AnyArray]:
    """Return the area of an interface or outer face and the mean of mu over it, shape (4,)."""
    facets = _facets(space, face)
    measures = space.structure.facet_measures(facets)
    area = float(measures.sum())
    return area, measures @ space.facet_means(facets, outer_cells(space, facets), mu) / area


def _facets(space: Space, face: str) -> Indices:
    interfaces = space.structure.interfaces
    return interfaces[face].facets if face in interfaces else space.structure.faces[face]
