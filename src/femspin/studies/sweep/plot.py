"""The picture of a scan."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from itertools import product
from typing import Any

import numpy as np

from ...case.names import number_name
from ...case.schema import Case
from ...results.style import COLOURS, blank, readable, spelled_unit
from ...results.table import LOST, WALL, matching
from ...units import Array, Indices
from ..points import Axis
from .store import About

__all__ = ["plot_scan"]


_LINES = ("-", "--", ":", "-.")
_MOST_LABELS = 12
_MARKED = 40  # with fewer points each one is marked


def plot_scan(
    case: Case,
    axes: Sequence[Axis],
    coordinates: Mapping[str, Sequence[Any]],
    numbers: Mapping[str, Array],
    about: Callable[[str], About],
) -> tuple[Any, Any]:
    """Plot numbers against one axis, one curve per value of the others; (figure, axes).

    A panel shows one entry of ``plot.y``: a number, or the components of a vector.

    Args:
        case: A case with [scan].
        axes: Its axes.
        coordinates: Of every point, by axis.
        numbers: Of every point, by dotted name.
        about: Returns unit and label of a number.
    """
    assert case.scan is not None
    plot, grid = case.scan.plot, case.scan.mode == "grid"
    x = next((a for a in axes if a.name == plot.x), axes[-1])
    others = [a for a in axes if a is not x and grid]
    names = _panels(numbers, plot.y)
    figure, panels = blank((7, 1 + 3.2 * len(names)), len(names), sharex=True, squeeze=False)
    panels = panels[:, 0]
    order: Indices = np.arange(len(coordinates[x.name]))
    if grid:
        order = np.moveaxis(order.reshape([len(a.values) for a in axes]), axes.index(x), -1)
    curves = _curves(order.reshape(-1, order.shape[-1]), coordinates[x.name], numbers, others)
    for panel, group in zip(panels, names, strict=True):
        _draw(panel, x, group, curves, others)
        unit = about(group[0]).unit
        panel.set_ylabel(_panel_label(group, about) + (f"\n({spelled_unit(unit)})" if unit else ""))
        panel.ticklabel_format(axis="y", scilimits=(-3, 4), useMathText=True)
        panel.grid(color="0.9", linewidth=0.6)
        panel.set_axisbelow(True)
    panels[-1].set_xlabel(_axis_title(x))
    _legend(figure, curves, others)
    _explain_hollow(panels)
    return figure, panels


def _panels(columns: Collection[str], wanted: Sequence[str] | None) -> list[list[str]]:
    """Return the names of the numbers in every panel."""
    known, first = dict.fromkeys(columns, 0.0), next(iter(columns))
    if wanted is not None:
        groups = [list(matching((number_name(name, known),), known)) for name in wanted]
        return [g for g in groups if g] or [[first]]
    vector = next((n.rpartition(".")[0] for n in known if ".spin_current." in n), None)
    return [list(matching((vector or first,), known))]


Curve = tuple[tuple[int, ...], Sequence[Any], Mapping[str, Array]]


def _curves(
    rows: Indices, along: Sequence[Any], numbers: Mapping[str, Array], others: Sequence[Axis]
) -> list[Curve]:
    """Return positions on the other axes, x and numbers by name of every curve."""
    positions = product(*(range(len(a.values)) for a in others))
    return [
        (position, [along[k] for k in row], {n: v[row] for n, v in numbers.items()})
        for position, row in zip(positions, rows, strict=True)
    ]


def _draw(panel: Any, x: Axis, names: Sequence[str], curves: Sequence[Curve], others: Sequence[Axis]) -> None:
    """Draw the curves of one panel: colours tell the other axes apart, lines the components."""
    several = len(names) > 1
    for c, (position, along, numbers) in enumerate(curves):
        for n, name in enumerate(names):
            label = name.rpartition(".")[2] if several else ""
            panel.plot(
                along,
                numbers[name],
                label=label if c == 0 else "_",
                color=_colour(c, len(curves)) if position else COLOURS[n % len(COLOURS)],
                linestyle=_LINES[n % len(_LINES)] if position else "-",
                marker="." if len(along) < _MARKED else "",
                linewidth=1.3,
            )
            if name.startswith(WALL) and LOST in numbers:
                _hollow(panel, along, numbers[name], numbers[LOST] == 1)
    if several:
        legend = panel.legend(loc="best", frameon=False, ncols=3)
        for handle in legend.legend_handles if others else ():
            handle.set_color("0.3")
    if x.log:
        panel.set_xscale("log")
    if x.unit == "deg" and len(set(along)) > 1 and not np.ptp(along) % 90:
        from matplotlib.ticker import MaxNLocator

        panel.xaxis.set_major_locator(MaxNLocator(steps=[1, 3, 4.5, 6, 9]))


def _hollow(panel: Any, along: Sequence[Any], values: Array, lost: Any) -> None:
    """Mark the points at which the wall left the magnet in the colour of the last curve."""
    if not lost.any():
        return
    # Axes of text count their entries; matplotlib knows them by now.
    panel.plot(
        [x for x, gone in zip(along, lost, strict=True) if gone],
        values[lost],
        linestyle="",
        marker="o",
        markersize=7,
        markerfacecolor="white",
        zorder=3,
        markeredgecolor=panel.lines[-1].get_color(),
        label="_wall left",
    )


def _colour(index: int, count: int) -> Any:
    if count <= len(COLOURS):
        return COLOURS[index]
    from matplotlib import colormaps

    return colormaps["viridis"](0.92 * index / (count - 1))


def _legend(figure: Any, curves: Sequence[Curve], others: Sequence[Axis]) -> None:
    """Say which curve belongs to which values of the other axes."""
    if not others:
        return
    from matplotlib.lines import Line2D

    step = -(-len(curves) // _MOST_LABELS)
    shown = range(0, len(curves), step)
    handles = [Line2D([], [], color=_colour(c, len(curves))) for c in shown]
    labels = [
        ", ".join(
            f"{_value(a.coordinates[k])} {spelled_unit(a.unit)}".strip()
            for a, k in zip(others, curves[c][0], strict=True)
        )
        for c in shown
    ]
    title = ",\n".join(a.label for a in others)
    figure.legend(handles, labels, title=title, loc="outside right upper", frameon=False)


def _explain_hollow(panels: Any) -> None:
    """Say below the panels that have them what hollow points are."""
    for panel in panels:
        if any(line.get_label() == "_wall left" for line in panel.lines):
            panel.annotate(
                "hollow: the wall left before the end",
                (0.01, 0.02),
                xycoords="axes fraction",
                fontsize="small",
                color="0.3",
            )


def _axis_title(axis: Axis) -> str:
    """Return what stands under an axis: a readable name with its unit."""
    return f"{axis.label} ({spelled_unit(axis.unit)})" if axis.unit else axis.label


def _value(coordinate: Any) -> str:
    return f"{coordinate:.6g}" if isinstance(coordinate, float) else coordinate


def _panel_label(names: Sequence[str], about: Callable[[str], About]) -> str:
    """Return the label of one number, or what those of several components have in common."""
    labels = [about(name).label for name in names]
    if not labels[0]:
        return readable(names[0] if len(names) == 1 else names[0].rpartition(".")[0])
    if len(names) == 1:
        return labels[0]
    words = zip(*(label.split(" ") for label in labels), strict=False)
    return " ".join(w[0] if len(set(w)) == 1 else w[0].rpartition("_")[0] for w in words)
