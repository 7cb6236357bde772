"""Spin that nothing fixes is refused; spin that next to nothing fixes is right, or refused."""

from __future__ import annotations

import logging
from dataclasses import replace

import numpy as np
import pytest
from marks import slow
from test_solvers import region

from femspin import build_device, case_from_table
from femspin.device.steady import solve_transport
from femspin.errors import SolverError
from femspin.transport.determinacy import require_determined
from femspin.transport.linear.multigrid import _inverse
from femspin.transport.linear.refinement import refine


def film(regions: dict, tables: dict | None = None, drive: dict | None = None):
    """Return a line through layers of 5 nm, in order, with voltages at its ends."""
    layers = [{"region": name, "thickness": "5 nm", "cells": 6} for name in regions]
    return build_device(
        case_from_table(
            {
                "structure": {"dimension": 1, "layers": layers},
                "regions": regions,
                "drive": {
                    "electrodes": {
                        "top": {"voltage": "2 mV", "spin": "blocked"},
                        "bottom": {"voltage": "0 V", "spin": "blocked"},
                    },
                    **(drive or {}),
                },
                "solver": {"elements": "plain", "error_bars": False},
                **(tables or {}),
            }
        )
    )


def free(relaxation: str = "0 0 0", **kind) -> dict:
    """Return a region with a given relaxation of the three components [1/ps], no more."""
    rates = [float(x) * 1e12 for x in relaxation.split()]
    found = region(10, hall=0.0, polarisation=0.3, **kind)
    found["override"]["relaxation"] = [
        [f"{rates[a] if a == b else 0.0!r} 1/s" for b in range(3)] for a in range(3)
    ]
    return found


def solved(device):
    return solve_transport(device, device.direction).state


# ---------------------------------------------------------------- nothing fixes the spin

