"""Fits recover what made the data, say how well, and say what the data do not tell."""

from __future__ import annotations

import copy
import csv
import json
import os
import tomllib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from marks import slow
from matplotlib.figure import Figure
from scipy.stats import chi2 as chi2_distribution

from femspin import case_from_table, simulate
from femspin.case.toml import to_toml
from femspin.cli.fit import _signs
from femspin.cli.main import main
from femspin.device.coefficients import extrapolated_derivative
from femspin.device.observables.said import GROUPS
from femspin.device.observables.stack import numbers_below
from femspin.errors import CaseError, SolverError
from femspin.studies.fit import Fit, build_model, fit_model, fit_summary, load_fit, write_fit
from femspin.studies.fit.plot import plot_fit

CASES = Path(__file__).parents[1] / "cases"
SHIPPED = CASES / "fit_smr_torque.toml"
TRUTH = {
    "regions.Pt.spin_hall_angle": 0.1,
    "regions.Pt.spin_diffusion_length": 1.1e-9,
    "regions.F.kondo.exchange_energy": 0.29e-3 * 1.602176634e-19,
    "regions.F.kondo.curie_temperature": 16.6,
}

ANGLE, LENGTH = "regions.Pt.spin_hall_angle", "regions.Pt.spin_diffusion_length"
CURRENT = "interfaces.Pt|F.spin_current.y"
NEAR = {ANGLE: {"start": 0.102, "min": 0.01, "max": 0.5}, LENGTH: {"start": "1.12 nm", "log": True}}

BLANK = ("femspin.studies.fit.plot.plot_fit", lambda _: (Figure(), None))


@pytest.fixture(scope="module")
def case():
    return tomllib.loads(SHIPPED.read_text(encoding="utf-8"))["case"]


@pytest.fixture(scope="module", params=[2, slow(4)])
def shipped(request):
    """Return the shipped fit, found from the truth in half the steps of its own start."""
    model = shipped_model(request.param)
    parameters = tuple(replace(p, start=TRUTH[p.name]) for p in model.parameters)
    return fit_model(replace(model, parameters=parameters))


def shipped_model(count):
    """Return the model of the shipped fit of its first parameters; the case holds the others."""
    fit = load_fit(SHIPPED)
    kept = dict(list(fit.parameters.items())[:count])
    return build_model(fit.model_copy(update={"parameters": kept}), CASES)


