"""Fermi surfaces in three dimensions: next to band edges, pockets, filling; spin balance."""

from __future__ import annotations

import numpy as np
import pytest
from marks import slow
from numpy.testing import assert_allclose

from femspin.bands import (
    TwoSublattice,
    chemical_potential,
    electrons_per_site,
    honeycomb,
    simple_cubic,
    square,
    square_forms,
    torque_coefficients,
)
from femspin.bands.critical import band_edges
from femspin.bands.fermi_sums import fermi_sums
from femspin.bands.surfaces import fermi_regions, surface_integral
from femspin.errors import CaseError

EDGE = np.sqrt(37)  # of the cubic lattice with t' = 0, J = 1


def cubic_pocket(mu, J=1.0):
    """Return v2, dos, p_m and electrons per site of the cubic lattice with t' = 0 at the bottom.

    In spherical coordinates about k = 0, where the surface 2 sum cos k = R is a closed graph;
    p_m = J^3/|mu| <eta^2>/3 <v^2>, both over the same shell.
    """
    R = np.sqrt(mu**2 - J**2)
    c, w = np.polynomial.legendre.leggauss(24)
    phi = np.arange(48) * 2 * np.pi / 48
    C, P = np.meshgrid(c, phi, indexing="ij")
    S = np.sqrt(1 - C**2)
    n = np.stack([S * np.cos(P), S * np.sin(P), C], axis=-1)
    r = np.full(C.shape, np.sqrt(6 - R))
    for _ in range(60):
        k = r[..., None] * n
        slope = -2 * (np.sin(k) * n).sum(-1)
        r = r - (2 * np.cos(k).sum(-1) - R) / slope
    k = r[..., None] * n
    steep = R / abs(mu)  # d eps/d eta
    weight = w[:, None] * (2 * np.pi / 48) * np.ones(C.shape)
    measure = weight * r**2 / abs(2 * (np.sin(k) * n).sum(-1)) / steep / (2 * np.pi) ** 3
    dos = measure.sum()
    v2 = (measure * steep**2 * 4 * (np.sin(k) ** 2).sum(-1)).sum() / 3
    p_m = J**3 / abs(mu) ** 3 * R**2 / 3 * dos / v2
    volume = (weight * r**3).sum() / 3
    return v2, dos, p_m, 2 * volume / (2 * np.pi) ** 3


@pytest.mark.parametrize("distance", [slow(0.1), slow(1e-2), slow(1e-4), 1e-8])
def test_averages_next_to_the_bottom_of_a_band_have_their_values_within_their_errors(distance):
    mu = -EDGE + distance
    v2, dos, p_m, electrons = cubic_pocket(mu)
    found = torque_coefficients(simple_cubic(1, 0, 1), mu, tolerance=1e-4)
    rounding = 1e-14 / distance  # of mu minus the edge
    for value, error, right in (
        (found.v2, np.trace(found.sums.errors["v2"]) / 3, v2),
        (found.sums.dos, found.sums.dos_error, dos),
        (found.value("p_m"), found.error("p_m"), p_m),
        (found.value("p_n"), found.error("p_n"), -1 / (-mu * (mu**2 - 1))),
    ):
        assert abs(value - right) <= error + 2 * rounding * abs(right)
        assert error < 1e-3 * abs(right)
    share = electrons_per_site(simple_cubic(1, 0, 1), mu)
    # Lines as in a search; 40 of them.
    assert_allclose(share, electrons, rtol=1e-3 + 2 * rounding)


@pytest.mark.parametrize("mu", [-EDGE + 1e-4, slow(-EDGE + 1e-2), slow(-5.0), slow(-3.0), -1.01])
def test_what_symmetry_makes_zero_is_zero_within_its_error(mu):
    """Off-diagonal averages of the cubic lattice, and differences of its axes."""
    found = torque_coefficients(simple_cubic(1, 0, 1), mu, tolerance=1e-4)
    for name, value in found.sums.values.items():
        rest = abs(value - np.eye(3) * np.trace(value) / 3)
        assert np.all(rest <= found.sums.errors[name] + 1e-15), name
    assert found.isotropic


