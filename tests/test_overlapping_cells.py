"""Cells on top of each other are refused, whatever the mesh; meshes with holes and bends pass."""

from __future__ import annotations

import numpy as np
import pytest
from test_default_mesh import table

from femspin import case_from_table, simulate
from femspin.device.observables import stack as stack_method
from femspin.errors import MeshError, SolverError
from femspin.interface import currents as report
from femspin.simulation import solve_point
from femspin.structure import entities
from femspin.structure.overlap import require_no_overlap
from femspin.studies.sweep.stacks import stack_tables

KINDS = ("MeshTri1", "MeshQuad1", "MeshTet1", "MeshHex1")


def block(kind: str, n: int = 4):
    """Return points and cells of a unit block."""
    mesh_type = getattr(entities, kind)
    x = np.linspace(0, 1, n + 1)
    mesh = mesh_type.init_tensor(*[x] * (2 if kind in KINDS[:2] else 3))
    return mesh.p.copy(), mesh.t.copy()


def check(kind: str, points, cells) -> None:
    cells = np.ascontiguousarray(cells)
    require_no_overlap(getattr(entities, kind)(np.ascontiguousarray(points), cells), "a.msh")


def bent(points, angle: float):
    """Return a block as an arc around the last axis, of radius 1 to 2."""
    turn, radius = angle * points[0], 1 + points[1]
    return np.array([radius * np.cos(turn), radius * np.sin(turn), *points[2:]])


@pytest.mark.parametrize("kind", KINDS)
def test_one_point_moved_into_another_cell_is_a_fold(kind):
    points, cells = block(kind)
    inner = np.flatnonzero(np.all(np.abs(points - 0.5) < 0.3, axis=0))[0]
    check(kind, points, cells)
    points[0, inner] += 0.1  # less than a cell: still one on one
    check(kind, points, cells)
    points[0, inner] += 0.35
    with pytest.raises(MeshError, match="overlap"):
        check(kind, points, cells)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("shift", [0.13, 0.5])
def test_two_patches_in_one_place_are_refused_though_each_is_good(kind, shift):
    points, cells = block(kind)
    moved = points + shift * np.array([1.0, 0.3, 0.1])[: len(points), None]
    both = np.hstack([points, moved])
    with pytest.raises(MeshError, match="overlap"):
        check(kind, both, np.hstack([cells, cells + points.shape[1]]))
    check(kind, np.hstack([points, points + 1.01]), np.hstack([cells, cells + points.shape[1]]))


@pytest.mark.parametrize("kind", KINDS)
def test_bars_that_cross_are_refused_though_no_corner_lies_in_the_other(kind):
    points, cells = block(kind)
    long = np.array([10.0, 1.0, 1.0])[: len(points), None]
    across = np.array([1.0, 10.0, 1.0])[: len(points), None]
    shifted = points * across + np.array([4.3, -4.4, 0.1])[: len(points), None]
    with pytest.raises(MeshError, match="overlap"):
        check(kind, np.hstack([points * long, shifted]), np.hstack([cells, cells + points.shape[1]]))


@pytest.mark.parametrize("kind", KINDS)
def test_an_arc_beyond_a_full_turn_is_refused_and_one_below_is_not(kind):
    """Every cell and facet of the long one is good: only the whole overlaps."""
    points, cells = block(kind, 6)
    check(kind, bent(points, 1.6 * np.pi), cells)
    with pytest.raises(MeshError, match="overlap"):
        check(kind, bent(points, 2.2 * np.pi), cells)


def test_a_facet_with_three_cells_is_refused():
    points = np.array([[0.0, 1, 0, 1, 0.3], [0, 0, 1, 1, -0.8]])
    cells = np.array([[0, 1, 1], [1, 2, 2], [2, 3, 4]])
    with pytest.raises(MeshError, match=r"1 facets of 'a\.msh' have more than two cells"):
        check("MeshTri1", points, cells)