def small(case, folder, parameters=None, rows=None, **entry):
    """Return the table of a fit of the spin current against the Pt thickness."""
    rows = rows or [(t, -2e9) for t in (1.0, 1.5, 2.0, 3.0, 4.0, 6.0, 8.0)]
    with (folder / "d.csv").open("w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(["d [nm]", "js [A/m**2]"])
        writer.writerows(rows)
    data = {
        "file": "d.csv",
        "x": {"column": "d", "path": "structure.layers.Pt.thickness"},
        "y": {"column": "js", "result": CURRENT},
        "sigma": {"relative": 0.02},
        **entry,
    }
    default = {ANGLE: {"start": 0.12, "min": 0.01, "max": 0.5}, LENGTH: {"start": "1.4 nm", "log": True}}
    return {
        "case": copy.deepcopy(case),
        "parameters": parameters or default,
        "data": [{k: v for k, v in data.items() if v is not None}],
    }


def model_of(table, folder):
    return build_model(Fit.model_validate(table), folder)


def with_data(model, y, sigma):
    """Return a model of one data set with other data."""
    (only,) = model.sets
    measured = replace(only.measured, y=y, sigma=np.full(len(y), sigma))
    return replace(model, sets=(replace(only, measured=measured),))


# ---------------------------------------------------------------- the model


def test_numbers_are_those_of_a_run_but_for_its_sampling(case):
    """The run samples mu on a mesh with 18 cells per decay length; Simpson's rule errs by 1e-7."""
    from femspin.device.coefficients import case_coefficients
    from femspin.device.stack_problem import StackState, stack_case, stack_problem
    from femspin.transport.layers.stack import solve_stack

    flipped = {**case, "structure": {"layers": case["structure"]["layers"][::-1]}}
    metal = {**case, "interfaces": {"EuS|F": {"G_r": "1e14 S/m^2", "G_i": "2e13 S/m^2"}}}
    for table in (case, flipped, metal):
        whole = case_from_table(table)
        run, problem = simulate(whole).values, stack_problem(whole)
        c = case_coefficients(whole)
        found = numbers_below(GROUPS, StackState(problem, solve_stack(stack_case(problem, c)), c))
        # Both balance to round-off, which is not the same in both.
        shared = [k for k in found if k in run and not k.endswith("balance_residual")]
        assert len(shared) > 100
        for name in shared:
            like = max(abs(run[k]) for k in shared if family(k) == family(name))
            assert found[name] == pytest.approx(run[name], rel=1e-6, abs=1e-9 * like), name


def family(name):
    """Return what a number is, without the component and the region or interface."""
    return next(part for part in reversed(name.split(".")) if part not in "xyz")


@pytest.mark.parametrize(
    ("result", "unit"),
    [
        (CURRENT, "A/m**2"),
        slow("torques.F.efficiency_damping_like", ""),
        ("observables.charge.longitudinal_resistivity", "ohm*m"),
        slow("observables.interfaces.Pt|F.spin_memory_loss", ""),
        slow("conductances.F.G_i", "S/m**2"),
        slow("interfaces.Pt|F.parts.M.x", "A/m**2"),
        ("regions.F.moments.spin", ""),
    ],
)
def test_jacobian_is_the_derivative_of_the_values(case, tmp_path, result, unit):
    """Linear columns, ratios, resistivities, a turning magnetization and a free factor."""
    rows = [(20.0, 1.0), (50.0, 1.0), (80.0, 1.0)]
    parameters = {
        ANGLE: {"start": 0.12},
        LENGTH: {"start": "1.4 nm"},
        "regions.F.kondo.exchange_energy": {"start": "0.2 meV", "log": True},
        "structure.layers.F.thickness": {"start": "0.4 nm"},
        "drive.temperature": {"start": "9 K"},
    }
    table = small(
        case,
        tmp_path,
        parameters,
        rows,
        scale=True,
        x={"column": "d", "angle": {"plane": "xy"}, "unit": "deg"},
        y={"column": "js", "result": result, "unit": unit},
    )
    model = model_of(table, tmp_path)
    x = [p.start for p in model.parameters]
    x[-1] = 0.7  # the factor
    exact, values = model.jacobian(x), model.values(x)
    for k, p in enumerate(model.parameters):
        (compared,), _ = extrapolated_derivative(
            lambda v, k=k, m=model, x=x: [m.values([*x[:k], v, *x[k + 1 :]])], x[k], abs(x[k])
        )
        scale = np.abs(compared).max() + np.abs(values).max() / abs(x[k])
        # The inner differences stop at 1e-10 of a change by the parameter itself.
        assert np.abs(exact[:, k] - compared).max() < 1e-8 * scale, p.name


def test_exact_data_give_back_the_truth(case, tmp_path):
    model = model_of(small(case, tmp_path), tmp_path)
    truth = [0.1, 1.1e-9]
    result = fit_model(with_data(model, model.values(truth), 1e6))
    np.testing.assert_allclose(result.values, truth, rtol=1e-7)
    assert result.chi2 < 1e-6
    assert result.dof == 5


# ---------------------------------------------------------------- statistics


@pytest.mark.slow
def test_pulls_over_seeds_have_mean_zero_and_variance_one(case, tmp_path):
    """Of 40 normal pulls the mean has the width 1/sqrt(40) and the squares add up to chi2(40).

    Noise of 0.5 % keeps the problem linear: the standard errors are 1 %, so that curvature
    shifts a pull by about 0.01.  Limits: two-sided probability 1e-3 each.
    """
    parameters = {ANGLE: {"start": 0.102}, LENGTH: {"start": "1.12 nm", "log": True}}
    rows = [(t, 1.0) for t in (1.0, 2.0, 3.0, 4.0, 6.0)]
    model = model_of(small(case, tmp_path, parameters, rows), tmp_path)
    truth = np.array([0.1, 1.1e-9])
    exact = model.values(truth.tolist())
    sigma, pulls = 0.005 * float(np.abs(exact).max()), []
    for seed in range(40):
        noise = sigma * np.random.default_rng(seed).standard_normal(len(exact))
        result = fit_model(with_data(model, exact + noise, sigma))
        pulls.append((result.values - truth) / result.errors)
    mean, squares = np.mean(pulls, axis=0), np.sum(np.square(pulls), axis=0)
    assert np.all(np.abs(mean) < 3.29 / np.sqrt(40))
    assert np.all(squares > chi2_distribution.ppf(5e-4, 40))
    assert np.all(squares < chi2_distribution.ppf(1 - 5e-4, 40))


def test_the_shipped_fit_covers_the_truth(shipped):
    names = [p.name for p in shipped.model.parameters]
    assert names == list(TRUTH)[: len(names)]
    pull = (shipped.values - np.array([TRUTH[n] for n in names])) / shipped.errors
    assert np.all(np.abs(pull) < 2.5)
    assert shipped.absolute
    assert shipped.dof == 27 - len(names)
    assert 1e-3 < shipped.probability < 1 - 1e-3
    assert shipped.chi2 == pytest.approx(shipped.set_chi2(0) + shipped.set_chi2(1))


@pytest.mark.slow
def test_the_shipped_fit_ends_there_from_its_own_start(shipped):
    found = fit_model(shipped_model(len(shipped.values)))
    # Both stop at a change of chi2 by 1e-10 of itself; one standard error raises it by one.
    assert np.all(np.abs(found.values - shipped.values) < 2 * np.sqrt(1e-10 * shipped.chi2) * shipped.errors)


def test_standard_errors_are_the_inverse_curvature_of_chi2(shipped):
    """chi2 rises by one at one standard error along each principal direction (4 % noise)."""
    model, best = shipped.model, shipped.values
    scale = shipped.errors
    values, vectors = np.linalg.eigh(shipped.correlation)
    step = 0.02  # small: the third order of chi2 cancels between both sides
    for value, vector in zip(values, vectors.T, strict=True):
        away = step * np.sqrt(value) * vector * scale
        rise = [
            np.sum(((model.values((best + s * away).tolist()) - model.y) / model.sigma) ** 2) - shipped.chi2
            for s in (1, -1)
        ]
        # What is left out of J^T J is residual times second derivative, of relative order
        # error/value (at most 4 % here).
        assert np.mean(rise) == pytest.approx(step**2, rel=0.15)


def test_without_sigmas_errors_come_from_the_scatter(case, tmp_path):
    model = model_of(small(case, tmp_path, NEAR), tmp_path)
    exact = model.values([0.1, 1.1e-9])
    noise = np.array([1.0, -1, 1, -1, 1, -1, 1]) * 0.01 * exact
    rows = [(x, y) for x, y in zip(model.sets[0].measured.x, exact + noise, strict=True)]
    free = fit_model(model_of(small(case, tmp_path, NEAR, rows, sigma=None), tmp_path))
    known = fit_model(with_data(model, exact + noise, 0.01 * float(np.abs(exact).max())))
    np.testing.assert_allclose(free.values, known.values, rtol=1e-6)
    expected = known.errors * np.sqrt(known.reduced)
    np.testing.assert_allclose(free.errors, expected, rtol=1e-5)
    assert free.probability is None


def test_a_parameter_at_its_bound_is_reported(case, tmp_path):
    parameters = {ANGLE: {"start": 0.115, "min": 0.11}, LENGTH: {"start": "1.12 nm"}}
    model = model_of(small(case, tmp_path, parameters), tmp_path)
    result = fit_model(with_data(model, model.values([0.1, 1.1e-9]), 1e6))
    assert result.at_bound == (ANGLE,)
    assert np.isnan(result.errors[0])
    assert result.errors[1] > 0
    assert result.dof == 6


# ---------------------------------------------------------------- identifiability


def refused(table, folder):
    with pytest.raises(CaseError) as caught:
        fit_model(model_of(table, folder))
    assert caught.value.exit_code == 2
    return str(caught.value)


def test_what_only_a_combination_determines_is_named(case, tmp_path):
    """Field and free factor multiply each other: a relative change +1 : -1 does nothing."""
    parameters = {
        "drive.electric_field.0": {"start": "5e5 V/m", "log": True},
        LENGTH: {"start": "1.4 nm", "log": True},
    }
    message = refused(small(case, tmp_path, parameters, scale=True), tmp_path)
    assert "drive.electric_field.0 and scale of d separately" in message
    assert "+1 : -1" in message
    assert "spin_diffusion_length" not in message


def test_exchange_energy_and_density_are_one_where_only_precession_counts(case, tmp_path):
    """Precession sees n_m K_s alone, which is the exchange energy: G_i does not know n_m."""
    parameters = {
        "regions.F.kondo.coupling": {"start": "2.4e-50 J*m^3", "log": True},
        "regions.F.kondo.moment_density": {"start": "1.9e27 1/m^3", "log": True},
    }
    table = small(
        case,
        tmp_path,
        parameters,
        [(2.0, 1.0), (5.0, 1.0), (9.0, 1.0)],
        x={"column": "d", "path": "drive.temperature", "unit": "K"},
        y={"column": "js", "result": "regions.F.moments.exchange_energy", "unit": "J"},
    )
    del table["case"]["regions"]["F"]["kondo"]["exchange_energy"]
    message = refused(table, tmp_path)
    assert "regions.F.kondo.coupling and regions.F.kondo.moment_density separately" in message
    assert "relative change of +1 : -1" in message


def test_a_parameter_that_no_data_depend_on_is_named(case, tmp_path):
    parameters = {ANGLE: {"start": 0.1}, "drive.electric_field.2": {"start": "0 V/m"}}
    table = small(
        case, tmp_path, parameters, y={"column": "js", "result": "conductances.F.G_r", "unit": "S/m**2"}
    )
    message = refused(table, tmp_path)
    assert f"no data depend on {ANGLE} and drive.electric_field.2" in message


def test_too_few_rows_are_refused(case, tmp_path):
    assert "only 1 rows" in refused(small(case, tmp_path, rows=[(1.0, 1e9)]), tmp_path)
    rows = [(1.0, 1e9), (2.0, 1e9)]
    assert "no errors" in refused(small(case, tmp_path, rows=rows, sigma=None), tmp_path)


def test_a_number_that_does_not_exist_is_refused(case, tmp_path):
    """Torque efficiencies have no meaning for m along sigma."""
    table = small(
        case,
        tmp_path,
        rows=[(0.0, 1.0), (90.0, 1.0), (30.0, 1.0)],
        x={"column": "d", "angle": {"plane": "xy"}, "unit": "deg"},
        y={"column": "js", "result": "torques.F.efficiency_damping_like", "unit": ""},
    )
    with pytest.raises(SolverError, match=r"row 2.*does not exist"):
        fit_model(model_of(table, tmp_path))


# ---------------------------------------------------------------- files and messages


def test_the_result_folder_is_complete(shipped, tmp_path, monkeypatch):
    folder = write_fit(shipped, tmp_path / "out")
    monkeypatch.setattr(*BLANK)
    names = {p.name for p in folder.iterdir()}
    assert names == {"fit.json", "fit.csv", "fit.png", "result.json"}
    found = json.loads((folder / "fit.json").read_text(encoding="utf-8"))
    assert found["parameters"][ANGLE]["value"] == shipped.values[0]
    assert found["parameters"][ANGLE]["error"] == shipped.errors[0]
    assert np.allclose(np.diag(found["correlation"]["matrix"]), 1)
    assert found["errors_from"] == "the given sigmas"
    assert {"chi2", "dof", "reduced_chi2", "p_value", "status"} <= set(found)
    with (folder / "fit.csv").open(encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    assert len(rows) == 27
    first = rows[0]
    residual = (float(first["data"]) - float(first["model"])) / float(first["sigma"])
    assert float(first["residual / sigma"]) == pytest.approx(residual)
    assert write_fit(shipped, folder) == folder  # the same inputs take their own place
    held = json.loads((folder / "result.json").read_text(encoding="utf-8"))
    digest = next(k for k in held if "digest" in k)
    (folder / "result.json").write_text(json.dumps({**held, digest: "other"}), encoding="utf-8")
    with pytest.raises(CaseError, match="use --force"):
        write_fit(shipped, folder)
    assert write_fit(shipped, folder, overwrite=True) == folder


def test_the_picture_has_data_model_and_residuals_of_every_set(shipped):
    _, axes = plot_fit(shipped)
    assert axes.shape == (2, 2)
    for k in range(2):
        curve = axes[0, k].lines[-1].get_ydata()
        rows = shipped.model.rows(k)
        np.testing.assert_allclose(curve, shipped.predicted[rows])
        assert len(axes[0, k].containers) == 1
        assert axes[1, k].get_xlabel()


BROKEN = {
    "parameter": (
        ("regions.Pt.spin_hall_angle", "regions.Pt.spin_hal_angle"),
        "did you mean 'spin_hall_angle'",
    ),
    "region": (
        ("regions.Pt.spin_hall_angle", "regions.Ptt.spin_hall_angle"),
        "no region 'Ptt'; did you mean 'Pt'",
    ),
    "unit": (('start = "2 nm"', 'start = "2 K"'), "has a unit of another quantity; use m"),
    "bare": (('start = "2 nm"', "start = 2"), "must be text with a number and a unit of m"),
    "outside": (('start = "2 nm"', 'start = "20 nm"'), "must lie between min and max"),
    "discrete": (("regions.F.kondo.curie_temperature", "regions.F.kondo.spin"), "regions.F.kondo.spin"),
    "column": (('column = "Pt thickness"', 'column = "Pt thicknes"'), "did you mean 'Pt thickness'"),
    "result": (
        ("efficiency_damping_like", "efficiency_damping_lik"),
        "did you mean 'torques.F.efficiency_damping_like'",
    ),
    "result with a unit": (
        ("charge.transverse_resistivity", "charge.transverse_resistivty"),
        "did you mean 'observables.charge.transverse_resistivity'?",
    ),
    "table": (
        ("regions.F.kondo.exchange_energy", "regions.F.kondo"),
        "regions.F.kondo: is a table; name a number in it, as spin, moment_density",
    ),
    "region in another case": (
        ("regions.Pt.spin_hall_angle", "regions.pt.spin_hall_angle"),
        "no region 'pt'; did you mean 'Pt'?",
    ),
    "file": (("fit_smr_thickness.csv", "fit_smr_thicknes.csv"), "did you mean 'fit_smr_thickness.csv'"),
    "key": (("sigma = {", "sigmaa = {"), "did you mean 'sigma'"),
    "set": (('"drive.temperature" = "5 K"', '"drive.temprature" = "5 K"'), "did you mean 'temperature'"),
    "x path": (('path = "drive.temperature"', 'path = "drive.temperatur"'), "did you mean 'temperature'"),
    "x is a parameter": (
        ('path = "structure.layers.Pt.thickness"', f'path = "{LENGTH}"'),
        "is a parameter of the fit",
    ),
    "method": (('method = "stack"', 'method = "auto"'), 'needs solver.method = "stack"'),
    "case": (('kind = "FI"', 'kind = "FJ"'), "case.regions.EuS.kind"),
    "log": (("min = 0.01\n", "min = -0.01\nlog = true\n"), "a logarithm needs"),
    "quotes": (
        ('[parameters."regions.Pt.spin_hall_angle"]', "[parameters.regions.Pt.spin_hall_angle]"),
        "stands in quotes",
    ),
}


@pytest.mark.parametrize("slip", BROKEN)
def test_a_slip_is_one_line_before_any_fit(slip, tmp_path, capsys, monkeypatch):
    """Exit code 2, the closest match, no traceback, nothing written."""
    monkeypatch.setattr("femspin.cli.fit.fit_model", lambda model: pytest.fail("the fit began"))
    (old, new), message = BROKEN[slip]
    text = SHIPPED.read_text(encoding="utf-8")
    assert old in text
    data = f'file = "{(CASES / "data").as_posix()}/'
    file = tmp_path / "fit.toml"
    file.write_text(text.replace(old, new).replace('file = "data/', data), encoding="utf-8")
    assert main(["fit", str(file)]) == 2
    error = capsys.readouterr().err
    assert error.startswith("femspin: ")
    assert error.count("\n") == 1
    assert message in error
    assert list(tmp_path.iterdir()) == [file]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("d [nm],js [A/m**2]\n1,x\n", "row 1 of 'js' must be a finite number (got 'x')"),
        ("d [nm],js [A/m**2]\n1,nan\n", "no row has a number in each of its columns"),
        ("d [nm],js [A/m**2]\n1,inf\n", "row 1 of 'js' must be a finite number (got 'inf')"),
        ("d [nm];js [A/m**2]\n1,5;2.5\n", "has decimal points and commas in its numbers"),
        ("d [nm];js [A/m**2]\n1.000,5;2\n", "must be a finite number (got '1.000,5')"),
        ("d [nm],js [A/m**2]\n1\n", "row 1 has 1 cells, the head 2"),
        ("d [nm],js [A/m**2]\n", "needs a line of heads and at least one row"),
        ("d,js [A/m**2]\n1,1\n2,1\n", "must be text with a number and a unit of m"),
        ("d [nm],js\n1,1\n2,1\n", "is missing: interfaces.Pt|F.spin_current.y is in A/m^2"),
        ("d [nm],js [V]\n1,1\n2,1\n", "has a unit of another quantity"),
        ("d [nm],d [nm],js [A/m**2]\n1,1,1\n", "two columns 'd'"),
        ("d [nm],js [A/m**2]\n1,1\n-2,1\n", "row 2: at the value"),
        ("d [nm],js [A/m**2]\n1,1\n2,0\n", "must be > 0 (got 0 in row 2)"),
    ],
)
def test_a_wrong_file_is_one_line(case, tmp_path, text, message):
    table = small(case, tmp_path)
    (tmp_path / "d.csv").write_text(text)
    with pytest.raises(CaseError) as caught:
        model_of(table, tmp_path)
    assert message in str(caught.value)


