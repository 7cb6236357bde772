r"""Landau-Lifshitz-Gilbert equation of one macrospin.

.. math:: \dot m = -\gamma m\times B_{eff} + \alpha m\times\dot m + \tau, \qquad
    B_{eff} = B + \frac{2K_u}{M_s}(m\cdot k)k - \mu_0 M_s N m .
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from ..errors import SolverError
from ..units import HBAR, MU_0, MU_B, Array
from .vectors import cross

__all__ = ["Macrospin", "Trajectory", "integrate", "relax"]

Torque = Callable[[Array], Array]


@dataclass(frozen=True)
class Macrospin:
    """A uniformly magnetized ferromagnet, in SI.

    Args:
        saturation: M_s [A/m].
        damping: Gilbert alpha.
        thickness: Driven thickness d [m].
        field: External B [T], shape (3,).
        anisotropy: Uniaxial K_u [J/m^3].
        axis: Unit easy axis, shape (3,).
        demagnetization: Factors N_x, N_y, N_z, shape (3,).
        g_factor: g > 0.
    """

    saturation: float
    damping: float
    thickness: float
    field: Array
    anisotropy: float
    axis: Array
    demagnetization: Array
    g_factor: float = 2.0

    @property
    def gamma(self) -> float:
        """Gyromagnetic ratio g mu_B / hbar [rad/(s T)]."""
        return self.g_factor * MU_B / HBAR

    def effective_field(self, m: Array) -> Array:
        """Return B_eff [T], shape (3,)."""
        easy = 2 * self.anisotropy / self.saturation * float(m @ self.axis) * self.axis
        return self.field + easy - MU_0 * self.saturation * self.demagnetization * m

    @property
    def largest_field(self) -> float:
        """Bound of the field that turns m [T]."""
        easy = 2 * abs(self.anisotropy) / self.saturation
        shape = MU_0 * self.saturation * float(np.ptp(self.demagnetization))
        return float(np.linalg.norm(self.field)) + easy + shape

    def energy(self, m: Array) -> float:
        """Return the energy density [J/m^3]."""
        zeeman = -self.saturation * float(self.field @ m)
        easy = -self.anisotropy * float(m @ self.axis) ** 2
        shape = 0.5 * MU_0 * self.saturation**2 * float(m @ (self.demagnetization * m))
        return zeeman + easy + shape

    def interface_torque(self, m: Array, flux: Array) -> Array:
        """Return dm/dt of a flux R J^M [1/(m^2 s)] spread over the thickness [1/s], shape (3,)."""
        transverse = flux - m * float(m @ flux)
        return self.gamma * HBAR / (2 * self.saturation * self.thickness) * transverse

    def rate(self, m: Array, torque: Array) -> Array:
        """Return dm/dt [1/s], explicit in the damping, for an extra torque [1/s]."""
        drive = -self.gamma * cross(m, self.effective_field(m)) + torque
        return (drive + self.damping * cross(m, drive)) / (1 + self.damping**2)


@dataclass(frozen=True)
class Trajectory:
    """Magnetization in time.

    Args:
        time: [s], shape (n,).
        m: Unit vectors, shape (n, 3).
        torque: Interface torque at these times [1/s], shape (n, 3).
        energy: Energy density [J/m^3], shape (n,).
        steps: Steps of the integrator.
        converged: Whether a relaxation reached equilibrium (True for a run).
    """

    time: Array
    m: Array
    torque: Array
    energy: Array
    steps: int
    converged: bool


_AT_REST = 1e-3


def _unit(m: Array) -> Array:
    return m / np.linalg.norm(m)


def integrate(
    spin: Macrospin,
    torque: Torque,
    start: Array,
    times: Array,
    tolerance: float,
    progress: Callable[[float], None] | None = None,
    renew: Callable[[Array, float], float] | None = None,
) -> Trajectory:
    """Return the motion at the given times by an adaptive Runge-Kutta method of order 8.

    Args:
        spin: The magnet.
        torque: Interface torque of a direction [1/s].
        start: m at times[0], shape (3,).
        times: Output times [s], ascending, shape (n,).
        tolerance: Error allowed per step in m.
        progress: Called with the time reached.
        renew: Called before every step with m and |dm/dt|; it may refresh what `torque` holds
            and returns the longest step [s] for which that is valid.

    Raises:
        SolverError: If the step size falls below round-off.
    """

    def rate(_: float, m: Array) -> Array:
        unit = _unit(m)
        return spin.rate(unit, torque(unit))

    first = _unit(np.asarray(start, float))
    if renew is not None:
        renew(first, 0.0)
    path, torques = [first], [torque(first)]
    from scipy.integrate import DOP853  # here: most solutions are static

    solver = DOP853(rate, times[0], first, times[-1], rtol=tolerance, atol=tolerance)
    steps = 0
    while solver.status == "running":
        if renew is not None:
            solver.max_step = renew(solver.y, float(np.linalg.norm(solver.f)))
            solver.h_abs = min(solver.h_abs, solver.max_step)
            solver.f = rate(solver.t, solver.y)
        message = solver.step()
        if solver.status == "failed":
            raise SolverError(f"the magnetization cannot be integrated past t = {solver.t:.3e} s: {message}")
        steps += 1
        dense = solver.dense_output()
        while len(path) < len(times) and times[len(path)] <= solver.t:
            path.append(_unit(dense(times[len(path)])))
            torques.append(torque(path[-1]))
        solver.y = _unit(solver.y)
        if progress is not None:
            progress(solver.t)
    energy = np.array([spin.energy(m) for m in path])
    return Trajectory(times, np.array(path), np.array(torques), energy, steps, True)


def relax(spin: Macrospin, torque: Torque, start: Array, tolerance: float, limit: int = 20_000) -> Trajectory:
    """Return the path to equilibrium, where field and interface torque cancel.

    The path is that of strong damping; its time has no meaning beyond its order.

    Args:
        spin: The magnet.
        torque: Interface torque of a direction [1/s].
        start: First direction, shape (3,).
        tolerance: |dm/dt| over the largest precession rate at which the state is at rest.
        limit: Most steps.

    Raises:
        SolverError: If no equilibrium is reached (the torque may sustain an oscillation).
    """
    strong = replace(spin, damping=max(spin.damping, 1.0))

    def rate(_: float, m: Array) -> Array:
        unit = _unit(m)
        return strong.rate(unit, torque(unit))

    m = _unit(np.asarray(start, float))
    times, path = [0.0], [m]
    scale = max(spin.gamma * spin.largest_field, float(np.linalg.norm(torque(m))))
    if scale == 0.0:
        return _trajectory(spin, torque, np.array(times), np.array(path), 0, True)
    if np.linalg.norm(rate(0.0, m)) < _AT_REST * scale:
        # Exactly at rest may be the top of the energy: a small tilt tells, and rolls down.
        tilt = cross(m, np.eye(3)[np.argmin(np.abs(m))])
        m = _unit(m + 2 * _AT_REST * _unit(tilt))
    from scipy.integrate import DOP853

    solver = DOP853(
        rate,
        0.0,
        m,
        np.inf,
        rtol=min(1e-6, tolerance),
        atol=min(1e-8, tolerance),
        first_step=1e-3 / scale,
        max_step=10 / scale,
    )
    for step in range(1, limit + 1):
        solver.step()
        solver.y = _unit(solver.y)
        times.append(solver.t)
        path.append(solver.y.copy())
        if np.linalg.norm(rate(0.0, solver.y)) < tolerance * scale:
            return _trajectory(spin, torque, np.array(times), np.array(path), step, True)
    raise SolverError(
        f"no equilibrium after {limit} steps: the interface torque may sustain an oscillation;"
        ' use dynamics.mode = "run"'
    )


def _trajectory(
    spin: Macrospin, torque: Torque, time: Array, m: Array, steps: int, converged: bool
) -> Trajectory:
    torques = np.array([torque(v) for v in m])
    energy = np.array([spin.energy(v) for v in m])
    return Trajectory(time, m, torques, energy, steps, converged)
