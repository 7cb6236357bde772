"""The direct solvers: LAPACK for bands, PARDISO where it is installed, SuperLU otherwise."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp

from femspin.errors import SolverError
from femspin.transport.linear import direct
from femspin.transport.linear.direct import DirectSolver


def matrix(n=12, shift=0.1):
    """Return an unsymmetric convection-diffusion matrix on an n^3 grid."""
    line = sp.diags_array([-1.2, 2.0, -0.8], offsets=[-1, 0, 1], shape=(n, n))
    one = sp.eye_array(n)
    grid = sp.kron(sp.kron(line, one), one) + sp.kron(sp.kron(one, line), one)
    return sp.csr_array(grid + sp.kron(sp.kron(one, one), line) + shift * sp.eye_array(n**3))


def check_solutions(solver, a):
    """Assert that a solver inverts a matrix and its transposed, for one and many columns."""
    loads = np.random.default_rng(1).normal(size=(a.shape[0], 3))
    size = 1e-11 * np.abs(loads).max()
    for own, known in ((solver, a), (solver.transposed(), a.T), (solver, a)):
        np.testing.assert_allclose(known @ own.solve(loads[:, 0]), loads[:, 0], atol=size)
        np.testing.assert_allclose(known @ own.solve_many(loads), loads, atol=size)


def test_superlu_solves_a_matrix_and_its_transposed():
    solver = DirectSolver(matrix(), 3)
    assert solver.choice == "sparse LU (SuperLU)"
    check_solutions(solver, matrix())


@pytest.mark.parametrize("factor", [1.0, 1.0 - 0.5j])
def test_a_line_is_solved_as_a_band_with_its_transposed(factor):
    a = factor * matrix(6)  # 36 diagonals on either side
    solver = DirectSolver(a, 1)
    assert solver.choice == "sparse LU (LAPACK band)"
    check_solutions(solver, a)


def test_a_line_with_joined_far_ends_is_no_band():
    a = matrix().tolil()
    a[0, -1] = a[-1, 0] = 0.3
    solver = DirectSolver(sp.csr_array(a), 1)
    assert solver.choice == "sparse LU (SuperLU)"
    check_solutions(solver, a.tocsr())


def test_pardiso_solves_large_systems_where_it_is_installed(monkeypatch):
    pytest.importorskip("pypardiso")
    if not direct.pardiso_available():
        pytest.skip("the library of PARDISO is not there")
    monkeypatch.setattr(direct, "_PARDISO_FROM", {3: 1000})
    solver = DirectSolver(matrix(), 3)
    assert solver.choice == "sparse LU (PARDISO)"
    check_solutions(solver, matrix())
    assert DirectSolver(matrix(9), 3).choice == "sparse LU (SuperLU)"
    assert DirectSolver(matrix() * 1j, 3).choice == "sparse LU (SuperLU)"


class Perturbed:
    """What PARDISO gives for a singular matrix: factors of another one."""

    def __init__(self, matrix):
        self.perturbed = 1


@pytest.mark.parametrize("dimension", [1, 3])
def test_singular_systems_are_reported_whatever_is_installed(dimension, monkeypatch):
    """Replaced pivots are not taken for an answer."""
    singular = matrix(4).tolil()
    singular[5], singular[7] = 0, 0
    singular[5, 7], singular[7, 7] = 1, 1
    monkeypatch.setattr(direct, "_PARDISO_FROM", {3: 1})
    monkeypatch.setattr(direct, "pardiso_available", lambda: True)
    monkeypatch.setattr(direct, "PardisoFactors", Perturbed)
    with pytest.raises(SolverError, match="singular"):
        DirectSolver(sp.csr_array(singular), dimension)
    assert DirectSolver(matrix(4), 3).choice == "sparse LU (SuperLU)"


def test_a_pypardiso_without_its_library_is_not_used(monkeypatch):
    import sys
    from types import ModuleType

    def missing():
        raise ImportError("Shared library mkl_rt not found")

    fake = ModuleType("pypardiso")
    fake.PyPardisoSolver = missing
    monkeypatch.setitem(sys.modules, "pypardiso", fake)
    monkeypatch.setattr(direct, "find_spec", lambda _: True)
    direct.pardiso_available.cache_clear()
    assert not direct.pardiso_available()
    direct.pardiso_available.cache_clear()