SPELLINGS = {
    "semicolons": "d [nm];js [A/m**2];e [A/m**2]\n1.5;-2e9;4e7\n2;-3e9;5e7\n",
    "tabs": "d [nm]\tjs [A/m**2]\te [A/m**2]\n1.5\t-2e9\t4e7\n2\t-3e9\t5e7\n",
    "decimal commas": "d [nm];js [A/m**2];e [A/m**2]\n1,5;-2,0e9;4e7\n2;-3e9;5e7\n",
    "decimal commas and tabs": "d [nm]\tjs [A/m**2]\te [A/m**2]\n1,5\t-2e9\t,4e8\n2\t-3e9\t5e7\n",
    "quoted decimal commas": 'd [nm],js [A/m**2],e [A/m**2]\n"1,5",-2e9,4e7\n2,-3e9,5e7\n',
    "commas in unused cells": "d [nm];js [A/m**2];e [A/m**2];n\n1.5;-2e9;4e7;a, b\n2;-3e9;5e7;c\n",
    "gaps": "d [nm],js [A/m**2],e [A/m**2]\n1.5,-2e9,4e7\nnan,-2e9,1\n3,,1\n4,1,NA\n2,-3e9,5e7\n",
    "gaps elsewhere": "d [nm],js [A/m**2],e [A/m**2],f\n1.5,-2e9,4e7,nan\n2,-3e9,5e7,\n",
    "a byte order mark": "\ufeffd [nm];js [A/m**2];e [A/m**2]\r\n1.5;-2e9;4e7\r\n2;-3e9;5e7\r\n",
}


