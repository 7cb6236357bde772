"""Transport in frequency and time: exact solutions, balance with storage, order, stability."""

from __future__ import annotations

import csv
import json
import math

import numpy as np
import pytest
from marks import slow
from reference import CASES, PAPER, case_table, region_table

from femspin import build_device, case_from_table, simulate
from femspin.errors import CaseError, SolverError
from femspin.fields.soc import cross_matrix
from femspin.interface.currents import interface_currents
from femspin.transport.harmonic import solve_harmonic, solve_harmonics
from femspin.transport.layers.stack import StackCase, StackLayer, solve_stack
from femspin.transport.storage import region_inflow, storage_system
from femspin.transport.transient import solve_transient
from femspin.units import DOS, FLUX


def built(table):
    """Return the device of a case table, its fields and its laws."""
    device = build_device(case_from_table(table))
    return device, device.fields(device.direction), device.laws(device.direction)


def stack(name, cells=None, order=2, **solver):
    table = case_table(CASES[name]) | {"solver": PAPER | {"order": order} | solver}
    for layer in table["structure"]["layers"]:
        if cells is not None:
            layer["cells"] = cells
    return table


def currents(device, state, mu_dot=None):
    face = device.structure.interfaces["HM|F"]
    return interface_currents(device.space, state, device.share, face, device.conductors, mu_dot=mu_dot)


def rms(device, fields, mu):
    return storage_system(device.problem, fields).size(mu)


# ------------------------------------------------------------------ frequency
@pytest.mark.parametrize("frequency", [1e11, 1e12, 1e13, 1e14])
def test_diffusive_layer_admits_minus_nu_d_kappa_tanh(frequency):
    """kappa^2 = (rate + iW)/D on a layer that is insulated below, for mu given at its top."""
    nu, D, length, rate = 5e46, 2e-4, 3e-9, 4e12
    layer = CASES["C19"]["inputs"]["layers"][0] | {
        "nu": nu,
        "D": D,
        "a": np.zeros((3, 3)).tolist(),
        "omega": [0.0] * 3,
        "rate": (rate * np.eye(3)).tolist(),
    }
    device, fields, laws = built(
        {
            "structure": {"layers": [{"region": "F", "thickness": f"{length!r} m", "cells": 150}]},
            "regions": {"F": region_table(layer)},
            "interfaces": {"top": {"spin_potential": ["1 meV", "2 meV", "-1 meV"]}},
        }
    )
    state = solve_harmonic(device.problem, fields, laws, frequency)
    c = state.coefficients["F"]
    inflow = region_inflow(device.space, "F", c, state.mu, state.mu_low, state.mu_dot)
    out = -(device.share["F"].weights["top"] @ inflow)[1:]
    kappa = np.sqrt((rate + 1j * frequency) / D) * 1e-9
    law = -c.dos * c.diffusion * kappa * np.tanh(kappa * length / 1e-9)
    np.testing.assert_allclose(out, law * np.array([1, 2, -1]), rtol=1e-8)


@pytest.mark.parametrize("name", ["C06", "C08"])
@pytest.mark.parametrize("frequency", [1e11, 1e12, 1e13, 1e14, -3e13])
def test_harmonic_currents_equal_the_exact_stack_to_1e_6(name, frequency):
    """Default mesh, P2, everything on: flux and every part, relative to the largest part."""
    table = stack(name)
    if abs(frequency) > 0:
        table["frequency"] = {"angular_frequency": [f"{abs(frequency)!r} rad/s"]}
    device, fields, laws = built(table)
    state = solve_harmonic(device.problem, fields, laws, frequency)
    thickness = {x["name"]: x["L"] for x in CASES[name]["inputs"]["layers"]}
    layers = tuple(StackLayer(fields[n], thickness[n]) for n in ("F", "HM"))
    exact = solve_stack(StackCase(layers, frequency=frequency))
    expected, found = exact.split(0).parts(), currents(device, state)
    scale = max(np.abs(v).max() for v in expected.values())
    for part, value in expected.items():
        np.testing.assert_allclose(found.parts[part] * FLUX, value, rtol=0, atol=1e-6 * scale, err_msg=part)
    np.testing.assert_allclose(found.flux[1:] * FLUX, exact.interface_flux(1)[1:], rtol=0, atol=1e-6 * scale)
    assert np.abs(found.parts["T"].imag).max() > 0
    assert state.report.residual < 1e-13


