"""Charge transport between electrodes: resistances, probes, Hall plates, reciprocity, power."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from marks import slow
from test_structure import gmsh_file

from femspin import build_device, case_from_table, simulate, solve
from femspin.case.load import read_table
from femspin.device import build as pipeline
from femspin.device.functionals import device_functionals
from femspin.device.observables.mesh import discretised_numbers
from femspin.device.observables.quantity import flat_numbers
from femspin.device.steady import transport_of
from femspin.errors import CaseError, MeshError
from femspin.interface.split import cell_integrals, flux_density
from femspin.transport.assembly.regions import block_matrix
from femspin.units import ENERGY, TIME

ROOT = Path(__file__).parents[1]
CELLS = [(1, "line"), (2, "quad"), (2, "tri"), (3, "hex"), (3, "tet")]
SIGMA = 1e6  # S/m
METAL = {"kind": "HM", "conductivity": "1e6 S/m", "dos": "1e47 1/(J*m^3)", "spin_diffusion_length": "3 nm"}
LENGTH, DEPTH, HEIGHT = 30e-9, 6e-9, 9e-9


def volts(value: float) -> dict:
    return {"voltage": f"{value!r} V"}


def amperes(value: float) -> dict:
    return {"current": f"{value!r} A"}


FLOATING = {"floating": True}


def run(table):
    return solve(build_device(case_from_table(table), ROOT / "cases"))


def bar(
    dimension: int, cell: str, electrodes: dict, region=METAL, n: int = 3, order: int = 1, across: int = 3
):
    """A bar of one metal, n cells long; 1D is a film of thickness LENGTH, bottom to top."""
    thickness, layers = (LENGTH, n) if dimension == 1 else (HEIGHT, across)
    structure = {
        "dimension": dimension,
        "cell": cell,
        "lateral": "insulating",
        "cells_x": n,
        "cells_y": across,
        "layers": [{"region": "metal", "thickness": f"{thickness!r} m", "cells": layers}],
    }
    if dimension > 1:
        structure["width"] = f"{LENGTH!r} m"
    if dimension > 2:
        structure["depth"] = f"{DEPTH!r} m"
    return {
        "structure": structure,
        "regions": {"metal": region},
        "drive": {"electrodes": electrodes},
        "solver": {"order": order},
    }


def ends(dimension: int) -> tuple[str, str]:
    return ("bottom", "top") if dimension == 1 else ("left", "right")


def contact(solution, name: str) -> tuple[float, float]:
    """Return voltage [V] and current into the device [A, or per metre in 2D, metre^2 in 1D]."""
    values = solution.values
    return values[f"electrodes.{name}.voltage"], values[f"electrodes.{name}.current"]


# ------------------------------------------------------------------------------- resistances


@pytest.mark.parametrize(("dimension", "cell"), CELLS)
@pytest.mark.parametrize("order", [1, 2])
def test_a_bar_has_the_resistance_of_its_length_and_cross_section(dimension, cell, order):
    """R = L/(sigma A): the potential is linear, so every element gives it exactly."""
    first, last = ends(dimension)
    solution = run(bar(dimension, cell, {first: volts(2e-3), last: volts(-1e-3)}, order=order))
    section = {1: 1.0, 2: HEIGHT, 3: HEIGHT * DEPTH}[dimension]
    current = 3e-3 * SIGMA * section / LENGTH
    assert contact(solution, first) == pytest.approx((2e-3, current), rel=1e-10)
    assert contact(solution, last) == pytest.approx((-1e-3, -current), rel=1e-10)
    row = "z" if dimension == 1 else "x"
    density = solution.values[f"charge_current_density.metal.{row}"]
    assert density == pytest.approx(3e-3 * SIGMA / LENGTH, rel=1e-10)


def test_two_metals_in_series_add_their_resistances():
    better = {**METAL, "conductivity": "4e6 S/m"}
    table = {
        "structure": {
            "layers": [{"region": "a", "thickness": "12 nm"}, {"region": "b", "thickness": "8 nm"}]
        },
        "regions": {"a": METAL, "b": better},
        "drive": {"electrodes": {"bottom": volts(0), "top": volts(1e-3)}},
    }
    _, current = contact(run(table), "top")
    assert current == pytest.approx(1e-3 / (12e-9 / SIGMA + 8e-9 / (4 * SIGMA)), rel=1e-10)


def test_currents_do_not_see_a_common_voltage_and_scale_with_the_difference():
    region = {**METAL, "spin_hall_angle": 0.2, "override": {"hall_angles": [0.1, 0.3, -0.2]}}
    currents = [
        contact(run(bar(3, "hex", {"left": volts(a), "right": volts(b)}, region)), "left")[1]
        for a, b in ((1e-3, 0.0), (6e-3, 5e-3), (0.0, 2e-3))
    ]
    np.testing.assert_allclose(currents, currents[0] * np.array([1, 1, -2]), rtol=1e-10)


def test_current_drive_equals_voltage_drive():
    """The current that 1 mV drives, fed in, gives back 1 mV and the same spin potentials."""
    region = {**METAL, "spin_hall_angle": 0.2, "override": {"hall_angles": [0.0, 0.3, -0.2]}}
    by_voltage = run(bar(3, "tet", {"left": volts(1e-3), "right": volts(0)}, region))
    _, current = contact(by_voltage, "left")
    by_current = run(bar(3, "tet", {"left": amperes(current), "right": volts(0)}, region))
    assert contact(by_current, "left") == pytest.approx((1e-3, current), rel=1e-10)
    mu = by_voltage.transport.state.mu
    np.testing.assert_allclose(by_current.transport.state.mu, mu, rtol=0, atol=1e-10 * np.abs(mu).max())


# ------------------------------------------------------------------------------ electrodes refused


@pytest.mark.parametrize(
    ("electrodes", "match"),
    [
        ({"left": volts(0), "rigth": volts(1)}, r"^drive\.electrodes\.rigth: no face .*did you mean 'right'"),
        ({"left": volts(0), "top": volts(1)}, r"^drive\.electrodes\.top: touches electrode left"),
        (
            {"left": amperes(1e-6), "right": volts(0)},
            r"^drive\.electrodes\.left\.current: a total current needs a 3D mesh",
        ),
        ({"left": FLOATING}, r"^drive\.electrodes: one electrode needs a voltage"),
        ({"left": {**volts(1), "floating": True}}, r"^drive\.electrodes\.left\.floating: "),
    ],
)
def test_electrodes_that_make_no_sense_are_refused(electrodes, match):
    with pytest.raises((CaseError, MeshError), match=match):
        run(bar(2, "quad", electrodes))


def test_electrodes_on_periodic_sides_are_refused():
    table = bar(2, "quad", {"left": volts(0), "right": volts(1)})
    table["structure"]["lateral"] = "periodic"
    with pytest.raises(CaseError, match=r"^drive\.electrodes\.left: this side is periodic"):
        run(table)


# ------------------------------------------------------------------------- a Hall bar from gmsh


def hall_bar(electrodes: dict, m=(1, 1, 1)) -> dict:
    """The shipped case with first-order elements, other electrodes and magnetization."""
    table = read_table(ROOT / "cases" / "hall_bar.toml")
    table["drive"]["electrodes"] = electrodes
    table["magnetization"] = {"direction": [float(x) for x in m]}
    table["solver"] = {"order": 1}
    return table


PROBES = {"probe_left": FLOATING, "probe_right": FLOATING}


def test_probes_of_a_symmetric_bar_float_at_the_mean_potential_without_current():
    """No Hall effect: the magnetic film without moments, Pt without spin Hall effect."""
    table = hall_bar({"source": volts(3e-3), "drain": volts(1e-3), **PROBES})
    table["regions"]["Pt"]["spin_hall_angle"] = 0.0
    table["regions"]["F"] = {**METAL, "kind": "F"}
    solution = run(table)
    _, current = contact(solution, "source")
    for probe in PROBES:
        voltage, leak = contact(solution, probe)
        assert voltage == pytest.approx(2e-3, rel=1e-11)
        assert abs(leak) < 1e-13 * current


def test_currents_of_all_electrodes_add_up_to_zero():
    """With spin Hall, Rashba, moments and a drain that is also a spin sink."""
    electrodes = {
        "source": volts(3e-3),
        "drain": {**volts(0), "spin": "sink"},
        "probe_left": volts(1e-3),
        "probe_right": FLOATING,
    }
    solution = run(hall_bar(electrodes))
    currents = np.array([contact(solution, name)[1] for name in electrodes])
    assert abs(currents.sum()) < 1e-12 * np.abs(currents).max()
    assert abs(currents[3]) < 1e-12 * np.abs(currents).max()
    assert currents[0] > 0 > currents[1]


@pytest.mark.parametrize("polarisation", [slow(0.0), 0.4])
def test_four_terminal_resistances_are_reciprocal(polarisation):
    """R(source drain, left right)(m) = R(left right, source drain)(-m), Onsager-Casimir.

    The discrete operators are transposes of each other once spin is reversed, so this holds to
    round-off of the voltages, 1e-12 of the drop along the bar; the Hall voltage is 1e-5 of it.
    """
    current = 1e-5

    def resistance(feed: tuple[str, str], sense: tuple[str, str], m):
        feeds = {feed[0]: amperes(current), feed[1]: volts(0)}
        table = hall_bar({**feeds, **dict.fromkeys(sense, FLOATING)}, m)
        table["regions"]["F"]["polarisation"] = polarisation
        solution = run(table)
        drop = (contact(solution, sense[0])[0] - contact(solution, sense[1])[0]) / current
        return drop, contact(solution, feed[0])[0] / current

    along, across, m = ("source", "drain"), ("probe_left", "probe_right"), np.array([1, 1, 1])
    hall, two_terminal = resistance(along, across, m)
    swapped, _ = resistance(across, along, -m)
    round_off = 1e-12 * two_terminal
    assert abs(hall) > 1e5 * round_off
    assert hall == pytest.approx(swapped, rel=0, abs=round_off)
    reversed_hall, reversed_two_terminal = resistance(along, across, -m)
    assert abs(reversed_hall - hall) > 1e3 * round_off  # the anomalous part changes sign
    assert reversed_two_terminal == pytest.approx(two_terminal, rel=1e-12)


# ----------------------------------------------------------------------------------- Hall effect


def plate(theta: float, n: int) -> float:
    """Return R sigma of a square with electrodes on its left and right sides, n x n Q2 cells."""
    region = {**METAL, "override": {"hall_angles": [0.0, theta, 0.0]}}
    table = bar(2, "quad", {"left": volts(1e-3), "right": volts(0)}, region, n, 2, n)
    table["structure"]["layers"][0]["thickness"] = table["structure"]["width"]
    return 1e-3 * SIGMA / contact(run(table), "left")[1]


@pytest.mark.parametrize("theta", [slow(0.1), slow(0.5), slow(1.0), 2.0])
def test_a_square_hall_plate_has_the_resistance_of_its_self_dual_shape(theta):
    """R = rho sqrt(1 + theta^2) for any Hall angle.

    At the corners the potential is singular like r^(1 -+ 2 atan(theta)/pi), alternately; the
    adjoint problem has the opposite exponents, so their product makes the error of the
    resistance of order h^2 whatever theta.  Observed rates are 2.00, errors at 64 x 64 cells
    1.2e-7, 2.6e-6, 6.6e-6 and 1.0e-5: a third of the change from 32 x 32, as h^2 asks.
    """
    exact = np.hypot(1.0, theta)
    coarse, middle, fine = (plate(theta, n) for n in (16, 32, 64))
    assert np.log2((middle - exact) / (fine - exact)) == pytest.approx(2.0, abs=0.05)
    assert np.log2((coarse - middle) / (middle - fine)) == pytest.approx(2.0, abs=0.05)
    assert abs(fine - exact) < 1.1 * abs(fine - middle) / 3


@pytest.mark.parametrize("mode", ["exact", "hall"])
def test_the_direction_of_hall_angles_matters(mode):
    """Along x, the current direction, nothing is deflected: R = rho to round-off."""
    region = {**METAL, "theta_mode": mode, "override": {"hall_angles": [1.0, 0.0, 0.0]}}
    table = bar(3, "hex", {"left": volts(1e-3), "right": volts(0)}, region)
    current = 1e-3 * SIGMA * HEIGHT * DEPTH / LENGTH
    assert contact(run(table), "left")[1] == pytest.approx(current, rel=1e-10)


def cross(path: Path, n: int) -> Path:
    """Write a plane Hall cross in x and z: a square with four arms thrice as long as wide."""
    with gmsh_file(path) as gmsh:
        geo = gmsh.model.geo
        points = [geo.addPoint(x, z, 0) for x, z in ((-5, -5), (5, -5), (5, 5), (-5, 5))]
        lines = [geo.addLine(p, q) for p, q in zip(points, points[1:] + points[:1], strict=True)]
        for line in lines:
            geo.mesh.setTransfiniteCurve(line, n + 1)
        square = geo.addPlaneSurface([geo.addCurveLoop(lines)])
        geo.mesh.setTransfiniteSurface(square)
        geo.mesh.setRecombine(2, square)
        surfaces, ends = [square], {}
        away = {"bottom": (0, -30), "right": (30, 0), "top": (0, 30), "left": (-30, 0)}
        for line, (name, (x, z)) in zip(lines, away.items(), strict=True):
            end, arm, *_ = geo.extrude([(1, line)], x, z, 0, numElements=[3 * n], recombine=True)
            surfaces.append(arm[1])
            ends[name] = end[1]
        geo.synchronize()
        gmsh.model.addPhysicalGroup(2, surfaces, name="metal")
        for name, line in ends.items():
            gmsh.model.addPhysicalGroup(1, [line], name=name)
        gmsh.model.mesh.generate(2)
    return path


@pytest.mark.parametrize("theta", [0.01, 0.3, -2.0])
def test_a_hall_cross_with_long_arms_shows_the_whole_hall_voltage(tmp_path, theta):
    """V_top - V_bottom = theta I/sigma: edges leave the current as it is without Hall effect.

    The contacts short-circuit a part of the order exp(-3 pi) at arms of three widths; the rest
    is discretisation, of order h^2 as at the corners of the plate.
    """

    def error(n: int) -> float:
        region = {**METAL, "override": {"hall_angles": [0.0, theta, 0.0]}}
        solution = run(
            {
                "mesh": {"file": str(cross(tmp_path / f"{n}.msh", n))},
                "regions": {"metal": region},
                "drive": {
                    "electrodes": {
                        "left": volts(1e-3),
                        "right": volts(0),
                        "top": FLOATING,
                        "bottom": FLOATING,
                    }
                },
                "solver": {"order": 2},
            }
        )
        hall = contact(solution, "top")[0] - contact(solution, "bottom")[0]
        return hall * SIGMA / contact(solution, "left")[1] / theta - 1

    coarse, fine = error(4), error(8)
    shorted = 2 * np.exp(-3 * np.pi)
    assert abs(fine - (coarse - fine) / 3) < shorted
    assert abs(fine) < 1.1 * abs(coarse - fine) / 3 + shorted


# --------------------------------------------------------------------- polarisation and energy


POLARISATION, DECAY = 0.5, 3e-9
FERROMAGNET = {**METAL, "kind": "F", "polarisation": POLARISATION}
TILTED = np.array([2.0, -1.0, 2.0]) / 3


def magnetic_bar(dimension: int, cell: str, spin: str, n: int, order: int = 2):
    first, last = ends(dimension)
    electrodes = {first: {**volts(1e-3), "spin": spin}, last: {**volts(0), "spin": spin}}
    table = bar(dimension, cell, electrodes, FERROMAGNET, n, order, across=1)
    table["magnetization"] = {"direction": TILTED.tolist()}
    return run(table)


@pytest.mark.parametrize(("dimension", "cell"), CELLS)
def test_electrodes_drive_a_spin_current_p_times_the_charge_current(dimension, cell):
    """Between spin sinks mu^a = 0 solves the problem: J^a = -P m^a J^0, and R is that of P = 0.

    P is that of the moments of the carriers, opposite to their spins.
    """
    solution = magnetic_bar(dimension, cell, "sink", 3)
    first, _ = ends(dimension)
    section = {1: 1.0, 2: HEIGHT, 3: HEIGHT * DEPTH}[dimension]
    assert contact(solution, first)[1] == pytest.approx(1e-3 * SIGMA * section / LENGTH, rel=1e-10)
    state, space = solution.transport.state, solution.device.space
    c = state.coefficients["metal"]
    flux = flux_density(c, cell_integrals(space, c, state.mu, "metal"))
    along = flux[:, 2 if dimension == 1 else 0]
    scale = np.abs(along[:, 0]).max()
    expected = -np.outer(along[:, 0], POLARISATION * TILTED)
    np.testing.assert_allclose(along[:, 1:], expected, rtol=0, atol=1e-10 * scale)
    assert scale > 0


@pytest.mark.parametrize("dimension", [1, 2])
def test_blocked_spin_raises_the_resistance_by_the_spin_accumulation_at_the_ends(dimension):
    """R/R_0 = 1 + 2 P^2/(1 - P^2) (l/L) tanh(L/2l), l the spin diffusion length.

    Q2 elements converge like h^4 in the resistance, so a fifteenth of the change from n to 2 n
    cells is the error; the factor 2 covers the next order.
    """
    decay = DECAY
    extra = 2 * POLARISATION**2 / (1 - POLARISATION**2) * decay / LENGTH
    exact = 1 + extra * np.tanh(LENGTH / (2 * decay))
    section = 1.0 if dimension == 1 else HEIGHT
    first, _ = ends(dimension)

    def ratio(n: int) -> float:
        solution = magnetic_bar(dimension, "line" if dimension == 1 else "quad", "blocked", n)
        return 1e-3 * SIGMA * section / LENGTH / contact(solution, first)[1]

    coarse, fine = ratio(32), ratio(64)
    assert np.log2((coarse - exact) / (fine - exact)) == pytest.approx(4.0, abs=0.2)
    assert abs(fine - exact) < 2 * abs(fine - coarse) / 15


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("mode", ["exact", "hall"])
def test_the_power_is_positive_and_equals_the_dissipation(seed, mode):
    """Sum of V I = half the quadratic form of the transport operator, whatever the coefficients.

    mu^0 = 2 q V counts both spins, hence the half.
    """
    rng = np.random.default_rng(seed)

    def numbers(scale, *shape):
        return (scale * rng.normal(size=shape)).tolist()

    axis = rng.normal(size=3)
    region = {
        **FERROMAGNET,
        "theta_mode": mode,
        "polarisation": (0.7 * axis / np.linalg.norm(axis)).tolist(),
        "override": {
            "hall_angles": numbers(0.5, 3),
            "larmor_angles": numbers(0.5, 3),
            "spin_hall_angles": numbers(0.3, 3, 3),
            "omega": [f"{x} 1/ps" for x in numbers(20.0, 3)],
            "gauge": [[f"{x} 1/nm" for x in row] for row in numbers(0.3, 3, 3)],
        },
    }
    table = bar(3, "tet", {"left": volts(1e-3), "right": volts(-2e-3)}, region)
    solution = run(table)
    power = sum(np.prod(contact(solution, name)) for name in ("left", "right"))
    state, space = solution.transport.state, solution.device.space
    mu = state.mu.ravel()
    dissipated = 0.5 * mu @ (block_matrix(space, state.blocks) @ mu) * ENERGY / TIME
    assert power > 0
    assert dissipated == pytest.approx(power, rel=1e-10)


def test_every_part_that_no_charge_can_reach_has_its_own_zero_of_the_potential():
    """Two metals apart from each other by an insulator: solvable, each like on its own."""
    metal = {
        "kind": "HM",
        "dos": "5e46 1/(J*m^3)",
        "diffusion_constant": "8e-4 m^2/s",
        "spin_diffusion_length": "1.5 nm",
        "spin_hall_angle": 0.1,
    }
    table = {
        "structure": {
            "layers": [
                {"region": "A", "thickness": "4 nm"},
                {"region": "gap", "thickness": "2 nm"},
                {"region": "B", "thickness": "6 nm"},
            ]
        },
        "regions": {"A": metal, "gap": {"kind": "FI"}, "B": metal},
        "drive": {"electric_field": ["1e5 V/m", "0 V/m", "0 V/m"]},
    }
    both = solve(build_device(case_from_table(table)))
    for name, thickness in (("A", "4 nm"), ("B", "6 nm")):
        alone = solve(
            build_device(
                case_from_table(
                    {
                        "structure": {"layers": [{"region": name, "thickness": thickness}]},
                        "regions": {name: metal},
                        "drive": table["drive"],
                    }
                )
            )
        )
        space = both.device.space
        dofs = np.unique(space.dofs[space.in_region(name)])
        found, expected = both.transport.state.mu[dofs], alone.transport.state.mu
        np.testing.assert_allclose(found, expected, atol=1e-12 * np.abs(expected).max())


@pytest.fixture
def one_layer_electrodes(monkeypatch):
    """Electrodes of a 2D stack of Cu under Pt: left on the Pt side only, right on Cu only."""
    build = pipeline._structure

    def structure(*args):
        whole = build(*args)
        faces = dict(whole.faces)
        for name, region in (("left", "Pt"), ("right", "Cu")):
            cells = whole.mesh.f2t[0, faces[name]]
            mine = whole.region_of_cell[cells] == whole.regions.index(region)
            faces[name] = faces[name][mine]
        return replace(whole, faces=faces)

    monkeypatch.setattr(pipeline, "_structure", structure)


def bilayer_between_electrodes(contact):
    metal = {
        "kind": "HM",
        "dos": "5e46 1/(J*m^3)",
        "conductivity": "5e6 S/m",
        "spin_diffusion_length": "1.5 nm",
    }
    table = {
        "structure": {
            "dimension": 2,
            "width": "6 nm",
            "cells_x": 12,
            "lateral": "insulating",
            "layers": [{"region": n, "thickness": "3 nm", "cells": 6} for n in ("Cu", "Pt")],
        },
        "regions": {"Cu": metal, "Pt": metal},
        "drive": {"electrodes": {"left": {"voltage": "1 mV"}, "right": {"voltage": "0 V"}}},
        "interfaces": {"Pt|Cu": contact} if contact else {},
    }
    return solve(build_device(case_from_table(table)))


@pytest.mark.parametrize(
    "contact", [{}, {"contact_conductance": "1e15 S/m^2"}, {"contact_spin_conductance": "1e15 S/m^2"}]
)
def test_all_current_crosses_the_interface_though_an_electrode_ends_on_it(one_layer_electrodes, contact):
    """Charge is conserved by the discrete currents: electrode, interface, electrode."""
    values = bilayer_between_electrodes(contact).values
    current = values["electrodes.left.current"]
    assert current > 0
    # From Pt down into Cu: against the positive direction, Cu to Pt.
    crossing = -values["interfaces.Pt|Cu.charge_current"] * 6e-9
    np.testing.assert_allclose(crossing, current, rtol=1e-10)
    np.testing.assert_allclose(values["electrodes.right.current"], -current, rtol=1e-10)


def test_spin_contact_leaves_the_charge_problem_alone(one_layer_electrodes):
    """mu^0 is continuous across it, also at the edge where an electrode covers one side."""
    plain = bilayer_between_electrodes({}).values
    spin = bilayer_between_electrodes({"contact_spin_conductance": "1e15 S/m^2"}).values
    key = "electrodes.left.current"
    np.testing.assert_allclose(spin[key], plain[key], rtol=1e-10)


@pytest.mark.parametrize("conductance", ["1e13 S/m^2", "1e15 S/m^2", "1e17 S/m^2"])
@pytest.mark.parametrize("order", [1, 2])
def test_electrode_that_ends_on_a_contact_feeds_what_the_other_takes(conductance, order):
    """Currents add up to zero, and none stays in the metal behind the contact."""
    table = {
        "mesh": {"file": str(ROOT / "meshes/strip_2d.msh"), "length_unit": "nm"},
        "regions": {"YIG": {"kind": "FI"}, "F": METAL, "Pt": METAL | {"spin_hall_angle": 0.1}},
        "interfaces": {"Pt|F": {"contact_conductance": conductance}},
        "drive": {"electrodes": {"left": volts(1e-3), "right": volts(0)}},
        "solver": {"order": order},
    }
    device = build_device(case_from_table(table))
    found = solve(device)
    left, right = (found.values[f"electrodes.{k}.current"] for k in ("left", "right"))
    assert abs(left + right) < 1e-9 * abs(left)
    passing = found.values["interfaces.F|Pt.charge_current"] * device.structure.interfaces["F|Pt"].area * 1e-9
    assert abs(passing) < 1e-9 * abs(left)
    functionals = device_functionals(device, found.transport)
    shifted = 0.1 * np.random.default_rng(1).normal(size=found.transport.state.mu.shape)
    state = replace(found.transport.state, mu=found.transport.state.mu + shifted)
    moved = flat_numbers(
        discretised_numbers(device, transport_of(device, found.transport.m, found.transport.fields, state))
    )
    for name in ("electrodes.left.current", "interfaces.F|Pt.charge_current"):
        weights = functionals[name].weights * shifted
        change = moved[name] - found.values[name]
        assert abs(change - weights.sum()) < 1e-10 * np.abs(weights).sum()


@pytest.mark.parametrize(("dimension", "cell"), [(2, "quad"), (2, "tri"), (3, "tet")])
@pytest.mark.parametrize("order", [1, 2])
def test_field_along_a_periodic_direction_of_a_plain_metal_gives_no_potential(dimension, cell, order):
    """The loads of the cells cancel to round-off; there is nothing to solve for."""
    table = bar(dimension, cell, {}, order=order)
    table["structure"]["lateral"] = "periodic"
    table["drive"] = {"electric_field": ["1e5 V/m", "0 V/m", "0 V/m"]}
    found = simulate(case_from_table(table))
    assert np.abs(found.transport.state.mu).max() < 1e-9
    assert found.errors is not None
    current = found.values["charge_current_density.metal.x"]
    assert abs(current - SIGMA * 1e5) < 1e-9 * current
