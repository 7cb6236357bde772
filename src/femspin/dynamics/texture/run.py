"""Driving a texture through time or to equilibrium, and what is kept of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ...errors import SolverError
from ...units import TIME
from .antiferromagnet import Rotor
from .ferromagnet import Texture
from .magnet import joule
from .midpoint import Midpoint
from .rest import FINE, GROWTH, SHORT, TILT, departed, grown, stable, still, tilted
from .vectors import cayley, cross

__all__ = ["History", "Scheme", "relax_texture", "run_rotor", "run_texture"]

Array = NDArray[np.float64]

_LONGEST = 300.0  # step [ps]; in longer ones the midpoint rule flips what it should damp


class Scheme(Protocol):
    """A time scheme of a ferromagnet: `RungeKutta`, `Heun` or `Midpoint`."""

    def advance(self, m: Array, time: float, end: float) -> tuple[Array, float]:
        """Return m and the time [ps] after one step that does not pass `end`."""


@dataclass(frozen=True)
class History:
    """A texture in time.

    Args:
        time: Output times [s], shape (k,).
        m: The last state, shape (n, 3); n and m of an antiferromagnet are (2, n, 3).
        records: What `observe` returned at each output time, or the states.
    """

    time: Array
    m: Array
    records: list[Array]

    @property
    def values(self) -> Array:
        """The records as one array, shape (k, ...)."""
        return np.array(self.records)


def run_texture(
    scheme: Scheme,
    m: Array,
    times: ArrayLike,
    observe: Callable[[float, Array], ArrayLike] | None = None,
) -> History:
    """Return the motion of a texture, recorded at the given times.

    Args:
        scheme: Time scheme of the texture.
        m: State at times[0], shape (n, 3).
        times: Output times [s], ascending.
        observe: What to record of time [s] and m; by default m itself.
    """
    grid = np.asarray(times, float)
    records = [_record(observe, float(grid[0]), m)]
    clock = float(grid[0]) / TIME
    for stop in grid[1:]:
        while clock < stop / TIME:
            m, clock = scheme.advance(m, clock, float(stop / TIME))
        records.append(_record(observe, float(stop), m))
    return History(grid, m, records)


def run_rotor(
    rotor: Rotor,
    n: Array,
    m: Array,
    times: ArrayLike,
    observe: Callable[[float, Array, Array], ArrayLike] | None = None,
) -> History:
    """Return the motion of an antiferromagnet, recorded at the given times [s].

    Args:
        rotor: Time scheme.
        n: Order parameter at times[0], shape (n, 3).
        m: Magnetization at times[0], shape (n, 3).
        times: Output times [s], ascending.
        observe: What to record of time [s], n and m; by default both, shape (2, n, 3).
    """
    grid = np.asarray(times, float)
    see = observe or (lambda _, a, b: np.stack([a, b]))
    records = [np.asarray(see(float(grid[0]), n, m), float)]
    clock = float(grid[0]) / TIME
    for stop in grid[1:]:
        n, m, clock = rotor.advance(n, m, clock, float(stop / TIME))
        records.append(np.asarray(see(float(stop), n, m), float))
    return History(grid, np.stack([n, m]), records)


def relax_texture(
    texture: Texture, m: Array, tolerance: float = 1e-6, limit: int = 20_000, stays: bool = True
) -> Array:
    """Return an equilibrium near m, where |m x B_eff| < `tolerance` [T] at every node, (n, 3).

    Without torques the energy is minimized by steepest descent on the sphere with the step of
    Barzilai and Borwein (Exl et al., J. Appl. Phys. 115, 17D118 (2014)).  With torques, those of
    time 0, m moves by the midpoint rule with Gilbert damping 1.  A state that a small tilt
    leaves is no result: without torques one that is lower in energy by more than torques below
    the tolerance explain, with torques one that is elsewhere.

    Args:
        texture: The system; its torques act too.
        m: Where to start, shape (n, 3).
        tolerance: Largest torque left [T].
        limit: Most steps.
        stays: Whether the equilibrium is tried for stability.

    Raises:
        SolverError: If equilibrium is not reached.
    """
    again = _marched if texture.torques else _descended
    texture = still(texture)
    m = again(texture, m, tolerance, limit, False)
    if not stays:
        return m
    return stable(m, lambda rest: again(texture, rest, tolerance, limit, True))


def _descended(texture: Texture, m: Array, tolerance: float, limit: int, tilt: bool) -> Array:
    """Return the end of the descent from m; of a tilt, m itself unless the end is lower."""
    start = m
    if tilt:
        m, done = _descend(texture, tilted(m), min(tolerance, FINE), limit, True)
        if not _lower(texture, start, m, tolerance):
            return start
        if done:
            return m
    m, done = _descend(texture, m, tolerance, limit)
    if not done:
        raise _unsettled(texture, m, tolerance, limit)
    return m


def _descend(
    texture: Texture, m: Array, tolerance: float, limit: int, careful: bool = False
) -> tuple[Array, bool]:
    """Return where steepest descent from m ends, and whether it is at rest.

    Careful descent takes short steps and never rises above the energy it began with, so that it
    passes no barrier.
    """
    bound, stride = tolerance * texture.gamma * TIME, 0.05 if careful else 0.5
    ceiling = texture.energy(m) if careful else np.inf
    turn = cross(m, texture.precession(m))
    step = 0.2 * stride / max(float(np.abs(turn).max()), bound)
    for count in range(limit):
        if np.sqrt(np.einsum("ij,ij->i", turn, turn).max()) < bound:
            return m, True
        moved = cayley(0.5 * step * turn, m)
        if careful and texture.energy(moved) > ceiling:
            step *= 0.25
            continue
        turned = cross(moved, texture.precession(moved))
        slope = texture.volumes[:, None] * (cross(m, turn) - cross(moved, turned))
        path = moved - m
        product = float(np.vdot(path, slope))
        if product == 0.0:  # a step no longer changes the torque: it is at round-off
            return m, False
        first = float(np.vdot(path, texture.volumes[:, None] * path)) / product
        second = product / float(np.vdot(slope, slope / texture.volumes[:, None]))
        longest = stride / float(np.abs(turned).max())
        step = min(abs(first if count % 2 else second), longest)
        m, turn = moved, turned
    return m, False


def _lower(texture: Texture, before: Array, after: Array, tolerance: float) -> bool:
    """Return whether a state is lower than what torques below the tolerance [T] do on the way.

    In a valley E_before - E_after <= sum_i V_i s omega_i |m_i - m_i'|, with omega_i the torque
    that was left; only a state beyond its edge gains more.
    """
    way = np.linalg.norm(after - before, axis=1)
    if way.max() < TILT:
        return False
    work = joule(float(texture.volumes @ way), texture.spin_density)
    rounding = 64 * np.finfo(float).eps * sum(map(abs, texture.energies(before).values()))
    gain = texture.energy(before) - texture.energy(after)
    return bool(gain > tolerance * texture.gamma * TIME * work + rounding)


def _marched(texture: Texture, m: Array, tolerance: float, limit: int, tilt: bool) -> Array:
    """Return the rest state under torques; of a tilt, m itself unless it is left."""
    if not tilt:
        return _settle(texture, m, tolerance, limit)
    scheme = Midpoint(texture.with_damping(1.0), 0.1, tolerance=GROWTH, longest=SHORT)
    clock = 0.0

    def advance(state: Array) -> Array:
        nonlocal clock
        state, clock = scheme.advance(state, clock, np.inf)
        return state

    away = grown(m, advance, lambda state: _at_rest(texture, state, FINE), limit)
    if away is None:
        return m
    after = _settle(texture, away, tolerance, limit)
    return after if departed(m, after) else m


def _settle(texture: Texture, m: Array, tolerance: float, limit: int) -> Array:
    """Return the rest state under torques."""
    scheme = Midpoint(texture.with_damping(1.0), 0.1, tolerance=0.03, longest=_LONGEST)
    clock = 0.0
    for _ in range(limit):
        if _at_rest(texture, m, tolerance):
            return m
        m, clock = scheme.advance(m, clock, np.inf)
    raise _unsettled(texture, m, tolerance, limit)


def _unsettled(texture: Texture, m: Array, tolerance: float, limit: int) -> SolverError:
    return SolverError(
        f"no equilibrium after {limit} steps: |m x B| is {texture.torque_size(m):g} T, not below"
        f" {tolerance:g} T; the torques may sustain an oscillation"
    )


def _at_rest(texture: Texture, m: Array, tolerance: float) -> bool:
    """Return whether m rests under the torques too."""
    rate = np.linalg.norm(texture.rotation(m, 0.0), axis=1).max() / TIME
    return bool(rate / texture.gamma < tolerance)


def _record(observe: Callable[[float, Array], ArrayLike] | None, time: float, m: Array) -> Array:
    return m.copy() if observe is None else np.asarray(observe(time, m), float)
