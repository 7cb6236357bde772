"""Driving a texture through time or to equilibrium, and what is kept of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
import scipy.sparse as sp
from numpy.typing import ArrayLike

from ..errors import SolverError
from ..units import RATE, TIME, Array
from .antiferromagnet import Rotor
from .energy import Exchange, zeeman
from .ferromagnet import Texture
from .magnet import joule
from .midpoint import Midpoint
from .rest import FINE, SHORT, TILT, escaped, stable, still, tilted
from .small_motion import DENSE, crept_rest, restoring, solved, unstable
from .vectors import cayley, cross, normalized

__all__ = ["History", "Scheme", "relax_texture", "run_rotor", "run_texture"]


_MOST_CREPT = 300  # implicit steps towards rest under torques
_BOLD, _SHY = 0.3, 0.05  # angles [rad] by which a moment may turn in one Newton step
_FIRST = 1e-3  # angle [rad] of the first step of a descent, from which the next take their length
_ROUGH = 0.03  # angle error [rad] of a step; the midpoint rule damps and drives as the motion does
_LONGEST = 300.0  # step [ps]; in longer ones the midpoint rule flips what it should damp


class Scheme(Protocol):
    """A time scheme of a ferromagnet: `RungeKutta`, `Heun` or `Midpoint`."""

    def advance(self, m: Array, time: float, end: float, limit: float = np.inf) -> tuple[Array, float]:
        """Return m and the time [ps] after one step that passes neither `end` nor `limit`."""


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
    scheme: Scheme, m: Array, times: ArrayLike, observe: Callable[[float, Array], ArrayLike] | None = None
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
    Barzilai and Borwein (Exl et al., J. Appl. Phys. 115, 17D118 (2014)), and where that stalls by
    damped Newton steps; a state that a small tilt leaves for one that is lower in energy by more
    than torques below the tolerance explain is no result.  Field-like torques are fields.  With
    other torques, those of time 0, m moves by the midpoint rule with strong damping until it
    rests, and the rest is left along the motion with the damping of the texture where a small
    motion about it grows under that damping and the torques.

    Args:
        texture: The system; its torques act too.
        m: Where to start, shape (n, 3).
        tolerance: Largest torque left [T].
        limit: Most steps.
        stays: Whether the equilibrium is tried for stability.

    Raises:
        SolverError: If equilibrium is not reached.
    """
    texture = _fields_of_torques(still(texture), m)
    if texture.torques:
        m = _settle(texture, m, tolerance, limit)
    else:
        m = _descended(texture, m, tolerance, limit, False)
    if not stays:
        return m
    if texture.torques:
        return stable(m, lambda rest: _left(texture, rest, limit))
    return stable(m, lambda rest: _descended(texture, rest, tolerance, limit, True))


def _fields_of_torques(texture: Texture, m: Array) -> Texture:
    """Return the texture with torques that do not depend on m as the fields they are."""
    kept, fields = [], []
    for torque in texture.torques:
        slope = getattr(torque, "slope", None)
        if slope is None or abs(slope(texture.space, m, 0.0)).max() > 0:
            kept.append(torque)
            continue
        field = torque.rotation(texture.space, m, 0.0)
        fields.append(zeeman(texture.space, field * RATE, 1.0, texture.volumes))
    return replace(texture, torques=tuple(kept)).with_terms(*fields)


