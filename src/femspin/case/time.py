"""Tables of what happens in time: [dynamics], [frequency] and [transient]."""

from __future__ import annotations

import math
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from . import quantity as q
from .values import Table, not_negative, refuse

__all__ = ["Dynamics", "Frequency", "Transient", "check_one_motion"]

_MOST_OUTPUTS = 1_000_000
_DEFAULT_OUTPUTS = 100


def _no_hertz(text: Any) -> Any:
    return q.without_hertz(text, "; write a frequency in Hz as frequency.frequency")


def _check_outputs(duration: float, interval: float | None) -> None:
    if interval is not None and not 1 <= duration / interval <= _MOST_OUTPUTS:
        raise refuse(
            "output_interval",
            "must be at most the duration of {t} s, and at least that over {n}",
            t=duration,
            n=_MOST_OUTPUTS,
        )


_Frequency = Annotated[q.Rate, AfterValidator(not_negative)]
_Angular = Annotated[q.Rate, BeforeValidator(_no_hertz), AfterValidator(not_negative)]
_Many = Field(min_length=1, max_length=10_000)


class Dynamics(Table):
    """Motion of a macrospin FI under field, anisotropy, damping and the interface torque."""

    mode: Literal["run", "relax"] = "run"
    region: str | None = Field(default=None, description="the FI region that moves; default: the only one")
    duration: q.Duration = 1e-9
    output_interval: q.Duration | None = None
    tolerance: Annotated[float, Field(gt=0, le=1e-2)] = 1e-7
    relax_torque: Annotated[float, Field(gt=0)] = Field(
        default=1e-6, description="relaxed when |dm/dt| falls below this fraction of the field precession"
    )
    frames: Annotated[int, Field(ge=2, le=1000)] = Field(
        default=6, description="field files along the motion"
    )
    transport_tolerance: Annotated[float, Field(ge=0, le=0.1)] = Field(
        default=0.0, description="re-solve transport once m has moved by more than this [rad]"
    )

    @model_validator(mode="after")
    def _outputs_fit_duration(self) -> Dynamics:
        _check_outputs(self.duration, self.output_interval)
        return self


class Frequency(Table):
    """Response to sources that oscillate as exp(+iWt), at one or more frequencies."""

    frequency: Annotated[list[_Frequency], _Many] | None = Field(
        default=None, description='W/(2 pi), like "10 GHz"'
    )
    angular_frequency: Annotated[list[_Angular], _Many] | None = Field(
        default=None, description='W, instead of frequency, like "1e11 rad/s"'
    )

    @model_validator(mode="after")
    def _given_once(self) -> Frequency:
        if (self.frequency is None) == (self.angular_frequency is None):
            raise refuse("frequency", "give either frequency or angular_frequency, a list")
        return self

    @property
    def angular(self) -> list[float]:
        """Angular frequencies W [rad/s]."""
        if self.angular_frequency is not None:
            return list(self.angular_frequency)
        return [2 * math.pi * f for f in self.frequency or ()]


_ONE_TIME = 1e-12


class Transient(Table):
    """Transport in time after the sources (all of them) are switched."""

    drive: Literal["step", "pulse", "off"] = Field(
        default="step",
        description="step: on at t = 0; pulse: on, off after pulse_length; off: steady before"
        " t = 0, then switched off",
    )
    pulse_length: q.Duration | None = None
    duration: q.Duration
    output_interval: q.Duration | None = Field(default=None, description="default: duration / 100")
    tolerance: Annotated[float, Field(ge=1e-10, le=1e-1)] = Field(
        default=1e-5, description="allowed error per step, relative to the size of the solution"
    )
    frames: Annotated[int, Field(ge=1, le=1000)] = Field(
        default=20, description="field files along the motion"
    )

    @model_validator(mode="after")
    def _values_fit_together(self) -> Transient:
        _check_outputs(self.duration, self.output_interval)
        if (self.drive == "pulse") != (self.pulse_length is not None):
            raise refuse("pulse_length", 'comes with drive = "pulse", and only there')
        if self.pulse_length is not None and self.pulse_length >= self.duration:
            raise refuse("pulse_length", "must be shorter than the duration of {t} s", t=self.duration)
        return self

    @property
    def times(self) -> list[float]:
        """Initial time 0 and the output times [s]; the last one is the duration."""
        interval = self.output_interval or self.duration / _DEFAULT_OUTPUTS
        count = max(1, round(self.duration / interval))
        times = [self.duration * k / count for k in range(count + 1)]
        end = self.pulse_length
        if end is None:
            return times
        # The end of a pulse and the output at it are one time, whatever the last digit.
        return [end if abs(t - end) <= _ONE_TIME * self.duration else t for t in times]

    @property
    def shortest(self) -> float:
        """The shortest time that the output resolves [s]."""
        return self.times[1]

    def scale(self, time: float) -> float:
        """Return the drive at a time [s] after the switch; at a jump, the later value."""
        if self.drive == "off":
            return 0.0
        return 0.0 if self.pulse_length is not None and time >= self.pulse_length else 1.0


def check_one_motion(case: Table, *names: str) -> None:
    """Refuse a case with more than one of the tables that set what happens in time."""
    given = [name for name in names if getattr(case, name) is not None]
    if len(given) > 1:
        raise refuse(
            given[1],
            "a case has one of {a}; [{b}] is given too",
            a=", ".join(f"[{name}]" for name in names),
            b=given[0],
        )
