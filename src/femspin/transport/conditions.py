"""The conditions a case sets on interfaces, faces and electrodes, on a given mesh."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field

import numpy as np

from ..case.schema import Case, Electrode
from ..case.schema import Interface as InterfaceTable
from ..dual import stacked
from ..errors import CaseError, MeshError, closest
from ..structure.interfaces import find_interface
from ..structure.model import Interface, Structure
from ..units import E_CHARGE, ENERGY, FLUX, TIME, Array, Indices
from .assembly.boundary import (
    Boundary,
    ContactFace,
    ElectrodeFace,
    FluxFace,
    FluxLaw,
    PotentialFace,
    flux_law,
    mixing_conductance,
)
from .elements.space import Space, outer_cells

__all__ = [
    "CaseConditions",
    "build_boundary",
    "contact_conductances",
    "contact_names",
    "table_law",
    "table_response",
]


def table_law(table: InterfaceTable, m: Array) -> FluxLaw:
    """Return the flux law of an [interfaces] table for the magnetization `m`."""
    return flux_law(*table_response(table, m))


def table_response(table: InterfaceTable, m: Array) -> tuple[Array, Array]:
    """Return G [S/m^2] and J_E [1/(m^2 s)] of an [interfaces] table for `m`."""
    if table.condition == "spin_flux":
        return np.zeros((3, 3)), stacked(table.spin_flux or [])
    if table.conductance is not None:
        tensor = stacked(table.conductance)
    else:
        tensor = mixing_conductance(table.G_s or 0.0, table.G_r or 0.0, table.G_i or 0.0, m)
    return tensor, stacked(table.drift_flux or [0.0, 0.0, 0.0])


@dataclass(frozen=True)
class CaseConditions:
    """The conditions of a case on a mesh.

    Args:
        boundary: Conditions in solver units.
        tables: Case tables of the faces with a flux law.
        outer: Facets and cells of all faces that spin may cross.
        electrodes: Facets and cells of the electrodes.
        tables_of_electrodes: Case tables of the electrodes, what passes them written out.
    """

    boundary: Boundary
    tables: dict[str, InterfaceTable]
    outer: dict[str, tuple[Indices, Indices]]
    electrodes: tuple[tuple[Indices, Indices], ...]
    tables_of_electrodes: dict[str, Electrode]

    @property
    def joined(self) -> tuple[Indices, ...]:
        """Pairs of dofs with one mu^0 on the two sides of a contact, shape (2, n) each."""
        return tuple(c.pairs for c in self.boundary.contacts if c.charge_joined)


def build_boundary(
    case: Case,
    space: Space,
    conductors: tuple[str, ...],
    replaced: Sequence[str] = (),
    polarised: Collection[str] = (),
) -> CaseConditions:
    """Return the conditions of a case on a mesh.

    Args:
        case: The case, without its reduced layers.
        space: The scalar space.
        conductors: Names of the conducting regions.
        replaced: Faces that stand for reduced layers; they get a flux law from elsewhere.
        polarised: Conductors with a polarisation; electrodes on them are spin sinks by default.

    Raises:
        CaseError: If a condition does not fit the face it is set on.
    """
    faces = _Faces(space, conductors)
    for key, table in case.interfaces.items():
        faces.add_interface(key, table)
    for key in replaced:
        faces.add_replaced(key)
    contacts, fed, said = [], [], {}
    inside = space.structure.cells(*(n for n in conductors if n in polarised))
    for key, electrode in case.drive.electrodes.items():
        path = f"drive.electrodes.{key}"
        name, facets, cells = _face(space, key, path, conductors, "electrode")
        # Between top and bottom of a stack the current crosses every layer.
        crossed = case.structure is not None and key in ("top", "bottom") and len(inside) > 0
        polarised_here = crossed or bool(np.isin(cells, inside).any())
        electrode = said[key] = _with_spin(electrode, polarised_here and name not in faces.outer)
        dofs = space.facet_dofs(facets, cells)
        contacts.append(_electrode(space, name, dofs, electrode, path, faces.joints))
        fed.append((facets, cells))
        if electrode.spin == "sink":
            faces.outer[name] = (facets, cells)
    _electrodes_apart(contacts)
    boundary = Boundary(tuple(faces.flux), tuple(faces.potential), tuple(contacts), tuple(faces.joints))
    return CaseConditions(boundary, faces.tables, faces.outer, tuple(fed), said)


@dataclass
class _Faces:
    """The conditions on interfaces and outer faces so far; those with one share no facet."""

    space: Space
    conductors: tuple[str, ...]
    flux: list[FluxFace] = field(default_factory=list)
    joints: list[ContactFace] = field(default_factory=list)
    potential: list[PotentialFace] = field(default_factory=list)
    tables: dict[str, InterfaceTable] = field(default_factory=dict)
    outer: dict[str, tuple[Indices, Indices]] = field(default_factory=dict)

    def add_interface(self, key: str, table: InterfaceTable) -> None:
        """Add what an [interfaces] table says."""
        space, path = self.space, f"interfaces.{key}"
        name, facets, cells = _face(space, key, path, self.conductors, table.condition)
        if table.condition == "insulating":
            inner = space.structure.interfaces.get(name)
            if table.type is not None and inner is not None and inner.second in self.conductors:
                raise CaseError(
                    f"{path}.type",
                    "two conductors cannot be insulated from each other; put an FI layer between them",
                )
        elif table.condition == "contact":
            self.joints.append(_contact(space, space.structure.interfaces[name], table))
        elif table.condition == "spin_potential":
            self._take(name, facets, cells, path)
            value = np.array(table.spin_potential) / ENERGY
            self.potential.append(PotentialFace(name, space.facet_dofs(facets, cells), value))
        else:
            self._take(name, facets, cells, path)
            self.flux.append(_flux_face(space, name, facets, cells))
            self.tables[name] = table

    def add_replaced(self, key: str) -> None:
        """Add a face that stands for a reduced layer."""
        path = f"interfaces.{key}"
        name, facets, cells = _face(self.space, key, path, self.conductors, "conductance")
        self._take(name, facets, cells, path)
        self.flux.append(_flux_face(self.space, name, facets, cells))

    def _take(self, name: str, facets: Indices, cells: Indices, path: str) -> None:
        """Refuse two conditions on one facet (``bottom`` and ``F|FI`` may be the same plane)."""
        for other, (taken, _) in self.outer.items():
            if np.isin(facets, taken).any():
                raise CaseError(path, f"shares facets with {other!r}, which has a condition too")
        self.outer[name] = (facets, cells)


def _with_spin(electrode: Electrode, polarised: bool) -> Electrode:
    """Return an electrode with what passes it written out.

    A polarised metal carries a spin current to its electrodes: where it cannot leave, spins
    gather and add a resistance of their own.
    """
    default = "sink" if polarised else "blocked"
    return electrode.model_copy(update={"spin": electrode.spin or default})


def contact_names(case: Case, structure: Structure) -> tuple[str, ...]:
    """Return the interfaces of a case across which the potentials jump.

    Raises:
        CaseError: If one does not exist.
    """
    return tuple(
        find_interface(key, structure.interfaces, f"interfaces.{key}").name
        for key, table in case.interfaces.items()
        if table.condition == "contact"
    )


def contact_conductances(table: InterfaceTable) -> tuple[float | None, float]:
    """Return the coefficients of the jumps of mu^0 and mu^a [S/m^2]; None if mu^0 is continuous.

    mu^0 is twice the electrochemical potential, so the first is half the charge conductance.
    """
    charge, spin = table.contact_conductance, table.contact_spin_conductance
    if spin is None:
        assert charge is not None
        spin = 0.5 * charge
    return None if charge is None else 0.5 * charge, spin


def _contact(space: Space, face: Interface, table: InterfaceTable) -> ContactFace:
    charge, spin = contact_conductances(table)
    unit = ENERGY / E_CHARGE**2 / FLUX
    conductance = np.diag([charge or 0.0, spin, spin, spin]) * unit
    raw = space.raw_facet_dofs(face.facets)
    pairs = np.unique(np.stack([space.numbers(n)[raw] for n in (face.first, face.second)]), axis=1)
    return ContactFace(
        face.name, space.contact_masses(face), conductance, pairs, charge_joined=charge is None
    )


def _flux_face(space: Space, name: str, facets: Indices, cells: Indices) -> FluxFace:
    mass, load = space.facet_mass(facets, cells)
    return FluxFace(name, mass, load, float(space.structure.facet_measures(facets).sum()))


def _face(
    space: Space, key: str, path: str, conductors: tuple[str, ...], condition: str
) -> tuple[str, Indices, Indices]:
    """Return name, facets and conducting cells of an interface or outer face."""
    structure = space.structure
    if "|" in key and key not in structure.faces:
        face = find_interface(key, structure.interfaces, path)
        if face.first not in conductors:
            raise CaseError(path, "neither side of this interface conducts")
        if face.second in conductors:
            if condition not in ("insulating", "contact"):
                raise CaseError(
                    path,
                    f"{face.name} joins two conductors, and a {condition} is only possible towards an"
                    " FI region; leave it out for continuous potentials, or give contact_conductance"
                    ' (of charge) and contact_spin_conductance (of spin), like "1e15 S/m^2";'
                    " what a magnetic metal absorbs across m is override.tau_perpendicular of its region",
                )
            return face.name, face.facets, face.cells_second
        if condition == "contact":
            raise CaseError(path, f"a contact joins two conductors; {face.second} does not conduct")
        return face.name, face.facets, face.cells_first
    if condition == "contact":
        raise CaseError(path, "a contact joins two conductors; this is an outer face")
    periodic = {n for row, _ in structure.periods for n in (("left", "right"), ("front", "back"))[row]}
    if key in periodic:
        raise CaseError(path, 'this side is periodic; set structure.lateral = "insulating"')
    if key not in structure.faces or not len(structure.faces[key]):
        known = [n for n, f in structure.faces.items() if len(f) and n not in periodic]
        known += structure.interfaces
        if key in structure.unusable:
            raise MeshError(
                path,
                f"the group {key!r} of the mesh {structure.unusable[key]}; it must lie on"
                f" the outside of a conductor; known: {', '.join(known) or 'none'}",
            )
        raise MeshError(
            path, f"no face or interface {key!r}; known: {', '.join(known) or 'none'}{closest(key, known)}"
        )
    facets = structure.faces[key]
    for name, face in structure.interfaces.items():
        if face.second not in conductors and np.isin(facets, face.facets).all():
            raise CaseError(
                path, f"this face is the interface {name!r} with an FI region; set the condition there"
            )
    return key, facets, outer_cells(space, facets)


def _electrode(
    space: Space, name: str, dofs: Indices, table: Electrode, path: str, joints: Sequence[ContactFace] = ()
) -> ElectrodeFace:
    potential, inflow = None, 0.0
    if table.voltage is not None:
        # mu^0 = 2 q V with q = -e
        potential = -2 * E_CHARGE * table.voltage / ENERGY
    elif table.current is not None:
        if space.dimension != 3:
            raise CaseError(f"{path}.current", "a total current needs a 3D mesh")
        inflow = -table.current / E_CHARGE * TIME
    sinks = dofs if table.spin == "sink" else dofs[:0]
    for joint in joints:  # mu^0 is one across a spin contact, so its other side is held too
        if joint.charge_joined:
            for here, there in (joint.pairs, joint.pairs[::-1]):
                dofs = np.union1d(dofs, there[np.isin(here, dofs)])
    return ElectrodeFace(name, dofs, potential, inflow, sinks)


def _electrodes_apart(contacts: list[ElectrodeFace]) -> None:
    for i, a in enumerate(contacts):
        for b in contacts[:i]:
            if np.intersect1d(a.dofs, b.dofs).size:
                raise CaseError(f"drive.electrodes.{a.name}", f"touches electrode {b.name}")
