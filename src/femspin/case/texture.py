"""Tables of a magnetization texture: [texture] and what stands below it."""

from __future__ import annotations

import math
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from ..errors import closest
from . import quantity as q
from .texture_analyses import Hysteresis, LineShape, Resonance, Threshold
from .texture_drives import Angle, CurrentDrive, FieldDrive, SpinOrbitDrive, TransportDrive
from .values import Direction, Extent, FileName, Table, Vector, own_defaults, refuse, vector

__all__ = ["MOST_OUTPUTS", "Initial", "Texture", "TextureMagnet", "TextureMesh", "WallTracking"]

MOST_OUTPUTS = 100_000
_DEFAULT_OUTPUTS = 200
_MOST_NODES = 2_000_000


_Axis = Literal["x", "y", "z"]


class TextureMesh(Table):
    """A mesh of the magnet alone, centred at 0: a macrospin, line, film or box along x, y, z."""

    shape: Literal["point", "line", "film", "box"]
    length: Extent
    width: Extent = 1e-9
    thickness: Extent = 1e-9
    cell: Extent | Annotated[list[Extent], Field(min_length=1, max_length=3)] | None = Field(
        default=None, description="largest cell edge, one for all or one per meshed direction"
    )
    triangles: bool = Field(default=False, description="triangles or tetrahedra, not rectangles or boxes")
    periodic: Annotated[list[_Axis], Field(max_length=3)] = Field(
        default=[],
        description="without faces; of a direction that is not meshed it means that nothing changes along it",
    )

    @property
    def meshed(self) -> str:
        """Directions in which the texture may change."""
        return "" if self.shape == "point" else "xyz"[: self.dimension]

    @property
    def faces(self) -> list[tuple[int, float]]:
        """Directions that are not meshed and end in free faces, with their extents [m]."""
        extents = zip("xyz", (self.length, self.width, self.thickness), strict=True)
        return [
            ("xyz".index(a), extent)
            for a, extent in extents
            if a not in self.meshed and a not in self.periodic
        ]

    @property
    def dimension(self) -> int:
        """How many directions are meshed; a point is a periodic line of one cell."""
        return {"point": 1, "line": 1, "film": 2, "box": 3}[self.shape]

    @property
    def extents(self) -> list[float]:
        """Extents of the meshed directions [m]."""
        return [self.length, self.width, self.thickness][: self.dimension]

    @property
    def counts(self) -> list[int]:
        """Cells along the meshed directions."""
        if self.shape == "point":
            return [1]
        cells = self.cell if isinstance(self.cell, list) else [self.cell] * self.dimension
        return [
            max(1, math.ceil(extent / (cell or extent) - 1e-9))
            for extent, cell in zip(self.extents, cells, strict=True)
        ]

    @model_validator(mode="after")
    def _fits_shape(self) -> TextureMesh:
        if (self.shape == "point") != (self.cell is None):
            raise refuse("cell", "a point has no cells" if self.shape == "point" else 'needed, like "2 nm"')
        if isinstance(self.cell, list) and len(self.cell) != self.dimension:
            raise refuse("cell", "a {s} has {d} meshed directions", s=self.shape, d=self.dimension)
        if self.triangles and self.dimension == 1:
            raise refuse("triangles", "only for a film or a box")
        nodes = math.prod(k + 1 for k in self.counts)
        if nodes > _MOST_NODES:
            raise refuse("cell", "the mesh would have {n} nodes (allowed {m})", n=nodes, m=_MOST_NODES)
        return self


_COUPLED = ("run", "relax", "threshold")
_FERRO = ("saturation_magnetization", "cubic_anisotropy", "cubic_axes", "bulk_dmi")
_ANTI = ("sublattice_magnetization", "homogeneous_exchange", "exchange_field", "homogeneous_dmi")


