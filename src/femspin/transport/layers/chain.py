"""The linear systems that join the slabs and contacts of stacks: block banded, pivoted.

Stacks are leading axes; what solves the rows, for one stack or for many, is handed in.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np
from scipy.linalg import get_lapack_funcs

from ...dual import Dual, as_array, change_of, value_of
from ...errors import SolverError
from ...units import AnyArray
from .slab import DRIVE, FLUX_TOP, MU_BOTTOM

__all__ = ["ChainSolution", "Factor", "factor_chain", "solve_chain"]


CONTINUITY = 1e-9
"""Largest accepted mismatch at an interface, relative to the terms that must balance."""

UNDETERMINED = (
    "stack: the spin potential is not determined (is there neither spin relaxation nor a face "
    "that fixes the potential or absorbs spin?) or the layers differ too much in scale"
)

_REFINED = 1e-6  # largest relative change by one step of iterative refinement

BANDWIDTH = 8  # a block row reaches 8 unknowns to either side of the diagonal

Rows = tuple[AnyArray, AnyArray, AnyArray]
"""Rows of the lowest node, (..., 3, 6), of elements over two nodes, (..., n, 6, 12), of the highest."""

Factor = Callable[[AnyArray, AnyArray, AnyArray], Callable[[AnyArray], AnyArray]]
"""Returns of `Rows` what solves them for right-hand sides, shape (..., 6 n + 6, m)."""

_ROWS, _COLUMNS = np.arange(3, 9)[:, None], np.arange(12)[None, :]
_FACE_ROWS, _FACE_COLUMNS = np.arange(3)[:, None], np.arange(6)[None, :]


@dataclass(frozen=True)
class ChainSolution:
    """States at the nodes of chains.

    Args:
        nodes: (mu, J) at the n + 1 nodes, shape (..., n + 1, 6, m).
        mismatch: Mismatch at the interfaces relative to the terms that balance, shape (...).
        errors: What is wrong with a chain, by its number.
    """

    nodes: AnyArray
    mismatch: AnyArray
    errors: Mapping[int, str]


def solve_chain(
    elements: AnyArray,
    bottom: tuple[AnyArray, AnyArray],
    top: tuple[AnyArray, AnyArray],
    drive: AnyArray,
    factor: Factor,
) -> ChainSolution:
    """Return (mu, J) at the nodes between elements; one chain that fails does not disturb others.

    Changes of dual elements and faces ask for no new matrix K: K dx = db - dK x.

    Args:
        elements: The first six rows of the two-port maps, bottom to top, shape (..., n, 6, 7).
        bottom: Condition ``rows @ (mu, J) = values`` on the lowest node, shapes (..., 3, 6) and
            (..., 3, m).
        top: Condition on the highest node, likewise.
        drive: Scale of the drive in each of the m right-hand sides, shape (m,).
        factor: What solves the rows, such as `factor_chain`.
    """
    rows = bottom[0], _block_rows(elements), top[0]
    driven = elements[..., DRIVE].reshape(*elements.shape[:-3], -1)[..., None] * drive
    values = np.concatenate([bottom[1], driven, top[1]], axis=-2)
    plain = value_of(rows[0]), value_of(rows[1]), value_of(rows[2])
    solve = factor(*plain)
    found = _refined(plain, solve, value_of(values))
    if not any(isinstance(x, Dual) for x in (values, *rows)):
        return found
    missing = values - _times(rows, found.nodes)
    columns = np.moveaxis(change_of(missing), 0, -2)
    slope = _refined(plain, solve, columns.reshape(*columns.shape[:-2], -1))
    change = slope.nodes.reshape(*found.nodes.shape[:-1], *columns.shape[-2:])
    nodes = as_array(Dual(found.nodes, np.moveaxis(change, -2, 0)))
    return replace(found, nodes=nodes, errors={**slope.errors, **found.errors})


def _refined(rows: Rows, solve: Callable[[AnyArray], AnyArray], values: AnyArray) -> ChainSolution:
    """Return the solution with one step of iterative refinement, and what is wrong with it."""
    lead, nodes = values.shape[:-2], (values.shape[-2] // 6, 6, values.shape[-1])
    unknown = solve(values).reshape(*lead, *nodes)
    change = solve(values - _times(rows, unknown)).reshape(unknown.shape)
    changed, size = (np.abs(x).max(axis=(-3, -2)) for x in (change, unknown))
    # The comparisons fail for nan, too.
    determined = np.all(changed <= _REFINED * size, axis=-1)
    unknown = unknown + change
    mismatch = np.abs(values - _times(rows, unknown)).max(axis=-2)
    sizes = np.abs(rows[0]), np.abs(rows[1]), np.abs(rows[2])
    terms = (_times(sizes, np.abs(unknown)) + np.abs(values)).max(axis=-2)
    relative = (mismatch / np.maximum(terms, 1e-300)).max(axis=-1, initial=0.0)
    errors = {}
    for k in np.flatnonzero(~(determined & (relative <= CONTINUITY))).tolist():
        missed = f"is missed by {np.ravel(relative)[k]:.1e} of the largest term (allowed {CONTINUITY:.0e})"
        errors[k] = f"stack: interface continuity {missed}" if np.ravel(determined)[k] else UNDETERMINED
    return ChainSolution(unknown, relative, errors)


def _block_rows(elements: AnyArray) -> AnyArray:
    """Return the rows of J_bottom and mu_top over (mu, J)_below, (mu, J)_above: (..., n, 6, 12)."""
    blocks = np.zeros_like(elements, shape=(*elements.shape[:-1], 12))
    blocks[..., 0:3] = -elements[..., MU_BOTTOM]
    blocks[..., 9:12] = -elements[..., FLUX_TOP]
    blocks[..., [0, 1, 2], [3, 4, 5]] += 1.0
    blocks[..., [3, 4, 5], [6, 7, 8]] += 1.0
    return blocks


def _times(rows: Rows, nodes: AnyArray) -> AnyArray:
    """Return matrix @ states, shape (..., 6 n + 6, m), of states (..., n + 1, 6, m) at the nodes."""
    bottom, blocks, top = rows
    inner = blocks @ np.concatenate([nodes[..., :-1, :, :], nodes[..., 1:, :, :]], axis=-2)
    inner = inner.reshape(*inner.shape[:-3], 6 * inner.shape[-3], inner.shape[-1])
    return np.concatenate([bottom @ nodes[..., 0, :, :], inner, top @ nodes[..., -1, :, :]], axis=-2)


def factor_chain(bottom: AnyArray, blocks: AnyArray, top: AnyArray) -> Callable[[AnyArray], AnyArray]:
    """Return the LU solution of the rows of one stack for right-hand sides, shape (6 n + 6, m).

    Raises:
        SolverError: If the potential is not determined.
    """
    band = _band_matrix(bottom, blocks, top)
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

    return apply_inverse


def _band_matrix(bottom: AnyArray, blocks: AnyArray, top: AnyArray) -> AnyArray:
    """Return the matrix in LAPACK band storage with room for pivoting."""
    n, diagonal = len(blocks), 2 * BANDWIDTH
    dtype = np.result_type(blocks, bottom, top)
    band = np.zeros((3 * BANDWIDTH + 1, 6 * n + 6), dtype)
    offset = 6 * np.arange(n)[:, None, None]
    band[diagonal + _FACE_ROWS - _FACE_COLUMNS, _FACE_COLUMNS] = bottom
    band[diagonal + _ROWS - _COLUMNS, _COLUMNS + offset] = blocks
    band[diagonal + 3 + _FACE_ROWS - _FACE_COLUMNS, _FACE_COLUMNS + 6 * n] = top
    return band
