"""Block assembly: element moments times small tensors, scattered into one block matrix."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp

from ...units import AnyArray, Array
from ..elements.space import Space
from .boundary import on_pattern
from .coefficients import BlockTensors, Coefficients, block_tensors
from .compiled import apply_compiled, between_jets, fill_compiled, pays_off
from .congruent import congruent_residuals, shared_blocks, shared_elements
from .covariant import apply_local, back_to_nodes, in_cell_frame, load_local, matrix_local, pieces
from .kronecker import KroneckerBlocks, kronecker_parts

__all__ = [
    "Blocks",
    "RegionBlocks",
    "apply_region",
    "assemble_region",
    "block_matrix",
    "block_values",
    "load_size",
    "local_residuals",
]


# Cells with tensors of their own that are handed to the compiled kernels at once.
_PIECE = 20_000
# Element matrices of a region that are kept while its coefficients stay the same.
_KEPT_BYTES = 2.0e7


@dataclass(frozen=True)
class RegionBlocks:
    """What one region adds to the system, on its part of the pattern of the whole space.

    Args:
        entries: Block values, shape (n_touched, 4, 4).
        slots: Slots of the whole pattern to which they belong, shape (n_touched,).
        n_slots: Number of slots of the whole pattern.
        load: Right-hand side, shape (n_dofs, 4).
    """

    entries: Array
    slots: AnyArray
    n_slots: int
    load: Array

    @property
    def values(self) -> Array:
        """Block values of all slots, shape (n_slots, 4, 4)."""
        if len(self.slots) == self.n_slots:
            return self.entries
        full = np.zeros((self.n_slots, 4, 4))
        full[self.slots] = self.entries
        return full


Blocks = RegionBlocks | KroneckerBlocks


def assemble_region(space: Space, name: str, c: Coefficients) -> Blocks:
    """Return matrix and load of W1 restricted to one region."""
    if pays_off(space) and c.uniform:
        return _kronecker(space, name, c)
    slots, position = space.region_slots(name)
    entries, load = np.zeros((len(slots), 4, 4)), np.zeros((space.n_dofs, 4))
    if pays_off(space) and c.cellwise:
        for cells, tensors in _cell_tensors(space, name, c):
            fill_compiled(space, cells, tensors, position, entries)
        return RegionBlocks(entries, slots, len(position), _drift_load(space, name, c))
    flat = entries.reshape(-1, 16)
    for cells, local, forced in _local_blocks(space, name, c):
        where = position[space.pattern.slots(cells).ravel()]
        flat += _scatter(where, local.reshape(-1, 16), len(slots))
        load += _scatter(space.dofs[cells].ravel(), forced.reshape(-1, 4), space.n_dofs)
    return RegionBlocks(entries, slots, len(position), load)


def _kronecker(space: Space, name: str, c: Coefficients) -> KroneckerBlocks:
    """Return the blocks of a uniform region: only the first time its cells are visited."""
    tensors = block_tensors(c, space.structure.axes)
    between = between_jets(space.dimension, tensors.matrix)[0]
    parts = kronecker_parts(space, name, between)
    return KroneckerBlocks(parts, len(space.pattern.indices), _drift_load(space, name, c))


def _drift_load(space: Space, name: str, c: Coefficients) -> Array:
    """Return the load of a region, shape (n_dofs, 4)."""
    nothing = np.zeros((space.n_dofs, 4))
    return -apply_region(space, name, c, nothing) if np.any(c.drift) else nothing


def _cell_tensors(space: Space, name: str, c: Coefficients) -> Iterator[tuple[AnyArray, BlockTensors]]:
    """Yield cells of a region with the tensors they share, or pieces of it with their own."""
    axes, cells = space.structure.axes, space.in_region(name)
    step = max(1, len(cells) if c.uniform else _PIECE)
    for start in range(0, len(cells), step):
        place = slice(start, start + step)
        yield cells[place], block_tensors(c, axes) if c.uniform else block_tensors(c, axes, place)


def _local_blocks(space: Space, name: str, c: Coefficients) -> Iterator[tuple[AnyArray, Array, Array]]:
    """Yield cells with their element matrices and loads."""
    axes = space.structure.axes
    if c.uniform or c.cellwise:
        for e in _elements(space, name, c):
            n = e.load.shape[1]
            both = e.matrix.reshape(-1, n, 4, 2, n, 4).sum(axis=3)
            yield e.cells, both.transpose(0, 1, 3, 2, 4), e.load
        return
    shared = shared_elements(space, name, c)
    if shared is not None:
        yield from shared_blocks(shared)
        return
    for piece in pieces(space, name, c):
        yield piece.cells, matrix_local(piece, c, axes), load_local(piece, c, axes)


@dataclass(frozen=True)
class _Elements:
    """Element matrices of standard elements.

    Args:
        cells: Positions among the conducting cells, shape (n,).
        matrix: What acts on the deviation of nodal values from the mean of the cell through the
            derivatives of the trial function, then on the values themselves through the rest,
            shape (n, 4 n_local, 8 n_local).
        load: Shape (n, n_local, 4).
    """

    cells: AnyArray
    matrix: Array
    load: Array


def _elements(space: Space, name: str, c: Coefficients) -> Iterator[_Elements]:
    """Yield the standard elements of a region; those of a small one are kept for the next time."""
    kept, axes = space.kept_elements.get(name), space.structure.axes
    if kept is not None and kept[0] is c:
        yield kept[1]
        return
    d, n, start = space.dimension, space.dofs.shape[1], 0
    # Moments with a derivative of the trial function: the first d^2, and the second d of the 2d.
    slopes = np.r_[0 : d * d, d * d + d : d * d + 2 * d]
    values = np.r_[d * d : d * d + d, d * d + 2 * d]
    for chunk in space.chunks(space.in_region(name)):
        place = slice(start, start + len(chunk.cells))
        start = place.stop
        tensors = block_tensors(c, axes, place)
        matrix = np.empty((len(chunk.cells), n, 4, 2, n, 4))
        for k, which in enumerate((slopes, values)):
            blocks = chunk.matrix[:, :, which] @ tensors.matrix[..., which, :]
            matrix[:, :, :, k] = blocks.reshape(-1, n, n, 4, 4).transpose(0, 1, 3, 2, 4)
        found = _Elements(chunk.cells, matrix.reshape(-1, 4 * n, 8 * n), chunk.vector @ tensors.vector)
        if (
            c.uniform
            and matrix.nbytes < _KEPT_BYTES
            and start == len(space.in_region(name)) == len(chunk.cells)
        ):
            space.kept_elements[name] = (c, found)
        yield found


def apply_region(space: Space, name: str, c: Coefficients, mu: Array, mu_low: Array | float = 0.0) -> Array:
    r"""Return the residual of W1 on one region at every dof, shape (n_dofs, 4).

    Testing W1 on the region alone with each basis function leaves
    :math:`(K\mu - b)_{i\eta} = -\oint \phi_i J_n^\eta`: zero inside, the inflow on its boundary.

    The stored matrix annihilates a constant potential only to round-off of its largest entries,
    which on fine meshes exceeds the fluxes; here derivatives act on the difference from the mean
    of the cell, so the balance of currents holds to round-off of the fluxes themselves.

    Args:
        space: The scalar space.
        name: Region.
        c: Its coefficients.
        mu: Potentials [meV], shape (n_dofs, 4).
        mu_low: Rest of an extended-precision mu.
    """
    residual = np.zeros((space.n_dofs, 4))
    if pays_off(space) and (c.uniform or c.cellwise):
        low = np.broadcast_to(np.asarray(mu_low, float), mu.shape)
        for cells, tensors in _cell_tensors(space, name, c):
            apply_compiled(space, cells, tensors, mu, low, residual)
        return residual
    for cells, out in local_residuals(space, name, c, mu, mu_low):
        residual += _scatter(space.dofs[cells].ravel(), out.reshape(-1, 4), space.n_dofs)
    return residual


def local_residuals(
    space: Space, name: str, c: Coefficients, mu: Array, mu_low: Array | float = 0.0
) -> Iterator[tuple[AnyArray, Array]]:
    """Yield cells of a region with their own K mu - b at their nodes, shape (n, n_local, 4).

    The arguments are those of `apply_region`, which adds them up.
    """
    axes = space.structure.axes
    low = np.asarray(mu_low, float)
    low = low if low.shape == mu.shape else np.broadcast_to(low, mu.shape)
    if not (c.uniform or c.cellwise):
        shared = shared_elements(space, name, c)
        if shared is not None:
            yield from congruent_residuals(space, shared, mu, low)
            return
        for piece in pieces(space, name, c):
            dofs = space.dofs[piece.cells]
            local = in_cell_frame(piece, mu[dofs].astype(np.longdouble) + low[dofs])
            yield piece.cells, back_to_nodes(piece, apply_local(piece, c, axes, local))
        return
    for e in _elements(space, name, c):
        dofs = space.dofs[e.cells]
        local, rest = mu[dofs], low[dofs]
        deviation = (local - np.add.reduce(local, axis=1, keepdims=True) / local.shape[1]) + rest
        both = np.concatenate([deviation, local + rest], axis=1)
        found = (e.matrix @ both.reshape(len(both), -1, 1)).reshape(local.shape)
        yield e.cells, found - e.load


def _scatter(target: AnyArray, values: Array, size: int) -> Array:
    """Return the sums of rows of `values` (n, k) that share a target, shape (size, k)."""
    k = values.shape[1]
    where = (k * target.astype(np.int64)[:, None] + np.arange(k)).ravel()
    return np.asarray(np.bincount(where, values.ravel(), minlength=k * size), float).reshape(size, k)


def load_size(space: Space, name: str, c: Coefficients) -> Array:
    """Return the load of a region with everything counted positive, shape (4 n_dofs,).

    Loads of a uniform drift cancel between cells; this tells what round-off is left of them.
    Zero for tensors that vary within the region.
    """
    total = np.zeros((space.n_dofs, 4))
    if c.uniform and np.any(c.drift):
        vector = np.abs(block_tensors(c, space.structure.axes).vector)
        for chunk in space.vector_chunks(space.in_region(name)):
            local = (np.abs(chunk.vector) @ vector).reshape(-1, 4)
            total += _scatter(space.dofs[chunk.cells].ravel(), local, space.n_dofs)
    return total.ravel()


def block_matrix(space: Space, blocks: Mapping[str, Blocks]) -> sp.bsr_array:
    """Return the sum of the regions' matrices, shape (4 n_dofs, 4 n_dofs)."""
    return on_pattern(space, block_values(space, blocks))


def block_values(space: Space, blocks: Mapping[str, Blocks]) -> Array:
    """Return the sum of the regions' blocks of all slots, shape (n_slots, 4, 4)."""
    values = np.zeros((len(space.pattern.indices), 4, 4))
    for b in blocks.values():
        values[b.slots] += b.entries
    return values