@pytest.mark.parametrize("name", SPELLINGS)
def test_tables_are_read_in_whatever_way_they_are_spelt(case, tmp_path, name):
    table = small(case, tmp_path, sigma={"column": "e"})
    (tmp_path / "d.csv").write_text(SPELLINGS[name], encoding="utf-8", newline="")
    measured = model_of(table, tmp_path).sets[0].measured
    assert measured.x.tolist() == [1.5, 2.0]
    assert measured.y.tolist() == [-2e9, -3e9]
    assert measured.sigma.tolist() == [4e7, 5e7]
    assert measured.rows == ((1, 5) if name == "gaps" else (1, 2))
    said = {"gaps": ["rows 2, 3, 4 left out: no number there"]}
    if "decimal" in name:
        said[name] = ["commas in numbers are decimal commas, like '1,5'"]
    assert list(measured.notes) == said.get(name, [])


def test_rows_keep_their_numbers_in_messages_when_others_are_left_out(case, tmp_path):
    table = small(case, tmp_path)
    (tmp_path / "d.csv").write_text("d [nm],js [A/m**2]\nnan,1\n-3,1\n")
    with pytest.raises(CaseError, match=r"data\.0\.x: row 2: "):
        model_of(table, tmp_path)


# ------------------------------------------------------------------ files that are no data


