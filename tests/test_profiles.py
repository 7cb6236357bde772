"""Profiles are means over the width of a region, whatever its mesh."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
from test_refinement import block
from test_structure import CELLS

from femspin.results.profiles import _SAMPLES, _SLICES, flux_profile, potential_profile
from femspin.structure import refine
from femspin.transport.elements.space import build_space


def of(structure, order: int, field):
    """Return a device and a solution with mu^x = field(points), made of no more than is asked."""
    space = build_space(structure, ("F", "Pt"), order)
    mu = np.zeros((space.n_dofs, 4))
    mu[:, 1] = field(space.locations)
    return SimpleNamespace(space=space), SimpleNamespace(state=SimpleNamespace(mu=mu))


def middle(structure) -> float:
    """Return the middle of the device along x."""
    return float(0.5 * (structure.mesh.p[0].min() + structure.mesh.p[0].max()))


@pytest.mark.parametrize("order", [1, 2])
@pytest.mark.parametrize(("dimension", "cell"), CELLS)
def test_in_layers_the_mean_of_a_linear_field_is_its_value_in_the_middle(dimension, cell, order):
    structure = block(dimension, cell)
    x = structure.mesh.p[0].copy()
    if dimension > 1:  # columns of unequal width: a mean over dofs would be off
        structure.mesh.p[0] = x**2 / x.max()
    device, solved = of(structure, order, lambda p: 2.0 * p[-1] + (p[0] if dimension > 1 else 0))
    expected = 0.0 if dimension == 1 else middle(structure)
    for region in ("F", "Pt"):
        height, mu = potential_profile(device, solved, region)
        assert np.all(np.diff(height) > 0)
        np.testing.assert_allclose(mu[:, 0], 2.0 * height + expected, atol=1e-12 * 20)
        np.testing.assert_array_equal(mu[:, 1:], 0.0)


@pytest.mark.parametrize("order", [1, 2])
@pytest.mark.parametrize(("dimension", "cell"), [(2, "tri"), (3, "tet")])
def test_on_a_mesh_refined_at_a_side_slices_have_the_mean_of_a_field(dimension, cell, order):
    """Scattered points; a mean over dofs would be drawn towards the side."""
    structure = block(dimension, cell)
    for _ in range(3):
        near = structure.mesh.p[0, structure.mesh.t].mean(axis=0) < 0.3 * structure.mesh.p[0].max()
        structure = refine(structure, near)
    width = float(np.ptp(structure.mesh.p[0]))
    device, solved = of(structure, order, lambda p: 2.0 * p[-1] + p[0])
    height, mu = potential_profile(device, solved, "Pt")
    assert len(height) == _SLICES
    found = mu[:, 0] - 2.0 * height
    slice_width = height[1] - height[0]
    # Points scattered at random would leave this in a slice (three standard deviations).
    points = _SAMPLES / _SLICES
    allowed = 3 * np.hypot(width, 2 * slice_width) / np.sqrt(12 * points)
    assert np.abs(found - middle(structure)).max() < allowed
    dofs = np.unique(device.space.dofs[device.space.in_region("Pt")])
    assert abs(device.space.locations[0, dofs].mean() - middle(structure)) > 3 * allowed


@pytest.mark.parametrize("everywhere", [False, True])
def test_the_current_of_a_linear_potential_is_the_same_in_every_layer_or_slice(everywhere):
    from test_transport import unit_coefficients

    structure = block(2, "tri")
    if not everywhere:
        structure = refine(structure, np.arange(3))
    device, solved = of(structure, 1, lambda p: p[-1])
    c = unit_coefficients()
    for name in ("gauge", "relaxation"):
        object.__setattr__(c, name, np.zeros((3, 3)))
    object.__setattr__(c, "rotation", np.zeros((3, 4, 4)))
    solved.state.coefficients = {"Pt": c}
    edges, flux = flux_profile(device, solved, "Pt")
    assert flux.shape == (len(edges) - 1, 3)
    np.testing.assert_allclose(flux, np.broadcast_to(flux[0], flux.shape), rtol=1e-12)
    assert np.abs(flux[0, 0]) > 0
