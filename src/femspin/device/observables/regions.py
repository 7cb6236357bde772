"""The numbers of a solution as plain tables, in SI, ready for `result.json`."""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING, Any

from ...structure import sides
from ...transport.layers.lengths import lengths, resolved_rates
from ...units import LENGTH

if TYPE_CHECKING:
    from ..model import Device, Transport

__all__ = [
    "region_table", "region_thickness",
    ]  # fmt: skip


def region_table(device: Device, transport: Transport) -> dict[str, Any]:
    """Return what each conducting region was computed with, and its lengths."""
    table: dict[str, Any] = {}
    for name, f in transport.all_fields.items():
        scale = lengths(f, resolved_rates(device.case))
        entry: dict[str, Any] = {
            "kind": device.kinds[name],
            "dos": f.dos,
            "diffusion_constant": f.diffusion,
            "conductivity": f.measured_conductivity,
            "drude_conductivity": f.conductivity,
            "gauge_field": f.gauge,
            "precession": f.omega,
            "relaxation": f.relaxation,
            "lengths": {
                k: getattr(scale, k)
                for k in ("relaxation", "precession", "spin_orbit", "gauge", "shortest")
            },
        }
        if f.moments is not None:
            entry["moments"] = {
                "direction_seen_by_carriers": f.m,
                "spin": f.moments.spin,
                "splitting": f.moments.splitting,
                "tau_parallel": 1 / f.moments.rate_parallel if f.moments.rate_parallel else None,
                "tau_perpendicular": 1 / f.moments.rate_perpendicular
                if f.moments.rate_perpendicular
                else None,
                "curie_temperature": f.moments.curie,
                "exchange_energy": f.moments.exchange_energy,
            }
        table[name] = entry
    return table


def region_thickness(device: Device, region: str) -> float | None:
    """Return the thickness of a region [m]: of its layers that touch, or as the mesh has it."""
    if device.case.structure is None:
        return sides.region_thickness(device.structure, region) * LENGTH
    layers = device.case.structure.layers
    blocks = (list(block) for name, block in groupby(layers, lambda x: x.region) if name == region)
    return sum(x.thickness for x in next(blocks, [])) or None

