"""One face for the three kinds of motion: a ferromagnet, (n, m), and two sublattices.

A state is a tuple of nodal arrays: (m,), (n, m), or the stack of both sublattices.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, Protocol

import numpy as np

from ...device.coupled.steps import coupled_step
from ...device.coupled.torque import CoupledTorque
from ...errors import CaseError, SolverError
from ...magnets.antiferromagnet import AntiferroTexture, Rotor
from ...magnets.explicit import Heun, RungeKutta
from ...magnets.ferromagnet import Texture
from ...magnets.fixed_step import FixedStep, judged
from ...magnets.intervals import Step, march, smooth_parts
from ...magnets.midpoint import Midpoint
from ...magnets.two_sublattice import join, split
from ...magnets.vectors import cross
from ...units import LENGTH, RATE, TIME, Array
from .clock import drive_breaks, longest_step, rotor_rate
from .system import TextureSystem

__all__ = [
    "MOST_CANTING",
    "Motion",
    "RotorMotion",
    "State",
    "check_canting",
    "equilibrium_canting",
    "rotor_step",
    "start_motion",
]

State = tuple[Array, ...]
Watch = Callable[[Array], None]

_STIFF = 2.0  # exchange precession of neighbouring nodes [1/ps] from which midpoint is faster
_SHARE = 0.3  # of the stability limit of the rotor scheme
MOST_CANTING = 0.2
"""|m| up to which the (n, m) model of an antiferromagnet is taken to hold."""
_OTHER = 'set texture.scheme = "two_sublattice"'
_TURN = 0.1  # of the fastest motion, per step [rad]


class Motion(Protocol):
    """A texture with its time scheme.

    `judge` looks at steps of a scheme that keeps its step, `watch` sees m or n after every step.
    """

    scheme: Any
    names: tuple[str, ...]
    judge: FixedStep | None
    watch: Watch | None

    def advance(self, state: State, clock: float, end: float) -> State:
        """Return the state at the time `end` [ps]."""

    def order(self, state: State) -> Array:
        """Return m of a ferromagnet or n of an antiferromagnet, shape (n, 3)."""

    def canting(self, state: State) -> Array | None:
        """Return m of an antiferromagnet, shape (n, 3); None of a ferromagnet."""

    def energy(self, state: State, clock: float) -> float:
        """Return the energy [J] without the work of torques."""

    def unrest(self, state: State, clock: float) -> float:
        """Return the largest |dm/dt|/gamma or |dn/dt|/gamma [T]."""


@dataclass
class FerroMotion:
    """A ferromagnet; `breaks` are ascending times [ps] where a drive is not smooth."""

    texture: Texture
    scheme: Any
    names: tuple[str, ...] = ("m",)
    coupled: CoupledTorque | None = None
    breaks: Array = field(default_factory=lambda: np.zeros(0))
    judge: FixedStep | None = None
    watch: Watch | None = None

    def advance(self, state: State, clock: float, end: float) -> State:
        """Return the state at the time `end` [ps]."""
        torque = self.coupled

        def step(m: Array, now: float, until: float) -> tuple[Array, float]:
            assert torque is not None
            return coupled_step(self.scheme, self.texture, torque, m, now, until)

        one = self.scheme.advance if torque is None else step
        seen = _watched(one, self.watch)
        return (march(self.scheme, state[0], clock, end, self.breaks, seen),)

    def order(self, state: State) -> Array:
        """Return m, shape (n, 3)."""
        return state[0]

    def canting(self, state: State) -> Array | None:
        """Return None."""
        return None

    def energy(self, state: State, clock: float) -> float:
        """Return the energy [J]."""
        return self.texture.energy(state[0], clock)

    def unrest(self, state: State, clock: float) -> float:
        """Return the largest |dm/dt|/gamma [T]."""
        rate = np.linalg.norm(self.texture.rotation(state[0], clock), axis=1).max()
        return float(rate) * RATE / self.texture.gamma


@dataclass
class RotorMotion:
    """An antiferromagnet in n and m; `breaks` are as of `FerroMotion`."""

    texture: AntiferroTexture
    scheme: Rotor
    names: tuple[str, ...] = ("n", "m")
    coupled: CoupledTorque | None = None
    breaks: Array = field(default_factory=lambda: np.zeros(0))
    judge: FixedStep | None = None
    watch: Watch | None = None

    def advance(self, state: State, clock: float, end: float) -> State:
        """Return the state at the time `end` [ps]."""
        n, m = state
        for part in smooth_parts(clock, end, self.breaks):
            if part.before is not None:
                m = self.scheme.jump(n, m, part.before, part.start)
            n, m = self._smooth(n, m, part.start, part.stop)
        return n, m

    def _smooth(self, n: Array, m: Array, clock: float, end: float) -> State:
        """Return the state at the time `end` [ps] under smooth drives."""
        if self.coupled is None:
            n, m, _ = self.scheme.advance(n, m, clock, end, self.watch)
            return n, m
        count = max(1, int(np.ceil((end - clock) / self.scheme.step - 1e-9)))
        for start, stop in pairwise(np.linspace(clock, end, count + 1)):
            self.coupled.renew(float(start) * TIME, n)
            n, m, _ = self.scheme.advance(n, m, float(start), float(stop), self.watch)
        return n, m

    def order(self, state: State) -> Array:
        """Return n, shape (n, 3)."""
        return state[0]

    def canting(self, state: State) -> Array | None:
        """Return m, shape (n, 3)."""
        return state[1]

    def energy(self, state: State, clock: float) -> float:
        """Return the energy [J]."""
        return self.texture.energy(state[0], state[1], clock)

    def unrest(self, state: State, clock: float) -> float:
        """Return the largest |dn/dt|/gamma [T] over the next step."""
        step = self.scheme.step
        n, _, _ = Rotor(self.texture, step).advance(state[0], state[1], clock, clock + step)
        return _speed(n, state[0], step) / self.texture.magnet.gamma


@dataclass
class SublatticeMotion:
    """An antiferromagnet as two sublattices; `breaks` are as of `FerroMotion`."""

    texture: Texture
    scheme: Midpoint
    names: tuple[str, ...] = ("stack",)
    breaks: Array = field(default_factory=lambda: np.zeros(0))
    judge: FixedStep | None = None
    watch: Watch | None = None

    def advance(self, state: State, clock: float, end: float) -> State:
        """Return the state at the time `end` [ps]."""
        watch = None if self.watch is None else self._seen
        one = _watched(self.scheme.advance, watch)
        return (march(self.scheme, state[0], clock, end, self.breaks, one),)

    def _seen(self, stack: Array) -> None:
        assert self.watch is not None
        self.watch(split(stack)[0])

    def order(self, state: State) -> Array:
        """Return n, shape (n, 3)."""
        return split(state[0])[0]

    def canting(self, state: State) -> Array | None:
        """Return m, shape (n, 3)."""
        return split(state[0])[1]

    def energy(self, state: State, clock: float) -> float:
        """Return the energy [J]."""
        return self.texture.energy(state[0], clock)

    def unrest(self, state: State, clock: float) -> float:
        """Return the largest |dm_X/dt|/gamma of a sublattice [T]."""
        rate = np.linalg.norm(self.texture.rotation(state[0], clock), axis=1).max()
        return float(rate) * RATE / self.texture.gamma


def _watched(step: Step, watch: Watch | None) -> Step:
    """Return a step after which the state is shown."""
    if watch is None:
        return step

    def shown(m: Array, now: float, until: float) -> tuple[Array, float]:
        m, now = step(m, now, until)
        watch(m)
        return m, now

    return shown


def start_motion(system: TextureSystem, order: Array, canting: Array | None = None) -> tuple[Motion, State]:
    """Return the driven motion of a case and its initial state.

    Args:
        system: The magnet and its drives.
        order: Initial m or n, shape (n, 3).
        canting: Initial m of an antiferromagnet, shape (n, 3); by default that with which n
            rests in the steady field.

    Raises:
        CaseError: If the scheme or its step does not fit.
    """
    breaks = drive_breaks(system.table)
    if not system.antiferromagnetic:
        texture = system.ferromagnet()
        _let_pump(system, texture)
        scheme = _ferro_scheme(system, texture)
        motion = FerroMotion(texture, scheme, coupled=system.coupled, breaks=breaks, judge=judged(scheme))
        return motion, (texture.start(order),)
    if canting is None:
        canting = equilibrium_canting(system.antiferromagnet(driven=False), order)
    return _start_staggered(system, order, canting, breaks)


def _start_staggered(
    system: TextureSystem, order: Array, canting: Array, breaks: Array
) -> tuple[Motion, State]:
    """Return the driven motion of an antiferromagnet and its initial state."""
    staggered = system.antiferromagnet()
    n, m = staggered.start(order, canting)
    step, longest = system.table.step, longest_step(system.table)
    if system.table.scheme == "two_sublattice":
        stack = system.moving_sublattices()
        scheme = Midpoint(
            stack,
            1e-3 if step is None else step / TIME,
            system.table.tolerance if step is None else None,
            longest,
        )
        return SublatticeMotion(stack, scheme, breaks=breaks, judge=judged(scheme)), (join(n, m),)
    length = step / TIME if step is not None else rotor_step(staggered, rotor_rate(system, staggered))
    try:
        # What is given must be stable by itself, whatever the drives ask for.
        rotor = Rotor(staggered, length)
        rotor.step = min(length, longest)
        return RotorMotion(staggered, rotor, coupled=system.coupled, breaks=breaks, judge=judged(rotor)), (
            n,
            m,
        )
    except CaseError as error:
        raise CaseError("texture.step", error.problem) from None


def _let_pump(system: TextureSystem, texture: Texture) -> None:
    """Let the motion of a texture pump spin into the device, if the case says so."""
    options = system.table.transport
    if system.coupled is not None and options is not None and options.spin_pumping:
        system.coupled.velocity = lambda time, m: texture.rate(m, time / TIME) * RATE


def _ferro_scheme(system: TextureSystem, texture: Texture) -> Any:
    table = system.table
    step, longest = None if table.step is None else table.step / TIME, longest_step(table)
    if table.scheme == "heun":
        assert step is not None
        return Heun(texture, min(step, longest))
    stiff = texture.thermal is not None or _exchange_rate(system) > _STIFF
    if table.scheme == "midpoint" or (table.scheme == "auto" and stiff):
        return Midpoint(texture, step or 1e-3, None if step else table.tolerance, longest)
    return RungeKutta(texture, table.tolerance, step or 1e-3, longest, fixed=step is not None)


def _exchange_rate(system: TextureSystem) -> float:
    """Return the fastest exchange precession on the mesh [1/ps]."""
    magnet = system.magnet
    k = magnet.exchange_stiffness * system.space.steepest / LENGTH**2
    return float(2 * k / magnet.spin_density * TIME)


def rotor_step(texture: AntiferroTexture, fastest: float) -> float:
    """Return a step [ps] well below the stability limit that resolves a rate [1/ps]."""
    limit = _SHARE * texture.longest_step
    return min(limit, _TURN / fastest) if fastest > 0 else limit


def equilibrium_canting(texture: AntiferroTexture, n: Array) -> Array:
    """Return m with which n rests in the field of time 0, but for a part along n, shape (n, 3)."""
    canting: Array = -cross(np.broadcast_to(texture.skew, n.shape), n)
    if texture.precession is not None:
        canting = canting + texture.precession(0.0) / texture.stiffness_rate
    return canting


def check_canting(m: Array) -> str:
    """Return a warning where m is too large for the (n, m) model, empty where it is not.

    Raises:
        SolverError: If m is longer than the moments of both sublattices.
    """
    largest = float(np.linalg.norm(m, axis=1).max())
    if largest > 1:
        raise SolverError(
            f"|m| is {largest:.3g}, beyond saturation: the (n, m) model holds for |m| << 1; {_OTHER}"
        )
    if largest <= MOST_CANTING:
        return ""
    return (
        f"|m| reaches {largest:.3g}; the (n, m) model leaves out terms of the order |m|^2 and"
        f" is meant for |m| below {MOST_CANTING:g}: {_OTHER}"
    )


def _speed(after: Array, before: Array, step: float) -> float:
    """Return the largest mean rate of nodal vectors [1/s] over a time [ps]."""
    return float(np.linalg.norm(after - before, axis=1).max()) / (step * TIME)
