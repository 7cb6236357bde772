"""Block assembly with the compiled kernels: the route of large meshes of affine cells."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from skfem.quadrature import get_quadrature

from ...units import AnyArray, Array
from ..elements.affine import reference_frame
from ..elements.moments import basis_table
from ..elements.space import Space, quadrature_order
from ..kernels.threads import compiled_available, run_by_rows
from .coefficients import BlockTensors
from .congruent import congruent_cells

__all__ = [
    "apply_compiled",
    "between_jets",
    "fill_compiled",
    "fill_forms_compiled",
    "measures_compiled",
    "pays_off",
    "touched_slots",
]


# Pairs of local dofs below which numpy is faster than loading the compiled kernels.
_PAIRS = 400_000
# From this many on the forms of congruent cells are made once.
_CELLS_PER_SHAPE = 8


def pays_off(space: Space) -> bool:
    """Return whether the kernels can be used on a space, and are faster than numpy."""
    pairs = space.dofs.size * space.dofs.shape[1]
    return pairs >= _PAIRS and compiled_available() and space.affine


def fill_compiled(
    space: Space, cells: AnyArray, tensors: BlockTensors, position: AnyArray, values: Array
) -> None:
    """Add the element matrices of some cells to block values.

    Args:
        space: The scalar space.
        cells: Positions among the conducting cells, shape (n,).
        tensors: One set for all of them, or one for each.
        position: Where the block of every slot is stored in `values`, shape (n_slots,).
        values: Shape (n_stored, 4, 4).
    """
    from ..kernels import blocks as kernels

    flat, n = values.reshape(-1, 16), space.n_dofs
    pattern = space.pattern
    where = (*_cells(space, cells), pattern.indptr, pattern.offsets, position)
    between = between_jets(space.dimension, tensors.matrix)
    if _linear(space):
        run_by_rows(kernels.fill_linear, n, *where, *_slopes(space), between, flat)
    else:
        assert space.reference is not None
        run_by_rows(kernels.fill, n, *where, space.reference.matrix, between, flat)


def touched_slots(space: Space, cells: AnyArray, chosen: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return which slots of the pattern some cells touch, shape (n_slots,).

    Args:
        space: The scalar space.
        cells: Positions among the conducting cells, shape (n,).
        chosen: Between which dofs, shape (n_dofs,).
    """
    from ..kernels.sum import mark_slots

    pattern = space.pattern
    touched = np.zeros(len(pattern.indices), bool)
    mark_slots(pattern.dofs, pattern.indptr, pattern.offsets, np.asarray(cells), chosen, touched)
    return touched


def fill_forms_compiled(
    space: Space,
    name: str,
    chosen: NDArray[np.bool_],
    forms: Array,
    signs: Array,
    column: AnyArray,
    position: AnyArray,
    values: Array,
) -> None:
    """Add the integrals of some scalar forms over some cells to the values of their slots.

    Args:
        space: The scalar space.
        name: Region.
        chosen: Which of its cells, shape (n,).
        forms: Weights X of the products of jets, shape (n_forms, dim + 1, dim + 1).
        signs: Of their matrices under transposition, shape (n_forms,).
        column: Where each of the forms that are known by name is found, -1 if nowhere.
        position: Row of `values` of every slot, -1 where none is wanted, shape (n_slots,).
        values: Shape (n_stored, n_forms).
    """
    from ..kernels import sum as sum_kernels

    pattern, cells = space.pattern, space.in_region(name)[chosen]
    assert space.reference is not None
    moments = _paired_moments(space.reference.matrix, space.dimension)
    what = (moments.values, moments.jets, *_form_terms(forms, moments), signs)
    first, shape = congruent_cells(space, name)
    if _CELLS_PER_SHAPE * len(first) <= len(shape):
        _gather_forms(space, cells, shape[chosen], space.in_region(name)[first], what, position, values)
        return
    cells = sum_kernels.by_lowest_dof(space.dofs, cells, space.n_dofs)
    where = (*_cells(space, cells), pattern.indptr, pattern.offsets, position)
    if _linear(space):
        run_by_rows(
            sum_kernels.fill_forms_linear, space.n_dofs, *where, *_slopes(space), column, signs, values
        )
    else:
        run_by_rows(sum_kernels.fill_forms, space.n_dofs, *where, *what, values)


def _gather_forms(
    space: Space,
    cells: AnyArray,
    shape: AnyArray,
    kinds: AnyArray,
    what: tuple[Any, ...],
    position: AnyArray,
    values: Array,
) -> None:
    """Set the forms of cells of few shapes.

    Args:
        space: The scalar space.
        cells: Positions among the conducting cells, shape (n,).
        shape: Of every cell, shape (n,).
        kinds: One cell of every shape.
        what: Moments, jets, terms, ranges and signs, see `sum_kernels.fill_forms`.
        position: Row of `values` of every slot, -1 where none is wanted, shape (n_slots,).
        values: Shape (n_stored, n_forms).
    """
    from ..kernels.pattern import occurrences
    from ..kernels.shape import gather_forms, local_forms

    mesh, pattern, dofs = space.structure.mesh, space.pattern, space.dofs[cells]
    frame = np.asarray(reference_frame(mesh))
    local = local_forms(mesh.p, mesh.t, frame, space.cells[kinds], dofs.shape[1], *what)
    start = np.zeros(space.n_dofs + 1, np.int64)
    np.cumsum(np.bincount(dofs.ravel(), minlength=space.n_dofs), out=start[1:])
    longest = int(np.diff(pattern.indptr).max())
    run_by_rows(
        gather_forms,
        space.n_dofs,
        start,
        occurrences(dofs, start),
        cells,
        shape,
        local,
        pattern.indptr,
        pattern.offsets,
        position,
        longest,
        values,
    )