@pytest.mark.skipif(os.name != "posix", reason="needs pipes")
@pytest.mark.parametrize("which", ["data", "case"])
@pytest.mark.parametrize("kind", ["pipe", "device", "folder", "link to a pipe"])
def test_only_regular_files_are_read(case, tmp_path, which, kind):
    """A pipe would be waited for without end, and a device would fill the memory."""
    special = tmp_path / "special"
    if kind == "folder":
        special.mkdir()
    elif kind == "device":
        special.symlink_to("/dev/zero")
    else:
        os.mkfifo(tmp_path / "pipe")
        special.symlink_to("pipe")
        special = tmp_path / "pipe" if kind == "pipe" else special
    table = small(case, tmp_path)
    if which == "case":
        table["case"] = special.name
    else:
        table["data"][0]["file"] = special.name
    with pytest.raises(CaseError, match=r"is a folder|is a pipe or device, not a regular file"):
        model_of(table, tmp_path)


SECRETS = {
    "colons": "root:$y$j9T$SECRET:19000:0:99999:7:::\nbin:*:19000:0:99999:7:::\n",
    "prose": "SECRET, so to say\nand more of it, and more\n",
    "words": "SECRET,one\ntwo,three\n",
    "keys": "SECRET=1;other=2\nSECRET=3;other=4\n",
    "uneven": "SECRET,b,c\n1,2\n3\n",
}


