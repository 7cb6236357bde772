"""The derivative of the split of the spin flux that leaves a layer: the product rule."""

from __future__ import annotations

import numpy as np

from ...fields.kernels import gauge_kernel, loss_kernel
from ...fields.region import RegionFields
from ...fields.soc import cross_matrix
from ...units import AnyArray
from .balance import FluxSplit
from .case import StackLayer
from .dual import Dual

__all__ = ["changed_sources"]


def changed_sources(
    layer: StackLayer,
    changes: RegionFields,
    growth: float,
    integral: Dual,
    rise: Dual,
    entering: AnyArray,
    frequency: Dual,
) -> FluxSplit:
    """Return the derivative of `balance.layer_sources` for one drive, part by part.

    Args:
        layer: The layer.
        changes: Derivatives of its coefficients.
        growth: Derivative of its thickness [m].
        integral: Integral of mu^a over the layer [J m], shape (3,).
        rise: mu^eta at the top minus mu^eta at the bottom [J], shape (4,).
        entering: Derivative of the flux in through the other face [1/(m^2 s)], shape (3,).
        frequency: Angular frequency W [rad/s].
    """
    f, d = layer.fields, changes

    def both(key: str) -> Dual:
        return Dual(np.asarray(getattr(f, key)), np.asarray(getattr(d, key)))

    dos, diffusion = both("dos"), both("diffusion")
    density, jump = dos * integral, dos * rise
    loss, gauge = _kernels(f, d)
    flipped = Dual(loss.value.T, loss.change.T)
    symmetric, antisymmetric = (loss + flipped) * 0.5, (loss - flipped) * 0.5
    diagonal = symmetric * np.eye(3)
    torque = Dual(cross_matrix(f.omega), cross_matrix(d.omega))
    thickness = Dual(np.array(layer.thickness), np.array(growth))
    turned = Dual(gauge.value.reshape(3, 12), gauge.change.reshape(3, 12))
    drift = Dual(f.drift.reshape(12), d.drift.reshape(12))
    flow = gauge[:, 2] * diffusion
    waves = -1j if frequency.value or frequency.change else 0.0
    parts = {
        "M_relax": -(both("relaxation") @ density),
        "M_prec": torque @ density,
        "L_diag": -(diagonal @ density) * diffusion,
        "L_anti": -(antisymmetric @ density) * diffusion,
        "S": -((symmetric - diagonal) @ density) * diffusion,
        "A": flow[:, 1:] @ jump[1:],
        "E": -(turned @ drift) * thickness + flow[:, 0] * jump[0],
        "T": density * frequency * waves,
    }
    return FluxSplit(**{k: p.change for k, p in parts.items()}, B=entering)


def _kernels(f: RegionFields, d: RegionFields) -> tuple[Dual, Dual]:
    """Return the loss kernel (3, 3) and gauge kernel (3, 3, 4) with their derivatives.

    The first is quadratic in the gauge field: its symmetric bilinear form is what a sum of two
    gauge fields has beyond that of each.
    """
    # As large a step as the field itself, so that nothing cancels.
    own, new = float(np.abs(f.gauge).max()), float(np.abs(d.gauge).max())
    size = own / new if own > 0 and new > 0 else 1.0
    step = size * d.gauge
    mixed = loss_kernel(f.gauge + step, f.theta) - loss_kernel(f.gauge - step, f.theta)
    loss = mixed / (2 * size) + loss_kernel(f.gauge, d.theta)
    gauge = gauge_kernel(d.gauge, f.theta) + gauge_kernel(f.gauge, d.theta)
    return (Dual(loss_kernel(f.gauge, f.theta), loss), Dual(gauge_kernel(f.gauge, f.theta), gauge))
