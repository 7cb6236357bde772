"""Singular edges of devices in space, and error bars of currents and voltages there."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from test_structure import gmsh_file

from femspin import build_device, case_from_table
from femspin.device.observables.mesh import discretised_numbers
from femspin.device.observables.quantity import flat_numbers
from femspin.device.steady import solve_transport
from femspin.structure import edges
from femspin.structure.edges import graded_to_edges, singular_edges
from femspin.studies.accuracy import error_bars
from femspin.studies.accuracy.error_bars import error_bars as bars_of

PT = {
    "kind": "HM",
    "conductivity": "5e6 S/m",
    "dos": "2e47 1/(J*m^3)",
    "spin_diffusion_length": "5 nm",
    "spin_hall_angle": 0.1,
}


def corner_mesh(path: Path, recombine: bool) -> Path:
    """Three cubes of 10 nm around a vertical edge that the conductor fills to three quarters."""
    with gmsh_file(path) as gmsh:
        volumes = _hexahedra(gmsh) if recombine else _tetrahedra(gmsh)
        gmsh.model.addPhysicalGroup(3, volumes, name="Pt")
        for name, axis in (("right", 0), ("back", 1)):
            found = [f[1] for f in gmsh.model.getEntities(2) if _lowest(gmsh, f)[axis] > 19]
            gmsh.model.addPhysicalGroup(2, found, name=name)
        gmsh.model.mesh.generate(3)
    return path


def _tetrahedra(gmsh) -> list[int]:
    occ = gmsh.model.occ
    boxes = [(3, occ.addBox(0, 0, 0, *size)) for size in ((20, 10, 10), (10, 20, 10))]
    volumes = occ.fuse(boxes[:1], boxes[1:])[0]
    occ.synchronize()
    gmsh.option.setNumber("Mesh.MeshSizeMax", 6)
    return [t for _, t in volumes]


def _hexahedra(gmsh) -> list[int]:
    geo = gmsh.model.geo
    base = (0, geo.addPoint(0, 0, 0))
    for shift in ((10, 0, 0), (0, 10, 0)):
        base = geo.extrude([base], *shift, numElements=[2], recombine=True)[1]
    made = geo.extrude([base], 0, 0, 10, numElements=[2], recombine=True)
    geo.synchronize()
    volumes = [made[1][1]]
    for axis, shift in ((0, (10, 0, 0)), (1, (0, 10, 0))):
        side = next(f for f in made[2:] if _lowest(gmsh, f)[axis] > 9)
        volumes.append(geo.extrude([side], *shift, numElements=[2], recombine=True)[1][1])
    geo.synchronize()
    return volumes


def _lowest(gmsh, face) -> tuple[float, ...]:
    return gmsh.model.getBoundingBox(*face)[:3]


def contact_mesh(path: Path, size: float) -> Path:
    """A block of 30 x 12 x 8 nm; a contact covers one end, another a patch inside of the top."""
    with gmsh_file(path) as gmsh:
        occ = gmsh.model.occ
        block, patch = occ.addBox(0, 0, 0, 30, 12, 8), occ.addRectangle(18, 3, 8, 8, 6)
        parts = occ.fragment([(3, block)], [(2, patch)])[1]
        occ.synchronize()
        gmsh.model.addPhysicalGroup(3, [block], name="Pt")
        gmsh.model.addPhysicalGroup(2, [t for _, t in parts[1]], name="patch")
        end = next(t for d, t in gmsh.model.getEntities(2) if gmsh.model.getBoundingBox(d, t)[3] < 1)
        gmsh.model.addPhysicalGroup(2, [end], name="end")
        gmsh.option.setNumber("Mesh.MeshSizeMax", size)
        gmsh.model.mesh.generate(3)
    return path


def device_of(path: Path, first: str, second: str, **solver):
    return build_device(
        case_from_table(
            {
                "mesh": {"file": str(path)},
                "regions": {"Pt": PT},
                "solver": solver,
                "drive": {
                    "electrodes": {first: {"voltage": "2 mV"}, second: {"voltage": "0 V", "spin": "sink"}}
                },
            }
        )
    )


def found_in(device):
    """Return lengths [nm] and exponents of the singular edges of a device."""
    held = [e.name for e in device.problem.boundary.electrodes]
    ends, exponents = singular_edges(device.structure, device.conductors, held)
    points = device.structure.mesh.p
    return np.linalg.norm(points[:, ends[1]] - points[:, ends[0]], axis=0), exponents


@pytest.mark.parametrize("recombine", [False, True])
def test_reentrant_edge_has_two_thirds_in_tetrahedra_and_hexahedra(recombine, tmp_path):
    """Three quarters of a turn between insulating sides; electrodes on whole ends are smooth."""
    device = device_of(corner_mesh(tmp_path / "corner.msh", recombine), "right", "back")
    assert device.structure.mesh.t.shape[0] == (8 if recombine else 4)
    lengths, exponents = found_in(device)
    assert lengths.sum() == pytest.approx(10, rel=1e-9)
    np.testing.assert_allclose(exponents, 2 / 3, rtol=1e-9)


def test_a_contact_that_ends_on_a_face_has_one_half_all_around(tmp_path):
    device = device_of(contact_mesh(tmp_path / "contact.msh", 6), "end", "patch")
    lengths, exponents = found_in(device)
    assert lengths.sum() == pytest.approx(2 * (8 + 6), rel=1e-9)
    np.testing.assert_allclose(exponents, 0.5, rtol=1e-9)
    held = [e.name for e in device.problem.boundary.electrodes]
    finer = graded_to_edges(device.structure, device.conductors, held, 2)
    ends, _ = singular_edges(finer, device.conductors, held)
    assert ends.shape[1] == 4 * len(lengths)


@pytest.mark.parametrize("cell", ["hex", "tet"])
def test_layers_between_whole_contacts_have_no_singular_edges(cell):
    layers = [{"region": r, "thickness": "4 nm", "cells": 2} for r in ("Pt", "Cu")]
    device = build_device(
        case_from_table(
            {
                "structure": {
                    "dimension": 3,
                    "cell": cell,
                    "lateral": "insulating",
                    "width": "8 nm",
                    "depth": "6 nm",
                    "cells_x": 3,
                    "cells_y": 2,
                    "layers": layers,
                },
                "regions": {"Pt": PT, "Cu": {**PT, "conductivity": "5e7 S/m"}},
                "drive": {"electrodes": {"left": {"voltage": "1 mV"}, "right": {"voltage": "0 V"}}},
            }
        )
    )
    assert found_in(device)[1].size == 0


@pytest.mark.parametrize("contrast", [1.0, 6.0, 100.0])
def test_exponents_where_metals_meet_are_those_of_the_worst_case(contrast):
    """Two right angles: smooth between sides of one kind, tan^2(lambda pi/2) between two kinds.

    The theory for sides of different kind is tan(lambda a) tan(lambda b) = sigma_2/sigma_1.
    """
    quarter = np.pi / 2
    angles = np.array([[quarter, quarter], [quarter, quarter], [2 * quarter, 2 * quarter]])
    held, free = np.array([False, True, False]), np.array([True, True, False])
    found = edges._exponents(angles, held, free, contrast)
    assert found[0] == pytest.approx(1)
    assert np.tan(found[1] * quarter) ** 2 == pytest.approx(1 / contrast)
    assert found[2] == pytest.approx(1)  # a flat interface inside


@pytest.mark.parametrize("exponent", [0.5, 2 / 3])
@pytest.mark.parametrize("smooth", [0.0, -0.4, -0.65, 0.3])
def test_errors_at_edges_show_though_others_cancel_them(exponent, smooth):
    """Errors c h^2l p^-4l and a smooth one that orders above 2 lack: the bar is no smaller."""
    s = 4 * exponent
    edge = {p: p**-s for p in (1, 2, 3)}
    value = edge[2] + smooth * edge[2]
    tables = error_bars._Tables(
        value,
        edge[3],
        coarse=5.0,
        edges=(edge[1] + 7, edge[1] * 2 ** (-0.5 * s) + 7),
        edge_share=3.0**-s / (1 - 2 ** (-0.5 * s)),
        edge_tail=1 / (1 - (2 / 3) ** s),
    )
    bar = float(error_bars._discretisation(np.array(value), tables))
    assert abs(value) <= bar
    assert abs(value) > abs(value - edge[3])  # two orders alone are not enough


@pytest.mark.slow
@pytest.mark.parametrize("size", [8.0, 5.0])
def test_bars_cover_currents_of_a_contact_that_ends_on_a_face(size, tmp_path):
    """Within the bars of order 3 on a mesh graded twice, what that lacks by lambda = 1/2 added.

    An error that falls like h, halved from one halving to the next, leaves at most the last
    change.  The bar is not larger than five times the error of the current either.
    """
    device = device_of(contact_mesh(tmp_path / "contact.msh", size), "end", "patch")
    transport = solve_transport(device, device.direction)
    bars = bars_of(device, transport)
    held = [e.name for e in device.problem.boundary.electrodes]
    found = []
    for levels in (1, 2):
        finer = graded_to_edges(device.structure, device.conductors, held, levels)
        better = build_device(device.case, None, finer, 3, device.problem.options.elements)
        judge = solve_transport(better, device.direction, rough=True)
        found.append(flat_numbers(discretised_numbers(better, judge)))
    errors = flat_numbers(bars.table)
    names = [n for n in errors if n.startswith(("electrodes", "interfaces.patch.spin_current"))]
    assert len(names) == 7
    for name in names:
        truth = 2 * found[1][name] - found[0][name]
        unsure = 0.5 * abs(truth - found[1][name])
        assert abs(bars.numbers[name] - truth) <= errors[name] + unsure, name
    name = "electrodes.patch.current"
    truth = 2 * found[1][name] - found[0][name]
    assert errors[name] <= 5 * abs(bars.numbers[name] - truth)