@pytest.mark.parametrize("name", SECRETS)
def test_no_message_tells_what_stands_in_a_file_that_is_no_table(case, tmp_path, name):
    table = small(case, tmp_path)
    (tmp_path / "d.csv").write_text(SECRETS[name])
    with pytest.raises(CaseError) as caught:
        model_of(table, tmp_path)
    assert "SECRET" not in str(caught.value)
    assert "is no table" in str(caught.value)


def test_a_file_that_is_too_large_is_refused_while_it_is_read(case, tmp_path, monkeypatch):
    table = small(case, tmp_path)
    monkeypatch.setattr("femspin.studies.fit.data._LARGEST_FILE", 20)
    with pytest.raises(CaseError, match="is larger than"):
        model_of(table, tmp_path)


# ------------------------------------------------------------------ signs


EVEN = "observables.charge.transverse_resistivity"


def sign_fit(case, tmp_path, result, truth, parameters, **entry):
    """Return the fit of exact data of one result with a little known noise."""
    unit = "[ohm*m]" if result == EVEN else "[A/m**2]"
    table = small(case, tmp_path, parameters, **entry)
    table["data"][0]["y"] = {"column": "js", "result": result}
    table["data"][0]["sigma"] = {"relative": 0.02}
    rows = [(1.0, 1e-13), (2.0, 1e-13), (4.0, 1e-13)]

    def write(values):
        lines = [f"{t},{v!r}" for (t, _), v in zip(rows, values, strict=True)]
        (tmp_path / "d.csv").write_text("\n".join([f"d [nm],js {unit}", *lines]) + "\n")

    write([r[1] for r in rows])
    exact = model_of(table, tmp_path).values(truth)
    write((exact * [1.01, 0.99, 1.005]).tolist())
    return fit_model(model_of(table, tmp_path))


