"""Many stacks at once: the numbers of the single solver, and errors that stay where they are."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from dataclasses import replace
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from marks import slow
from test_stack import CASES, random_layer, reference_case

from femspin.case import case_from_table
from femspin.device.observables.quantity import numbers_of
from femspin.errors import FemspinError, SolverError
from femspin.fields.hall import response
from femspin.fields.region import RegionFields
from femspin.simulation import simulate, solve_point, sweep
from femspin.studies.sweep.stacks import stack_tables
from femspin.studies.sweep.workers import solved_together
from femspin.transport.layers import batched
from femspin.transport.layers.batched import (
    ContactBatch,
    FaceBatch,
    LayerBatch,
    StackBatch,
    layer_batch,
    solve_stacks,
    stack_batch,
)
from femspin.transport.layers.kernels import compiled_maps
from femspin.transport.layers.slab import slab_maps
from femspin.transport.layers.stack import (
    Conductance,
    Contact,
    Insulating,
    SpinFlux,
    SpinPotential,
    StackCase,
    StackLayer,
    solve_stack,
)
from femspin.units import E_CHARGE

# Both solvers do the same steps in another order of sums: a few ulp times the dozens of joins.
ROUND_OFF = 1e-12
NM, MEV = 1e-9, 1e-3 * E_CHARGE
STATES = ("lower", "upper", "integral")


@pytest.fixture(params=["numpy", "numba"])
def backend(request):
    if request.param == "numba":
        pytest.importorskip("numba")
    return request.param


def random_stack(rng, layers=3, **changes):
    """Return a stack with everything on and faces and contacts of all kinds."""
    faces = [
        Insulating(),
        SpinPotential(MEV * rng.normal(size=3)),
        SpinFlux(1e27 * rng.normal(size=3)),
        Conductance(-1e15 * np.diag(rng.random(3)), 1e27 * rng.normal(size=3)),
    ]
    contacts = {
        k: Contact(10 ** rng.uniform(13, 16), 10 ** rng.uniform(13, 16))
        for k in range(1, layers)
        if rng.random() < 0.3
    }
    return replace(
        StackCase(
            [random_layer(rng) for _ in range(layers)],
            faces[rng.integers(4)],
            faces[rng.integers(4)],
            contacts,
            0.0,
            int(rng.integers(layers + 1)),
            float(rng.choice([0.0, 1e27])),
        ),
        **changes,
    )


def scales(case, single):
    """Return the largest potential, flux and their integrals of a stack.

    A flux is what is left of the drift force s and the gradient, so s bounds its round-off.
    """
    force = max(np.abs(layer.fields.drift).max() for layer in case.layers)
    ends = np.concatenate([single.lower, single.upper])
    mu, flux = np.abs(ends[:, :4]).max(), max(np.abs(ends[:, 4:]).max(), force)
    length = case.thickness.max()
    return {
        "lower": (mu, flux),
        "upper": (mu, flux),
        "integral": (
            np.abs(single.integral[:, :4]).max(),
            max(np.abs(single.integral[:, 4:]).max(), force * length),
        ),
    }


def assert_same_states(solution, index, case, single, tolerance=ROUND_OFF):
    for name, (mu, flux) in scales(case, single).items():
        difference = np.abs(getattr(solution, name)[index] - getattr(single, name))
        assert difference[:, :4].max() <= tolerance * mu, name
        assert difference[:, 4:].max() <= tolerance * flux, name


def assert_same_parts(solution, index, single, tolerance=ROUND_OFF):
    count = len(single.lower)
    expected = [single.split(k, face).parts() for k in range(count) for face in ("top", "bottom")]
    found = [solution.split(k, face).parts() for k in range(count) for face in ("top", "bottom")]
    largest = max(np.abs(part).max() for parts in expected for part in parts.values())
    for one, many in zip(expected, found, strict=True):
        for name, part in one.items():
            assert np.abs(many[name][index] - part).max() <= tolerance * largest, name


# ---------------------------------------------------------------- the same numbers


@pytest.mark.parametrize("name", CASES)
def test_reference_cases_have_the_numbers_of_the_single_solver(name, backend):
    case = reference_case(name)
    other = replace(case, layers=[replace(x, thickness=1.7 * x.thickness) for x in case.layers])
    solution = solve_stacks([case, other, case], backend)
    assert not solution.errors
    for index, stack in enumerate((case, other, case)):
        single = solve_stack(stack)
        natural = max(x.fields.dos * x.fields.diffusion / x.thickness for x in stack.layers)
        # Two cases carry no flux at all: what stands there is round-off of nu D mu / thickness.
        force = natural * np.abs(np.concatenate([single.lower, single.upper])[:, :4]).max()
        for part in STATES:
            new, old = getattr(solution, part)[index], getattr(single, part)
            length = stack.thickness.max() if part == "integral" else 1.0
            floor = max(np.abs(old[:, 4:]).max(), force * length)
            assert np.abs(new - old)[:, :4].max() <= ROUND_OFF * np.abs(old[:, :4]).max()
            assert np.abs(new - old)[:, 4:].max() <= ROUND_OFF * floor
        largest = max(
            np.abs(p).max() for k in range(len(stack.layers)) for p in single.split(k).parts().values()
        )
        for k in range(len(stack.layers)):
            for key, value in single.split(k).parts().items():
                new = getattr(solution.split(k), key)[index]
                assert np.abs(new - value).max() <= ROUND_OFF * max(largest, force), key


@pytest.mark.parametrize("layers", [1, slow(2), 3, slow(5)])
@pytest.mark.parametrize("frequencies", [(0.0,), slow((3e12,)), (0.0, 2e11, 3e12)])
def test_all_outputs_of_mixed_stacks_are_those_of_the_single_solver(layers, frequencies, backend):
    rng = np.random.default_rng(layers)
    cases = [random_stack(rng, layers, frequency=frequencies[k % len(frequencies)]) for k in range(30)]
    solution = solve_stacks(cases, backend)
    for index, case in enumerate(cases):
        if index in solution.errors:
            with pytest.raises(SolverError) as error:
                solve_stack(case)
            assert solution.errors[index] == str(error.value)
            continue
        single = solve_stack(case)
        assert_same_states(solution, index, case, single)
        assert_same_parts(solution, index, single)
        force = scales(case, single)["integral"][1]
        for k in range(layers):
            new, old = solution.in_plane_current(k)[index], single.in_plane_current(k)
            assert np.abs(new - old).max() <= ROUND_OFF * max(np.abs(old).max(), force)
            for new, old in zip(solution.integrals(k), single.integrals(k), strict=True):
                assert new[index].shape == old.shape
        assert solution.mismatch[index] < 1e-15
    for k in range(layers + 1):
        np.testing.assert_array_equal(
            solution.interface_flux(k)[..., 1:],
            (solution.lower[:, k] if k < layers else solution.upper[:, -1])[..., 5:],
        )


@st.composite
def layers_of_any_strength(draw):
    """A layer from 1e-3 to 1e3 decay lengths, with every mechanism up to its extreme."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    length, diffusion = 10 ** draw(st.floats(-9.5, -7.5)), 10 ** draw(st.floats(-5, -2))
    rate = diffusion / length**2
    axes, _ = np.linalg.qr(rng.normal(size=(3, 3)))
    relaxation = axes @ np.diag(rate * rng.uniform(0.3, 1, 3)) @ axes.T
    direction = rng.normal(size=3)
    hall = draw(st.floats(0, 1))
    fields = RegionFields(
        name="any",
        dos=10 ** draw(st.floats(46, 48)),
        diffusion=diffusion,
        gauge=draw(st.sampled_from([0, 1, 10])) / length * rng.uniform(-1, 1, (3, 3)),
        omega=draw(st.floats(0, 50)) * rate * direction / np.linalg.norm(direction),
        relaxation=relaxation,
        theta=response(
            hall * rng.uniform(-1, 1, 3), hall * rng.uniform(-1, 1, 3), hall * rng.uniform(-1, 1, (3, 3))
        ),
    )
    fields = fields.with_drift(1e5 * rng.normal(size=3), rng.uniform(-0.5, 0.5, 3))
    return StackLayer(fields, length * 10 ** draw(st.floats(-3, 3)))


