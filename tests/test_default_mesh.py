"""The default mesh resolves what the solutions exp(lambda z) of every layer need, of any angle."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from femspin import build_device, case_from_table, simulate
from femspin.device.stack_problem import stack_state
from femspin.fields.region import RegionFields
from femspin.structure.stack import graded_cells
from femspin.transport.layers.lengths import lengths
from femspin.transport.layers.stack import solve_stack
from femspin.units import FLUX

TAU = 1e-14


def table(larmor: float = 0.0, hall: float = 0.0, **more) -> dict:
    """Return a metallic F under a heavy metal, with angles omega tau or q tau B / m of F."""
    own = {"relaxation": [["4e13 1/s" if a == b else "0 1/s" for b in range(3)] for a in range(3)]}
    if larmor:
        own["omega"] = ["0 1/s", "0 1/s", f"{larmor / TAU!r} 1/s"]
    if hall:
        own["hall_angles"] = [hall, 0.0, 0.0]
    f = {
        "kind": "F",
        "conductivity": "3e6 S/m",
        "diffusion_constant": "1e-3 m^2/s",
        "scattering_time": "10 fs",
        "mass": "1 m_e",
        "override": own,
    }
    metal = {
        "kind": "HM",
        "conductivity": "5e6 S/m",
        "diffusion_constant": "1e-3 m^2/s",
        "spin_diffusion_length": "1.5 nm",
        "spin_hall_angle": 0.1,
    }
    return {
        "structure": {
            "layers": [{"region": "F", "thickness": "5 nm"}, {"region": "HM", "thickness": "5 nm"}]
        },
        "regions": {"F": f, "HM": metal},
        "drive": {"electric_field": ["1e5 V/m", "0 V/m", "0 V/m"]},
        **more,
    }


@pytest.mark.parametrize(("larmor", "hall"), [(1.0, 0.0), (10.0, 0.0), (50.0, 0.0), (0.0, 3.0), (0.0, 10.0)])
def test_parts_are_right_on_the_default_mesh_at_any_larmor_and_hall_angle(larmor, hall):
    """The exact stack judges: 1e-5 of the largest part, and one and a half bars."""
    found = simulate(case_from_table(table(larmor, hall)))
    exact = simulate(case_from_table(table(larmor, hall, solver={"method": "stack"})))
    parts, truth = (s.interface("HM|F").parts for s in (found, exact))
    bars = found.errors["interfaces"]["HM|F"]["parts"]
    unit = found.table["interfaces"]["HM|F"]["parts"]["M"] @ parts["M"] / (parts["M"] @ parts["M"])
    scale = max(np.abs(truth[p]).max() for p in "MLSAEB")
    for part in "MLSAEB":
        error = np.abs(parts[part] - truth[part]).max()
        assert error < 1e-5 * scale
        assert error * unit <= 1.5 * bars[part].max()


def test_shortest_length_of_a_larmor_angle_is_that_of_diffusion_that_turns():
    """Transverse spin: J = -nu D mu' / (1 - i theta), so lambda^2 = (1/tau - i w)(1 - i theta)/D.

    (Or its conjugate.)  The longitudinal one has sqrt(D tau), which is longer.
    """
    device = build_device(case_from_table(table(larmor=10.0)))
    f = device.fields(device.direction)["F"]
    squared = (4e13 - 1j * 10 / TAU) * (1 - 10j) / 1e-3
    assert lengths(f).shortest == pytest.approx(abs(squared) ** -0.5, rel=1e-9)


def test_shortest_length_of_a_frequency_is_the_dynamic_diffusion_length():
    f = RegionFields("N", 1e47, 1e-3, relaxation=1e12 * np.eye(3))
    assert lengths(f).shortest == pytest.approx((1e-3 / 1e12) ** 0.5, rel=1e-9)
    wanted = (1e-3 / abs(1e12 + 7e12j)) ** 0.5
    assert lengths(f, [7e12]).shortest == pytest.approx(wanted, rel=1e-9)
    assert lengths(replace(f, relaxation=np.zeros((3, 3)))).shortest == np.inf


def test_currents_at_a_frequency_are_right_on_the_default_mesh():
    """The exact stack at this frequency judges; the drive turns slower than the Larmor angle."""
    w = 2e14
    case = case_from_table(table(larmor=10.0, frequency={"angular_frequency": [f"{w!r} rad/s"]}))
    solution = simulate(case, errors=False)
    (currents,) = solution.response.interfaces
    plain = build_device(case_from_table(table(larmor=10.0)))
    layers = stack_state(plain.case).solution.case
    exact = solve_stack(replace(layers, frequency=w)).interface_flux(1)[1:] / FLUX
    assert np.abs(currents["HM|F"].flux[1:] - exact).max() < 1e-5 * np.abs(exact).max()


def test_cells_stay_small_as_far_as_an_oscillation_reaches():
    """A wave that hardly decays is resolved everywhere; one that does like diffusion is not."""
    still = graded_cells(10.0, 0.5 / (0.01 + 1j), 18, 1.1)
    assert still.max() < 1.5 * still.min()
    turning = graded_cells(10.0, 0.5 / (1 + 1j) * np.sqrt(2), 18, 1.1)
    np.testing.assert_allclose(turning, graded_cells(10.0, 0.5, 18, 1.1), rtol=1e-12)
    assert turning.max() > 5 * turning.min()


def test_a_magnetization_that_moves_has_one_mesh_for_all_its_directions():
    """Precession about m and the gauge field of the layer do not commute."""
    base = table(larmor=0.0)
    base["regions"]["F"] |= {
        "dos": "2e47 1/(J*m^3)",
        "soc": {"rashba": "2e4 m/s"},
        "kondo": {
            "spin": 2.5,
            "moment_density": "4e27 1/m^3",
            "exchange_energy": "200 meV",
            "curie_temperature": "559 K",
        },
    }
    del base["regions"]["F"]["override"], base["regions"]["F"]["conductivity"]
    base["regions"]["YIG"] = {"kind": "FI", "magnet": {"saturation_magnetization": "1e5 A/m"}}
    base["structure"]["layers"].insert(0, {"region": "YIG", "thickness": "5 nm"})
    base["dynamics"] = {"duration": "1 ps"}
    counts = set()
    for m in ([1, 0, 0], [0, 1, 0], [0.6, 0, 0.8]):
        base["magnetization"] = {"direction": m}
        counts.add(build_device(case_from_table(base)).structure.quality.cells)
    assert len(counts) == 1
