"""Pictures of a texture; every function returns (figure, axes)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..magnets.space import TextureSpace
from ..units import Array
from .series import Series
from .style import COLOURS, blank

__all__ = ["plot_curve", "plot_history", "plot_snapshot", "plot_wall", "write_plots"]


_SCALES = ((1e-6, 1e6, "µs"), (1e-9, 1e9, "ns"), (1e-12, 1e12, "ps"), (0.0, 1e15, "fs"))
_CURVES = ("0.1", "#d55e00", "#009e73", "#0072b2", "#cc79a7")
_ARROWS = 22  # along the longer side of a picture
_STRIP = 20  # length over height from which a plane has no room for colour and arrows
_LABELS = {"m": ("$m_x$", "$m_y$", "$m_z$"), "n": ("$n_x$", "$n_y$", "$n_z$")}


def write_plots(
    folder: Path,
    space: TextureSpace,
    history: Series | None,
    wall: Series | None,
    frames: Sequence[tuple[float, Mapping[str, Array]]],
    curves: Iterable[Series],
) -> None:
    """Write every picture of a texture into a folder.

    Args:
        folder: Where the pictures go.
        space: The magnet.
        history: Means against time, if any.
        wall: The tracked wall against time, if any.
        frames: Time and fields at the nodes; the last one is drawn.
        curves: Other series, such as loops and spectra.
    """
    drawn: dict[str, Any] = {}
    if history is not None and len(history.rows) > 1:
        drawn["history"] = plot_history(history)
    if wall is not None and len(wall.rows) > 1:
        drawn["wall"] = plot_wall(wall)
    if frames and space.size > 1:
        time, fields = frames[-1]
        title = "" if history is None else f"after {time * 1e9:.4g} ns"
        drawn["snapshot"] = plot_snapshot(space, fields, title)
    for curve in curves:
        if len(curve.rows) > 1 and curve.name != "modes":
            drawn[curve.name] = plot_curve(curve)
    for name, (figure, _) in drawn.items():
        figure.savefig(folder / f"{name}.png", dpi=150)


def _timed(time: Array) -> tuple[Array, str]:
    """Return times in a readable unit, and the label of the axis."""
    for least, factor, unit in _SCALES:
        if time[-1] >= least:
            return time * factor, f"time ({unit})"
    return time, "time (s)"


def plot_history(history: Series) -> tuple[Any, Any]:
    """Plot the mean direction and the energy against time."""
    time, label = _timed(history.column("time"))
    anti = any(c.startswith("n_") for c in history.columns)
    names = ("n", "m") if anti else ("m",)
    rows = len(names) + 1
    figure, axes = blank((7, 2.2 * rows), rows, sharex=True)
    for axis, name in zip(axes, names, strict=False):
        for a, component in enumerate("xyz"):
            axis.plot(
                time, history.column(f"{name}_{component}"), color=COLOURS[a], label=f"${name}_{component}$"
            )
        axis.set_ylabel("mean " + ("Néel vector n" if name == "n" else "magnetization m"))
        axis.legend(frameon=False, ncols=3, fontsize="small")
    energy = history.column("energy")
    axes[-1].plot(time, energy - energy[-1], color="0.2")
    axes[-1].set_ylabel("energy minus its\nlast value (J)")
    axes[-1].set_xlabel(label)
    for axis in axes:
        axis.grid(color="0.9", linewidth=0.6)
    return figure, axes


def plot_wall(wall: Series) -> tuple[Any, Any]:
    """Plot position, velocity, width and tilt of a wall against time."""
    time, label = _timed(wall.column("time"))
    figure, axes = blank((9, 5.5), 2, 2, sharex=True)
    shown = (
        (wall.column("position") * 1e9, "position (nm)"),
        (wall.column("velocity"), "velocity (m/s)"),
        (wall.column("width") * 1e9, "width λ (nm)"),
        (np.degrees(wall.column("tilt")), "tilt (°)"),
    )
    for k, (axis, (values, name)) in enumerate(zip(axes.flat, shown, strict=True)):
        axis.plot(time, values, color="#0072b2")
        axis.set_ylabel(name)
        axis.grid(color="0.9", linewidth=0.6)
        axis.ticklabel_format(axis="y", useOffset=False)
        if k >= 2:
            axis.set_xlabel(label)
    return figure, axes


def plot_curve(curve: Series) -> tuple[Any, Any]:
    """Plot the columns of a curve against the first one."""
    figure, axis = blank((6.5, 4.2))
    x, label = curve.rows[:, 0], curve.columns[0]
    if label.endswith("[Hz]"):
        x, label = x * 1e-9, label.replace("[Hz]", "[GHz]")
    for k, name in enumerate(curve.columns[1:]):
        if name == "beyond":
            continue
        style = "o" if name in ("signal", "measure") else "-"
        axis.plot(
            x,
            curve.rows[:, k + 1],
            style,
            markersize=3.5,
            linewidth=1.4,
            color=_CURVES[k % len(_CURVES)],
            label=_readable(name),
        )
    axis.set_xlabel(label.replace("[", "(").replace("]", ")"))
    if curve.name == "spectrum":
        top = curve.rows[1:, 1].max()
        axis.set_yscale("log")
        axis.set_ylim(top * 1e-8, top * 3)
        axis.set_ylabel("power of the mean direction")
    elif curve.name == "bisection":
        axis.axhline(0.0, color="0.4", linewidth=0.8)
        axis.set_ylabel("beyond the threshold where positive")
    else:
        axis.axhline(0.0, color="0.7", linewidth=0.6)
        axis.legend(frameon=False, fontsize="small")
        if curve.name == "line_shape":
            axis.set_ylabel("mean of (m·axis)(δm·axis)")
    axis.grid(color="0.9", linewidth=0.6)
    return figure, axis


def _readable(name: str) -> str:
    return f"${name}$" if name.startswith("m_") else name


def plot_snapshot(space: TextureSpace, fields: Mapping[str, Array], title: str = "") -> tuple[Any, Any]:
    """Plot the texture: components along a line or strip, or colour and arrows in a plane.

    The colour of a plane is the out-of-plane component; of a 3D mesh the middle plane along the
    shortest extent is shown.  Along a strip, such as the cross-section of a film, every node is
    a point.

    Args:
        space: The nodal space.
        fields: Nodal values by name; n is shown where there is one, else m.
        title: Of the picture.
    """
    name = "n" if "n" in fields else "m"
    span = np.ptp(space.positions, axis=0)
    extended = [k for k in space.axes if span[k] > 0]
    longest = sorted(span[extended], reverse=True)
    if len(extended) < 2 or longest[0] > _STRIP * longest[1]:
        return _line(space, fields[name], name, extended, title)
    return _plane(space, fields[name], name, extended, title)


def _line(space: TextureSpace, values: Array, name: str, extended: list[int], title: str) -> tuple[Any, Any]:
    figure, axis = blank((7, 3.4))
    span = np.ptp(space.positions, axis=0)
    along = max(extended, key=lambda k: span[k], default=0)
    order = np.argsort(space.positions[:, along])
    x = space.positions[order, along]
    style = "." if len(extended) > 1 else "-" if len(x) > 1 else "o"
    for a in range(3):
        axis.plot(
            x,
            values[order, a],
            style,
            color=COLOURS[a],
            label=_LABELS[name][a],
            markersize=3 if style == "." else None,
        )
    axis.set_xlabel(f"{'xyz'[along]} (nm)")
    axis.set_ylabel(name)
    axis.set_title(title, fontsize="medium")
    axis.legend(frameon=False, ncols=3)
    axis.grid(color="0.9", linewidth=0.6)
    return figure, axis


def _plane(space: TextureSpace, values: Array, name: str, extended: list[int], title: str) -> tuple[Any, Any]:
    span = np.ptp(space.positions, axis=0)
    normal = (
        2
        if 2 not in extended
        else (
            min(extended, key=lambda k: span[k])
            if len(extended) == 3
            else next(k for k in range(3) if k not in extended)
        )
    )
    i, j = (k for k in range(3) if k != normal)
    points, shown = space.positions, values
    if len(extended) == 3:
        height = points[:, normal]
        middle = height[np.argmin(np.abs(height - height.mean()))]
        chosen = np.abs(height - middle) < 1e-3 * span[normal]
        points, shown = points[chosen], values[chosen]
    wide = 6.5
    tall = float(np.clip(wide * span[j] / max(span[i], 1e-9), 1.6, 7.0))
    figure, axis = blank((wide + 1.4, tall + 0.8))
    colour = axis.tripcolor(
        points[:, i], points[:, j], shown[:, normal], cmap="RdBu_r", vmin=-1, vmax=1, shading="gouraud"
    )
    figure.colorbar(colour, label=f"${name}_{'xyz'[normal]}$")
    chosen = _sparse(points[:, [i, j]])
    axis.quiver(
        *points[chosen][:, [i, j]].T,
        *shown[chosen][:, [i, j]].T,
        pivot="mid",
        scale=1.15 * _ARROWS,
        width=0.003,
    )
    axis.set_aspect("equal")
    axis.set_xlabel(f"{'xyz'[i]} (nm)")
    axis.set_ylabel(f"{'xyz'[j]} (nm)")
    axis.set_title(title, fontsize="medium")
    return figure, axis


def _sparse(points: Array) -> NDArray[np.int64]:
    """Return the nodes nearest to a coarse grid, for arrows."""
    from scipy.spatial import cKDTree

    low, high = points.min(axis=0), points.max(axis=0)
    pitch = (high - low).max() / _ARROWS
    counts = np.maximum(1, ((high - low) / pitch).astype(int))
    axes = [a + (b - a) * (np.arange(k) + 0.5) / k for a, b, k in zip(low, high, counts, strict=True)]
    grid = np.stack(np.meshgrid(*axes), axis=-1).reshape(-1, 2)
    distance, nearest = cKDTree(points).query(grid)
    return np.unique(nearest[distance < pitch])
