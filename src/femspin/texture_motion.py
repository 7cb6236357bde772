"""One face for the three kinds of motion: a ferromagnet, (n, m), and two sublattices.

A state is a tuple of nodal arrays: (m,), (n, m), or the stack of both sublattices.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

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

    def advance(self, state: State, clock: float, end: float) -> State:
        """Return the state at the time `end` [ps]."""
        (m,) = state
        while clock < end:
            m, clock = self.scheme.advance(m, clock, end)
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

    def advance(self, state: State, clock: float, end: float) -> State:
        """Return the state at the time `end` [ps]."""
        n, m, _ = self.scheme.advance(state[0], state[1], clock, end)
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
        return FerroMotion(texture, _ferro_scheme(system, texture)), (texture.start(order),)
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
        return RotorMotion(staggered, Rotor(staggered, length)), (n, m)
    except CaseError as error:
        raise CaseError("texture.step", error.problem) from None


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
    return relax_texture(texture, texture.start(order), tolerance), None


def _relaxed_staggered(
    system: TextureSystem, order: Array, field: Any, driven: bool
) -> tuple[Array, Array]:
    """Return n and m at rest: motion near the aperiodic limit, where it decays fastest."""
    texture = system.antiferromagnet(field, driven)
    magnet = texture.magnet
    slowest = magnet.resonance if magnet.anisotropy > 0 else 0.1 * RATE
    damping = 2 * slowest * magnet.spin_density / magnet.homogeneous_exchange
    texture = texture.with_damping(damping)
    rotor = Rotor(texture, _rotor_step(texture))
    n, m = texture.start(order, _equilibrium_canting(system))
    stretch, clock, calm = 1 / (slowest * TIME), 0.0, 0
    for _ in range(_MOST_ROUNDS):
        before = n
        n, m, clock = rotor.advance(n, m, clock, clock + stretch)
        calm = calm + 1 if _speed(n, before, stretch) / magnet.gamma < _quiet(system) else 0
        if calm == 2:
            return n, m
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