@settings(max_examples=60, deadline=None)
@given(
    st.integers(1, 4).flatmap(
        lambda n: st.lists(st.lists(layers_of_any_strength(), min_size=n, max_size=n), min_size=1, max_size=3)
    ),
    st.integers(0, 2**32 - 1),
)
def test_stacks_of_any_strength_agree_with_the_single_solver(layers, seed):
    rng = np.random.default_rng(seed)
    cases = [replace(random_stack(rng, len(one)), layers=one) for one in layers]
    for kind in ("numpy", "numba") if find_spec("numba") else ("numpy",):
        solution = solve_stacks(cases, kind)
        for index, case in enumerate(cases):
            single = solve_stack(case)
            assert_same_states(solution, index, case, single)
            # Parts are sums over the state; the batched formulas take the same state here.
            assert_same_parts(solution, index, solution.solution(index, case))


def test_compiled_slabs_are_those_of_the_single_solver():
    """Each entry to a few ulp of the largest of its row, from none to dozens of joins."""
    pytest.importorskip("numba")
    rng = np.random.default_rng(4)
    layers = [random_layer(rng, 10 ** rng.uniform(-12, -6)) for _ in range(200)]
    batch = stack_batch([StackCase([layer]) for layer in layers])
    o = solve_stacks(batch, "numpy").operators
    given = (o.generator[:, 0], o.norm[:, 0], batch.thickness[:, 0] / o.length[:, 0])
    one, two = slab_maps(*given), compiled_maps(*given)
    joins = np.ceil(np.log2(np.maximum(given[1] * given[2], 1)))
    assert joins.max() > 8
    size = np.abs(one).max(axis=2, keepdims=True)
    assert np.all(np.abs(one - two) <= ROUND_OFF * size)