@pytest.mark.parametrize("name", ["C06", "C07", "C08", "C17"])
@pytest.mark.parametrize(("cells", "order"), [(5, 1), (40, 1), (5, 2), (40, 2)])
def test_complex_parts_add_up_on_any_mesh(name, cells, order):
    device, fields, laws = built(stack(name, cells, order))
    for state in solve_harmonics(device.problem, fields, laws, [1e10, 1e13, 1e15]):
        assert currents(device, state).balance < 1e-12


def test_zero_frequency_gives_the_steady_solution():
    """And small W approaches it linearly."""
    device, fields, laws = built(stack("C06", 10))
    steady = device.problem.solve(fields, laws)
    scale = np.abs(steady.mu).max()
    still, slow, slower = solve_harmonics(device.problem, fields, laws, [0.0, 1e9, 1e8])
    np.testing.assert_allclose(still.mu, steady.mu, atol=1e-13 * scale)
    gaps = [np.abs(s.mu - steady.mu).max() / scale for s in (slow, slower)]
    assert gaps[0] < 1e-3
    assert gaps[0] / gaps[1] == pytest.approx(10, rel=1e-3)


def test_negative_frequency_gives_the_conjugate():
    device, fields, laws = built(stack("C08", 10))
    plus, minus = solve_harmonics(device.problem, fields, laws, [2e13, -2e13])
    np.testing.assert_allclose(minus.mu, plus.mu.conj(), atol=1e-13 * np.abs(plus.mu).max())


def test_frequency_that_is_not_finite_raises():
    device, fields, laws = built(stack("C06", 5))
    with pytest.raises(SolverError, match="frequency must be finite"):
        solve_harmonic(device.problem, fields, laws, math.inf)


# ------------------------------------------------------------------ decay, exact
@pytest.fixture(scope="module")
def decay():
    """The uniform decay of C19: device, fields, initial mu, exact mu of a time."""
    inputs = CASES["C19"]["inputs"]
    layer = inputs["layers"][0]
    device, fields, _ = built(
        {
            "structure": {"layers": [{"region": "F", "thickness": f"{layer['L']!r} m", "cells": 4}]},
            "regions": {"F": region_table(layer)},
        }
    )
    density = np.zeros((device.space.n_dofs, 4))
    density[:, 1:] = inputs["N0"]
    return device, fields, density / fields["F"].dos * DOS


def dark(_):
    return 0.0


@pytest.mark.parametrize("tolerance", [1e-3, 1e-5, slow(1e-7)])
def test_uniform_decay_matches_the_reference(decay, tolerance):
    """N(t) = exp(-t (Gamma - omega x + D K)) N0: errors stay below a tenth of the tolerance."""
    device, fields, initial = decay
    inputs, expected = CASES["C19"]["inputs"], np.array(CASES["C19"]["outputs"]["N"])
    scale = np.linalg.norm(inputs["N0"])
    result = solve_transient(device.problem, fields, None, [0.0, *inputs["t"]], initial, dark, tolerance)
    np.testing.assert_allclose(result.times, inputs["t"], rtol=0)
    for now, exact in zip(result.states, expected, strict=True):
        density = now.state.mu[:, 1:] * fields["F"].dos / DOS
        np.testing.assert_allclose(
            density, np.tile(exact, (len(density), 1)), rtol=0, atol=0.1 * tolerance * scale
        )


def test_fixed_steps_converge_at_third_order(decay):
    device, fields, initial = decay
    exact, time = np.array(CASES["C19"]["outputs"]["N"][1]), CASES["C19"]["inputs"]["t"][1]
    errors = []
    for n in (32, 64, 128):
        result = solve_transient(
            device.problem, fields, None, np.linspace(0, time, n + 1), initial, dark, None
        )
        assert (result.steps, result.factorisations) == (n, 1)
        density = result.states[-1].state.mu[:, 1:] * fields["F"].dos / DOS
        errors.append(np.abs(density - exact).max())
    orders = np.log2(np.array(errors[:-1]) / errors[1:])
    assert orders == pytest.approx(3, abs=0.1)