def _descended(texture: Texture, m: Array, tolerance: float, limit: int, tilt: bool) -> Array:
    """Return the end of the descent from m; of a tilt, m itself unless the end is lower."""
    start = m
    if tilt:
        fine = min(tolerance, FINE)
        m, done = _descend(texture, tilted(m), fine, _patience(texture, m, limit // 10), True)
        if not done:
            m, done = _sunk(texture, m, fine, limit // 100, _SHY)
        if not _lower(texture, start, m, tolerance):
            return start
        if done:
            return m
    m, done = _descend(texture, m, tolerance, _patience(texture, m, limit // 10))
    if not done:
        m, done = _sunk(texture, m, tolerance, limit // 10, _BOLD)
    if not done:
        raise _unsettled(texture, m, tolerance, limit)
    return m


def _patience(texture: Texture, m: Array, limit: int) -> int:
    """Return how many steps of steepest descent are tried: none if they cannot reach rest.

    They need some 20 sqrt(k) with the ratio k of the stiffest exchange to the field; the Newton
    steps that follow need no more than about ten, cheap ones on small meshes.
    """
    stiffest = sum(t.fastest for t in texture.terms if isinstance(t, Exchange))
    field = float(np.linalg.norm(texture.precession(m), axis=1).max())
    hopeless = 400 * stiffest > limit**2 * field
    return 0 if hopeless and 2 * len(m) <= DENSE else limit


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
    step = _FIRST / max(float(np.abs(turn).max()), bound)
    for count in range(limit):
        if np.sqrt(np.einsum("ij,ij->i", turn, turn).max()) < bound:
            return m, True
        moved = cayley(0.5 * step * turn, m)
        if careful and texture.energy(moved) > ceiling:
            step *= 0.25
            continue
        turned = cross(moved, texture.precession(moved))
        if not turned.any():
            return moved, True
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


def _sunk(texture: Texture, m: Array, tolerance: float, limit: int, bold: float) -> tuple[Array, bool]:
    """Return where damped Newton steps down the energy end, and whether that is at rest.

    Implicit steps of the steepest descent, which become longer while the energy falls: the
    stiffest exchange, which sets the steps of `_descend`, does not slow them.  No moment turns by
    more than `bold` [rad] in one.
    """
    bound = tolerance * texture.gamma * TIME
    slack = 64 * np.finfo(float).eps * sum(map(abs, texture.energies(m).values()))
    pull, level, refused = np.inf, texture.energy(m), False
    for _ in range(limit):
        omega = texture.precession(m)
        rate = float(np.linalg.norm(cross(m, omega), axis=1).max())
        if rate < bound:
            return m, True
        if not refused:  # beyond a fold the curvature is negative, and small rates pull too little
            pull = min(pull, 10 * rate)
        basis, matrix = restoring(texture, m)
        held = matrix + pull * sp.eye_array(matrix.shape[0])
        way = basis @ solved(held, basis.T @ omega.ravel())
        size = float(np.linalg.norm(way.reshape(m.shape), axis=1).max())
        after = normalized(m + min(1.0, bold / max(size, 1e-300)) * way.reshape(m.shape))
        reached = texture.energy(after)
        refused = bool(reached > level + slack)
        if refused:
            pull *= 8.0
            continue
        pull, level, m = pull / 4, reached, after
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


def _left(texture: Texture, rest: Array, limit: int) -> Array:
    """Return the very same state where it is stable, else where the motion comes to rest."""
    if not unstable(texture, rest):
        return rest
    scheme, clock = Midpoint(texture, 0.1, tolerance=_ROUGH, longest=SHORT), 0.0

    def advance(state: Array) -> Array:
        nonlocal clock
        state, clock = scheme.advance(state, clock, np.inf)
        return state

    after = escaped(texture, rest, advance, 5 * limit)
    if after is None:
        raise SolverError(
            "no stable equilibrium: the state at rest is unstable, and the motion that leaves it"
            " reaches no other; the torques may sustain an oscillation"
        )
    return after


def _settle(texture: Texture, m: Array, tolerance: float, limit: int) -> Array:
    """Return the rest state under torques, which strong damping reaches, stable or not."""
    damped = texture.with_damping(max(1.0, texture.damping))
    if all(hasattr(torque, "slope") for torque in texture.torques):
        found = crept_rest(damped, m, tolerance * texture.gamma * TIME, _MOST_CREPT)
        if found is not None:
            return found
    scheme = Midpoint(damped, 0.1, tolerance=0.03, longest=_LONGEST)
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
