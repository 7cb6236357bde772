"""Transport with moments in many directions: fields, fast assembly, uniform limit."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy.sparse.linalg import spsolve
from test_transport import CELLS, box, unit_coefficients

from femspin import build_device, case_from_table
from femspin.case.schema import Stack
from femspin.device.coupled.build import exact_texture, textured_transport
from femspin.device.steady import solve_transport, transport_of
from femspin.fields.build import region_fields
from femspin.fields.kondo import mean_spin
from femspin.structure.stack import build_stack
from femspin.transport.assembly.coefficients import Coefficients
from femspin.transport.assembly.regions import apply_region, assemble_region, block_matrix
from femspin.transport.elements.space import build_space, outer_cells
from femspin.units import DIFFUSION, E_CHARGE, LENGTH, MU_B, TIME

VARYING = ("omega", "relaxation", "theta", "drift", "moment_relaxation", "moment_omega", "m")
FIXED = ("gauge", "rotation", "dos", "diffusion")


def directions(n: int, seed: int = 5):
    m = np.random.default_rng(seed).normal(size=(n, 3))
    return m / np.linalg.norm(m, axis=1)[:, None]


def ferromagnet(**changes):
    """Return the table of an F region with every coupling on."""
    return {
        "kind": "F",
        "conductivity": "2e6 S/m",
        "diffusion_constant": "3e-4 m^2/s",
        "mass": "0.5 m_e",
        "scattering_time": "2 fs",
        "spin_diffusion_length": "4 nm",
        "polarisation": 0.4,
        "spin_hall_angle": 0.05,
        "soc": {"rashba": "0.2 eV*angstrom", "dresselhaus": "2e4 m/s"},
        "kondo": {
            "spin": 2.5,
            "moment_density": "1e28 1/m^3",
            "exchange_energy": "20 meV",
            "curie_temperature": "559 K",
            "rotation": [0.1, -0.2, 0.3],
        },
    } | changes


def stack(f, dimension=1, magnet=True, lateral="periodic", **more):
    """Return the case of Pt on F on an insulating magnet (or on nothing)."""
    layers = [
        {"region": "YIG", "thickness": "2 nm", "cells": 2},
        {"region": "F", "thickness": "1.5 nm", "cells": 3},
        {"region": "Pt", "thickness": "3 nm", "cells": 4},
    ]
    table = {
        "structure": {"layers": layers if magnet else layers[1:], "dimension": dimension},
        "regions": {"F": f, "Pt": {"kind": "HM", "material": "Pt"}},
        "drive": {
            "electric_field": ["1e5 V/m", "3e4 V/m", "0 V/m"],
            "magnetic_field": ["0.3 T", "-0.2 T", "0.5 T"],
        },
        "magnetization": {"direction": [0.3, -0.5, 0.7]},
        "solver": {"order": 2},
    }
    if magnet:
        table["regions"]["YIG"] = {
            "kind": "FI",
            "magnet": {"saturation_magnetization": "1.4e5 A/m", "damping": 0.01},
        }
    if dimension > 1:
        table["structure"] |= {"width": "8 nm", "cells_x": 4, "lateral": lateral}
    if dimension > 2:
        table["structure"] |= {"depth": "6 nm", "cells_y": 3}
    for key, value in more.items():
        table[key] = table.get(key, {}) | value
    return case_from_table(table)


# ---------------------------------------------------------------------------------- fields
@pytest.mark.parametrize(
    ("mode", "onsager"),
    [("exact", False), ("first", False), ("eq38", False), ("hall", False), ("exact", True), ("hall", True)],
)
def test_fields_of_many_directions_are_those_of_each(mode, onsager):
    """Every tensor, with magnetic field, noncollinear exchange and all couplings."""
    device = build_device(stack(ferromagnet(theta_mode=mode)))
    parameters = device.parameters["F"]
    conditions = replace(device.conditions, onsager=onsager)
    m = directions(12)
    many = region_fields(parameters, conditions, m.reshape(3, 4, 3))
    for k, one in enumerate(m):
        alone = region_fields(parameters, conditions, one)
        for key in VARYING:
            expected = getattr(alone, key)
            value = getattr(many, key)
            if value.ndim > expected.ndim:
                value = value.reshape(12, *expected.shape)[k]
            # The mean spin is a root, found to a few rounding errors by either method.
            size = np.abs(expected).max()
            np.testing.assert_allclose(value, expected, rtol=0, atol=5e-14 * size, err_msg=key)
        for key in FIXED:
            np.testing.assert_array_equal(getattr(many, key), getattr(alone, key))


def test_tensors_that_do_not_depend_on_the_direction_keep_their_shape():
    f = ferromagnet(polarisation=None, scattering_time=None, mass=None, soc=None)
    device = build_device(stack(f, drive={"magnetic_field": ["0 T", "0 T", "0 T"]}))
    many = region_fields(device.parameters["F"], device.conditions, directions(7))
    assert many.theta.shape == (12, 12)
    assert many.drift.shape == (3, 4)
    assert many.relaxation.shape == (7, 3, 3)
    assert many.moments is not None


def test_moments_above_their_ordering_temperature_follow_the_field_everywhere():
    f = ferromagnet()
    f["kondo"] |= {"curie_temperature": "10 K"}
    device = build_device(stack(f))
    many = region_fields(device.parameters["F"], device.conditions, directions(7))
    alone = region_fields(device.parameters["F"], device.conditions, directions(1)[0])
    np.testing.assert_array_equal(many.relaxation, alone.relaxation)


@pytest.mark.parametrize("temperature", [2.0, 300.0, 558.9, 700.0])
def test_mean_spins_of_an_array_are_those_of_each(temperature):
    """Saturated, ordered, just below and above T_C, fields along and against the moment."""
    fields = np.array([-500.0, -30.0, -1.0, -1e-6, 0.0, 1e-6, 1.0, 30.0, 500.0])
    exchange = 3 * 1.380649e-23 * 559 / (2.5 * 3.5)
    many = mean_spin(temperature, 2.5, exchange, fields)
    each = [mean_spin(temperature, 2.5, exchange, b, 2.0) for b in fields]
    np.testing.assert_allclose(many, each, rtol=1e-12, atol=1e-15)


# -------------------------------------------------------------------------------- assembly
def cellwise(space, seed=1):
    """Return coefficients with every tensor different in every cell."""
    c, n = unit_coefficients(), len(space.in_region("F"))
    rng = np.random.default_rng(seed)

    def many(value):
        return value + 0.1 * rng.normal(size=(n, 1, *value.shape))

    return replace(
        c,
        theta=many(c.theta),
        relaxation=many(c.relaxation),
        omega=many(c.omega),
        drift=many(c.drift),
        moment_relaxation=many(c.moment_relaxation),
        moment_omega=many(c.moment_omega),
    )


@pytest.mark.parametrize(("dimension", "cell"), CELLS)
@pytest.mark.parametrize("order", [1, 2])
def test_fast_blocks_of_cellwise_tensors_are_those_of_quadrature(dimension, cell, order, monkeypatch):
    """Element moments times the tensors of each cell, against sums over quadrature points."""
    space = box(dimension, cell, 2, order)
    c = cellwise(space)
    mu = np.random.default_rng(0).normal(size=(space.n_dofs, 4))
    fast, rest = assemble_region(space, "F", c), apply_region(space, "F", c, mu)
    monkeypatch.setattr(type(c), "cellwise", False)
    slow, slow_rest = assemble_region(space, "F", c), apply_region(space, "F", c, mu)
    for a, b in ((fast.values, slow.values), (fast.load, slow.load), (rest, slow_rest)):
        np.testing.assert_allclose(a, b, atol=1e-13 * np.abs(b).max())


def test_equal_tensors_in_all_cells_are_a_uniform_region():
    space, c = box(3, "hex", 2, 2), unit_coefficients()
    n = len(space.in_region("F"))
    many = replace(
        c, theta=np.broadcast_to(c.theta, (n, 1, 12, 12)), omega=np.broadcast_to(c.omega, (n, 1, 3))
    )
    assert many.cellwise
    assert not many.uniform
    one, two = assemble_region(space, "F", c), assemble_region(space, "F", many)
    np.testing.assert_allclose(two.values, one.values, atol=1e-14 * np.abs(one.values).max())
    np.testing.assert_allclose(two.load, one.load, atol=1e-14 * np.abs(one.load).max())


def test_cells_in_small_chunks_keep_their_own_tensors(monkeypatch):
    """Regions too large for one piece of memory are assembled in several."""
    space = box(2, "quad", 6, 1)
    c = cellwise(space)
    whole = assemble_region(space, "F", c)
    monkeypatch.setattr("femspin.transport.elements.space._KEPT_BYTES", 0.0)
    monkeypatch.setattr("femspin.transport.elements.space._CHUNK_BYTES", 5e3)
    parts = assemble_region(space, "F", c)
    assert len(list(space.chunks(space.in_region("F")))) > 3
    np.testing.assert_allclose(parts.values, whole.values, atol=1e-13)
    np.testing.assert_allclose(parts.load, whole.load, atol=1e-13)


# --------------------------------------------------------------------------- uniform limit
@pytest.mark.parametrize("dimension", [1, 2])
@pytest.mark.parametrize("elements", ["plain", "covariant"])
def test_a_constant_texture_has_the_solution_of_the_uniform_magnet(dimension, elements):
    """All potentials, interface currents and parts, to 1e-12 of the largest."""
    device = build_device(stack(ferromagnet(), dimension, solver={"elements": elements}))
    uniform = solve_transport(device, device.direction)
    coupled = textured_transport(device, "YIG")
    nodes = np.tile(device.direction, (coupled.map.space.size, 1))
    fields = coupled.fields(nodes)
    assert fields["F"].omega.ndim == 3
    state = exact_texture(device, coupled, nodes)
    scale = np.abs(uniform.state.mu).max()
    np.testing.assert_allclose(state.mu, uniform.state.mu, atol=1e-12 * scale)
    textured = transport_of(device, device.direction, fields, state)
    for name, expected in uniform.interfaces.items():
        found = textured.interfaces[name]
        size = np.abs(expected.flux).max()
        np.testing.assert_allclose(found.flux, expected.flux, atol=1e-12 * size)
        for part, value in expected.parts.items():
            np.testing.assert_allclose(found.parts[part], value, atol=1e-11 * size)


# ------------------------------------------------------------------------------- a vortex
VORTEX = json.loads((Path(__file__).parent / "data" / "slow_texture_refs.json").read_text())


def vortex(x, y, radius):
    v = np.stack([-y, x, radius + 0 * x], axis=-1)
    return v / np.sqrt(x**2 + y**2 + radius**2)[..., None]


def vortex_accumulation(cells):
    """Return the spin accumulation [A/m] of a vortex on a square of 100 nm by order 2.

    As in the reference the diffusive flux vanishes at the sides, so what the current carries
    leaves through them.
    """
    p = VORTEX["vortex"]["params"]
    layers = [{"region": "F", "thickness": "100 nm", "cells": cells}]
    table = {
        "dimension": 2,
        "cell": "quad",
        "lateral": "insulating",
        "cells_x": cells,
        "width": "100 nm",
        "layers": layers,
    }
    structure = build_stack(Stack.model_validate(table), {"F": "F"}, {})
    space = build_space(structure, ("F",), 2)
    centre = space.locations.min(axis=1) + 50.0
    radius, mixed = p["R"] / LENGTH, p["beta"] * p["beta_prime"]
    where = space.quadrature_positions(space.in_region("F")) - centre
    m = vortex(where[..., 0], where[..., 1], radius)
    theta = np.tile(np.eye(12), (*m.shape[:2], 1, 1))
    for i in (1, 5, 9):
        theta[..., i : i + 3, i : i + 3] -= mixed * m[..., :, None] * m[..., None, :]
    carried = p["beta"] * MU_B / E_CHARGE * p["J"] * TIME / LENGTH
    drift = np.zeros((*m.shape[:2], 3, 4))
    drift[..., 0, 1:] = carried * m / (1 - mixed)
    D, none = 2 * p["D0"] / DIFFUSION, np.zeros((3, 3))
    c = Coefficients(
        1.0,
        D,
        theta,
        np.zeros((3, 4, 4)),
        none,
        np.eye(3) * D / (p["lambda_sf"] / LENGTH) ** 2,
        m * D / (p["lambda_J"] / LENGTH) ** 2,
        drift,
        none,
        np.zeros(3),
    )
    blocks = assemble_region(space, "F", c)
    load = blocks.load[:, 1:].copy()
    x, y = space.locations - centre[:, None]
    for side, sign in (("left", -1.0), ("right", 1.0)):
        facets = structure.faces[side]
        mass, _ = space.facet_mass(facets, outer_cells(space, facets))
        load -= sign * carried * (mass @ vortex(x, y, radius))
    matrix = block_matrix(space, {"F": blocks}).tocsr()
    spin = np.flatnonzero(np.arange(space.size) % 4)
    s = spsolve(matrix[spin][:, spin].tocsc(), load.ravel()).reshape(-1, 3)
    return space, s, m, np.stack([x, y])


def test_spin_accumulation_of_a_vortex_is_the_reference():
    """Exchange precession, spin flip and anisotropic diffusion around a texture.

    The reference has the same elements on 40 cells; what differs is how the flux at the sides
    is integrated, an error of order h^4.  The distance to its continuum limit is of that order
    too.
    """
    space, s, m, at = vortex_accumulation(40)
    jets, dx = space.jets(space.in_region("F"))
    inside = np.einsum("inq,nia->nqa", jets[:, -1], s[space.dofs])

    def mean(values):
        return np.einsum("nq,nq...->...", dx, values) / dx.sum()

    same, limit = VORTEX["vortex"]["on_40_cells"], VORTEX["vortex"]["values"]
    found = {
        "avg": mean(inside),
        "rms": np.sqrt(mean(np.sum(inside**2, axis=-1))),
        "avg_m_cross_s": mean(np.cross(m, inside)),
    }
    for key, point in (("at_0_0", (0, 0)), ("at_25_0", (25, 0)), ("at_25_25", (25, 25))):
        found[key] = s[np.argmin(np.sum((at - np.reshape(point, (2, 1))) ** 2, axis=0))]
    h = 2.5 / 10.0  # cell over the radius of the vortex
    for key, value in found.items():
        size = np.abs(limit[key]).max()
        np.testing.assert_allclose(value, same[key], atol=0.1 * h**4 * size, err_msg=key)
        np.testing.assert_allclose(value, limit[key], atol=h**4 * size, err_msg=key)
    np.testing.assert_allclose(found["avg"], limit["avg"], atol=5e-6)
    assert found["rms"] == pytest.approx(limit["rms"], rel=1e-6)