def test_a_quadrilateral_whose_corner_is_turned_in_is_refused():
    points = np.array([[0.0, 1, 0.2, 0], [0, 0, 0.2, 1]])
    with pytest.raises(MeshError, match="turned over"):
        check("MeshQuad1", points, np.arange(4)[:, None])


def test_mixed_orientation_and_flat_cells_are_no_overlap():
    points, cells = block("MeshTri1")
    cells[:2, ::2] = cells[1::-1, ::2]
    check("MeshTri1", points, cells)
    check("MeshTri1", points * np.array([[1e4], [1.0]]), cells)
    points, cells = block("MeshTet1")
    check("MeshTet1", points * np.array([[1e3], [1e3], [0.1]]), cells)


def test_a_ring_with_a_hole_is_no_overlap():
    points, cells = block("MeshQuad1", 8)
    ring = bent(points, 2 * np.pi)
    last = np.isclose(points[0], 1.0)
    first = {y: k for k, (x, y) in enumerate(points.T) if x == 0}
    same = np.arange(points.shape[1])
    same[last] = [first[y] for y in points[1, last]]
    check("MeshQuad1", ring, same[cells])


# ----------------------------------------------------------------------------------- balance
MODES = {
    "steady": {},
    "steady, two dimensions": {"structure": {"dimension": 2, "width": "4 nm", "cells_x": 2}},
    "frequency": {"frequency": {"angular_frequency": ["1e12 rad/s"]}},
    "transient": {"transient": {"duration": "0.2 ps", "output_interval": "0.1 ps"}},
    "stack": {"solver": {"method": "stack"}},
    "scan of stacks": {"solver": {"method": "stack"}},
}


@pytest.mark.parametrize("mode", MODES)
def test_parts_that_miss_their_sum_by_more_than_a_millionth_are_an_error(mode, monkeypatch):
    """A defect of 1e-5 in one part, of a size that no round-off explains, in every mode."""
    case = table()
    for key, change in MODES[mode].items():
        case[key] = case.get(key, {}) | change
    case = case_from_table(case)
    run = simulate if mode != "scan of stacks" else lambda c, **_: stack_tables([c], solve_point)[0]()
    run(case, errors=False)

    def wrong(parts):
        key = max(set(parts) - {"moments"}, key=lambda k: np.abs(parts[k]).max())
        return parts | {key: parts[key] * (1 + 1e-5)}

    def balanced(name, area, flux, source, parts, noise=0.0):
        return right(name, area, flux, source, wrong(parts), noise)

    right = report.balanced
    monkeypatch.setattr(report, "balanced", balanced)
    monkeypatch.setattr(stack_method, "balanced", balanced)
    with pytest.raises(SolverError, match=r"current at HM\|F miss it by 1\.0e-05 of"):
        run(case, errors=False)


def test_round_off_where_no_spin_flows_is_no_balance_defect():
    """Insulated layers without spin Hall effect: all parts are round-off of nothing."""
    case = table()
    case["regions"]["HM"]["spin_hall_angle"] = 0.0
    for method in ("auto", "stack"):
        case["solver"] = {"method": method}
        simulate(case_from_table(case), errors=False)


def test_round_off_behind_hundreds_of_decay_lengths_is_no_balance_defect():
    case = table()
    case["structure"]["layers"][0]["thickness"] = "2 um"
    case["structure"]["layers"].append({"region": "F2", "thickness": "1 nm"})
    case["structure"]["layers"][1]["thickness"] = "200 nm"
    case["regions"]["F2"] = case["regions"]["F"]
    for method in ("auto", "stack"):
        case["solver"] = {"method": method}
        simulate(case_from_table(case), errors=False)


def test_what_is_left_long_after_the_drive_is_off_is_balanced():
    """After 100 relaxation times nothing is left but exp(-100)."""
    case = table(transient={"drive": "off", "duration": "3 ps", "output_interval": "0.3 ps"})
    simulate(case_from_table(case), errors=False)
