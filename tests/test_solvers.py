"""The linear solvers: a stress set, the chain of fallbacks, products and preconditioners."""

from __future__ import annotations

import logging
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import scipy.sparse as sp
from marks import slow
from test_transport import box

from femspin import build_device, case_from_table
from femspin.device.steady import solve_transport
from femspin.errors import SolverError
from femspin.transport.assembly.boundary import on_pattern
from femspin.transport.assembly.operator import BlockOperator
from femspin.transport.linear import solve as solvers
from femspin.transport.linear.auxiliary import auxiliary, linear_stiffness, without_positive_couplings
from femspin.transport.linear.ilu import BlockILU
from femspin.transport.linear.krylov import flexible_gmres
from femspin.transport.linear.memory import estimated_bytes
from femspin.transport.linear.preconditioner import BlockSplit, MatrixSplit

pytest.importorskip("numba")

D = 1e-4  # m^2/s
TURN = np.array([[0, 1, 0], [-1, 0, 0.5], [0.3, 0, 0]])


def region(length: float, precession=0.0, hall=0.05, gauge=0.0, polarisation=0.0, uneven=False):
    """Return a region with a decay length [nm], omega tau, Hall angle and gauge field [1/nm]."""
    rate = D / (length * 1e-9) ** 2
    relaxation = rate * np.diag([1, 1, 2.0 if uneven else 1.0])
    return {
        "kind": "F",
        "dos": "1e47 1/(J*m**3)",
        "diffusion_constant": f"{D!r} m**2/s",
        "theta_mode": "exact",
        "polarisation": [polarisation, 0.0, 0.3 * polarisation],
        "override": {
            "gauge": [[f"{x!r} 1/nm" for x in row] for row in (gauge * TURN).tolist()],
            "omega": [f"{precession * rate * x!r} 1/s" for x in (0.6, 0.0, 0.8)],
            "relaxation": [[f"{x!r} 1/s" for x in row] for row in relaxation.tolist()],
            "hall_angles": [0.1 * hall, 0.0, hall],
            "larmor_angles": [0.0, 0.0, 0.0],
            "spin_hall_angles": [[0.0, hall, 0.0], [-hall, 0.0, 0.0], [0.0, 0.0, 0.5 * hall]],
        },
    }


