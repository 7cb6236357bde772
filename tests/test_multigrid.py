"""Multigrid: Galerkin products, levels that charge and spin share, cycles, threads."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp
from test_solvers import block_operator, device
from test_transport import box

from femspin.transport.assembly.operator import BlockOperator
from femspin.transport.linear.auxiliary import auxiliary, linear_stiffness
from femspin.transport.linear.coarsening import hierarchy, interpolations
from femspin.transport.linear.galerkin import Transfer, galerkin, rows_of, transfer
from femspin.transport.linear.ilu import scalar_factors
from femspin.transport.linear.krylov import flexible_gmres
from femspin.transport.linear.multigrid import ChargeMultigrid, SpinMultigrid
from femspin.transport.linear.preconditioner import BlockSplit

pytest.importorskip("numba")

EPS = np.finfo(np.float32).eps
# Of a cycle in single precision: some ten sums of some ten terms, one after the other.
ROUNDED = 100 * EPS


def laplacian(n: int, flat: float = 1.0) -> sp.csr_array:
    """Return the Laplacian of a cube of n^3 nodes whose cells are flat, with its sides held."""
    line = sp.diags_array([2.0 * np.ones(n), -np.ones(n - 1), -np.ones(n - 1)], offsets=[0, 1, -1])
    one = sp.eye_array(n)
    wide = sp.kron(line, one) + sp.kron(one, line)
    return sp.csr_array(flat**2 * sp.kron(wide, one) + sp.kron(sp.eye_array(n * n), line))


def end_faces(n: int) -> np.ndarray:
    """Return which nodes of the cube are on its first or last face."""
    first = np.arange(n**3) // n**2
    return (first == 0) | (first == n - 1)


def between(up: sp.csr_array) -> Transfer:
    """Return an interpolation given as a sparse matrix."""
    parts = up.indptr.astype(np.int32), up.indices.astype(np.int32), up.data.astype(np.float32)
    return transfer(parts, up.shape[1])


def as_matrix(found: Transfer) -> sp.csr_array:
    """Return the sparse matrix of an interpolation."""
    return sp.csr_array(found.up[::-1], shape=found.sizes)


def magnitude(matrix: sp.csr_array, up: sp.csr_array) -> sp.csr_array:
    """Return |P|^T |A| |P|: what the entries of a Galerkin product are summed from."""
    return sp.csr_array(abs(up).T @ abs(matrix) @ abs(up))


@pytest.mark.parametrize("flat", [1.0, 1e-3])
def test_galerkin_products_are_those_of_scipy_to_single_precision(flat):
    """Each factor of a term is rounded once and so is the sum: four roundings."""
    matrix = laplacian(12, flat)
    up = interpolations(matrix)[0]
    found = galerkin(rows_of(matrix), between(up)).csr()
    difference = abs(found - sp.csr_array(up.T @ matrix @ up))
    assert (difference - 4 * EPS * magnitude(matrix, up)).max() <= 0.0


@pytest.mark.parametrize("flat", [1.0, 1e-2])
def test_interpolations_are_those_of_pyamg(flat):
    """On the first level, before rounded ties are decided otherwise; a weight sums ten terms."""
    matrix = laplacian(16, flat)
    found, expected = as_matrix(hierarchy(matrix, None).transfers[0]), interpolations(matrix)[0]
    assert found.shape == expected.shape
    assert abs(found - expected).max() < 10 * EPS


def test_rounding_keeps_the_sums_of_rows():
    """The diagonal takes what single precision takes: smooth vectors see the same matrix."""
    matrix = laplacian(12, 1e-3)
    matrix.data *= 1.0 / 3.0
    found = rows_of(matrix).csr()
    ones = np.ones(12**3)
    assert abs(found - matrix).max() > 0.0
    np.testing.assert_allclose(found @ ones, matrix @ ones, atol=8 * np.finfo(float).eps)


def test_couplings_of_round_off_go_to_the_diagonal_and_weak_ones_of_flat_cells_stay():
    """On a box of simplices the edges of the box remain, seven entries a row at most."""
    space = box(3, "tet", 6, 1)
    matrix = linear_stiffness(space, {"F": 1.0})
    rows = rows_of(matrix)
    assert (rows.end - rows.begin).max() == 6
    ones = np.ones(matrix.shape[0])
    size = matrix.diagonal().max()
    np.testing.assert_allclose(rows.csr() @ ones, matrix @ ones, atol=1e-14 * size)
    flat = laplacian(6, 1e-6)  # couplings of 1e-12
    assert rows_of(flat).entries == flat.nnz - flat.shape[0]


def test_entries_stay_where_positive_couplings_do():
    """Incomplete factors need the places: with one positive coupling nothing is left out."""
    matrix = linear_stiffness(box(3, "tet", 7, 1), {"F": 1.0})
    assert rows_of(matrix).entries < matrix.nnz - matrix.shape[0]
    places = (np.array([0, 1]), np.array([1, 0]))
    bridge = sp.csr_array((2.0 * abs(matrix).max() * np.ones(2), places), shape=matrix.shape)
    mixed = sp.csr_array(matrix + bridge)
    assert rows_of(mixed).entries == mixed.nnz - mixed.shape[0]


def test_levels_with_held_unknowns_are_those_of_the_reduced_matrix():
    """Only rows near held unknowns are made anew, and the free levels are untouched."""
    n = 12
    matrix, held = laplacian(n), end_faces(n)
    levels = hierarchy(matrix, None)
    free, less = levels.held(held)
    reduced = sp.csr_array(matrix[~held][:, ~held])
    fine = np.flatnonzero(~held)
    np.testing.assert_array_equal(less[0].csr().toarray()[np.ix_(fine, fine)], reduced.toarray())
    rows = rows_of(reduced)
    for k, found in enumerate(levels.transfers):
        up = as_matrix(found)
        rows = galerkin(rows, between(sp.csr_array(up[fine]) if k == 0 else up))
        expected = rows.csr()
        scale = EPS * abs(expected).max()
        assert abs(less[k + 1].csr() - expected).max() <= 4 * (k + 1) * scale
        assert (free[k + 1].csr() != levels.matrices[k + 1].csr()).nnz == 0
        assert free[k + 1].indices is less[k + 1].indices


def test_the_factors_of_a_line_are_exact():
    """ILU(0) of a tridiagonal matrix leaves nothing out."""
    n = 300
    matrix = sp.csr_array(
        sp.diags_array([3.0 * np.ones(n), -np.ones(n - 1), -np.ones(n - 1)], offsets=[0, 1, -1])
    )
    (factors,) = scalar_factors([rows_of(matrix)])
    x = np.random.default_rng(0).normal(size=n).astype(np.float32)
    r = (matrix @ x).astype(np.float32)
    factors.solve(r)
    # The condition number is at most 5, and a row sums three rounded terms.
    np.testing.assert_allclose(r, x, atol=5 * 3 * EPS * np.abs(x).max())


@pytest.mark.parametrize("held", [False, True])
def test_the_charge_cycle_is_symmetric(held):
    n = 16
    levels = hierarchy(laplacian(n), None)
    cycle = ChargeMultigrid(levels.held(end_faces(n))[1] if held else levels.matrices, levels.transfers)
    x, y = np.random.default_rng(1).normal(size=(2, n**3)).astype(np.float32)
    if held:
        x[end_faces(n)] = y[end_faces(n)] = 0.0
    one, two = y.astype(float) @ cycle.solve(x), x.astype(float) @ cycle.solve(y)
    assert abs(one - two) < ROUNDED * np.linalg.norm(y) * np.linalg.norm(cycle.solve(x))


def rate(solve, matrix: sp.csr_array) -> float:
    """Return the factor of the last of ten steps of x += M (b - A x), in the norm of A."""
    x, sizes = np.random.default_rng(2).normal(size=matrix.shape[0]), []
    for _ in range(10):
        x = x - solve(matrix @ x)
        sizes.append(np.sqrt(x @ (matrix @ x)))
    return sizes[-1] / sizes[-2]


@pytest.mark.parametrize("flat", [1.0, 1e-2])
def test_cycles_reduce_the_error_at_a_rate_that_does_not_depend_on_size(flat):
    """One smoothing before and after: a fifth is what textbooks expect for model problems."""
    for n in (8, 16, 32):
        matrix = laplacian(n, flat)
        levels = hierarchy(matrix, None)
        assert rate(ChargeMultigrid(levels.matrices, levels.transfers).cycle, matrix) < 0.2


@pytest.mark.parametrize("flat", [1.0, 1e-3])
def test_cycles_are_repeated_until_a_third_of_the_residual_is_left(flat):
    """Also where nodes lie at random heights, so that single cycles do little."""
    matrix = laplacian(12, flat)
    rng = np.random.default_rng(4)
    size = np.exp(2.5 * rng.normal(size=matrix.shape[0]))
    stretched = sp.csr_array(sp.diags_array(size) @ matrix @ sp.diags_array(size))
    levels = hierarchy(stretched, None)
    r, inverse = rng.normal(size=matrix.shape[0]), ChargeMultigrid(levels.matrices, levels.transfers)
    for scale in (1.0, 1e-25, 1e19):
        left = scale * r - stretched @ inverse.solve(scale * r).astype(float)
        assert np.linalg.norm(left) <= 0.31 * np.linalg.norm(scale * r)


@pytest.mark.parametrize("transposed", [False, True])
def test_the_transposed_spin_correction_is_the_transposed_one(transposed):
    n = 16
    levels = hierarchy(laplacian(n), None)
    rng = np.random.default_rng(3)
    turn = rng.normal(size=(n**3, 3, 3))
    tensor = turn - turn.swapaxes(1, 2) + np.eye(3)
    coarse = SpinMultigrid(levels.matrices[1:], tensor, levels.transfers)
    x, y = rng.normal(size=(2, n**3, 3)).astype(np.float32)
    one, two = np.zeros((2, n**3, 3), np.float32)
    coarse.correct(x, one, transposed)
    coarse.correct(y, two, not transposed)
    scale = np.linalg.norm(y) * np.linalg.norm(one)
    assert abs(np.vdot(y, one) - np.vdot(x, two)) < ROUNDED * scale


def test_spin_corrections_of_the_laplacian_are_those_of_its_components():
    """Without tensors the three components do not see each other."""
    n = 12
    levels = hierarchy(laplacian(n), None)
    coarse = SpinMultigrid(levels.matrices[1:], np.zeros((n**3, 3, 3)), levels.transfers)
    r = np.random.default_rng(4).normal(size=(n**3, 3)).astype(np.float32)
    whole = np.zeros_like(r)
    coarse.correct(r, whole)
    for a in range(3):
        alone, part = np.zeros_like(r), np.zeros_like(r)
        alone[:, a] = r[:, a]
        coarse.correct(alone, part)
        np.testing.assert_array_equal(part[:, a], whole[:, a])
        assert not np.delete(part, a, axis=1).any()


def film_split():
    """Return a preconditioner of a film large enough for threads on several levels."""
    found = device("tet", 1, 40, n=32)
    problem, fields = found.problem, found.fields(found.direction)
    scaled = problem.scaled(fields)
    blocks = {name: problem._region(name, fields[name], scaled[name]) for name in fields}
    faces, _ = problem._faces(found.laws(found.direction))
    operator = BlockOperator(found.space, blocks, faces, problem.constraint)
    return operator, BlockSplit(operator, auxiliary(found.space, scaled))


def test_one_and_two_threads_give_the_same_bits(monkeypatch):
    """Set-up, cycles and orthogonalisation are cut by size, not by the number of threads."""
    monkeypatch.setattr("femspin.transport.linear.ilu._SCALARS_CUT_FROM", 10_000)
    found = []
    for threads in ("1", "2"):
        monkeypatch.setenv("OMP_NUM_THREADS", threads)
        operator, split = film_split()
        r = np.random.default_rng(5).normal(size=operator.shape[0])
        x, _, used = flexible_gmres(operator.multiply, r, None, split.solve, 1e-4 * np.linalg.norm(r), 20)
        found.append((split.solve(r), split.solve_transposed(r), x))
        assert used < 20
    for one, two in zip(*found, strict=True):
        np.testing.assert_array_equal(one, two)


@pytest.mark.parametrize(("cell", "order"), [("tet", 1), ("tet", 2), ("hex", 1), ("hex", 2)])
def test_the_split_solves_what_it_was_made_of(cell, order):
    """Ten iterations reduce the residual by more than a thousand on every element."""
    operator, scaled = block_operator(cell, order)
    split = BlockSplit(operator, auxiliary(operator.space, scaled))
    r = np.random.default_rng(6).normal(size=operator.shape[0])
    size = np.linalg.norm(r)
    _, left, _ = flexible_gmres(operator.multiply, r, None, split.solve, 1e-12 * size, 10)
    assert np.linalg.norm(left) < 1e-3 * size


def test_a_basis_in_single_precision_takes_no_more_iterations():
    """Down to the reduction of one solution; the residual is that of the solution, exactly."""
    n = 30_000
    matrix = sp.csr_array(
        sp.diags_array(
            [np.linspace(1, 30, n), -0.4 * np.ones(n - 1), 0.2 * np.ones(n - 1)], offsets=[0, 1, -1]
        )
    )
    load = np.random.default_rng(7).normal(size=n)
    size, counts = np.linalg.norm(load), []
    for reduction in (5e-7, 4.99e-7):  # the second is solved with a basis in double precision
        x, left, used = flexible_gmres(
            lambda v: matrix @ v, load, None, lambda r: r, reduction * size, 200, restart=200
        )
        counts.append(used)
        assert np.linalg.norm(left) <= reduction * size
        np.testing.assert_array_equal(left, load - matrix @ x)
    assert counts[0] <= counts[1] + 1
