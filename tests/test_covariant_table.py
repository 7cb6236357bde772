"""Plain and covariant elements on one rectangle: pure gauge and non-Abelian fields, P1 and P2.

Spin of unit potential along z is held at x = 0 of a 4 nm x 1 nm film with nu = D = 1 and a
relaxation length of 1.5 nm; every other side is insulating.  The field a^{xy} = q is pure gauge,
a^{zx} = -q r makes it non-Abelian.
"""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
import scipy.sparse.linalg as spl
from marks import slow

from femspin.case.schema import Stack
from femspin.fields.soc import covariant_rotation
from femspin.structure.stack import build_stack
from femspin.transport.assembly.coefficients import Coefficients
from femspin.transport.assembly.frames import rotation_by
from femspin.transport.assembly.regions import apply_region, assemble_region, block_matrix
from femspin.transport.elements.space import build_space

LENGTH, DECAY, CENTRE = 4.0, 1.5, (2.0, 0.5)
MESHES = (4, 8, 16)  # cells per nm
NON_ABELIAN = [2.0, slow(6.0)]  # each with a fine reference of its own


def rectangle(n: int, order: int):
    """Return the space on triangles with n cells per nm; x and z start at 0."""
    table = {
        "dimension": 2,
        "cell": "tri",
        "lateral": "insulating",
        "cells_x": 4 * n,
        "width": f"{LENGTH} nm",
        "layers": [{"region": "F", "thickness": "1 nm", "cells": n}],
    }
    return build_space(build_stack(Stack.model_validate(table), {"F": "F"}, {}), ("F",), order)


# The condition number of the matrix grows as the square of the nodes along an edge.
ROUND_OFF = 10 * np.finfo(float).eps * (2 * MESHES[-1]) ** 2


def film(q: float, r: float, along: tuple[int, ...]) -> Coefficients:
    gauge = np.zeros((3, 3))
    gauge[0, 1], gauge[2, 0] = q, -q * r
    return Coefficients(
        dos=1.0,
        diffusion=1.0,
        theta=np.eye(12),
        rotation=covariant_rotation(gauge),
        gauge=gauge,
        relaxation=np.eye(3) / DECAY**2,
        omega=np.zeros(3),
        drift=np.zeros((3, 4)),
        moment_relaxation=np.zeros((3, 3)),
        moment_omega=np.zeros(3),
        along=along,
    )


@cache
def solved(n: int, order: int, q: float, r: float, carried: bool):
    """Return the spin current fed in at x = 0 and mu at the centre, two vectors."""
    space = rectangle(n, order)
    c = film(q, r, space.structure.axes if carried else ())
    matrix = block_matrix(space, {"F": assemble_region(space, "F", c)}).tocsr()
    x = space.locations - space.locations.min(axis=1, keepdims=True)
    left = np.flatnonzero(x[0] < 1e-9)
    mu = np.zeros((space.n_dofs, 4))
    mu[left, 3] = 1.0
    held = np.zeros((space.n_dofs, 4), bool)
    held[:, 0] = held[left] = True
    free = np.flatnonzero(~held.ravel())
    right = -(matrix @ mu.ravel())[free]
    mu.ravel()[free] = spl.splu(matrix[free][:, free].tocsc()).solve(right)
    centre = np.argmin(np.hypot(x[0] - CENTRE[0], x[1] - CENTRE[1]))
    np.testing.assert_allclose(x[:, centre], CENTRE, atol=1e-9)
    return apply_region(space, "F", c, mu)[left].sum(axis=0)[1:], mu[centre, 1:]


def exact(q: float):
    """Return the same for the pure gauge field: the solution without field, turned."""
    turn = rotation_by(np.array([0.0, -q * CENTRE[0], 0.0]))
    decay = np.cosh((LENGTH - CENTRE[0]) / DECAY) / np.cosh(LENGTH / DECAY)
    return np.array([0, 0, np.tanh(LENGTH / DECAY) / DECAY]), turn @ np.array([0, 0, decay])


@cache
def reference(q: float):
    """Return the same for the non-Abelian field with r = 1, from a mesh three times as fine."""
    return solved(3 * MESHES[-1], 2, q, 1.0, True)


def errors(order: int, q: float, r: float, carried: bool):
    """Return the errors of current and centre, relative, shape (2, meshes)."""
    truth = reference(q) if r else exact(q)
    found = [solved(n, order, q, r, carried) for n in MESHES]
    return np.array(
        [[np.linalg.norm(f[k] - truth[k]) / np.linalg.norm(truth[k]) for f in found] for k in (0, 1)]
    )


def rates(table):
    """Return the observed orders from the coarsest to the finest mesh."""
    return np.log2(table[..., 0] / table[..., -1]) / np.log2(MESHES[-1] / MESHES[0])


@pytest.mark.parametrize("order", [1, 2])
def test_errors_in_a_pure_gauge_field_do_not_depend_on_its_strength(order):
    """Up to 2.5 rad per cell: the error is that without a field, to round-off of the solution."""
    without = errors(order, 0.0, 0.0, False)
    for q in (2.0, 6.0, 10.0):
        np.testing.assert_allclose(errors(order, q, 0.0, True), without, atol=ROUND_OFF)


@pytest.mark.parametrize("order", [1, 2])
def test_pure_gauge_converges_at_twice_the_order_of_the_elements(order):
    """Current and nodal values, on both kinds; rates are asymptotic to within 5 %."""
    for carried, q in ((True, 6.0), (False, 2.0)):
        np.testing.assert_allclose(rates(errors(order, q, 0.0, carried)), 2 * order, rtol=0.05)


@pytest.mark.parametrize("q", [2.0, 6.0])
@pytest.mark.parametrize("order", [1, 2])
def test_pure_gauge_error_of_plain_elements_grows_with_the_field(order, q):
    """Carried ones gain (q l)^(2 order) or more on the finest mesh.

    By (q l)^order and more the derivatives of the turned solution exceed those of the other.
    """
    plain, carried = errors(order, q, 0.0, False), errors(order, q, 0.0, True)
    assert np.all(plain[:, -1] > (q * DECAY) ** (2 * order) * carried[:, -1])


@pytest.mark.parametrize("q", NON_ABELIAN)
@pytest.mark.parametrize(("order", "rate"), [(1, 1.8), (2, 3.5)])
def test_non_abelian_point_values_gain_accuracy_and_keep_the_order(order, rate, q):
    """At least as accurate as plain elements on every mesh, at no lower order."""
    plain, carried = errors(order, q, 1.0, False)[1], errors(order, q, 1.0, True)[1]
    assert np.all(carried <= plain)
    assert rates(carried) > rate
    if order == 2:
        assert rates(carried) > rates(plain)


@pytest.mark.parametrize("q", NON_ABELIAN)
def test_non_abelian_current_of_linear_elements_gains_accuracy(q):
    """On every mesh; corners where held and insulating sides meet limit the order of both."""
    assert np.all(errors(1, q, 1.0, True)[0] <= errors(1, q, 1.0, False)[0])


@pytest.mark.parametrize("order", [1, 2])
def test_both_kinds_of_elements_tend_to_the_same_solution(order):
    """Their distance at the centre falls at the order of the plain ones."""
    gaps = [
        np.linalg.norm(solved(n, order, 2.0, 1.0, True)[1] - solved(n, order, 2.0, 1.0, False)[1])
        for n in MESHES
    ]
    assert np.log2(gaps[0] / gaps[-1]) / 2 > 2 * order - 0.5