def test_reported_rate_of_change_is_the_exact_one_of_the_state(decay):
    """mu_dot is what the equation gives for the reported mu: no difference quotient in it."""
    device, fields, initial = decay
    f, k = fields["F"], np.array(CASES["C19"]["outputs"]["K"])
    generator = -(f.relaxation - cross_matrix(f.omega) + f.diffusion * k) * 1e-12
    result = solve_transient(device.problem, fields, None, [0, 1e-13], initial, dark, 1e-2)
    now = result.states[-1]
    np.testing.assert_allclose(
        now.mu_dot[:, 1:], now.state.mu[:, 1:] @ generator.T, atol=1e-10 * np.abs(now.mu_dot[:, 1:]).max()
    )


def test_huge_steps_damp_rough_states_without_oscillation(decay):
    """L-stability: one step of 1 us, 1e7 lifetimes, leaves nothing of noise on the mesh."""
    device, fields, _ = decay
    noise = np.random.default_rng(2).normal(size=(device.space.n_dofs, 4))
    result = solve_transient(device.problem, fields, None, [0, 1e-6, 2e-6], noise, dark, None)
    sizes = [np.abs(s.state.mu[:, 1:]).max() for s in result.states]
    assert sizes[0] < 1e-6
    assert sizes[1] < 1e-6 * sizes[0]


def test_huge_step_of_a_driven_stack_lands_on_the_steady_solution():
    device, fields, laws = built(stack("C06", 10))
    steady = device.problem.solve(fields, laws).mu
    result = solve_transient(device.problem, fields, laws, [0, 1e-3], tolerance=None)
    np.testing.assert_allclose(result.states[0].state.mu, steady, atol=1e-7 * np.abs(steady).max())


# ------------------------------------------------------------------ driven stacks
@pytest.mark.parametrize("name", [slow("C06"), "C07", "C08"])
def test_step_ends_in_the_steady_solution_and_balances_at_every_time(name):
    device, fields, laws = built(stack(name, 12))
    steady = device.problem.solve(fields, laws)
    result = solve_transient(device.problem, fields, laws, np.geomspace(1e-15, 1e-10, 30), tolerance=1e-4)
    found = [currents(device, s.state, s.mu_dot) for s in result.states]
    assert max(i.balance for i in found) < 1e-10
    assert np.abs(found[0].parts["T"]).max() > 1e-2 * np.abs(found[0].flux).max()
    np.testing.assert_allclose(
        result.states[-1].state.mu[:, 1:], steady.mu[:, 1:], atol=1e-9 * np.abs(steady.mu[:, 1:]).max()
    )


@pytest.mark.parametrize("name", [slow("C06"), "C07"])
def test_error_of_a_driven_stack_stays_below_the_tolerance(name):
    device, fields, laws = built(stack(name, 4, elements="plain"))
    times = np.linspace(0, 3e-14, 4)
    exact = solve_transient(device.problem, fields, laws, times, tolerance=1e-6)
    size = rms(device, fields, device.problem.solve(fields, laws).mu)
    for tolerance in (1e-3, 1e-4):
        result = solve_transient(device.problem, fields, laws, times, tolerance=tolerance)
        gaps = [
            rms(device, fields, a.state.mu - b.state.mu)
            for a, b in zip(result.states, exact.states, strict=True)
        ]
        assert max(gaps) < tolerance * size


@pytest.mark.parametrize("name", [slow("C06"), "C07"])
def test_oscillating_drive_follows_the_harmonic_amplitude(name):
    """From Re(mu) at t = 0, cos(Wt) gives Re(mu exp(iWt)) over half a period, with d_t mu."""
    device, fields, laws = built(stack(name, 4, elements="plain"))
    w = 5e12
    harmonic = solve_harmonic(device.problem, fields, laws, w)
    times = np.linspace(0, np.pi / w, 5)
    result = solve_transient(
        device.problem, fields, laws, times, harmonic.mu.real, lambda t: np.cos(w * t), 1e-5
    )
    scale = np.abs(harmonic.mu).max(axis=0)
    amplitude = currents(device, harmonic).flux
    for now in result.states:
        phase = np.exp(1j * w * now.time)
        expected = (harmonic.mu * phase).real
        np.testing.assert_allclose((now.state.mu - expected)[:, 1:], 0, atol=1e-4 * scale[1:].max())
        np.testing.assert_allclose(
            now.mu_dot[:, 1:],
            (harmonic.mu_dot * phase).real[:, 1:],
            atol=1e-3 * np.abs(harmonic.mu_dot[:, 1:]).max(),
        )
        i = currents(device, now.state, now.mu_dot)
        assert i.balance < 1e-10
        np.testing.assert_allclose(i.flux, (amplitude * phase).real, atol=1e-4 * np.abs(amplitude).max())


