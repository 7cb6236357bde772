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
from .midpoint import Midpoint
from .vectors import cayley, cross

__all__ = ["History", "Scheme", "relax_texture", "run_rotor", "run_texture"]

Array = NDArray[np.float64]


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
    texture: Texture, m: Array, tolerance: float = 1e-6, limit: int = 20_000
) -> Array:
    """Return an equilibrium near m, where |m x B_eff| < `tolerance` [T] at every node, (n, 3).

    Without torques the energy is minimized by steepest descent on the sphere with the step of
    Barzilai and Borwein (Exl et al., J. Appl. Phys. 115, 17D118 (2014)).  With torques m moves
    by the midpoint rule with Gilbert damping 1.

    Args:
        texture: The system; its torques act too.
        m: Where to start, shape (n, 3).
        tolerance: Largest torque left [T].
        limit: Most steps.

    Raises:
        SolverError: If equilibrium is not reached.
    """
    if texture.torques:
        return _settle(texture, m, tolerance, limit)
    bound = tolerance * texture.gamma * TIME
    turn = cross(m, texture.precession(m))
    step = 0.1 / max(float(np.abs(turn).max()), bound)
    for count in range(limit):
        if np.sqrt(np.einsum("ij,ij->i", turn, turn).max()) < bound:
            return m
        moved = cayley(0.5 * step * turn, m)
        turned = cross(moved, texture.precession(moved))
        slope = texture.volumes[:, None] * (cross(m, turn) - cross(moved, turned))
        path = moved - m
        product = float(np.vdot(path, slope))
        first = float(np.vdot(path, texture.volumes[:, None] * path)) / product
        second = product / float(np.vdot(slope, slope / texture.volumes[:, None]))
        longest = 0.5 / float(np.abs(turned).max())
        step = min(abs(first if count % 2 else second), longest)
        m, turn = moved, turned
    raise _unsettled(texture, m, tolerance, limit)


def _settle(texture: Texture, m: Array, tolerance: float, limit: int) -> Array:
    """Return the rest state under torques."""
    scheme = Midpoint(texture.with_damping(1.0), 0.1, tolerance=0.03, longest=1e4)
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
