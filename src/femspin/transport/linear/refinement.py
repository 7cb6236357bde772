"""Iterative refinement of solutions, in extended precision and until potentials are known."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...errors import SolverError
from ...units import Array
from .krylov import norm
from .solve import SMALLEST_REDUCTION, LinearSolver

__all__ = ["refine"]

log = logging.getLogger("femspin")


_REFINEMENTS = 6
_EXACT = 1e-16
_CANCELLED = 1e-4
# Error left in charge or spin potentials that ends an iteration, that is worth a warning, and
# that makes a solution none; relative to each, or to all as far as round-off goes: of potentials
# that are next to none beside the others, digits are lost and no harm is done.
_SETTLED, _UNSURE, _UNDETERMINED, _FLOOR = 1e-8, 1e-6, 1e-2, 1e-6
# Assembled and cell-wise operator agree to round-off only; below this a direct solve is exact.
_ROUND_OFF = 1e-11


def refine(
    solver: LinearSolver,
    residual: Callable[[Any], Array],
    start: Any,
    tolerance: float,
    guess: Any = None,
    size: float = 0.0,
    charge: NDArray[np.bool_] | None = None,
) -> tuple[Any, float]:
    """Return the unknowns in extended precision and the relative residual reached.

    Iterative refinement: solutions rounded to doubles would leave
    residuals that matter for the balance of currents on fine meshes.

    A small residual does not bound the error where spin hardly relaxes: a constant spin potential
    leaves next to none.  Two corrections in a row tell what a third one would still change; it
    goes on until that is little, and refuses a solution that is not determined.

    Args:
        solver: Reduces a residual.
        residual: b - A x of extended-precision unknowns.
        start: Zeros of extended precision, real or complex, shape (n_free,); the residual there
            is the scale of the relative one.
        tolerance: Relative residual that must be reached.
        guess: Unknowns to start from.
        size: |b| before loads of neighbouring cells cancel: a residual of its round-off is none.
        charge: Which unknowns are charge potentials, shape (n_free,), if they are told apart.

    Raises:
        SolverError: If the tolerance is not reached, or potentials are not determined.
    """
    x, r = start, residual(start)
    scale = max(norm(r), _CANCELLED * size)
    if scale == 0.0:
        return x, 0.0
    corrections = _Corrections(charge, scale / max(norm(r), 1e-30 * scale), guess is not None)
    if guess is not None:
        at_guess = residual(guess)
        if norm(at_guess) < scale:
            x, r = guess, at_guess
    relative = norm(r) / scale
    for _ in range(_REFINEMENTS):
        if relative == 0.0 or (relative < _EXACT and corrections.settled):
            break
        change = solver.solve(r, min(0.1, max(SMALLEST_REDUCTION, 0.01 * tolerance / relative)))
        trial = x + change
        corrections.add(change, trial)
        after = residual(trial)
        progress = norm(after) / scale
        enough = corrections.settled or not progress <= tolerance
        if enough and not progress < relative:
            break
        x, r = trial, after
        stalled, relative = progress > 0.3 * relative, progress
        if enough and (stalled or (solver.method == "iterative" and relative < tolerance)):
            break
    _require(solver, relative, tolerance, len(x))
    corrections.require()
    return x, relative


def _require(solver: LinearSolver, relative: float, tolerance: float, unknowns: int) -> None:
    """Raise `SolverError` where the relative residual stays above the tolerance and round-off."""
    if not relative <= max(tolerance, _ROUND_OFF):
        raise SolverError(
            f"the {solver.method} solver left a relative residual of {relative:.1e} after"
            f" {solver.iterations} iterations (allowed {tolerance:.0e}); {unknowns} unknowns"
        )


class _Corrections:
    """The last two corrections of potentials, and what they say about the error left.

    Args:
        charge: Which unknowns are charge potentials, None if they are not told apart.
        larger: How much larger potentials would be without loads that cancel.
        near: Whether the first one starts from a solution of a similar system.
    """

    def __init__(self, charge: NDArray[np.bool_] | None, larger: float, near: bool) -> None:
        self._parts = (slice(None),) if charge is None else (charge, ~charge)
        self._sizes: list[Array] = []
        self._scale: Array = np.ones(len(self._parts))
        self._larger, self._near = larger, near

    @property
    def settled(self) -> bool:
        """Whether another correction would change little."""
        return (self._near or len(self._sizes) > 1) and self.left <= _SETTLED

    @property
    def left(self) -> float:
        """The relative change that corrections shrinking on as before would still make."""
        if len(self._sizes) < 2:
            return 0.0
        before, last = self._sizes[-2:]
        shrinking = np.minimum(last / np.where(before > 0, before, np.inf), 1.0)
        return float(np.max(shrinking * last / self._scale))

    def add(self, change: Any, x: Any) -> None:
        """Add a correction, which led to the potentials x."""
        self._sizes.append(np.array([norm(change[part]) for part in self._parts]))
        scale = self._larger * np.array([norm(x[part]) for part in self._parts])
        self._scale = np.maximum(scale + _FLOOR * float(np.linalg.norm(scale)), 1e-300)

    def require(self) -> None:
        """Refuse potentials that are not determined, and warn of uncertain ones.

        Raises:
            SolverError: If corrections go on changing them.
        """
        if self.left > _UNDETERMINED:
            raise SolverError(
                "the potentials are not determined: corrections without a residual change them by"
                f" {self.left:.0e}; hardly any relaxation, contact or reference fixes them"
            )
        if self.left > _UNSURE:
            log.warning("the linear system is nearly singular: potentials may be wrong by %.0e", self.left)
