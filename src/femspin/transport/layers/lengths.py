"""Characteristic lengths of a region, in metres."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from ...case.schema import Case
from ...dual import as_array, stacked
from ...fields.kernels import loss_kernel
from ...fields.region import RegionFields
from ...units import E_CHARGE, LENGTH
from .slab import local_laws, slab_operators

__all__ = ["Lengths", "decay_exponents", "lengths", "mesh_lengths", "resolved_rates"]

# Longer ones are none: no device is that large.
_LONGEST = 1e-3


@dataclass(frozen=True)
class Lengths:
    """Lengths over which spin changes in a region [m]; infinite where nothing acts.

    Args:
        relaxation: sqrt(D / Gamma) of the fastest relaxing component.
        precession: sqrt(D / |omega|).
        spin_orbit: 1 / sqrt(largest eigenvalue of K), decay by spin-orbit coupling.
        gauge: 1 / |a^z|, rotation along z.
        shortest: Scale a mesh must resolve: 1 / |lambda| for the largest of the exponents of
            exp(lambda z), with which spin varies across a layer.  They contain everything: decay,
            precession, the gauge field, and the Hall, Larmor and spin Hall angles, which turn
            diffusion itself.
        conductance: 2 e^2 nu D / shortest, the spin conductance of a thick region [S/m^2].
    """

    relaxation: float
    precession: float
    spin_orbit: float
    gauge: float
    shortest: float
    conductance: float


def lengths(fields: RegionFields, rates: Sequence[float] = ()) -> Lengths:
    """Return the characteristic lengths of a region, found once.

    Args:
        fields: Its coefficients.
        rates: Angular frequencies W of exp(+iWt) [rad/s] at which `shortest` counts too.
    """
    return _lengths(fields, tuple(rates))


@lru_cache(maxsize=100)
def _lengths(fields: RegionFields, rates: tuple[float, ...]) -> Lengths:
    decay = np.linalg.eigvalsh(0.5 * (fields.relaxation + fields.relaxation.T)).max()
    loss = np.abs(np.linalg.eigvals(loss_kernel(fields.gauge, fields.theta))).max()
    largest = max(np.abs(decay_exponents(fields, w)).max() for w in (0.0, *rates))
    with np.errstate(divide="ignore", invalid="ignore"):
        inverse = stacked(
            [
                np.sqrt(np.maximum(decay, 0.0) / fields.diffusion),
                np.sqrt(np.linalg.norm(fields.omega) / fields.diffusion),
                np.sqrt(loss),
                np.linalg.norm(fields.gauge[2]),
                largest if largest > 1 / _LONGEST else 0.0,
            ]
        )
        values = np.where(inverse > 0, 1 / inverse, np.inf)
    relaxation, precession, spin_orbit, rotation, shortest = values
    conductance = 2 * E_CHARGE**2 * fields.dos * fields.diffusion * inverse[-1]
    return Lengths(relaxation, precession, spin_orbit, rotation, shortest, conductance)


def decay_exponents(fields: RegionFields, rate: float = 0.0) -> NDArray[np.complex128]:
    """Return the six lambda of the solutions exp(lambda z) across a region [1/m].

    Args:
        fields: Coefficients of the region.
        rate: Angular frequency W of exp(+iWt) [rad/s].
    """
    laws = slab_operators(local_laws(fields, rate), np.asarray(_LONGEST))
    found = np.linalg.eigvals(laws.generator[:6, :6]) / laws.length
    return as_array(found, complex)


def mesh_lengths(fields: RegionFields, rates: Sequence[float] = ()) -> NDArray[np.complex128]:
    """Return 1/lambda of all solutions exp(lambda z) [m], for grading a mesh; at most 1 um.

    The arguments are those of `lengths`.
    """
    found = np.concatenate([decay_exponents(fields, w) for w in (0.0, *rates)])
    longest = 1e3 * LENGTH
    counts = np.abs(found) * longest > 1
    return np.asarray(1 / np.where(counts, found, 1 / longest), complex)


def resolved_rates(case: Case) -> tuple[float, ...]:
    """Return the outermost angular frequencies [rad/s] that a case resolves, if it follows time.

    Of exp(+iWt); that of a transient is one over the shortest time of its output.
    """
    if case.frequency is not None:
        return (min(case.frequency.angular), max(case.frequency.angular))
    if case.transient is not None:
        return (1 / case.transient.shortest,)
    return ()