@pytest.mark.parametrize("distance", [1e-2, 1e-5])
def test_thin_layers_at_the_gap_are_no_harder(distance):
    """All of the surface eta = 0 is a band edge there: two sheets, 1e-3 of the zone apart."""
    mu = 1 + distance
    found = torque_coefficients(simple_cubic(1, 0, 1), mu, tolerance=1e-4)
    right = 1 / (mu * (mu**2 - 1))
    assert abs(found.value("p_n") - right) <= found.error("p_n")
    assert found.error("p_n") < 1e-3 * right
    assert found.error("p_m") < 1e-3 * abs(found.value("p_m"))
    # v^2 = (eta/Delta)^2 |d eta|^2, so v2/dos goes like mu^2 - J^2 with a constant factor.
    base = torque_coefficients(simple_cubic(1, 0, 1), 1.0001, tolerance=1e-4)
    ratio = [x.v2 / x.sums.dos * x.mu**2 / (x.mu**2 - 1) for x in (found, base)]
    assert_allclose(ratio[0], ratio[1], rtol=2e-3)


@pytest.mark.slow
def test_every_pocket_is_found_once():
    """Hops along the axes to the second site put the bottom near the four k of +-90 degrees."""
    cubic = simple_cubic(0.1, 0, 1)
    far = tuple(tuple(2 * x) for x in np.eye(3))
    lattice = TwoSublattice(cubic.vectors, cubic.inter, cubic.inter_amplitudes, far, (-1.0,) * 3, 1.0)
    (low, _), _ = band_edges(lattice)
    pockets = fermi_regions(lattice, low + 1e-3, 1)
    assert len(pockets) >= 4
    assert max(p.side.max() for p in pockets) < 0.2

    def one(k, _):
        return np.ones((len(k), 1))

    h = 2e-5
    (dos,), (error,) = surface_integral(lattice, low + 1e-3, 1, one, 1, 1e-5)
    above, below = (electrons_per_site(lattice, low + 1e-3 + x) for x in (h, -h))
    slope = (above - below) / (2 * h) / lattice.cell_volume
    assert abs(dos - slope) < 2e-2 * dos  # of 40 lines per pocket
    assert error < 1e-3 * dos


def test_an_oblique_crystal_fills_as_its_density_of_states_says():
    lattice = TwoSublattice(
        ((1.1, 0.9, 0.1), (1.0, -0.2, 0.9), (-0.1, 1.0, 1.2)),
        ((0.5, 0.4, 0.1), (-0.5, 0.6, -0.8), (0.6, -0.6, -1.1)),
        (1.0, 0.7, 0.5),
        ((1.1, 0.9, 0.1),),
        (0.2,),
        0.8,
    )
    (low, _), _ = band_edges(lattice)
    mu, h = low + 0.05, 1e-3
    found = fermi_sums(lattice, mu, tolerance=1e-4)
    assert found.method == "surface"
    rise = electrons_per_site(lattice, mu + h) - electrons_per_site(lattice, mu - h)
    assert_allclose(rise / (2 * h) / lattice.cell_volume, found.dos, rtol=2e-3)


@pytest.mark.parametrize(
    ("mu", "where"),
    [slow(-EDGE - 1e-4, "outside the bands"), (0.9999, "in the gap"), (EDGE + 1e-9, "outside")],
)
def test_the_refusal_in_three_dimensions_follows_the_true_edges(mu, where):
    with pytest.raises(CaseError, match=rf"{where}.*-6\.08276253 to -1 and 1 to 6\.08276253"):
        torque_coefficients(simple_cubic(1, 0, 1), mu)


def test_just_inside_the_true_edges_there_are_states():
    assert torque_coefficients(simple_cubic(1, 0, 1), -EDGE + 1e-4, tolerance=1e-2).v2 > 0


