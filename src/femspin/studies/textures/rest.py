"""Textures at rest: stable equilibria under the steady drives, or under those of time 0."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import numpy as np

from ...device.coupled.steps import coupled_step
from ...device.coupled.torque import CoupledTorque
from ...errors import SolverError
from ...magnets.antiferromagnet import Rotor
from ...magnets.ferromagnet import Texture
from ...magnets.midpoint import Midpoint
from ...magnets.rest import FINE, GROWTH, SHORT, departed, escaped, grown, stable, still, still_staggered
from ...magnets.run import relax_texture
from ...magnets.small_motion import traceable, unstable
from ...magnets.two_sublattice import join, split
from ...magnets.vectors import normalized
from ...units import RATE, TIME, Array
from .clock import resonance_rate, rotor_rate
from .motion import RotorMotion, State, check_canting, equilibrium_canting, rotor_step
from .system import TextureSystem

__all__ = ["precise", "relaxed"]


_MOST_ROUNDS = 20_000
_CLOSE = 1e-9  # relative error of the flux where its change with a small motion is looked at
_SAME = 1e-6  # angle [rad] below which transport around an antiferromagnet at rest is the same


def relaxed(
    system: TextureSystem, order: Array, field: Any = None, driven: bool = False, canting: Array | None = None
) -> tuple[Array, Array | None]:
    """Return a stable equilibrium near a texture: m, or n and m of an antiferromagnet.

    That of an antiferromagnet is that of its two sublattices, n = (m_A - m_B)/2; on a device it
    is that of the (n, m) model.

    Args:
        system: The magnet.
        order: Where to start, m or n, shape (n, 3).
        field: Field in place of the steady one of the case [T].
        driven: Under the torques and fields of time 0, which then never change.
        canting: m of an antiferromagnet to start with, shape (n, 3); by default that with which
            n rests in the field.

    Raises:
        SolverError: If there is none.
    """
    if system.rehearsal:
        return _unmoved(system, order, field)
    if driven and system.coupled is not None:
        with _stopped(system.coupled):
            return _relaxed(system, order, field, driven, canting)
    return _relaxed(system, order, field, driven, canting)


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
    system: TextureSystem, order: Array, field: Any, driven: bool, canting: Array | None
) -> tuple[Array, Array | None]:
    tolerance = _allowed(system)
    if system.antiferromagnetic:
        if driven and system.coupled is not None:
            return _relaxed_staggered(system, order, field)
        start = equilibrium_canting(system.antiferromagnet(field), order)
        stack = join(order, start if canting is None else canting)
        return split(relax_texture(system.sublattices(field, driven), stack, tolerance))
    texture = replace(system.ferromagnet(field, driven), thermal=None)
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
    state, clock = m, 0.0
    damped = texture.with_damping(max(1.0, texture.damping))
    scheme = Midpoint(damped, 0.1, tolerance=0.03, longest=1e4)
    for _ in range(_MOST_ROUNDS):
        if _rests(texture, torque, state, clock, tolerance):
            break
        state, clock = coupled_step(scheme, damped, torque, state, clock, np.inf)
    else:
        raise _oscillates()

    def motion() -> Callable[[Array], Array]:
        own, now = Midpoint(texture, 0.1, tolerance=GROWTH, longest=SHORT), 0.0

        def advance(state: Array) -> Array:
            nonlocal now
            state, now = coupled_step(own, texture, torque, state, now, np.inf)
            return state

        return advance

    def again(rest: Array) -> Array:
        if traceable(texture):
            after = _escaped(texture, rest, motion())
        else:
            after = _wandered(rest, motion(), lambda m: _rests(texture, torque, m, 0.0, FINE))
        if after is rest:
            torque.renew_at(0.0, rest)
        return after

    with precise(torque):
        return stable(state, again)


@contextmanager
def precise(torque: CoupledTorque | None) -> Iterator[None]:
    """Solve transport closely enough to see how its torque changes with a small motion."""
    if torque is None:
        yield
        return
    accuracy = torque.accuracy
    torque.accuracy = min(accuracy, _CLOSE / torque.tolerance)
    try:
        yield
    finally:
        torque.accuracy = accuracy


def _escaped(texture: Texture, rest: Array, advance: Callable[[Array], Array]) -> Array:
    """Return the very same state where it is stable, else the one that the motion leads to."""
    if not unstable(texture, rest):
        return rest
    after = escaped(texture, rest, advance, _MOST_ROUNDS)
    if after is None:
        raise _oscillates()
    return after


def _wandered(rest: Array, advance: Callable[[Array], Array], quiet: Callable[[Array], bool]) -> Array:
    """Return the very same state where a tilt does not grow, else where the motion ends."""
    m = grown(rest, advance, quiet, _MOST_ROUNDS)
    if m is None:
        return rest
    for _ in range(_MOST_ROUNDS):
        if quiet(m):
            return m if departed(rest, m) else rest
        m = advance(m)
    raise _oscillates()


def _oscillates() -> SolverError:
    return SolverError(
        f"no stable equilibrium within {_MOST_ROUNDS} steps; the torque of"
        " transport may sustain an oscillation"
    )


def _rests(texture: Texture, torque: CoupledTorque, m: Array, clock: float, tolerance: float) -> bool:
    """Return whether |dm/dt|/gamma is below a tolerance [T] under the transport of this m."""

    def slow() -> bool:
        speed = np.linalg.norm(texture.rotation(m, 0.0), axis=1).max() * RATE
        return bool(speed / texture.gamma < tolerance)

    return slow() and (not torque.renew_at(clock * TIME, m) or slow())


# ---------------------------------------------------------------- antiferromagnets


def _relaxed_staggered(system: TextureSystem, order: Array, field: Any) -> tuple[Array, Array]:
    """Return n and m at rest on a device: motion near the aperiodic limit decays fastest.

    Raises:
        SolverError: If there is none, or m is too large for the (n, m) model.
    """
    coupled, tolerance = system.coupled, _allowed(system)
    assert coupled is not None
    stack = still(system.sublattices(field))
    rest = join(*_calmed(system, _damped_motion(system, field), order, tolerance))
    motion = _driven_motion(system, field)

    def advance(state: Array) -> Array:
        n, m = split(state)
        return join(*motion.advance(motion.texture.start(n, m), 0.0, motion.scheme.step))

    def again(state: Array) -> Array:
        def quiet(m: Array) -> bool:
            coupled.renew_at(0.0, normalized(split(m)[0]), _SAME)
            return bool(np.linalg.norm(stack.rotation(m, 0.0), axis=1).max() * RATE < FINE * stack.gamma)

        if traceable(stack):
            after = _escaped(stack, state, advance)
        else:
            after = _wandered(state, advance, quiet)
        if after is state:
            coupled.renew_at(0.0, normalized(split(state)[0]), _SAME)
        return after

    with precise(coupled):
        n, m = motion.texture.start(*split(stable(rest, again)))
    check_canting(m)
    return n, m


def _driven_motion(system: TextureSystem, field: Any) -> RotorMotion:
    """Return the motion of an antiferromagnet under the drives of time 0."""
    texture = still_staggered(system.antiferromagnet(field))
    motion = RotorMotion(texture, Rotor(texture, rotor_step(texture, rotor_rate(system, texture))))
    motion.coupled = system.coupled
    return motion


def _damped_motion(system: TextureSystem, field: Any) -> RotorMotion:
    """Return this motion strongly damped."""
    texture = _driven_motion(system, field).texture
    magnet = texture.magnet
    damping = 2 * _slowest(system) * magnet.spin_density / magnet.homogeneous_exchange
    texture = texture.with_damping(damping)
    motion = RotorMotion(texture, Rotor(texture, rotor_step(texture, resonance_rate(texture))))
    motion.coupled = system.coupled
    return motion


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
    raise SolverError(
        f"no equilibrium of the antiferromagnet after {clock:g} ps; the torques may sustain a motion"
    )


def _slowest(system: TextureSystem) -> float:
    """Return the rate at which an antiferromagnet is relaxed [rad/s]."""
    magnet: Any = system.magnet
    return float(magnet.resonance if magnet.anisotropy > 0 else 0.1 * RATE)