class TextureMagnet(Table):
    """Material constants of the magnet."""

    saturation_magnetization: q.Magnetization | None = Field(default=None, description="M_s, ferromagnet")
    sublattice_magnetization: q.Magnetization | None = Field(
        default=None, description="M_0 of one sublattice, antiferromagnet"
    )
    exchange_stiffness: q.ExchangeStiffness
    homogeneous_exchange: q.Capacity | None = Field(
        default=None, description="a of a |m|^2/2, antiferromagnet: 4 M_0 times the exchange field"
    )
    exchange_field: q.MagneticField | None = Field(default=None, description="instead: B_E")
    damping: Annotated[float, Field(ge=0, le=10)] = Field(description="Gilbert alpha")
    g_factor: Annotated[float, Field(gt=0, le=20)] = 2.0
    anisotropy: q.Capacity = 0.0
    axis: Direction = Field(default=[0.0, 0.0, 1.0])
    hard_anisotropy: q.Capacity = 0.0
    hard_axis: Direction = Field(default=[0.0, 1.0, 0.0])
    cubic_anisotropy: q.Capacity = 0.0
    cubic_axes: Annotated[list[Vector], Field(min_length=2, max_length=2)] = Field(
        default=[[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]], description="two cubic axes"
    )
    interfacial_dmi: q.SurfaceEnergy = 0.0
    bulk_dmi: q.SurfaceEnergy = 0.0
    homogeneous_dmi: vector(q.Capacity) = Field(  # type: ignore[valid-type]
        [0.0, 0.0, 0.0], description="d_h of d_h.(n x m), antiferromagnet"
    )

    def check(self, kind: str) -> None:
        """Refuse keys that a magnet of this kind does not have, and what it lacks."""
        foreign = _ANTI if kind == "ferromagnet" else _FERRO
        for key in foreign:
            if getattr(self, key) != type(self).model_fields[key].default:
                raise refuse(f"magnet.{key}", "not for a texture of kind {k}", k=repr(kind))
        own = "saturation" if kind == "ferromagnet" else "sublattice"
        if getattr(self, f"{own}_magnetization") is None:
            raise refuse(f"magnet.{own}_magnetization", 'is missing; like "8e5 A/m"')
        if kind == "ferromagnet":
            return
        if (self.homogeneous_exchange is None) == (self.exchange_field is None):
            raise refuse("magnet.homogeneous_exchange", "give either homogeneous_exchange or exchange_field")
        if not (self.homogeneous_exchange or self.exchange_field or 0.0) > 0:
            raise refuse("magnet.homogeneous_exchange", "must be > 0")


class Initial(Table):
    """The texture at time 0, of m or of n."""

    type: Literal["uniform", "wall", "vortex", "skyrmion", "random", "file"] = "uniform"
    direction: Direction = Field(default=[0.0, 0.0, 1.0], description="of a uniform texture")
    position: q.Position = 0.0
    center: Annotated[list[q.Position], Field(min_length=2, max_length=2)] = Field(
        default=[0.0, 0.0], description="x and y of a vortex or a skyrmion"
    )
    width: q.Length | None = Field(default=None, description="of a wall; default sqrt(A/K)")
    tilt: Angle = 0.0
    reversed: bool = Field(default=False, description="wall from - to +, skyrmion with core up")
    radius: q.Length | None = Field(default=None, description="of a vortex core or a skyrmion")
    chirality: Literal[-1, 1] = Field(default=1, description="vortex: 1 is counter-clockwise")
    polarity: Literal[-1, 1] = Field(default=1, description="m_z in the core of a vortex")
    helicity: Angle = 0.0
    seed: Annotated[int, Field(ge=0)] = Field(default=0, description="of random directions")
    file: FileName | None = Field(default=None, description=".vtu of a result, or .npy with one row per node")
    relax: bool = Field(default=False, description="relax first, in the steady fields without torques")

    @model_validator(mode="after")
    def _file_given(self) -> Initial:
        if (self.type == "file") != (self.file is not None):
            raise refuse("file", 'comes with type = "file", and only there')
        if self.type in ("vortex", "skyrmion") and self.radius is None:
            raise refuse("radius", 'needed for a {t}, like "10 nm"', t=self.type)
        return self


