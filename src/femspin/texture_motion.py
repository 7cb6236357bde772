"""One face for the three kinds of motion: a ferromagnet, (n, m), and two sublattices.

A state is a tuple of nodal arrays: (m,), (n, m), or the stack of both sublattices.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from .dynamics.coupling import CoupledTorque, coupled_step
from .dynamics.texture.antiferromagnet import AntiferroTexture, Rotor
from .dynamics.texture.explicit import Heun, RungeKutta
from .dynamics.texture.ferromagnet import Texture
from .dynamics.texture.midpoint import Midpoint
from .dynamics.texture.run import relax_texture
from .dynamics.texture.two_sublattice import join, split
from .errors import CaseError, SolverError
from .texture_system import TextureSystem
from .units import LENGTH, RATE, TIME

__all__ = ["Motion", "State", "relaxed", "start_motion"]

Array = NDArray[np.float64]
State = tuple[Array, ...]

_STIFF = 2.0  # exchange precession of neighbouring nodes [1/ps] from which midpoint is faster
_SHARE = 0.3  # of the stability limit of the rotor scheme
_TURN = 0.1  # of the resonance, per step
_MOST_ROUNDS = 20_000
_SAME = 1e-6  # angle [rad] below which transport around an antiferromagnet at rest is the same


class Motion(Protocol):
    """A texture with its time scheme."""

    scheme: Any
    names: tuple[str, ...]

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
    """A ferromagnet."""

    texture: Texture
    scheme: Any
    names: tuple[str, ...] = ("m",)
    coupled: CoupledTorque | None = None

    def advance(self, state: State, clock: float, end: float) -> State:
        """Return the state at the time `end` [ps]."""
        (m,) = state
        while clock < end:
            if self.coupled is None:
                m, clock = self.scheme.advance(m, clock, end)
            else:
                m, clock = coupled_step(self.scheme, self.texture, self.coupled, m, clock, end)
        return (m,)

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
    """An antiferromagnet in n and m."""

    texture: AntiferroTexture
    scheme: Rotor
    names: tuple[str, ...] = ("n", "m")
    coupled: CoupledTorque | None = None

    def advance(self, state: State, clock: float, end: float) -> State:
        """Return the state at the time `end` [ps]."""
        n, m = state
        if self.coupled is None:
            n, m, _ = self.scheme.advance(n, m, clock, end)
            return n, m
        count = max(1, int(np.ceil((end - clock) / self.scheme.step - 1e-9)))
        for start, stop in pairwise(np.linspace(clock, end, count + 1)):
            self.coupled.renew(float(start) * TIME, n)
            n, m, _ = self.scheme.advance(n, m, float(start), float(stop))
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
    """An antiferromagnet as two sublattices."""

    texture: Texture
    scheme: Midpoint
    names: tuple[str, ...] = ("stack",)

    def advance(self, state: State, clock: float, end: float) -> State:
        """Return the state at the time `end` [ps]."""
        (stack,) = state
        while clock < end:
            stack, clock = self.scheme.advance(stack, clock, end)
        return (stack,)

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


def start_motion(system: TextureSystem, order: Array) -> tuple[Motion, State]:
    """Return the driven motion of a case and its initial state.

    Args:
        system: The magnet and its drives.
        order: Initial m or n, shape (n, 3).

    Raises:
        CaseError: If the scheme or its step does not fit.
    """
    if not system.antiferromagnetic:
        texture = system.ferromagnet()
        _let_pump(system, texture)
        motion = FerroMotion(texture, _ferro_scheme(system, texture), coupled=system.coupled)
        return motion, (texture.start(order),)
    staggered = system.antiferromagnet()
    n, m = staggered.start(order, _equilibrium_canting(system))
    step = system.table.step
    if system.table.scheme == "two_sublattice":
        stack = system.sublattices()
        scheme = Midpoint(stack, 1e-3 if step is None else step / TIME,
                          system.table.tolerance if step is None else None)  # fmt: skip
        return SublatticeMotion(stack, scheme), (join(n, m),)
    length = _rotor_step(staggered) if step is None else step / TIME
    try:
        return RotorMotion(staggered, Rotor(staggered, length), coupled=system.coupled), (n, m)
    except CaseError as error:
        raise CaseError("texture.step", error.problem) from None


def _let_pump(system: TextureSystem, texture: Texture) -> None:
    """Let the motion of a texture pump spin into the device, if the case says so."""
    options = system.table.transport
    if system.coupled is not None and options is not None and options.spin_pumping:
        system.coupled.velocity = lambda time, m: texture.rate(m, time / TIME) * RATE


def _ferro_scheme(system: TextureSystem, texture: Texture) -> Any:
    table = system.table
    step = None if table.step is None else table.step / TIME
    if table.scheme == "heun":
        assert step is not None
        return Heun(texture, step)
    stiff = texture.thermal is not None or _exchange_rate(system) > _STIFF
    if table.scheme == "midpoint" or (table.scheme == "auto" and stiff):
        return Midpoint(texture, step or 1e-3, None if step else table.tolerance)
    return RungeKutta(texture, table.tolerance, step or 1e-3, fixed=step is not None)


def _exchange_rate(system: TextureSystem) -> float:
    """Return the fastest exchange precession on the mesh [1/ps]."""
    magnet = system.magnet
    k = 4 * magnet.exchange_stiffness / (system.space.spacing * LENGTH) ** 2
    return float(2 * k / magnet.spin_density * TIME)


def _rotor_step(texture: AntiferroTexture) -> float:
    """Return a step [ps] well below the stability limit that resolves the resonance."""
    limit = _SHARE * texture.longest_step
    resonance = texture.magnet.resonance if texture.magnet.anisotropy > 0 else 0.0
    return min(limit, _TURN / (resonance * TIME)) if resonance else limit


def _equilibrium_canting(system: TextureSystem) -> Array:
    """Return m of the steady field without regard to n: its part normal to n is kept."""
    texture = system.antiferromagnet(driven=False)
    if texture.precession is None:
        return np.zeros(3)
    canting: Array = np.asarray(texture.precession(0.0)) / texture.stiffness_rate
    return canting


def relaxed(
    system: TextureSystem, order: Array, field: Any = None, driven: bool = False
) -> tuple[Array, Array | None]:
    """Return an equilibrium near a texture: m, or n and m of an antiferromagnet.

    Args:
        system: The magnet.
        order: Where to start, shape (n, 3).
        field: Field in place of the steady one of the case [T].
        driven: Under the torques and fields of time 0.

    Raises:
        SolverError: If there is none.
    """
    tolerance = system.table.relax_torque
    if system.antiferromagnetic:
        return _relaxed_staggered(system, order, field, driven)
    texture = replace(system.ferromagnet(field, driven), thermal=None)
    if driven and system.coupled is not None:
        return _settled(texture, system.coupled, texture.start(order), tolerance), None
    return relax_texture(texture, texture.start(order), tolerance), None


def _settled(texture: Texture, torque: CoupledTorque, m: Array, tolerance: float) -> Array:
    """Return the rest state under the torque of transport, solved for that very state.

    Raises:
        SolverError: If there is none.
    """
    scheme = Midpoint(texture.with_damping(1.0), 0.1, tolerance=0.03, longest=1e4)
    clock = 0.0

    def at_rest() -> bool:
        speed = np.linalg.norm(texture.rotation(m, clock), axis=1).max() * RATE
        return bool(speed / texture.gamma < tolerance)

    for _ in range(_MOST_ROUNDS):
        if at_rest() and (not torque.renew_at(clock * TIME, m) or at_rest()):
            return m
        m, clock = coupled_step(scheme, scheme.texture, torque, m, clock, np.inf)
    raise SolverError(f"no equilibrium after {_MOST_ROUNDS} steps; the torque of transport may"
                      " sustain an oscillation")  # fmt: skip


def _relaxed_staggered(
    system: TextureSystem, order: Array, field: Any, driven: bool
) -> tuple[Array, Array]:
    """Return n and m at rest: motion near the aperiodic limit, where it decays fastest."""
    texture = system.antiferromagnet(field, driven)
    magnet = texture.magnet
    slowest = magnet.resonance if magnet.anisotropy > 0 else 0.1 * RATE
    damping = 2 * slowest * magnet.spin_density / magnet.homogeneous_exchange
    texture = texture.with_damping(damping)
    motion = RotorMotion(texture, Rotor(texture, _rotor_step(texture)))
    motion.coupled = system.coupled if driven else None
    n, m = texture.start(order, _equilibrium_canting(system))
    stretch, clock, calm = 1 / (slowest * TIME), 0.0, 0
    for _ in range(_MOST_ROUNDS):
        before = n
        n, m = motion.advance((n, m), clock, clock + stretch)
        clock += stretch
        calm = calm + 1 if _speed(n, before, stretch) / magnet.gamma < _quiet(system) else 0
        if calm == 2:
            if motion.coupled is None or not motion.coupled.renew_at(clock * TIME, n, _SAME):
                return n, m
            calm = 0
    raise SolverError(f"no equilibrium of the antiferromagnet after {clock:g} ps; the torques may"
                      " sustain a motion")  # fmt: skip


def _quiet(system: TextureSystem) -> float:
    """Return the |dn/dt|/gamma [T] below which a damped antiferromagnet rests.

    dn/dt = w_n/(alpha s) here, and |n x w_n| = 2 M_0 B with B the torque that is allowed.
    """
    magnet: Any = system.magnet
    slowest = magnet.resonance if magnet.anisotropy > 0 else 0.1 * RATE
    alpha = 2 * slowest * magnet.spin_density / magnet.homogeneous_exchange
    return float(system.table.relax_torque / alpha)


def _speed(after: Array, before: Array, step: float) -> float:
    """Return the largest mean rate of nodal vectors [1/s] over a time [ps]."""
    return float(np.linalg.norm(after - before, axis=1).max()) / (step * TIME)
