r"""Small motion about an equilibrium: eigenmodes and ring-down spectra.

For a texture of unit vectors, with :math:`\omega_0 = \lambda m_0` at rest and
:math:`W = -\partial\omega/\partial m`, in the plane normal to m_0

.. math:: (1 - \alpha\,m_0\times)\,\delta\dot m = m_0\times(W + \lambda)\,\delta m .

The (n, m) model of an antiferromagnet without field gives an oscillator,
:math:`\delta\ddot n + \Gamma\,\delta\dot n + (a/s)(W + \lambda)\,\delta n = 0`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.linalg as la
import scipy.sparse as sp
from numpy.typing import NDArray
from scipy.sparse.linalg import eigs, eigsh

from ..errors import CaseError, SolverError
from ..units import TIME, Array
from .antiferromagnet import AntiferroTexture
from .energy import total_matrix
from .ferromagnet import Texture
from .small_motion import DENSE, full_stiffness, tangent
from .vectors import cross, dot

__all__ = ["Modes", "antiferromagnet_modes", "ring_down", "texture_modes"]


_REST = 1e-4  # |m x omega| / |omega| above which a state is not an equilibrium


@dataclass(frozen=True)
class Modes:
    """Eigenmodes by ascending frequency.

    Args:
        frequency: Angular frequency [rad/s], >= 0, shape (k,).
        decay: Decay rate of the amplitude [1/s], negative if the equilibrium is unstable.
        shape: Complex amplitude at the nodes, shape (k, n, 3).
    """

    frequency: Array
    decay: Array
    shape: NDArray[np.complex128]


def texture_modes(texture: Texture, m: Array, count: int = 6, near: float = 0.0) -> Modes:
    """Return modes of a ferromagnet or of both sublattices about an equilibrium, without torques.

    Args:
        texture: The system.
        m: Equilibrium, shape (n, 3).
        count: Number of modes.
        near: The modes of frequency nearest to this one [rad/s] are found.

    Raises:
        SolverError: If m is not an equilibrium.
    """
    omega = texture.precession(m)
    if np.linalg.norm(cross(m, omega), axis=1).max() > _REST * np.linalg.norm(omega, axis=1).max():
        raise SolverError("modes need an equilibrium; relax the texture first")
    basis = tangent(m)
    stiffness = full_stiffness(texture, m)
    local = sp.diags_array(np.repeat(dot(m, omega)[:, 0], 2))
    restoring = basis.T @ stiffness @ basis + local
    turn = sp.kron(sp.eye_array(len(m)), np.array([[0.0, -1.0], [1.0, 0.0]]), format="csr")
    # (1 - alpha J)^-1 = (1 + alpha J) / (1 + alpha^2), since J^2 = -1
    damped = (turn - texture.damping * sp.eye_array(2 * len(m))) / (1 + texture.damping**2)
    values, vectors = _eigenpairs(sp.csc_array(damped @ restoring), count, near * TIME)
    shapes = (basis @ vectors).T.reshape(len(values), len(m), 3)
    return Modes(values.imag / TIME, -values.real / TIME, shapes)


def antiferromagnet_modes(texture: AntiferroTexture, n: Array, count: int = 6) -> Modes:
    """Return the lowest modes of n about an equilibrium without field and torques.

    Raises:
        CaseError: If there is a field (use the two-sublattice model).
        SolverError: If n is not an equilibrium.
    """
    if texture.precession is not None:
        raise CaseError("field", "modes of the (n, m) model need zero field")
    omega = -texture.order_gradient(n, 0.0)
    if np.linalg.norm(cross(n, omega), axis=1).max() > _REST * np.linalg.norm(omega, axis=1).max():
        raise SolverError("modes need an equilibrium; relax the texture first")
    basis, v = tangent(n), texture.space.volumes
    energy = total_matrix(texture.terms, n)
    if texture.skew.any():
        skew = np.outer(texture.skew, texture.skew) * texture.stiffness_rate
        energy = energy + sp.kron(sp.diags_array(v), skew)
    matrix = sp.csc_array(basis.T @ energy @ basis)
    matrix = sp.csc_array(matrix + sp.diags_array(np.repeat(v * dot(n, omega)[:, 0], 2)))
    mass = np.repeat(v, 2)
    values, vectors = _lowest(matrix, mass, count)
    gamma = texture.magnet.damping * texture.stiffness_rate
    squares = texture.stiffness_rate * values - gamma**2 / 4
    if squares.min() < 0:
        raise SolverError("a mode is unstable or overdamped")
    shapes = (basis @ vectors).T.reshape(len(values), len(n), 3).astype(complex)
    return Modes(np.sqrt(squares) / TIME, np.full(len(values), gamma / 2 / TIME), shapes)


def ring_down(times: Array, signal: Array) -> tuple[Array, Array]:
    """Return angular frequencies [rad/s] and power of a signal under a Hann window.

    Args:
        times: Equally spaced times [s], shape (k,).
        signal: Real signal, shape (k,).
    """
    window = np.hanning(len(times))
    padded = 8 * len(times)
    spectrum = np.fft.rfft((signal - np.mean(signal)) * window, padded)
    step = float(times[1] - times[0])
    power: Array = np.square(np.abs(spectrum), dtype=np.float64)
    omega = np.arange(len(power), dtype=np.float64) * (2 * np.pi / (padded * step))
    return omega, power


def _eigenpairs(
    matrix: Any, count: int, near: float
) -> tuple[NDArray[np.complex128], NDArray[np.complex128]]:
    size = matrix.shape[0]
    if size <= DENSE or not sp.issparse(matrix):
        dense = matrix.toarray() if sp.issparse(matrix) else matrix
        values, vectors = la.eig(dense)
    else:
        # Just off the target, so that a mode at it does not make the shifted matrix singular.
        shift = 1j * (near + 1e-6)
        values, vectors = eigs(matrix.astype(complex), 2 * count + 2, sigma=shift, which="LM")
    positive = np.flatnonzero(values.imag > -1e-12)
    order = positive[np.argsort(np.abs(values.imag[positive] - near))][:count]
    order = order[np.argsort(values.imag[order])]
    return values[order], vectors[:, order]


def _lowest(matrix: sp.csc_array, mass: Array, count: int) -> tuple[Array, Array]:
    size = matrix.shape[0]
    root = 1 / np.sqrt(mass)
    scaled = sp.csc_array(sp.diags_array(root) @ matrix @ sp.diags_array(root))
    if size <= DENSE:
        values, vectors = la.eigh(scaled.toarray())
        values, vectors = values[:count], vectors[:, :count]
    else:
        shift = -1e-6 * float(np.abs(scaled.diagonal()).max())
        values, vectors = eigsh(scaled, count, sigma=shift, which="LM")
        order = np.argsort(values)
        values, vectors = values[order], vectors[:, order]
    return values, root[:, None] * vectors
