"""Tables of what drives a texture: fields, absorbed spins and currents, with their signals."""

from __future__ import annotations

import math
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, PlainSerializer, WithJsonSchema, model_validator

from . import quantity as q
from .values import Direction, FileName, Table, not_negative, own_defaults, refuse, vector

__all__ = ["Angle", "CurrentDrive", "FieldDrive", "Signal", "SpinOrbitDrive", "TransportDrive"]


def _degrees(text: Any) -> float:
    return q.parse_quantity(text, "rad", "45 deg")


_Since = Annotated[q.Time, AfterValidator(not_negative)]
_Frequency = Annotated[q.Rate, AfterValidator(not_negative)]
_Factor = Annotated[float, Field(ge=-1e6, le=1e6)]
Angle = Annotated[
    float,
    BeforeValidator(_degrees),
    PlainSerializer(lambda x: f"{x!r} rad", return_type=str),
    WithJsonSchema({"type": "string", "description": "quantity in rad", "examples": ["45 deg"]}),
]
"""An angle as text, in radians inside."""


class Signal(Table):
    """How a drive depends on time: a factor of its amplitude."""

    shape: Literal["constant", "pulse", "sine", "sequence"] = "constant"
    start: _Since = 0.0
    rise: _Since = 0.0
    length: q.Duration | None = Field(default=None, description="of a pulse, ramps included")
    frequency: _Frequency | None = Field(default=None, description="W/(2 pi) of a sine")
    phase: Angle = 0.0
    times: Annotated[list[_Since], Field(min_length=2, max_length=10_000)] | None = Field(
        default=None, description="of a sequence, ascending; off before the first, held after the last"
    )
    values: Annotated[list[_Factor], Field(min_length=2, max_length=10_000)] | None = Field(
        default=None, description="factors of a sequence; straight lines between them"
    )

    @model_validator(mode="after")
    def _keys_fit_shape(self) -> Signal:
        needed = {"pulse": ("length",), "sine": ("frequency",), "sequence": ("times", "values")}
        for shape, keys in needed.items():
            for key in keys:
                given = getattr(self, key) is not None
                if given != (shape == self.shape):
                    raise refuse(key, 'comes with shape = "{s}", and only there', s=shape)
        if self.times is not None and self.values is not None:
            if len(self.times) != len(self.values):
                raise refuse("values", "must have as many entries as times")
            if any(b <= a for a, b in zip(self.times, self.times[1:], strict=False)):
                raise refuse("times", "must ascend")
        if self.length is not None and 2 * self.rise > self.length:
            raise refuse("rise", "must be at most half the length of the pulse")
        return self

    @property
    def constant(self) -> bool:
        """Whether the drive does not change after time 0."""
        return self.shape == "constant" and self.start == 0.0 and self.rise == 0.0

    def scale(self, time: float) -> float:
        """Return the factor at a time [s]; at a jump, the later value.

        Every shape is off before its start, a sequence before its first time.
        """
        since = time - self.start
        if since < 0.0:
            return 0.0
        up = 1.0 if self.rise == 0.0 else min(1.0, since / self.rise)
        if self.shape == "sine":
            assert self.frequency is not None
            return up * math.sin(2 * math.pi * self.frequency * since + self.phase)
        if self.shape == "pulse":
            assert self.length is not None
            left = self.length - since
            if left <= 0.0:
                return 0.0
            return up if self.rise == 0.0 else min(up, left / self.rise)
        if self.shape == "sequence":
            return up * self._between(since)
        return up

    @property
    def breaks(self) -> tuple[float, ...]:
        """Times [s] where the factor is not smooth, ascending: its start, corners and jumps."""
        since = {0.0, self.rise}
        if self.length is not None:
            since |= {self.length - self.rise, self.length}
        return tuple(sorted(self.start + t for t in since | set(self.times or ())))

    @property
    def largest(self) -> float:
        """The largest size the factor can have."""
        return max(map(abs, self.values)) if self.values is not None else 1.0

    def _between(self, since: float) -> float:
        assert self.times is not None
        assert self.values is not None
        if since < self.times[0]:
            return 0.0
        for k, end in enumerate(self.times[1:], 1):
            if since < end:
                part = (since - self.times[k - 1]) / (end - self.times[k - 1])
                return float(self.values[k - 1] + part * (self.values[k] - self.values[k - 1]))
        return self.values[-1]


class FieldDrive(Table):
    """An external magnetic field."""

    field: vector(q.MagneticField)  # type: ignore[valid-type]
    signal: Signal = own_defaults(Signal)


