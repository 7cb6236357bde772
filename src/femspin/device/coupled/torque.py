r"""The torque of transport on a moving texture, quasi-statically.

Transport follows the magnetization at once (its times are below a picosecond).  It is solved
again when a moment has turned by more than a tolerance; in between the flux R J^mom of each node
is kept, turned with its moment, or extrapolated.  With the flux F_i of node i

.. math:: \dot m_i = \frac{\hbar}{2 s V_i}(1 - m_im_i^T)F_i .

How far the kept flux was off is measured at every new solution and added up.  All sources of the
device may change in time by one factor: transport is linear in them, so the flux has that factor,
and a flux that was off counts with the largest factor it was used with.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ...errors import CaseError
from ...magnets.antiferromagnet import StaggeredTorque
from ...magnets.torques import ExternalTorque
from ...magnets.vectors import dot
from ...units import HBAR, LENGTH, RATE, TIME, Array
from .kept import BETWEEN, Between, KeptFlux
from .transport import TexturedSolution, TexturedTransport
from .use import Use

__all__ = [
    "BETWEEN",
    "Between",
    "CoupledTorque",
    "largest_size",
    "node_rate",
    "refuse_odd",
    "staggered_rates",
]


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
        automatic: Solve inside a call; `coupled_step` solves between steps instead.
        signal: Factor of all sources of the device at a time [s]; by default 1.
        breaks: Ascending times [s] where the signal is not smooth.
    """

    transport: TexturedTransport
    spin_density: float
    tolerance: float = 1e-2
    between: Between = "turn"
    accuracy: float = 1e-2
    velocity: Velocity | None = None
    automatic: bool = True
    signal: Callable[[float], float] | None = None
    breaks: tuple[float, ...] = ()
    angle_error: float = 0.0
    largest_error: float = 0.0
    largest_rate: float = 0.0
    skipped: int = 0
    solutions: list[float] = field(default_factory=list)
    _driven: KeptFlux = field(init=False, repr=False)
    _pumped: KeptFlux = field(init=False, repr=False)
    _solving: bool = field(default=False, repr=False)
    _used: Use = field(default_factory=Use, repr=False)

    def __post_init__(self) -> None:
        if self.between not in BETWEEN:
            raise CaseError("dynamics.between", f"must be one of {', '.join(BETWEEN)}, got {self.between!r}")
        if not self.tolerance > 0:
            raise CaseError("dynamics.transport_tolerance", f"must be > 0, got {self.tolerance}")
        self._driven, self._pumped = KeptFlux(self.between), KeptFlux(self.between)

    @property
    def solution(self) -> TexturedSolution | None:
        """The last solution, at the full strength of all sources."""
        return self._driven.last

    @property
    def external(self) -> ExternalTorque:
        """The torque of a `Texture`."""
        return ExternalTorque(self)

    @property
    def staggered(self) -> StaggeredTorque:
        """The torque of an `AntiferroTexture` whose order parameter n transport sees."""
        return StaggeredTorque(self._staggered, lambda n: self.renew_at(0.0, n))

    def __call__(self, time: float, m: Array) -> Array:
        """Return dm/dt [1/s], shape (n, 3)."""
        return node_rate(self.flux(time, m), m, *self._magnet)

    def flux(self, time: float, m: Array) -> Array:
        """Return R J^mom of every node [1/ps] at a time [s], shape (n, 3)."""
        known = self._driven.last is not None
        if self._solving and not known:
            return np.zeros_like(m)
        if not self._solving and (not known or (self.automatic and self._driven.turned(m) > self.tolerance)):
            self._solve(time, m)
        return self._kept(time, m)

    def potentials(self, time: float) -> Array:
        """Return mu of the last solution [meV] at a time [s], shape (n_dofs, 4)."""
        assert self._driven.last is not None
        found = self._scale(time) * self._driven.last.mu
        return found if self._pumped.last is None else found + self._pumped.last.mu

    def renew(self, time: float, m: Array) -> bool:
        """Solve transport if a moment has turned by half the tolerance; return whether it has.

        With spin pumping it is solved in any case: dm/dt changes faster than m.
        """
        due = self._driven.last is None or self.velocity is not None
        if due or self._driven.turned(m) > 0.5 * self.tolerance:
            self._solve(time, m)
            return True
        self.skipped += 1
        self._see(time, m)
        return False

    def finish(self, time: float, m: Array) -> None:
        """Measure at the end of a run how far a kept torque was off, if none so large was yet."""
        self._see(time, m)
        if self._used.most > self._used.measured:
            self.renew_at(time, m)

    def renew_at(self, time: float, m: Array, angle: float = 0.0) -> bool:
        """Solve transport unless the last solution is that of m; return whether it has.

        Args:
            time: Time [s].
            m: Directions, shape (n, 3).
            angle: How far a moment may be from the last solution [rad].
        """
        if self._driven.last is not None and self._driven.turned(m) <= angle:
            return False
        self._solve(time, m)
        return True

    def _staggered(self, time: float, n: Array, m: Array) -> tuple[Array, Array]:
        """Return the rates of n and m [1/s]."""
        if self._driven.last is None:
            refuse_odd(self.transport, n)
        return staggered_rates(self.flux(time, n), n, m, *self._magnet)

    @property
    def _magnet(self) -> tuple[Array, float]:
        return self.transport.map.space.volumes, self.spin_density

    def _scale(self, time: float) -> float:
        return 1.0 if self.signal is None else self.signal(time)

    def _see(self, time: float, m: Array) -> None:
        """Take note of the torque and of the signal at a time [s]."""
        self._used.until(time, self._scale)
        self.largest_rate = max(self.largest_rate, largest_size(self._rate(time, m)))

    def rate_of(self, time: float, m: Array) -> Array:
        """Return dm/dt [1/ps] that pumps, with the torque of the last solution, shape (n, 3)."""
        assert self.velocity is not None
        self._solving = True
        found = self.velocity(time, m) / RATE
        self._solving = False
        return found

    def solve_moving(self, time: float, m: Array, velocity: Array, measured: bool) -> None:
        """Solve transport around m that moves with a velocity [1/ps], shape (n, 3).

        Args:
            time: [s].
            m: Directions, shape (n, 3).
            velocity: dm/dt, which pumps.
            measured: Whether the change of the torque counts as an error of it.
        """
        self._solve(time, m, velocity, measured)

    def _solve(self, time: float, m: Array, velocity: Array | None = None, measured: bool = True) -> None:
        if velocity is None and self.velocity is not None:
            velocity = self.rate_of(time, m)
        predicted = self._parts(m) if measured and self._driven.last is not None else None
        accuracy = self.accuracy * self.tolerance
        # What is pumped does not follow the signal: it is solved for by itself.
        apart = velocity is not None and self.signal is not None
        self._driven.add(
            self.transport.solve(m, None if apart else velocity, accuracy, self._driven.guess(m))
        )
        if apart:
            self._pumped.add(self.transport.solve(m, velocity, accuracy, self._pumped.guess(m), drive=0.0))
        self._see(time, m)
        if predicted is not None:
            pairs = zip(self._parts(m), predicted, strict=True)
            driven, pumped = (largest_size(a - b) for a, b in pairs)
            used, past = self._used, max(0.0, time - self.solutions[-1])
            self.largest_error = max(self.largest_error, used.most * driven + pumped)
            self.angle_error += 0.5 * (used.exposure * driven + past * pumped)
            self._used.measured = max(used.measured, used.most)
        self._used = Use(time, abs(self._scale(time)), measured=self._used.measured)
        self.solutions.append(time)

    def _parts(self, m: Array) -> tuple[Array, Array]:
        """Return the rates [1/s] of what is driven, at full strength, and of what is pumped."""
        kept = (self._driven, self._pumped)
        fluxes = (np.zeros_like(m) if k.last is None else k.flux(m) for k in kept)
        one, other = (node_rate(flux, m, *self._magnet) for flux in fluxes)
        return one, other

    def _rate(self, time: float, m: Array) -> Array:
        return node_rate(self._kept(time, m), m, *self._magnet)

    def _kept(self, time: float, m: Array) -> Array:
        """Return the flux of the last solution as it is taken to be at m."""
        flux = self._driven.flux(m)
        if self.signal is not None:
            flux = self._scale(time) * flux
        return flux if self._pumped.last is None else flux + self._pumped.flux(m)

    def state(self) -> dict[str, Array]:
        """Return what a resumed run needs to do the same arithmetic, as arrays by name."""
        saved = {f"transport_{k}": v for k, v in self.transport.state().items()}
        for name, kept in (("driven", self._driven), ("pumped", self._pumped)):
            saved |= {f"{name}_{k}": v for k, v in kept.state().items()}
        sums = (self.angle_error, self.largest_error, self.largest_rate, float(self.skipped))
        used = self._used
        return saved | {
            "sums": np.array(sums),
            "solutions": np.array(self.solutions),
            "used": np.array([used.time, used.most, used.exposure, used.measured]),
        }

    def restore(self, state: Mapping[str, Array]) -> None:
        """Take up a saved state."""

        def part(name: str) -> dict[str, Array]:
            head = f"{name}_"
            return {k.removeprefix(head): v for k, v in state.items() if k.startswith(head)}

        self.transport.restore(part("transport"))
        self._driven.restore(part("driven"), self.transport)
        self._pumped.restore(part("pumped"), self.transport)
        self.angle_error, self.largest_error, self.largest_rate, skipped = state["sums"].tolist()
        self.skipped, self.solutions = int(skipped), state["solutions"].tolist()
        self._used = Use(*state["used"].tolist())

    def report(self) -> dict[str, Any]:
        """Return what coupling cost and how far the kept torque was off.

        Keys: solutions, skipped (updates left out), factorisations, iterations (mean per
        solution), most_iterations, seconds (by phase), angle_error [rad], largest_error and
        largest_rate of the torque [1/s].
        """
        work = self.transport.work
        counts = work.iterations or [0]
        return {
            "solutions": work.solutions,
            "skipped": self.skipped,
            "factorisations": work.factorisations,
            "iterations": float(np.mean(counts)),
            "most_iterations": int(max(counts)),
            "seconds": dict(work.seconds),
            "angle_error": self.angle_error,
            "largest_error": self.largest_error,
            "largest_rate": self.largest_rate,
        }


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


