"""What becomes of the flux of transport between two solutions."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from ...magnets.vectors import cross, dot, rotate
from ...units import Array
from .transport import TexturedSolution, TexturedTransport

__all__ = ["BETWEEN", "Between", "KeptFlux"]

Between = Literal["keep", "turn", "extrapolate"]
BETWEEN: tuple[Between, ...] = ("keep", "turn", "extrapolate")


@dataclass
class KeptFlux:
    """The last solutions of transport for one kind of source, and their flux elsewhere.

    Args:
        between: ``keep`` the flux, ``turn`` it with the moment as a rigid body, or
            ``extrapolate`` it along the last change of m.
    """

    between: Between
    last: TexturedSolution | None = field(default=None, repr=False)
    before: TexturedSolution | None = field(default=None, repr=False)

    def add(self, solution: TexturedSolution) -> None:
        """Take a new solution."""
        self.before, self.last = self.last, solution

    def turned(self, m: Array) -> float:
        """Return the largest distance that a moment is from the last solution [rad]."""
        assert self.last is not None
        change = m - self.last.m
        return float(np.sqrt(np.einsum("ij,ij->i", change, change).max()))

    def guess(self, m: Array) -> Array | None:
        """Return unknowns extrapolated along the last change of m, shape (n_free,)."""
        if self.last is None or self.before is None:
            return None if self.last is None else self.last.unknowns
        step = self._along(m)
        return self.last.unknowns + step * (self.last.unknowns - self.before.unknowns)

    def flux(self, m: Array) -> Array:
        """Return the flux of the last solution as it is taken to be at m [1/ps], (n, 3)."""
        assert self.last is not None
        flux = self.last.flux
        if self.between == "turn":
            axis = cross(self.last.m, m)
            sine = np.sqrt(dot(axis, axis))
            angle = np.arctan2(sine, dot(self.last.m, m))
            turn = axis * np.where(sine > 0, angle / np.where(sine > 0, sine, 1.0), 1.0)
            flux = rotate(turn, flux)
        elif self.between == "extrapolate" and self.before is not None:
            flux = flux + self._along(m) * (flux - self.before.flux)
        return flux

    def _along(self, m: Array) -> float:
        """Return how far m went in units of the last change of m, limited to [0, 1]."""
        assert self.last is not None
        assert self.before is not None
        path = self.last.m - self.before.m
        size = float(np.vdot(path, path))
        if size == 0.0:
            return 0.0
        return float(np.clip(np.vdot(m - self.last.m, path) / size, 0.0, 1.0))

    def state(self) -> dict[str, Array]:
        """Return the solutions as arrays by name; `restore` takes them up."""
        found: dict[str, Array] = {}
        for name, solution in (("last", self.last), ("before", self.before)):
            if solution is not None:
                found |= {
                    f"{name}_m": solution.m,
                    f"{name}_unknowns": solution.unknowns,
                    f"{name}_flux": solution.flux,
                    f"{name}_drive": np.array(solution.drive),
                }
        return found

    def restore(self, state: dict[str, Array], transport: TexturedTransport) -> None:
        """Take up saved solutions."""

        def read(name: str) -> TexturedSolution | None:
            if f"{name}_m" not in state:
                return None
            m, x, flux = (state[f"{name}_{key}"] for key in ("m", "unknowns", "flux"))
            return transport.recalled(m, x, flux, float(state[f"{name}_drive"]))

        self.last, self.before = read("last"), read("before")