class SpinOrbitDrive(Table):
    """A torque -w_D m x (m x p) - w_F m x p of absorbed spins with moments along p, w_F = gamma B along p."""

    polarisation: Direction = Field(description="p: direction of the moments of the carriers")
    damping_like: q.MagneticField | None = Field(default=None, description="B_DL = w_D/gamma")
    damping_like_rate: q.AngularFrequency | None = Field(default=None, description="w_D, instead")
    spin_current: q.CurrentDensity | None = Field(
        default=None, description="J_s, instead: w_D = hbar J_s/(2 e s d), with the thickness d"
    )
    thickness: q.Length | None = Field(default=None, description="d; default: that of the mesh")
    field_like_torque: q.MagneticField | None = Field(
        default=None, description="B of the torque +gamma B m x p, as xi_FL: a field against p, -w_F/gamma"
    )
    field_like: q.MagneticField | None = Field(
        default=None, description="minus field_like_torque, as in older files: a field along p"
    )
    staggered: bool = Field(default=False, description="opposite on the sublattices, antiferromagnet")
    signal: Signal = own_defaults(Signal)

    @property
    def field_along_moments(self) -> float:
        """B_FL along p [T], the opposite of the field-like torque's sign."""
        return (self.field_like or 0.0) - (self.field_like_torque or 0.0)

    @model_validator(mode="after")
    def _one_strength(self) -> SpinOrbitDrive:
        keys = ("damping_like", "damping_like_rate", "spin_current")
        given = [k for k in keys if getattr(self, k) is not None]
        if len(given) > 1:
            raise refuse(given[1], "give one of {k}", k=", ".join(keys))
        if self.field_like is not None and self.field_like_torque is not None:
            raise refuse("field_like", "give field_like_torque alone; field_like is minus it")
        if not given and self.field_along_moments == 0.0:
            raise refuse(
                "damping_like",
                "the torque has no strength; give one of {k}, or field_like_torque",
                k=", ".join(keys),
            )
        if self.thickness is not None and self.spin_current is None:
            raise refuse("thickness", "only with spin_current")
        return self


class CurrentDrive(Table):
    """A charge current in the magnet: spin-transfer torques."""

    density: vector(q.CurrentDensity) = Field(  # type: ignore[valid-type]
        description="conventional"
    )
    polarisation: Annotated[float, Field(ge=-1, le=1)] | None = Field(
        default=None, description="P of a ferromagnet"
    )
    beta: float | None = Field(default=None, description="non-adiabatic over adiabatic torque; default 0")
    p_n: float | None = Field(default=None, description="drift coefficient of n")
    p_m: float | None = Field(default=None, description="of m; default p_n")
    p_st: float | None = Field(default=None, description="of the torque of a changing current; default p_n")
    tau_sd: q.Duration | None = Field(default=None, description="hbar/2J of the changing current")
    band_structure: FileName | None = Field(
        default=None, description="a case of femspin afm-torques, or its coefficients.json, instead of p_n"
    )
    model: Literal["complete", "paper_corrected", "paper_printed"] = "complete"
    spin_relaxation_time: q.Duration | None = Field(
        default=None, description="tau_s: beta = tau_sd/tau_s; default: that of the band structure"
    )
    signal: Signal = own_defaults(Signal)

    def check(self, kind: str) -> None:
        """Refuse what does not fit the kind of magnet."""
        anti = ("p_n", "p_m", "p_st", "tau_sd", "band_structure", "spin_relaxation_time")
        if kind == "ferromagnet":
            for key in anti:
                if getattr(self, key) is not None:
                    raise refuse(f"current.{key}", "only for an antiferromagnet")
            if self.polarisation is None:
                raise refuse("current.polarisation", "is missing")
            return
        if self.polarisation is not None:
            raise refuse(
                "current.polarisation", "only for a ferromagnet; an antiferromagnet has p_n or band_structure"
            )
        if (self.p_n is None) == (self.band_structure is None):
            raise refuse("current.p_n", "give either p_n or band_structure")
        if self.band_structure is not None:
            for key in ("p_m", "p_st"):
                if getattr(self, key) is not None:
                    raise refuse(f"current.{key}", "comes from the band structure")
        if self.beta is not None and self.spin_relaxation_time is not None:
            raise refuse("current.beta", "give either beta or spin_relaxation_time")


class TransportDrive(Table):
    """Torque of the solved device, which follows the texture quasi-statically."""

    tolerance: Annotated[float, Field(ge=1e-6, le=0.3)] = Field(
        default=0.01, description="angle [rad] a moment may turn before transport is solved again"
    )
    between: Literal["keep", "turn", "extrapolate"] = Field(
        default="turn",
        description="what becomes of the torque until then: kept, turned with its moment, or"
        " extrapolated along the last change",
    )
    accuracy: Annotated[float, Field(ge=1e-10, le=0.1)] = Field(
        default=1e-4, description="relative error of the torque that the linear solver may leave"
    )
    spin_pumping: bool = Field(
        default=False, description="the moving magnet pumps spin into the device, ferromagnet"
    )
    thickness_average: bool = Field(
        default=False, description="spread the torque of an interface over the thickness of the magnet"
    )
    signal: Signal = own_defaults(
        Signal, description="of all sources of the device: fields, electrodes, spin sources"
    )