def refuse_odd(transport: TexturedTransport, n: Array) -> None:
    """Refuse couplings that change sign with the moments: they cancel between sublattices.

    Raises:
        CaseError: If there are any.
    """
    here, reversed_ = transport.fields(n), transport.fields(-n)
    keys = ("omega", "theta", "drift", "relaxation")
    odd = [
        name
        for name in transport.map.on_cells
        if any(_differ(getattr(here[name], k), getattr(reversed_[name], k)) for k in keys)
    ]
    laws, others = transport.laws(n), transport.laws(-n)
    odd += [
        name
        for name in transport.map.faces
        if name in laws and _differ(laws[name].conductance, others[name].conductance)
    ]
    if odd:
        raise CaseError(
            "dynamics.region",
            f"{', '.join(odd)}: couplings odd in the direction of the moments"
            " (exchange precession, polarisation, G_i) cancel at the compensated interface of an"
            " antiferromagnet; leave them out",
        )


def largest_size(vectors: Array) -> float:
    """Return the length of the longest of the vectors, shape (n, 3)."""
    return float(np.sqrt(np.einsum("ij,ij->i", vectors, vectors).max()))


def _differ(a: Array, b: Array) -> bool:
    return bool(np.abs(a - b).max(initial=0.0) > 1e-12 * np.abs(a).max(initial=0.0))