REFUSED = {
    "nothing acts on any component": ({"A": free()}, "in A the spin is fixed by no relaxation"),
    "one component does not relax": ({"A": free("1 1 0")}, r"in A the spin along \(0, 0, 1\) is fixed by no"),
    "precession leaves its own axis": (
        {"A": free(precession=0.5)},
        r"in A the spin along \(0\.6, 0, 0\.8\) is fixed by no",
    ),
    "neither of two regions": (
        {"A": free("0 1 0"), "B": free("0 0 1")},
        r"in A and B the spin along \(1, 0, 0\)",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
@pytest.mark.parametrize("method", ["direct", "iterative"])
def test_spin_that_nothing_fixes_is_refused_with_region_and_component(name, method):
    regions, words = REFUSED[name]
    device = film(regions, {"solver": {"elements": "plain", "error_bars": False, "method": method}})
    with pytest.raises(SolverError, match=words):
        solved(device)


SOLVED = {
    "relaxation in the other region": ({"A": free(), "B": free("1 1 1")}, {}),
    "each region fixes what the other leaves": ({"A": free("1 0 1"), "B": free("0 1 0")}, {}),
    "precession about one axis and relaxation along it": ({"A": free("0.6 0 0.8", precession=0.5)}, {}),
    "a gauge field across the film": ({"A": free(gauge=0.1)}, {}),
    "an electrode that takes up spin": (
        {"A": free()},
        {
            "drive": {
                "electrodes": {
                    "top": {"voltage": "2 mV", "spin": "sink"},
                    "bottom": {"voltage": "0 V", "spin": "blocked"},
                }
            }
        },
    ),
}


@pytest.mark.parametrize("name", SOLVED)
def test_anything_that_fixes_all_components_is_enough(name):
    regions, tables = SOLVED[name]
    state = solved(film(regions, tables))
    assert state.report.residual < 1e-11
    assert np.abs(state.mu[:, 1:]).max() > 0


def test_a_region_that_spin_cannot_leave_must_fix_it_itself():
    """Between the two lies a contact, which lets charge pass and may let spin pass."""
    contact = {"interfaces": {"A|B": {"contact_conductance": "1e15 S/m^2"}}}
    device = film({"A": free(), "B": free("1 1 1")}, contact)
    assert solved(device).report.residual < 1e-11
    problem = device.problem
    (joint,) = problem.boundary.contacts
    blocked = replace(joint, conductance=np.diag([joint.conductance[0, 0], 0, 0, 0]))
    boundary = replace(problem.boundary, contacts=(blocked,))
    scaled = problem.scaled(device.fields(device.direction))
    require_determined(device.space, problem.boundary, problem.constraint, scaled, {})
    with pytest.raises(SolverError, match="in A the spin is fixed by no relaxation"):
        require_determined(device.space, boundary, problem.constraint, scaled, {})


# ---------------------------------------------------------------- next to nothing fixes it


def wide(length: float, method: str, width: float, n: int = 16):
    """Return a film of 10 nm between electrodes in which spin decays over `length` [nm]."""
    return build_device(
        case_from_table(
            {
                "structure": {
                    "dimension": 3,
                    "cell": "tet",
                    "lateral": "insulating",
                    "layers": [{"region": "A", "thickness": "10 nm", "cells": 8}],
                    "width": f"{width} nm",
                    "cells_x": n,
                    "depth": f"{width} nm",
                    "cells_y": n,
                },
                "regions": {"A": region(length)},
                "drive": {"electrodes": {"left": {"voltage": "2 mV"}, "right": {"voltage": "0 V"}}},
                "solver": {"order": 1, "method": method, "elements": "plain", "error_bars": False},
            }
        )
    )


@pytest.mark.parametrize(("length", "width"), [slow(1e4, 10), slow(1e5, 10), slow(1e5, 40), (1e6, 400)])
def test_an_iterative_solution_is_right_where_spin_hardly_relaxes(length, width):
    """A constant spin potential leaves a residual of (h/length)^2 of that of a rough one."""
    states = [solved(wide(length, method, width)) for method in ("direct", "iterative")]
    exact, found = (s.mu[:, 1:] for s in states)
    amplified = np.finfo(float).eps * (length / min(width / 16, 10 / 8)) ** 2
    assert np.abs(found - exact).max() < max(amplified, 1e-9) * np.abs(exact).max()
    assert states[1].report.iterations < 40


def test_a_singular_coarsest_level_is_a_failure_of_the_solver_and_a_nearly_singular_one_none():
    with pytest.raises(SolverError, match="coarsest level"):
        _inverse(np.zeros((3, 3)))
    nearly = np.ones((3, 3)) + 1e-14 * np.eye(3)
    assert np.isfinite(_inverse(nearly)).all()


class Halving:
    """A solver that finds half of the last unknown, which leaves next to no residual."""

    method, choice, iterations, aged = "iterative", "halving", 0, False

    def __init__(self, matrix, share: float) -> None:
        self.diagonal, self.share = np.diag(matrix), share

    def solve(self, load, reduction=None):
        x = load / self.diagonal
        x[-1] *= self.share
        return x


@pytest.mark.parametrize("last", [1.0, 1e-13])
def test_refinement_goes_on_while_corrections_matter_though_the_residual_is_small(last):
    matrix, load = np.diag([1.0, 1.0, last]), np.array([1.0, 1.0, last])
    charge, start = np.array([True, True, False]), np.zeros(3, np.longdouble)

    def residual(x):
        return (load - matrix @ x).astype(float)

    x, _ = refine(Halving(matrix, 0.999), residual, start, 1e-10, charge=charge)
    np.testing.assert_allclose(x.astype(float), 1.0, atol=1e-8)


def test_potentials_that_corrections_go_on_changing_are_refused(caplog):
    matrix, load = np.diag([1.0, 1.0, 1e-18]), np.array([1.0, 1.0, 1e-18])
    charge, start = np.array([True, True, False]), np.zeros(3, np.longdouble)

    def residual(x):
        return (load - matrix @ x).astype(float)

    with pytest.raises(SolverError, match="not determined"):
        refine(Halving(matrix, 0.02), residual, start, 1e-10, charge=charge)
    with caplog.at_level(logging.WARNING, logger="femspin"):
        refine(Halving(matrix, 0.7), residual, start, 1e-10, charge=charge)
    assert "nearly singular" in caplog.text


@pytest.mark.parametrize("width", ["60 nm", "1 um"])
@pytest.mark.parametrize("model", ["resolved", "exact"])
def test_charge_potentials_of_round_off_beside_spin_are_no_reason_to_warn(model, width, caplog):
    """A periodic strip that nothing makes vary along x: mu^0 is 1e-9 of the spin potentials."""
    table = {
        "structure": {
            "dimension": 2,
            "width": width,
            "cells_x": 24,
            "lateral": "periodic",
            "layers": [
                {"region": "YIG", "thickness": "3 nm", "cells": 1},
                {"region": "F", "thickness": "0.4 nm", "cells": 4},
                {"region": "Pt", "thickness": "5 nm", "cells": 10},
            ],
        },
        "regions": {
            "YIG": {"kind": "FI"},
            "F": {
                "kind": "F",
                "dos": "2e47 1/(J*m^3)",
                "diffusion_constant": "2e-4 m^2/s",
                "mass": "1 m_e",
                "scattering_time": "1 fs",
                "model": model,
                "soc": {"rashba": "2e4 m/s", "dresselhaus": "7e3 m/s"},
                "kondo": {
                    "spin": 2.5,
                    "moment_density": "4e27 1/m^3",
                    "exchange_energy": "5 meV",
                    "curie_temperature": "559 K",
                },
            },
            "Pt": {
                "kind": "HM",
                "conductivity": "5e6 S/m",
                "dos": "2e47 1/(J*m^3)",
                "spin_diffusion_length": "1.5 nm",
                "spin_hall_angle": 0.1,
            },
        },
        "interfaces": {"F|YIG": {"G_s": "-1e12 S/m^2", "G_r": "2e14 S/m^2", "G_i": "5e13 S/m^2"}},
        "drive": {"temperature": "300 K", "electric_field": ["1e5 V/m", "3e4 V/m", "0 V/m"]},
        "magnetization": {"direction": [0.5, 0.3, 1]},
        "solver": {"error_bars": False},
    }
    with caplog.at_level(logging.WARNING, logger="femspin"):
        solved(build_device(case_from_table(table)))
    assert "nearly singular" not in caplog.text
