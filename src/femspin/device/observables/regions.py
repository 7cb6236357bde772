"""Thickness of regions."""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING

from ...structure import sides
from ...units import LENGTH

if TYPE_CHECKING:
    from ..model import Device

__all__ = ["region_thickness"]


def region_thickness(device: Device, region: str) -> float | None:
    """Return the thickness of a region [m]: of its layers that touch, or as the mesh has it."""
    if device.case.structure is None:
        return sides.region_thickness(device.structure, region) * LENGTH
    layers = device.case.structure.layers
    blocks = (list(block) for name, block in groupby(layers, lambda x: x.region) if name == region)
    return sum(x.thickness for x in next(blocks, [])) or None
