"""Cross products, rotations and random axes of arrays of vectors, shape (n, 3)."""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp

from ..units import Array

__all__ = ["cayley", "cross", "cross_matrix", "dexpinv", "dot", "normalized", "rotate"]


# Below this angle the closed forms lose digits to their own series.
_SMALL = 1e-2


def cross(a: Array, b: Array) -> Array:
    """Return a x b; shapes (n, 3), broadcast."""
    if a.shape == b.shape == (3,):  # numbers of Python are faster than arrays of one
        (ax, ay, az), (bx, by, bz) = a.tolist(), b.tolist()
        return np.array([ay * bz - az * by, az * bx - ax * bz, ax * by - ay * bx], float)
    a, b = np.broadcast_arrays(a, b)
    ax, ay, az = a[..., 0], a[..., 1], a[..., 2]
    bx, by, bz = b[..., 0], b[..., 1], b[..., 2]
    out = np.empty(a.shape)
    out[..., 0] = ay * bz - az * by
    out[..., 1] = az * bx - ax * bz
    out[..., 2] = ax * by - ay * bx
    return out


def dot(a: Array, b: Array) -> Array:
    """Return a . b with a trailing axis kept, shape (n, 1)."""
    found: Array = np.einsum("...i,...i->...", a, b)[..., None]
    return found


def normalized(a: Array) -> Array:
    """Return the unit vectors along a."""
    return a / np.sqrt(dot(a, a))


def rotate(angle: Array, v: Array) -> Array:
    """Return v turned about the rotation vectors `angle` [rad] (Rodrigues), shape (n, 3)."""
    square = dot(angle, angle)
    theta = np.sqrt(square)
    small = theta < _SMALL
    safe = np.where(small, 1.0, theta)
    sine = np.where(small, 1 - square / 6 * (1 - square / 20 * (1 - square / 42)), np.sin(safe) / safe)
    half = np.where(
        small,
        0.5 * (1 - square / 12 * (1 - square / 30 * (1 - square / 56))),
        2 * (np.sin(safe / 2) / safe) ** 2,
    )
    once = cross(angle, v)
    return v + sine * once + half * cross(angle, once)


def cayley(h: Array, v: Array) -> Array:
    """Return x that solves x = v + h x (v + x): a rotation about h, shape (n, 3)."""
    right = v + cross(h, v)
    return (right + cross(h, right) + h * dot(h, right)) / (1 + dot(h, h))


def dexpinv(u: Array, omega: Array) -> Array:
    """Return the rate of the rotation vector u when exp(u) turns at rate omega.

    Closed form of the inverse derivative of the exponential map of rotations (Hairer, Lubich
    and Wanner, Geometric Numerical Integration, III.4 and IV.7).
    """
    square = dot(u, u)
    half = 0.5 * np.sqrt(square)
    small = half < _SMALL
    safe = np.where(small, 1.0, half)
    third = np.where(
        small, (1 + square / 60 * (1 + square / 42)) / 12, (1 - safe / np.tan(safe)) / (4 * safe**2)
    )
    once = cross(u, omega)
    return omega - 0.5 * once + third * cross(u, once)


def cross_matrix(m: Array) -> sp.csr_array:
    """Return the block-diagonal matrix of v -> m x v, shape (3 n, 3 n)."""
    n = len(m)
    rows = 3 * np.repeat(np.arange(n), 6) + np.tile([0, 0, 1, 1, 2, 2], n)
    columns = 3 * np.repeat(np.arange(n), 6) + np.tile([1, 2, 0, 2, 0, 1], n)
    x, y, z = m.T
    values = np.stack([-z, y, z, -x, -y, x], axis=1).ravel()
    return sp.csr_array((values, (rows, columns)), shape=(3 * n, 3 * n))
