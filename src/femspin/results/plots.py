"""Pictures of a solution; every function returns (figure, axes)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ..case.values import INSULATORS
from ..interface.split import PARTS
from ..magnets.macrospin import Trajectory
from ..units import SPIN_CURRENT
from .profiles import flux_profile, potential_profile
from .style import COLOURS, PART_COLOURS, blank

if TYPE_CHECKING:
    from ..device.model import Device, Transport

__all__ = ["plot_parts", "plot_profiles", "plot_trajectory"]


_REGION_SHADES = {"HM": "#f2f2f2", "F": "#fde9d4", "FI": "#e4eef7", "I": "#e4eef7"}


def plot_profiles(device: Device, transport: Transport) -> tuple[Any, Any]:
    """Plot the spin potential and the vertical spin current along z, averaged over each region.

    The current is shown as the mean of every layer of cells, so that it jumps where the mesh
    does not resolve it and is not drawn across interfaces; where cells do not lie in layers both
    are means over thin slices.
    """
    figure, (upper, lower) = blank((7, 6), 2, sharex=True)
    for index, region in enumerate(device.conductors):
        height, mu = potential_profile(device, transport, region)
        edges, flux = flux_profile(device, transport, region)
        for a, name in enumerate("xyz"):
            label = None if index else name
            upper.plot(height, 1e3 * mu[:, a], color=COLOURS[a], label=label and f"$\\mu^{label}$")
            lower.stairs(
                flux[:, a] / 1e9,
                edges,
                color=COLOURS[a],
                baseline=None,
                linewidth=1.5,
                label=label and f"$J_z^{label}$",
            )
    upper.set_ylabel("spin potential (µeV)")
    lower.set_ylabel("spin current along z\n($10^9$ A/m$^2$, $\\hbar/2e$)")
    lower.set_xlabel("z (nm)" + ("" if device.space.dimension == 1 else ", mean over each region"))
    for axes in (upper, lower):
        axes.axhline(0, color="0.6", linewidth=0.6)
        axes.legend(loc="best", frameon=False, ncols=3)
        _shade_regions(device, axes)
    _label_regions(device, upper)
    return figure, (upper, lower)


def _shade_regions(device: Device, axes: Any) -> None:
    for name, low, high in _extents(device):
        if device.kinds[name] not in INSULATORS:
            axes.axvspan(low, high, color=_REGION_SHADES[device.kinds[name]], zorder=-5, linewidth=0)
    axes.margins(x=0)


def _label_regions(device: Device, axes: Any) -> None:
    for name, low, high in _extents(device):
        if device.kinds[name] not in INSULATORS:
            axes.text(
                (low + high) / 2, 1.02, name, transform=axes.get_xaxis_transform(), ha="center", va="bottom"
            )


def _extents(device: Device) -> list[tuple[str, float, float]]:
    mesh = device.structure.mesh
    result = []
    for name in device.structure.regions:
        z = mesh.p[-1, mesh.t[:, device.structure.cells(name)]]
        result.append((name, float(z.min()), float(z.max())))
    return result


def plot_parts(device: Device, transport: Transport, name: str) -> tuple[Any, Any]:
    """Plot the parts of one interface current as stacked bars per spin component."""
    currents = transport.interfaces[name]
    figure, axes = blank((6, 4.5))
    keys = [*PARTS, "B"] if np.any(currents.parts["B"]) else list(PARTS)
    values = np.stack([currents.parts[k] * SPIN_CURRENT for k in keys])
    unit, prefix = _scale(np.abs(values).max())
    up, down = np.zeros(3), np.zeros(3)
    for key, row in zip(keys, values / unit, strict=True):
        bottom = np.where(row >= 0, up, down)
        axes.bar(range(3), row, bottom=bottom, width=0.55, label=key, color=PART_COLOURS[key])
        up, down = up + np.maximum(row, 0), down + np.minimum(row, 0)
    total = currents.flux[1:] * SPIN_CURRENT / unit
    axes.hlines(total, np.arange(3) - 0.33, np.arange(3) + 0.33, color="k", linewidth=2, label="total")
    axes.axhline(0, color="0.4", linewidth=0.8)
    low, high = min(down.min(), total.min(), 0.0), max(up.max(), total.max(), 0.0)
    room = 0.06 * (high - low) or 1.0
    axes.set_ylim(low - room, high + room)
    axes.set_xticks(range(3), ["x", "y", "z"])
    axes.set_xlabel("spin component")
    axes.set_ylabel(f"spin current at {name} ({prefix}A/m$^2$, $\\hbar/2e$)")
    axes.legend(frameon=False, ncols=2)
    return figure, axes


def _scale(largest: float) -> tuple[float, str]:
    if largest == 0:
        return 1.0, ""
    power = int(np.floor(np.log10(largest) / 3) * 3)
    return 10.0**power, f"$10^{{{power}}}$ " if power else ""


def plot_trajectory(trajectory: Trajectory) -> tuple[Any, Any]:
    """Plot the magnetization components against time."""
    figure, axes = blank((7, 4))
    for a, name in enumerate("xyz"):
        axes.plot(trajectory.time * 1e9, trajectory.m[:, a], color=COLOURS[a], label=f"$m_{name}$")
    axes.set_xlabel("time (ns)")
    axes.set_ylabel("magnetization direction")
    axes.set_ylim(-1.05, 1.05)
    axes.margins(x=0)
    axes.legend(loc="center left", bbox_to_anchor=(1, 0.5), frameon=False)
    return figure, axes
