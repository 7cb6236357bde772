"""With what strength of the sources the flux of one solution of transport has been used."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

__all__ = ["Use"]


@dataclass
class Use:
    """With what factors of the sources a kept flux has been used.

    Args:
        time: Until when [s].
        most: Largest factor.
        exposure: Integral of the factor since the solution [s].
        measured: Largest factor of fluxes kept before, whose error is known.
    """

    time: float = np.nan
    most: float = 0.0
    exposure: float = 0.0
    measured: float = 0.0

    def until(self, time: float, scale: Callable[[float], float]) -> None:
        """Add the time since; it lies within one step, where the factor is smooth."""
        if time > self.time:
            middle = abs(scale(0.5 * (self.time + time)))
            self.exposure += middle * (time - self.time)
            self.most = max(self.most, middle)
        self.time, self.most = time, max(self.most, abs(scale(time)))
