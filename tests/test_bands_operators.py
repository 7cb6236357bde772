"""Operators of the eigenstates equal what 4x4 matrices and numerical derivatives give."""

from __future__ import annotations

import numpy as np
import pytest
from bands_reference import S0, SIGMA, angles, block, derivative, in_eigenframe
from numpy.testing import assert_allclose

from femspin.bands import TwoSublattice, chain, honeycomb, simple_cubic, square
from femspin.bands.hamiltonian import (
    anomalous_spin_current,
    band_energy,
    band_fields,
    band_gradient,
    diagonalizer,
    eigenstate_spin,
    gauge_field,
    hamiltonian,
    hopping_terms,
    ordinary_spin_current,
    pauli_product,
    projector,
    spin_texture,
)

ROUND_OFF = 1e-13
FOURTH_ORDER = 1e-9  # h^4 times fifth derivatives of order 100, and round-off over h
OBLIQUE = TwoSublattice(
    ((1.3, 0.2), (-0.1, 1.1)),
    ((0.4, 0.3), (-0.9, 0.1), (0.5, -0.8)),
    (1.0, 0.7, 0.5),
    ((1.3, 0.2), (-0.1, 1.1), (1.2, 1.3)),
    (0.3, -0.2, 0.15),
    0.8,
)
LATTICES = {
    "square": square(1, 0.3, 0.7),
    "honeycomb": honeycomb(1, 0.3, 0.7),
    "chain": chain(1, 0.2, 0.7),
    "cubic": simple_cubic(1, 0.1, 0.7),
    "oblique": OBLIQUE,
}


@pytest.fixture(params=LATTICES)
def model(request):
    return LATTICES[request.param]


@pytest.fixture
def k(model):
    return np.random.default_rng(1).uniform(-3, 3, (6, model.dimension))


def test_hamiltonian_is_hermitian_and_its_energies_are_doubly_degenerate(model, k):
    H = hamiltonian(model, k)
    assert_allclose(H, H.conj().swapaxes(1, 2), atol=ROUND_OFF)
    w = np.linalg.eigvalsh(H)
    for s, pair in ((1, w[:, :2]), (-1, w[:, 2:])):
        assert_allclose(pair, band_energy(model, k, s)[:, None] * np.ones(2), atol=ROUND_OFF)


def test_hamiltonian_has_minus_the_hopping_between_all_sites_of_a_finite_lattice():
    """A Bloch wave on a ring of the square lattice is an eigenvector of the real-space matrix."""
    n, t, tp, J = 6, 1.0, 0.3, 0.7
    site = lambda x, y: (x % n) * n + y % n  # noqa: E731
    H = np.zeros((n * n, n * n))
    for x in range(n):
        for y in range(n):
            H[site(x, y), site(x, y)] = -J * (-1) ** (x + y)
            for dx, dy, a in ((1, 0, t), (0, 1, t), (1, 1, tp), (1, -1, tp)):
                H[site(x, y), site(x + dx, y + dy)] -= a
                H[site(x + dx, y + dy), site(x, y)] -= a
    q = 2 * np.pi / n * np.arange(n)
    k = np.stack(np.meshgrid(q, q), axis=-1).reshape(-1, 2)
    bloch = hamiltonian(square(t, tp, J), k)[:, [0, 2]][:, :, [0, 2]]  # spin up
    mine = np.sort(np.linalg.eigvalsh(bloch).ravel())[::2]  # the ring holds each zone twice
    assert_allclose(np.sort(np.linalg.eigvalsh(H)), mine, atol=1e-12)


def test_diagonalizer_is_unitary_hermitian_and_diagonalizes(model, k):
    V, H = diagonalizer(model, k), hamiltonian(model, k)
    f = band_fields(model, k)
    one = np.broadcast_to(np.eye(4), V.shape)
    assert_allclose(V @ V.conj().swapaxes(1, 2), one, atol=ROUND_OFF)
    assert_allclose(V, V.conj().swapaxes(1, 2), atol=ROUND_OFF)
    wanted = f.T[:, None, None] * np.eye(4) - f.Delta[:, None, None] * pauli_product(3, 3)
    assert_allclose(in_eigenframe(model, k, H), wanted, atol=ROUND_OFF)