def test_pulse_is_the_difference_of_two_steps():
    """A named jump of the drive is hit exactly; prescribed potentials jump with it."""
    device, fields, laws = built(stack("C07", 4, elements="plain"))
    times, off = np.linspace(0, 5e-14, 5), 1.7e-14

    def run(times, drive, breaks=()):
        return (
            solve_transient(device.problem, fields, laws, times, None, drive, 1e-5, breaks)
            .states[-1]
            .state.mu[:, 1:]
        )

    pulse = run(times, lambda t: 1.0 if t < off else 0.0, [off])
    step, late = run(times, None), run([0, times[-1] - off], None)
    np.testing.assert_allclose(pulse, step - late, atol=2e-5 * np.abs(step).max())


@pytest.mark.parametrize(
    ("method", "order"), [("direct", 1), slow("direct", 2), slow("iterative", 1), slow("iterative", 2)]
)
def test_balance_with_storage_in_three_dimensions_between_electrodes(order, method):
    """An oscillating voltage across a block with free sides, harmonic and stepped."""
    table = stack("C06", 3, order)
    table["solver"]["method"] = method
    table["structure"] |= {
        "dimension": 3,
        "cell": "hex",
        "lateral": "insulating",
        "width": "6 nm",
        "cells_x": 3,
        "depth": "4 nm",
        "cells_y": 2,
    }
    for region in table["regions"].values():
        del region["override"]["electric_field"]
    table["drive"] = {"electrodes": {"left": {"voltage": "2 mV"}, "right": {"voltage": "0 V"}}}
    device, fields, laws = built(table)
    w = 2e13
    harmonic = solve_harmonic(device.problem, fields, laws, w)
    assert currents(device, harmonic).balance < 1e-10
    result = solve_transient(
        device.problem,
        fields,
        laws,
        np.linspace(0, 2e-13, 3),
        harmonic.mu.real,
        lambda t: np.cos(w * t),
        1e-3,
    )
    for now in result.states:
        assert now.state.report.method == method
        assert currents(device, now.state, now.mu_dot).balance < 1e-10
        expected = (harmonic.mu * np.exp(1j * w * now.time)).real
        scale = np.abs(harmonic.mu[:, 1:]).max()
        np.testing.assert_allclose(now.state.mu[:, 1:], expected[:, 1:], atol=1e-2 * scale)


def test_times_that_do_not_ascend_are_refused(decay):
    device, fields, initial = decay
    for times in ([0.0], [0.0, 0.0], [0.0, math.nan]):
        with pytest.raises(ValueError, match="times must be"):
            solve_transient(device.problem, fields, None, times, initial)
    with pytest.raises(ValueError, match="initial must have shape"):
        solve_transient(device.problem, fields, None, [0, 1e-12], initial[:2])


