r"""Small motion about a state of rest, with the damping and the torques of the texture.

With :math:`\omega_0 + \Omega_\tau = \lambda m_0` at rest, :math:`W = -\partial\omega/\partial m`
and :math:`\Omega' = \partial\Omega_\tau/\partial m`, in the plane normal to m_0

.. math:: (1 - \alpha\,m_0\times)\,\delta\dot m = m_0\times(W - \Omega' + \lambda)\,\delta m .

A state of rest is stable where every such motion decays.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import scipy.linalg as la
import scipy.sparse as sp
from numpy.typing import NDArray
from scipy.sparse.linalg import ArpackError, LinearOperator, eigs, gmres, splu

from ..errors import SolverError
from ..units import Array
from .energy import Term, total_matrix
from .ferromagnet import Texture
from .vectors import cross, dot, normalized

__all__ = [
    "DENSE",
    "crept_rest",
    "full_stiffness",
    "growth",
    "motion_operator",
    "newton_rest",
    "restoring",
    "small_motion",
    "solved",
    "tangent",
    "traceable",
    "unrest",
    "unstable",
]


DENSE = 900  # unknowns up to which all eigenvalues are computed
_MOST_SOLVED = 40  # nodes up to which transport is solved for every small motion
_NEAREST = 24  # small motions of lowest frequency that are looked at on larger meshes
_PROBE = 1e-3  # angle [rad] by which m is turned to see how an external torque changes
_MOST_NEWTON = 30
_FLOOR = 1e-10  # of the largest rate: what rounding leaves of a motion that is free


def tangent(m: Array) -> sp.csr_array:
    """Return two unit vectors normal to every m as columns, right-handed, shape (3 n, 2 n)."""
    n = len(m)
    helper = np.eye(3)[np.argmin(np.abs(m), axis=1)]
    first = cross(helper, m)
    first /= np.linalg.norm(first, axis=1, keepdims=True)
    values = np.stack([first, cross(m, first)], axis=2)
    rows = 3 * np.arange(n)[:, None, None] + np.arange(3)[None, :, None]
    columns = 2 * np.arange(n)[:, None, None] + np.arange(2)[None, None, :]
    where = (np.broadcast_to(rows, values.shape).ravel(), np.broadcast_to(columns, values.shape).ravel())
    return sp.csr_array((values.ravel(), where), (3 * n, 2 * n))


def small_motion(texture: Texture, m: Array) -> tuple[sp.csr_array, Any, Any]:
    """Return tangent vectors as columns, (3 n, 2 n), and C, A of C dx/dt = A x in them [rad/ps].

    A is dense where a term is long-range or a torque comes from outside.

    Args:
        texture: The system; its drives are those of time 0.
        m: A state at rest, shape (n, 3).
    """
    return _system(texture, m, full_stiffness(texture, m))


def _system(texture: Texture, m: Array, stiffness: Any) -> tuple[sp.csr_array, Any, Any]:
    basis, n = tangent(m), len(m)
    _renew(texture, m)
    turn = _turn(n)
    local = dot(m, texture.precession(m) + texture.torque_rotation(m, 0.0))[:, 0]
    restoring = basis.T @ stiffness @ basis + sp.diags_array(np.repeat(local, 2))
    for torque in texture.torques:
        restoring = restoring - _torque_slope(torque, texture, m, basis)
    inertia = sp.eye_array(2 * n) - texture.damping * turn
    return basis, inertia, turn @ restoring


def _turn(n: int) -> sp.csr_array:
    """Return v -> m x v in tangent vectors."""
    return sp.csr_array(sp.kron(sp.eye_array(n), np.array([[0.0, -1.0], [1.0, 0.0]])))


def _torque_slope(torque: Any, texture: Texture, m: Array, basis: sp.csr_array) -> Any:
    """Return dOmega/dm of a torque in tangent vectors [rad/ps], shape (2 n, 2 n)."""
    slope = getattr(torque, "slope", None)
    if slope is not None:
        return basis.T @ slope(texture.space, m, 0.0) @ basis

    def seen(state: Array) -> Array:
        _renew(texture, state)
        return np.asarray(torque.rotation(texture.space, state, 0.0))

    columns = []
    for k in range(basis.shape[1]):
        way = _PROBE * basis[:, [k]].toarray().reshape(m.shape)
        columns.append((seen(normalized(m + way)) - seen(normalized(m - way))).ravel())
    _renew(texture, m)
    return basis.T @ (np.stack(columns, axis=1) / (2 * _PROBE))


def _renew(texture: Texture, m: Array) -> None:
    """Let what transport exerts be that of m itself."""
    for torque in texture.torques:
        renew = getattr(torque, "renew", None)
        if renew is not None:
            renew(m)


def full_stiffness(texture: Texture, m: Array) -> Any:
    """Return W = -domega/dm [rad/ps], shape (3 n, 3 n), dense if a term is long-range."""
    remote, local = _parts(texture, m)
    if not remote:
        return local
    full = np.zeros((m.size, m.size))
    for k in range(m.size):
        unit = np.zeros(m.size)
        unit[k] = 1.0
        full[:, k] = _remote(remote, unit.reshape(m.shape)).ravel()
    return local.toarray() + np.repeat(1 / texture.volumes, 3)[:, None] * full


def _parts(texture: Texture, m: Array) -> tuple[list[Term], Any]:
    """Return the long-range terms, and W of the others."""
    remote = [t for t in texture.terms if t.matrix(m) is None]
    near = tuple(t for t in texture.terms if t not in remote)
    weight = sp.diags_array(np.repeat(1 / texture.volumes, 3))
    return remote, sp.csr_array(weight @ total_matrix(near, m))


def _remote(terms: list[Term], m: Array) -> Array:
    total = np.zeros_like(m)
    for term in terms:
        total += term.gradient(m, 0.0)
    return total


def traceable(texture: Texture) -> bool:
    """Return whether the growth about a state can be computed: not of a large mesh on a device."""
    solved = any(getattr(t, "slope", None) is None for t in texture.torques)
    return not solved or texture.volumes.size <= _MOST_SOLVED


def growth(texture: Texture, m: Array) -> float:
    """Return the largest growth rate [1/ps] of a small motion about a state of rest.

    What is within rounding of zero is zero.  On meshes of more than 450 nodes the motions of
    lowest frequency are looked at.

    Args:
        texture: The system, with its damping and the torques of time 0.
        m: A state at rest, shape (n, 3).

    Raises:
        SolverError: If the eigenvalues do not converge.
    """
    values = _eigenvalues(texture, m)
    largest = float(values.real.max())
    return 0.0 if abs(largest) <= _FLOOR * float(np.abs(values).max()) else largest


def _eigenvalues(texture: Texture, m: Array) -> NDArray[np.complex128]:
    if 2 * len(m) <= DENSE:
        _, inertia, motion = small_motion(texture, m)
        dense = motion.toarray() if sp.issparse(motion) else np.asarray(motion)
        return np.asarray(la.eigvals(np.linalg.solve(inertia.toarray(), dense)))
    return _nearest_eigenvalues(*motion_operator(texture, m))


def motion_operator(
    texture: Texture, m: Array
) -> tuple[sp.csc_array, Callable[[NDArray[np.complex128]], NDArray[np.complex128]]]:
    """Return a sparse matrix near C^-1 A of `small_motion`, and what applies that exactly."""
    _, near, apply = _applied(texture, m)
    alpha, turn = texture.damping, _turn(len(m))
    # (1 - alpha J)^-1 = (1 + alpha J) / (1 + alpha^2), since J^2 = -1
    damped = sp.csr_array((sp.eye_array(2 * len(m)) + alpha * turn) / (1 + alpha**2))

    def whole(x: NDArray[np.complex128]) -> NDArray[np.complex128]:
        return np.asarray(damped @ (apply(x.real) + 1j * apply(x.imag)))

    return sp.csc_array(damped @ near), whole


def _applied(texture: Texture, m: Array) -> tuple[sp.csr_array, Any, Callable[[Array], Array]]:
    """Return tangent vectors, a sparse matrix near A of `small_motion`, and what applies A."""
    remote, local = _parts(texture, m)
    basis, _, motion = _system(texture, m, local)
    if not remote:
        return basis, motion, lambda x: np.asarray(motion @ x)
    weight, turn = np.repeat(1 / texture.volumes, 3), _turn(len(m))

    def apply(x: Array) -> Array:
        way = np.ascontiguousarray(basis @ x).reshape(m.shape)
        against = weight * _remote(remote, way).ravel()
        return np.asarray(motion @ x + turn @ (basis.T @ against))

    return basis, _system(texture, m, _near_stiffness(texture, m))[2], apply


def _near_stiffness(texture: Texture, m: Array) -> Any:
    """Return W with the near parts of long-range terms alone."""
    weight = sp.diags_array(np.repeat(1 / texture.volumes, 3))
    return sp.csr_array(weight @ total_matrix(texture.terms, m))


def _nearest_eigenvalues(matrix: Any, whole: Any) -> NDArray[np.complex128]:
    """Return the eigenvalues nearest to zero of what `whole` applies and `matrix` is near to."""
    size = matrix.shape[0]
    shift = 1e-6 * float(np.abs(matrix).max()) * (1 + 1j)
    factors = splu(sp.csc_array(matrix - shift * sp.eye_array(size)))
    operator = LinearOperator((size, size), matvec=whole, dtype=complex)
    shifted = LinearOperator((size, size), matvec=lambda x: whole(x) - shift * x, dtype=complex)
    near = LinearOperator((size, size), matvec=factors.solve, dtype=complex)

    def solve(b: NDArray[np.complex128]) -> NDArray[np.complex128]:
        return np.asarray(gmres(shifted, b.astype(complex), rtol=1e-11, maxiter=20, M=near)[0])

    try:
        return np.asarray(
            eigs(
                operator,
                _NEAREST,
                sigma=shift,
                which="LM",
                return_eigenvectors=False,
                OPinv=LinearOperator((size, size), matvec=solve, dtype=complex),
                v0=np.ones(size, complex),
            )
        )
    except ArpackError as error:
        raise SolverError(f"the stability of the state at rest is not known ({error})") from None


def unrest(texture: Texture, m: Array) -> float:
    """Return the largest rate [rad/ps] at which the drives of time 0 turn m, without damping."""
    _renew(texture, m)
    drive = texture.precession(m) + texture.torque_rotation(m, 0.0)
    return float(np.linalg.norm(cross(drive, m), axis=1).max())


def newton_rest(texture: Texture, m: Array, farthest: float = 0.3) -> Array | None:
    """Return the state of rest at m, stable or not, by Newton's iteration, shape (n, 3).

    Args:
        texture: The system with the torques of time 0.
        m: Near the state of rest, shape (n, 3).
        farthest: Angle [rad] by which a moment may turn on the way.

    Returns:
        The state, or None if there is none within this angle.
    """
    start, scale = m, float(np.linalg.norm(texture.precession(m), axis=1).max())
    size = unrest(texture, m)
    for _ in range(_MOST_NEWTON):
        if size <= 1e-13 * scale:
            return m
        way = _towards_rest(texture, m)
        way = way.reshape(m.shape)
        step = float(np.linalg.norm(way, axis=1).max())
        if not np.isfinite(step):
            return None
        after = normalized(m + min(1.0, farthest / step if step else 1.0) * way)
        if np.linalg.norm(after - start, axis=1).max() > farthest:
            return None
        last, size, m = size, unrest(texture, after), after
        if step < 1e-7 and size >= 0.5 * last:  # at round-off
            return m
    return None


def unstable(texture: Texture, rest: Array) -> bool:
    """Return whether a small motion about a state at rest grows, by damping and torques alike.

    The torque that is left at the state moves it in any case, and hides what grows slower.
    """
    found = newton_rest(texture, rest, 0.02)
    at = rest if found is None else found
    return growth(texture, at) > 2 * unrest(texture, at)


def _towards_rest(texture: Texture, m: Array, slowed: float = 0.0) -> Array:
    """Return -(A - C slowed)^-1 T of `small_motion` with dm/dt = T, as a vector, shape (3 n,)."""
    drive = texture.precession(m) + texture.torque_rotation(m, 0.0)
    if 2 * len(m) <= DENSE:
        basis, inertia, motion = small_motion(texture, m)
        right = -(basis.T @ cross(drive, m).ravel())
        held = motion - slowed * inertia if slowed else motion
        return np.asarray(basis @ solved(held, right))
    basis, near, apply = _applied(texture, m)
    inertia = sp.eye_array(2 * len(m)) - texture.damping * _turn(len(m))
    right = -(basis.T @ cross(drive, m).ravel())
    pull = slowed or 1e-12 * float(np.abs(near).max())
    factors = splu(sp.csc_array(near - pull * inertia))
    size = (len(right), len(right))
    found = gmres(
        LinearOperator(size, matvec=lambda x: apply(x) - pull * (inertia @ x), dtype=float),
        right,
        rtol=1e-8,
        maxiter=20,
        M=LinearOperator(size, matvec=factors.solve, dtype=float),
    )[0]
    return np.asarray(basis @ found)


def crept_rest(texture: Texture, m: Array, quiet: float, limit: int) -> Array | None:
    """Return where implicit steps of the motion end, which become longer as it slows, (n, 3).

    Args:
        texture: The system with the torques of time 0, strongly damped.
        m: Where to start, shape (n, 3).
        quiet: Rate [rad/ps] below which m rests, see `unrest`.
        limit: Most steps.

    Returns:
        A state of rest, stable or not, or None if none is reached.
    """
    size = unrest(texture, m)
    slowed = 10 * size
    for _ in range(limit):
        if size < quiet:
            return m
        way = _towards_rest(texture, m, max(slowed, 1e-3 * size)).reshape(m.shape)
        step = float(np.linalg.norm(way, axis=1).max())
        if not np.isfinite(step):
            return None
        m = normalized(m + min(1.0, 0.1 / max(step, 1e-300)) * way)
        last, size = size, unrest(texture, m)
        slowed *= 0.5 if size < last and step < 0.1 else 1.0 if size < 2 * last else 4.0
    return None


def restoring(texture: Texture, m: Array) -> tuple[sp.csr_array, Any]:
    """Return tangent vectors, (3 n, 2 n), and W - m.omega in them [rad/ps], without torques.

    On large meshes only the near part of a long-range term counts.
    """
    remote, local = _parts(texture, m)
    stiffness: Any = local
    if remote and 2 * len(m) <= DENSE:
        stiffness = full_stiffness(texture, m)
    elif remote:
        stiffness = _near_stiffness(texture, m)
    basis = tangent(m)
    along = sp.diags_array(np.repeat(dot(m, texture.precession(m))[:, 0], 2))
    return basis, basis.T @ stiffness @ basis + along


def solved(matrix: Any, right: Array) -> Array:
    """Return the solution of a linear system, of least length where a motion is free."""
    if sp.issparse(matrix) and matrix.shape[0] > DENSE:
        slight = 1e-12 * float(np.abs(matrix).max())
        near = sp.csc_array(matrix + slight * sp.eye_array(len(right)))
        return np.asarray(splu(near).solve(right))
    dense = matrix.toarray() if sp.issparse(matrix) else np.asarray(matrix)
    found: Array = np.linalg.lstsq(dense, right, rcond=1e-11)[0]
    return found
