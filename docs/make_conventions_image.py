"""Draw the conventions: python docs/make_conventions_image.py writes images/conventions.png."""

from __future__ import annotations

from pathlib import Path

import matplotlib as mpl

mpl.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.patches import Circle, Rectangle

HERE = Path(__file__).parent
CURRENT, SPIN, MOMENT, OERSTED, MAGNET = "#b03a2e", "#1f618d", "#117a65", "#b7950b", "#5d6d7e"


def arrow(ax: Axes, start: tuple[float, float], end: tuple[float, float], colour: str) -> None:
    """Draw an arrow in the plane of the paper."""
    ax.annotate("", end, start, arrowprops={"arrowstyle": "-|>", "color": colour, "lw": 2.2})


def out_of_plane(ax: Axes, x: float, z: float, towards_y: bool, colour: str) -> None:
    """Draw an arrow along y: +y points into the paper (x right, z up)."""
    ax.add_patch(Circle((x, z), 0.16, fill=False, ec=colour, lw=2))
    if towards_y:
        for sign in (1, -1):
            ax.plot([x - 0.11, x + 0.11], [z - 0.11 * sign, z + 0.11 * sign], color=colour, lw=2)
    else:
        ax.add_patch(Circle((x, z), 0.05, color=colour))


def layer(ax: Axes, z: float, height: float, colour: str, name: str) -> None:
    """Draw a layer of the stack."""
    ax.add_patch(Rectangle((0, z), 8, height, fc=colour, ec="black", lw=0.8))
    ax.text(-0.15, z + height / 2, name, ha="right", va="center", fontsize=11)


def stack(ax: Axes, metal_below: bool) -> None:
    """Pt and a magnet, current along +x: spins, moments, Oersted field, torque."""
    z_metal, z_magnet = (0.0, 2.4) if metal_below else (1.2, 0.0)
    layer(ax, z_metal, 2.4, "#eaecee", "Pt")
    layer(ax, z_magnet, 1.2, "#d6eaf8", "magnet")
    side = 1.0 if metal_below else -1.0
    middle, face = z_metal + 1.2, z_metal + (2.4 if metal_below else 0.0)
    arrow(ax, (0.4, middle), (2.2, middle), CURRENT)
    ax.text(1.3, middle + 0.14, "j", color=CURRENT, ha="center", fontsize=12)
    arrow(ax, (3.2, middle - 0.5 * side), (3.2, face + 0.3 * side), SPIN)
    out_of_plane(ax, 3.6, middle, metal_below, SPIN)
    ax.text(3.85, middle, "electron spin", color=SPIN, va="center", fontsize=9)
    inside = z_magnet + 0.6
    out_of_plane(ax, 1.0, inside, not metal_below, MOMENT)
    ax.text(
        1.25, inside, r"absorbed moments $\sigma=\hat\jmath\times n$", color=MOMENT, va="center", fontsize=9
    )
    out_of_plane(ax, 5.0, inside, not metal_below, OERSTED)
    ax.text(5.25, inside, "Oersted field", color=OERSTED, va="center", fontsize=9)
    arrow(ax, (7.6, face - 0.9 * side), (7.6, face - 0.15 * side), "black")
    ax.text(7.45, face - 0.5 * side, "n", ha="right", va="center", fontsize=11)
    where = "below" if metal_below else "above"
    ax.set_title(f"Pt {where} the magnet, $\\theta_{{SH}}>0$, $\\xi_{{DL}}>0$", fontsize=11)


def wall(ax: Axes) -> None:
    """A left-handed wall on Pt and where it runs."""
    layer(ax, 0.0, 1.2, "#eaecee", "Pt")
    layer(ax, 1.2, 1.4, "#d6eaf8", "Co")
    angles = np.linspace(0, np.pi, 7)
    for x, angle in zip(np.linspace(0.9, 7.1, 7), angles, strict=True):
        dx, dz = -0.45 * np.sin(angle), 0.45 * np.cos(angle)  # up - left - down
        arrow(ax, (x - dx, 1.9 - dz), (x + dx, 1.9 + dz), MAGNET)
    arrow(ax, (0.4, 0.6), (2.2, 0.6), CURRENT)
    ax.text(1.3, 0.74, "j", color=CURRENT, ha="center", fontsize=12)
    arrow(ax, (3.6, 3.0), (5.4, 3.0), "black")
    ax.text(4.5, 3.12, "v", ha="center", fontsize=12)
    ax.set_title("left-handed wall, D > 0: runs along j", fontsize=11)


def hall(ax: Axes) -> None:
    """Hall field of Co: seen from above."""
    ax.add_patch(Rectangle((0, 0), 8, 2.6, fc="#d6eaf8", ec="black", lw=0.8))
    out_of_plane(ax, 0.9, 2.1, False, MAGNET)
    ax.text(1.2, 2.1, "M along +z, B along +z", color=MAGNET, va="center", fontsize=9)
    arrow(ax, (0.5, 1.2), (2.6, 1.2), CURRENT)
    ax.text(1.5, 1.32, "j", color=CURRENT, ha="center", fontsize=12)
    arrow(ax, (4.4, 0.6), (4.4, 2.0), MOMENT)
    ax.text(
        4.6,
        1.3,
        r"$E_y>0$: $\rho_{yx}>0$" + "\n" + r"Co ($P\theta_{SH}>0$), holes",
        color=MOMENT,
        va="center",
        fontsize=9,
    )
    ax.text(4.0, 0.25, r"electrons, Hanle, $G_i>0$ (for $m_z>0$): $\rho_{yx}<0$", ha="center", fontsize=9)
    ax.text(-0.15, 1.3, "y up,\nx right", ha="right", va="center", fontsize=9)
    ax.set_title("Hall effects, film seen from above", fontsize=11)


def main() -> None:
    """Write the picture."""
    figure, axes = plt.subplots(2, 2, figsize=(13, 7.2))
    stack(axes[0, 0], True)
    stack(axes[0, 1], False)
    wall(axes[1, 0])
    hall(axes[1, 1])
    for ax in axes.flat:
        ax.set_xlim(-1.4, 8.2)
        ax.set_ylim(-0.2, 3.8)
        ax.set_aspect("equal")
        ax.axis("off")
    figure.text(
        0.5,
        0.02,
        "x right, z up, y into the paper: a cross points along +y, a dot"
        " along -y (film from above: a dot points along +z)",
        ha="center",
        fontsize=10,
    )
    figure.tight_layout(rect=(0, 0.04, 1, 1))
    figure.savefig(HERE / "images" / "conventions.png", dpi=110)


if __name__ == "__main__":
    main()
