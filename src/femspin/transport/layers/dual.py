"""Arrays with their first-order change: the product rule, done by the operators.

A `Dual` is value + epsilon change with epsilon^2 = 0; whatever is built from its operations
carries the exact derivative along, real or complex.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ...units import AnyArray

__all__ = ["Dual", "concatenate", "constant", "inverse", "solve", "zeros"]


@dataclass(frozen=True)
class Dual:
    """A stack of arrays and their change, of one shape."""

    value: AnyArray
    change: AnyArray

    __array_ufunc__ = None  # numpy arrays leave mixed operations to this class

    def __getitem__(self, key: Any) -> Dual:
        return Dual(self.value[key], self.change[key])

    def __setitem__(self, key: Any, other: Dual) -> None:
        self.value[key], self.change[key] = other.value, other.change

    def __neg__(self) -> Dual:
        return Dual(-self.value, -self.change)

    def __add__(self, other: Dual | AnyArray | complex) -> Dual:
        b = _dual(other)
        return Dual(self.value + b.value, self.change + b.change)

    def __sub__(self, other: Dual | AnyArray | complex) -> Dual:
        b = _dual(other)
        return Dual(self.value - b.value, self.change - b.change)

    def __mul__(self, other: Dual | AnyArray | complex) -> Dual:
        b = _dual(other)
        return Dual(self.value * b.value, self.change * b.value + self.value * b.change)

    def __truediv__(self, other: Dual | AnyArray | complex) -> Dual:
        b = _dual(other)
        ratio = self.value / b.value
        return Dual(ratio, (self.change - ratio * b.change) / b.value)

    def __matmul__(self, other: Dual | AnyArray) -> Dual:
        b = _dual(other)
        return Dual(self.value @ b.value, self.change @ b.value + self.value @ b.change)

    __radd__, __rmul__ = __add__, __mul__


def _dual(x: Dual | AnyArray | complex) -> Dual:
    return x if isinstance(x, Dual) else constant(np.asarray(x))


def constant(value: AnyArray) -> Dual:
    """Return an array that does not change."""
    return Dual(value, np.zeros_like(value))


def zeros(shape: Sequence[int], dtype: Any) -> Dual:
    """Return zeros that do not change, to be filled."""
    return Dual(np.zeros(shape, dtype), np.zeros(shape, dtype))


def concatenate(parts: Sequence[Dual], axis: int) -> Dual:
    """Return arrays joined along an axis."""
    return Dual(
        np.concatenate([p.value for p in parts], axis=axis),
        np.concatenate([p.change for p in parts], axis=axis),
    )


def inverse(matrix: Dual) -> Dual:
    """Return the inverses of a stack of matrices."""
    found = np.linalg.inv(matrix.value)
    return Dual(found, -found @ matrix.change @ found)


def solve(matrix: Dual, right: Dual) -> Dual:
    """Return x of matrix @ x = right, for stacks of matrices."""
    x = np.linalg.solve(matrix.value, right.value)
    return Dual(x, np.linalg.solve(matrix.value, right.change - matrix.change @ x))