# ------------------------------------------------------------------ case files
def test_frequency_table_writes_complex_currents(tmp_path):
    """10 GHz is W = 2 pi 1e10; re and im in result.json equal the csv and the exact stack."""
    table = stack("C06") | {"frequency": {"frequency": ["10 GHz", "2 THz"]}}
    solution = simulate(case_from_table(table))
    folder = solution.write(tmp_path / "out")
    result = json.loads((folder / "result.json").read_text())
    entry = result["frequency"]["1"]
    assert entry["angular_frequency"] == pytest.approx(4e12 * np.pi)
    assert entry["interfaces"]["HM|F"]["balance_residual"] < 1e-10
    flux = entry["interfaces"]["HM|F"]["spin_current"]
    with (folder / "frequency.csv").open() as stream:
        rows = [r for r in csv.DictReader(stream) if r["part"] == "total"]
    assert [float(r["frequency [Hz]"]) for r in rows] == pytest.approx([1e10, 2e12])
    for c in ("re", "im"):
        found = [float(rows[1][f"{c} J^{a} [A/m^2 (hbar/2e)]"]) for a in "xyz"]
        assert found == pytest.approx(flux[c]["value"], rel=1e-12)
        assert max(flux[c]["error"]) < 1e-3 * max(map(abs, flux[c]["value"]))
    assert solution.values["frequency.1.interfaces.HM|F.spin_current.im.y"] == flux["im"]["value"][1]
    assert (folder / "frequency.png").stat().st_size > 1000
    rerun = simulate(case_from_table(table))
    assert rerun.values["frequency.1.interfaces.HM|F.spin_current.im.y"] == flux["im"]["value"][1]


@pytest.mark.parametrize("drive", ["step", "pulse", slow("off")])
def test_transient_table_writes_history_and_fields(drive, tmp_path):
    """A step ends near the steady currents, the others near zero; T is in the balance."""
    table = stack("C06", 6, elements="plain") | {
        "transient": {
            "duration": "2 ps",
            "output_interval": "50 fs",
            "drive": drive,
            "frames": 4,
            "tolerance": 1e-3,
        }
    }
    if drive == "pulse":
        table["transient"]["pulse_length"] = "100 fs"
    solution = simulate(case_from_table(table))
    folder = solution.write(tmp_path / "out")
    result = json.loads((folder / "result.json").read_text())["transient"]
    assert result["largest_balance_residual"] < 1e-10
    assert result["outputs"] == 40
    with (folder / "transient.csv").open() as stream:
        rows = [r for r in csv.DictReader(stream) if r["part"] == "total"]
    assert len(rows) == 40
    assert [float(r["time [s]"]) for r in rows][::39] == pytest.approx([5e-14, 2e-12])
    assert float(rows[0]["drive"]) == (0.0 if drive == "off" else 1.0)
    steady = solution.interface("HM|F").flux[1:]
    final = solution.response.interfaces[-1]["HM|F"].flux[1:]
    expected = steady if drive == "step" else 0 * steady
    np.testing.assert_allclose(final, expected, atol=1e-4 * np.abs(steady).max())
    assert (folder / "fields.pvd").read_text().count("DataSet ") == 4
    assert (folder / "transient.png").stat().st_size > 1000


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"frequency": {}}, r"frequency\.frequency.*either frequency or angular_frequency"),
        ({"frequency": {"angular_frequency": ["10 GHz"]}}, r"angular_frequency\.0.*rad/s"),
        ({"frequency": {"frequency": ["-1 GHz"]}}, r"frequency\.0.*must be >= 0"),
        ({"frequency": {"frequency": []}}, r"frequency\.frequency"),
        ({"transient": {}}, r"transient\.duration"),
        ({"transient": {"duration": "1 ps", "drive": "pulse"}}, r"transient\.pulse_length.*comes"),
        ({"transient": {"duration": "1 ps", "pulse_length": "1 fs"}}, r"pulse_length.*comes with"),
        (
            {"transient": {"duration": "1 ps", "drive": "pulse", "pulse_length": "2 ps"}},
            r"pulse_length.*shorter",
        ),
        ({"transient": {"duration": "1 ps", "output_interval": "2 ps"}}, r"output_interval.*at most"),
        (
            {"transient": {"duration": "1 ps"}, "frequency": {"frequency": ["1 GHz"]}},
            r"transient.*a case has one of \[dynamics\], \[frequency\], \[transient\]",
        ),
        ({"dynamics": {}, "frequency": {"frequency": ["1 GHz"]}}, r"frequency|dynamics"),
        (
            {"frequency": {"frequency": ["1 GHz"]}, "solver": {"method": "stack"}},
            r"frequency.*needs the finite elements",
        ),
    ],
)
def test_wrong_time_tables_say_where_and_what(change, message):
    with pytest.raises(CaseError, match=message):
        simulate(case_from_table(stack("C06", 4) | change))