# ---------------------------------------------------------------- arrays in


def plain_batch(thickness, **changes):
    rate = 5e-4 / (2 * NM) ** 2
    return LayerBatch(thickness, 5e46, 5e-4, relaxation=rate * np.eye(3), **changes, name="Pt")


def test_arrays_with_and_without_leading_axis_mix():
    rng = np.random.default_rng(2)
    fixed = layer_batch([random_layer(rng, 2 * NM)])
    thick = np.array([1.0, 2.0, 5.0]) * NM
    omega = rng.normal(size=(3, 3)) * 1e13
    batch = StackBatch(
        [fixed, plain_batch(thick), plain_batch(3 * NM, omega=omega)],
        Conductance(-1e14 * np.eye(3)),
        FaceBatch([False, True, False], rng.normal(size=(3, 3)) * [[1e27], [MEV], [1e27]]),
        {
            1: Contact(1e15, 1e15),
            2: ContactBatch(np.array([0.0, 1, 2])[:, None, None] * 1e-53 * np.eye(3), 1e-53),
        },
        charge_flux=[0.0, 1e27, 2e27],
        z_zero=[0, 1, 3],
    )
    assert batch.size == 3
    assert batch.interfaces.shape == (3, 4)
    solution = solve_stacks(batch)
    assert not solution.errors
    for index in range(3):
        case = batch.case(index)
        assert case.layers[1].thickness == thick[index]
        np.testing.assert_allclose(case.interfaces, batch.interfaces[index], rtol=1e-15)
        single = solve_stack(case)
        assert_same_states(solution, index, case, single)
        assert_same_parts(solution, index, single)


def test_a_batch_without_leading_axis_is_one_stack():
    batch = StackBatch([plain_batch(3 * NM)], top=SpinPotential((MEV, 0, 0)))
    solution = solve_stacks(batch)
    single = solve_stack(batch.case(0))
    assert solution.lower.shape == (1, 1, 8)
    assert_same_states(solution, 0, batch.case(0), single)


