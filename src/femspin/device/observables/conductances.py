"""Conductances of the F layers of a stack."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ...fields.soc import LEVI_CIVITA
from ...transport.layers.stack import StackLayer, admittance_parts
from ...units import Array
from .regions import region_thickness

if TYPE_CHECKING:
    from ..model import Device, Transport
__all__ = ["conductance_table"]


def conductance_table(device: Device, transport: Transport) -> dict[str, Any]:
    """Return the exact conductances of every F layer of a stack [S/m^2].

    The numerical admittance of the insulated layer, G = G_s + G_r m x m x + G_i m x, resolved
    about m (or z, without moments): G_s along it, G_r and G_i from the transverse block; the
    same for its M part alone.  Entries that this form lacks are in ``tensor``.
    """
    table: dict[str, Any] = {}
    for name, f in transport.all_fields.items():
        thickness = region_thickness(device, name)
        if device.kinds[name] != "F" or thickness is None or device.case.structure is None:
            continue
        split, _ = admittance_parts(StackLayer(f, thickness))
        axis = np.array([0.0, 0.0, 1.0]) if f.m is None else f.m
        table[name] = {
            "tensor": np.asarray(split.total, float),
            **resolved_about(np.asarray(split.total, float), axis),
            "M": resolved_about(np.asarray(split.M, float), axis),
        }
    return table


def resolved_about(G: Array, m: Array) -> dict[str, float]:
    """Return G_s, G_r, G_i of a tensor about the direction m."""
    along = float(m @ G @ m)
    across = 0.5 * (float(np.trace(G)) - along)
    turning = 0.5 * float(np.einsum("abc,a,cb->", LEVI_CIVITA, m, G))
    return {"G_s": along, "G_r": along - across, "G_i": turning}
