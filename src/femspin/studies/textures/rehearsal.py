"""A texture system in which nothing moves and nothing is solved, for the names of its numbers."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from ...device.coupled.torque import CoupledTorque
from ...units import Array
from .system import TextureSystem

__all__ = ["rehearsed"]


def rehearsed(system: TextureSystem) -> TextureSystem:
    """Return a magnet that does not move, in a device that is not solved."""
    coupled: Any = None if system.coupled is None else _Unsolved(system.coupled)
    return replace(system, rehearsal=True, coupled=coupled)


class _Unsolved:
    """The torque of a device before it is solved."""

    def __init__(self, torque: CoupledTorque) -> None:
        self._torque = torque

    def __getattr__(self, name: str) -> Any:
        return getattr(self._torque, name)

    def __call__(self, time: float, m: Array) -> Array:
        return np.zeros_like(m)

    def potentials(self, time: float) -> Array:
        """Return nothing: there is no solution."""
        return np.zeros((0, 4))