def test_sampled_points_are_those_of_the_single_solver():
    rng = np.random.default_rng(3)
    cases = [random_stack(rng) for _ in range(5)]
    solution = solve_stacks(cases)
    inside = np.linspace(0, 1, 9)
    z = np.stack([c.interfaces[0] + inside * np.ptp(c.interfaces) for c in cases])
    edges = np.stack([c.interfaces for c in cases])
    for side in (1, -1):
        mu, at = solution.potential(z, side), solution.potential(edges, side)
        for k, case in enumerate(cases):
            single = solve_stack(case)
            size, flux = scales(case, single)["lower"]
            assert np.abs(mu[k] - single.potential(z[k], side)).max() <= ROUND_OFF * size
            assert np.abs(at[k] - single.potential(edges[k], side)).max() <= ROUND_OFF * size
            assert np.abs(solution.flux(z)[k] - single.flux(z[k])).max() <= ROUND_OFF * flux
    with pytest.raises(ValueError, match="z must lie within the stack"):
        solution.potential(z + 1.0)


def test_large_batches_are_cut_without_a_trace(monkeypatch):
    rng = np.random.default_rng(5)
    cases = [random_stack(rng) for _ in range(23)]
    cases[20] = replace(cases[20], layers=[replace_fields(cases[20].layers[0], dos=np.nan)] * 3)
    whole = solve_stacks(cases)
    monkeypatch.setattr(batched, "_CHUNK", 4)
    parts = solve_stacks(cases)
    assert dict(parts.errors) == dict(whole.errors)
    for name in (*STATES, "mismatch"):
        np.testing.assert_array_equal(getattr(parts, name), getattr(whole, name))


# ---------------------------------------------------------------- bad stacks


def replace_fields(layer, **changes):
    """Return a layer with numbers that the single solver's layer would refuse at once."""
    made = object.__new__(StackLayer)
    object.__setattr__(made, "fields", replace(layer.fields, **changes))
    object.__setattr__(made, "thickness", layer.thickness)
    return made


BAD = {
    "nan": (lambda x: replace_fields(x, dos=np.nan), "density of states must be > 0 and finite"),
    "negative": (lambda x: replace_fields(x, diffusion=-1.0), "diffusion constant must be > 0"),
    "infinite": (lambda x: replace_fields(x, omega=np.full(3, np.inf)), "omega must be finite"),
    "singular": (lambda x: replace_fields(x, theta=np.zeros((12, 12))), "singular matrix"),
    "overflow": (lambda x: replace_fields(x, gauge=np.full((3, 3), 1e300)), "not determined"),
}


@pytest.mark.parametrize("kind", BAD)
def test_a_bad_stack_is_reported_for_its_place_only(kind, backend):
    rng = np.random.default_rng(6)
    cases = [random_stack(rng) for _ in range(8)]
    expected = solve_stacks(cases, backend)
    spoil, message = BAD[kind]
    low, middle, high = cases[5].layers
    cases[5] = replace(cases[5], layers=[low, spoil(middle), high])
    solution = solve_stacks(cases, backend)
    assert list(solution.errors) == [5]
    assert message in solution.errors[5]
    with pytest.raises(SolverError, match=message):
        solution.solution(5)
    good = np.arange(8) != 5
    for name in STATES:
        assert np.isnan(getattr(solution, name)[5]).all()
        np.testing.assert_array_equal(getattr(solution, name)[good], getattr(expected, name)[good])
    for part in (*solution.split(1).parts().values(), solution.in_plane_current(1)):
        assert np.isfinite(part[good]).all()
        assert np.isnan(part[5]).all()


def test_a_contact_that_creates_spin_is_reported_for_its_place_only():
    drops = np.array([1.0, -1.0, 0.0])[:, None, None] * 1e-53 * np.eye(3)
    layers = [plain_batch(NM), plain_batch(2 * NM)]
    batch = StackBatch(layers, top=SpinPotential((MEV, 0, 0)), contacts={1: ContactBatch(drops)})
    solution = solve_stacks(batch)
    assert list(solution.errors) == [1]
    assert "contact at interface 1: symmetric part must be >= 0, got -2e-53" in solution.errors[1]