class WallTracking(Table):
    """A domain wall that is followed: position, width, velocity and tilt."""

    direction: _Axis = Field(default="x", description="across the wall")
    axis: Direction = Field(default=[0.0, 0.0, 1.0], description="of the domains")
    zero: Direction | None = Field(
        default=None,
        description="from which the tilt counts; default: across the wall (0 Neel), or x, or"
        " y, whichever is the first that is not along axis; its part normal to axis",
    )

    @model_validator(mode="after")
    def _axes_are_normal(self) -> WallTracking:
        zero = self.zero or [0.0, 0.0, 0.0]
        if abs(sum(a * b for a, b in zip(self.axis, zero, strict=True))) > 1e-9:
            raise refuse("zero", "must be normal to axis")
        return self


class Texture(Table):
    """A magnetization texture of a ferromagnet or an antiferromagnet, and what happens to it."""

    kind: Literal["ferromagnet", "antiferromagnet"]
    region: str | None = Field(default=None, description="magnetic region of [structure] or [mesh]")
    mesh: TextureMesh | None = None
    depth: q.Length | None = Field(
        default=None,
        description="extent of a region of a 1D or 2D device along each direction it leaves"
        " out; needed with a temperature and for the stray field",
    )
    magnet: TextureMagnet
    magnetostatics: Literal["none", "thin_film", "full"] = "none"
    initial: Initial = own_defaults(Initial)
    fields: Annotated[list[FieldDrive], Field(max_length=20)] = Field(default=[])
    spin_orbit: Annotated[list[SpinOrbitDrive], Field(max_length=20)] = Field(default=[])
    current: CurrentDrive | None = None
    torque_source: Literal["given", "transport"] = Field(
        default="given", description="transport: torques of the solved device"
    )
    transport: TransportDrive | None = None
    temperature: q.Temperature | None = None
    seed: Annotated[int, Field(ge=0)] = Field(default=0, description="of the thermal field")
    analysis: Literal["run", "relax", "hysteresis", "threshold", "resonance", "line_shape"] = "run"
    duration: q.Duration = 1e-9
    output_interval: q.Duration | None = None
    frames: Annotated[int, Field(ge=1, le=10_000)] = Field(default=6, description="field files")
    stop: Literal["time", "relaxed", "switched"] = "time"
    relax_torque: q.MagneticField = 1e-5
    scheme: Literal["auto", "midpoint", "runge_kutta", "heun", "rotor", "two_sublattice"] = "auto"
    step: q.Duration | None = None
    tolerance: Annotated[float, Field(ge=1e-12, le=0.1)] = Field(
        default=1e-5, description="angle error allowed per step [rad]"
    )
    checkpoint: q.Duration = 30.0
    wall: WallTracking | None = None
    rotation_axis: Direction | None = Field(
        default=None, description="about which the turning of the mean direction is measured"
    )
    hysteresis: Hysteresis | None = None
    threshold: Threshold | None = None
    resonance: Resonance | None = None
    line_shape: LineShape | None = None

    @model_validator(mode="before")
    @classmethod
    def _transport_has_defaults(cls, data: Any) -> Any:
        if isinstance(data, dict) and data.get("torque_source") == "transport":
            return {"transport": {}, **data}
        return data

    @model_validator(mode="after")
    def _tables_agree(self) -> Texture:
        if (self.region is None) == (self.mesh is None):
            raise refuse("region", "a texture has either a region of the device or [texture.mesh]")
        if self.magnetostatics == "full" and self.mesh is not None and self.mesh.periodic:
            raise refuse(
                "magnetostatics",
                '"full" is the stray field of a magnet with faces all'
                ' around; drop mesh.periodic, or take "thin_film" or "none"',
            )
        if self.depth is not None and self.region is None:
            raise refuse("depth", "only with a region; [texture.mesh] has all its extents")
        if self.torque_source == "transport" and self.region is None:
            raise refuse("torque_source", "transport needs a region of a device")
        self.magnet.check(self.kind)
        if self.current is not None:
            self.current.check(self.kind)
        for name in ("hysteresis", "threshold", "resonance", "line_shape"):
            if (getattr(self, name) is not None) != (self.analysis == name):
                raise refuse(name, 'this table comes with analysis = "{n}", and only there', n=name)
        if not self.relax_torque > 0:
            raise refuse("relax_torque", "must be > 0")
        interval = self.output_interval
        if interval is not None and not 1 <= self.duration / interval <= MOST_OUTPUTS:
            raise refuse(
                "output_interval",
                "must be at most the duration of {t} s, and at least that over {n}",
                t=self.duration,
                n=MOST_OUTPUTS,
            )
        self._scheme_fits()
        self._transport_fits()
        return self

    def _transport_fits(self) -> None:
        if self.transport is None:
            if self.threshold is not None and self.threshold.varies_drive:
                raise refuse(
                    "threshold.vary",
                    'a path below drive needs torque_source = "transport"; else give one below texture',
                )
            return
        if self.torque_source != "transport":
            raise refuse("transport", 'this table comes with torque_source = "transport", and only there')
        if self.analysis not in _COUPLED:
            raise refuse(
                "analysis",
                "{a} is that of the magnet without transport; with"
                ' torque_source = "transport" it is one of {k}',
                a=repr(self.analysis),
                k=", ".join(_COUPLED),
            )
        if self.kind == "antiferromagnet" and self.transport.spin_pumping:
            raise refuse("transport.spin_pumping", "only for a ferromagnet")
        if self.scheme == "two_sublattice":
            raise refuse("scheme", "two_sublattice takes no torque of transport; use rotor")

    def _scheme_fits(self) -> None:
        anti = self.kind == "antiferromagnet"
        if anti != (self.scheme in ("rotor", "two_sublattice")) and self.scheme != "auto":
            raise refuse(
                "scheme",
                "{s} is not a scheme of an {k}; allowed: auto, {a}",
                s=self.scheme,
                k=self.kind,
                a="rotor, two_sublattice" if anti else "midpoint, runge_kutta, heun",
            )
        fixed = self.temperature is not None or self.scheme == "heun"
        if fixed and self.step is None:
            raise refuse("step", 'needed with a temperature or scheme = "heun", like "50 fs"')
        if self.temperature is not None and (anti or self.scheme == "runge_kutta"):
            raise refuse("temperature", "only for a ferromagnet with the scheme midpoint or heun")
        if anti and self.magnetostatics != "none":
            raise refuse("magnetostatics", "an antiferromagnet has no stray field here")
        if not anti and any(drive.staggered for drive in self.spin_orbit):
            raise refuse("spin_orbit", "a staggered torque needs an antiferromagnet")

    def needs_device(self, case: Table) -> bool:
        """Return whether the case describes a device; refuse one that is not used.

        Raises:
            PydanticCustomError: If the region is not one of the device.
        """
        regions: dict[str, object] = getattr(case, "regions")  # noqa: B009
        if self.region is None:
            for name in ("structure", "mesh", "regions", "interfaces"):
                if getattr(case, name):
                    raise refuse(name, _NOT_USED)
            _refuse_device_keys(case)
            return False
        if regions and self.region not in regions:
            raise refuse(
                "texture.region",
                "no region {n}{hint}",
                n=repr(self.region),
                hint=closest(self.region, regions, f"regions: {', '.join(regions)}"),
            )
        return True

    @property
    def times(self) -> list[float]:
        """Initial time 0 and the output times [s]; the last one is the duration."""
        interval = self.output_interval or self.duration / _DEFAULT_OUTPUTS
        count = max(1, round(self.duration / interval))
        return [self.duration * k / count for k in range(count + 1)]


_NOT_USED = "not used: the texture has a mesh of its own, [texture.mesh]"
_INSTEAD = {
    "drive": "; fields, currents and temperature are texture.fields, texture.current and texture.temperature",
    "magnetization": "; it starts from texture.initial",
    "solver": "; steps are texture.step and texture.tolerance",
}


def _refuse_device_keys(case: Table) -> None:
    """Refuse what only a device would use; defaults, as in a resolved case, may stand there."""
    for name, instead in _INSTEAD.items():
        table = getattr(case, name)
        blank = type(table)()
        for key in type(table).model_fields:
            if getattr(table, key) != getattr(blank, key):
                raise refuse(f"{name}.{key}", _NOT_USED + instead)
