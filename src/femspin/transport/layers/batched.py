"""Exact spin transport through many multilayers at once, for scans, maps and sampling.

The method is that of `femspin.transport.layers.stack`, stack by stack the same to round-off; only the
loops run over all stacks.  With numba and very many stacks the two costly steps, joining slabs and
eliminating interfaces, are compiled; otherwise they are array operations.

A stack that cannot be solved leaves NaN in its rows and its reason in `BatchSolution.errors`; the
others are not touched.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike

from ...errors import SolverError
from ...units import E_CHARGE, ENERGY, AnyArray
from .balance import FluxSplit, layer_sources
from .batched_case import (
    ContactBatch,
    FaceBatch,
    LayerBatch,
    StackBatch,
    face_batch,
    layer_batch,
    stack_batch,
)
from .batched_chain import solve_chains, solve_windows
from .batched_laws import bad_numbers, batch_laws, harmless
from .case import StackCase
from .slab import (
    CHARGE_INTEGRAL,
    DRIVE,
    FLUX_INTEGRAL,
    FLUX_TOP,
    MU_BOTTOM,
    MU_INTEGRAL,
    RISE,
    SlabOperators,
    middle_state,
    slab_maps,
    slab_operators,
)
from .stack import StackSolution

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
class BatchSolution:
    """Potentials and fluxes in B stacks of n layers, exact to round-off.

    States hold mu^eta [J] and then J^{z eta} [1/(m^2 s)], eta = charge, x, y, z; they are
    complex if any frequency is not zero.

    Args:
        batch: What was solved.
        lower: State at the bottom of each layer, shape (B, n, 8).
        upper: State at the top of each layer, shape (B, n, 8).
        integral: Integral of the state over each layer [J m, 1/(m s)], shape (B, n, 8).
        operators: Local laws of the layers, leading axes (B, n).
        mismatch: Continuity error relative to the terms that balance, shape (B,).
        errors: Why a stack has no solution, by its place in the batch.
    """

    batch: StackBatch
    lower: AnyArray
    upper: AnyArray
    integral: AnyArray
    operators: SlabOperators
    mismatch: AnyArray
    errors: Mapping[int, str]

    def interface_potential(self, k: int, side: int = 1) -> AnyArray:
        """Return mu^eta [J] at interface k, above (+1) or below (-1) it, shape (B, 4)."""
        return self._interface(k, side)[:, :4]

    def interface_flux(self, k: int) -> AnyArray:
        """Return J^{z eta} [1/(m^2 s)] through interface k, shape (B, 4)."""
        return self._interface(k, 1)[:, 4:]

    def integrals(self, k: int) -> tuple[AnyArray, AnyArray]:
        """Return the integrals over layer k of mu^eta [J m] and J^{z eta} [1/(m s)], (B, 4)."""
        return self.integral[:, k, :4], self.integral[:, k, 4:]

    def in_plane_current(self, k: int) -> AnyArray:
        """Return the integral over layer k of J^{p eta}, p = x, y [1/(m s)], shape (B, 2, 4)."""
        laws = self.operators.in_plane[:, k]
        thickness = np.broadcast_to(np.asarray(self.batch.layers[k].thickness), (len(laws),))
        with np.errstate(all="ignore"):  # stacks without a solution: NaN
            flow = (laws[:, :, :8] @ self.integral[:, k, :, None])[..., 0]
            found: AnyArray = (flow + laws[:, :, 8] * thickness[:, None]).reshape(-1, 2, 4)
            return found

    def split(self, k: int, face: Literal["top", "bottom"] = "top") -> FluxSplit:
        """Return the causes of the spin flux that leaves layer k, parts of shape (B, 3).

        For the top face the parts add up to J^{za}, for the bottom face to -J^{za}.
        """
        if face not in ("top", "bottom"):
            raise ValueError(f"face must be top or bottom, got {face!r}")
        entering = self.lower[:, k, 5:] if face == "top" else -self.upper[:, k, 5:]
        rise = self.upper[:, k, :4] - self.lower[:, k, :4]
        with np.errstate(all="ignore"):  # stacks without a solution: NaN
            layer, integral = self.batch.layers[k], self.integral[:, k, 1:4]
            return layer_sources(
                layer.fields, layer.thickness, integral, rise, entering, self.batch.frequency
            )

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
        o = self.operators
        one = SlabOperators(
            o.generator[index], o.norm[index], o.length[index], o.flux[index], o.in_plane[index]
        )
        return StackSolution(
            case or self.batch.case(index),
            self.lower[index],
            self.upper[index],
            self.integral[index],
            one,
            float(self.mismatch[index]),
        )

    def potential(self, z: ArrayLike, side: int = 1) -> AnyArray:
        """Return mu^eta [J] at z [m], shape (B, m, 4).

        Args:
            z: Positions within the stacks, shape (m,) for all or (B, m).
            side: At an interface, +1 takes the layer above and -1 the layer below.
        """
        points = np.broadcast_to(np.asarray(z, float), (self.batch.size, np.shape(z)[-1]))
        which = np.repeat(np.arange(len(points)), points.shape[1])
        return self.sample(which, points.ravel(), side).reshape(*points.shape, 8)[..., :4]

    def flux(self, z: ArrayLike) -> AnyArray:
        """Return J^{z eta} [1/(m^2 s)] at z [m], shape (B, m, 4); z as in `potential`."""
        points = np.broadcast_to(np.asarray(z, float), (self.batch.size, np.shape(z)[-1]))
        which = np.repeat(np.arange(len(points)), points.shape[1])
        return self.sample(which, points.ravel(), 1).reshape(*points.shape, 8)[..., 4:]

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
        edges = self.batch.interfaces[row]
        slack = 1e-12 * (edges[:, -1] - edges[:, 0])
        good = ~np.isin(row, list(self.errors))
        outside = (where < edges[:, 0] - slack) | (where > edges[:, -1] + slack)
        if np.any(outside & good):
            raise ValueError("z must lie within the stack")
        shifted = where + np.copysign(slack, side)
        k = np.clip((edges <= shifted[:, None]).sum(axis=1) - 1, 0, self.lower.shape[1] - 1)
        state = np.full((len(row), 8), np.nan, self.lower.dtype)
        chosen = np.flatnonzero(good)
        for start in range(0, len(chosen), _CHUNK):
            here = chosen[start : start + _CHUNK]
            state[here] = self._between(row[here], k[here], where[here], edges[here])
        return state

    def _interface(self, k: int, side: int) -> AnyArray:
        """Return (mu, J) at interface k, shape (B, 8)."""
        count = self.lower.shape[1]
        if not 0 <= k <= count:
            raise ValueError(f"interface must be 0 to {count}, got {k}")
        above = k < count and (side > 0 or k == 0)
        return self.lower[:, k] if above else self.upper[:, k - 1]

    def _between(self, row: AnyArray, k: AnyArray, where: AnyArray, edges: AnyArray) -> AnyArray:
        """Return (mu, J) within layer k of stack `row`, shape (M, 8): two maps meet there."""
        ops, every = self.operators, np.arange(len(row))
        length, flux = ops.length[row, k], ops.flux[row, k]
        below = np.clip(where - edges[every, k], 0.0, None) / length
        above = np.clip(edges[every, k + 1] - where, 0.0, None) / length
        generator, norm = ops.generator[row, k], ops.norm[row, k]
        lower = slab_maps(generator, norm, below)
        upper = slab_maps(generator, norm, above)
        start, end = self.lower[row, k], self.upper[row, k]
        inputs = np.ones((len(row), 7, 1), self.lower.dtype)
        inputs[:, MU_BOTTOM, 0] = start[:, 1:4] / ENERGY
        inputs[:, FLUX_TOP, 0] = end[:, 5:] / flux[:, None]
        middle = middle_state(lower, upper) @ inputs
        inputs[:, MU_BOTTOM] = middle[:, :3]
        rise = (upper[:, RISE, None] @ inputs)[:, 0, 0]
        state = np.empty((len(row), 8), self.lower.dtype)
        state[:, 0] = end[:, 0] - ENERGY * rise
        state[:, 1:4] = ENERGY * middle[:, :3, 0]
        state[:, 4] = end[:, 4]
        state[:, 5:] = flux[:, None] * middle[:, 3:, 0]
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
    batch = harmless(given, wrong)
    shape, thickness = (batch.size, len(batch.layers)), batch.thickness
    flux0 = np.asarray(batch.charge_flux)
    operators = slab_operators(batch_laws(batch), thickness, flux0[..., None])
    height = thickness / operators.length
    if compiled:
        from .kernels import compiled_maps, compiled_windows

        find_maps, find_nodes = compiled_maps, compiled_windows
    else:
        find_maps, find_nodes = slab_maps, solve_windows
    maps = find_maps(operators.generator.reshape(-1, 8, 8), operators.norm.ravel(), height.ravel()).reshape(
        *shape, 14, 7
    )
    unit = np.exp(np.mean(np.log(operators.flux), axis=1))
    ratio = operators.flux / unit[:, None]
    contacts, jump = _contacts(batch, unit)
    elements = _with_contacts(in_common_units(maps, ratio), contacts)
    chain = solve_chains(elements, _face(batch.bottom, 1, unit), _face(batch.top, -1, unit), find_nodes)
    node = np.arange(shape[1])
    for k in contacts:
        node[k:] += 1
    low, high = chain.nodes[:, node], chain.nodes[:, node + 1]
    inputs = np.ones((*shape, 7, 1), low.dtype)
    inputs[:, :, MU_BOTTOM, 0] = low[..., :3]
    inputs[:, :, FLUX_TOP, 0] = high[..., 3:] / ratio[..., None]
    out = (maps @ inputs)[..., 0]
    errors = {**chain.errors, **wrong}
    return _solution(given, operators, out, (low, high), jump, unit, errors, chain.mismatch)


def _solution(
    batch: StackBatch,
    operators: SlabOperators,
    out: AnyArray,
    spins: tuple[AnyArray, AnyArray],
    jump: AnyArray,
    unit: AnyArray,
    errors: Mapping[int, str],
    mismatch: AnyArray,
) -> BatchSolution:
    """Return states and integrals in SI from what leaves the layers, in their own units."""
    rise = out[..., RISE]
    bottom = -np.cumsum((rise - jump)[:, ::-1], axis=1)[:, ::-1] - jump
    flux0 = np.broadcast_to(np.asarray(batch.charge_flux), (len(out),))[:, None]
    through = np.broadcast_to(flux0[..., None], (*rise.shape, 1))

    def state(mu0: AnyArray, spin: AnyArray) -> AnyArray:
        scaled = [
            ENERGY * mu0[..., None],
            ENERGY * spin[..., :3],
            through,
            unit[:, None, None] * spin[..., 3:],
        ]
        return np.concatenate(scaled, axis=2)

    length, thickness = operators.length[..., None], batch.thickness
    integral = np.empty((*rise.shape, 8), out.dtype)
    integral[..., 0] = out[..., CHARGE_INTEGRAL] + thickness / operators.length * bottom
    integral[..., 1:4], integral[..., 5:] = out[..., MU_INTEGRAL], out[..., FLUX_INTEGRAL]
    integral[..., :4] *= ENERGY * length
    integral[..., 5:] *= operators.flux[..., None] * length
    integral[..., 4] = flux0 * thickness
    found = (state(bottom, spins[0]), state(bottom + rise, spins[1]), integral, mismatch)
    for array in found:
        array[list(errors)] = np.nan
    lower, upper, integral, mismatch = found
    return BatchSolution(batch, lower, upper, integral, operators, mismatch, errors)


def _face(face: Any, inward: int, unit: AnyArray) -> tuple[AnyArray, AnyArray]:
    """Return rows (B, 3, 6) and values (B, 3) of ``rows @ (mu, J) = values``; meV and `unit`."""
    count = len(unit)
    fixed = np.broadcast_to(face.fixed, (count,))[:, None]
    value = np.broadcast_to(face.value, (count, 3))
    rows = np.zeros((count, 3, 6))
    slope = -inward * face.conductance * (ENERGY / E_CHARGE**2 / unit)[:, None, None]
    rows[:, :, :3] = np.where(fixed[..., None], np.eye(3), slope)
    rows[:, :, 3:] = np.where(fixed[..., None], 0.0, np.eye(3))
    return rows, np.where(fixed, value / ENERGY, inward * value / unit[:, None])


def in_common_units(maps: AnyArray, ratio: AnyArray) -> AnyArray:
    """Return the first six rows of maps with fluxes in one unit, `ratio` times finer."""
    rows, ratio = maps[:, :, :6].copy(), ratio[..., None, None]
    rows[:, :, :3, MU_BOTTOM] *= ratio
    rows[:, :, :3, DRIVE:] *= ratio
    rows[:, :, 3:, FLUX_TOP] /= ratio
    return rows


def _contacts(batch: StackBatch, unit: AnyArray) -> tuple[dict[int, AnyArray], AnyArray]:
    """Return drops of mu^a per flux by interface, and drops of mu^0 below each layer [meV]."""
    drops: dict[int, AnyArray] = {}
    jump = np.zeros((batch.size, len(batch.layers)))
    for k, contact in batch.contacts.items():
        given: Any = contact
        drops[k] = np.broadcast_to(given.resistance, (batch.size, 3, 3)) * (unit / ENERGY)[:, None, None]
        jump[:, k] = np.asarray(batch.charge_flux) * given.charge / ENERGY
    return drops, jump


def _with_contacts(elements: AnyArray, drops: Mapping[int, AnyArray]) -> AnyArray:
    """Return the elements with one of zero thickness inserted at each contact."""
    if not drops:
        return elements
    rows = np.zeros((len(elements), len(drops), 6, 7))
    rows[:, :, :3, FLUX_TOP] = rows[:, :, 3:, MU_BOTTOM] = np.eye(3)
    rows[:, :, 3:, FLUX_TOP] = -np.stack(list(drops.values()), axis=1)
    return np.insert(elements, list(drops), rows, axis=1)


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

    operators = SlabOperators(
        *(whole(n, "operators") for n in ("generator", "norm", "length", "flux", "in_plane"))
    )
    return BatchSolution(
        batch, whole("lower"), whole("upper"), whole("integral"), operators, whole("mismatch"), errors
    )
