"""The compiled route of the assembly against its twin in numpy."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import scipy.sparse as sp
from test_covariant import shaken_box
from test_transport import CELLS, box, unit_coefficients

from femspin.fields.soc import covariant_rotation
from femspin.transport.assembly import compiled
from femspin.transport.assembly import regions as assembly
from femspin.transport.assembly.coefficients import block_tensors
from femspin.transport.assembly.compiled import between_jets
from femspin.transport.assembly.kronecker import KroneckerBlocks, split_tensors
from femspin.transport.assembly.products import add_charge, add_difference, region_parts
from femspin.transport.assembly.regions import apply_region, assemble_region
from femspin.transport.elements import pattern

pytest.importorskip("numba")

PAYS_OFF = assembly.pays_off


def per_cell(space, c):
    """Return coefficients whose Theta, relaxation and drift differ from cell to cell."""
    rng, n = np.random.default_rng(5), len(space.in_region("F"))
    return replace(
        c,
        theta=c.theta + 0.1 * rng.normal(size=(n, 1, 12, 12)),
        relaxation=c.relaxation + 0.1 * rng.normal(size=(n, 1, 3, 3)),
        omega=c.omega + rng.normal(size=(n, 1, 3)),
        drift=c.drift + rng.normal(size=(n, 1, 3, 4)),
    )


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


# From how many cells per shape on the forms of congruent cells are made once.
SHARED = {"forms of every shape": 0, "forms of every cell": 10**9}


@pytest.mark.parametrize("shared", SHARED)
@pytest.mark.parametrize(("dimension", "cell"), CELLS)
@pytest.mark.parametrize("order", [1, 2, 3])
def test_compiled_assembly_equals_the_one_in_numpy(dimension, cell, order, shared, monkeypatch):
    monkeypatch.setattr(compiled, "_CELLS_PER_SHAPE", SHARED[shared])
    space = box(dimension, cell, 2, order)
    assert space.affine
    for c in (unit_coefficients(), per_cell(space, unit_coefficients())):
        for slow, fast in zip(*both_routes(space, c, monkeypatch), strict=True):
            np.testing.assert_allclose(fast, slow, atol=1e-13 * np.abs(slow).max(), rtol=0)
        monkeypatch.setattr(assembly, "pays_off", PAYS_OFF)


@pytest.mark.parametrize("shared", SHARED)
@pytest.mark.parametrize(("dimension", "cell"), [(2, "tri"), (3, "tet")])
def test_compiled_assembly_is_right_on_unstructured_simplices(dimension, cell, shared, monkeypatch):
    monkeypatch.setattr(compiled, "_CELLS_PER_SHAPE", SHARED[shared])
    for order in (1, 2):
        space = shaken_box(dimension, cell, 3, order)
        for slow, fast in zip(*both_routes(space, unit_coefficients(), monkeypatch), strict=True):
            np.testing.assert_allclose(fast, slow, atol=1e-13 * np.abs(slow).max(), rtol=0)
        monkeypatch.setattr(assembly, "pays_off", PAYS_OFF)


def test_bent_cells_take_the_route_with_quadrature():
    """A shaken quad or hex is no affine image of the reference cell."""
    assert box(3, "hex", 3, 1).affine
    for dimension, cell in ((2, "quad"), (3, "hex")):
        space = shaken_box(dimension, cell, 3, 1)
        assert not space.affine
        assert not compiled.pays_off(space)


@pytest.mark.parametrize("make", [box, shaken_box])
@pytest.mark.parametrize("order", [1, 2])
def test_sums_do_not_depend_on_the_number_of_threads(order, make, monkeypatch):
    """Bit by bit: every row is summed by one thread in the order of the cells."""
    c = unit_coefficients()
    monkeypatch.setattr(assembly, "pays_off", lambda _: True)
    monkeypatch.setattr("femspin.transport.kernels.threads._WORTH_THREADS", 0)
    found = []
    for threads in ("1", "2", "5"):
        monkeypatch.setenv("OMP_NUM_THREADS", threads)
        found.append(results(make(3, "tet", 4, order), c))  # anew: matrices are kept
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
        for key in ("indptr", "indices", "offsets"):
            np.testing.assert_array_equal(getattr(one, key), getattr(two, key))
        columns = one.indices[one.slots()].reshape(len(space.dofs), -1, space.dofs.shape[1])
        np.testing.assert_array_equal(columns[:, 0], space.dofs)


@pytest.mark.parametrize(("dimension", "cell"), CELLS)
@pytest.mark.parametrize("order", [1, 2])
def test_sums_of_scalar_matrices_multiply_like_the_blocks(dimension, cell, order, monkeypatch):
    """Also for a Theta that stretches and shears diffusion, which has more scalar matrices."""
    space, rng = box(dimension, cell, 2, order), np.random.default_rng(4)
    monkeypatch.setattr(assembly, "pays_off", lambda _: True)
    skewed = unit_coefficients().theta + 0.1 * rng.normal(size=(12, 12))
    x, low = rng.normal(size=(2, space.n_dofs, 4))
    for c in (unit_coefficients(), replace(unit_coefficients(), theta=skewed)):
        blocks = assemble_region(space, "F", c)
        assert isinstance(blocks, KroneckerBlocks)
        shape = (space.size, space.size)
        pattern = space.pattern
        whole = sp.bsr_array((blocks.values, pattern.indices, pattern.indptr), shape=shape)
        size = np.abs(blocks.values).max()
        charge, spin = x.copy(), x.copy()
        charge[:, 1:], spin[:, 0] = 0, 0
        found = {n: np.zeros((space.n_dofs, 4)) for n in ("A", "AT", "CT")}
        coupled, spins = np.zeros(space.n_dofs), np.zeros((len(pattern.indices), 3, 3))
        charges = np.zeros(len(pattern.indices))
        for part in region_parts(pattern, blocks):
            part.multiply(x, found["A"])
            part.multiply_transposed(x, found["AT"])
            part.couple(x, coupled)
            part.couple_transposed(x[:, 0].copy(), found["CT"])
            part.add_spin(spins)
        add_charge(blocks, charges)
        for one, two in (
            (found["A"], whole @ x.ravel()),
            (found["AT"], whole.T @ x.ravel()),
            (coupled, (whole @ spin.ravel())[::4]),
            (found["CT"][:, 1:], (whole.T @ charge.ravel()).reshape(-1, 4)[:, 1:]),
            (spins, blocks.values[:, 1:, 1:]),
            (charges, blocks.values[:, 0, 0]),
        ):
            np.testing.assert_allclose(one, two.reshape(one.shape), atol=1e-13 * size, rtol=0)
        out = np.zeros((space.n_dofs, 4))
        add_difference(blocks, x, 1e-9 * low, out)
        by_cells = apply_region(space, "F", c, x, 1e-9 * low)
        np.testing.assert_allclose(out - blocks.load, by_cells, atol=1e-12 * size, rtol=0)


def test_isotropic_diffusion_takes_two_scalar_matrices_and_one_for_each_gauge_field():
    c = unit_coefficients()

    def keys(c):
        tensors = between_jets(3, block_tensors(c, (0, 1, 2)).matrix)[0]
        return [[form.key for form, _ in terms] for terms in split_tensors(tensors)]

    still = replace(c, theta=np.eye(12), gauge=np.zeros((3, 3)), rotation=np.zeros((3, 4, 4)))
    assert keys(still) == [[("stiffness",), ("mass",)], []]
    along_x = covariant_rotation(np.diag([1.0, 0.0, 0.0]))
    assert keys(replace(still, rotation=along_x)) == [[("stiffness",), ("gauge", 0), ("mass",)], []]
    turned = np.eye(12).reshape(3, 4, 3, 4)
    turned[0, :, 1, :], turned[1, :, 0, :] = 0.1, -0.1
    assert keys(replace(still, theta=turned.reshape(12, 12))) == [
        [("stiffness",), ("mass",)],
        [("turn", 0, 1)],
    ]


def test_differences_leave_no_residual_of_a_large_constant_potential(monkeypatch):
    """The stored blocks leave the round-off of their largest entry times the constant."""
    space = shaken_box(3, "tet", 4, 1)
    monkeypatch.setattr(assembly, "pays_off", lambda _: True)
    c = replace(
        unit_coefficients(),
        relaxation=np.zeros((3, 3)),
        omega=np.zeros(3),
        gauge=np.zeros((3, 3)),
        rotation=np.zeros((3, 4, 4)),
    )
    blocks = assemble_region(space, "F", c)
    out = np.zeros((space.n_dofs, 4))
    add_difference(blocks, np.full((space.n_dofs, 4), 1e6), np.zeros((space.n_dofs, 4)), out)
    assert not out.any()


def test_scalar_matrices_are_kept_while_coefficients_change(monkeypatch):
    """And the blocks of new coefficients are those of a space that has kept nothing."""
    c = unit_coefficients()
    monkeypatch.setattr(assembly, "pays_off", lambda _: True)
    moved = replace(c, relaxation=2 * c.relaxation, omega=-c.omega, drift=c.drift[:, ::-1])
    still = replace(c, gauge=np.zeros((3, 3)), rotation=np.zeros((3, 4, 4)))
    space = box(3, "tet", 3, 2)
    first = assemble_region(space, "F", c)
    for other in (moved, still, replace(c, theta=c.theta + 0.3 * np.eye(12)[::-1])):
        again = assemble_region(space, "F", other)
        anew = assemble_region(box(3, "tet", 3, 2), "F", other)
        for one, two in ((again.values, anew.values), (again.load, anew.load)):
            np.testing.assert_allclose(one, two, atol=1e-13 * np.abs(two).max(), rtol=0)
        if other is moved:
            assert all(a[0] is b[0] for a, b in zip(first.parts, again.parts, strict=True))


@pytest.mark.parametrize(("dimension", "cell"), CELLS)
def test_compiled_volumes_are_those_of_the_cells(dimension, cell):
    space = box(dimension, cell, 3, 1)
    np.testing.assert_allclose(compiled.measures_compiled(space), space.measures, rtol=1e-13)
