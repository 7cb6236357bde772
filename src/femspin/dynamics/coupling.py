r"""The torque of transport on a moving texture, quasi-statically.

Transport follows the magnetization at once (its times are below a picosecond).  It is solved
again when a moment has turned by more than a tolerance; in between the flux R J^mom of each node
is kept, turned with its moment, or extrapolated.  With the flux F_i of node i

.. math:: \dot m_i = \frac{\hbar}{2 s V_i}(1 - m_im_i^T)F_i .

How far the kept flux was off is measured at every new solution and added up.
"""

from __future__ import annotations

import time as clocks
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import CaseError
from ..units import HBAR, LENGTH, RATE, TIME
from .coupling_transport import TexturedSolution, TexturedTransport
from .texture.antiferromagnet import StaggeredTorque
from .texture.explicit import RungeKutta
from .texture.ferromagnet import Texture
from .texture.run import History, Scheme
from .texture.torques import ExternalTorque
from .texture.vectors import cross, dot, rotate

__all__ = ["BETWEEN", "Between", "CoupledTorque", "node_rate", "run_coupled", "staggered_rates"]

Array = NDArray[np.float64]
Between = Literal["keep", "turn", "extrapolate"]
BETWEEN: tuple[Between, ...] = ("keep", "turn", "extrapolate")
Velocity = Callable[[float, Array], Array]


def node_rate(flux: Array, m: Array, volumes: Array, spin_density: float) -> Array:
    """Return dm/dt [1/s] of the flux R J^mom that every node takes up, shape (n, 3).

    `surface_rate` with T = -(hbar/2) R J^mom per area.

    Args:
        flux: F_i [1/ps], shape (n, 3).
        m: Directions, shape (n, 3).
        volumes: V_i [nm^3], shape (n,).
        spin_density: s [J s/m^3]; half of it for one sublattice of an antiferromagnet.
    """
    scale = 0.5 * HBAR / TIME / (spin_density * volumes * LENGTH**3)
    return scale[:, None] * (flux - m * dot(m, flux))