def test_derivatives_of_the_bands_are_numerical_derivatives(model, k):
    f = band_fields(model, k)
    for i in range(model.dimension):
        assert_allclose(
            f.d_eta[:, i], derivative(lambda q: hopping_terms(model, q)[0], k, i), atol=FOURTH_ORDER
        )
        assert_allclose(
            f.d_Delta[:, i], derivative(lambda q: band_fields(model, q).Delta, k, i), atol=FOURTH_ORDER
        )
        for name, parent in (("dd_eta", "d_eta"), ("dd_T", "d_T"), ("dd_Delta", "d_Delta")):
            found = derivative(lambda q, p=parent: getattr(band_fields(model, q), p), k, i)
            assert_allclose(getattr(f, name)[:, :, i], found, atol=FOURTH_ORDER)
        for s in (1, -1):
            energy, gradient = band_gradient(model, k, s)
            assert_allclose(energy, band_energy(model, k, s), atol=ROUND_OFF)
            found = derivative(lambda q, s=s: band_energy(model, q, s), k, i)
            assert_allclose(gradient[:, i], found, atol=FOURTH_ORDER)


def test_spin_of_the_eigenstates_is_the_projected_spin_matrix(model, k):
    """Eq. (9): s tau_ks is the block of V^+ sigma V within a pair of eigenstates."""
    for s in (1, -1):
        spin = eigenstate_spin(model, k, s)
        for a in range(3):
            full = in_eigenframe(model, k, np.kron(S0, SIGMA[a]))
            assert_allclose(block(spin[:, a], s, s), block(full, s, s), atol=ROUND_OFF)
            other = block(spin[:, a], -s, -s)
            assert_allclose(other, np.zeros_like(other), atol=ROUND_OFF)


def test_transverse_spin_turns_with_k_only_without_site_inversion():
    """Eq. (9): real eta leaves the direction of the spin, complex eta turns it."""
    k = np.random.default_rng(2).uniform(-3, 3, (200, 2))
    length, angle = spin_texture(square(1, 0.3, 0.7), k)
    assert_allclose(np.sin(angle), 0, atol=ROUND_OFF)
    assert square().has_site_inversion
    assert np.all(length < 1)
    _, angle = spin_texture(honeycomb(1, 0.3, 0.7), k)
    assert np.ptp(angle) > 5
    assert not honeycomb().has_site_inversion


def test_gauge_field_is_the_derivative_of_the_diagonalizer(model, k):
    """Eq. (12): -i V^+ dV has A^z on rho_3 and A^perp on rho sigma_z, and nothing else."""
    A, A_z = gauge_field(model, k)
    for i in range(model.dimension):
        V = diagonalizer(model, k)
        found = -1j * V.conj().swapaxes(1, 2) @ derivative(lambda q: diagonalizer(model, q), k, i)
        wanted = A_z[:, i, None, None] * pauli_product(3, 0)
        for a in (0, 1):
            wanted = wanted + A[:, i, a, None, None] * pauli_product(a + 1, 3)
        assert_allclose(found, wanted / 2, atol=FOURTH_ORDER)


def test_gauge_field_is_that_of_the_angles():
    """Eqs. (12a), (12b) from theta and phi where these are smooth."""
    model, k = honeycomb(1, 0.3, 0.7), np.array([[0.4, 0.3], [0.7, -0.2], [-0.3, 0.5]])
    theta, phi = angles(model, k)
    A, A_z = gauge_field(model, k)
    for i in (0, 1):
        d_theta = derivative(lambda q: angles(model, q)[0], k, i)
        d_phi = derivative(lambda q: angles(model, q)[1], k, i)
        across, along = [-np.sin(phi), np.cos(phi)], [np.cos(phi), np.sin(phi)]
        for a in (0, 1):
            wanted = d_theta * across[a] - d_phi * np.sin(theta) * along[a]
            assert_allclose(A[:, i, a], wanted, atol=FOURTH_ORDER)
        assert_allclose(A_z[:, i], d_phi * (1 - np.cos(theta)), atol=FOURTH_ORDER)


def test_ordinary_and_anomalous_spin_current_add_to_the_projected_spin_current(model, k):
    """Eqs. (10), (11): their sum is the block of V^+ (dH/dk sigma) V."""
    for i in range(model.dimension):
        dH = derivative(lambda q: hamiltonian(model, q), k, i)
        for s in (1, -1):
            total = ordinary_spin_current(model, k, s) + anomalous_spin_current(model, k, s)
            for a in range(3):
                full = in_eigenframe(model, k, dH @ np.kron(S0, SIGMA[a]))
                assert_allclose(block(total[:, i, a], s, s), block(full, s, s), atol=FOURTH_ORDER)


def test_anomalous_spin_current_has_no_part_along_the_order(model, k):
    for s in (1, -1):
        along = anomalous_spin_current(model, k, s)[:, :, 2]
        assert not np.any(along)


def test_projectors_share_the_space():
    P, Q = projector(1), projector(-1)
    assert_allclose(P + Q, np.eye(4), atol=0)
    assert_allclose(P @ Q, np.zeros((4, 4)), atol=0)
    assert_allclose(np.trace(P), 2, atol=0)
