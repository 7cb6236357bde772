"""Textures at rest: stable equilibria under the steady drives, or under those of time 0."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .dynamics.coupling import CoupledTorque, coupled_step
from .dynamics.texture.antiferromagnet import Rotor
from .dynamics.texture.ferromagnet import Texture
from .dynamics.texture.midpoint import Midpoint
from .dynamics.texture.rest import (
    FINE,
    GROWTH,
    SHORT,
    TILT,
    departed,
    grown,
    stable,
    still,
    still_staggered,
    tilted,
)
from .dynamics.texture.run import relax_texture
from .errors import SolverError
from .texture_clock import resonance_rate
from .texture_motion import RotorMotion, State, equilibrium_canting, rotor_step
from .texture_system import TextureSystem
from .units import LENGTH, RATE, TIME

__all__ = ["relaxed"]

Array = NDArray[np.float64]

_MOST_ROUNDS = 20_000
_SAME = 1e-6  # angle [rad] below which transport around an antiferromagnet at rest is the same


def relaxed(
    system: TextureSystem, order: Array, field: Any = None, driven: bool = False
) -> tuple[Array, Array | None]:
    """Return a stable equilibrium near a texture: m, or n and m of an antiferromagnet.

    Args:
        system: The magnet.
        order: Where to start, shape (n, 3).
        field: Field in place of the steady one of the case [T].
        driven: Under the torques and fields of time 0, which then never change.

    Raises:
        SolverError: If there is none.
    """
    if system.rehearsal:
        return _unmoved(system, order, field)
    if driven and system.coupled is not None:
        with _stopped(system.coupled):
            return _relaxed(system, order, field, driven)
    return _relaxed(system, order, field, driven)


def _unmoved(system: TextureSystem, order: Array, field: Any) -> tuple[Array, Array | None]:
    """Return a state in place of the equilibrium: along the field, or where it starts."""
    along = None if field is None or not np.any(field) else field / np.linalg.norm(field)
    if not system.antiferromagnetic:
        return order if along is None else np.tile(along, (len(order), 1)), None
    if along is not None:
        return order, np.tile(along, (len(order), 1))
    return order, equilibrium_canting(system.antiferromagnet(driven=False), order)


@contextmanager
def _stopped(torque: CoupledTorque) -> Iterator[None]:
    """Keep the sources of a device at their strength of time 0."""
    signal = torque.signal
    if signal is not None:
        strength = signal(0.0)
        torque.signal = lambda _: strength
    try:
        yield
    finally:
        torque.signal = signal


def _relaxed(
    system: TextureSystem, order: Array, field: Any, driven: bool
) -> tuple[Array, Array | None]:
    if system.antiferromagnetic:
        return _relaxed_staggered(system, order, field, driven)
    texture, tolerance = replace(system.ferromagnet(field, driven), thermal=None), _allowed(system)
    if driven and system.coupled is not None:
        return _settled(still(texture), system.coupled, texture.start(order), tolerance), None
    return relax_texture(texture, texture.start(order), tolerance), None


def _allowed(system: TextureSystem) -> float:
    """Return the torque at which a texture rests [T]."""
    return float(system.table.relax_torque)


# ---------------------------------------------------------------- ferromagnets with transport


def _settled(texture: Texture, torque: CoupledTorque, m: Array, tolerance: float) -> Array:
    """Return the stable rest state under the torque of transport, solved for that very state.

    Raises:
        SolverError: If there is none.
    """
    damped = texture.with_damping(1.0)

    def march(start: Array) -> Array:
        state, clock = start, 0.0
        scheme = Midpoint(damped, 0.1, tolerance=0.03, longest=1e4)
        for _ in range(_MOST_ROUNDS):
            if _rests(texture, torque, state, clock, tolerance):
                return state
            state, clock = coupled_step(scheme, damped, torque, state, clock, np.inf)
        raise SolverError(f"no equilibrium after {_MOST_ROUNDS} steps; the torque of transport may"
                          " sustain an oscillation")  # fmt: skip

    def again(rest: Array) -> Array:
        scheme, clock = Midpoint(damped, 0.1, tolerance=GROWTH, longest=SHORT), 0.0

        def advance(state: Array) -> Array:
            nonlocal clock
            state, clock = coupled_step(scheme, damped, torque, state, clock, np.inf)
            return state

        away = grown(rest, advance, lambda state: _rests(texture, torque, state, clock, FINE),
                     _MOST_ROUNDS)  # fmt: skip
        after = rest if away is None else march(away)
        if departed(rest, after):
            return after
        torque.renew_at(0.0, rest)
        return rest

    return stable(march(m), again)


def _rests(
    texture: Texture, torque: CoupledTorque, m: Array, clock: float, tolerance: float
) -> bool:
    """Return whether |dm/dt|/gamma is below a tolerance [T] under the transport of this m."""

    def slow() -> bool:
        speed = np.linalg.norm(texture.rotation(m, 0.0), axis=1).max() * RATE
        return bool(speed / texture.gamma < tolerance)

    return slow() and (not torque.renew_at(clock * TIME, m) or slow())


# ---------------------------------------------------------------- antiferromagnets


def _relaxed_staggered(
    system: TextureSystem, order: Array, field: Any, driven: bool
) -> tuple[Array, Array]:
    """Return n and m at rest: motion near the aperiodic limit, where it decays fastest."""
    motion, tolerance = _damped_motion(system, field, driven), _allowed(system)

    def again(rest: State) -> State:
        after = _calmed(system, motion, tilted(rest[0]), min(tolerance, FINE))
        if _left(motion, rest, after, tolerance):
            return after
        if motion.coupled is not None:
            motion.coupled.renew_at(0.0, rest[0], _SAME)
        return rest

    n, m = stable(_calmed(system, motion, order, tolerance), again)
    return n, m


def _damped_motion(system: TextureSystem, field: Any, driven: bool) -> RotorMotion:
    """Return the motion of an antiferromagnet under the drives of time 0, strongly damped."""
    texture = still_staggered(system.antiferromagnet(field, driven))
    magnet = texture.magnet
    damping = 2 * _slowest(system) * magnet.spin_density / magnet.homogeneous_exchange
    texture = texture.with_damping(damping)
    motion = RotorMotion(texture, Rotor(texture, rotor_step(texture, resonance_rate(texture))))
    motion.coupled = system.coupled if driven else None
    return motion


def _left(motion: RotorMotion, rest: State, after: State, tolerance: float) -> bool:
    """Return whether n leaves a state of rest when it is tilted.

    Without torques it must gain more energy than torques below the tolerance [T] do on the way.
    """
    texture, magnet = motion.texture, motion.texture.magnet
    if texture.external is not None or texture.transfer is not None or texture.orbit:
        return departed(rest[0], after[0])
    way = np.linalg.norm(after[0] - rest[0], axis=1)
    work = float(texture.space.volumes @ way) * LENGTH**3 * magnet.spin_density * magnet.gamma
    gain = motion.energy(rest, 0.0) - motion.energy(after, 0.0)
    return bool(way.max() > TILT and gain > tolerance * work)


def _calmed(system: TextureSystem, motion: RotorMotion, order: Array, tolerance: float) -> State:
    """Return the state in which a strongly damped antiferromagnet comes to rest.

    Args:
        system: The magnet.
        motion: Its motion under drives that do not change.
        order: n, which starts without speed, shape (n, 3).
        tolerance: Largest torque left [T].

    Raises:
        SolverError: If it does not come to rest.
    """
    texture = motion.texture
    n, m = texture.start(order, equilibrium_canting(texture, order))
    # dn/dt = w_n/(alpha s) here, and |n x w_n| = 2 M_0 B with B the torque that is allowed.
    quiet = tolerance / texture.magnet.damping * texture.magnet.gamma
    stretch, clock, calm = 1 / (_slowest(system) * TIME), 0.0, 0
    for _ in range(_MOST_ROUNDS):
        before = n
        n, m = motion.advance((n, m), clock, clock + stretch)
        clock += stretch
        speed = np.linalg.norm(n - before, axis=1).max() / (stretch * TIME)
        calm = calm + 1 if speed < quiet else 0
        if calm == 2:
            if motion.coupled is None or not motion.coupled.renew_at(clock * TIME, n, _SAME):
                return n, m
            calm = 0
    raise SolverError(f"no equilibrium of the antiferromagnet after {clock:g} ps; the torques may"
                      " sustain a motion")  # fmt: skip


def _slowest(system: TextureSystem) -> float:
    """Return the rate at which an antiferromagnet is relaxed [rad/s]."""
    magnet: Any = system.magnet
    return float(magnet.resonance if magnet.anisotropy > 0 else 0.1 * RATE)