@pytest.mark.slow
def test_few_electrons_of_a_crystal_have_their_chemical_potential():
    lattice, mu = simple_cubic(1, 0, 1), -EDGE + 1e-2
    electrons = cubic_pocket(mu)[3]
    found = chemical_potential(lattice, electrons)
    assert_allclose(found + EDGE, 1e-2, rtol=1e-3)


@pytest.mark.slow
def test_few_holes_at_the_gap_have_their_chemical_potential():
    """The share |eta| < R of the zone is 2 R times the density of eta at 0, for small R.

    That density is int_0^inf J_0(2 x)^3 dx/pi, from the Fourier transform of 2 cos k.
    """
    from scipy.integrate import quad
    from scipy.special import j0

    far = quad(lambda x: j0(2 * x) ** 3, 0, 400, limit=2000)[0]  # the rest falls like 400^-3/2
    density = far / np.pi
    R = 0.02 / (2 * density)
    found = chemical_potential(simple_cubic(1, 0, 1), 0.98)
    assert_allclose(found**2 - 1, R**2, rtol=1e-2)


@pytest.mark.slow
def test_cold_crystals_next_to_an_edge_agree_with_sharp_averages_over_energy():
    """dos(mu, kT) = int -f' dos(E) dE, from the pocket in spherical coordinates."""
    kT, mu = 2e-3, -EDGE + 1e-2
    found = torque_coefficients(simple_cubic(1, 0, 1), mu, kT, 1e-4)
    assert found.sums.method == "energy sum"
    x, w = np.polynomial.legendre.leggauss(60)
    y = (1 + x) / 2 * np.sqrt(0.07)  # E = edge + y^2
    v2 = dos = 0.0
    for a, b in zip(y, w, strict=True):
        E = -EDGE + a**2
        f = b * np.sqrt(0.07) / 2 * 2 * a / (4 * kT) / np.cosh((E - mu) / (2 * kT)) ** 2
        one = cubic_pocket(E)
        v2, dos = v2 + f * one[0], dos + f * one[1]
    assert abs(found.v2 - v2) <= np.trace(found.sums.errors["v2"]) / 3 + 1e-6 * v2
    assert abs(found.sums.dos - dos) <= found.sums.dos_error + 1e-6 * dos
    assert found.error("p_m") < 2e-3 * abs(found.value("p_m"))


@pytest.mark.slow
def test_cold_layers_next_to_an_edge_agree_with_closed_forms_over_energy():
    """Dos = g(eta) |E|/eta with g = K(1 - eta^2/16)/2 pi^2; p_m of eta^2/2 over <v^2>."""
    from scipy.special import ellipk

    J, kT, edge = 1.0, 1e-3, np.sqrt(17.0)
    mu = -edge + 2e-3

    def sharp(E):
        eta, W = np.sqrt(E**2 - J**2), square_forms(E, J).W
        dos = ellipk(1 - eta**2 / 16) / (2 * np.pi**2) * abs(E) / eta
        return np.array([dos * (eta / E) ** 2 * W, dos, (J / abs(E)) ** 3 * eta**2 / 2 * dos])

    x, w = np.polynomial.legendre.leggauss(80)
    y, w = (1 + x) / 2 * 0.04, w / 2 * 0.04  # energies above the edge, to 38 k_B T
    weight = w / (4 * kT) / np.cosh((y - edge - mu) / (2 * kT)) ** 2
    v2, dos, P = sum(c * sharp(-edge + a) for a, c in zip(y, weight, strict=True))
    found = torque_coefficients(square(1, 0, J), mu, kT, 1e-5)
    assert found.sums.method == "energy sum"
    for value, error, right in (
        (found.v2, found.sums.errors["v2"][0, 0], v2),
        (found.sums.dos, found.sums.dos_error, dos),
        (found.value("p_m"), found.error("p_m"), P / v2),
    ):
        assert abs(value - right) <= error + 1e-9 * right
        assert error < 1e-3 * right


# ---------------------------------------------------------------- spin balance


