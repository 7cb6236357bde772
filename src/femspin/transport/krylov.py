"""Flexible GMRES on plain vectors: the one Krylov method of the solvers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["flexible_gmres"]

Array = NDArray[np.float64]
Apply = Callable[[Array], Array]

_BREAKDOWN = 1e-15


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
    while np.linalg.norm(r) > target and done < limit:
        before = float(np.linalg.norm(r))
        x, r, used = _cycle(product, load, x, r, precondition, target, min(restart, limit - done))
        done += used
        if not np.linalg.norm(r) < 0.9 * before:  # stagnation, or the preconditioner overflowed
            break
    return x, r, done


def _cycle(
    product: Apply, load: Array, x: Array, r: Array, precondition: Apply, target: float, most: int,
) -> tuple[Array, Array, int]:  # fmt: skip
    size = float(np.linalg.norm(r))
    basis = np.empty((most + 1, len(r)))
    images = np.empty((most, len(r)), np.float32)
    hessenberg = np.zeros((most + 1, most))
    basis[0] = r / size
    weights: Array = np.zeros(0)
    for k in range(most):
        direction = precondition(basis[k])
        scale = float(np.abs(direction).max(initial=0.0))
        if not np.isfinite(scale) or scale == 0.0:
            break
        images[k] = direction / scale  # single precision keeps its range
        w = product(images[k].astype(float))
        hessenberg[: k + 1, k], w = _orthogonal(basis[: k + 1], w)
        hessenberg[k + 1, k] = np.linalg.norm(w)
        trial, left = _least_squares(hessenberg[: k + 2, : k + 1], size)
        weights = trial
        if left <= target or hessenberg[k + 1, k] <= _BREAKDOWN * size:
            break
        basis[k + 1] = w / hessenberg[k + 1, k]
    used = len(weights)
    x = x.copy()
    for weight, image in zip(weights, images[:used], strict=True):
        x += weight * image
    return x, load - product(x), used


def _orthogonal(basis: Array, w: Array) -> tuple[Array, Array]:
    """Return the parts of w along the basis and the rest, by Gram-Schmidt done twice."""
    first = basis @ w
    w = w - first @ basis
    second = basis @ w
    return first + second, w - second @ basis


def _least_squares(hessenberg: Array, size: float) -> tuple[Array, float]:
    right = np.zeros(len(hessenberg))
    right[0] = size
    weights: Any = np.linalg.lstsq(hessenberg, right, rcond=None)[0]
    return weights, float(np.linalg.norm(hessenberg @ weights - right))
