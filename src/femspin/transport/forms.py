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
from numpy.typing import NDArray
from skfem import BilinearForm, LinearForm

from .coefficients import Coefficients

__all__ = ["drift", "transport"]

Array = NDArray[np.float64]


def _covariant(field: Any, rotation: Array, axes: tuple[int, ...]) -> Array:
    """Return (D_j v)^eta, shape (3, 4, ...): derivatives along the mesh axes plus rotation."""
    derivative = np.zeros((3, *field.value.shape))
    for row, axis in enumerate(axes):
        derivative[axis] = field.grad[:, row]
    return derivative + np.einsum("jez,z...->je...", rotation, field.value)


def transport(c: Coefficients, axes: tuple[int, ...]) -> BilinearForm:
    """Return the bilinear form of W1 in a region with coefficients `c`, for ElementVector(., 4)."""
    theta = c.theta.reshape(3, 4, 3, 4)

    def form(u: Any, v: Any, w: Any) -> Any:
        du, dv = _covariant(u, c.rotation, axes), _covariant(v, c.rotation, axes)
        diffusion = c.dos * c.diffusion * np.einsum("je...,jekz,kz...->...", dv, theta, du)
        reaction = c.dos * np.einsum("e...,ez,z...->...", v.value, c.reaction, u.value)
        return diffusion + reaction

    return BilinearForm(form)


def drift(c: Coefficients, axes: tuple[int, ...]) -> LinearForm:
    """Return the linear form of W1 in a region with coefficients `c`, for ElementVector(., 4)."""
    theta = c.theta.reshape(3, 4, 3, 4)

    def form(v: Any, w: Any) -> Any:
        return np.einsum("je...,jekz,kz->...", _covariant(v, c.rotation, axes), theta, c.drift)

    return LinearForm(form)
