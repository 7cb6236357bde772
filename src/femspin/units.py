"""Physical constants and the only place where units are converted.

Case files, materials and microscopic formulas use SI.  Meshes and the finite-element
system use nanometres, picoseconds and millielectronvolts, in which the coefficients of
the transport equation are numbers of order one and mesh tolerances are safe:

==================  ==================  ==============================
quantity            internal unit       in SI
==================  ==================  ==============================
length              nm                  1e-9 m
time                ps                  1e-12 s
energy, mu          meV                 1.602e-22 J
particle flux J     1/(nm^2 ps)         1e30 1/(m^2 s)
DOS nu              1/(meV nm^3)        6.242e48 1/(J m^3)
==================  ==================  ==============================
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "DENSITY",
    "DIFFUSION",
    "DOS",
    "ENERGY",
    "E_CHARGE",
    "FLUX",
    "HBAR",
    "K_B",
    "LENGTH",
    "MU_0",
    "MU_B",
    "M_E",
    "RATE",
    "SPIN_CURRENT",
    "SPIN_CURRENT_UNIT",
    "TIME",
    "AnyArray",
    "Array",
    "Indices",
    "Progress",
]

Array = NDArray[np.float64]
Indices = NDArray[np.int64]
AnyArray = NDArray[Any]
Progress = Callable[[float], None]
"""What is told the fraction of the work that is done."""
"""Real or complex numbers, or indices of any width."""

# CODATA 2022; those of scipy would take longer to load than a small case to solve.
HBAR: float = 1.0545718176461565e-34
"""Reduced Planck constant [J s]."""
E_CHARGE: float = 1.602176634e-19
"""Elementary charge, positive [C]; electrons carry minus this."""
K_B: float = 1.380649e-23
"""Boltzmann constant [J/K]."""
MU_B: float = 9.2740100657e-24
"""Bohr magneton [J/T]."""
M_E: float = 9.1093837139e-31
"""Electron mass [kg]."""
MU_0: float = 1.25663706127e-06
"""Vacuum permeability [T m/A]."""

# Size of one internal unit in SI.
LENGTH: float = 1e-9
TIME: float = 1e-12
ENERGY: float = 1e-3 * E_CHARGE
RATE: float = 1.0 / TIME
DENSITY: float = LENGTH**-3
DOS: float = 1.0 / (ENERGY * LENGTH**3)
DIFFUSION: float = LENGTH**2 / TIME
FLUX: float = 1.0 / (LENGTH**2 * TIME)
SPIN_CURRENT_UNIT = "A/m^2 (hbar/2e)"
SPIN_CURRENT: float = E_CHARGE * FLUX
"""One internal particle flux as a current density e J [A/m^2].

A spin current reported as ``x A/m^2`` carries the angular momentum (hbar/2e) x.
"""