def device(cell, order, width, lengths=(10, 1, 5), gauge=0.0, n=8, method="iterative", **kind):
    """Return a film of three layers between electrodes, with flat cells if it is wide."""
    heights = {"A": (5, 8), "B": (1, 10), "C": (10, 8)}
    regions = {
        name: region(length, gauge=gauge * n / width, uneven=name == "B", **kind)
        for name, length in zip(heights, lengths, strict=True)
    }
    layers = [
        {"region": name, "thickness": f"{t} nm", "cells": c // order} for name, (t, c) in heights.items()
    ]
    size = {"width": f"{width} nm", "depth": f"{width} nm", "cells_x": n // order, "cells_y": n // order}
    return build_device(
        case_from_table(
            {
                "structure": {
                    "dimension": 3,
                    "cell": cell,
                    "lateral": "insulating",
                    "layers": layers,
                    **size,
                },
                "regions": regions,
                "drive": {"electrodes": {"left": {"voltage": "2 mV"}, "right": {"voltage": "0 V"}}},
                "solver": {"order": order, "method": method, "elements": "plain", "error_bars": False},
            }
        )
    )


STRESS = {
    "lengths of 0.1 to 100 nm on one mesh": {"lengths": (100, 0.1, 10)},
    "spin that hardly relaxes": {"lengths": (100, 100, 100)},
    "spin that relaxes within a cell": {"lengths": (0.1, 0.1, 0.1)},
    "precession of 50 rad": {"precession": 50.0},
    "Hall angles of 1": {"hall": 1.0},
    "a turn of 1 rad per cell": {"gauge": 1.0},
    "everything": {
        "lengths": (100, 0.1, 10),
        "precession": 50.0,
        "hall": 1.0,
        "gauge": 1.0,
        "polarisation": 0.5,
    },
    "everything, hardly relaxing": {
        "lengths": (100, 30, 100),
        "precession": 50.0,
        "hall": 1.0,
        "gauge": 1.0,
        "polarisation": 0.5,
    },
}


QUICK = [
    ("tet", 1, "lengths of 0.1 to 100 nm on one mesh"),
    ("tet", 1, "a turn of 1 rad per cell"),
    ("tet", 1, "everything"),
    ("tet", 1, "everything, hardly relaxing"),
    ("hex", 2, "everything, hardly relaxing"),
]


@pytest.mark.parametrize(
    ("cell", "order", "width", "name"),
    [
        (cell, order, width, name) if (cell, order, name) in QUICK else slow(cell, order, width, name)
        for cell, order, width in (("tet", 1, 160), ("tet", 2, 160), ("hex", 1, 160), ("hex", 2, 20))
        for name in STRESS
    ],
)
def test_the_chain_of_solvers_reaches_a_true_residual_of_1e_10(name, cell, order, width):
    """With electrodes, on cells up to 200 times wider than high; the residual is cell by cell."""
    found = device(cell, order, width, **STRESS[name])
    report = solve_transport(found, found.direction).state.report
    assert report.method == "iterative"
    assert report.residual < 1e-10


def test_iterations_do_not_grow_with_the_mesh():
    """Twice the cells along every edge: as many iterations, give or take one in five."""
    counts = []
    for n in (8, 16):
        found = device("tet", 1, 40, n=n)
        counts.append(solve_transport(found, found.direction).state.report.iterations)
    assert counts[1] <= 1.2 * counts[0] + 1


def test_a_failed_iteration_falls_back_to_the_next_solver_and_says_so(monkeypatch, caplog):
    monkeypatch.setattr(solvers, "_PATIENCE", 1)
    monkeypatch.setattr(solvers, "_DIRECT_LIMIT", dict.fromkeys((1, 2, 3), 0))
    found = device("tet", 1, 40, method="auto")
    with caplog.at_level(logging.WARNING, logger="femspin"):
        report = solve_transport(found, found.direction).state.report
    assert "did not converge in 1 iterations; now: flexible GMRES" in caplog.text
    assert "did not converge in 1 iterations; then flexible GMRES" in report.choice
    assert report.residual < 1e-10


def test_the_last_resort_is_direct(monkeypatch):
    monkeypatch.setattr(solvers, "_DIRECT_LIMIT", dict.fromkeys((1, 2, 3), 0))
    monkeypatch.setattr(solvers, "_SHIFTS", ())
    found = device("tet", 1, 40, method="auto")
    report = solve_transport(found, found.direction).state.report
    assert report.method == "direct"
    monkeypatch.setattr(solvers, "DIRECT_RESORT", dict.fromkeys((1, 2, 3), 0))
    found = device("tet", 1, 40, method="auto")
    with pytest.raises(SolverError, match="no solver could be prepared"):
        solve_transport(found, found.direction)


def test_factors_serve_while_the_magnetization_turns_and_are_made_anew_when_they_fail(monkeypatch):
    found = device("tet", 1, 40)
    made = []
    real = BlockSplit.__init__
    monkeypatch.setattr(BlockSplit, "__init__", lambda *a: made.append(1) or real(*a))
    fields = found.fields(found.direction)
    found.problem.solve(fields)
    assert made == [1]
    for k, strength in enumerate((1e11, 1e18)):  # small, then 1e6 times the rate
        turned = {n: replace(f, omega=f.omega + strength) for n, f in fields.items()}
        report = found.problem.solve(turned).report
        assert report.residual < 1e-10
        assert len(made) == 1 + k


def block_operator(cell="tet", order=1):
    """Return the operator of a small film, with the problem."""
    found = device(cell, order, 20, hall=0.5, gauge=0.5, precession=3.0)
    problem = found.problem
    fields = found.fields(found.direction)
    scaled = problem.scaled(fields)
    blocks = {name: problem._region(name, fields[name], scaled[name]) for name in fields}
    faces, _ = problem._faces(found.laws(found.direction))
    return BlockOperator(found.space, blocks, faces, problem.constraint), scaled


def test_products_by_blocks_equal_those_of_the_matrix():
    operator, _ = block_operator()
    x = np.random.default_rng(1).normal(size=operator.shape[0])
    for found, matrix in (
        (operator.multiply(x), operator.matrix),
        (operator.multiply_transposed(x), operator.matrix.T),
    ):
        expected = matrix @ x
        np.testing.assert_allclose(found, expected, atol=1e-13 * np.abs(expected).max())


@pytest.mark.parametrize("one_to_one", [True, False])
def test_blocks_are_reduced_to_the_unknowns_alike_every_time(one_to_one):
    operator, _ = block_operator()
    space, constraint = operator.space, operator.constraint
    if not one_to_one:  # two charge potentials are one unknown, as at a floating electrode
        unknown = constraint.unknown.copy()
        unknown[unknown == 8] = 4
        constraint = replace(constraint, unknown=unknown)
    rng = np.random.default_rng(3)
    for density in (1.0, 0.4):  # of entries that are not zero: other zeros, the same pattern
        values = rng.normal(size=(len(space.pattern.indices), 4, 4))
        values *= rng.random(values.shape) < density
        found = constraint.reduce_blocks(space, values)
        expected = constraint.reduce(on_pattern(space, values).tocsr())
        np.testing.assert_array_equal(found.toarray(), expected.toarray())
    assert constraint.one_to_one == one_to_one


def test_products_without_numba_are_the_same(monkeypatch):
    operator, _ = block_operator()
    x = np.random.default_rng(1).normal(size=operator.shape[0])
    fast = operator.multiply(x), operator.multiply_transposed(x)
    monkeypatch.setattr("femspin.transport.assembly.operator.compiled_available", lambda: False)
    slow = operator.multiply(x), operator.multiply_transposed(x)
    for a, b in zip(fast, slow, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-13 * np.abs(b).max())


@pytest.mark.parametrize(("cell", "order"), [("tet", 1), ("hex", 2)])
@pytest.mark.parametrize("kind", ["blocks", "matrix"])
def test_the_transposed_preconditioner_is_the_transposed_one(cell, order, kind):
    """The scalar y . M x is x . M^T y, to the single precision of the factors."""
    operator, scaled = block_operator(cell, order)
    split = (
        BlockSplit(operator, auxiliary(operator.space, scaled))
        if kind == "blocks"
        else MatrixSplit(operator.matrix, operator.constraint.charge, None)
    )
    x, y = np.random.default_rng(3).normal(size=(2, operator.shape[0]))
    one, two = y @ split.solve(x), x @ split.solve_transposed(y)
    scale = np.linalg.norm(y) * np.linalg.norm(split.solve(x))
    assert abs(one - two) < 1e-5 * scale


@pytest.mark.parametrize(("dimension", "cell"), [(2, "tri"), (2, "quad"), (3, "tet"), (3, "hex")])
@pytest.mark.parametrize("order", [1, 2, 3])
def test_small_simplices_fill_the_cells_and_have_no_positive_couplings(dimension, cell, order):
    """Linear fields have the energy of their gradient, whatever the cut."""
    space = box(dimension, cell, 2, order)
    matrix = linear_stiffness(space, {"F": 2.0})
    slope = np.array([0.3, -1.2, 0.7])[:dimension]
    values = slope @ space.locations
    volume = np.prod(np.ptp(space.locations, axis=1))
    assert values @ (matrix @ values) == pytest.approx(2.0 * volume * slope @ slope, rel=1e-12)
    outside = matrix - sp.diags_array(matrix.diagonal())
    if cell in ("quad", "hex") or order < 3:
        assert outside.max() <= 1e-12 * matrix.diagonal().max()


def test_lumping_positive_couplings_keeps_row_sums():
    rng = np.random.default_rng(0)
    dense = rng.normal(size=(20, 20))
    lumped = without_positive_couplings(sp.csr_array(dense))
    np.testing.assert_allclose(lumped.sum(axis=1), dense.sum(axis=1), atol=1e-13)
    outside = lumped.toarray() - np.diag(lumped.diagonal())
    assert outside.max() == 0.0


def test_gmres_solves_and_reports_its_residual():
    rng = np.random.default_rng(4)
    matrix = np.eye(60) + 0.1 * rng.normal(size=(60, 60))
    load = rng.normal(size=60)
    x, left, used = flexible_gmres(
        lambda v: matrix @ v, load, None, lambda r: r, 1e-12 * np.linalg.norm(load), 200
    )
    assert used <= 60
    np.testing.assert_allclose(load - matrix @ x, left, atol=1e-14 * np.linalg.norm(load))
    np.testing.assert_allclose(matrix @ x, load, atol=1e-11 * np.abs(load).max())


def test_what_cannot_fit_is_refused_before_it_is_begun(monkeypatch):
    found = device("tet", 1, 40)
    monkeypatch.setattr("femspin.transport.linear.memory._CHECK_FROM", 0)
    monkeypatch.setattr("femspin.transport.linear.memory.available_bytes", lambda: 10**6)
    words = r"\d+ unknowns need about 0\.\d GB more, and 0\.0 GB are available; use fewer cells"
    with pytest.raises(SolverError, match=words):
        solve_transport(found, found.direction)


PEAK = """
import sys
from pathlib import Path
sys.path.insert(0, {here!r})
from test_solvers import device
from femspin.transport.linear.memory import estimated_bytes, resident_bytes, stored_numbers
found = device("tet", 1, 40, n=16)
found.problem.solve(found.fields(found.direction))  # libraries and compiled kernels are there
found = device("tet", 1, 40, n=28)
numbers = stored_numbers(found.space, found.problem.scaled(found.fields(found.direction)))
estimate = resident_bytes() + estimated_bytes(found.space, "iterative", numbers)
found.problem.solve(found.fields(found.direction))
status = Path("/proc/self/status").read_text().splitlines()
peak = [row.split()[1] for row in status if row.startswith("VmHWM:")]
print(estimate, 1024 * int(peak[0]))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_the_peak_is_within_30_percent_of_the_estimate():
    code = PEAK.format(here=str(Path(__file__).parent))
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    estimate, peak = map(int, out.stdout.split())
    assert abs(peak - estimate) < 0.3 * estimate


def test_a_factorisation_cut_in_two_is_that_of_the_two_halves(monkeypatch):
    """What couples the halves is left out, in factors, solutions and transposed ones."""
    operator, _ = block_operator()
    indptr, indices, values = operator.spin_blocks(np.float64)
    n = len(indptr) - 1
    rows = np.repeat(np.arange(n), np.diff(indptr))
    apart = values.copy()
    apart[(rows < n // 2) != (indices < n // 2)] = 0.0
    whole = BlockILU(indptr, indices, apart)
    monkeypatch.setattr("femspin.transport.linear.ilu._CUT_FROM", 0)
    cut = BlockILU(indptr, indices, values.copy())
    r = np.random.default_rng(2).normal(size=3 * n)
    for one, two in ((cut.solve(r), whole.solve(r)), (cut.solve_transposed(r), whole.solve_transposed(r))):
        np.testing.assert_allclose(one, two, atol=1e-13 * np.abs(two).max())


@pytest.mark.parametrize("transposed", [False, True])
def test_right_hand_sides_solved_at_the_same_time_are_those_solved_one_by_one(transposed, monkeypatch):
    """Bit by bit, with any number of threads; a zero column is left out."""
    found = device("tet", 1, 40)
    state = solve_transport(found, found.direction).state
    system = found.problem.system(state)
    loads = np.random.default_rng(3).normal(size=(system.operator.shape[0], 4))
    loads[:, 2] = 0.0
    results = []
    for threads in ("1", "2", "5"):
        monkeypatch.setenv("OMP_NUM_THREADS", threads)
        solver = system.solver.transposed() if transposed else system.solver
        before = solver.iterations
        many = solver.solve_many(loads)
        counted = solver.iterations - before
        before = solver.iterations
        single = [solver.solve(np.ascontiguousarray(x)) for x in loads.T]
        assert counted == solver.iterations - before > 0
        np.testing.assert_array_equal(many, np.stack(single, axis=1))
        results.append(many)
    np.testing.assert_array_equal(results[0], results[1])
    np.testing.assert_array_equal(results[0], results[2])
    product = system.operator.multiply_transposed if transposed else system.operator.multiply
    for load, x in zip(loads.T, results[0].T, strict=True):
        left = np.linalg.norm(load - product(np.ascontiguousarray(x)))
        assert left <= 1e-6 * np.linalg.norm(load) * (1 + 1e-6)


def test_memory_with_error_bars_counts_the_space_of_the_next_order():
    """Slots and dofs of order 3 over those of order 2, for hexahedra and triangles."""
    for cell, dimension in (("hex", 3), ("tri", 2)):
        structure = {
            "dimension": dimension,
            "cell": cell,
            "width": "10 nm",
            "cells_x": 6,
            "layers": [{"region": "A", "thickness": "10 nm", "cells": 6}],
        }
        if dimension == 3:
            structure |= {"depth": "10 nm", "cells_y": 6}
        table = {
            "structure": structure,
            "regions": {"A": region(10)},
            "drive": {"electric_field": ["1e5 V/m", "0 V/m", "0 V/m"]},
        }
        two, three = (build_device(case_from_table(table), order=p).space for p in (2, 3))
        alone = [estimated_bytes(s, "iterative") for s in (two, three)]
        libraries = 1.2e8
        whole = estimated_bytes(two, "iterative", with_bars=True)
        assert whole == pytest.approx(sum(alone) - libraries, rel=0.15)
