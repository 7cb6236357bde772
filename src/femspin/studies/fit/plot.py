"""The picture of a fit: data and model above, residuals below, one column per data set."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...results.style import blank, readable, spelled_unit
from .model import ModelSet
from .solve import FitResult

__all__ = ["plot_fit"]

_DATA, _MODEL = "#0072b2", "#d55e00"


def plot_fit(result: FitResult) -> tuple[Any, Any]:
    """Plot a fit; return (figure, axes of shape (2, number of data sets))."""
    sets = result.model.sets
    figure, axes = blank(
        (1 + 4.6 * len(sets), 5.2), 2, len(sets), sharex="col", squeeze=False, height_ratios=[3, 1]
    )
    for k, s in enumerate(sets):
        _draw(result, k, s, axes[0, k], axes[1, k])
    if result.model.fit.title:
        figure.suptitle(result.model.fit.title, fontsize="medium")
    return figure, axes


def _draw(result: FitResult, k: int, s: ModelSet, upper: Any, lower: Any) -> None:
    rows = result.model.rows(k)
    x, order = s.measured.x, np.argsort(s.measured.x, kind="stable")
    size = s.measured.y_size
    known = s.measured.sigma is not None
    sigma = result.model.sigma[rows]
    upper.errorbar(
        x,
        s.measured.y / size,
        yerr=sigma / size if known else None,
        fmt="o",
        markersize=4,
        color=_DATA,
        capsize=2,
        label="data",
        zorder=3,
    )
    upper.plot(
        x[order], result.predicted[rows][order] / size, color=_MODEL, linewidth=1.5, label="fit", zorder=2
    )
    unit = f"\n({spelled_unit(s.measured.y_unit)})" if s.measured.y_unit else ""
    upper.set_ylabel(s.result.label + unit)
    upper.set_title(f"{s.label}: χ² = {result.set_chi2(k):.1f}, {len(x)} points", fontsize="small")
    upper.ticklabel_format(axis="y", scilimits=(-3, 4), useMathText=True)
    upper.legend(frameon=False)
    lower.axhspan(-1, 1, color="0.92", zorder=0)
    lower.axhline(0, color=_MODEL, linewidth=1)
    lower.plot(x, result.residuals[rows], "o", markersize=4, color=_DATA)
    lower.set_ylabel("residual / σ" if known else "residual / rms")
    name = s.entry.x.column if s.axis.rotation is None else "angle"
    lower.set_xlabel(f"{readable(name)} ({spelled_unit(s.axis.unit)})" if s.axis.unit else readable(name))
    for panel in (upper, lower):
        panel.grid(color="0.9", linewidth=0.6)
        panel.set_axisbelow(True)
