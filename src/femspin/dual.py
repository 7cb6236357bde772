"""Arrays that carry their first-order changes: a function of them is its own derivative.

A `Dual` is a value and its changes by P parameters at once; numpy's operators and functions take
it where they take an array, by the product rule.  What is computed from dual arrays carries the
exact derivative along, real or complex, to round-off.

Code that is to be differentiated allocates with ``np.zeros_like(operand, shape=...)`` and does
not call ``float`` or ``np.asarray`` on what may be dual, but `as_array`.  Choices (a unit, a
number of steps) are made by `value_of`: they have no derivative.  A function without a rule, and
a plain array that is to be filled with a dual one, raise TypeError; no change is lost silently.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import fields, is_dataclass, replace
from string import ascii_letters
from typing import Any

import numpy as np
from numpy.lib.mixins import NDArrayOperatorsMixin

from .units import AnyArray

__all__ = ["Dual", "as_array", "change_of", "mapped", "stacked", "value_of", "zeros_for"]


class Dual(NDArrayOperatorsMixin):
    """An array and its changes; comparisons and choices go by the value.

    Args:
        value: The array, of any shape.
        change: Its derivative by each of P parameters, shape (P, *value.shape).

    Raises:
        ValueError: If the shapes do not fit.
    """

    __slots__ = ("change", "value")

    def __init__(self, value: Any, change: Any) -> None:
        self.value: AnyArray = np.asarray(value)
        self.change: AnyArray = np.asarray(change)
        if self.change.shape[1:] != self.value.shape or self.change.ndim == 0:
            raise ValueError(f"changes {self.change.shape} of an array of shape {self.value.shape}")

    def __array_ufunc__(
        self, ufunc: np.ufunc, method: str, *inputs: Any, out: Any = None, **kwargs: Any
    ) -> Any:
        if method == "outer":
            a, b = (as_array(x) for x in inputs)
            inputs = (a[(..., *[None] * b.ndim)], b)
        elif method != "__call__":
            return NotImplemented
        if ufunc in _OF_VALUES:
            return ufunc(*map(value_of, inputs), **kwargs)
        if kwargs or (out is not None and not isinstance(out[0], Dual)):
            return NotImplemented
        if ufunc in _PARTIALS:
            result = _elementwise(ufunc, inputs)
        elif ufunc in _RULES:
            result = _RULES[ufunc](*inputs)
        else:
            return NotImplemented
        if out is None:
            return result
        out[0][...] = result
        return out[0]

    def __array_function__(self, function: Any, types: Any, args: Any, kwargs: Any) -> Any:
        if function in _OF_VALUES:
            return function(*map(value_of, args), **kwargs)
        return _RULES[function](*args, **kwargs) if function in _RULES else NotImplemented

    def __array__(self, *args: Any, **kwargs: Any) -> Any:
        """Refuse to become a plain array."""
        raise TypeError("a Dual array would lose its change here")

    def __getitem__(self, key: Any) -> Dual:
        if _separated(key):
            return Dual(self.value[key], np.stack([c[key] for c in self.change]))
        return Dual(self.value[key], self.change[_behind(key)])

    def __setitem__(self, key: Any, other: Any) -> None:
        self.value[key] = value_of(other)
        if not isinstance(other, Dual):
            self.change[_behind(key)] = 0
        elif _separated(key):
            for mine, its in zip(self.change, other.change, strict=True):
                mine[key] = its
        else:
            self.change[_behind(key)] = _raised(other, self.value[key].ndim)

    def __len__(self) -> int:
        return len(self.value)

    def __iter__(self) -> Iterator[Dual]:
        return (self[k] for k in range(len(self)))

    def __repr__(self) -> str:
        return f"Dual({self.value!r}, {self.change!r})"

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the value."""
        return self.value.shape

    @property
    def ndim(self) -> int:
        """Number of axes of the value."""
        return self.value.ndim

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type that holds value and changes."""
        return np.result_type(self.value, self.change)

    @property
    def T(self) -> Dual:
        """The transposed."""
        return Dual(self.value.T, self.change.transpose(0, *range(self.ndim, 0, -1)))

    @property
    def real(self) -> Dual:
        """The real part."""
        return Dual(self.value.real, self.change.real)

    def reshape(self, *shape: Any) -> Dual:
        """Return the same numbers in another shape, as of an array."""
        value = self.value.reshape(*shape)
        return Dual(value, self.change.reshape(len(self.change), *value.shape))

    def ravel(self) -> Dual:
        """Return the same numbers in one row."""
        return self.reshape(-1)

    def copy(self) -> Dual:
        """Return a copy."""
        return Dual(self.value.copy(), self.change.copy())

    def sum(self, axis: Any = None) -> Dual:
        """Return the sum over axes."""
        return _RULES[np.sum](self, axis)

    def max(self) -> Dual:
        """Return the largest entry."""
        flat = self.ravel()
        return flat[int(np.argmax(flat.value))]

    def __bool__(self) -> bool:
        return self.any()

    def any(self) -> bool:
        """Return whether any entry is or becomes different from zero."""
        return bool(self.value.any() or self.change.any())


def value_of(x: Any) -> Any:
    """Return the value of what may be dual: for choices, which have no derivative."""
    return x.value[()] if isinstance(x, Dual) else x


def zeros_for(shape: tuple[int, ...], *operands: Any) -> AnyArray:
    """Return real zeros that can be filled from the operands, dual if one is."""
    like = next((x for x in operands if isinstance(x, Dual)), None)
    return np.zeros(shape) if like is None else np.zeros_like(like, shape=shape)


def change_of(x: Any, count: int = 1) -> AnyArray:
    """Return the changes of what may be dual: zeros of shape (count, ...) if it is not."""
    if isinstance(x, Dual):
        return x.change
    return np.broadcast_to(np.zeros((), np.result_type(x)), (count, *np.shape(x)))


def as_array(x: Any, dtype: Any = None) -> AnyArray:
    """Return a dual array as it is, anything else as an array; type checkers see an array."""
    found: Any = x if isinstance(x, Dual) else np.asarray(x, dtype)
    return found  # type: ignore[no-any-return]


def stacked(parts: Sequence[Any]) -> AnyArray:
    """Return real numbers, arrays or lists of such as one array, faster than np.stack."""
    if list in map(type, parts):
        parts = [stacked(p) for p in parts]
    return np.stack(parts) if Dual in map(type, parts) else np.array(parts, float)


def mapped(function: Callable[..., Any], tree: Any, *others: Any) -> Any:
    """Return a tree of dataclasses, mappings and sequences with a function of all its numbers.

    Args:
        function: Of a number or array of the tree and those in its place in the others.
        tree: Which; what is no number stays.
        others: Trees that have at least the same places.
    """
    if isinstance(tree, bool):
        return tree
    if isinstance(tree, float | int | np.ndarray | Dual):
        return function(tree, *others)
    if isinstance(tree, Mapping):
        return {k: mapped(function, v, *(o[k] for o in others)) for k, v in tree.items()}
    if isinstance(tree, tuple):
        return tuple(mapped(function, *places) for places in zip(tree, *others, strict=True))
    if is_dataclass(tree) and not isinstance(tree, type):
        names = [f.name for f in fields(tree) if f.init]
        places = {k: mapped(function, *(getattr(t, k) for t in (tree, *others))) for k in names}
        return replace(tree, **places)
    return tree


def _count(parts: Iterable[Any]) -> int:
    """Return the number of parameters."""
    return next(len(x.change) for x in parts if isinstance(x, Dual))


def _behind(key: Any) -> tuple[Any, ...]:
    """Return the key of the changes that belongs to a key of the value."""
    return (slice(None), *key) if isinstance(key, tuple) else (slice(None), key)


def _separated(key: Any) -> bool:
    """Return whether lists of indices stand apart in a key, so that numpy moves their axis first."""
    if not isinstance(key, tuple):
        return False
    chosen = [not (k is None or k is Ellipsis or isinstance(k, slice)) for k in key]
    where = np.flatnonzero(chosen)
    lists = any(np.ndim(key[k]) for k in where)
    return bool(lists and where[-1] - where[0] >= len(where))


def _raised(x: Dual, ndim: int) -> AnyArray:
    """Return the changes with axes of length one, as broadcasting to `ndim` axes needs."""
    c = x.change
    return c if x.ndim >= ndim else c.reshape(len(c), *[1] * (ndim - x.ndim), *x.shape)


def _made(value: Any, terms: Sequence[Any], count: int) -> Dual:
    """Return value and summed changes; terms may lack axes along which they are the same."""
    total = terms[0] if len(terms) == 1 else terms[0] + terms[1]
    shape = (count, *np.shape(value))
    return Dual(value, total if np.shape(total) == shape else np.broadcast_to(total, shape).copy())


# ---------------------------------------------------------------- operations


_OF_VALUES: set[Any] = {
    np.less, np.less_equal, np.greater, np.greater_equal, np.equal, np.not_equal,
    np.isfinite, np.isnan, np.sign, np.signbit, np.logical_not,
    np.shape, np.ndim, np.size, np.iscomplexobj,
}  # fmt: skip

_PARTIALS: dict[Any, Callable[..., tuple[Any, ...]]] = {
    np.add: lambda f, a, b: (1.0, 1.0),
    np.subtract: lambda f, a, b: (1.0, -1.0),
    np.multiply: lambda f, a, b: (b, a),
    np.divide: lambda f, a, b: (1.0 / np.asarray(b), -f / b),
    np.power: lambda f, a, b: (b * a ** (b - 1.0), None),
    np.maximum: lambda f, a, b: (a >= b, a < b),
    np.minimum: lambda f, a, b: (a <= b, a > b),
    np.negative: lambda f, a: (-1.0,),
    np.sqrt: lambda f, a: (0.5 / f,),
    np.exp: lambda f, a: (f,),
    np.sin: lambda f, a: (np.cos(a),),
    np.cos: lambda f, a: (-np.sin(a),),
    np.sinh: lambda f, a: (np.cosh(a),),
    np.tanh: lambda f, a: (1.0 - f * f,),
    np.arccosh: lambda f, a: (1.0 / np.sqrt(a * a - 1.0),),
}
"""Partial derivatives of f(a, b, ...), given f too."""


def _elementwise(ufunc: np.ufunc, inputs: Sequence[Any]) -> Dual:
    values = [value_of(x) for x in inputs]
    value = ufunc(*values)
    terms = [
        partial * _raised(x, np.ndim(value))
        for x, partial in zip(inputs, _PARTIALS[ufunc](value, *values), strict=True)
        if isinstance(x, Dual)
    ]
    return _made(value, terms, _count(inputs))


def _absolute(x: Dual) -> Dual:
    size = np.abs(x.value)
    direction = np.divide(np.conj(x.value), size, out=np.zeros_like(x.value), where=size != 0)
    return Dual(size, np.real(direction * x.change))


def _matmul(a: Any, b: Any) -> Dual:
    a, b = as_array(a), as_array(b)
    if a.ndim == 1:
        return _matmul(a[None], b)[..., 0, :] if b.ndim > 1 else _matmul(a[None], b[:, None])[0, 0]
    if b.ndim == 1:
        return _matmul(a, b[:, None])[..., 0]
    return _product(np.matmul, a, b)


def _product(function: Callable[..., AnyArray], a: Any, b: Any) -> Dual:
    """Return the value of a bilinear function and its changes by the product rule."""
    value = function(value_of(a), value_of(b))
    terms = [function(_raised(a, value.ndim), value_of(b))] if isinstance(a, Dual) else []
    terms += [function(value_of(a), _raised(b, value.ndim))] if isinstance(b, Dual) else []
    return _made(value, terms, _count((a, b)))


def _einsum(subscripts: str, *operands: Any, **kwargs: Any) -> Dual:
    count, values = _count(operands), [value_of(x) for x in operands]
    inputs, output = subscripts.split("->")
    letter = next(c for c in ascii_letters if c not in subscripts)
    names = inputs.split(",")
    terms = []
    for k, x in enumerate(operands):
        if isinstance(x, Dual):
            own = ",".join(letter + name if j == k else name for j, name in enumerate(names))
            moved = [x.change if j == k else v for j, v in enumerate(values)]
            terms.append(np.einsum(f"{own}->{letter}{output}", *moved, **kwargs))
    return _made(np.einsum(subscripts, *values, **kwargs), [sum(terms)], count)


def _solve(matrix: Any, right: Any) -> Dual:
    """Solve matrix @ x = right; every matrix is factored once for the value and once for changes."""
    right = as_array(right)
    if right.ndim == 1:
        return _solve(matrix, right[:, None])[..., 0]
    count, a = _count((matrix, right)), value_of(matrix)
    x = np.linalg.solve(a, value_of(right))
    slope = change_of(right, count)
    if isinstance(matrix, Dual):
        slope = slope - _raised(matrix, x.ndim) @ x
    columns = np.moveaxis(np.broadcast_to(slope, (count, *x.shape)), 0, -2)
    found = np.linalg.solve(a, columns.reshape(*x.shape[:-1], -1)).reshape(columns.shape)
    return Dual(x, np.ascontiguousarray(np.moveaxis(found, -2, 0)))


def _inverse(matrix: Dual) -> Dual:
    found = np.linalg.inv(matrix.value)
    return Dual(found, -found @ matrix.change @ found)


def _eigenvalues(matrix: Dual) -> Dual:
    """Return the eigenvalues of one matrix; those that agree share the mean of their changes.

    NaN where it has too few eigenvectors: there is no derivative.
    """
    values, right = np.linalg.eig(matrix.value)
    try:
        slopes = np.einsum("ij,pjk,ki->pi", np.linalg.inv(right), matrix.change, right)
    except np.linalg.LinAlgError:
        return Dual(values, np.full((len(matrix.change), *values.shape), np.nan))
    near = np.abs(values[:, None] - values) <= _SAME * np.abs(values).max(initial=0.0)
    return Dual(values, slopes @ (near / near.sum(axis=0)))


_SAME = 1e-6  # round-off of eigenvalues that agree, with few eigenvectors missing


def _norm(x: Dual, axis: Any = None) -> Dual:
    """Return the Euclidean norm over all entries or one axis."""
    size = np.sqrt(np.sum(np.abs(x.value) ** 2, axis))
    along = np.real(np.conj(x.value) * x.change).sum(_axes(axis, x.ndim))
    return Dual(size, np.divide(along, size, out=np.zeros_like(along), where=size != 0))


# ---------------------------------------------------------------- linear in the array


def _axes(axis: Any, ndim: int) -> Any:
    """Return axes counted from the end: the same for a value and its changes."""
    if axis is None:
        return tuple(range(-ndim, 0))
    if isinstance(axis, Sequence):
        return tuple(_axes(a, ndim) for a in axis)
    return axis if axis < 0 else axis - ndim


def _along(function: Callable[..., AnyArray]) -> Callable[..., Dual]:
    """Return the rule of a linear function of an array and of axes in it."""

    def rule(x: Dual, *axes: Any, axis: Any = None) -> Dual:
        ends = [_axes(a, x.ndim) for a in axes or [axis]]
        return Dual(function(x.value, *ends), function(x.change, *ends))

    return rule


def _broadcast_to(x: Dual, shape: Any) -> Dual:
    value = np.broadcast_to(x.value, shape)
    return Dual(value, np.broadcast_to(_raised(x, value.ndim), (len(x.change), *value.shape)))


def _joined(function: Callable[..., AnyArray]) -> Callable[..., Dual]:
    """Return the rule of a function that joins arrays along an axis of its result."""

    def rule(parts: Sequence[Any], axis: int = 0, **kwargs: Any) -> Dual:
        value, count = function([value_of(p) for p in parts], axis=axis, **kwargs), _count(parts)
        return Dual(value, function([change_of(p, count) for p in parts], axis=_axes(axis, value.ndim)))

    return rule


def _insert(x: Any, where: Any, values: Any, axis: int) -> Dual:
    count = _count((x, values))
    changes = [change_of(a, count) for a in (x, values)]
    return Dual(
        np.insert(value_of(x), where, value_of(values), axis),
        np.insert(changes[0], where, changes[1], _axes(axis, np.ndim(x))),
    )


def _where(condition: Any, a: Any, b: Any) -> Dual:
    count, choice = _count((a, b)), value_of(condition)
    value = np.where(choice, value_of(a), value_of(b))
    changes = [_raised(x, value.ndim) if isinstance(x, Dual) else 0.0 for x in (a, b)]
    return _made(value, [np.where(choice, *changes)], count)


def _zeros(x: Dual, dtype: Any = None, shape: Any = None) -> Dual:
    value = np.zeros_like(x.value, x.dtype if dtype is None else dtype, shape=shape)
    return Dual(value, np.zeros((len(x.change), *value.shape), value.dtype))


_RULES: dict[Any, Callable[..., Dual]] = {
    np.absolute: _absolute,
    np.matmul: _matmul,
    np.dot: _matmul,
    np.einsum: _einsum,
    np.linalg.solve: _solve,
    np.linalg.inv: _inverse,
    np.linalg.norm: _norm,
    np.linalg.eigvals: _eigenvalues,
    np.linalg.eigvalsh: lambda x: _eigenvalues(x).real,
    np.cross: lambda a, b: _product(np.cross, a, b),
    np.kron: lambda a, b: _product(np.kron, a, b),
    np.sum: _along(np.sum),
    np.mean: _along(np.mean),
    np.cumsum: _along(np.cumsum),
    np.moveaxis: _along(np.moveaxis),
    np.trace: lambda x: Dual(np.trace(x.value), np.trace(x.change, axis1=1, axis2=2)),
    np.broadcast_to: _broadcast_to,
    np.concatenate: _joined(np.concatenate),
    np.stack: _joined(np.stack),
    np.insert: _insert,
    np.where: _where,
    np.zeros_like: _zeros,
    np.empty_like: _zeros,
    np.real: lambda x: x.real,
    np.any: lambda x: x.any(),
}
