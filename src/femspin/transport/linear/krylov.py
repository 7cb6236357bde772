"""Flexible GMRES on plain vectors, the Krylov method of the solvers, and CG inside of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...units import Array
from ..kernels.threads import compiled_available, run_by_rows, run_parts, thread_count

__all__ = ["conjugate_gradients", "flexible_gmres", "norm"]

Apply = Callable[[Array], Array]

_BREAKDOWN = 1e-15
# Below this size loading the compiled kernels takes longer.
_COMPILED_FROM = 2_000


def flexible_gmres(
    product: Apply,
    load: Array,
    start: Array | None,
    precondition: Apply,
    target: float,
    limit: int,
    restart: int = 40,
) -> tuple[Array, Array, int]:
    """Return the solution, its residual and the iterations of right-preconditioned GMRES.

    Preconditioned directions are kept in single precision and multiplied as rounded, so that
    the residual follows the solution exactly while a step needs half the memory.

    Args:
        product: A x.
        load: b, shape (n,).
        start: Where to start; zero by default.
        precondition: Approximate inverse of A.
        target: |b - A x| at which it stops.
        limit: Most iterations.
        restart: Iterations after which the basis is started anew.
    """
    x = np.zeros_like(load) if start is None else start
    r = load if start is None else load - product(x)
    done = 0
    while norm(r) > target and done < limit:
        before = norm(r)
        x, r, used = _cycle(product, load, x, r, precondition, target, min(restart, limit - done))
        done += used
        if not norm(r) < 0.9 * before:  # stagnation, or the preconditioner overflowed
            break
    return x, r, done


def conjugate_gradients(
    product: Callable[[Any], Any], load: Any, precondition: Callable[[Any], Any], reduction: float, limit: int
) -> Any:
    """Return about A^-1 b by preconditioned conjugate gradients from zero, in the precision of b.

    Args:
        product: A x, symmetric and positive definite.
        load: b, shape (n,).
        precondition: Approximate inverse of A, symmetric.
        reduction: |b - A x| over |b| at which it stops.
        limit: Most iterations.
    """
    x, r = np.zeros_like(load), load.copy()
    z = direction = precondition(r)
    target, size = reduction * norm(load), float(r @ z)
    for _ in range(limit):
        image = product(direction)
        curvature = float(direction @ image)
        if not curvature > 0.0:  # nothing left, or round-off
            break
        step = size / curvature
        x = x + step * direction
        r = r - step * image
        if norm(r) <= target:
            break
        z = precondition(r)
        old, size = size, float(r @ z)
        direction = z + (size / old) * direction
    return x


def _cycle(
    product: Apply, load: Array, x: Array, r: Array, precondition: Apply, target: float, most: int
) -> tuple[Array, Array, int]:
    size = norm(r)
    basis = _basis(most, len(r))
    images = np.empty((most, len(r)), np.float32)
    hessenberg = np.zeros((most + 1, most))
    basis.append(r, size)
    weights: Array = np.zeros(0)
    for k in range(most):
        direction = precondition(basis.last())
        scale = float(max(direction.max(initial=0.0), -direction.min(initial=0.0)))
        if not np.isfinite(scale) or scale == 0.0:
            break
        np.multiply(direction, 1 / scale, out=images[k], casting="same_kind")  # keeps its range
        w = product(images[k].astype(float))
        hessenberg[: k + 1, k], w, hessenberg[k + 1, k] = basis.orthogonal(w)
        trial, left = _least_squares(hessenberg[: k + 2, : k + 1], size)
        weights = trial
        if left <= target or hessenberg[k + 1, k] <= _BREAKDOWN * size:
            break
        basis.append(w, hessenberg[k + 1, k])
    used = len(weights)
    x = _combined(x, weights, images[:used])
    return x, load - product(x), used


class Basis:
    """Orthonormal vectors.

    Args:
        most: How many are added to the first.
        size: Their length.
    """

    def __init__(self, most: int, size: int) -> None:
        self.vectors = np.empty((most + 1, size))
        self.count = 0

    def append(self, w: Array, norm: float) -> None:
        """Add w / norm."""
        np.divide(w, norm, out=self.vectors[self.count])
        self.count += 1

    def last(self) -> Array:
        """Return the last vector."""
        found: Array = self.vectors[self.count - 1]
        return found

    def orthogonal(self, w: Array) -> tuple[Array, Array, float]:
        """Return the parts of w along the basis, the rest and its norm, by Gram-Schmidt twice."""
        basis = self.vectors[: self.count]
        first = basis @ w
        w = w - first @ basis
        second = basis @ w
        w = w - second @ basis
        return first + second, w, norm(w)


class CompiledBasis(Basis):
    """The same with compiled kernels, whose sums do not depend on the number of threads."""

    def append(self, w: Array, norm: float) -> None:
        """Add w / norm."""
        from ..kernels.krylov import scaled

        run_by_rows(scaled, len(w), 1 / norm, w, self.vectors[self.count], row=1)
        self.count += 1

    def orthogonal(self, w: Array) -> tuple[Array, Array, float]:
        """Return the parts of w along the basis, the rest and its norm; overwrites w."""
        from ..kernels.krylov import BLOCK, along, less

        blocks, threads = -(-len(w) // BLOCK), thread_count()
        bounds = [blocks * k // threads for k in range(threads + 1)]
        sums, row = np.empty((blocks, self.count + 1)), BLOCK * self.count
        run_parts(along, bounds, self.vectors, self.count, w, sums, row=row)
        first = sums[:, :-1].sum(axis=0)
        run_parts(less, bounds, self.vectors, self.count, first, w, sums, row=row)
        second = sums[:, :-1].sum(axis=0)
        run_parts(less, bounds, self.vectors, self.count, second, w, sums, row=row)
        return first + second, w, float(np.sqrt(sums[:, -1].sum()))


def _basis(most: int, size: int) -> Basis:
    """Return an empty basis.

    In double precision: a rounded residual has some of the constant spin potential, which weak
    relaxation turns into a large error.
    """
    compiled = size >= _COMPILED_FROM and compiled_available()
    return (CompiledBasis if compiled else Basis)(most, size)


def norm(w: NDArray[Any]) -> float:
    """Return |w| of real or complex numbers; unlike BLAS the same with any number of threads."""
    squares = np.square(w) if w.dtype.kind != "c" else np.square(w.real) + np.square(w.imag)
    return float(np.sqrt(np.add.reduce(squares, axis=None)))


def _combined(x: Array, weights: Array, images: NDArray[np.float32]) -> Array:
    """Return x plus weighted images."""
    x = x.copy()
    if len(x) >= _COMPILED_FROM and compiled_available():
        from ..kernels.krylov import combine

        run_by_rows(combine, len(x), weights, images, x, row=len(weights))
        return x
    for weight, image in zip(weights, images, strict=True):
        x += weight * image
    return x


def _least_squares(hessenberg: Array, size: float) -> tuple[Array, float]:
    right = np.zeros(len(hessenberg))
    right[0] = size
    weights: Any = np.linalg.lstsq(hessenberg, right, rcond=None)[0]
    return weights, float(np.linalg.norm(hessenberg @ weights - right))