@dataclass
class CoupledTorque:
    """The torque as the texture integrators take it: dm/dt [1/s] of time [s] and m.

    Args:
        transport: The transport problem.
        spin_density: s of the magnet [J s/m^3].
        tolerance: Angle a moment may turn before transport is solved again [rad].
        between: What becomes of the flux until then: ``keep``, ``turn`` with the moment as a
            rigid body, or ``extrapolate`` along the last change of m.
        accuracy: Relative error of the flux left by the linear solver, per `tolerance`.
        velocity: dm/dt [1/s] of time [s] and m, which then pumps spin; it may contain this
            torque, whose last value it then sees.
        automatic: Solve inside a call; `run_coupled` solves between steps instead.
    """

    transport: TexturedTransport
    spin_density: float
    tolerance: float = 1e-2
    between: Between = "turn"
    accuracy: float = 1e-2
    velocity: Velocity | None = None
    automatic: bool = True
    angle_error: float = 0.0
    largest_error: float = 0.0
    solutions: list[float] = field(default_factory=list)
    _last: TexturedSolution | None = field(default=None, repr=False)
    _before: TexturedSolution | None = field(default=None, repr=False)
    _solving: bool = field(default=False, repr=False)

    def __post_init__(self) -> None:
        if self.between not in BETWEEN:
            raise CaseError("dynamics.between", f"must be one of {', '.join(BETWEEN)}, got"
                            f" {self.between!r}")  # fmt: skip
        if not self.tolerance > 0:
            raise CaseError("dynamics.transport_tolerance", f"must be > 0, got {self.tolerance}")

    @property
    def solution(self) -> TexturedSolution | None:
        """The last solution."""
        return self._last

    @property
    def external(self) -> ExternalTorque:
        """The torque of a `Texture`."""
        return ExternalTorque(self)

    @property
    def staggered(self) -> StaggeredTorque:
        """The torque of an `AntiferroTexture` whose order parameter n transport sees."""
        return StaggeredTorque(self._staggered)

    def __call__(self, time: float, m: Array) -> Array:
        """Return dm/dt [1/s], shape (n, 3)."""
        return node_rate(self.flux(time, m), m, *self._magnet)

    def flux(self, time: float, m: Array) -> Array:
        """Return R J^mom of every node [1/ps] at a time [s], shape (n, 3)."""
        if self._solving and self._last is None:
            return np.zeros_like(m)
        if not self._solving and (
            self._last is None or (self.automatic and self._turned(m) > self.tolerance)
        ):
            self._solve(time, m)
        return self._kept(m)

    def renew(self, time: float, m: Array) -> bool:
        """Solve transport if a moment has turned by half the tolerance; return whether it has.

        With spin pumping it is solved in any case: dm/dt changes faster than m.
        """
        due = self._last is None or self.velocity is not None
        if due or self._turned(m) > 0.5 * self.tolerance:
            self._solve(time, m)
            return True
        return False

    def _staggered(self, time: float, n: Array, m: Array) -> tuple[Array, Array]:
        """Return the rates of n and m [1/s]."""
        if self._last is None:
            _refuse_odd(self.transport, n)
        return staggered_rates(self.flux(time, n), n, m, *self._magnet)

    @property
    def _magnet(self) -> tuple[Array, float]:
        return self.transport.map.space.volumes, self.spin_density

    def _turned(self, m: Array) -> float:
        assert self._last is not None
        change = m - self._last.m
        return float(np.sqrt(np.einsum("ij,ij->i", change, change).max()))

    def _solve(self, time: float, m: Array) -> None:
        self._solving = True
        velocity = None if self.velocity is None else self.velocity(time, m) / RATE
        self._solving = False
        predicted = None if self._last is None else self._rate(m)
        new = self.transport.solve(m, velocity, self.accuracy * self.tolerance, self._guess(m))
        self._before, self._last = self._last, new
        if predicted is not None:
            miss = self._rate(m) - predicted
            size = float(np.sqrt(np.einsum("ij,ij->i", miss, miss).max()))
            self.largest_error = max(self.largest_error, size)
            self.angle_error += 0.5 * size * max(0.0, time - self.solutions[-1])
        self.solutions.append(time)

    def _guess(self, m: Array) -> Array | None:
        """Return unknowns extrapolated along the last change of m."""
        if self._last is None:
            return None
        if self._before is None:
            return self._last.unknowns
        step = self._along(m)
        return self._last.unknowns + step * (self._last.unknowns - self._before.unknowns)

    def _along(self, m: Array) -> float:
        """Return how far m went in units of the last change of m, limited to [0, 1]."""
        assert self._last is not None
        assert self._before is not None
        path = self._last.m - self._before.m
        size = float(np.vdot(path, path))
        if size == 0.0:
            return 0.0
        return float(np.clip(np.vdot(m - self._last.m, path) / size, 0.0, 1.0))

    def _rate(self, m: Array) -> Array:
        return node_rate(self._kept(m), m, *self._magnet)

    def _kept(self, m: Array) -> Array:
        """Return the flux of the last solution as it is taken to be at m."""
        assert self._last is not None
        flux = self._last.flux
        if self.between == "turn":
            axis = cross(self._last.m, m)
            sine = np.sqrt(dot(axis, axis))
            angle = np.arctan2(sine, dot(self._last.m, m))
            turn = axis * np.where(sine > 0, angle / np.where(sine > 0, sine, 1.0), 1.0)
            flux = rotate(turn, flux)
        elif self.between == "extrapolate" and self._before is not None:
            flux = flux + self._along(m) * (flux - self._before.flux)
        return flux

    def report(self) -> dict[str, Any]:
        """Return what coupling cost and how far the kept torque was off.

        Keys: solutions, factorisations, iterations (mean per solution), most_iterations,
        seconds (by phase), angle_error [rad], largest_error [1/s].
        """
        work = self.transport.work
        counts = work.iterations or [0]
        return {
            "solutions": work.solutions, "factorisations": work.factorisations,
            "iterations": float(np.mean(counts)), "most_iterations": int(max(counts)),
            "seconds": dict(work.seconds), "angle_error": self.angle_error,
            "largest_error": self.largest_error,
        }  # fmt: skip


