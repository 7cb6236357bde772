"""Independent calculations that the tests of the bands compare with."""

from __future__ import annotations

import json
from functools import cache
from itertools import pairwise
from pathlib import Path

import mpmath as mp
import numpy as np

from femspin.bands.hamiltonian import diagonalizer, hopping_terms

DATA = json.loads((Path(__file__).parent / "data" / "afm_bands.json").read_text(encoding="utf-8"))
CASES = {case["id"]: case for case in DATA["cases"]}
S0 = np.eye(2)
SIGMA = np.array([[[0, 1], [1, 0]], [[0, -1j], [1j, 0]], [[1, 0], [0, -1]]], dtype=complex)


def derivative(function, k, i, h=1e-3):
    """Return a numerical derivative of fourth order."""
    d = np.zeros(k.shape[-1])
    d[i] = h
    near = function(k + d) - function(k - d)
    return (8 * near - (function(k + 2 * d) - function(k - 2 * d))) / (12 * h)


def block(matrix, s, t):
    """Return the 2x2 block of a 4x4 matrix between pairs of eigenstates; orders of (S2.2)."""
    index = {1: [0, 3], -1: [1, 2]}
    return matrix[..., index[s], :][..., :, index[t]]


def in_eigenframe(model, k, operator):
    """Return V^+ O V."""
    V = diagonalizer(model, k)
    return V.conj().swapaxes(-1, -2) @ operator @ V


def angles(model, k):
    """Return theta and phi of Eqs. (5), (6), from the definition."""
    eta, _ = hopping_terms(model, k)
    return np.arctan2(abs(eta), model.exchange), np.angle(eta)


def square_truth(mu, t_prime, J, digits=25):
    """Return v2, dos and the numerators of p_n, p_m of the square lattice with t = 1, by rows.

    At fixed X = cos(kx) the Fermi line is a quadratic equation for Y = cos(ky); the remaining
    integral over kx is done in `digits` digits between the values where a root Y comes or goes.
    """
    mp.mp.dps = digits
    mu, tp, J = mp.mpf(mu), mp.mpf(t_prime), mp.mpf(J)

    def roots(X):
        # (mu + 4 t' X Y)^2 = 4 (X + Y)^2 + J^2
        a = 16 * tp**2 * X**2 - 4
        b = 8 * tp * mu * X - 8 * X
        c = mu**2 - 4 * X**2 - J**2
        if abs(a) < mp.mpf(10) ** (-digits + 5):
            return [-c / b]
        disc = b**2 - 4 * a * c
        if disc < 0:
            return []
        q = -(b + (mp.sqrt(disc) if b >= 0 else -mp.sqrt(disc))) / 2
        return [q / a, c / q] if q != 0 else [mp.mpf(0)]

    def row(x):
        X, total = mp.cos(x), mp.matrix(1, 4)
        for Y in roots(X):
            if abs(Y) >= 1:
                continue
            y, eta = mp.acos(Y), 2 * (X + Y)
            D, T = mp.sqrt(eta**2 + J**2), -4 * tp * X * Y
            s = 1 if mu < T else -1
            d_eta = [-2 * mp.sin(x), -2 * mp.sin(y)]
            d_T = [4 * tp * mp.sin(x) * Y, 4 * tp * X * mp.sin(y)]
            d_D = [eta * g / D for g in d_eta]
            v = [d_T[i] - s * d_D[i] for i in (0, 1)]
            cube, bend = (J / D) ** 3, eta * eta
            pn = sum(s * cube * (d_T[i] ** 2 - d_eta[i] ** 2) for i in (0, 1)) / 2
            pm = sum(cube * (s * d_T[i] ** 2 + d_T[i] * d_D[i]) for i in (0, 1)) / 2
            pm += cube * s * bend / 2  # -s Re(eta* dd eta), summed over both directions
            weight = 1 / abs(v[1]) / (2 * mp.pi**2)  # +-x, +-y, and half of the full zone
            total += weight * mp.matrix([[(v[0] ** 2 + v[1] ** 2) / 2, 1, pn, pm]])
        return total

    breaks = sorted({mp.mpf(0), mp.pi, *_row_breaks(mu, tp, J)})
    row = cache(row)  # the four integrals share their nodes
    result = mp.matrix(1, 4)
    for a, b in pairwise(breaks):
        for i in range(4):
            result[i] += mp.quad(lambda x, i=i: row(x)[i], [a, (a + b) / 2, b])
    return [float(result[i]) for i in range(4)]


def _row_breaks(mu, tp, J):
    """Return the kx at which a root passes Y = +-1, or two roots meet."""
    found = []
    for Y in (1, -1):
        # the same quadratic equation with X and Y exchanged
        a, b, c = 16 * tp**2 - 4, 8 * tp * mu * Y - 8 * Y, mu**2 - 4 - J**2
        found += _quadratic(a, b, c)
    # discriminant b^2 - 4 a c as a polynomial of X^2
    p4 = -4 * 16 * tp**2 * (-4)
    p2 = (8 * tp * mu - 8) ** 2 - 4 * (16 * tp**2 * (mu**2 - J**2) + 16)
    p0 = 16 * (mu**2 - J**2)
    for square in _quadratic(p4, p2, p0):
        if square >= 0:
            found += [mp.sqrt(square), -mp.sqrt(square)]
    if tp:
        found += [1 / (2 * tp), -1 / (2 * tp)]
    return [mp.acos(X) for X in found if abs(X) < 1]


def _quadratic(a, b, c):
    if a == 0:
        return [-c / b] if b else []
    disc = b**2 - 4 * a * c
    if disc < 0:
        return []
    q = -(b + (mp.sqrt(disc) if b >= 0 else -mp.sqrt(disc))) / 2
    return [q / a, *([c / q] if q else [])]
