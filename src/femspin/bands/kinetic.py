r"""The torques from the Boltzmann equation of the full density matrix, as a check of the formulas.

No formula of the coefficients is used: the order is a spiral :math:`n(r)` or a canting wave
:math:`m e^{iq\cdot r}`, a uniform force F acts, every element of the density matrix relaxes with
the same lifetime towards local equilibrium,

.. math:: \partial_t\rho + i[H, \rho] + F\cdot\partial_kf(H) = -(\rho - f(H))/\tau,

and the spin that the force makes is read off.  What is linear in F, tau and the wave number gives
p_n, p_m and p_st (errata C).  Slower than the formulas by orders of magnitude, and accurate to
about :math:`(\hbar/\tau\Delta)^2` and :math:`(Q\tau v)^4`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..units import Array
from .hamiltonian import hamiltonian, pauli_product
from .lattice import TwoSublattice

__all__ = ["KineticSetup", "canting_drift", "kinetic_mesh", "neel_drift", "staggered_drift"]

Complex = NDArray[np.complex128]
Spin = tuple[float, float, float]

_SHIFT = (0.013, 0.029, 0.041)
_STEP = 5e-3  # of numerical derivatives with respect to k


@dataclass(frozen=True)
class KineticSetup:
    """State of the electrons and numerical parameters of the kinetic equation.

    Args:
        mu: Chemical potential, in the unit of the hopping.
        kT: Temperature in the same unit, > 0.
        mesh: Points per direction.
        tau: Lifetime, hbar over the hopping; long against hbar/Delta.
        wave: Wave number of the order times tau; the error is of its fourth power.
        neel: Direction of the Neel spin.
        axis: Axis of the spiral, or direction of the canting; perpendicular to `neel`.
    """

    mu: float
    kT: float
    mesh: int = 64
    tau: float = 1e4
    wave: float = 0.01
    neel: Spin = (0.0, 0.0, 1.0)
    axis: Spin = (1.0, 0.0, 0.0)


def kinetic_mesh(model: TwoSublattice, n: int) -> Array:
    """Return the wave vectors of a uniform mesh, shape (n^d, d)."""
    axes = [(np.arange(n) + 0.5 + x) / n - 0.5 for x in _SHIFT[: model.dimension]]
    grid = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, model.dimension)
    points: Array = grid @ model.reciprocal
    return points


def neel_drift(model: TwoSublattice, setup: KineticSetup) -> Array:
    """Return p_n, shape (d, d), from the spin along the axis of a spiral; errata C.

    Args:
        model: The lattice.
        setup: State and parameters.
    """
    along = _spin_operator(0, setup.axis)
    K = -model.exchange * _spiral_response(model, setup, along, 0.0).real
    return _per_velocity(model, setup, K)


def staggered_drift(model: TwoSublattice, setup: KineticSetup, omega: float) -> Array:
    """Return p_st, shape (d, d), from the staggered spin of a spiral in an alternating force.

    Its part in phase with the derivative of the force, to order omega^2; errata C.

    Args:
        model: The lattice.
        setup: State and parameters; tau omega must not be small.
        omega: Angular frequency, hopping over hbar.
    """
    third = _spin_operator(3, tuple(np.cross(setup.neel, setup.axis)))
    K = 2 * model.exchange**2 * _spiral_response(model, setup, third, omega) / (1j * omega)
    return _per_velocity(model, setup, K.real)


def canting_drift(model: TwoSublattice, setup: KineticSetup) -> Array:
    """Return p_m, shape (d, d), from the staggered spin beside a canting wave; errata C.

    Args:
        model: The lattice.
        setup: State and parameters.
    """
    d, q = model.dimension, setup.wave / setup.tau
    K = np.zeros((d, d))
    for g, f in np.ndindex(d, d):
        odd = [_canting_response(model, setup, x, g, f).real for x in (q, 2 * q)]
        K[g, f] = model.exchange**2 * (4 * odd[0] - odd[1]) / 3
    return _per_velocity(model, setup, K)


def _spin_operator(rho: int, direction: Spin) -> Complex:
    n = np.array(direction, dtype=float) / np.linalg.norm(direction)
    operator: Complex = sum(
        (n[a] * pauli_product(rho, a + 1) for a in range(3)), np.zeros((4, 4), dtype=complex)
    )
    return operator


def _per_velocity(model: TwoSublattice, setup: KineticSetup, K: Array) -> Array:
    """Return K <v v>^-1 with the velocities of the Hamiltonian matrix itself."""
    k = kinetic_mesh(model, setup.mesh)
    w, U = np.linalg.eigh(hamiltonian(model, k, setup.neel))
    weight = 1 / (4 * setup.kT) / np.cosh(np.clip((w - setup.mu) / (2 * setup.kT), -300, 300)) ** 2
    v = np.stack(
        [
            np.einsum("kab,kac,kcb->kb", U.conj(), _force(model, k, setup.neel, j), U).real
            for j in range(model.dimension)
        ],
        axis=-1,
    )
    # Each band is counted once: half the trace over the degenerate pairs.
    vv = np.einsum("kb,kbi,kbj->ij", weight, v, v) / len(k) / 2
    ratio: Array = K @ np.linalg.inv(vv)
    return ratio


def _force(model: TwoSublattice, k: Array, neel: Spin, j: int) -> Complex:
    """Return dH/dk_j, shape (N, 4, 4)."""
    e, ep = np.array(model.inter), np.array(model.intra).reshape(-1, model.dimension)
    hop = np.exp(-1j * (k @ e.T)) * np.array(model.inter_amplitudes)
    d_eta = -1j * (hop @ e[:, j])
    d_T = 2 * (np.sin(k @ ep.T) * np.array(model.intra_amplitudes, dtype=float)) @ ep[:, j]
    d_H = d_T[:, None, None] * pauli_product(0, 0) - d_eta.real[:, None, None] * pauli_product(1, 0)
    result: Complex = d_H - d_eta.imag[:, None, None] * pauli_product(2, 0)
    return result


def _divided(w: Array, v: Array, mu: float, kT: float) -> Array:
    """Return (f(w_a) - f(v_b))/(w_a - v_b), shape (N, 4, 4), without cancellation."""
    a, b = (w[:, :, None] - mu) / (2 * kT), (v[:, None, :] - mu) / (2 * kT)
    delta = a - b
    near = abs(delta) < 0.5
    x = np.where(near, delta, 0.0)
    sinhc = 1 + x**2 / 6 * (1 + x**2 / 20 * (1 + x**2 / 42 * (1 + x**2 / 72 * (1 + x**2 / 110))))
    with np.errstate(over="ignore"):
        close = sinhc / (np.cosh(np.clip(a, -300, 300)) * np.cosh(np.clip(b, -300, 300)))
    far = (np.tanh(a) - np.tanh(b)) / np.where(near, 1.0, delta)
    return -np.where(near, close, far) / (4 * kT)


def _in_basis(left: Complex, operator: Complex, right: Complex) -> Complex:
    """Return U^+ O V for every point."""
    product: Complex = left.conj().swapaxes(-1, -2) @ operator @ right
    return product


def _spiral_response(model: TwoSublattice, setup: KineticSetup, operator: Complex, omega: float) -> Complex:
    """Return the part of an operator linear in Q, force and lifetime, shape (d, d)."""
    d = model.dimension
    life = setup.tau / (1 - 1j * omega * setup.tau)
    result = np.zeros((d, d), dtype=complex)
    for gradient in range(d):

        def spins(Q: float, g: int = gradient) -> Complex:
            return _spiral_spin(model, setup, operator, omega, Q, g)

        q = setup.wave / setup.tau
        odd = [(spins(x) - spins(-x)) / (-2 * x * life) for x in (q, 2 * q)]
        result[gradient] = (4 * odd[0] - odd[1]) / 3
    return result


def _spiral_spin(
    model: TwoSublattice, setup: KineticSetup, operator: Complex, omega: float, Q: float, gradient: int
) -> Complex:
    """Return the mean of an operator in the frame of a spiral, for a force along each direction.

    In the frame that turns with the order every hop carries a rotation about the axis, so that
    k becomes k - Q sigma/2 along the gradient.
    """
    k = kinetic_mesh(model, setup.mesh)
    step = np.zeros(model.dimension)
    step[gradient] = Q / 2
    turn = _spin_operator(0, setup.axis)
    unit = np.eye(4)
    shares = [((unit + sign * turn) / 2, k - sign * step) for sign in (1, -1)]
    exchange = -model.exchange * _spin_operator(3, setup.neel)
    H = exchange + sum((hamiltonian(model, kk, setup.neel) - exchange) @ P for P, kk in shares)
    w, U = np.linalg.eigh(H)
    slope = _divided(w, w, setup.mu, setup.kT)
    rate = 1j * (w[:, :, None] - w[:, None, :]) - 1j * omega + 1 / setup.tau
    seen = _in_basis(U, operator, U)
    means = []
    for j in range(model.dimension):
        dH = sum(_force(model, kk, setup.neel, j) @ P for P, kk in shares)
        rho = -slope * _in_basis(U, np.asarray(dH), U) / rate
        means.append(np.einsum("kab,kba->", seen, rho) / len(k))
    return np.array(means)


def _canting_response(
    model: TwoSublattice, setup: KineticSetup, q: float, gradient: int, force: int
) -> complex:
    """Return the part of the staggered spin linear in q, canting, force and lifetime."""
    values = [_canting_spin(model, setup, x, gradient, force) for x in (q, -q)]
    return complex((values[0] - values[1]) / (2j * q * setup.tau))


def _canting_spin(model: TwoSublattice, setup: KineticSetup, q: float, gradient: int, force: int) -> complex:
    """Return the staggered spin of wave number q, to first order in canting and force."""
    k = kinetic_mesh(model, setup.mesh)
    half = np.zeros(model.dimension)
    half[gradient] = q / 2
    canting = -_spin_operator(0, setup.axis)
    operator = _spin_operator(3, tuple(np.cross(setup.neel, setup.axis)))

    def local(kk: Array) -> Complex:
        """Local equilibrium to first order in the canting, in the fixed basis."""
        (w, U), (v, W) = (np.linalg.eigh(hamiltonian(model, x, setup.neel)) for x in (kk + half, kk - half))
        R = _divided(w, v, setup.mu, setup.kT) * _in_basis(U, canting, W)
        result: Complex = U @ R @ W.conj().swapaxes(-1, -2)
        return result

    moved = [_driven(model, setup, x, force) for x in (k + half, k - half)]
    source = -_derivative(local, k, force) - 1j * (canting @ moved[1] - moved[0] @ canting)
    (w, U), (v, W) = (np.linalg.eigh(hamiltonian(model, x, setup.neel)) for x in (k + half, k - half))
    rate = 1j * (w[:, :, None] - v[:, None, :]) + 1 / setup.tau
    rho = _in_basis(U, source, W) / rate
    return complex(np.einsum("kab,kba->", _in_basis(W, operator, U), rho) / len(k))


def _driven(model: TwoSublattice, setup: KineticSetup, k: Array, force: int) -> Complex:
    """Return the density matrix that a uniform force makes of the uniform order."""
    w, U = np.linalg.eigh(hamiltonian(model, k, setup.neel))
    dH = _in_basis(U, _force(model, k, setup.neel, force), U)
    rate = 1j * (w[:, :, None] - w[:, None, :]) + 1 / setup.tau
    rho = -_divided(w, w, setup.mu, setup.kT) * dH / rate
    result: Complex = U @ rho @ U.conj().swapaxes(-1, -2)
    return result


def _derivative(function: Callable[[Array], Complex], k: Array, j: int) -> Complex:
    """Return the derivative with respect to k_j, of sixth order in the step."""
    step = np.zeros(k.shape[1])
    step[j] = _STEP
    terms = [w * (function(k + n * step) - function(k - n * step)) for w, n in ((45, 1), (-9, 2), (1, 3))]
    total: Complex = (terms[0] + terms[1] + terms[2]) / (60 * _STEP)
    return total