def staggered_rates(
    flux: Array, n: Array, m: Array, volumes: Array, spin_density: float
) -> tuple[Array, Array]:
    """Return the rates of n and m [1/s] of an antiferromagnet with a compensated interface.

    Each sublattice takes up half of the flux.  Transport sees the direction n, so only couplings
    even in it (relaxation, G_s, G_r) may be present: those odd in the direction of a moment
    cancel between the sublattices.

    Args:
        flux: F_i [1/ps], shape (n, 3).
        n: Order parameter, shape (n, 3).
        m: Magnetization, shape (n, 3).
        volumes: V_i [nm^3], shape (n,).
        spin_density: s = 2 M_0 / gamma [J s/m^3].
    """
    one, other = (node_rate(0.5 * flux, x, volumes, 0.5 * spin_density) for x in (m + n, m - n))
    return 0.5 * (one - other), 0.5 * (one + other)


def _refuse_odd(transport: TexturedTransport, n: Array) -> None:
    """Refuse couplings that change sign with the moments: they cancel between sublattices."""
    here, reversed_ = transport.fields(n), transport.fields(-n)
    keys = ("omega", "theta", "drift", "relaxation")
    odd = [
        name
        for name in transport.map.on_cells
        if any(_differ(getattr(here[name], k), getattr(reversed_[name], k)) for k in keys)
    ]
    laws, others = transport.laws(n), transport.laws(-n)
    odd += [name for name in transport.map.faces if name in laws
            and _differ(laws[name].conductance, others[name].conductance)]  # fmt: skip
    if odd:
        raise CaseError(
            "dynamics.region", f"{', '.join(odd)}: couplings odd in the direction of the moments"
            " (exchange precession, polarisation, G_i) cancel at the compensated interface of an"
            " antiferromagnet; leave them out",
        )  # fmt: skip


def _differ(a: Array, b: Array) -> bool:
    return bool(np.abs(a - b).max(initial=0.0) > 1e-12 * np.abs(a).max(initial=0.0))


def run_coupled(
    scheme: Scheme,
    texture: Texture,
    torque: CoupledTorque,
    m: Array,
    times: ArrayLike,
    observe: Callable[[float, Array], ArrayLike] | None = None,
) -> tuple[History, dict[str, Any]]:
    """Return the motion of a texture with transport solved between steps, and what it cost.

    Steps are limited so that no moment turns by more than the tolerance in one.

    Args:
        scheme: Time scheme of the texture, with `torque` among its torques.
        texture: The same texture.
        torque: The torque of transport.
        m: State at times[0], shape (n, 3).
        times: Output times [s], ascending.
        observe: What to record of time [s] and m; by default m itself.
    """
    grid, torque.automatic = np.asarray(times, float), False
    began, clock, steps = clocks.perf_counter(), float(grid[0]) / TIME, 0
    see = observe or (lambda _, state: state.copy())
    records = [np.asarray(see(float(grid[0]), m), float)]
    longest = getattr(scheme, "longest", None)
    for stop in grid[1:]:
        while clock < stop / TIME:
            renewed = torque.renew(clock * TIME, m)
            if renewed and isinstance(scheme, RungeKutta):
                scheme.forget()
            if longest is not None:
                speed = float(np.linalg.norm(texture.rate(m, clock), axis=1).max())
                limit = torque.tolerance / speed if speed > 0 else np.inf
                setattr(scheme, "longest", min(longest, limit))  # noqa: B010
            m, clock = scheme.advance(m, clock, float(stop / TIME))
            steps += 1
        records.append(np.asarray(see(float(stop), m), float))
    torque.automatic = True
    if longest is not None:
        setattr(scheme, "longest", longest)  # noqa: B010
    report, total = torque.report(), clocks.perf_counter() - began
    report["seconds"]["magnetics"] = total - sum(report["seconds"].values())
    return History(grid, m, records), report | {"steps": steps}