def test_an_undetermined_stack_has_the_message_of_the_single_solver(backend):
    lossless = StackLayer(RegionFields("metal", 5e46, 5e-4), NM)
    lossy = StackLayer(RegionFields("metal", 5e46, 5e-4, relaxation=1e14 * np.eye(3)), NM)
    pushed = SpinFlux((1e28, 0, 0))
    cases = [
        StackCase([lossy, lossy], pushed),
        StackCase([lossless, lossless], pushed),
        StackCase([lossless, lossy], pushed),
    ]
    solution = solve_stacks(cases, backend)
    with pytest.raises(SolverError) as error:
        solve_stack(cases[1])
    assert dict(solution.errors) == {1: str(error.value)}


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: StackBatch([]), "at least one layer"),
        (lambda: plain_batch(np.ones((2, 2))), r"Pt: thickness must have shape \(\) or"),
        (lambda: plain_batch(NM, omega=(1.0, 2.0)), r"Pt: omega must have shape \(3,\) or"),
        (
            lambda: StackBatch([plain_batch(np.ones(2)), plain_batch(np.ones(3))]),
            r"leading axes of lengths \[2, 3\] do not fit",
        ),
        (lambda: StackBatch([plain_batch(NM)], z_zero=2), "z_zero must be 0 to 1"),
        (lambda: StackBatch([plain_batch(NM)], contacts={1: Contact(1e14)}), "contact at interface 1"),
        (lambda: stack_batch([]), "one number of layers, got none"),
        (
            lambda: solve_stacks(StackBatch([plain_batch(NM)]), "fortran"),
            "backend must be auto, numpy or numba, got 'fortran'",
        ),
        (
            lambda: solve_stacks(StackBatch([plain_batch(NM)])).interface_flux(2),
            "interface must be 0 to 1, got 2",
        ),
        (lambda: solve_stacks(StackBatch([plain_batch(NM)])).split(0, "side"), "face must be top or bottom"),
    ],
)
def test_what_does_not_fit_together_is_refused(build, message):
    with pytest.raises(ValueError, match=message):
        build()


def test_the_example_of_the_documentation_runs_and_follows_the_closed_form():
    """J = nu D kappa tanh(kappa d) mu, out of the bottom of the metal's top face."""
    text = (Path(__file__).parents[1] / "docs/theory.md").read_text(encoding="utf-8")
    code = text.split("**Many stacks.**")[1].split("```python\n")[1].split("```")[0]
    names = {}
    exec(code, names)
    kappa = np.sqrt(1.2e14 / 5e-4)
    exact = -5e46 * 5e-4 * kappa * np.tanh(kappa * names["thickness"]) * 1.6e-22
    np.testing.assert_allclose(names["absorbed"][:, 0], exact, rtol=1e-12)
    np.testing.assert_allclose(
        names["causes"].total, names["absorbed"], rtol=0, atol=1e-12 * np.abs(exact).max()
    )


def test_without_numba_all_batches_are_solved_by_numpy(monkeypatch):
    monkeypatch.setattr(batched, "find_spec", lambda name: None)
    monkeypatch.setattr(batched, "_WORTH_COMPILING", 1)
    kernels = import_module("femspin.transport.layers.kernels")
    monkeypatch.setattr(kernels, "_maps", None)
    batch = StackBatch([plain_batch(np.full(3, NM))], top=SpinPotential((MEV, 0, 0)))
    assert not solve_stacks(batch).errors


WITHOUT_NUMBA = """
import sys
import numpy as np
import femspin.transport.layers.batched, femspin.device.build
assert "numba" not in sys.modules
sys.modules["numba"] = None
from femspin.transport.layers.batched import LayerBatch, StackBatch, solve_stacks
layer = LayerBatch(np.array([1e-9, 5e-8]), 5e46, 5e-4, relaxation=1e14 * np.eye(3),
                   drift=[[0, 0, 0, 0], [0, 0, 0, 0], [0, 0, 1e28, 0]])
one, two = (solve_stacks(StackBatch([layer, layer]), kind) for kind in ("numpy", "numba"))
assert not one.errors and not two.errors
assert np.abs(one.lower - two.lower)[..., :4].max() <= 1e-12 * np.abs(one.lower[..., :4]).max()
assert np.abs(one.upper - two.upper)[..., 4:].max() <= 1e-12 * 1e28
"""


