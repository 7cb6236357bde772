"""The picture of a scan."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from itertools import product
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ...case.paths import number_name
from ...case.schema import Case
from ...results.table import LOST, WALL, matching
from ...units import Array
from ..points import Axis

if TYPE_CHECKING:
    from .run import ScanResult

__all__ = ["plot_scan"]


_COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")
_LINES = ("-", "--", ":", "-.")
_MOST_LABELS = 12
_MARKED = 40  # with fewer points each one is marked
_SIGNS = ((r"\bangstrom\b", "Å"), (r"\bhbar\b", "ħ"), (r"\bum\b", "µm"), (r"\bohm\b", "Ω"),
          (r"\^2", "²"), (r"\^3", "³"), (r"\*", " "), (r" \((ħ/2e)\)", r", \1"))  # fmt: skip


def plot_scan(result: ScanResult) -> tuple[Any, Any]:
    """Plot numbers against one axis, one curve per value of the others; (figure, axes).

    A panel shows one entry of ``plot.y``: a number, or the components of a vector.
    """
    from matplotlib.figure import Figure

    assert result.case.scan is not None
    plot = result.case.scan.plot
    x = next((a for a in result.axes if a.name == plot.x), result.axes[-1])
    others = [a for a in result.axes if a is not x and result.case.scan.mode == "grid"]
    names = _panels(result, plot.y)
    figure = Figure(figsize=(7, 1 + 3.2 * len(names)), layout="constrained")
    panels = figure.subplots(len(names), 1, sharex=True, squeeze=False)[:, 0]
    curves = _curves(result, x, others)
    for panel, group in zip(panels, names, strict=True):
        _draw(panel, x, group, curves, others)
        unit = result.unit(group[0])
        panel.set_ylabel(_readable(_common(group)) + (f"\n({_unit(unit)})" if unit else ""))
        panel.ticklabel_format(axis="y", scilimits=(-3, 4), useMathText=True)
        panel.grid(color="0.9", linewidth=0.6)
        panel.set_axisbelow(True)
    panels[-1].set_xlabel(_axis_title(x, result.case))
    _legend(figure, curves, others, result.case)
    _explain_hollow(panels)
    return figure, panels


def _panels(result: ScanResult, wanted: Sequence[str] | None) -> list[list[str]]:
    """Return the names of the numbers in every panel."""
    known = dict.fromkeys(result.columns, 0.0)
    if wanted is not None:
        groups = [list(matching((number_name(name, known),), known)) for name in wanted]
        return [g for g in groups if g] or [[result.columns[0]]]
    vector = next((n.rpartition(".")[0] for n in known if ".spin_current." in n), None)
    return [list(matching((vector or result.columns[0],), known))]


Curve = tuple[tuple[int, ...], Sequence[Any], Mapping[str, Array]]


def _curves(result: ScanResult, x: Axis, others: Sequence[Axis]) -> list[Curve]:
    """Return positions on the other axes, x and numbers by name of every curve."""
    order: NDArray[np.int64] = np.arange(len(result.points))
    if result.case.scan is not None and result.case.scan.mode == "grid":
        shape = [len(a.values) for a in result.axes]
        order = np.moveaxis(order.reshape(shape), result.axes.index(x), -1)
    rows = order.reshape(-1, order.shape[-1]).tolist()
    curves: list[Curve] = []
    positions = product(*(range(len(a.values)) for a in others))
    for position, row in zip(positions, rows, strict=True):
        points = [result.points[k] for k in row]
        numbers = {
            n: np.array([p.numbers.get(n, np.nan) for p in points]) for n in result.columns
        }  # fmt: skip
        curves.append((position, [p.coordinates[x.name] for p in points], numbers))
    return curves


def _draw(
    panel: Any, x: Axis, names: Sequence[str], curves: Sequence[Curve], others: Sequence[Axis]
) -> None:
    """Draw the curves of one panel: colours tell the other axes apart, lines the components."""
    several = len(names) > 1
    for c, (position, along, numbers) in enumerate(curves):
        for n, name in enumerate(names):
            label = name.rpartition(".")[2] if several else ""
            panel.plot(
                along, numbers[name], label=label if c == 0 else "_",
                color=_colour(c, len(curves)) if position else _COLOURS[n % len(_COLOURS)],
                linestyle=_LINES[n % len(_LINES)] if position else "-",
                marker="." if len(along) < _MARKED else "", linewidth=1.3,
            )  # fmt: skip
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
        [x for x, gone in zip(along, lost, strict=True) if gone], values[lost], linestyle="",
        marker="o", markersize=7, markerfacecolor="white", zorder=3,
        markeredgecolor=panel.lines[-1].get_color(), label="_wall left",
    )  # fmt: skip


def _colour(index: int, count: int) -> Any:
    if count <= len(_COLOURS):
        return _COLOURS[index]
    from matplotlib import colormaps

    return colormaps["viridis"](0.92 * index / (count - 1))


def _legend(figure: Any, curves: Sequence[Curve], others: Sequence[Axis], case: Case) -> None:
    """Say which curve belongs to which values of the other axes."""
    if not others:
        return
    from matplotlib.lines import Line2D

    step = -(-len(curves) // _MOST_LABELS)
    shown = range(0, len(curves), step)
    handles = [Line2D([], [], color=_colour(c, len(curves))) for c in shown]
    labels = [
        ", ".join(
            f"{_value(a.coordinates[k])} {_unit(a.unit)}".strip()
            for a, k in zip(others, curves[c][0], strict=True)
        )
        for c in shown
    ]
    title = ",\n".join(_axis_name(a, case) for a in others)
    figure.legend(handles, labels, title=title, loc="outside right upper", frameon=False)


def _explain_hollow(panels: Any) -> None:
    """Say below the panels that have them what hollow points are."""
    for panel in panels:
        if any(line.get_label() == "_wall left" for line in panel.lines):
            panel.annotate("hollow: the wall left before the end", (0.01, 0.02),
                           xycoords="axes fraction", fontsize="small", color="0.3")  # fmt: skip


def _axis_name(axis: Axis, case: Case) -> str:
    if axis.rotation is not None:
        what = {"magnetization": "magnetization", "field": "magnetic field",
                "both": "magnetization and field"}[axis.rotation.of]  # fmt: skip
        first, second = axis.rotation.plane
        return f"angle of the {what} from {first} to {second}"
    parts = list(axis.parts)
    if parts[:2] == ["structure", "layers"] and len(parts) > 3 and case.structure is not None:
        parts = [case.structure.layers[int(parts[2])].region, *parts[3:]]
    if parts[-1] in ("0", "1", "2") and len(parts) > 1 and parts[-2] not in ("layers", "axes"):
        parts[-1] = "xyz"[int(parts[-1])]
    return _readable(".".join(parts))


def _axis_title(axis: Axis, case: Case) -> str:
    """Return what stands under an axis: a readable name with its unit."""
    name = _axis_name(axis, case)
    return f"{name} ({_unit(axis.unit)})" if axis.unit else name


def _value(coordinate: Any) -> str:
    return f"{coordinate:.6g}" if isinstance(coordinate, float) else coordinate


def _common(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else names[0].rpartition(".")[0]


def _readable(name: str) -> str:
    for head in ("texture.", "drive.", "regions.", "interfaces.", "torques.", "observables."):
        name = name.removeprefix(head)
    return name.replace("_", " ").replace(".", " ")


def _unit(unit: str) -> str:
    """Return a unit with its signs."""
    for text, sign in _SIGNS:
        unit = re.sub(text, sign, unit)
    return unit
