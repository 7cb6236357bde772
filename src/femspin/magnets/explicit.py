"""Explicit Runge-Kutta methods on the sphere for meshes that are not stiff.

The unknown of a step is the rotation vector u with m = exp(u) m_0, so |m| = 1 to rounding at
every order (Munthe-Kaas; Hairer, Lubich and Wanner, Geometric Numerical Integration, IV.8).
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from ..errors import CaseError, SolverError
from ..units import Array
from .ferromagnet import Texture
from .vectors import dexpinv, normalized, rotate

__all__ = ["RESTART", "Heun", "RungeKutta", "fitted_step", "random_rotation"]


# Dormand and Prince, J. Comput. Appl. Math. 6, 19 (1980): nodes, stages, fifth minus fourth order.
_C = np.array([0, 1 / 5, 3 / 10, 4 / 5, 8 / 9, 1, 1])
_A = [
    [],
    [1 / 5],
    [3 / 40, 9 / 40],
    [44 / 45, -56 / 15, 32 / 9],
    [19372 / 6561, -25360 / 2187, 64448 / 6561, -212 / 729],
    [9017 / 3168, -355 / 33, 46732 / 5247, 49 / 176, -5103 / 18656],
    [35 / 384, 0, 500 / 1113, 125 / 192, -2187 / 6784, 11 / 84],
]
_E = np.array([71 / 57600, 0, -71 / 16695, 71 / 1920, -17253 / 339200, 22 / 525, -1 / 40])
_SAFETY, _SHRINK, _GROW = 0.9, 0.2, 4.0

RESTART = 1e-3
"""Longest first step [ps] of an adaptive scheme after a drive was not smooth."""


@dataclass
class RungeKutta:
    """Adaptive Dormand-Prince method of order 5 on the sphere.

    Args:
        texture: The system.
        tolerance: Angle error allowed per step [rad].
        step: Step to try next [ps].
        longest: Longest step [ps].
        fixed: Keep `step` whatever the error.
    """

    texture: Texture
    tolerance: float = 1e-6
    step: float = 1e-3
    longest: float = np.inf
    fixed: bool = False
    steps: int = 0
    rejected: int = 0
    _turn: Array | None = field(default=None, repr=False)
    _at: float = field(default=np.nan, repr=False)

    def __post_init__(self) -> None:
        if not (self.step > 0 and self.tolerance > 0):
            raise CaseError("step", f"and tolerance must be positive, got {self.step}")
        if self.texture.thermal is not None:
            raise SolverError("a thermal field needs a fixed time step: use Heun or Midpoint")

    def advance(self, m: Array, time: float, end: float, limit: float = np.inf) -> tuple[Array, float]:
        """Return m and the time [ps] after one accepted step that does not pass `end`.

        It is not longer than `limit` [ps].

        Raises:
            SolverError: If the step falls below round-off.
        """
        while True:
            step, last = fitted_step(min(self.step, self.longest, limit), end - time)
            after, error, turn = self._try(m, time, step)
            if self.fixed or error <= self.tolerance:
                break
            self.rejected += 1
            self.step = step * max(_SHRINK, _SAFETY * (self.tolerance / error) ** 0.2)
            if self.step < 1e-12 * max(1.0, abs(time)):
                raise SolverError(f"the time step fell to {self.step:g} ps at {time:g} ps")
        self.steps += 1
        if not self.fixed:
            grown = step * min(_GROW, _SAFETY * (self.tolerance / max(error, 1e-300)) ** 0.2)
            self.step = max(grown, self.step) if last else grown
        reached = end if last else time + step
        self._turn, self._at = turn, reached
        return after, reached

    def _try(self, m: Array, time: float, step: float) -> tuple[Array, float, Array]:
        first = self._turn if self._turn is not None and self._at == time else None
        slopes = [self.texture.rotation(m, time) if first is None else first]
        turn, u, after = slopes[0], slopes[0], m
        for c, row in zip(_C[1:], _A[1:], strict=True):
            u = step * np.einsum("s,sij->ij", row, np.stack(slopes))
            after = normalized(rotate(u, m))
            turn = self.texture.rotation(after, time + c * step)
            slopes.append(dexpinv(u, turn))
        miss = step * sum(e * k for e, k in zip(_E, slopes, strict=True))
        return after, float(np.sqrt(np.einsum("ij,ij->i", miss, miss).max())), turn

    def forget(self) -> None:
        """Drop the slope kept from the last step, as when a torque has changed since."""
        self._turn, self._at = None, np.nan

    def restart(self) -> None:
        """Begin anew after a break of a drive: without history, with a small step if adaptive."""
        self.forget()
        if not self.fixed:
            self.step = min(self.step, RESTART)

    def state(self) -> dict[str, Array]:
        """Return what a resumed run needs besides m and the time, and forget the rest."""
        self.forget()
        return {"step": np.array(self.step), "steps": np.array(self.steps)}

    def restore(self, state: dict[str, Array]) -> None:
        """Take up a saved state."""
        self.step, self.steps = float(state["step"]), int(state["steps"])
        self._turn, self._at = None, np.nan


@dataclass
class Heun:
    """Heun's method on the sphere with a fixed step: order 2, and 1/2 with noise (Stratonovich).

    Args:
        texture: The system, with a thermal field or without.
        step: Time step [ps].
    """

    texture: Texture
    step: float
    generator: np.random.Generator | None = None
    steps: int = 0

    def __post_init__(self) -> None:
        if not self.step > 0:
            raise CaseError("step", f"must be positive, got {self.step}")
        if self.generator is None and self.texture.thermal is not None:
            self.generator = self.texture.thermal.generator()

    def advance(self, m: Array, time: float, end: float, limit: float = np.inf) -> tuple[Array, float]:
        """Return m and the time [ps] after one step that does not pass `end`.

        `limit` is not looked at: other steps would see the noise of another realisation.
        """
        step, last = fitted_step(self.step, end - time)
        noise = random_rotation(self.texture, self.generator, step, m.shape)
        first = self.texture.rotation(m, time, noise)
        guess = normalized(rotate(step * first, m))
        second = self.texture.rotation(guess, time + step, noise)
        turn = 0.5 * (first + dexpinv(step * first, second))
        self.steps += 1
        return normalized(rotate(step * turn, m)), end if last else time + step

    def state(self) -> dict[str, Array]:
        """Return what a resumed run needs besides m and the time."""
        return {"steps": np.array(self.steps)}

    def restore(self, state: dict[str, Array]) -> None:
        """Take up a saved state."""
        self.steps = int(state["steps"])


def fitted_step(step: float, remaining: float) -> tuple[float, bool]:
    """Return the step that reaches the end in equal steps not above `step`; True if it is one."""
    if remaining > 1e6 * step:
        return step, False
    count = max(1, int(np.ceil(remaining / step - 1e-9)))
    return remaining / count, count == 1


def random_rotation(
    texture: Texture, generator: np.random.Generator | None, step: float, shape: tuple[int, ...]
) -> Array | None:
    """Return the random precession vector of a step [rad/ps], None without a thermal field."""
    if texture.thermal is None or generator is None:
        return None
    return texture.thermal.deviation(texture, step) * generator.standard_normal(shape)