def test_numba_is_neither_imported_before_it_is_wanted_nor_needed():
    """The kernels are the same functions without it, only slow."""
    subprocess.run([sys.executable, "-c", WITHOUT_NUMBA], check=True)


# ---------------------------------------------------------------- scans

SCAN = """
[structure]
dimension = 1
layers = [
    { region = "YIG", thickness = "4 nm" },
    { region = "F", thickness = "1 nm" },
    { region = "Pt", thickness = "5 nm" },
]
[regions.YIG]
kind = "FI"
[regions.F]
kind = "F"
dos = "5e46 1/(J*m^3)"
diffusion_constant = "2e-4 m^2/s"
mass = "1 m_e"
scattering_time = "1 fs"
[regions.F.soc]
rashba = "0.05 eV*angstrom"
[regions.Pt]
kind = "HM"
material = "Pt"
[interfaces."F|YIG"]
G_r = "1e13 S/m^2"
[drive]
electric_field = ["1e5 V/m", "0 V/m", "0 V/m"]
magnetic_field = ["0 T", "0.3 T", "0.4 T"]
[solver]
method = "stack"
[scan]
processes = 1
columns = ["interfaces", "torques", "conductances"]
[scan.axes]
"structure.layers.Pt.thickness" = { from = "1 nm", to = "9 nm", points = 5 }
"regions.F.dos" = ["5e46 1/(J*m^3)", "1e47 1/(J*m^3)"]
"""


@pytest.fixture(scope="module")
def points():
    from femspin.studies.sweep import scan_points

    return [case for _, case in scan_points(case_from_table(tomllib.loads(SCAN)))]


def group_of(name):
    """Return what a number is one entry of: all interface currents, a vector, or itself."""
    if name.startswith("interfaces.") and not name.endswith(".area"):
        return "interfaces"
    if "_spin_current" in name and name.startswith("torques."):
        return "torques"  # along and across m are parts of one vector
    return name[:-2] if name[-2:] in (".x", ".y", ".z") else name


def same_numbers(new, old):
    """Compare with the largest of a group, because some of its entries are only round-off."""
    largest = {}
    for name, value in old.items():
        largest[group_of(name)] = max(largest.get(group_of(name), 0.0), abs(value))
    old = {name: value for name, value in old.items() if not name.startswith("mesh.")}
    assert list(new) == list(old)
    for name, value in old.items():
        if np.isfinite(value) and not name.endswith("residual"):
            assert abs(new[name] - value) <= ROUND_OFF * largest[group_of(name)], name
        elif not np.isfinite(value):
            assert repr(new[name]) == repr(value), name


def test_tables_of_a_scan_are_those_of_single_runs(points):
    for case, table in zip(points, stack_tables(points, solve_point), strict=True):
        same_numbers(numbers_of(table()), numbers_of(simulate(case, errors=False).table))


MOMENTS = {
    "spin": 1,
    "moment_density": "5e28 m^-3",
    "exchange_energy": "1e-20 J",
    "curie_temperature": "1000 K",
}
CHANGES = {
    "drive.temperature": "400 K",
    "drive.electric_field": ["2e5 V/m", "0 V/m", "0 V/m"],
    "drive.magnetic_field": ["0.5 T", "0 T", "0.4 T"],
    "magnetization.direction": [1, 0.2, 0.5],
    "solver.polarisation_form": "paper",
    "regions.F.kondo.exchange_energy": "2e-20 J",
    "regions.Pt.spin_hall_angle": 0.05,
    "regions.F.polarisation": 0.2,
}


def changed(names):
    """Return the case of the scan with moments and some of the changes."""
    table = tomllib.loads(SCAN)
    del table["scan"]
    table["regions"]["F"] |= {"kondo": dict(MOMENTS), "polarisation": 0.4}
    for name in names:
        *heads, last = name.split(".")
        inner = table
        for head in heads:
            inner = inner.setdefault(head, {})
        inner[last] = CHANGES[name]
    return case_from_table(table)


