"""Error bars of responses at frequencies and in time, and of the motion of a macrospin."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from marks import slow
from random_stacks import random_stack
from reference import CASES, PAPER, case_table

from femspin import build_device, case_from_table, simulate
from femspin.case.load import load_case, read_table
from femspin.device.observables.quantity import flat_numbers
from femspin.device.observables.stack import StackSaid
from femspin.device.response_tables import FrequencyResponse
from femspin.device.stack_problem import stack_state
from femspin.materials.parameters import complete_case
from femspin.simulation import solve
from femspin.transport.layers.stack import solve_stack

SHIPPED = Path(__file__).parents[1] / "cases"


def errors_over_bars(found, bars, truth) -> list[float]:
    """Return true errors over bars of all numbers that have one."""
    found, bars, truth = (flat_numbers(table) for table in (found, bars, truth))
    names = [name for name in bars if name in truth]  # what is zero may be real in one of them
    assert len(names) >= 0.9 * len(bars)
    return [abs(found[name] - truth[name]) / bars[name] for name in names if bars[name] > 0]


def covers(ratios: list[float]) -> None:
    """Nineteen of twenty bars hold, and the usual one is neither too large nor too small."""
    found = np.array(ratios)
    assert np.mean(found <= 1) >= 0.95
    assert 1 / 3 <= np.median(found) <= 1


# ------------------------------------------------------------------ frequencies
def amplitudes_over_bars(seed: int) -> list[float]:
    """Of a random stack at a random frequency; the exact solver judges."""
    rng = np.random.default_rng(seed)
    table = random_stack(rng)
    w = float(10 ** rng.uniform(9, 14))
    solution = simulate(case_from_table({**table, "frequency": {"angular_frequency": [f"{w!r} rad/s"]}}))
    state = stack_state(complete_case(case_from_table(table))[0])
    exact = replace(state, solution=solve_stack(replace(state.solution.case, frequency=w)))
    truth = FrequencyResponse((w,), (StackSaid(exact).interfaces,), 1)
    return errors_over_bars(solution.response.table, solution.errors["frequency"], truth.table)


@pytest.mark.parametrize("seeds", [range(3, 6), slow(range(40))])
def test_bars_of_amplitudes_cover_the_exact_ones(seeds):
    covers([ratio for seed in seeds for ratio in amplitudes_over_bars(seed)])


def test_numbers_of_a_response_that_are_given_have_no_bars():
    table = random_stack(np.random.default_rng(5)) | {"frequency": {"frequency": ["1 GHz"]}}
    solution = simulate(case_from_table(table))
    entry = solution.report["frequency"]["0"]
    assert entry["frequency"] == pytest.approx(1e9)
    assert all(set(i["spin_current"]["re"]) == {"value", "error"} for i in entry["interfaces"].values())


# ------------------------------------------------------------------ in time
def transients_over_bars(seed: int) -> list[float]:
    """Of a random stack after a switch; the next order with much finer steps judges."""
    rng = np.random.default_rng(seed)
    table = random_stack(rng)
    duration, kind = float(10 ** rng.uniform(-14, -12)), str(rng.choice(["step", "pulse", "off"]))
    tolerance = float(10 ** rng.uniform(-5, -2.5))
    transient = {
        "duration": f"{duration!r} s",
        "output_interval": f"{duration / 4!r} s",
        "drive": kind,
        "frames": 1,
        "tolerance": tolerance,
    }
    if kind == "pulse":
        transient["pulse_length"] = f"{0.6 * duration!r} s"
    solution = simulate(case_from_table({**table, "transient": transient}))
    judge = case_from_table({**table, "transient": transient | {"tolerance": tolerance / 300}})
    truth = solve(build_device(judge, order=solution.device.space.order + 1))
    return errors_over_bars(solution.response.table, solution.errors["transient"], truth.response.table)


@pytest.mark.slow
def test_bars_at_the_end_of_transients_of_random_stacks_cover_the_truth():
    covers([ratio for seed in range(12) for ratio in transients_over_bars(seed)])


def test_bars_of_a_switched_stack_cover_the_truth_of_finer_cells_and_steps():
    transient = {"duration": "1 ps", "output_interval": "250 fs", "frames": 1, "tolerance": 1e-3}
    table = case_table(CASES["C06"]) | {"solver": PAPER, "transient": transient}
    solution = simulate(case_from_table(table))
    judge = case_from_table(table | {"transient": transient | {"tolerance": 1e-5}})
    truth = solve(build_device(judge, order=3)).response.table
    covers(errors_over_bars(solution.response.table, solution.errors["transient"], truth))


def test_the_end_of_a_pulse_and_the_output_at_it_are_one_time():
    """40 fs and a fifth of 200 fs differ in the last digit; no step lies between them."""
    solution = simulate(load_case(SHIPPED / "pulse_ggg_pt.toml"))
    assert solution.device.case.transient.pulse_length in solution.response.times
    assert np.diff((0.0, *solution.response.ends)).min() > 1e-20
    assert flat_numbers(solution.errors["transient"])


def test_an_adaptive_run_has_the_bars_of_its_response():
    table = read_table(SHIPPED / "ggg_pt.toml") | {"frequency": {"frequency": ["1 THz"]}}
    del table["expected"]
    solution = simulate(case_from_table(table | {"solver": {"target_error": 1e-3}}))
    assert solution.levels
    assert flat_numbers(solution.errors["frequency"])


# ------------------------------------------------------------------ motion
def motions_over_bars(seed: int) -> list[float]:
    """Of a shipped magnet from a random direction on few cells; order 3 with finer steps judges."""
    rng = np.random.default_rng(seed)
    table = read_table(SHIPPED / f"{rng.choice(['yig_pt', 'fgt_pt'])}.toml")
    del table["expected"]
    direction = rng.standard_normal(3)
    table["magnetization"] = {"direction": direction.tolist()}
    table["solver"] = {"order": int(rng.integers(1, 3))}
    for layer in table["structure"]["layers"]:
        layer["cells"] = int(rng.integers(1, 5))
    run = {
        "duration": f"{10 ** rng.uniform(-11.5, -10.5)!r} s",
        "tolerance": float(10 ** rng.uniform(-7, -4)),
        "transport_tolerance": float(10 ** rng.uniform(-2, -1)),
    }
    relaxation = {"mode": "relax", "relax_torque": float(10 ** rng.uniform(-6, -3))}
    table["dynamics"] = relaxation if rng.random() < 0.3 else run
    solution = simulate(case_from_table(table))
    finer = {"relax_torque": 1e-9, "tolerance": 1e-9, "transport_tolerance": 2e-3}
    table["dynamics"] |= {key: finer[key] for key in finer if key in table["dynamics"]}
    truth = solve(build_device(case_from_table(table), SHIPPED, order=3))
    return errors_over_bars(solution.table, solution.errors, truth.table)


@pytest.mark.parametrize("seeds", [(1,), slow(range(20))])
def test_bars_of_a_motion_cover_the_truth(seeds):
    covers([ratio for seed in seeds for ratio in motions_over_bars(seed)])
