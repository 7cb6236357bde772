r"""Exact decomposition of an interface spin current into M, L, S, A and E.

For every conducting region and every cell of it, the integrals over the cell of

* M: exchange torque, :math:`-\Gamma N + \omega\times N` (relaxation, precession),
* L: spin loss, :math:`-D (K_+^{d} + K_-) N`,
* S: spin loss that turns the spin, :math:`-D K_+^{o} N`,
* A: gauge precession of the gradient, :math:`D\,C^{a\nu}_j \partial_j N^\nu`, nu = 1..3,
* E: drift, :math:`-C^{a\nu}_j s^{j\nu} + D\,C^{a0}_j \partial_j N^0`,

add up, with the flux B through the other faces, to the spin current that leaves through the
interface.  The sum is exact for every mesh, element and Theta because C and K are contractions
of the same Theta that the matrix holds.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..fields.kernels import gauge_kernel, loss_kernel
from ..fields.soc import cross_matrix
from ..transport.coefficients import Coefficients
from ..transport.space import Space
from ..transport.system import TransportState

__all__ = [
    "PARTS", "SUBPARTS", "CellIntegrals", "cell_integrals", "cell_parts", "flux_density",
    "region_parts",
]  # fmt: skip

Array = NDArray[np.float64]

PARTS = ("M", "L", "S", "A", "E")
"""The five parts of an interface spin current."""
SUBPARTS = ("M_relax", "M_prec", "L_diag", "L_anti", "S", "A", "E")
"""What the parts are made of; M = M_relax + M_prec, L = L_diag + L_anti."""


@dataclass(frozen=True)
class CellIntegrals:
    """Integrals of mu over cells, in solver units.

    Args:
        cells: Positions among the conducting cells, shape (n,).
        measure: Cell measure, shape (n,).
        mu: Integral of mu, shape (n, 4).
        gradient: Integral of d_j mu along the mesh coordinates, shape (n, dim, 4).
    """

    cells: NDArray[np.int64]
    measure: Array
    mu: Array
    gradient: Array


def cell_integrals(space: Space, mu: Array, cells: NDArray[np.int64]) -> CellIntegrals:
    """Return the integrals of mu and its gradient over each of `cells`."""
    measures, values, gradients = [], [], []
    for piece in space.chunks(cells):
        local = mu[space.dofs[piece.cells]]
        both = np.einsum("eic,eik->eck", piece.vector, local)
        gradients.append(both[:, :-1])
        values.append(both[:, -1])
        measures.append(piece.vector[:, :, -1].sum(axis=1))
    return CellIntegrals(
        cells, np.concatenate(measures), np.concatenate(values), np.concatenate(gradients)
    )


def cell_parts(
    c: Coefficients, integrals: CellIntegrals, axes: tuple[int, ...]
) -> Mapping[str, Array]:
    """Return the integral of every sub-part over each cell [1/ps per unit], shape (n, 3).

    ``moments`` is the share of M that acts on the local moments: all of M unless the region
    also relaxes spin to the lattice or precesses in an external field.

    References:
        PRB 108, 125309 (2023), Eqs. (33)-(39) as corrected by errata E7, E19, E28.
    """
    density = c.dos * integrals.mu[:, 1:]
    K, C = loss_kernel(c.gauge, c.theta), gauge_kernel(c.gauge, c.theta)
    symmetric, antisymmetric = 0.5 * (K + K.T), 0.5 * (K - K.T)
    diagonal = np.diag(np.diag(symmetric))
    slope = (
        c.dos * c.diffusion * np.einsum("ajn,ejn->ean", C[:, list(axes)], integrals.gradient)
    )  # D C^{a nu}_j d_j N^nu, still resolved by nu
    drift = np.einsum("ajn,jn->a", C, c.drift)
    return {
        "moments": density @ (cross_matrix(c.moment_omega) - c.moment_relaxation).T,
        "M_relax": -density @ c.relaxation.T,
        "M_prec": density @ cross_matrix(c.omega).T,
        "L_diag": -c.diffusion * density @ diagonal.T,
        "L_anti": -c.diffusion * density @ antisymmetric.T,
        "S": -c.diffusion * density @ (symmetric - diagonal).T,
        "A": slope[:, :, 1:].sum(axis=2),
        "E": slope[:, :, 0] - integrals.measure[:, None] * drift,
    }


def flux_density(c: Coefficients, integrals: CellIntegrals, axes: tuple[int, ...]) -> Array:
    """Return the mean flux J = Theta f of each cell [1/(nm^2 ps)], shape (n, 3, 4)."""
    mean = integrals.mu / integrals.measure[:, None]
    derivative = np.einsum("jec,nc->nje", c.rotation, mean)
    derivative[:, list(axes)] += integrals.gradient / integrals.measure[:, None, None]
    force = c.drift - c.dos * c.diffusion * derivative
    return (force.reshape(-1, 12) @ c.theta.T).reshape(-1, 3, 4)


def region_parts(space: Space, state: TransportState, region: str) -> Mapping[str, Array]:
    """Return every sub-part of a region per cell, shape (n, 3)."""
    c = state.coefficients[region]
    integrals = cell_integrals(space, state.mu, space.in_region(region))
    return cell_parts(c, integrals, space.structure.axes)
