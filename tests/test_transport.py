"""The discrete transport operator: twin, manufactured solutions, jumps, solvers, symmetries."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse.linalg as spl
from reference import CASES, PAPER, case_table
from skfem import Basis

from femspin import build_device, case_from_table, solve
from femspin.case.schema import Stack
from femspin.device.steady import solve_transport
from femspin.errors import SolverError
from femspin.fields.kondo import rotation
from femspin.fields.soc import LEVI_CIVITA, covariant_rotation
from femspin.structure.stack import build_stack
from femspin.transport.assembly.coefficients import Coefficients
from femspin.transport.assembly.regions import apply_region, assemble_region, block_matrix
from femspin.transport.elements.space import build_space
from femspin.transport.forms import drift, four_components, transport
from femspin.transport.layers.stack import StackCase, StackLayer, solve_stack
from femspin.units import FLUX

CELLS = [(1, "line"), (2, "tri"), (2, "quad"), (3, "tet"), (3, "hex")]


def unit_coefficients(seed: int = 3, dos: float = 1.3, diffusion: float = 0.7) -> Coefficients:
    """Return coefficients of order one with every term on; Theta positive but not symmetric."""
    rng = np.random.default_rng(seed)
    skew = rng.normal(size=(12, 12)) * 0.2
    gauge = rng.normal(size=(3, 3)) * 0.8
    root = rng.normal(size=(3, 3)) * 0.5
    return Coefficients(
        dos=dos,
        diffusion=diffusion,
        theta=np.linalg.inv(np.eye(12) + skew - skew.T),
        rotation=covariant_rotation(gauge),
        gauge=gauge,
        relaxation=root @ root.T + np.eye(3),
        omega=rng.normal(size=3),
        drift=rng.normal(size=(3, 4)),
        moment_relaxation=np.zeros((3, 3)),
        moment_omega=np.zeros(3),
    )


def box(dimension: int, cell: str, n: int, order: int, lateral: str = "insulating"):
    """Return the space on a unit-ish box (nm) of one region."""
    table = {
        "dimension": dimension,
        "cell": cell,
        "lateral": lateral,
        "cells_x": n,
        "cells_y": n,
        "layers": [{"region": "F", "thickness": "1.1 nm", "cells": n}],
    }
    if dimension > 1:
        table["width"] = "1.3 nm"
    if dimension > 2:
        table["depth"] = "0.9 nm"
    structure = build_stack(Stack.model_validate(table), {"F": "F"}, {})
    return build_space(structure, ("F",), order)


@pytest.mark.parametrize(("dimension", "cell"), CELLS)
@pytest.mark.parametrize("order", [1, 2])
def test_block_kernel_equals_the_readable_weak_form(dimension, cell, order):
    """The same matrix and load as W1 written as forms on a four-component element."""
    space, c = box(dimension, cell, 2, order), unit_coefficients()
    blocks = assemble_region(space, "F", c)
    matrix = block_matrix(space, {"F": blocks}).toarray()
    twin_basis = Basis(space.structure.mesh, four_components(space.basis.elem), intorder=2 * order + 1)
    twin = transport(c, space.structure.axes).assemble(twin_basis).toarray()
    load = drift(c, space.structure.axes).assemble(twin_basis)
    position = (4 * space.number[0][:, None] + np.arange(4)).ravel()
    scale = np.abs(twin).max()
    np.testing.assert_allclose(matrix[np.ix_(position, position)], twin, atol=1e-13 * scale)
    np.testing.assert_allclose(blocks.load.ravel()[position], load, atol=1e-13 * np.abs(load).max())


@pytest.mark.parametrize(("dimension", "cell"), CELLS)
def test_cellwise_operator_equals_the_matrix(dimension, cell):
    """`apply_region` is K mu - b to round-off, and adds the low part of mu."""
    space, c = box(dimension, cell, 3, 2), unit_coefficients()
    blocks = assemble_region(space, "F", c)
    mu = np.random.default_rng(0).normal(size=(space.n_dofs, 4))
    matrix = block_matrix(space, {"F": blocks})
    expected = (matrix @ mu.ravel()).reshape(-1, 4) - blocks.load
    whole = apply_region(space, "F", c, mu)
    np.testing.assert_allclose(whole, expected, atol=1e-13 * np.abs(expected).max())
    halves = apply_region(space, "F", c, 0.25 * mu, 0.75 * mu)
    np.testing.assert_allclose(halves, expected, atol=1e-13 * np.abs(expected).max())


# ------------------------------------------------------------------ manufactured solutions
class Waves:
    """mu^eta = sum of two plane waves per component, with first and second derivatives."""

    def __init__(self, axes: tuple[int, ...]) -> None:
        rng = np.random.default_rng(11)
        self.k = np.zeros((4, 2, 3))
        self.k[:, :, list(axes)] = rng.uniform(1.0, 2.5, size=(4, 2, len(axes)))
        self.phase, self.size = rng.uniform(0, 6, size=(4, 2)), rng.uniform(0.5, 1, size=(4, 2))

    def argument(self, x):
        phase = self.phase.reshape(4, 2, *(1,) * (x.ndim - 1))
        return np.einsum("ewj,j...->ew...", self.k, x) + phase

    def value(self, x):
        return np.einsum("ew,ew...->e...", self.size, np.sin(self.argument(x)))

    def gradient(self, x):
        return np.einsum("ew,ewj,ew...->je...", self.size, self.k, np.cos(self.argument(x)))

    def hessian(self, x):
        return -np.einsum("ew,ewj,ewk,ew...->jke...", self.size, self.k, self.k, np.sin(self.argument(x)))


def strong_source(c: Coefficients, exact: Waves, x):
    """Return d_j J^j + reaction + a x J of the exact solution: the strong form, by hand."""
    theta = c.theta.reshape(3, 4, 3, 4)
    value, gradient, hessian = exact.value(x), exact.gradient(x), exact.hessian(x)
    covariant = gradient + np.einsum("kez,z...->ke...", c.rotation, value)
    shape = (3, 4) + (1,) * (value.ndim - 1)
    force = c.drift.reshape(shape) - c.dos * c.diffusion * covariant
    flux = np.einsum("jekz,kz...->je...", theta, force)
    slope = hessian + np.einsum("kez,jz...->jke...", c.rotation, gradient)
    divergence = -c.dos * c.diffusion * np.einsum("jekz,jkz...->e...", theta, slope)
    source = divergence.copy()
    source[1:] += c.dos * np.einsum("ab,b...->a...", c.relaxation, value[1:])
    source[1:] -= c.dos * np.einsum("abc,b,c...->a...", LEVI_CIVITA, c.omega, value[1:])
    source[1:] += np.einsum("abc,jb,jc...->a...", LEVI_CIVITA, c.gauge, flux[:, 1:])
    return source


def manufactured_error(dimension: int, cell: str, order: int, n: int) -> float:
    """Return the L2 error with Dirichlet data of the exact solution on the whole boundary."""
    space, c = box(dimension, cell, n, order), unit_coefficients()
    axes, mesh = list(space.structure.axes), space.structure.mesh
    exact = Waves(tuple(axes))
    basis = Basis(mesh, space.basis.elem, intorder=2 * order + 4)

    def at(coordinates):
        x = np.zeros((3, *coordinates.shape[1:]))
        x[axes] = coordinates
        return x

    points = at(np.asarray(basis.global_coordinates()))
    source = strong_source(c, exact, points)
    phi = np.stack([np.broadcast_to(np.asarray(f[0]), basis.dx.shape) for f in basis.basis])
    local = np.einsum("iep,aep,ep->iea", phi, source, basis.dx)
    load = np.zeros((space.n_dofs, 4))
    np.add.at(load, space.number[0][basis.element_dofs], local)
    blocks = assemble_region(space, "F", c)
    matrix = block_matrix(space, {"F": blocks}).tocsr()
    boundary = mesh.boundary_facets()
    edge = space.facet_dofs(boundary, mesh.f2t[0, boundary])
    values = exact.value(at(space.locations)).T.ravel()
    held = np.zeros(space.size, bool)
    held[(4 * edge[:, None] + np.arange(4)).ravel()] = True
    mu = np.where(held, values, 0.0)
    right = (load + blocks.load).ravel() - matrix @ mu
    mu[~held] = spl.spsolve(matrix[~held][:, ~held].tocsc(), right[~held])
    found = np.einsum("iep,iea->aep", phi, mu.reshape(-1, 4)[space.number[0][basis.element_dofs]])
    return float(np.sqrt((((found - exact.value(points)) ** 2) * basis.dx).sum()))


@pytest.mark.parametrize(("dimension", "cell"), CELLS)
@pytest.mark.parametrize("order", [1, 2])
def test_manufactured_solution_converges_at_full_order(dimension, cell, order):
    """Every term on, strong form by hand: L2 order 2 for P1 and Q1, 3 for P2 and Q2."""
    coarse, fine = {1: (16, 32), 2: (8, 16), 3: (4, 8) if order == 1 else (3, 6)}[dimension]
    errors = [manufactured_error(dimension, cell, order, n) for n in (coarse, fine)]
    assert np.log2(errors[0] / errors[1]) > order + 1 - 0.25


# ------------------------------------------------------------------ jumps of the coefficients
def jump_case(cells: int, order: int, ratio_dos: float, ratio_diffusion: float):
    table = case_table(CASES["C06"]) | {"solver": PAPER | {"order": order}}
    for layer in table["structure"]["layers"]:
        layer["cells"] = cells
    f = table["regions"]["F"]
    f["dos"] = f"{5e46 * ratio_dos!r} 1/(J*m**3)"
    f["diffusion_constant"] = f"{2e-4 * ratio_diffusion!r} m**2/s"
    # Keep the decay lengths of F, so that the jump alone is tested.
    rates = np.array(CASES["C06"]["inputs"]["layers"][0]["rate"]) * ratio_diffusion
    f["override"]["relaxation"] = [[f"{r!r} 1/s" for r in row] for row in rates.tolist()]
    return solve(build_device(case_from_table(table)))


@pytest.mark.parametrize("ratios", [(1e3, 1.0), (1.0, 1e3), (1e-3, 1e3), (1e3, 1e-3)])
@pytest.mark.parametrize(("order", "rate"), [(1, 2), (2, 4)])
def test_flux_converges_at_full_order_across_jumps_of_dos_and_diffusion(ratios, order, rate):
    """DOS and D jump by 1e3 in SI magnitudes; mu is one value per node, the flux is balanced."""
    errors = []
    for cells in (8, 16):
        solution = jump_case(cells, order, *ratios)
        fields = solution.transport.fields
        layers = (StackLayer(fields["F"], 1e-9), StackLayer(fields["HM"], 5e-9))
        exact = solve_stack(StackCase(layers)).interface_flux(1)[1:]
        i = solution.interface("HM|F")
        errors.append(np.abs(i.flux[1:] * FLUX - exact).max() / np.abs(exact).max())
        assert i.balance < 1e-10
    assert np.log2(errors[0] / errors[1]) > rate - 0.35


# ------------------------------------------------------------------ solvers
def between_electrodes(name: str, **structure):
    """Return a reference stack as a 3D block with a voltage across it and free sides."""
    table = case_table(CASES[name])
    for region in table["regions"].values():
        del region["override"]["electric_field"]
    table["structure"] |= {"dimension": 3, "lateral": "insulating", **structure}
    table["drive"] = {"electrodes": {"left": {"voltage": "2 mV"}, "right": {"voltage": "0 V"}}}
    return table


def lateral_case(**solver):
    size = {"cell": "tet", "width": "20 nm", "depth": "20 nm", "cells_x": 8, "cells_y": 8}
    table = between_electrodes("C06", **size)
    for region in table["regions"].values():
        region["theta_mode"] = "exact"
    for layer in table["structure"]["layers"]:
        layer["cells"] = 6
    table["solver"] = {"order": 1, **solver}
    return solve(build_device(case_from_table(table)))


def test_iterative_and_direct_solvers_agree():
    direct, iterative = lateral_case(method="direct"), lateral_case(method="iterative")
    assert direct.transport.state.report.method == "direct"
    assert iterative.transport.state.report.method == "iterative"
    assert iterative.transport.state.report.residual < 1e-11
    a, b = (s.interface("HM|F").flux for s in (direct, iterative))
    np.testing.assert_allclose(b, a, atol=1e-9 * np.abs(a).max())


def test_iteration_that_does_not_converge_raises():
    with pytest.raises(SolverError, match=r"iterative solver left a relative residual of"):
        lateral_case(method="iterative", max_iterations=1)


def test_undetermined_spin_raises_instead_of_returning_numbers():
    """No relaxation anywhere and insulated faces: the uniform spin potential is free."""
    table = case_table(CASES["C01"])
    for region in table["regions"].values():
        zero = [["0.0 1/s"] * 3 for _ in range(3)]
        region["override"]["relaxation"] = zero
        region["override"]["spin_hall_angles"] = [[0.0] * 3, [0.0, 0.05, 0.1], [0.0] * 3]
    with pytest.raises(SolverError):
        solve(build_device(case_from_table(table)))


# ------------------------------------------------------------------ symmetries
def rotated(fields, turn):
    """Return region fields with every spin index rotated by `turn`."""
    from dataclasses import replace

    four = np.eye(4)
    four[1:, 1:] = turn
    spin = np.kron(np.eye(3), four)
    return replace(
        fields,
        gauge=fields.gauge @ turn.T,
        omega=turn @ fields.omega,
        relaxation=turn @ fields.relaxation @ turn.T,
        theta=spin @ fields.theta @ spin.T,
        drift=fields.drift @ four.T,
    )


@pytest.mark.parametrize(("dimension", "cell"), [(1, "line"), (2, "tri"), (3, "hex")])
def test_global_spin_rotation_of_all_inputs_rotates_all_outputs(dimension, cell):
    table = case_table(CASES["C08"])
    if dimension == 2:  # a field along the invariant direction, spin piles up at the free sides
        table["structure"] |= {"dimension": 2, "cell": cell, "width": "6 nm", "cells_x": 4}
        table["structure"] |= {"lateral": "insulating"}
        for region in table["regions"].values():
            region["override"]["electric_field"] = ["0 V/m", "1e5 V/m", "0 V/m"]
    if dimension == 3:
        size = {"cell": cell, "width": "6 nm", "depth": "4 nm", "cells_x": 4, "cells_y": 3}
        table = between_electrodes("C08", **size)
    for layer in table["structure"]["layers"]:
        layer["cells"] = 5
    device = build_device(case_from_table(table))
    turn = rotation([0.3, -1.1, 0.7])
    plain = solve_transport(device, device.direction)
    fields = {n: rotated(f, turn) for n, f in plain.fields.items()}
    state = device.problem.solve(fields)
    expected = plain.state.mu.copy()
    expected[:, 1:] = expected[:, 1:] @ turn.T
    np.testing.assert_allclose(state.mu, expected, atol=1e-11 * np.abs(expected).max())
    from femspin.interface.currents import interface_currents

    face = device.structure.interfaces["HM|F"]
    before = plain.interfaces["HM|F"]
    after = interface_currents(device.space, state, device.share, face, device.conductors)
    scale = np.abs(before.flux).max()
    np.testing.assert_allclose(after.flux[1:], turn @ before.flux[1:], atol=1e-11 * scale)
    for part in ("M", "A", "E", "B"):
        np.testing.assert_allclose(
            after.parts[part], turn @ before.parts[part], atol=1e-11 * scale, err_msg=part
        )
    # L and S are diagonal and off-diagonal in the spin frame; only their sum is a vector.
    np.testing.assert_allclose(
        after.parts["L"] + after.parts["S"],
        turn @ (before.parts["L"] + before.parts["S"]),
        atol=1e-11 * scale,
    )


def test_charge_is_conserved_through_every_interface():
    """No charge current leaves the insulated stack through an interface."""
    table = case_table(CASES["C06"])
    i = solve(build_device(case_from_table(table))).interface("HM|F")
    assert abs(i.flux[0]) < 1e-12 * np.abs(i.flux).max()


@pytest.mark.parametrize("lateral", ["periodic", "insulating"])
@pytest.mark.parametrize(("dimension", "cell"), CELLS[1:])
def test_dof_count_of_periodic_and_insulating_boxes(dimension, cell, lateral):
    """Periodic images share a dof: n instead of n + 1 per lateral direction."""
    space = box(dimension, cell, 3, 1, lateral)
    side = 3 if lateral == "periodic" else 4
    assert space.n_dofs == side ** (dimension - 1) * 4
