"""Characteristic lengths of a region, in metres."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..units import E_CHARGE, LENGTH
from .kernels import loss_kernel
from .region import RegionFields
from .soc import cross_matrix

__all__ = ["Lengths", "lengths"]


@dataclass(frozen=True)
class Lengths:
    """Lengths over which spin changes in a region [m]; infinite where nothing acts.

    Args:
        relaxation: sqrt(D / Gamma) of the fastest relaxing component.
        precession: sqrt(D / |omega|).
        spin_orbit: 1 / sqrt(largest eigenvalue of K), decay by spin-orbit coupling.
        gauge: 1 / |a^z|, rotation along z.
        shortest: Scale a mesh must resolve: 1 / (|kappa| + |a^z|) for the largest of
            kappa^2, the eigenvalues of K + (Gamma - omega x) / D.
        conductance: 2 e^2 nu D / shortest, the spin conductance of a thick region [S/m^2].
    """

    relaxation: float
    precession: float
    spin_orbit: float
    gauge: float
    shortest: float
    conductance: float


def lengths(fields: RegionFields) -> Lengths:
    """Return the characteristic lengths of a region."""
    rates = np.linalg.eigvalsh(0.5 * (fields.relaxation + fields.relaxation.T))
    K = loss_kernel(fields.gauge, fields.theta)
    loss = float(np.max(np.abs(np.linalg.eigvals(K))))
    squares = np.linalg.eigvals(
        K + (fields.relaxation - cross_matrix(fields.omega)) / fields.diffusion
    )
    gauge = float(np.linalg.norm(fields.gauge[2]))
    largest = float(np.sqrt(np.abs(squares).max())) + gauge
    inverse = np.array(
        [
            np.sqrt(max(float(rates.max()), 0.0) / fields.diffusion),
            np.sqrt(np.linalg.norm(fields.omega) / fields.diffusion),
            np.sqrt(loss),
            gauge,
            largest,
        ]
    )
    with np.errstate(divide="ignore"):
        values = np.where(inverse > 0, 1 / inverse, np.inf)
    conductance = 2 * E_CHARGE**2 * fields.dos * fields.diffusion * largest
    relaxation, precession, spin_orbit, rotation, shortest = (float(v) for v in values)
    return Lengths(relaxation, precession, spin_orbit, rotation, shortest, float(conductance))


def mesh_scale(fields: RegionFields) -> float:
    """Return the shortest length as a finite number [m] for grading a mesh."""
    return min(lengths(fields).shortest, 1e3 * LENGTH)
