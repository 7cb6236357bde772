"""The case file: every table and key, with its unit, range and default.

All physical values are SI floats once validated; the text forms are described by the types in
`quantity`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationError, model_validator

from ..errors import CaseError, closest
from . import quantity as q
from .messages import first_problem
from .paths import replaced, resolved_path
from .region import Kondo, Magnet, Override, Region, SpinOrbit
from .scan import Scan
from .texture import Texture
from .time import Dynamics, Frequency, Transient, check_one_motion
from .values import (
    INSULATORS,
    Dimension,
    Direction,
    ExpectedNumber,
    Extent,
    FileName,
    Order,
    ReadTable,
    Table,
    check_region_name,
    matrix,
    own_defaults,
    refuse,
    vector,
)

__all__ = [
    "Case",
    "Drive",
    "Dynamics",
    "Electrode",
    "Interface",
    "Kondo",
    "Layer",
    "Magnet",
    "Magnetization",
    "MeshFile",
    "Output",
    "Override",
    "Region",
    "Solver",
    "SpinOrbit",
    "Stack",
]


class Layer(Table):
    """One layer of a built-in stack, listed from bottom to top."""

    region: str
    thickness: Extent
    cells: Annotated[int, Field(ge=1, le=10000)] | None = Field(
        default=None, description="cells across the layer; default: graded by decay length"
    )


class Stack(Table):
    """A laterally rectangular stack, z upwards; FI below F below HM by convention."""

    dimension: Dimension = 1
    cell: Literal["line", "quad", "tri", "hex", "tet"] | None = None
    layers: Annotated[list[Layer], Field(min_length=1)]
    width: Extent | None = Field(default=None, description="extent along x (2D, 3D)")
    depth: Extent | None = Field(default=None, description="extent along y (3D)")
    cells_x: Annotated[int, Field(ge=1, le=2000)] = 1
    cells_y: Annotated[int, Field(ge=1, le=2000)] = 1
    lateral: Literal["periodic", "insulating"] = "periodic"
    cells_per_decay_length: Annotated[float, Field(ge=1, le=200)] = 18.0
    growth: Annotated[float, Field(ge=1.0, le=2.0)] = 1.1

    @model_validator(mode="after")
    def _extent_fits_dimension(self) -> Stack:
        allowed = {1: ("line",), 2: ("quad", "tri"), 3: ("hex", "tet")}[self.dimension]
        if self.cell is not None and self.cell not in allowed:
            raise refuse(
                "cell", "a stack of dimension {d} has cells {a}", d=self.dimension, a=" or ".join(allowed)
            )
        if self.dimension >= 2 and self.width is None:
            raise refuse("width", 'needed for dimension {d}, like "100 nm"', d=self.dimension)
        if self.dimension == 3 and self.depth is None:
            raise refuse("depth", 'needed for dimension 3, like "100 nm"')
        if self.dimension < 2 and self.width is not None:
            raise refuse("width", "only for dimension 2 and 3; this stack has dimension 1")
        if self.dimension < 3 and self.depth is not None:
            raise refuse("depth", "only for dimension 3; this stack has dimension {d}", d=self.dimension)
        return self


class MeshFile(Table):
    """A gmsh mesh (.msh); its groups are regions (one for each cell) and faces, by name."""

    file: FileName
    length_unit: Literal["nm", "um", "angstrom", "m"] = "nm"


class Interface(Table):
    """Condition on an interface (``"Pt|YIG"``), or on an outer face (``top``, a mesh name)."""

    type: Literal["insulating", "conductance", "spin_potential", "spin_flux"] | None = None
    conductance: matrix(q.Conductance) | None = None  # type: ignore[valid-type]
    G_s: q.Conductance | None = None
    G_r: q.Conductance | None = None
    G_i: q.Conductance | None = None
    contact_conductance: q.Conductance | None = Field(
        default=None, description="charge conductance between two metals; default: mu^0 continuous"
    )
    contact_spin_conductance: q.Conductance | None = Field(
        default=None, description="J^a = g/e^2 jump of mu^a; default: half the charge conductance"
    )
    drift_flux: vector(q.SpinFlux) | None = None  # type: ignore[valid-type]
    spin_potential: vector(q.Energy) | None = None  # type: ignore[valid-type]
    spin_flux: vector(q.SpinFlux) | None = Field(  # type: ignore[valid-type]
        None, description="particle flux into the metal"
    )

    @model_validator(mode="after")
    def _one_condition(self) -> Interface:
        scalars = [k for k in ("G_s", "G_r", "G_i") if getattr(self, k) is not None]
        given = {
            "conductance": self.conductance is not None or bool(scalars),
            "spin_potential": self.spin_potential is not None,
            "spin_flux": self.spin_flux is not None,
            "contact": self._is_contact,
        }
        kinds = [k for k, present in given.items() if present]
        if self.conductance is not None and scalars:
            raise refuse(scalars[0], "give either the tensor conductance or G_s, G_r, G_i")
        if len(kinds) > 1:
            raise refuse(kinds[1], "an interface has one condition; {a} is given too", a=kinds[0])
        if self.type is not None and self.type != "insulating" and kinds != [self.type]:
            raise refuse("type", "type {t} needs the key {t}", t=self.type)
        if self.type == "insulating" and kinds:
            raise refuse(kinds[0], "an insulating interface takes no {k}", k=kinds[0])
        if self.drift_flux is not None and kinds != ["conductance"]:
            raise refuse("drift_flux", "comes with a conductance")
        for key in ("contact_conductance", "contact_spin_conductance"):
            if getattr(self, key) is not None and not getattr(self, key) > 0:
                raise refuse(key, "must be > 0")
        return self

    @property
    def _is_contact(self) -> bool:
        return (self.contact_conductance, self.contact_spin_conductance) != (None, None)

    @property
    def condition(self) -> str:
        """The kind: insulating, conductance, spin_potential, spin_flux or contact."""
        if self._is_contact:
            return "contact"
        if any(g is not None for g in (self.conductance, self.G_s, self.G_r, self.G_i)):
            return "conductance"
        if self.spin_potential is not None:
            return "spin_potential"
        return "spin_flux" if self.spin_flux is not None else "insulating"


class Electrode(Table):
    """An ideal contact on an outer face: a voltage, a total current, or floating (a probe)."""

    voltage: q.Voltage | None = None
    current: q.Current | None = Field(default=None, description="conventional current into the device")
    floating: bool = False
    spin: Literal["blocked", "sink"] | None = Field(
        default=None,
        description="blocked: no spin current passes; sink: spin potential zero; default: sink"
        " where the electrode touches a polarised metal, else blocked",
    )

    @model_validator(mode="after")
    def _one_condition(self) -> Electrode:
        given = [k for k in ("voltage", "current") if getattr(self, k) is not None]
        if self.floating:
            given.append("floating")
        if len(given) != 1:
            raise refuse(
                given[1] if given else "voltage", "an electrode has one of voltage, current, floating = true"
            )
        return self


class Drive(Table):
    """What drives the device."""

    electric_field: vector(q.ElectricField) | None = None  # type: ignore[valid-type]
    electrodes: dict[str, Electrode] = Field(default={})
    magnetic_field: vector(q.MagneticField) | None = None  # type: ignore[valid-type]
    temperature: q.Temperature = 300.0

    @model_validator(mode="after")
    def _field_or_electrodes(self) -> Drive:
        if self.electrodes and self.electric_field is not None:
            raise refuse("electric_field", "give either a prescribed electric field or electrodes")
        if self.electrodes and all(e.voltage is None for e in self.electrodes.values()):
            raise refuse("electrodes", "one electrode needs a voltage as the reference")
        return self


class Magnetization(Table):
    """Direction of the moments (of FI and F), along the field they feel."""

    direction: Direction = Field(default=[0.0, 0.0, 1.0])


class Solver(Table):
    """Discretisation and linear solver."""

    order: Order = 2
    elements: Literal["auto", "covariant", "plain"] = Field(
        default="auto",
        description="covariant elements carry spin within cells; auto: where a gauge"
        " field acts along a direction the mesh resolves",
    )
    method: Literal["auto", "direct", "iterative", "stack"] = Field(
        default="auto", description="stack: exact solution of a 1D stack by matrix exponentials"
    )
    error_bars: bool = Field(
        default=True, description="estimate discretisation errors by elements of the next order"
    )
    target_error: Annotated[float, Field(gt=0, lt=1)] | None = Field(
        default=None,
        description="refine the mesh (line, tri, tet) until the estimated error of every spin"
        " current, part and electrode is below it, relative to the largest component at the"
        " interface or of the electrodes",
    )
    max_unknowns: Annotated[int, Field(ge=100)] = Field(
        default=300_000, description="at which refinement towards target_error gives up"
    )
    tolerance: Annotated[float, Field(ge=1e-14, le=1e-4)] = 1e-11
    max_iterations: Annotated[int, Field(ge=1)] = 500
    polarisation_form: Literal["auto", "paper", "onsager"] = Field(
        default="auto", description="auto: onsager; paper, by name only, has spin currents at equilibrium"
    )


class Output(Table):
    """What is written."""

    directory: FileName | None = Field(default=None, description="default: <case name>.out beside the case")
    fields: bool = True
    plots: bool = True


class Case(ReadTable):
    """A whole case file."""

    title: str = ""
    expected: dict[str, float | ExpectedNumber] = Field(
        default={}, description="numbers this case must give; see README"
    )
    materials: dict[str, dict[str, Any]] = Field(default={})
    structure: Stack | None = None
    mesh: MeshFile | None = None
    regions: Annotated[dict[str, Region], Field(min_length=1)] = Field(default={})
    interfaces: dict[str, Interface] = Field(default={})
    drive: Drive = own_defaults(Drive)
    magnetization: Magnetization = own_defaults(Magnetization)
    dynamics: Dynamics | None = None
    frequency: Frequency | None = None
    transient: Transient | None = None
    texture: Texture | None = None
    solver: Solver = own_defaults(Solver)
    output: Output = own_defaults(Output)
    scan: Scan | None = None

    @model_validator(mode="after")
    def _names_agree(self) -> Case:
        check_one_motion(self, "dynamics", "frequency", "transient", "texture")
        if self.texture is not None and not self.texture.needs_device(self):
            return self
        if not self.regions:
            raise refuse("regions", "is missing")
        if (self.structure is None) == (self.mesh is None):
            raise refuse("structure", "a case has either [structure] or [mesh]")
        for name in self.regions:  # names become names of interfaces and files
            check_region_name(name)
        if self.structure is not None:
            known = f"[regions] has {', '.join(self.regions)}"
            for k, layer in enumerate(self.structure.layers):
                if layer.region not in self.regions:
                    raise refuse(
                        f"structure.layers.{k}.region",
                        "no region {n}{hint}",
                        n=repr(layer.region),
                        hint=closest(layer.region, self.regions, known),
                    )
            for name in sorted(set(self.regions) - {x.region for x in self.structure.layers}):
                raise refuse(f"regions.{name}", "no layer of [structure] uses this region")
        if self.texture is None and all(r.kind in INSULATORS for r in self.regions.values()):
            raise refuse("regions", "at least one HM or F region must conduct")
        self._faces_have_one_condition()
        self._dynamics_has_a_magnet()
        return self

    def with_values(self, values: Mapping[str, Any]) -> Case:
        """Return the case with other values of some keys, checked like those of a file.

        Args:
            values: As they would stand in a case file, by dotted path: ``"regions.Pt.dos"``,
                ``"structure.layers.Pt.thickness"``, ``"drive.magnetic_field.z"``.

        Raises:
            CaseError: If a path leads nowhere, or a value is not allowed there.
        """
        table: Any = self.model_dump(mode="json", exclude_none=True)
        for path, value in values.items():
            table = replaced(table, resolved_path(path, table, path, Case), value, Case)
        try:
            changed = Case.model_validate(table)
        except ValidationError as error:
            raise CaseError(*first_problem(error, table, Case)) from None
        changed._folder = self._folder
        return changed

    def with_electrodes(self, electrodes: dict[str, Electrode]) -> Case:
        """Return the case with other electrodes."""
        drive = self.drive.model_copy(update={"electrodes": electrodes})
        return self.model_copy(update={"drive": drive})

    def _faces_have_one_condition(self) -> None:
        seen: dict[frozenset[str], str] = {}
        for name, table in self.interfaces.items():
            other = seen.setdefault(frozenset(name.split("|")), name)
            if other != name:
                raise refuse("interfaces", "{a} and {b} are the same interface", a=other, b=name)
            electrode = self.drive.electrodes.get(name)
            if electrode and electrode.spin == "sink" and table.condition != "insulating":
                raise refuse(
                    "interfaces", "{a} is also an electrode that is a spin sink; give one condition", a=name
                )

    def _dynamics_has_a_magnet(self) -> None:
        if self.dynamics is None:
            return
        magnets = [n for n, r in self.regions.items() if r.kind == "FI"]
        name = self.dynamics.region
        known = ", ".join(magnets) or "none"
        if name is None and len(magnets) != 1:
            words = (
                "name the FI region that moves; FI regions: {m} (a magnetic metal moves by [texture],"
                ' as a macrospin with texture.mesh.shape = "point")'
            )
            raise refuse("dynamics.region", words, m=known)
        if name is not None and name not in magnets:
            raise refuse(
                "dynamics.region",
                "no FI region {n}{hint}",
                n=repr(name),
                hint=closest(name, magnets, f"FI regions: {known}"),
            )
