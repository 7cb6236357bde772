"""The shipped scans run and their tables tell the story their headers promise."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from marks import slow

from femspin import load_case
from femspin.simulation import sweep

FOLDER = Path(__file__).parents[1] / "cases"
ROUND = "from = '0 deg', to = '360 deg', points = 25"
FEWER = {
    "scan_smr_yig_pt": f"angle = {{ plane = 'xy', {ROUND} }}",
    "scan_conductance_eus_pt": "'drive.temperature' = { from = '1 K', to = '30 K', points = 30 }",
    "scan_smr_ggg_pt": "'drive.magnetic_field.2' = { from = '0.05 T', to = '14 T', points = 15 }",
    "scan_efficiency_fgt_pt": (
        "'structure.layers.2.thickness' = { from = '0.5 nm', to = '12 nm', points = 24 }"
    ),
    "scan_memory_loss_rashba": (
        "'regions.F.soc.rashba' = { from = '0 eV*angstrom', to = '0.2 eV*angstrom', points = 11 }"
    ),
    "scan_ahe_angle": (f"'regions.F.kondo.rotation.1' = [0.0, 0.5], angle = {{ plane = 'zx', {ROUND} }}"),
}
"""The axes of the shipped scans with fewer points; all of them are slow."""
VERSIONS = pytest.mark.parametrize(
    "shipped", [pytest.param(False, id="fewer points"), slow(True, id="shipped")]
)


@pytest.fixture(scope="module")
def scanned(tmp_path_factory):
    """Return a function that runs a shipped scan once and gives its columns by name."""
    done = {}

    def run(name, shipped):
        key = (name, shipped)
        if key not in done:
            changes = () if shipped else [f"scan.axes={{ {FEWER[name]} }}"]
            output = tmp_path_factory.mktemp(name) / "out"
            result = sweep(load_case(FOLDER / f"{name}.toml", changes), FOLDER, output, here=True)
            assert not result.failures
            result.write(output)
            assert (output / "scan.png").stat().st_size > 10_000
            done[key] = {c.name: np.array(c.values) for c in result.table if c.name != "error"}
        return done[key]

    return run


def test_every_shipped_scan_is_tested_here():
    text = Path(__file__).read_text()
    for path in FOLDER.glob("scan_*.toml"):
        assert f'"{path.stem}"' in text, path.stem


@VERSIONS
def test_smr_follows_the_squares_of_the_direction_cosines(scanned, shipped):
    """rho_L = rho + d0 + d1 (1 - m_y^2), rho_T = d1 m_x m_y, to O(theta^2) of the amplitude."""
    table = scanned("scan_smr_yig_pt", shipped)
    angle = np.radians(table["angle"])
    long = table["observables.charge.longitudinal_resistivity"]
    across = table["observables.charge.transverse_resistivity"]
    basis = np.stack([np.ones_like(angle), np.cos(angle) ** 2], axis=1)
    (_, d1), *_ = np.linalg.lstsq(basis, long, rcond=None)
    assert d1 > 0
    # theta_SH = 0.08: what the form leaves out is smaller than d1 by theta^2.
    assert np.abs(long - basis @ [long.min(), d1]).max() < 0.08**2 * d1
    assert np.abs(across - d1 * np.cos(angle) * np.sin(angle)).max() < 2 * 0.08**2 * d1


@VERSIONS
def test_conductances_follow_the_order_through_the_curie_temperature(scanned, shipped):
    table = scanned("scan_conductance_eus_pt", shipped)
    temperature = table["drive.temperature"]
    g_i, g_r, g_s = (table[f"conductances.F.G_{k}"] for k in "irs")
    assert np.all(np.diff(g_i) < 0)
    assert np.all(g_s < 0)
    cold, hot = temperature < 5, temperature > 25
    assert np.all(g_i[cold] > 3 * g_r[cold])  # the published ratio below T_C
    assert g_r[hot].max() < 1e-3 * g_r[0]
    spin = table["regions.F.moments.spin"]
    # The carriers' own Zeeman energy in 0.1 T adds 0.0116 meV to S n_m K_s = 1.03 meV.
    np.testing.assert_allclose(g_i / g_i[0], spin / spin[0], atol=0.0116 / 1.03)


@VERSIONS
def test_resistance_of_pt_on_a_paramagnet_follows_the_moments(scanned, shipped):
    table = scanned("scan_smr_ggg_pt", shipped)
    long = table["observables.charge.longitudinal_resistivity"]
    spin = table["regions.F.moments.spin"]
    assert np.all(np.diff(spin) > 0)
    assert spin[-1] == pytest.approx(3.5, rel=0.02)
    assert np.all(np.diff(long) > 0)


@VERSIONS
def test_efficiency_saturates_with_the_pt_thickness(scanned, shipped):
    """Beyond a few spin diffusion lengths more metal brings nothing."""
    table = scanned("scan_efficiency_fgt_pt", shipped)
    thickness = table["structure.layers.2.thickness"]
    field = -table["torques.F.efficiency_field_like"]  # a field along the absorbed moments
    assert np.all(np.diff(field) > 0)
    # The part still missing at d falls as exp(-d / ell) with ell = 1.4 nm.
    gap = field[-1] - field[(thickness > 4) & (thickness < 8)]
    assert np.all(gap < field[-1] * 2.5 * np.exp(-4 / 1.4))


@VERSIONS
def test_memory_loss_grows_with_the_rashba_constant(scanned, shipped):
    table = scanned("scan_memory_loss_rashba", shipped)
    loss = table["observables.interfaces.Pt|F.spin_memory_loss"]
    assert loss[0] == pytest.approx(0, abs=1e-12)
    assert np.all(np.diff(loss) > 0)
    assert 0.8 < loss[-1] < 1


@VERSIONS
def test_noncollinear_exchange_shifts_the_anomalous_hall_curve_by_its_angle(scanned, shipped):
    table = scanned("scan_ahe_angle", shipped)
    rotation, angle = table["regions.F.kondo.rotation.1"], np.radians(table["angle"])
    curve = table["observables.regions.F.charge.transverse_conductivity"]
    phases = []
    for phi in (0.0, 0.5):
        here = rotation == phi
        # The mean over the period (both ends are the same point) picks the first harmonic.
        phases.append(np.angle(np.sum(curve[here][:-1] * np.exp(-1j * angle[here][:-1]))))
    shift = abs(np.angle(np.exp(1j * (phases[1] - phases[0]))))
    assert shift == pytest.approx(0.5, abs=0.01)
