"""Exact spin transport through many multilayers at once, for scans, maps and sampling.

The method is that of `femspin.transport.layers.stack`, stack by stack the same to round-off; only the
loops run over all stacks.  With numba and very many stacks the two costly steps, joining slabs and
eliminating interfaces, are compiled; otherwise they are array operations.

A stack that cannot be solved leaves NaN in its rows and its reason in `BatchSolution.errors`; the
others are not touched.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from importlib.util import find_spec
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike

from ...errors import SolverError
from ...units import AnyArray
from .batch import ContactBatch, FaceBatch, LayerBatch, StackBatch, face_batch, layer_batch, stack_batch
from .case import StackCase
from .checks import bad_numbers, harmless
from .columns import LayerSystem, solve_columns
from .slab import LocalLaws, SlabOperators, local_laws, slab_maps
from .stack import StackSolution
from .states import LayerStates
from .windows import factor_by, solve_windows

__all__ = [
    "BatchSolution",
    "ContactBatch",
    "FaceBatch",
    "LayerBatch",
    "StackBatch",
    "face_batch",
    "layer_batch",
    "solve_stacks",
    "stack_batch",
]

Backend = Literal["auto", "numpy", "numba"]

_CHUNK = 512  # stacks whose arrays fit into the cache together
_WORTH_COMPILING = 100_000  # stacks from which on loading or compiling code pays


@dataclass(frozen=True)
class BatchSolution(LayerStates):
    """Potentials and fluxes in B stacks: `LayerStates` with a leading axis.

    Args:
        batch: What was solved.
        errors: Why a stack has no solution, by its place in the batch.
    """

    batch: StackBatch
    errors: Mapping[int, str]

    @property
    def _given(self) -> StackBatch:
        return self.batch

    def solution(self, index: int, case: StackCase | None = None) -> StackSolution:
        """Return the solution of one stack.

        Args:
            index: Its place in the batch.
            case: The stack itself if it is at hand; otherwise it is made from the arrays.

        Raises:
            SolverError: If it has none.
        """
        if index in self.errors:
            raise SolverError(self.errors[index])
        lower, upper, integral = self.lower[index], self.upper[index], self.integral[index]
        operators = SlabOperators(*(getattr(self.operators, f.name)[index] for f in fields(SlabOperators)))
        mismatch = float(self.mismatch[index])
        return StackSolution(lower, upper, integral, operators, mismatch, case or self.batch.case(index))

    def _state(self, z: ArrayLike, side: int) -> AnyArray:
        points = np.broadcast_to(np.asarray(z, float), (self.batch.size, np.shape(z)[-1]))
        which = np.repeat(np.arange(len(points)), points.shape[1])
        return self.sample(which, points.ravel(), side).reshape(*points.shape, 8)

    def sample(self, which: ArrayLike, z: ArrayLike, side: ArrayLike = 1) -> AnyArray:
        """Return the state (mu, J) of chosen stacks at chosen points, shape (M, 8).

        Args:
            which: Place in the batch of every point, shape (M,).
            z: Position of every point [m], shape (M,).
            side: +1 or -1 as in `potential`, shape (M,) or one for all.

        Raises:
            ValueError: If a point lies outside its stack.
        """
        row, where = np.asarray(which), np.asarray(z, float)
        sides, edges = np.broadcast_to(side, where.shape), self.batch.interfaces
        state = np.full((len(row), 8), np.nan, self.lower.dtype)
        good = np.flatnonzero(~np.isin(row, list(self.errors)))
        for start in range(0, len(good), _CHUNK):
            here = good[start : start + _CHUNK]
            state[here] = self._between((row[here],), where[here], sides[here], edges[row[here]])
        return state


def solve_stacks(batch: StackBatch | Sequence[StackCase], backend: Backend = "auto") -> BatchSolution:
    """Return the exact potentials and fluxes of many stacks.

    Args:
        batch: The stacks; a sequence of cases must have one number of layers.
        backend: ``numba`` compiles on first use, ``numpy`` never; ``auto`` takes numba where it
            is installed and there are enough stacks.

    Raises:
        ValueError: If the shapes of the batch do not fit together.
    """
    stacks = batch if isinstance(batch, StackBatch) else stack_batch(batch)
    parts: list[BatchSolution] = []
    compiled = _compiled(backend, stacks.size)
    for start in range(0, stacks.size, _CHUNK):
        parts.append(_solve_or_divide(stacks.part(slice(start, start + _CHUNK)), compiled))
    return parts[0] if len(parts) == 1 else _joined(stacks, parts)


def _compiled(backend: Backend, size: int) -> bool:
    """Return whether compiled code is to be used."""
    if backend == "auto":
        return size >= _WORTH_COMPILING and find_spec("numba") is not None
    if backend not in ("numpy", "numba"):
        raise ValueError(f"backend must be auto, numpy or numba, got {backend!r}")
    return backend == "numba"


def _solve_or_divide(batch: StackBatch, compiled: bool) -> BatchSolution:
    """Solve a batch; if array functions refuse it, halve it until the guilty stack is alone."""
    try:
        with np.errstate(all="ignore"):  # bad stacks overflow or divide by zero: NaN says so
            return _solve(batch, compiled, bad_numbers(batch))
    except np.linalg.LinAlgError as error:
        if batch.size == 1:
            with np.errstate(all="ignore"):
                return _solve(batch, compiled, {0: f"stack: {str(error).lower()}"})
        middle = batch.size // 2
        halves = (slice(None, middle), slice(middle, None))
        return _joined(batch, [_solve_or_divide(batch.part(h), compiled) for h in halves])


def _solve(given: StackBatch, compiled: bool, wrong: Mapping[int, str]) -> BatchSolution:
    """Solve stacks, leaving out those that are `wrong`."""
    batch: Any = harmless(given, wrong)
    if compiled:
        from .kernels import compiled_maps as find_maps
        from .kernels import compiled_windows as solve_rows
    else:
        find_maps, solve_rows = slab_maps, solve_windows
    system = LayerSystem(
        _batch_laws(batch), batch.thickness, batch.charge_flux, batch.bottom, batch.top, batch.contacts
    )
    found = solve_columns(system, False, find_maps, factor_by(solve_rows))
    lower, upper, integral = (x[..., 0] for x in (found.lower, found.upper, found.integral))
    errors = {**found.errors, **wrong}
    for array in (lower, upper, integral, found.mismatch):
        array[list(errors)] = np.nan
    return BatchSolution(lower, upper, integral, found.operators, found.mismatch, given, errors)


def _batch_laws(batch: StackBatch) -> LocalLaws:
    """Return the local laws of all layers of all stacks, leading axes (B, n).

    The laws of a layer that is the same in all of them are found once.
    """
    parts = [local_laws(layer.fields, batch.frequency) for layer in batch.layers]

    def whole(arrays: Sequence[AnyArray], inner: int) -> AnyArray:
        full = [np.broadcast_to(x, (batch.size, *x.shape[x.ndim - inner :])) for x in arrays]
        return np.stack(full, axis=1)

    return LocalLaws(
        whole([p.system for p in parts], 2),
        whole([p.in_plane for p in parts], 2),
        whole([p.conductance for p in parts], 0),
    )


def _joined(batch: StackBatch, parts: Sequence[BatchSolution]) -> BatchSolution:
    """Return the solutions of consecutive parts of a batch as one."""
    starts = np.cumsum([0, *(part.batch.size for part in parts[:-1])])
    errors = {
        int(start) + k: text
        for start, part in zip(starts, parts, strict=True)
        for k, text in part.errors.items()
    }

    def whole(name: str, of: str = "") -> AnyArray:
        return np.concatenate([getattr(getattr(p, of) if of else p, name) for p in parts])

    operators = SlabOperators(*(whole(f.name, "operators") for f in fields(SlabOperators)))
    return BatchSolution(
        whole("lower"), whole("upper"), whole("integral"), operators, whole("mismatch"), batch, errors
    )