def spin_current_of_a_canting(lattice, mu, kT, n, tau=200.0, canting=2e-4):
    """Return J d<v_i sigma_x>/dm <v v>^-1 of a uniformly canted order in a uniform force.

    4x4 density matrices, every element with the lifetime tau; numerical derivatives.
    """
    s0, sx, sy, sz = np.eye(2), *np.array([[[0, 1], [1, 0]], [[0, -1j], [1j, 0]], [[1, 0], [0, -1]]])
    d, J = lattice.dimension, lattice.exchange
    k = np.stack(np.meshgrid(*[(np.arange(n) + 0.5) / n] * d, indexing="ij"), -1).reshape(-1, d)
    k = k @ lattice.reciprocal
    inter, intra = np.array(lattice.inter), np.array(lattice.intra)
    spin = np.kron(s0, sx)

    def H(k, m):
        eta = np.exp(-1j * k @ inter.T) @ np.array(lattice.inter_amplitudes)
        T = -2 * np.cos(k @ intra.T) @ np.array(lattice.intra_amplitudes)
        hops = T[:, None, None] * np.eye(4) - eta.real[:, None, None] * np.kron(sx, s0)
        return hops - eta.imag[:, None, None] * np.kron(sy, s0) - J * np.kron(sz, sz) - m * spin

    def local(k, m):
        w, U = np.linalg.eigh(H(k, m))
        return np.einsum("kan,kn,kbn->kab", U, 1 / (1 + np.exp((w - mu) / kT)), U.conj())

    def step(j, h):
        return h * np.eye(d)[j]

    velocity = [(H(k + step(i, 1e-4), 0) - H(k - step(i, 1e-4), 0)) / 2e-4 for i in range(d)]

    def response(m, operator):
        w, U = np.linalg.eigh(H(k, m))
        rate = 1 + 1j * tau * (w[:, :, None] - w[:, None, :])
        out = np.zeros((d, d))
        for j in range(d):
            h = 1e-3
            near = local(k + step(j, h), m) - local(k - step(j, h), m)
            far = local(k + step(j, 2 * h), m) - local(k - step(j, 2 * h), m)
            drive = U.conj().swapaxes(1, 2) @ ((8 * near - far) / (12 * h)) @ U
            rho = U @ (-drive / rate) @ U.conj().swapaxes(1, 2)
            for i in range(d):
                out[i, j] = np.einsum("kab,kba->k", rho, velocity[i] @ operator).real.mean()
        return out

    change = (response(canting, spin) - response(-canting, spin)) / (2 * canting)
    return J * change @ np.linalg.inv(response(0.0, np.eye(4)))


@pytest.mark.parametrize(
    ("lattice", "mu", "kT", "n"),
    [
        (square(1, 0, 1), -2.0, 0.2, 40),
        (square(1, 0.3, 1), -2.0, 0.2, 40),
        (honeycomb(1, 0.3, 0.8), -1.5, 0.2, 60),
    ],
    ids=["square", "square with t'", "honeycomb"],
)
def test_spin_current_of_a_canting_is_that_of_the_density_matrix(lattice, mu, kT, n):
    found = torque_coefficients(lattice, mu, kT).p_m_balance[0]
    right = spin_current_of_a_canting(lattice, mu, kT, n)
    # of order 1/(tau Delta)^2 times interband terms, 1/200^2 times 10^2
    assert_allclose(found, right, atol=1e-3 * (1 + abs(right).max()))


def test_constant_lifetime_misses_spin_balance_by_a_factor_four():
    found = torque_coefficients(square(1, 0, 1), -2.0, 0.2)
    assert_allclose(found.value("p_m"), 0.101777, atol=1e-6)
    assert_allclose(found.p_m_balance[0], 0.395855 * np.eye(2), atol=1e-6)


def test_two_separate_ferromagnets_keep_spin_balance():
    found = torque_coefficients(square(0.01, 1, 2), -5.0)
    assert_allclose(found.p_m_balance[0][0, 0], found.value("p_m"), rtol=2e-3)
