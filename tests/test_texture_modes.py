"""Eigenmodes and ring-down spectra."""

from __future__ import annotations

import numpy as np
import pytest
import skfem
from texture_setup import CASES, GAMMA, afm, fm, g_of, point, richardson

from femspin.errors import CaseError, SolverError
from femspin.magnets import modes as modes_module
from femspin.magnets.antiferromagnet import Rotor, antiferromagnet_texture
from femspin.magnets.explicit import RungeKutta
from femspin.magnets.ferromagnet import ferromagnet_texture
from femspin.magnets.modes import antiferromagnet_modes, ring_down, texture_modes
from femspin.magnets.newell import grid_demagnetization
from femspin.magnets.run import relax_texture, run_rotor, run_texture
from femspin.magnets.space import mesh_space
from femspin.magnets.two_sublattice import join, two_sublattice_texture
from femspin.units import MU_0


def up(magnet):
    return join(*antiferromagnet_texture(point(), magnet).start([0, 0, 1.0]))


@pytest.mark.parametrize("name", ["D01", "D02"])
def test_antiferromagnetic_resonance_of_both_models_is_that_of_the_reference(name):
    case = CASES[name]
    magnet, field = afm(damping=0.0), [0, 0, case["inputs"]["B_z"]]
    found = texture_modes(two_sublattice_texture(point(), magnet, field), up(magnet), 4).frequency
    np.testing.assert_allclose(found[:2], case["outputs"]["formula"], rtol=1e-9)
    if name == "D01":
        single = antiferromagnet_modes(antiferromagnet_texture(point(), magnet), up(magnet)[:2], 2)
        np.testing.assert_allclose(single.frequency, case["outputs"]["sigma_formula"], rtol=1e-9)


@pytest.mark.parametrize("field", ["B=0T", "B=1T", "B=2T"])
def test_resonance_of_a_soft_antiferromagnet_is_the_published_one(field):
    p, out = CASES["R21"]["inputs"], CASES["R21"]["outputs"]
    magnet = afm(
        sublattice_saturation=p["Ms"],
        homogeneous_exchange=4 * p["Ms"] * p["B_E"],
        anisotropy=p["Ms"] * p["B_A"],
        damping=0.0,
        g_factor=g_of(p["gammaLL"]),
    )
    texture = two_sublattice_texture(point(), magnet, [0, 0, float(field[2])])
    found = texture_modes(texture, up(magnet), 4).frequency / (2 * np.pi)
    exact = [out[field]["f_minus"], out[field]["f_plus"]]
    np.testing.assert_allclose(found[:2], exact, rtol=1e-8)
    assert magnet.spin_flop_field == pytest.approx(out["B_spinflop"], rel=1e-6)


def test_damping_widens_both_kinds_of_resonance():
    """Gamma/2 = alpha a/(2 s) of n, alpha omega/(1 + alpha^2) of a ferromagnet."""
    magnet = afm(damping=0.005)
    modes = antiferromagnet_modes(antiferromagnet_texture(point(), magnet), up(magnet)[:2], 2)
    np.testing.assert_allclose(modes.decay, magnet.momentum_relaxation / 2, rtol=1e-12)
    texture = ferromagnet_texture(point(), fm(), field=[0, 0, 0.5])
    modes = texture_modes(texture, texture.start([0, 0, 1.0]), 1)
    exact = CASES["F01"]["outputs"]
    assert modes.frequency[0] == pytest.approx(exact["omega_formula"], rel=1e-10)
    assert modes.decay[0] == pytest.approx(exact["decay_formula"], rel=1e-10)


@pytest.mark.parametrize("wave", [5e7, 1e8, 1.5e8])
def test_spin_waves_of_a_ferromagnet_have_the_exchange_dispersion(wave):
    """On a periodic line k^2 becomes (2s/h)^2 (1 + s^2/3), s = sin(kh/2); the limit is k^2."""
    p, out = CASES["R20"]["inputs"], CASES["R20"]["outputs"]
    magnet = fm(anisotropy=0.0, damping=0.0, g_factor=g_of(p["gammaLL"]))
    found = []
    for cells in (20, 40):
        length = 2 * np.pi / wave * 1e9
        space = mesh_space(skfem.MeshLine(np.linspace(0, length, cells + 1)), periodic=(0,))
        texture = ferromagnet_texture(space, magnet, field=[0, 0, p["B"]])
        frequency = texture_modes(texture, texture.start([0, 0, 1.0]), 3).frequency
        assert frequency[0] / (2 * np.pi) == pytest.approx(out["k=0"], rel=1e-8)
        h = length * 1e-9 / cells
        s = np.sin(wave * h / 2)
        lattice = p["B"] + 2 * p["A"] / p["Ms"] * (2 / h * s) ** 2 * (1 + s**2 / 3)
        assert frequency[1] == pytest.approx(p["gammaLL"] * lattice, rel=1e-9)
        found.append(frequency[1] / (2 * np.pi))
    limit, rest = richardson(*found, order=4)
    assert abs(limit - out[f"k={wave:.0e}" if wave != 1.5e8 else "k=1.5e+08"]) < rest


