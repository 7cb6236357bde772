"""Pictures of currents against frequency and time; every function returns (figure, axes)."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..device.response_tables import FrequencyResponse, TransientResponse
from ..units import SPIN_CURRENT, AnyArray
from .style import COLOURS, PART_COLOURS, blank

__all__ = ["plot_frequency", "plot_response", "plot_transient"]


_MOST_ROWS = 4
COLOURS_OF_PARTS = PART_COLOURS | {"T": "#56b4e9"}


def plot_response(response: FrequencyResponse | TransientResponse) -> tuple[Any, Any]:
    """Plot the currents of a response, whichever it is."""
    if isinstance(response, FrequencyResponse):
        return plot_frequency(response)
    return plot_transient(response)


def plot_frequency(response: FrequencyResponse) -> tuple[Any, Any]:
    """Plot real (lines) and imaginary parts (dashes) of the currents against frequency."""
    w = np.array(response.angular_frequencies) / (2 * np.pi)
    order = np.argsort(w)
    names = _names(response)
    figure, axes = _rows(len(names), 1)
    for name, (axis,) in zip(names, axes, strict=True):
        flux = np.stack([i[name].flux[1:] for i in response.interfaces])[order] * SPIN_CURRENT
        for a, component in enumerate("xyz"):
            style: dict[str, Any] = {"color": COLOURS[a], "marker": "o", "markersize": 3}
            axis.plot(w[order], flux[:, a].real, label=f"Re $J^{component}$", **style)
            axis.plot(w[order], flux[:, a].imag, "--", label=f"Im $J^{component}$", **style)
        if np.count_nonzero(w) > 1:
            axis.set_xscale("symlog" if not w.all() else "log", **_linear_below(w))
        _finish(axis, f"spin current at {name}\n(A/m$^2$, $\\hbar/2e$)")
    axes[-1][0].set_xlabel("frequency (Hz)")
    return figure, axes


def plot_transient(response: TransientResponse) -> tuple[Any, Any]:
    """Plot the total currents against time, and the parts of the largest component."""
    time = np.array(response.times) * 1e12
    names = _names(response)
    split = any(response.interfaces[0][name].source is not None for name in names)
    figure, axes = _rows(len(names), 2 if split else 1)
    for name, (left, *others) in zip(names, axes, strict=True):
        currents = [i[name] for i in response.interfaces]
        flux = np.stack([c.flux[1:] for c in currents]) * SPIN_CURRENT
        for a, component in enumerate("xyz"):
            left.plot(time, flux[:, a], color=COLOURS[a], label=f"$J^{component}$")
        _finish(left, f"spin current at {name}\n(A/m$^2$, $\\hbar/2e$)")
        if currents[0].source is None:
            for right in others:
                right.set_axis_off()
            continue
        (right,) = others
        largest = int(np.argmax(np.abs(flux).max(axis=0)))
        for key, colour in COLOURS_OF_PARTS.items():
            part = np.array([c.parts[key][largest] for c in currents]) * SPIN_CURRENT
            if np.any(part):
                right.plot(time, part, color=colour, label=key)
        right.plot(time, flux[:, largest], color="k", linewidth=1, label="total")
        _finish(right, f"parts of $J^{'xyz'[largest]}$")
    for axis in axes[-1]:
        axis.set_xlabel("time (ps)")
    return figure, axes


def _names(response: FrequencyResponse | TransientResponse) -> list[str]:
    """Return the interfaces to plot: those that carry spin, those with parts first."""
    first = response.interfaces[0]
    carrying = [n for n in first if any(np.any(i[n].flux[1:]) for i in response.interfaces)]
    return sorted(carrying or first, key=lambda n: first[n].source is None)[:_MOST_ROWS]


def _rows(count: int, columns: int) -> tuple[Any, Any]:
    rows = max(count, 1)
    return blank((1 + 5 * columns, 3.2 * rows), rows, columns, squeeze=False, sharex=True)


def _linear_below(w: AnyArray) -> dict[str, float]:
    return {} if w.all() else {"linthresh": float(w[w > 0].min())}


def _finish(axis: Any, label: str) -> None:
    axis.axhline(0, color="0.6", linewidth=0.6)
    axis.set_ylabel(label)
    axis.legend(frameon=False, ncols=2, fontsize="small")
