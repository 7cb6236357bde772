"""Symbols of the theory and what follows from the Hamiltonian alone, without the package.

Spin-orbit coupling H = (p - e A)^2 / 2m with A^i = (2 m / e) c^{ib} s^b of Eqs. (9)-(11) and
s = sigma / 2, that is H_so = -2 c^{ib} P_i s^b.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from typing import Any

import sympy as sp
from sympy import LeviCivita

alpha, beta, lam = sp.symbols("alpha beta lambda", real=True)
u_xy, u_yz, u_zx, u_perp, u_par = sp.symbols("u_xy u_yz u_zx u_perp u_par", real=True)
hbar, m, e, tau, D, ell = sp.symbols("hbar m e tau D ell", positive=True)
theta = sp.symbols("theta_x theta_y theta_z", real=True)
SPACE = range(3)
# The strain of the closed forms, A = alpha - u_par lambda, p = u_perp lambda.
STRAIN = {u_yz: u_perp, u_zx: u_perp, u_xy: u_par}
A = alpha - u_par * lam
p = u_perp * lam
s = [
    sp.Matrix([[0, 1], [1, 0]]) / 2,
    sp.Matrix([[0, -sp.I], [sp.I, 0]]) / 2,
    sp.Matrix([[1, 0], [0, -1]]) / 2,
]
# Eqs. (9)-(11): c^{ib}, row i space, column b spin.
VELOCITY = sp.Matrix(
    [
        [-beta, alpha - u_xy * lam, u_zx * lam],
        [-alpha + u_xy * lam, beta, -u_yz * lam],
        [-u_zx * lam, u_yz * lam, 0],
    ]
)
GAUGE = 2 * m / hbar * VELOCITY


def commutator(x: sp.Matrix, y: sp.Matrix) -> sp.Matrix:
    return x * y - y * x


def spin(vector: Sequence[Any]) -> sp.Matrix:
    """Return v^a s^a."""
    return sum((vector[a] * s[a] for a in SPACE), sp.zeros(2, 2))


def components(operator: sp.Matrix) -> list[Any]:
    """Return the v^a of v^a s^a."""
    return [sp.expand(2 * (operator * s[a]).trace()) for a in SPACE]


def is_zero(value: Any) -> bool:
    """True if a number or every entry of a matrix simplifies to zero."""
    entries = list(value) if isinstance(value, (sp.MatrixBase, list, tuple)) else [value]
    return all(sp.simplify(sp.expand(x)) == 0 for x in entries)


def response() -> sp.Matrix:
    """Return Theta_ij to first order in the ordinary Hall angle: v + theta x v = f inverted."""
    return sp.Matrix(3, 3, lambda i, j: int(i == j) - sum(LeviCivita(i, k, j) * theta[k] for k in SPACE))


def motional_narrowing(gauge: sp.Matrix, correlation: sp.Matrix) -> sp.Matrix:
    """Return the loss kernel K of spins precessing about Omega^b = -a^{ib} v_i.

    To second order d<S>/dt = int <Omega(t) x (Omega(0) x S)> dt with
    int <v_i(t) v_j(0)> dt = D Theta_ij, so K_ac = delta_ac Omega.Omega - Omega_a(0) Omega_c(t)
    in units of D.
    """
    total = sum(gauge[i, b] * correlation[i, j] * gauge[j, b] for i, j, b in product(SPACE, repeat=3))
    return sp.Matrix(
        3,
        3,
        lambda a, c: sp.expand(
            int(a == c) * total
            - sum(gauge[i, c] * correlation[i, j] * gauge[j, a] for i, j in product(SPACE, repeat=2))
        ),
    )


def symmetric(x: sp.Matrix) -> sp.Matrix:
    return ((x + x.T) / 2).applyfunc(sp.expand)


def antisymmetric(x: sp.Matrix) -> sp.Matrix:
    return ((x - x.T) / 2).applyfunc(sp.expand)


# Numbers to compare the package with the algebra, SI.
NUMBERS = {
    alpha: 2.1e4,
    beta: -0.9e4,
    lam: 1.7e4,
    u_perp: 0.4,
    u_par: 0.3,
    m: 8.2e-31,
    theta[0]: 0.06,
    theta[1]: -0.04,
    theta[2]: 0.1,
}