def test_spin_waves_of_an_antiferromagnet_have_the_published_frequency():
    """At k = 1e8/m, where what the continuum drops is (H_i k^2 / 4 H_e) = 4e-5."""
    p, out = CASES["R22"]["inputs"], CASES["R22"]["outputs"]
    exchange = 4 * abs(p["A_cell"]) / (p["a"] ** 2 * p["Ms"])
    magnet = afm(
        sublattice_saturation=p["Ms"],
        homogeneous_exchange=4 * p["Ms"] * exchange,
        exchange_stiffness=2 * p["A"] - p["A_nn"],
        anisotropy=2 * p["K"],
        damping=0.0,
        g_factor=g_of(p["gammaLL"]),
    )
    wave, found = 1e8, []
    for cells in (20, 40):
        length = 2 * np.pi / wave * 1e9
        space = mesh_space(skfem.MeshLine(np.linspace(0, length, cells + 1)), periodic=(0,))
        texture = antiferromagnet_texture(space, magnet)
        n, _ = texture.start([0, 0, 1.0])
        found.append(antiferromagnet_modes(texture, n, 4).frequency[2] / (2 * np.pi))
    limit, rest = richardson(*found)
    zeeman = p["gammaLL"] * p["B"] / (2 * np.pi)
    assert limit + zeeman == pytest.approx(out["k=1e+08"], rel=1e-4)
    assert rest < 1e-3 * limit


def test_sparse_and_dense_eigenvalues_agree(monkeypatch):
    """A line with a tilted field, both ways."""
    space = mesh_space(skfem.MeshLine(np.linspace(0, 100, 101)))
    texture = ferromagnet_texture(space, fm(damping=0.01), field=[0.1, 0, 0.2])
    m = relax_texture(texture, texture.start([0, 0, 1.0]), 1e-9)
    dense = texture_modes(texture, m, 3)
    monkeypatch.setattr(modes_module, "DENSE", 0)
    sparse = texture_modes(texture, m, 3)
    np.testing.assert_allclose(sparse.frequency, dense.frequency, rtol=1e-8)
    np.testing.assert_allclose(sparse.decay, dense.decay, rtol=1e-6)
    single = antiferromagnet_texture(space, afm())
    n, _ = single.start([0, 0, 1.0])
    few = antiferromagnet_modes(single, n, 4).frequency
    monkeypatch.setattr(modes_module, "DENSE", 900)
    np.testing.assert_allclose(few, antiferromagnet_modes(single, n, 4).frequency, rtol=1e-8)


def test_modes_have_the_shape_of_standing_waves():
    """Between free ends mode j is cos(j pi x / L), normal to m."""
    space = mesh_space(skfem.MeshLine(np.linspace(0, 100, 101)))
    texture = ferromagnet_texture(space, fm(damping=0.0), field=[0, 0, 0.2])
    modes = texture_modes(texture, texture.start([0, 0, 1.0]), 3)
    x = space.positions[:, 0] / 100
    for j, shape in enumerate(modes.shape):
        assert np.abs(shape[:, 2]).max() < 1e-12 * np.abs(shape).max()
        np.testing.assert_allclose(shape[:, 0] / shape[0, 0], np.cos(j * np.pi * x), atol=1e-8)


