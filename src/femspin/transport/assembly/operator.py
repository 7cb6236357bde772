"""The matrix of the unknowns as blocks per region, never formed as a whole.

With the constraint mu = E x + fixed the matrix is E^T (sum of regions + faces) E.  Regions keep
their own blocks, so that a moved magnetization refills one region, and products run over all.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from ...units import AnyArray, Array
from ..elements.space import Space
from ..kernels.threads import compiled_available, run_by_rows
from .boundary import Constraint
from .products import Part, add_charge, region_parts
from .regions import Blocks, block_values

__all__ = ["BlockOperator", "charge_embedding", "reduced_charge"]


@dataclass(frozen=True)
class BlockOperator:
    """E^T (sum of regions + faces) E.

    Args:
        space: The scalar space.
        blocks: By region.
        faces: What conditions on faces add between the dofs, shape (4 n_dofs, 4 n_dofs).
        constraint: E.
    """

    space: Space
    blocks: Mapping[str, Blocks]
    faces: sp.csr_array
    constraint: Constraint

    @property
    def shape(self) -> tuple[int, int]:
        """(n_free, n_free)."""
        n = len(self.constraint.charge)
        return n, n

    @cached_property
    def matrix(self) -> sp.csr_array:
        """The whole as one sparse matrix, for direct solvers."""
        own = self.constraint.reduce_blocks(self.space, block_values(self.space, self.blocks))
        return sp.csr_array(own + self.constraint.reduce(self.faces)) if self.faces.nnz else own

    def multiply(self, x: Array) -> Array:
        """Return A x, shape (n_free,)."""
        return self.gather(self.of_dofs(self.expand(x)))

    def multiply_transposed(self, x: Array) -> Array:
        """Return A^T x, shape (n_free,)."""
        return self.gather(self.of_dofs_transposed(self.expand(x)))

    def expand(self, x: Array) -> Array:
        """Return E x, shape (n_dofs, 4)."""
        unknown = self._unknown
        if not compiled_available():
            return np.where(unknown >= 0, x[unknown], 0.0).reshape(-1, 4)
        from ..kernels.constraint import expand

        full = np.empty(len(unknown))
        run_by_rows(expand, len(full), unknown, x, full, row=1)
        return full.reshape(-1, 4)

    def gather(self, full: Array) -> Array:
        """Return E^T of values of the dofs, shape (n_free,)."""
        if not compiled_available():
            return self.constraint.gather(full.ravel())
        from ..kernels.constraint import gather

        arguments = (self._unknown, full.ravel(), np.zeros(self.shape[0]))
        if self.constraint.one_to_one:
            run_by_rows(gather, full.size, *arguments, row=1)
        else:  # one thread adds up the dofs of an unknown
            gather(0, full.size, *arguments)
        return arguments[2]

    @cached_property
    def _unknown(self) -> AnyArray:
        return self.constraint.unknown.astype(np.int32)

    def of_dofs(self, full: Array) -> Array:
        """Return the product with values of the dofs, shape (n_dofs, 4)."""
        if not compiled_available():
            found = sum(b @ full.ravel() for b in self._matrices) + self.faces @ full.ravel()
            return np.asarray(found).reshape(-1, 4)
        y = _product(self.faces, full.ravel()).reshape(-1, 4)
        for part in self._parts:
            part.multiply(full, y)
        return y

    def of_dofs_transposed(self, full: Array) -> Array:
        """Return the product of the transposed with values of the dofs, shape (n_dofs, 4)."""
        if not compiled_available():
            found = sum(b.T @ full.ravel() for b in self._matrices) + self.faces.T @ full.ravel()
            return np.asarray(found).reshape(-1, 4)
        y = _product(self.faces.T, full.ravel()).reshape(-1, 4)
        for part in self._parts:
            part.multiply_transposed(full, y)
        return y

    def couple(self, full: Array) -> Array:
        """Return what the spin components of dof values do to the charge rows, (n_dofs,)."""
        y = _product(self._charge_faces, full.ravel())
        for part in self._parts:
            part.couple(full, y)
        return y

    def couple_transposed(self, charge: Array) -> Array:
        """Return the transposed of `couple`, shape (n_dofs, 4); its charge column is not used."""
        y = _product(self._charge_faces.T, charge).reshape(-1, 4)
        for part in self._parts:
            part.couple_transposed(charge, y)
        return y

    @cached_property
    def _charge_faces(self) -> sp.csr_array:
        """What faces do from spin to charge, shape (n_dofs, 4 n_dofs)."""
        rows = sp.coo_array(self.faces[::4])
        kept = rows.col % 4 > 0
        return sp.csr_array((rows.data[kept], (rows.row[kept], rows.col[kept])), shape=rows.shape)

    @cached_property
    def _parts(self) -> list[Part]:
        return [p for b in self.blocks.values() for p in region_parts(self.space.pattern, b)]

    @cached_property
    def _matrices(self) -> list[sp.bsr_array]:
        pattern, shape = self.space.pattern, (self.space.size, self.space.size)
        return [
            sp.bsr_array(
                (b.entries, pattern.indices[b.slots], np.searchsorted(b.slots, pattern.indptr)), shape=shape
            )
            for b in self.blocks.values()
        ]

    @property
    def charge_stiffness(self) -> sp.csr_array:
        """The charge block between the scalar dofs without its Hall part, (n_dofs, n_dofs)."""
        pattern, n = self.space.pattern, self.space.n_dofs
        values = np.zeros(len(pattern.indices))
        for b in self.blocks.values():
            add_charge(b, values)
        scalar = sp.csr_array((values, pattern.indices, pattern.indptr), shape=(n, n))
        scalar = sp.csr_array(scalar + self.faces[::4, ::4])
        return sp.csr_array(0.5 * (scalar + scalar.T))

    def spin_blocks(self, precision: Any = np.float32) -> tuple[AnyArray, AnyArray, NDArray[Any]]:
        """Return row pointer, columns and 3 x 3 blocks between the spin components of all dofs.

        Held components have rows and columns of the identity.  Needs numba.

        Args:
            precision: Number type of the blocks.
        """
        from ..kernels.products import hold

        pattern = self.space.pattern
        values = np.zeros((len(pattern.indices), 3, 3), precision)
        for part in self._parts:
            part.add_spin(values)
        indptr, indices, values = self._with_faces(values)
        held = self.constraint.unknown.reshape(-1, 4)[:, 1:] < 0
        if held.any():
            hold(indptr, indices, held, values)
        return indptr, indices, values

    def _with_faces(self, values: NDArray[Any]) -> tuple[AnyArray, AnyArray, NDArray[Any]]:
        """Return pattern and spin blocks with those of the faces, which may join regions."""
        from ..kernels.products import add_spin

        pattern, n = self.space.pattern, self.space.n_dofs
        if not self.faces.nnz:
            return pattern.indptr, pattern.indices, values
        added = sp.bsr_array(self.faces, blocksize=(4, 4))
        rows = np.repeat(np.arange(n, dtype=np.int64), np.diff(added.indptr))
        own = np.repeat(np.arange(n, dtype=np.int64), np.diff(pattern.indptr))
        key, wanted = own * n + pattern.indices, rows * n + added.indices
        slots = np.minimum(np.searchsorted(key, wanted), len(key) - 1)
        if np.array_equal(key[slots], wanted):
            add_spin(slots, added.data, values)
            return pattern.indptr, pattern.indices, values
        union = np.union1d(key, wanted)
        wider = np.zeros((len(union), 3, 3), values.dtype)
        wider[np.searchsorted(union, key)] = values
        add_spin(np.searchsorted(union, wanted), added.data, wider)
        indptr = np.searchsorted(union, np.arange(n + 1) * n)
        return indptr.astype(np.int32), (union % n).astype(np.int32), wider


def _product(matrix: Any, x: Array) -> Array:
    """Return a product with a matrix that is often empty."""
    return np.asarray(matrix @ x) if matrix.nnz else np.zeros(matrix.shape[0])


def charge_embedding(constraint: Constraint) -> sp.csr_array:
    """Return the scalar dofs of every charge unknown, shape (n_dofs, n_charge)."""
    number = np.cumsum(constraint.charge) - 1
    unknown = constraint.unknown[::4]
    free = np.flatnonzero(unknown >= 0)
    shape = (len(unknown), int(constraint.charge.sum()))
    return sp.csr_array((np.ones(len(free)), (free, number[unknown[free]])), shape=shape)


def reduced_charge(matrix: sp.csr_array, constraint: Constraint) -> sp.csr_array:
    """Return a matrix between scalar dofs as one between the charge unknowns."""
    embed = charge_embedding(constraint)
    if embed.nnz > embed.shape[1]:  # some unknowns stand for several dofs
        return sp.csr_array(embed.T @ matrix @ embed)
    number = np.full(embed.shape[0], -1, np.int32)
    place = np.flatnonzero(np.diff(embed.indptr))
    number[place] = embed.indices
    matrix = sp.csr_array(matrix)
    rows = np.repeat(number, np.diff(matrix.indptr))
    columns = number[matrix.indices]
    kept = (rows >= 0) & (columns >= 0)
    # Unknowns come in the order of their dofs, so entries stay sorted.
    counts = np.bincount(rows[kept], minlength=embed.shape[1])
    indptr = np.r_[0, np.cumsum(counts)].astype(np.int32)
    return sp.csr_array((matrix.data[kept], columns[kept], indptr), shape=embed.shape[1:] * 2)