FREE = {"start": -0.12, "min": -0.5, "max": 0.5}


def test_the_sign_of_a_parameter_that_enters_squared_is_said_to_be_undetermined(case, tmp_path):
    """The magnetoresistance goes with theta^2; the spin current with theta."""
    even = sign_fit(case, tmp_path, EVEN, [0.1], {ANGLE: FREE})
    (mirror,) = even.mirrors
    assert mirror.names == (ANGLE,)
    assert even.values[0] == pytest.approx(-0.1, rel=0.03)
    assert mirror.values[0] == pytest.approx(-even.values[0], rel=1e-6)
    assert mirror.chi2 == pytest.approx(even.chi2, rel=1e-6)
    odd = sign_fit(case, tmp_path, CURRENT, [-0.1], {ANGLE: FREE})
    assert odd.values[0] == pytest.approx(-0.1, rel=0.03)
    assert odd.mirrors == ()


def test_a_bound_that_excludes_the_other_sign_determines_it(case, tmp_path):
    assert sign_fit(case, tmp_path, EVEN, [0.1], {ANGLE: {**FREE, "max": 0.0}}).mirrors == ()


def test_a_common_sign_is_found_where_no_sign_alone_is_free(case, tmp_path):
    """A factor in front of an odd result turns its sign with that of the spin Hall angle.

    The thickness at which theta^2 corrections matter tells the two apart, so that both fit.
    """
    result = sign_fit(case, tmp_path, CURRENT, [-0.3, 1.0], {ANGLE: {**FREE, "start": -0.29}}, scale=True)
    (mirror,) = result.mirrors
    assert mirror.names == (ANGLE, "scale of d")
    np.testing.assert_allclose(mirror.values, -result.values, rtol=1e-6)


def test_the_command_says_which_sign_is_undetermined(case, tmp_path, capsys):
    result = sign_fit(case, tmp_path, EVEN, [0.1], {ANGLE: FREE})
    _signs(result)
    message = capsys.readouterr().err
    assert f"the data do not determine the sign of {ANGLE}: {ANGLE} = 0." in message
    assert "fits as well" in message
    entry = fit_summary(result)["undetermined_signs"][0]
    assert entry["parameters"] == [ANGLE]
    assert entry["values"][ANGLE] == -result.values[0]


def test_units_of_files_are_converted(case, tmp_path):
    table = small(case, tmp_path, sigma={"column": "e"})
    (tmp_path / "d.csv").write_text("# a comment\nd [angstrom], js [MA/cm**2], e [kA/cm**2]\n20, -0.2, 4\n")
    (only,) = model_of(table, tmp_path).sets
    assert only.measured.y[0] == pytest.approx(-2e9)
    assert only.measured.sigma[0] == pytest.approx(4e7)
    assert only.cases[0].structure.layers[2].thickness == pytest.approx(2e-9)


