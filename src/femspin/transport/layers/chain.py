"""The linear system that joins the slabs and contacts of a stack: block banded, pivoted."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.linalg import get_lapack_funcs

from ...dual import Dual, as_array, change_of, value_of
from ...errors import SolverError
from ...units import AnyArray
from .slab import DRIVE, FLUX_TOP, MU_BOTTOM

__all__ = ["CONTINUITY", "ChainMatrix", "factor_chain", "solve_chain"]


CONTINUITY = 1e-9
"""Largest accepted mismatch at an interface, relative to the terms that must balance."""

UNDETERMINED = (
    "stack: the spin potential is not determined (is there neither spin relaxation nor a face "
    "that fixes the potential or absorbs spin?) or the layers differ too much in scale"
)

BANDWIDTH = 8  # a block row reaches 8 unknowns to either side of the diagonal
_ROWS, _COLUMNS = np.arange(3, 9)[:, None], np.arange(12)[None, :]
_FACE_ROWS, _FACE_COLUMNS = np.arange(3)[:, None], np.arange(6)[None, :]


@dataclass(frozen=True)
class ChainMatrix:
    """The factored matrix of a chain: solved for as many right-hand sides as there are.

    Args:
        blocks: Rows of the elements over the states at their two nodes, shape (n, 6, 12).
        bottom: Rows of the lowest node, shape (3, 6).
        top: Rows of the highest node, shape (3, 6).
        apply_inverse: LU solution of right-hand sides, shape (6 n + 6, m).
    """

    blocks: AnyArray
    bottom: AnyArray
    top: AnyArray
    apply_inverse: Callable[[AnyArray], AnyArray]

    def solve(self, values: AnyArray) -> tuple[AnyArray, float]:
        """Return (mu, J) at the nodes, shape (n + 1, 6, m), and the relative mismatch.

        Args:
            values: Rows of the bottom, of every element and of the top, shape (6 n + 6, m).

        Raises:
            SolverError: If the potential is not determined or continuity is missed.
        """
        unknown = self.apply_inverse(values)
        mismatch, _ = _mismatch(self.blocks, self.bottom, self.top, unknown, values)
        change = self.apply_inverse(mismatch)
        # The comparison fails for nan, too.
        if not np.all(np.abs(change).max(axis=0) <= 1e-6 * np.abs(unknown).max(axis=0)):
            raise SolverError(UNDETERMINED)
        unknown = unknown + change
        mismatch, terms = _mismatch(self.blocks, self.bottom, self.top, unknown, values)
        largest = np.maximum(terms.max(axis=0), 1e-300)
        relative = float((np.abs(mismatch).max(axis=0) / largest).max(initial=0.0))
        if not relative <= CONTINUITY:
            raise SolverError(
                f"stack: interface continuity is missed by {relative:.1e} of the largest term "
                f"(allowed {CONTINUITY:.0e})"
            )
        return unknown.reshape(-1, 6, unknown.shape[1]), relative


def factor_chain(blocks: AnyArray, bottom: AnyArray, top: AnyArray) -> ChainMatrix:
    """Return the factored matrix of a chain.

    Args:
        blocks: Rows of the elements over the states at their two nodes, shape (n, 6, 12).
        bottom: Rows of the condition on the lowest node, shape (3, 6).
        top: Rows of the condition on the highest node, shape (3, 6).

    Raises:
        SolverError: If the potential is not determined.
    """
    band = _band_matrix(blocks, bottom, top)
    band = band.astype(np.result_type(band, float), copy=False)
    factor, solve = get_lapack_funcs(("gbtrf", "gbtrs"), (band,))
    band, pivots, info = factor(band, BANDWIDTH, BANDWIDTH)
    if info > 0:
        raise SolverError(UNDETERMINED)

    def apply_inverse(values: AnyArray) -> AnyArray:
        if np.iscomplexobj(values) and not np.iscomplexobj(band):
            return apply_inverse(values.real) + 1j * apply_inverse(values.imag)
        found = solve(band, BANDWIDTH, BANDWIDTH, values.astype(band.dtype), pivots)[0]
        return np.asarray(found)

    return ChainMatrix(blocks, bottom, top, apply_inverse)


def solve_chain(
    elements: AnyArray, bottom: tuple[AnyArray, AnyArray], top: tuple[AnyArray, AnyArray], drive: AnyArray
) -> tuple[AnyArray, float]:
    """Return (mu, J) at the nodes between elements, and the relative mismatch.

    Changes of dual elements and faces ask for no new matrix K: K dx = db - dK x.

    Args:
        elements: The first six rows of the two-port maps, bottom to top, shape (n, 6, 7).
        bottom: Condition ``rows @ (mu, J) = values`` on the lowest node, shapes (3, 6), (3, m).
        top: Condition on the highest node, likewise.
        drive: Scale of the drive in each of the m right-hand sides, shape (m,).

    Returns:
        State at the n + 1 nodes, shape (n + 1, 6, m), and the mismatch.

    Raises:
        SolverError: If the potential is not determined or continuity is missed.
    """
    blocks = _block_rows(elements)
    matrix = factor_chain(*(value_of(rows) for rows in (blocks, bottom[0], top[0])))
    values = np.concatenate([bottom[1], _drive_values(elements, drive), top[1]])
    nodes, mismatch = matrix.solve(value_of(values))
    if not any(isinstance(x, Dual) for x in (values, blocks, bottom[0], top[0])):
        return nodes, mismatch
    missing = values - _times(blocks, bottom[0], top[0], np.concatenate([nodes[:-1], nodes[1:]], axis=1))
    columns = np.moveaxis(change_of(missing), 0, 1)
    found, _ = matrix.solve(columns.reshape(len(columns), -1))
    change = np.moveaxis(found.reshape(*nodes.shape[:2], *columns.shape[1:]), 2, 0)
    return as_array(Dual(nodes, change)), mismatch


def _block_rows(elements: AnyArray) -> AnyArray:
    """Return the rows of J_bottom and mu_top over (mu, J)_below, (mu, J)_above: (n, 6, 12)."""
    blocks = np.zeros_like(elements, shape=(len(elements), 6, 12))
    blocks[:, :, 0:3] = -elements[:, :, MU_BOTTOM]
    blocks[:, :, 9:12] = -elements[:, :, FLUX_TOP]
    blocks[:, [0, 1, 2], [3, 4, 5]] += 1.0
    blocks[:, [3, 4, 5], [6, 7, 8]] += 1.0
    return blocks


def _drive_values(elements: AnyArray, drive: AnyArray) -> AnyArray:
    """Return the right-hand sides of the block rows, shape (6 n, m)."""
    return np.multiply.outer(elements[:, :, DRIVE].ravel(), drive)


def _band_matrix(blocks: AnyArray, bottom: AnyArray, top: AnyArray) -> AnyArray:
    """Return the matrix in LAPACK band storage with room for pivoting."""
    n, diagonal = len(blocks), 2 * BANDWIDTH
    dtype = np.result_type(blocks, bottom, top)
    band = np.zeros((3 * BANDWIDTH + 1, 6 * n + 6), dtype)
    offset = 6 * np.arange(n)[:, None, None]
    band[diagonal + _FACE_ROWS - _FACE_COLUMNS, _FACE_COLUMNS] = bottom
    band[diagonal + _ROWS - _COLUMNS, _COLUMNS + offset] = blocks
    band[diagonal + 3 + _FACE_ROWS - _FACE_COLUMNS, _FACE_COLUMNS + 6 * n] = top
    return band


def _mismatch(
    blocks: AnyArray, bottom: AnyArray, top: AnyArray, unknown: AnyArray, values: AnyArray
) -> tuple[AnyArray, AnyArray]:
    """Return values - matrix @ unknown, and the size of the terms summed in each row."""
    nodes = unknown.reshape(-1, 6, unknown.shape[1])
    pairs = np.concatenate([nodes[:-1], nodes[1:]], axis=1)
    result = values - _times(blocks, bottom, top, pairs)
    sizes = _times(np.abs(blocks), np.abs(bottom), np.abs(top), np.abs(pairs)) + np.abs(values)
    return result, sizes


def _times(blocks: AnyArray, bottom: AnyArray, top: AnyArray, pairs: AnyArray) -> AnyArray:
    """Return matrix @ states, given at both nodes of every element (n, 12, m): (6 n + 6, m)."""
    inner = (blocks @ pairs).reshape(-1, pairs.shape[2])
    return np.concatenate([bottom @ pairs[0, :6], inner, top @ pairs[-1, 6:]])