def test_a_film_with_demagnetization_has_kittels_uniform_mode():
    """Omega = gamma (B - mu0 Ms (Nz - Nx)) of the uniform motion.

    The motion of a prism is uniform where exchange outweighs the stray field: the square of
    20 nm is four exchange lengths, and 5 T saturate it; 2 percent for its edges.
    """
    magnet = fm(anisotropy=0.0, damping=0.0)
    axes = np.linspace(0, 20, 7)
    space = mesh_space(skfem.MeshQuad.init_tensor(axes, axes), section=10.0)
    texture = ferromagnet_texture(space, magnet, field=[0, 0, 5.0]).with_terms(
        grid_demagnetization(space, magnet)
    )
    m = relax_texture(texture, texture.start([0, 0, 1.0]), 1e-7)
    mode = texture_modes(texture, m, 1)
    # along z: omega = gamma (B - mu0 Ms (Nz - Nx)); Nz - Nx of this prism is (3 Nz - 1)/2
    unit = ferromagnet_texture(space, fm(anisotropy=0.0, exchange_stiffness=0.0)).with_terms(
        grid_demagnetization(space, magnet)
    )
    n_z = unit.energy(unit.start([0, 0, 1.0])) / (magnet.shape_anisotropy * space.volume * 1e-27)
    kittel = GAMMA * (5.0 - MU_0 * 8e5 * (3 * n_z - 1) / 2)
    assert mode.frequency[0] == pytest.approx(kittel, rel=0.02)


def test_ring_down_peaks_at_the_resonance():
    """Over k periods a Hann window places the peak within 1/(16 k) of it."""
    magnet = afm(damping=1e-4)
    texture = antiferromagnet_texture(point(), magnet)
    n, m = texture.start([0.01, 0, 1.0])
    times = np.linspace(0, 100e-12, 1001)
    signal = run_rotor(Rotor(texture, 0.05), n, m, times, lambda _, n, m: n[0, 0]).values
    omega, power = ring_down(times, signal)
    assert omega[np.argmax(power)] == pytest.approx(magnet.resonance, rel=1 / (16 * 12.5))
    magnet = fm(damping=1e-3, exchange_stiffness=0.0)
    texture = ferromagnet_texture(point(), magnet, field=[0, 0, 0.5])
    times = np.linspace(0, 0.5e-9, 1001)
    start = texture.start([0.01, 0, 1.0])
    signal = run_texture(RungeKutta(texture, 1e-7), start, times, lambda _, m: m[0, 0]).values
    omega, power = ring_down(times, signal)
    exact = texture_modes(texture, texture.start([0, 0, 1.0]), 1).frequency[0]
    assert omega[np.argmax(power)] == pytest.approx(exact, rel=1 / (16 * 21))


def test_modes_need_an_equilibrium_and_no_field():
    texture = ferromagnet_texture(point(), fm(), field=[0.3, 0, 0])
    with pytest.raises(SolverError, match="equilibrium"):
        texture_modes(texture, texture.start([0, 0, 1.0]))
    with_field = antiferromagnet_texture(point(), afm(), field=[0, 0, 1.0])
    with pytest.raises(CaseError, match="zero field"):
        antiferromagnet_modes(with_field, np.tile([0, 0, 1.0], (2, 1)))


def test_a_kick_is_across_the_magnet_by_default_and_one_along_it_is_told():
    """Kittel in the plane: w = gamma sqrt(B (B + mu0 M_s)); B along x, the commonest case."""
    from femspin import case_from_table
    from femspin.studies.textures.simulate import simulate_texture
    from femspin.units import HBAR, MU_0, MU_B

    def found(**resonance):
        return simulate_texture(
            case_from_table(
                {
                    "texture": {
                        "kind": "ferromagnet",
                        "analysis": "resonance",
                        "duration": "2 ns",
                        "magnetostatics": "thin_film",
                        "resonance": {"modes": 1, **resonance},
                        "mesh": {"shape": "point", "length": "10 nm"},
                        "magnet": {
                            "saturation_magnetization": "8e5 A/m",
                            "damping": 0.01,
                            "exchange_stiffness": "13 pJ/m",
                        },
                        "initial": {"direction": [1, 0, 0]},
                        "fields": [{"field": ["0.1 T", "0 T", "0 T"]}],
                    }
                }
            )
        )

    kittel = 2 * MU_B / HBAR * np.sqrt(0.1 * (0.1 + MU_0 * 8e5)) / (2 * np.pi)
    values = found().values
    assert values["texture.ring_down.frequency"] == pytest.approx(kittel, rel=1e-3)
    along = found(kick_axis=[1, 0, 0])
    assert not any("ring_down" in name for name in along.values)
    assert any("kick_axis" in w for w in along.warnings)