def test_the_command_prints_values_with_errors_and_writes(case, tmp_path, capsys, monkeypatch):
    model = model_of(small(case, tmp_path, NEAR), tmp_path)
    exact = model.values([0.1, 1.1e-9]).tolist()
    table = small(case, tmp_path, NEAR, list(zip(model.sets[0].measured.x, exact, strict=True)))
    data = table.pop("data")[0]
    file = tmp_path / "fit.toml"
    inline = ", ".join(f'{k} = "{v}"' for k, v in data["x"].items())
    text = to_toml(table) + f'\n[[data]]\nfile = "d.csv"\nx = {{ {inline} }}\n'
    text += f'y = {{ column = "js", result = "{CURRENT}" }}\nsigma = {{ relative = 0.02 }}\n'
    file.write_text(text, encoding="utf-8")
    assert main(["fit", str(file)]) == 0
    out = capsys.readouterr().out
    assert f"{ANGLE}        0.1 ±" in out
    assert "1.1 ±" in out  # in nm, the unit of the fit file
    assert (tmp_path / "fit.out" / "fit.png").stat().st_size > 10_000
    monkeypatch.setattr(*BLANK)
    assert main(["fit", str(file)]) == 0  # of the same inputs
    capsys.readouterr()
    file.write_text(text.replace("relative = 0.02", "relative = 0.03"), encoding="utf-8")
    assert main(["fit", str(file)]) == 2
    assert "use --force" in capsys.readouterr().err
    assert main(["fit", str(file), "--force", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["status"] == "converged"


def test_a_fit_that_does_not_converge_writes_nothing(case, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("femspin.studies.fit.solve._STEPS", 1)
    with pytest.raises(SolverError, match="did not converge in 1 steps"):
        fit_model(model_of(small(case, tmp_path), tmp_path))


def garnet(folder):
    """Return the table of a fit of Pt/YIG: Hall-like resistivity and torque against the thickness."""
    rows = "".join(f"{t},1.0,1.0\n" for t in (1.5, 2.0, 3.0, 4.0, 5.0, 7.0, 10.0, 15.0))
    (folder / "d.csv").write_text("d [nm],rho [ohm*m],xi\n" + rows)
    x = {"column": "d", "path": "structure.layers.Pt.thickness"}
    results = {
        "rho": "observables.charge.transverse_resistivity",
        "xi": "torques.YIG.efficiency_damping_like",
    }
    metal = {"kind": "HM", "conductivity": "2.4e6 S/m", "dos": "2e47 1/(J*m^3)"}
    layers = [{"region": "YIG", "thickness": "20 nm"}, {"region": "Pt", "thickness": "5 nm"}]
    return {
        "case": {
            "structure": {"layers": layers},
            "regions": {
                "YIG": {"kind": "FI"},
                "Pt": metal | {"spin_diffusion_length": "1.5 nm", "spin_hall_angle": 0.1},
            },
            "interfaces": {"Pt|YIG": {"G_r": "4e14 S/m^2", "G_i": "1e13 S/m^2"}},
            "drive": {"electric_field": ["1e5 V/m", "0 V/m", "0 V/m"]},
            "magnetization": {"direction": [1, 1, 0]},
            "solver": {"method": "stack"},
        },
        "parameters": {
            ANGLE: {"start": 0.05},
            LENGTH: {"start": "1 nm"},
            "interfaces.Pt|YIG.G_r": {"start": "1e14 S/m^2", "log": True},
        },
        "data": [
            {
                "name": column,
                "file": "d.csv",
                "x": x,
                "y": {"column": column, "result": result},
                "sigma": {"relative": 0.02},
            }
            for column, result in results.items()
        ],
    }


def test_a_logarithm_far_from_its_best_value_does_not_run_to_its_bound(tmp_path):
    """First steps are of the order of the start, also in ln G, whose number in SI is large."""
    model = model_of(garnet(tmp_path), tmp_path)
    truth = np.array([0.1, 1.8e-9, 5e14])
    sets = [
        replace(s, measured=replace(s.measured, y=y, sigma=0.02 * np.abs(y)))
        for s, y in zip(model.sets, np.split(model.values(truth), 2), strict=True)
    ]
    result = fit_model(replace(model, sets=tuple(sets)))
    np.testing.assert_allclose(result.values, truth, rtol=1e-5)
    assert result.warnings == ()


def test_a_fit_that_does_not_describe_the_data_is_doubted(case, tmp_path):
    parameters = {ANGLE: {"start": 0.115, "min": 0.11}, LENGTH: {"start": "1.12 nm"}}
    model = model_of(small(case, tmp_path, parameters), tmp_path)
    exact = model.values([0.1, 1.1e-9])
    result = fit_model(with_data(model, exact * np.array([1, 2, 1, 2, 1, 2, 1]), 0.01 * np.abs(exact).max()))
    assert "does not describe the data within sigma" in result.warnings[0]
    assert fit_summary(result)["warnings"] == list(result.warnings)
