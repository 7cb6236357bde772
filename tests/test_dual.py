"""Dual arrays: every rule against differences, closed forms, and nothing lost without a word."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from femspin.device.coefficients import extrapolated_derivative
from femspin.dual import Dual, as_array, change_of, mapped, value_of
from femspin.fields.region import RegionFields

# Extrapolated differences of functions of order one are good to a few hundred units of round-off.
DIFFERENCES = 1e-12
EPS = np.finfo(float).eps

R = np.random.default_rng(7)
A, B = R.standard_normal((2, 4, 3, 3)) + 4 * np.eye(3)
DA, DB = R.standard_normal((2, 2, 4, 3, 3))
V, DV = R.standard_normal((4, 3, 5)), R.standard_normal((2, 4, 3, 5))
P, DP = 1 + R.random((4, 3)), R.standard_normal((2, 4, 3))


def filled(a, b):
    found = np.zeros_like(a, shape=(4, 5, 5))
    found[:, 1:4, 1:4] = a
    found[:, 0, 0] += 2.0
    found[:, [1, 2], [2, 3]] *= b[:, 0, :2]
    found[np.array([0, 2])] = found[np.array([1, 3])] @ found[np.array([0, 2])]
    return found


FUNCTIONS = {
    "sum": lambda a, b: a + b - 2.0 - 3.0 * b,
    "product": lambda a, b: a * b * B,
    "quotient": lambda a, b: (1.0 / a) / (b + 9.0) / A,
    "powers": lambda a, b: a**3 + b**2 - (-b),
    "functions": lambda a, b: np.sqrt(np.exp(a / 8) + b * b) * np.arccosh(2 + np.abs(a)),
    "absolute": lambda a, b: np.abs(a) * np.abs(b * (1 + 2j)),
    "largest": lambda a, b: np.maximum(a, b) - np.minimum(a, 1.0),
    "matmul": lambda a, b: a @ b + A @ b + a @ B,
    "vectors": lambda a, b: a[0, 0] @ b[:, 0].T @ b[:, 1, 0] + (a[1, 0] @ b[1, 1])[None],
    "matrix and vector": lambda a, b: a @ b[0, 0] + A @ b[0, 1],
    "outer": lambda a, b: np.multiply.outer(a[0, 0], b[0, 1]) + np.multiply.outer(P[0], a[1, 1]),
    "einsum": lambda a, b: np.einsum("kij,kjl,kim->klm", a, b, a),
    "einsum with an ellipsis": lambda a, b: np.einsum("...ab,b->...a", a * b, P[0]),
    "concatenate": lambda a, b: np.concatenate([a, np.concatenate([B[:, :2], b[:, 2:]], axis=1)], axis=-1),
    "stack": lambda a, b: np.stack([a[0], B[0], b[1]], axis=1),
    "insert": lambda a, b: np.insert(a, [1, 3], b[:2], axis=0) @ np.insert(A, [1, 3], b[:2], axis=0),
    "broadcast": lambda a, b: np.broadcast_to(a[0], (4, 3, 3)) * b,
    "axes": lambda a, b: np.moveaxis(a, 0, 2) @ np.moveaxis(b, (0, 1), (1, -1)),
    "transposed": lambda a, b: (a[0].T @ b[0]).reshape(9) - b[1].ravel(),
    "where": lambda a, b: np.where(a > b, a, b * b) + np.where(b > 0, 3.0, a),
    "solve": lambda a, b: np.linalg.solve(a, b) + np.linalg.solve(A, b) + np.linalg.solve(a, B),
    "solve a vector": lambda a, b: np.linalg.solve(a[0], b[0, 0]),
    "inverse": lambda a, b: np.linalg.inv(a) @ b,
    "norm": lambda a, b: np.linalg.norm(a) + np.linalg.norm(b, axis=1),
    "sums": lambda a, b: a.sum(axis=1) + np.sum(b, axis=(0, 1)) + np.mean(a) + np.mean(b, axis=-1),
    "cumulated": lambda a, b: np.cumsum(a, axis=0)[::-1] * np.cumsum(b, axis=-1),
    "cross": lambda a, b: np.cross(a, b[0]) + np.cross(b, P[0]) - np.cross(a[0, 0], b),
    "trace": lambda a, b: np.trace(a[0] @ b[0]),
    "filled": filled,
    "separated indices": lambda a, b: a[[0, 1], :, [1, 2]] * b[2, :, [0, 1]],
    "unpacked": lambda a, b: sum(x * y for x, y in zip(a, b, strict=True)),
    "real": lambda a, b: np.real(a * (1 + 2j)) * (b * 1j).real + a.real,
}  # fmt: skip


@pytest.mark.parametrize("name", FUNCTIONS)
def test_every_rule_is_the_derivative(name):
    """Of both operands by two parameters at once."""
    function = FUNCTIONS[name]
    found = function(Dual(A, DA), Dual(B, DB))
    assert np.array_equal(found.value, function(A, B))
    for k in range(2):
        (compared,), _ = extrapolated_derivative(
            lambda t, k=k: [function(A + t * DA[k], B + t * DB[k])], 0.0, 0.5
        )
        size = np.abs(compared).max() + np.abs(found.value).max()
        assert np.abs(found.change[k] - compared).max() <= DIFFERENCES * size


numbers = st.floats(0.25, 4.0)


@settings(max_examples=50, deadline=None)
@given(numbers, numbers, numbers, numbers)
def test_products_and_quotients_have_their_closed_form(a, b, da, db):
    """Each of the few operations rounds once."""
    x, y = Dual(a, [da, 0.0]), Dual(b, [0.0, db])
    np.testing.assert_allclose((x * y).change, [da * b, a * db], rtol=4 * EPS)
    np.testing.assert_allclose((x / y).change, [da / b, -a * db / b**2], rtol=8 * EPS)
    np.testing.assert_allclose((x * y / y - x).change, 0.0, atol=16 * EPS * max(da, a * db / b))
    np.testing.assert_allclose(np.sqrt(x * x).change, [da, 0.0], rtol=8 * EPS)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_solving_and_inverting_agree(seed):
    r = np.random.default_rng(seed)
    a, da, b, db = (r.standard_normal((2, 3, 3)) for _ in range(4))
    matrix, right = Dual(a + 6 * np.eye(3), da[None]), Dual(b, db[None])
    solved, inverted = np.linalg.solve(matrix, right), np.linalg.inv(matrix) @ right
    # Condition below about ten, and squared in the change.
    assert np.abs(solved.change - inverted.change).max() <= 1e4 * EPS * np.abs(a).max()
    assert np.abs((matrix @ solved - right).change).max() <= 1e4 * EPS * np.abs(a).max()


def test_the_largest_eigenvalues_change_as_they_do():
    """Of a general and a symmetric matrix; values to the round-off of either algorithm."""

    def largest(a, b):
        return np.stack([np.abs(np.linalg.eigvals(a)).max(), np.linalg.eigvalsh(b + b.T).max()])

    found = largest(Dual(A[0], DA[:1, 0]), Dual(B[0], DB[:1, 0]))
    np.testing.assert_allclose(found.value, largest(A[0], B[0]), rtol=100 * EPS)
    (compared,), _ = extrapolated_derivative(
        lambda t: [largest(A[0] + t * DA[0, 0], B[0] + t * DB[0, 0])], 0.0, 0.5
    )
    np.testing.assert_allclose(found.change[0], compared, rtol=1e-11)


def test_eigenvalues_that_agree_share_their_change():
    """Those of sqrt(g) on an isotropic diffusion equation, as without any spin-orbit coupling."""
    zero, one = np.zeros((3, 3)), np.eye(3)
    matrix = Dual(np.block([[zero, one], [4 * one, zero]]), [np.block([[zero, zero], [one, zero]])])
    found = np.abs(np.linalg.eigvals(matrix))
    np.testing.assert_allclose(found.value, 2.0, rtol=100 * EPS)
    np.testing.assert_allclose(found.change, 0.25, rtol=100 * EPS)


def test_complex_arrays_and_complex_changes():
    z, dz = A + 1j * B, (DA + 1j * DB)[:1]
    x = Dual(z, dz)
    size = 2 * (A * x.real.change + B * dz.imag)  # of |z|^2
    np.testing.assert_allclose((np.abs(x) ** 2).change, size, rtol=1e-12, atol=1e-12)
    real = Dual(A, 1j * DA)
    assert real.dtype == complex
    assert np.zeros_like(real, shape=(2,)).change.dtype == complex


def test_a_size_that_vanishes_has_no_change():
    """The derivative of |x| at zero is taken as that of its even continuation."""
    x = Dual(np.zeros(3), np.ones((1, 3)))
    assert not np.linalg.norm(x).change.any()
    assert not np.abs(x).change.any()


def test_comparisons_and_choices_go_by_the_value():
    x = Dual([1.0, 3.0], [[5.0, -5.0]])
    assert (x > 2).tolist() == [False, True]
    assert (x * 2 >= x + 3).tolist() == [False, True]
    assert np.isfinite(x).all()
    assert (np.ndim(x), np.shape(x), len(x), x.dtype, bool(x[0])) == (1, (2,), 2, float, True)
    assert Dual(0.0, [1.0]).any()
    assert np.any(Dual(0.0, [1.0]))
    assert not Dual(0.0, [0.0]).any()


def test_no_change_is_lost_without_a_word():
    x, plain = Dual([1.0, 3.0], [[5.0, -5.0]]), np.zeros(2)
    for lose in (
        lambda: float(x[0]),
        lambda: np.asarray(x),
        lambda: np.array([x[0], x[1]], float),
        lambda: plain.__setitem__(slice(None), x),
        lambda: plain.__iadd__(x),
        lambda: np.floor(x),
        lambda: np.linalg.svd(x),
        lambda: np.add.reduce(x),
    ):
        with pytest.raises(TypeError):
            lose()


def test_changes_have_the_shape_of_the_value():
    for value, change in ((1.0, 1.0), (np.ones(2), np.ones((1, 3))), (np.ones((2, 2)), np.ones((2, 2)))):
        with pytest.raises(ValueError, match="changes"):
            Dual(value, change)


def test_what_is_written_over_changes_no_longer():
    x = Dual(np.ones(3), np.ones((1, 3)))
    copy = x.copy()
    x[1] = 7.0
    assert x.value.tolist() == [1, 7, 1]
    assert x.change.tolist() == [[1, 0, 1]]
    assert copy.change.tolist() == [[1, 1, 1]]


def test_plain_arrays_pass_through():
    assert value_of(A) is A
    assert as_array(A) is A
    assert change_of(A, 2).shape == (2, *A.shape)
    assert "Dual" in repr(as_array(Dual(1.0, [1.0])))


def test_trees_of_numbers_are_mapped_place_by_place():
    fields = RegionFields("Pt", 2.0, 3.0)
    tree = {"a": (fields, True), "b": np.ones(2)}
    double = mapped(lambda x, y: x + y, tree, tree)
    assert double["a"][0].dos == 4.0
    assert double["a"][0].name == "Pt"
    assert double["a"][1] is True
    assert double["a"][0].ordered is True
    assert double["b"].tolist() == [2, 2]
