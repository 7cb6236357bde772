r"""The weak form W1, as one reads it: the twin against which the fast assembly is tested.

Find mu such that for all v, summed over the layers,

.. math::
    \int \nu D\,(\hat D_j v)^\eta\,\Theta^{j\eta}_{k\zeta}\,(\hat D_k\mu)^\zeta
    + \nu\, v^a \Gamma_{ab}\mu^b - \nu\, v\cdot(\omega\times\mu)
    = \int (\hat D_j v)^\eta\,\Theta^{j\eta}_{k\zeta}\,s^{k\zeta} - \oint v^\eta J_n^\eta ,

with the covariant derivative :math:`\hat D_j = \partial_j + T_j`,
:math:`(T_j\mu)^a = \epsilon^{abc}a^{jb}\mu^c`.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from skfem import BilinearForm, LinearForm

from ..units import Array
from .assembly.coefficients import Coefficients

__all__ = ["drift", "four_components", "transport"]


def _covariant(field: Array, gradient: Array, rotation: Array, axes: tuple[int, ...]) -> Array:
    """Return (D_j v)^eta, shape (3, 4, ...): derivatives along the mesh axes plus rotation."""
    derivative = np.zeros((3, *field.shape))
    derivative[list(axes)] = gradient.transpose(1, 0, *range(2, gradient.ndim))
    found: Array = derivative + np.einsum("jez,z...->je...", rotation, field)
    return found


def _four(components: Any) -> tuple[Array, Array]:
    """Return values (4, ...) and gradients (4, dim, ...) of the four components."""
    return np.stack([np.asarray(u) for u in components]), np.stack([u.grad for u in components])


def four_components(element: Any) -> Any:
    """Return the element of (mu^0, mu^x, mu^y, mu^z) on which the forms act."""
    return element * element * element * element


def transport(c: Coefficients, axes: tuple[int, ...]) -> BilinearForm:
    """Return the bilinear form of W1 in a region with coefficients `c`."""
    theta = c.theta.reshape(3, 4, 3, 4)

    def form(*arguments: Any) -> Any:
        u, du = _four(arguments[:4])
        v, dv = _four(arguments[4:8])
        du, dv = _covariant(u, du, c.rotation, axes), _covariant(v, dv, c.rotation, axes)
        diffusion = c.dos * c.diffusion * np.einsum("je...,jekz,kz...->...", dv, theta, du)
        reaction = c.dos * np.einsum("e...,ez,z...->...", v, c.reaction, u)
        return diffusion + reaction

    return BilinearForm(form)


def drift(c: Coefficients, axes: tuple[int, ...]) -> LinearForm:
    """Return the linear form of W1 in a region with coefficients `c`."""
    theta = c.theta.reshape(3, 4, 3, 4)

    def form(*arguments: Any) -> Any:
        v, dv = _four(arguments[:4])
        covariant = _covariant(v, dv, c.rotation, axes)
        return np.einsum("je...,jekz,kz->...", covariant, theta, c.drift)

    return LinearForm(form)
