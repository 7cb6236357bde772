"""Products with the blocks of one region, full or as sums of scalar matrices times tensors.

Needs numba.  Every product is added to what is there.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from ...units import AnyArray, Array
from ..elements.pattern import Pattern
from ..kernels.threads import run_by_rows
from .kronecker import KroneckerBlocks, ScalarMatrices
from .regions import Blocks

__all__ = ["Part", "add_charge", "add_difference", "region_parts"]


class Part(Protocol):
    """A matrix between the components of dofs."""

    def multiply(self, x: Array, y: Array) -> None:
        """Add A x to y, both of shape (n_dofs, 4)."""
        ...

    def multiply_transposed(self, x: Array, y: Array) -> None:
        """Add A^T x to y, both of shape (n_dofs, 4)."""
        ...

    def couple(self, x: Array, y: Array) -> None:
        """Add what the spin components of x (n_dofs, 4) do to the charge rows y (n_dofs,)."""
        ...

    def couple_transposed(self, x: Array, y: Array) -> None:
        """Add the transposed of `couple` of x (n_dofs,) to y (n_dofs, 4)."""
        ...

    def add_spin(self, values: NDArray[Any]) -> None:
        """Add the blocks between spin components to those of all slots (n_slots, 3, 3)."""
        ...


def region_parts(pattern: Pattern, blocks: Blocks) -> list[Part]:
    """Return the parts of a region's matrix."""
    if isinstance(blocks, KroneckerBlocks):
        return [_Sum(m, t) for m, t in blocks.parts]
    indptr = np.searchsorted(blocks.slots, pattern.indptr)
    return [_Full(blocks.slots, indptr, pattern.indices[blocks.slots], blocks.entries)]


@dataclass(frozen=True)
class _Full:
    """Blocks of 4 x 4."""

    slots: AnyArray
    indptr: AnyArray
    indices: AnyArray
    entries: Array

    def multiply(self, x: Array, y: Array) -> None:
        from ..kernels.products import multiply

        run_by_rows(multiply, len(y), self.indptr, self.indices, self.entries, x, y)

    def multiply_transposed(self, x: Array, y: Array) -> None:
        from ..kernels.products import multiply_transposed

        multiply_transposed(self.indptr, self.indices, self.entries, x, y)

    def couple(self, x: Array, y: Array) -> None:
        from ..kernels.products import couple

        run_by_rows(couple, len(y), self.indptr, self.indices, self.entries, x, y)

    def couple_transposed(self, x: Array, y: Array) -> None:
        from ..kernels.products import couple_transposed

        couple_transposed(self.indptr, self.indices, self.entries, x, y)

    def add_spin(self, values: NDArray[Any]) -> None:
        from ..kernels.products import add_spin

        add_spin(self.slots, self.entries, values)


@dataclass(frozen=True)
class _Sum:
    """Scalar matrices times 4 x 4 tensors."""

    matrices: ScalarMatrices
    tensors: Array

    @property
    def _row(self) -> float:
        """Nanoseconds of one row of a product, about."""
        return self.matrices.row_time

    def _scalars(self) -> tuple[AnyArray, AnyArray, Array]:
        return self.matrices.indptr, self.matrices.indices, self.matrices.values

    def multiply(self, x: Array, y: Array) -> None:
        from ..kernels.sum import multiply_sum

        run_by_rows(multiply_sum, len(y), *self._scalars(), self.tensors, x, y, row=self._row)

    def multiply_transposed(self, x: Array, y: Array) -> None:
        from ..kernels.sum import multiply_sum

        signed = self.matrices.signs[:, None, None] * self.tensors.swapaxes(1, 2)
        run_by_rows(multiply_sum, len(y), *self._scalars(), np.ascontiguousarray(signed), x, y, row=self._row)

    def couple(self, x: Array, y: Array) -> None:
        from ..kernels.sum import couple_sum

        rows = np.ascontiguousarray(self.tensors[:, 0, 1:])
        if rows.any():
            run_by_rows(couple_sum, len(y), *self._scalars(), rows, x, y, row=self._row)

    def couple_transposed(self, x: Array, y: Array) -> None:
        from ..kernels.sum import couple_sum_transposed

        rows = self.matrices.signs[:, None] * self.tensors[:, 0, 1:]
        if rows.any():
            run_by_rows(couple_sum_transposed, len(y), *self._scalars(), rows, x, y, row=self._row)

    def add_spin(self, values: NDArray[Any]) -> None:
        from ..kernels.sum import add_spin_sum

        m = self.matrices
        spin = self.tensors[:, 1:, 1:].reshape(-1, 9)
        run_by_rows(add_spin_sum, len(m.slots), m.slots, m.values, spin, values.reshape(-1, 9))


def add_charge(blocks: Blocks, values: Array) -> None:
    """Add the charge block of a region to the values of all slots, shape (n_slots,)."""
    if not isinstance(blocks, KroneckerBlocks):
        values[blocks.slots] += blocks.entries[:, 0, 0]
        return
    for matrices, tensors in blocks.parts:
        if tensors[:, 0, 0].any():
            values[matrices.slots] += np.einsum("pq,q->p", matrices.values, tensors[:, 0, 0])


def add_difference(blocks: KroneckerBlocks, x: Array, x_low: Array, y: Array) -> None:
    """Add the product with x + x_low to y, to the round-off of differences between neighbours.

    The stored matrix annihilates a constant potential only to round-off of its entries, which on
    fine meshes exceeds the fluxes: where it should, differences of potentials are multiplied.

    Args:
        blocks: Of a region.
        x: Shape (n_dofs, 4).
        x_low: Rest of extended precision.
        y: Shape (n_dofs, 4).
    """
    from ..kernels.sum import difference_sum

    for m, tensors in blocks.parts:
        run_by_rows(
            difference_sum,
            len(y),
            m.indptr,
            m.indices,
            m.values,
            m.kills,
            tensors,
            x,
            x_low,
            y,
            row=m.row_time,
        )
