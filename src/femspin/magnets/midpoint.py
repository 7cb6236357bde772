r"""The implicit midpoint rule with a Newton iteration: no stability limit, exact energy law.

One step solves, with :math:`\bar m = (m_0 + m_1)/2`,

.. math:: m_1 - m_0 = \Delta t\,\Omega\times\bar m, \qquad
    \Omega = \omega + \Omega_\tau(\bar m) - \alpha\frac{m_1 - m_0}{\Delta t},

where omega is the discrete gradient of the energy between m_0 and m_1 (the gradient at the
midpoint for quadratic terms; d'Aquino, Serpico and Miano, J. Comput. Phys. 209, 730 (2005)).
Then |m| = 1, and without drive :math:`E_1 - E_0 = -\alpha s\sum_i V_i|m_1-m_0|_i^2/\Delta t`
for any step.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import numpy as np
import scipy.sparse as sp
from scipy.sparse.linalg import splu

from ..errors import CaseError, SolverError
from ..units import Array
from .explicit import RESTART, fitted_step, random_rotation
from .ferromagnet import Texture
from .vectors import cayley, cross, cross_matrix

__all__ = ["Anderson", "Midpoint"]


_MOST_ITERATIONS = 40
_SLOW = 0.2  # residual ratio above which the next iteration gets a new factorization
_MOST_HALVINGS = 6  # of the step in search of a starting point
_MOST_RENEWALS = 8  # factorizations per step
_HISTORY = 6
_SAFETY, _SHRINK, _GROW = 0.9, 0.2, 2.0
_REUSE = (0.7, 1.4)  # a factorization serves steps within these ratios of its own


@dataclass
class Midpoint:
    """Implicit midpoint rule, order 2, with fixed or adaptive step.

    The factorized Newton matrix holds the sparse energy terms and the damping and is kept over
    iterations and steps while they converge; long-range demagnetization and torques enter the
    residual only, with Anderson acceleration.

    Args:
        texture: The system.
        step: Time step [ps], the first one if adaptive.
        tolerance: Angle error allowed per step [rad] if adaptive; None keeps the step.
        longest: Longest step [ps].
        accuracy: Largest change of m at which the iteration stops.
    """

    texture: Texture
    step: float
    tolerance: float | None = None
    longest: float = np.inf
    accuracy: float = 1e-11
    generator: np.random.Generator | None = None
    steps: int = 0
    iterations: int = 0
    factorizations: int = 0
    _solve: Any = field(default=None, repr=False)
    _solve_step: float = field(default=0.0, repr=False)
    _past: list[tuple[float, Array]] = field(default_factory=list, repr=False)

    def __post_init__(self) -> None:
        if not self.step > 0:
            raise CaseError("step", f"must be positive, got {self.step}")
        if self.texture.thermal is not None:
            if self.tolerance is not None:
                raise SolverError("a thermal field needs a fixed time step")
            if self.generator is None:
                self.generator = self.texture.thermal.generator()

    def advance(self, m: Array, time: float, end: float, limit: float = np.inf) -> tuple[Array, float]:
        """Return m and the time [ps] after one accepted step that does not pass `end`.

        It is not longer than `limit` [ps].

        Raises:
            SolverError: If Newton's iteration fails or the step falls below round-off.
        """
        while True:
            step, last = fitted_step(min(self.step, self.longest, limit), end - time)
            noise = random_rotation(self.texture, self.generator, step, m.shape)
            found = self._try(m, time, step, noise)
            if found is None and self.tolerance is None:
                raise SolverError(
                    f"the midpoint rule did not converge at {time:g} ps; a shorter"
                    f" step than {step:g} ps may help"
                )
            error = np.inf if found is None else self._error(m, time, step, *found)
            if self._accept(step, error, last) and found is not None:
                break
            if self.step < 1e-9 * max(1e-3, abs(time)):
                raise SolverError(f"the time step fell to {self.step:g} ps at {time:g} ps")
        after, turn = found
        self.steps += 1
        rates = np.stack([turn, (after - m) / step])
        self._past = [*self._past[-1:], (time + step / 2, rates)]
        return after, end if last else time + step

    def _accept(self, step: float, error: float, last: bool) -> bool:
        """Return whether a step is good enough, and set the next one."""
        if self.tolerance is None:
            return True
        factor = _SAFETY * (self.tolerance / max(error, 1e-300)) ** (1 / 3)
        if error <= self.tolerance:
            grown = step * min(_GROW, factor)
            self.step = max(grown, self.step) if last else grown
            return True
        self.step = step * max(_SHRINK, min(factor, 0.7))
        return False

    def _error(self, m: Array, time: float, step: float, after: Array, turn: Array) -> float:
        """Return an estimate of the angle error of a step [rad].

        The rotation rate and dm/dt are compared with the lines through those of the last two
        steps; the differences are of the size of step^2 d^2 Omega / dt^2 and step^2 d^3 m / dt^3,
        of which the midpoint rule misses between 1/24 and 1/12.  Neither tells alone: in a
        constant field Omega is constant, and yet every step turns m too little; where fields turn
        with m, dm/dt may change less than Omega.
        """
        if self.tolerance is None:
            return 0.0
        if len(self._past) < 2:
            # The first steps have nothing to compare with: keep their rotation small.
            size = float(np.linalg.norm(turn, axis=1).max()) * step
            return size**3 / 12
        (t0, w0), (t1, w1) = self._past
        middle, rates = time + step / 2, np.stack([turn, (after - m) / step])
        line = w1 + (w1 - w0) * ((middle - t1) / (t1 - t0))
        # Extrapolation over unequal steps is scaled to what it would be over equal ones.
        scale = 2 * step**2 / ((middle - t1) * (middle - t0))
        miss = np.linalg.norm(rates - line, axis=2).max() * min(scale, 1.0)
        return float(miss) * step / 12

    def _try(
        self, m: Array, time: float, step: float, noise: Array | None, halvings: int = 0
    ) -> tuple[Array, Array] | None:
        """Return m after the step and its rotation rate, or None without convergence.

        Where Newton's iteration fails from m, it starts from the end of half the step.
        """
        found = self._iterate(m, m, time, step, noise)
        if found is not None or self.tolerance is not None or halvings == _MOST_HALVINGS:
            return found
        half = self._try(m, time, step / 2, noise, halvings + 1)
        return None if half is None else self._iterate(m, half[0], time, step, noise)

    def _iterate(
        self, m: Array, guess: Array, time: float, step: float, noise: Array | None
    ) -> tuple[Array, Array] | None:
        middle = time + step / 2
        renewals = int(self._renew(m, guess, middle, step, noise, force=guess is not m))
        after, turn = guess.copy(), np.zeros_like(m)
        before_size, history = np.inf, Anderson()
        for _ in range(_MOST_ITERATIONS):
            turn = self._turn(m, after, middle, step, noise)
            residual = after - m - step * cross(turn, 0.5 * (m + after))
            size = float(np.abs(residual).max())
            if not size < 1e3:
                return None
            if size > max(_SLOW * before_size, self.accuracy) and renewals < _MOST_RENEWALS:
                self._renew(m, after, middle, step, noise, force=True)
                renewals, history = renewals + 1, Anderson()
            change = -self._solve.solve(residual.ravel()).reshape(m.shape)
            self.iterations += 1
            if float(np.abs(change).max()) < self.accuracy:
                return cayley(0.5 * step * turn, m), turn
            after = history.next(after, change)
            before_size = size
        return None

    def _turn(self, m: Array, after: Array, middle: float, step: float, noise: Array | None) -> Array:
        turn = self.texture.secant_precession(m, after, middle)
        turn += self.texture.torque_rotation(0.5 * (m + after), middle)
        turn -= (self.texture.damping / step) * (after - m)
        return turn if noise is None else turn + noise

    def _renew(
        self, m: Array, after: Array, middle: float, step: float, noise: Array | None, *, force: bool
    ) -> bool:
        """Factorize the Newton matrix at (m, after) unless an old one will do."""
        low, high = _REUSE
        near = self._solve is not None and low <= step / self._solve_step <= high
        if near and not force:
            return False
        mean = 0.5 * (m + after)
        turn = self._turn(m, after, middle, step, noise)
        spin = cross_matrix(mean)
        matrix = (
            sp.eye_array(m.size)
            - self.texture.damping * spin
            - 0.5 * step * cross_matrix(turn)
            - 0.5 * step * (spin @ self.texture.stiffness(mean))
        )
        self._solve = splu(sp.csc_array(matrix), permc_spec="COLAMD")
        self._solve_step = step
        self.factorizations += 1
        return True

    def restart(self) -> None:
        """Begin anew after a break of a drive: without history, with a small step if adaptive."""
        self._past = []
        if self.tolerance is not None:
            self.step = min(self.step, RESTART)

    def state(self) -> dict[str, Array]:
        """Return what a resumed run needs besides m and the time, and forget the rest.

        The factorization is forgotten, so that the run that goes on and the one that resumes do
        the same arithmetic.
        """
        self._solve, self._solve_step = None, 0.0
        saved = {"step": np.array(self.step), "steps": np.array(self.steps)}
        for k, (when, rates) in enumerate(self._past):
            saved[f"when{k}"], saved[f"rates{k}"] = np.array(when), rates.copy()
        return saved

    def restore(self, state: dict[str, Array]) -> None:
        """Take up a saved state."""
        self._solve, self._solve_step = None, 0.0
        self.step, self.steps = float(state["step"]), int(state["steps"])
        self._past = [
            (float(state[f"when{k}"]), np.array(state[f"rates{k}"])) for k in range(2) if f"when{k}" in state
        ]


@dataclass
class Anderson:
    """Anderson acceleration of x -> x + change(x) over the last few iterates."""

    points: list[Array] = field(default_factory=list)
    changes: list[Array] = field(default_factory=list)

    def next(self, x: Array, change: Array) -> Array:
        """Return the next iterate."""
        self.points = [*self.points[-_HISTORY:], x]
        self.changes = [*self.changes[-_HISTORY:], change]
        if len(self.points) == 1:
            return x + change
        dc = np.stack([(b - a).ravel() for a, b in pairwise(self.changes)], axis=1)
        dx = np.stack([(b - a).ravel() for a, b in pairwise(self.points)], axis=1)
        weights = np.linalg.lstsq(dc, change.ravel(), rcond=1e-10)[0]
        return x + change - ((dx + dc) @ weights).reshape(x.shape)
