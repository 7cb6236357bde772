"""Between scalar spaces of two orders on the same cells."""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp

from .lagrange import node_values
from .space import Space, reference_nodes

__all__ = ["prolongation"]


def prolongation(coarse: Space, fine: Space) -> sp.csr_array:
    """Return the interpolation of scalar fields between two orders, shape (n_fine, n_coarse).

    Every fine dof is evaluated in one cell of its own group of regions.  It is exact for the
    polynomials of the coarse space, but not gauge-covariant.

    Args:
        coarse: Space of the lower order.
        fine: Space of the higher order with the same cells and contacts.

    Raises:
        ValueError: If the two spaces have different cells.
    """
    if coarse.structure.mesh is not fine.structure.mesh or not np.array_equal(coarse.cells, fine.cells):
        raise ValueError("prolongation needs two spaces on the cells of one mesh")
    weights = node_values(coarse.element, reference_nodes(fine))
    dofs, place = np.unique(fine.dofs, return_index=True)
    cell, node = np.divmod(place, fine.dofs.shape[1])
    values = weights[node]
    rows = np.broadcast_to(dofs[:, None], values.shape)
    kept = values != 0
    entries = (values[kept], (rows[kept], coarse.dofs[cell][kept]))
    return sp.coo_array(entries, shape=(fine.n_dofs, coarse.n_dofs)).tocsr()
