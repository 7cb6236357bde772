"""Tables of what is found out about a texture besides its motion."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from . import quantity as q
from .names import path_parts
from .scan import number_and_unit
from .values import Direction, Table, refuse

__all__ = ["Hysteresis", "LineShape", "Resonance", "Threshold"]


class Hysteresis(Table):
    """A loop of the field from `largest` to minus it and back; the texture relaxes at each."""

    direction: Direction = Field(default=[0.0, 0.0, 1.0])
    largest: q.MagneticField
    points: Annotated[int, Field(ge=3, le=5000)] = Field(default=41, description="of one branch")

    @model_validator(mode="after")
    def _largest_is_positive(self) -> Hysteresis:
        if not self.largest > 0:
            raise refuse("largest", "must be > 0")
        return self


class Threshold(Table):
    """The value of a key at which a run switches or the state at rest loses its stability."""

    vary: str = Field(description='dotted path, like "texture.spin_orbit.0.damping_like"')
    low: str | float = Field(description="below the threshold, written as in the case")
    high: str | float = Field(description="above the threshold")
    tolerance: Annotated[float, Field(ge=1e-9, le=0.5)] = Field(
        default=1e-3, description="width of the final bracket over its middle"
    )
    criterion: Literal["switched", "unstable"] = Field(
        default="switched", description="unstable: a small motion about the state at rest grows"
    )

    @model_validator(mode="after")
    def _bracket(self) -> Threshold:
        parts = path_parts(self.vary)
        if parts[:1] not in {("texture",), ("drive",)} or len(parts) < 2:
            raise refuse(
                "vary",
                "must be a path below texture, or below drive with the torques of"
                ' transport, like "texture.damping"',
            )
        found = []
        for key in ("low", "high"):
            read = number_and_unit(getattr(self, key))
            if read is None:
                raise refuse(key, 'must be a number, or text with a unit, like "10 mT"')
            found.append(read)
        (low, unit), (high, other) = found
        if unit != other:
            raise refuse("high", "must have the unit of low, {u}", u=unit or "none")
        if not 0 <= low < high:
            raise refuse("high", "must be above low, and low >= 0")
        return self

    @property
    def varies_drive(self) -> bool:
        """Whether the key belongs to what drives the device."""
        return path_parts(self.vary)[0] == "drive"

    @property
    def bracket(self) -> tuple[float, float, str]:
        """Both ends and their unit."""
        low, high = number_and_unit(self.low), number_and_unit(self.high)
        assert low is not None
        assert high is not None
        return low[0], high[0], low[1]


class Resonance(Table):
    """Eigenmodes about equilibrium, and the spectrum of the motion after a kick."""

    modes: Annotated[int, Field(ge=1, le=100)] = 4
    kick: Annotated[float, Field(ge=0, le=1)] = Field(
        default=0.01, description="angle [rad] of the kick; 0 leaves the motion out"
    )
    kick_axis: Direction | None = Field(
        default=None, description="about which it turns; default: across the mean direction"
    )


class LineShape(Table):
    r"""Spin-torque ferromagnetic resonance: rectified signal against the field.

    All fields and torques with a sine drive at one frequency in phase with the current; the
    resistance is that of (m.axis)^2.
    """

    frequency: q.Rate
    direction: Direction = Field(default=[1.0, 0.0, 0.0], description="of the swept field")
    low: q.MagneticField
    high: q.MagneticField
    points: Annotated[int, Field(ge=8, le=5000)] = 101
    axis: Direction = Field(default=[1.0, 0.0, 0.0], description="of the anisotropic resistance")

    @model_validator(mode="after")
    def _range(self) -> LineShape:
        if not 0 < self.low < self.high:
            raise refuse("high", "must be above low, and low > 0")
        if not self.frequency > 0:
            raise refuse("frequency", "must be > 0")
        return self
