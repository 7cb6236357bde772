"""Errata B16 and B17: the equations of motion of the order parameters of an antiferromagnet."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
import skfem
from numpy.testing import assert_allclose

sys.path.insert(0, str(Path(__file__).parents[1]))
from texture_setup import afm, fm, point

from femspin.magnets.antiferromagnet import Rotor, antiferromagnet_texture
from femspin.magnets.ferromagnet import ferromagnet_texture
from femspin.magnets.space import mesh_space
from femspin.magnets.torques import SpinTransfer
from femspin.units import HBAR, MU_B, RATE

RNG = np.random.default_rng(16)
ROOT = 1 / np.sqrt(2)
SPIN = np.array(  # spin 1 in units of hbar
    [
        [[0, ROOT, 0], [ROOT, 0, ROOT], [0, ROOT, 0]],
        [[0, -1j * ROOT, 0], [1j * ROOT, 0, -1j * ROOT], [0, 1j * ROOT, 0]],
        [[1, 0, 0], [0, 0, 0], [0, 0, -1]],
    ]
)


def commutator(first, second):
    return first @ second - second @ first


def test_b16_a_spin_turns_about_the_gradient_of_its_energy_and_not_against_it():
    """From i[h.S, S] = h x S, m = -S turns by m x dH/dm: (13) is that of magnetizations."""
    h = RNG.normal(size=3)
    energy = np.einsum("a,aij->ij", h, SPIN)
    moved = np.array([1j * commutator(energy, s) for s in SPIN])
    across = np.array(
        [h[1] * SPIN[2] - h[2] * SPIN[1], h[2] * SPIN[0] - h[0] * SPIN[2], h[0] * SPIN[1] - h[1] * SPIN[0]]
    )
    assert_allclose(moved, across, atol=1e-14)
    m, gradient = -SPIN, -h  # of H = h.S = -h.m
    turned = np.array(
        [
            m[1] * gradient[2] - m[2] * gradient[1],
            m[2] * gradient[0] - m[0] * gradient[2],
            m[0] * gradient[1] - m[1] * gradient[0],
        ]
    )
    assert_allclose(-moved, turned, atol=1e-14)


def test_b16_a_magnetization_turns_as_minus_the_spin_in_the_same_field():
    """H = g mu_B B.S: femspin's rate of m is minus the quantum rate of S."""
    magnet, field = fm(exchange_stiffness=0.0, anisotropy=0.0, damping=0.0), RNG.normal(size=3)
    spin = RNG.normal(size=3)
    spin /= np.linalg.norm(spin)
    quantum = np.cross(magnet.g_factor * MU_B * field / HBAR, spin)
    texture = ferromagnet_texture(point(), magnet, field=field)
    found = texture.rate(texture.start(-spin)) * RATE
    assert_allclose(found[0], -quantum, rtol=1e-12)


@pytest.mark.parametrize(("sign", "falls"), [(-1, True), (1, False)])
def test_b16_the_damping_of_spins_has_the_opposite_sign(sign, falls):
    """dS/dt = h x S + sign alpha S x dS/dt lowers h.S with the minus sign alone.

    Damping of magnetizations, alpha m x dm/dt, keeps its printed sign: it is -alpha S x dS/dt.
    """
    alpha = 0.1
    for h, spin in RNG.normal(size=(5, 2, 3)):
        spin = spin / np.linalg.norm(spin)
        across = np.cross(spin, np.eye(3)).T  # across @ v = S x v
        rate = np.linalg.solve(np.eye(3) - sign * alpha * across, np.cross(h, spin))
        assert (h @ rate < 0) == falls


def order(x):
    """Return smooth n and m with n.m = 0 and their slopes, each of shape (n, 3)."""
    theta, phi = 1.1 + 0.6 * np.sin(x), 0.8 * np.cos(x)
    size, slope = 0.05 * np.cos(2 * x), -0.1 * np.sin(2 * x)
    n = np.stack([np.sin(theta) * np.cos(phi), np.sin(theta) * np.sin(phi), np.cos(theta)], axis=1)
    e = np.stack([np.cos(theta) * np.cos(phi), np.cos(theta) * np.sin(phi), -np.sin(theta)], 1)
    f = np.stack([-np.sin(phi), np.cos(phi), 0 * phi], axis=1)
    d_theta, d_phi = 0.6 * np.cos(x)[:, None], -0.8 * np.sin(x)[:, None]
    d_n = d_theta * e + np.sin(theta)[:, None] * d_phi * f
    d_e = -d_theta * n + np.cos(theta)[:, None] * d_phi * f
    m, d_m = size[:, None] * e, slope[:, None] * e + size[:, None] * d_e
    return n, m, d_n, d_m


def dots(a, b):
    return np.einsum("ij,ij->i", a, b)


def test_b17_the_printed_torques_keep_n_and_m_orthogonal_for_equal_drifts_alone():
    """d(n.m)/dt = (u_m - u_n) m.dn/dx as printed; 0 with the longitudinal part of B17."""
    n, m, d_n, d_m = order(np.linspace(0, 2 * np.pi, 50))
    for u_n, u_m in ((1.0, 1.0), (1.0, 0.3), (1.0, -0.5)):
        n_rate, m_rate = -u_n * d_n, -u_m * d_m
        printed = dots(m, n_rate) + dots(n, m_rate)
        assert_allclose(printed, (u_m - u_n) * dots(m, d_n), atol=1e-15)
        kept = m_rate - n * dots(n, m_rate)[:, None] - n * dots(m, n_rate)[:, None]
        assert np.abs(dots(m, n_rate) + dots(n, kept)).max() < 1e-15
        assert (np.abs(printed).max() > 1e-3) == (u_m != u_n)


def test_b17_a_step_of_the_program_moves_m_by_the_corrected_torque():
    """To first order in the step, and n.m = 0 to rounding."""
    x = np.linspace(0, 2 * np.pi, 33)
    space = mesh_space(skfem.MeshLine(x))
    magnet = afm(damping=0.0)
    n, m, _, _ = order(x)
    u_n, u_m = 400.0, -300.0
    transfer = SpinTransfer([u_n, 0, 0], u_m=[u_m, 0, 0])
    driven = antiferromagnet_texture(space, magnet, transfer=transfer)
    free = antiferromagnet_texture(space, magnet)
    one = np.array([1e-3, 0.0, 0.0])  # 1 m/s in nm/ps
    n_rate, m_rate = -u_n * space.along(one, n), -u_m * space.along(one, m)
    wanted = m_rate - n * dots(n, m_rate)[:, None] - n * dots(m, n_rate)[:, None]
    misses = []
    for step in (2e-5, 1e-5):
        after, without = (Rotor(t, 1e-4).advance(n, m, 0.0, step)[:2] for t in (driven, free))
        assert np.abs(dots(*after)).max() < 1e-16
        misses.append(np.abs((after[1] - without[1]) / step - wanted).max())
    assert misses[1] == pytest.approx(misses[0] / 2, rel=0.05)
    assert misses[1] < 0.05 * np.abs(wanted).max()