@dataclass(frozen=True)
class _PairedMoments:
    """Sums and differences of moments of the reference cell, in kinds that maps do not mix.

    Args:
        values: Of local pairs i <= m, shape (n, n_pairs).
        jets: The two jets of each, shape (n, 2); the value is the last.
        starts: Where the kinds begin: two derivatives symmetric and antisymmetric, a derivative
            and a value symmetric and antisymmetric, two values; and the end.
    """

    values: Array
    jets: AnyArray
    starts: list[int]


def _paired_moments(moments: Array, d: int) -> _PairedMoments:
    """Return the moments (n_local^2, (dim + 1)^2) of the reference cell in pairs."""
    n = math.isqrt(len(moments.reshape(-1, (d + 1) ** 2)))
    given = moments.reshape(n, n, d + 1, d + 1)[np.triu_indices(n)]
    upper = [(a, b) for a in range(d) for b in range(a + 1, d)]
    mixed = [(d, a) for a in range(d)]
    kinds = [
        [(a, a, 0.0) for a in range(d)] + [(a, b, 1.0) for a, b in upper],
        [(a, b, -1.0) for a, b in upper],
        [(a, b, 1.0) for a, b in mixed],
        [(a, b, -1.0) for a, b in mixed],
        [(d, d, 0.0)],
    ]
    every = [pair for kind in kinds for pair in kind]
    values = np.stack([given[:, a, b] + w * given[:, b, a] for a, b, w in every])
    starts = [0]
    for kind in kinds:
        starts.append(starts[-1] + len(kind))
    return _PairedMoments(values, np.array([p[:2] for p in every]), starts)


def _form_terms(forms: Array, moments: _PairedMoments) -> tuple[Array, AnyArray]:
    """Return the terms (jet, jet, weight) of forms, and the range of moments that each takes."""
    d = forms.shape[1] - 1
    terms = np.zeros((len(forms), max(np.count_nonzero(x) for x in forms), 3))
    ranges = np.empty((len(forms), 2), np.int64)
    for q, x in enumerate(forms):
        places = np.argwhere(x)
        terms[q, : len(places)] = np.column_stack([places, x[tuple(places.T)]])
        derivatives = int(np.count_nonzero(places[0] < d))
        kind = {2: 0, 1: 2, 0: 4}[derivatives] + (not np.array_equal(x, x.T))
        ranges[q] = moments.starts[kind], moments.starts[kind + 1]
    return terms, ranges


def apply_compiled(
    space: Space, cells: AnyArray, tensors: BlockTensors, mu: Array, mu_low: Array, out: Array
) -> None:
    """Add K mu - b of some cells to the rows of their dofs; the arguments are as above.

    Args:
        space: The scalar space.
        cells: Positions among the conducting cells, shape (n,).
        tensors: One set for all of them, or one for each.
        mu: Potentials [meV], shape (n_dofs, 4).
        mu_low: Rest of an extended-precision mu.
        out: Shape (n_dofs, 4).
    """
    from ..kernels import blocks as kernels

    d, n = space.dimension, space.n_dofs
    forced = np.ascontiguousarray(tensors.vector.reshape(-1, d + 1, 4))
    last = (
        between_jets(d, tensors.matrix),
        forced,
        np.ascontiguousarray(mu, float),
        np.ascontiguousarray(mu_low, float),
        out,
    )
    if _linear(space):
        run_by_rows(kernels.apply_linear, n, *_cells(space, cells), *_slopes(space), *last)
        return
    points, weights = get_quadrature(
        space.element.refdom, quadrature_order(space.structure.mesh, space.order)
    )
    table = np.ascontiguousarray(basis_table(space.element, points))
    run_by_rows(kernels.apply, n, *_cells(space, cells), table, weights, *last)


def measures_compiled(space: Space) -> Array:
    """Return the volumes of the conducting cells [nm^dim], shape (n_cells,)."""
    from ..kernels import blocks as kernels

    mesh, out = space.structure.mesh, np.empty(len(space.cells))
    frame = np.asarray(reference_frame(mesh))
    size = _slopes(space)[1] if mesh.t.shape[0] == mesh.dim() + 1 else 1.0
    kernels.measures(mesh.p, mesh.t, frame, space.cells, size, out)
    return out


def _cells(space: Space, cells: AnyArray) -> tuple[Any, ...]:
    mesh = space.structure.mesh
    frame = np.asarray(reference_frame(mesh))
    return mesh.p, mesh.t, frame, space.cells, np.asarray(cells), space.dofs


def _linear(space: Space) -> bool:
    return space.order == 1 and space.dofs.shape[1] == space.dimension + 1


def _slopes(space: Space) -> tuple[Array, float]:
    """Return the constant derivatives of linear basis functions, and the reference volume."""
    table = basis_table(space.element, np.zeros((space.dimension, 1)))[0]
    volume = 1.0
    for k in range(2, space.dimension + 1):
        volume /= k
    return np.ascontiguousarray(table[:, :-1]), volume


def between_jets(d: int, matrix: Array) -> Array:
    """Return tensors in the order of `Moments.matrix` as (n, jet, jet, 16), the value last."""
    given = matrix.reshape(-1, d * d + 2 * d + 1, 16)
    full = np.empty((len(given), d + 1, d + 1, 16))
    full[:, :d, :d] = given[:, : d * d].reshape(-1, d, d, 16)
    full[:, :d, d] = given[:, d * d : d * d + d]
    full[:, d] = given[:, d * d + d :]
    return full
