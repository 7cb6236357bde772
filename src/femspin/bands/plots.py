"""Pictures of a band case; every function returns (figure, axes)."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import SolverError
from ..units import Array
from .coefficients import MODELS
from .contours import fermi_points
from .critical import band_edges, critical_energies
from .hamiltonian import band_energy, spin_texture
from .lattice import TwoSublattice
from .study import BandStudy, ScanPoint

__all__ = ["band_path", "plot_bands", "plot_fermi_lines", "plot_scan"]


_STYLES = {
    "complete": ("#0072b2", "-", 2.0),
    "paper_corrected": ("#d55e00", "--", 1.4),
    "paper_printed": ("#999999", ":", 1.6),
}
_LABELS = {
    "complete": "complete",
    "paper_corrected": "paper, corrected",
    "paper_printed": "paper, as printed",
}
_SYMBOLS = {"p_n": "$p_n$", "p_m": "$p_m$", "p_st": "$p_{st}$"}
_AXES = {
    "chemical_potential": r"chemical potential $\mu/t$",
    "t_prime": "$t'/t$",
    "exchange": r"exchange $\mathcal{J}/t$",
}
_PATHS: dict[str, list[tuple[str, tuple[float, ...]]]] = {
    "chain": [("-X", (-0.5,)), ("Γ", (0,)), ("X", (0.5,))],
    "square": [("Γ", (0, 0)), ("X", (0.5, 0.5)), ("S", (0.5, 0)), ("Γ", (0, 0))],
    "honeycomb": [("Γ", (0, 0)), ("K", (1 / 3, 1 / 3)), ("M", (0.5, 0)), ("Γ", (0, 0))],
    "cubic": [("Γ", (0, 0, 0)), ("X", (0.5, 0.5, 0)), ("L", (0.5, 0.5, 0.5)), ("Γ", (0, 0, 0))],
}
_STEPS = 120
_FAINTEST = 1e-4
_WINDOW = 1.55  # of the zone


def band_path(model: TwoSublattice) -> tuple[Array, Array, list[tuple[str, float]]]:
    """Return wave vectors along lines of high symmetry, their arc length, and named points.

    Args:
        model: The lattice; of a custom one the path follows its reciprocal vectors.
    """
    d = model.dimension
    path = _PATHS.get(model.name)
    if path is None:
        halves = [tuple(0.5 * (a <= k) for a in range(d)) for k in range(d)]
        names = ["$b_1/2$", "$(b_1+b_2)/2$", "$(b_1+b_2+b_3)/2$"]
        path = [("Γ", (0.0,) * d), *zip(names[:d], halves, strict=True), ("Γ", (0.0,) * d)]
        path = path[: 2 if d == 1 else None]
    corners = np.array([u for _, u in path]) @ model.reciprocal
    pieces = [a + (b - a) * np.linspace(0, 1, _STEPS)[:, None] for a, b in pairwise(corners)]
    lengths = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(corners, axis=0), axis=1))])
    arc = [a + (b - a) * np.linspace(0, 1, _STEPS) for a, b in pairwise(lengths)]
    marks = [(name, float(x)) for (name, _), x in zip(path, lengths, strict=True)]
    return np.concatenate(pieces), np.concatenate(arc), marks


def plot_bands(result: BandStudy) -> tuple[Any, Any]:
    """Plot both bands along lines of high symmetry; each is doubly degenerate."""
    from matplotlib.figure import Figure

    found = result.coefficients
    k, arc, marks = band_path(found.lattice)
    figure = Figure(figsize=(6, 4.2), layout="constrained")
    axes = figure.subplots()
    for s, colour, name in ((1, "#0072b2", "lower band"), (-1, "#d55e00", "upper band")):
        axes.plot(arc, band_energy(found.lattice, k, s), color=colour, label=name)
        for energy in critical_energies(found.lattice, s)[1:-1]:
            axes.axhline(energy, color=colour, linewidth=0.5, linestyle=":")
    axes.axhline(found.mu, color="0.2", linestyle="--", linewidth=1, label=r"$\mu$")
    for _, x in marks:
        axes.axvline(x, color="0.85", linewidth=0.8, zorder=0)
    axes.set_xticks([x for _, x in marks], [name for name, _ in marks])
    axes.set_xlim(arc[0], arc[-1])
    axes.set_ylabel("energy / t")
    axes.set_title("bands, dotted: van Hove energies", fontsize=10)
    figure.legend(*axes.get_legend_handles_labels(), loc="outside lower center", ncols=3, frameon=False)
    return figure, axes


def plot_scan(result: BandStudy, name: str) -> tuple[Any, Any]:
    """Plot p_n, p_m and p_st of all models against mu/t, t'/t or J/t.

    Args:
        result: The study.
        name: ``chemical_potential``, ``t_prime`` or ``exchange``.
    """
    from matplotlib.figure import Figure

    points = result.scan(name)
    x = np.array([p.value for p in points])
    shown = _conducting(points)
    figure = Figure(figsize=(7, 7.6), layout="constrained")
    panels = figure.subplots(3, 1, sharex=True)
    for panel, (key, symbol) in zip(panels, _SYMBOLS.items(), strict=True):
        curves = []
        for model in MODELS:
            colour, line, width = _STYLES[model]
            y = np.where(shown, [_number(p, key, model) for p in points], np.nan)
            panel.plot(x, y, color=colour, linestyle=line, linewidth=width, label=_LABELS[model])
            curves.append(y)
        panel.axhline(0, color="0.6", linewidth=0.6, zorder=0)
        panel.set_ylim(*_limits(np.concatenate(curves)))
        panel.set_ylabel(symbol)
        if name == "chemical_potential":
            _mark_bands(panel, result.coefficients.lattice)
    panels[-1].set_xlim(float(x.min()), float(x.max()))
    panels[-1].set_xlabel(_AXES[name])
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside upper center", ncols=3, frameon=False)
    return figure, panels


def _conducting(points: tuple[ScanPoint, ...]) -> NDArray[np.bool_]:
    """Return which points conduct by more than a few thermally excited electrons in a gap."""
    v2 = np.array([p.coefficients.v2 if p.coefficients else 0.0 for p in points])
    conducting: NDArray[np.bool_] = v2 > _FAINTEST * v2.max(initial=0.0)
    return conducting


def _number(point: ScanPoint, key: str, model: Any) -> float:
    return float("nan") if point.coefficients is None else point.coefficients.value(key, model)


def _limits(values: Array) -> tuple[float, float]:
    """Return limits that show the bulk of the curves where they diverge at a band edge."""
    values = values[np.isfinite(values)]
    if not len(values):
        return -1.0, 1.0
    low, high = np.percentile(values, [4, 96])
    margin = max(0.5 * (high - low), 0.05)
    low, high = max(low - margin, values.min() - 0.05), min(high + margin, values.max() + 0.05)
    return float(min(low, -0.02)), float(max(high, 0.02))


def _mark_bands(panel: Any, lattice: TwoSublattice) -> None:
    """Shade where no state is, and mark van Hove energies."""
    (_, a), (b, _) = band_edges(lattice)
    if a < b:
        panel.axvspan(a, b, color="0.92", zorder=0)
    for s in (1, -1):
        for energy in critical_energies(lattice, s):
            panel.axvline(energy, color="0.8", linewidth=0.6, zorder=0)


def plot_fermi_lines(result: BandStudy) -> tuple[Any, Any] | None:
    """Plot the Fermi lines in the magnetic zone, coloured by the direction of the spin.

    With site inversion the transverse spin does not turn, and the colour is its length
    sin(theta); without, it is the angle phi of the spin-momentum locking, Eq. (9).

    Returns:
        None where there is no line: in one and three dimensions and in the gap.
    """
    from matplotlib.figure import Figure

    found = result.coefficients
    if found.lattice.dimension != 2:
        return None
    try:
        lines = [fermi_points(found.lattice, found.mu, s, 24) for s in (1, -1)]
    except SolverError:
        return None
    lines = [line for line in lines if len(line.k)]
    if not lines:
        return None
    figure = Figure(figsize=(5.6, 4.8), layout="constrained")
    axes = figure.subplots()
    reach = _draw_zone(axes, found.lattice)
    turning = not found.lattice.has_site_inversion
    for line in lines:
        k = _images(found.lattice, line.k.reshape(-1, 2), _WINDOW * reach)
        length, angle = spin_texture(found.lattice, k)
        shown = axes.scatter(
            k[:, 0],
            k[:, 1],
            c=np.degrees(angle) if turning else length,
            s=5,
            linewidths=0,
            cmap="twilight_shifted" if turning else "viridis",
            vmin=-180 if turning else 0,
            vmax=180 if turning else 1,
        )
    label = (
        r"direction $\varphi_k$ of the transverse spin (deg)"
        if turning
        else (r"transverse spin $\sin\vartheta_k$")
    )
    bar = figure.colorbar(shown, ax=axes, label=label)
    if turning:
        bar.set_ticks([-180, -90, 0, 90, 180])
    axes.set_aspect("equal")
    axes.set_xlabel("$k_x a$")
    axes.set_ylabel("$k_y a$")
    axes.set_title(rf"Fermi lines at $\mu = {found.mu:.4g}\,t$", fontsize=10)
    return figure, axes


def _images(model: TwoSublattice, k: Array, reach: Array) -> Array:
    """Return all images of wave vectors in a rectangle around zero, so that pockets are whole."""
    n = np.arange(-3, 4)
    G = np.stack(np.meshgrid(n, n, indexing="ij"), axis=-1).reshape(-1, 2) @ model.reciprocal
    moved = (k[:, None, :] + G).reshape(-1, 2)
    images: Array = moved[(abs(moved) < reach).all(axis=1)]
    return images


def _draw_zone(axes: Any, model: TwoSublattice) -> Array:
    """Draw the border of the zone, points as near to zero as to G, and return its half sizes."""
    from scipy.spatial import Voronoi

    n = np.arange(-2, 3)
    G = np.stack(np.meshgrid(n, n, indexing="ij"), axis=-1).reshape(-1, 2) @ model.reciprocal
    diagram = Voronoi(G)
    region = diagram.regions[diagram.point_region[len(G) // 2]]
    corners = diagram.vertices[region]
    angle = np.argsort(np.arctan2(corners[:, 1], corners[:, 0]))
    border = corners[np.append(angle, angle[0])]
    axes.plot(border[:, 0], border[:, 1], color="0.4", linewidth=0.9)
    reach: Array = abs(border).max(axis=0)
    return reach
