r"""Galerkin products of a Laplacian and of the same with some unknowns held.

Charge and spin share a Laplacian and its interpolations P; charge is held at electrodes.  On every
level the two matrices differ in a few rows only.  Rows are stored with pointers of their own, so
that both matrices share what is equal: the rows that change are appended.

Off the diagonal values are in single precision.  The diagonal, in double precision, takes what
rounding took from its row: a constant is multiplied as exactly as before, without which smooth
vectors on flat cells would see rounded couplings instead of their own small energy.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from ...units import Array
from ..kernels.threads import run_by_rows

__all__ = ["Rows", "Transfer", "galerkin", "galerkin_held", "hold", "row_pointer", "rows_of", "transfer"]

Single = NDArray[np.float32]
Int32 = NDArray[np.int32]
Flags = NDArray[np.bool_]
# Of couplings that join the same nodes.  Each of them is used by some 14 entries and bears four
# times its share of their energy, which is then less than a percent of its own.
_NEGLIGIBLE = 1e-4
Compressed = tuple[Int32, Int32, Single]


@dataclass(frozen=True)
class Rows:
    """A symmetric sparse matrix by rows, its diagonal apart.

    Args:
        begin: Where the entries left of the diagonal begin in every row, shape (n,).
        middle: Where those right of the diagonal begin.
        end: One behind the last entry.
        indices: Columns, ascending in both parts of a row.
        values: Entries off the diagonal.
        diagonal: Shape (n,).
    """

    begin: Int32
    middle: Int32
    end: Int32
    indices: Int32
    values: Single
    diagonal: Array

    @property
    def bounds(self) -> tuple[Int32, Int32, Int32]:
        """Begin, middle and end."""
        return self.begin, self.middle, self.end

    @property
    def entries(self) -> int:
        """How many entries there are off the diagonal."""
        return int(self.end.sum(dtype=np.int64) - self.begin.sum(dtype=np.int64))

    def csr(self) -> sp.csr_array:
        """Return the whole as a sparse matrix of double precision, shape (n, n)."""
        n = len(self.diagonal)
        counts = self.end - self.begin
        indptr = row_pointer(counts)
        place = np.arange(indptr[-1]) + np.repeat(self.begin - indptr[:-1], counts)
        values = self.values[place].astype(float)
        off = sp.csr_array((values, self.indices[place], indptr), shape=(n, n))
        return sp.csr_array(off + sp.diags_array(self.diagonal))


@dataclass(frozen=True)
class Transfer:
    """An interpolation P and its transposed, as row pointer, columns and values each.

    Args:
        up: P, n rows.
        down: P^T, n_coarse rows.
    """

    up: Compressed
    down: Compressed

    @property
    def sizes(self) -> tuple[int, int]:
        """Number of fine and of coarse unknowns."""
        return len(self.up[0]) - 1, len(self.down[0]) - 1


def transfer(up: Compressed, n_coarse: int) -> Transfer:
    """Return an interpolation, as row pointer, columns and values, with its transposed."""
    from ..kernels.galerkin import transpose

    pointer = np.zeros(n_coarse + 1, np.int32)
    rows, data = np.empty_like(up[1]), np.empty_like(up[2])
    transpose(*up, pointer, rows, data)
    return Transfer(up, (pointer, rows, data))


def row_pointer(count: Int32) -> Int32:
    """Return where rows of given lengths begin, and behind them where the last one ends."""
    pointer = np.zeros(len(count) + 1, np.int32)
    np.cumsum(count, out=pointer[1:])
    return pointer


def rows_of(matrix: sp.csr_array) -> Rows:
    """Return a symmetric sparse matrix, shape (n, n), by rows.

    Boxes cut into simplices have entries of round-off between corners that no edge of the box
    joins, half of all.  Such entries go to the diagonal.  An entry is one of them if others join
    its nodes much more strongly over at most three more: a (x_i - x_j)^2 is then a small part of
    their energy, in whatever direction cells are flat.  All stay where positive couplings are
    left: incomplete factors need their places then to be stable.
    """
    from ..kernels.galerkin import bottlenecks, fill_rows, keep_entries

    if not matrix.has_sorted_indices:
        matrix = matrix.sorted_indices()
    n, given = matrix.shape[0], (matrix.indptr, matrix.indices, matrix.data)
    strength = np.maximum(-matrix.data, 0.0, dtype=np.float32, casting="same_kind")
    joined = np.empty_like(strength)
    run_by_rows(bottlenecks, n, given, _NEGLIGIBLE, strength, joined)
    run_by_rows(bottlenecks, n, given, _NEGLIGIBLE, joined, strength)
    kept, count = np.empty(len(strength), bool), np.empty(n, np.int32)
    if not all(run_by_rows(keep_entries, n, given, _NEGLIGIBLE, strength, kept, count)):
        run_by_rows(keep_entries, n, given, 0.0, strength, kept, count)
    found = _empty(count)
    entries = (found.indices, found.values, found.diagonal)
    run_by_rows(fill_rows, n, given, kept, found.bounds, entries)
    return found


def galerkin(fine: Rows, between: Transfer) -> Rows:
    """Return P^T A P."""
    n, coarse = between.sizes
    left, count, diagonal, pieces = _product(
        fine, between, np.arange(n, dtype=np.int32), np.arange(coarse, dtype=np.int32)
    )
    end = np.cumsum(count, dtype=np.int32)
    begin = end - count
    indices, values = np.concatenate(pieces[0]), np.concatenate(pieces[1])
    return Rows(begin, begin + left, end, indices, values, diagonal)


def hold(free: Rows, held: Flags) -> tuple[Rows, Rows, Flags]:
    """Return a matrix, the same with some unknowns held, and which of its rows changed.

    The two share their entries.  Held unknowns have empty rows and columns.

    Args:
        free: A.
        held: Shape (n,).
    """
    from ..kernels.galerkin import change_rows, count_changed

    changed, count = np.empty(len(held), bool), np.empty(len(held), np.int32)
    count_changed(free.bounds, free.indices, held, changed, count)
    which = np.flatnonzero(changed).astype(np.int32)
    shared, other = _extended(free, which, count[which])
    change_rows(free.bounds, other.indices, other.values, other.diagonal, held, which, other.bounds)
    return shared, other, changed


def galerkin_held(coarse: Rows, fine: Rows, changed: Flags, between: Transfer) -> tuple[Rows, Rows, Flags]:
    """Return P^T A P, P^T A' P of a matrix A' with held unknowns, and where they differ.

    Args:
        coarse: P^T A P.
        fine: A'.
        changed: Rows in which A' is not A.
        between: P.
    """
    from ..kernels.galerkin import mark_coarse, mark_fine

    n, size = between.sizes
    marked, needed = np.zeros(size, bool), np.empty(n, bool)
    mark_coarse(*between.up[:2], changed, marked)
    mark_fine(*between.up[:2], needed, marked)
    which = np.flatnonzero(marked).astype(np.int32)
    left, count, diagonal, pieces = _product(fine, between, np.flatnonzero(needed).astype(np.int32), which)
    indices = np.concatenate([coarse.indices, *pieces[0]])
    values = np.concatenate([coarse.values, *pieces[1]])
    begin, middle, end = (a.copy() for a in coarse.bounds)
    whole = coarse.diagonal.copy()
    end[which] = len(coarse.indices) + np.cumsum(count)
    begin[which] = end[which] - count
    middle[which] = begin[which] + left
    whole[which] = diagonal
    shared = Rows(*coarse.bounds, indices, values, coarse.diagonal)
    return shared, Rows(begin, middle, end, indices, values, whole), marked


def _product(
    fine: Rows, between: Transfer, needed: Int32, which: Int32
) -> tuple[Int32, Int32, Array, tuple[list[Int32], list[Single]]]:
    """Return some rows of P^T A P: entries left of the diagonal, all, diagonal, and entries.

    Args:
        fine: A.
        between: P.
        needed: Rows of A from which those of the product come.
        which: Rows of the product.
    """
    from ..kernels.galerkin import times_down, times_up

    lengths = np.empty(len(needed), np.int32)
    entries = (fine.indices, fine.values, fine.diagonal)
    pieces = run_by_rows(times_up, len(needed), needed, fine.bounds, entries, between.up, lengths)
    product = tuple(map(np.concatenate, zip(*pieces, strict=True)))
    starts, stops = np.zeros((2, between.sizes[0]), np.int32)
    stops[needed] = np.cumsum(lengths)
    starts[needed] = stops[needed] - lengths
    count = np.empty((2, len(which)), np.int32)
    diagonal = np.empty(len(which))
    pieces = run_by_rows(
        times_down, len(which), which, between.down, starts, stops, product, (count[0], count[1], diagonal)
    )
    indices, values = zip(*pieces, strict=True)
    return count[0], count[1], diagonal, (list(indices), list(values))


def _empty(count: Int32) -> Rows:
    """Return rows of given lengths, their entries to be set."""
    n, stop = len(count), np.cumsum(count, dtype=np.int64)
    total = int(stop[-1]) if n else 0
    begin = (stop - count).astype(np.int32)
    return Rows(
        begin,
        np.empty(n, np.int32),
        np.empty(n, np.int32),
        np.empty(total, np.int32),
        np.empty(total, np.float32),
        np.empty(n),
    )


def _extended(rows: Rows, which: Int32, count: NDArray[Any]) -> tuple[Rows, Rows]:
    """Return rows and their variant, some of whose rows have new places behind all others."""
    total, stop = len(rows.indices), np.cumsum(count, dtype=np.int64)
    longer = total + (int(stop[-1]) if len(count) else 0)
    indices, values = np.empty(longer, np.int32), np.empty(longer, np.float32)
    indices[:total], values[:total] = rows.indices, rows.values
    begin, middle, end = (b.copy() for b in rows.bounds)
    begin[which] = total + stop - count
    shared = Rows(*rows.bounds, indices, values, rows.diagonal)
    return shared, Rows(begin, middle, end, indices, values, rows.diagonal.copy())