def test_a_region_is_remembered_from_the_point_before_only_if_nothing_it_depends_on_changed():
    cases = [changed(names) for name in CHANGES for names in ([], [name])]
    together = [numbers_of(table()) for table in stack_tables(cases, solve_point)]
    for case, found in zip(cases, together, strict=True):
        same_numbers(found, numbers_of(stack_tables([case], solve_point)[0]()))
    for k, name in enumerate(CHANGES):
        before, after = together[2 * k], together[2 * k + 1]
        moved = [n for n in before if before[n] != pytest.approx(after[n], rel=1e-6, nan_ok=True)]
        assert moved, name


def solve_alone(case, folder):
    """Return the result table of a point that is not solved together with others."""
    return simulate(case, folder, errors=False).table


def test_a_scan_has_the_same_table_whether_or_not_points_are_solved_together(tmp_path):
    case = case_from_table(tomllib.loads(SCAN))
    results = {}
    for name, options in (("together", {}), ("alone", {"solve": solve_alone})):
        results[name] = sweep(case, output=tmp_path / name, here=True, **options)
        assert not results[name].failures
        assert results[name].computed == 10
    one, other = results.values()
    assert [(c.name, c.unit) for c in one.table] == [(c.name, c.unit) for c in other.table]
    assert one.warnings == other.warnings
    for new, old in zip(one.points, other.points, strict=True):
        assert new.coordinates == old.coordinates
        same_numbers(new.numbers, old.numbers)
    again = sweep(case, output=tmp_path / "together", here=True)
    assert again.computed == 0
    assert again.points == one.points


PUSHED = """
[structure]
dimension = 1
layers = [{ region = "N", thickness = "3 nm" }]
[regions.N]
kind = "HM"
dos = "5e46 1/(J*m^3)"
diffusion_constant = "2e-4 m^2/s"
[regions.N.override]
relaxation = [
    ["0 1/s", "0 1/s", "0 1/s"], ["0 1/s", "0 1/s", "0 1/s"], ["0 1/s", "0 1/s", "0 1/s"],
]
[solver]
method = "stack"
[scan]
processes = 1
[scan.axes]
"interfaces.top" = [
    { spin_potential = ["1 meV", "0 meV", "0 meV"] },
    { spin_flux = ["1e28 1/(m^2*s)", "0 1/(m^2*s)", "0 1/(m^2*s)"] },
    { spin_potential = ["2 meV", "0 meV", "0 meV"] },
]
"""


def test_a_point_that_fails_among_others_has_the_message_of_a_single_run(tmp_path):
    """A layer without loss between faces that only push spin has no potential."""
    case = case_from_table(tomllib.loads(PUSHED))
    results = [
        sweep(case, output=tmp_path / name, here=True, **options)
        for name, options in (("a", {}), ("b", {"solve": solve_alone}))
    ]
    for result in results:
        assert [k for k, _ in result.failures] == [1]
        assert "not determined" in result.points[1].error
    assert results[0].points[1].error == results[1].points[1].error
    for k in (0, 2):
        same_numbers(results[0].points[k].numbers, results[1].points[k].numbers)


def test_a_case_that_cannot_be_built_raises_where_its_table_is_asked_for(points):
    wrong = points[1].model_copy(update={"structure": None})
    tables = stack_tables([points[0], wrong, points[2]], solve_point)
    with pytest.raises(FemspinError) as expected:
        simulate(wrong, errors=False)
    with pytest.raises(type(expected.value)) as error:
        tables[1]()
    assert str(error.value) == str(expected.value)
    assert tables[0]()["torques"].keys() == tables[2]()["torques"].keys()


def test_an_unforeseen_error_leaves_every_point_to_be_solved_by_itself(points, monkeypatch):
    from femspin.studies.sweep import stacks

    def broken(problems):
        raise RuntimeError("no")

    expected = numbers_of(stack_tables(points[:1], solve_point)[0]())
    monkeypatch.setattr(stacks, "solve_stacks", broken)
    found = numbers_of(stack_tables(points[:2], solve_point)[0]())
    assert expected.keys() == {name for name in found if not name.startswith("mesh.")}


def test_only_steady_stacks_are_solved_together(points):
    assert solved_together(points[0])
    direct = points[0].model_copy(update={"solver": points[0].solver.model_copy(update={"method": "direct"})})
    assert not solved_together(direct)
