"""The compiled route of the assembly against its twin in numpy."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from test_covariant import shaken_box
from test_transport import CELLS, box, unit_coefficients

from femspin.transport import assembly, compiled, pattern
from femspin.transport.assembly import apply_region, assemble_region

pytest.importorskip("numba")


def per_cell(space, c):
    """Return coefficients whose Theta, relaxation and drift differ from cell to cell."""
    rng, n = np.random.default_rng(5), len(space.in_region("F"))
    return replace(
        c, theta=c.theta + 0.1 * rng.normal(size=(n, 1, 12, 12)),
        relaxation=c.relaxation + 0.1 * rng.normal(size=(n, 1, 3, 3)),
        omega=c.omega + rng.normal(size=(n, 1, 3)),
        drift=c.drift + rng.normal(size=(n, 1, 3, 4)),
    )  # fmt: skip


def results(space, c):
    rng = np.random.default_rng(2)
    mu, low = rng.normal(size=(2, space.n_dofs, 4))
    blocks = assemble_region(space, "F", c)
    return blocks.values, blocks.load, apply_region(space, "F", c, mu, 1e-9 * low)


def both_routes(space, c, monkeypatch):
    """Return matrix, load and residual by numpy and by the compiled kernels."""
    slow = results(space, c)
    monkeypatch.setattr(assembly, "pays_off", lambda _: True)
    return slow, results(space, c)


@pytest.mark.parametrize(("dimension", "cell"), CELLS)
@pytest.mark.parametrize("order", [1, 2, 3])
def test_compiled_assembly_equals_the_one_in_numpy(dimension, cell, order, monkeypatch):
    space = box(dimension, cell, 2, order)
    assert space.affine
    for c in (unit_coefficients(), per_cell(space, unit_coefficients())):
        for slow, fast in zip(*both_routes(space, c, monkeypatch), strict=True):
            np.testing.assert_allclose(fast, slow, atol=1e-13 * np.abs(slow).max(), rtol=0)
        monkeypatch.undo()


@pytest.mark.parametrize(("dimension", "cell"), [(2, "tri"), (3, "tet")])
def test_compiled_assembly_is_right_on_unstructured_simplices(dimension, cell, monkeypatch):
    for order in (1, 2):
        space = shaken_box(dimension, cell, 3, order)
        for slow, fast in zip(*both_routes(space, unit_coefficients(), monkeypatch), strict=True):
            np.testing.assert_allclose(fast, slow, atol=1e-13 * np.abs(slow).max(), rtol=0)
        monkeypatch.undo()


def test_bent_cells_take_the_route_with_quadrature():
    """A shaken quad or hex is no affine image of the reference cell."""
    assert box(3, "hex", 3, 1).affine
    for dimension, cell in ((2, "quad"), (3, "hex")):
        space = shaken_box(dimension, cell, 3, 1)
        assert not space.affine
        assert not compiled.pays_off(space)


@pytest.mark.parametrize("order", [1, 2])
def test_sums_do_not_depend_on_the_number_of_threads(order, monkeypatch):
    """Bit by bit: every row is summed by one thread in the order of the cells."""
    space, c = shaken_box(3, "tet", 4, order), unit_coefficients()
    monkeypatch.setattr(assembly, "pays_off", lambda _: True)
    monkeypatch.setattr("femspin.transport.threads._WORTH_THREADS", 0)
    found = []
    for threads in ("1", "2", "5"):
        monkeypatch.setenv("OMP_NUM_THREADS", threads)
        found.append(results(space, c))
    for other in found[1:]:
        for one, two in zip(found[0], other, strict=True):
            np.testing.assert_array_equal(one, two)


@pytest.mark.parametrize("lateral", ["insulating", "periodic"])
@pytest.mark.parametrize(("dimension", "cell"), CELLS)
def test_the_compiled_pattern_is_the_sorted_one(dimension, cell, lateral):
    """Also where one cell spans a period and holds a dof twice."""
    for cells, order in ((1, 1), (3, 2)):
        space = box(dimension, cell, cells, order, lateral if dimension > 1 else "insulating")
        one = pattern.sorted_pattern(space.dofs, space.n_dofs)
        two = pattern.compiled_pattern(space.dofs, space.n_dofs)
        for key in ("indptr", "indices", "slots"):
            np.testing.assert_array_equal(getattr(one, key), getattr(two, key))


def test_refilled_blocks_are_those_assembled_anew(monkeypatch):
    """Only relaxation, precession and drift differ; then nothing but the mass is multiplied."""
    space, c = box(3, "tet", 3, 2), unit_coefficients()
    monkeypatch.setattr(assembly, "pays_off", lambda _: True)
    kept = assembly.prepare_refill(space, "F", c)
    moved = replace(c, relaxation=2 * c.relaxation, omega=-c.omega, drift=c.drift[:, ::-1])
    assert assembly.differ_in_reaction_only(kept.coefficients, moved)
    for other in (replace(c, theta=2 * c.theta), replace(c, gauge=2 * c.gauge)):
        assert not assembly.differ_in_reaction_only(kept.coefficients, other)
    again = assembly.refilled_region(space, "F", moved, kept)
    anew = assemble_region(space, "F", moved)
    for one, two in ((again.values, anew.values), (again.load, anew.load)):
        np.testing.assert_allclose(one, two, atol=1e-13 * np.abs(two).max(), rtol=0)


def test_a_problem_refills_a_region_whose_moments_turned(monkeypatch):
    """The third solution comes from refilled blocks and is that of a new problem."""
    from test_solvers import device

    monkeypatch.setattr("femspin.transport.system.pays_off", lambda _: True)
    found = device("tet", 1, 20, hall=0.0)
    fields = found.fields(found.direction)
    found.problem.solve(fields)
    found.problem.solve(
        {n: replace(f, omega=np.array([1e12, 0.0, 0.0])) for n, f in fields.items()}
    )
    assert not found.problem._refills
    turned = {n: replace(f, omega=np.array([0.0, 3e12, 1e12])) for n, f in fields.items()}
    again = found.problem.solve(turned)
    assert set(found.problem._refills) == set(fields)
    anew = device("tet", 1, 20, hall=0.0).problem.solve(turned)
    np.testing.assert_allclose(again.mu, anew.mu, atol=1e-10 * np.abs(anew.mu).max())


@pytest.mark.parametrize(("dimension", "cell"), CELLS)
def test_compiled_volumes_are_those_of_the_cells(dimension, cell):
    space = box(dimension, cell, 3, 1)
    np.testing.assert_allclose(compiled.measures_compiled(space), space.measures, rtol=1e-13)
