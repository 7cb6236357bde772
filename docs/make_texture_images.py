"""Make the pictures of docs/textures.md from the shipped cases."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

import matplotlib as mpl

mpl.use("Agg")
import matplotlib.pyplot as plt
import numpy as np

from femspin import load_case
from femspin.results.texture_plots import plot_curve, plot_snapshot, plot_wall
from femspin.results.texture_result import TextureResult
from femspin.simulation import sweep
from femspin.studies.textures.simulate import simulate_texture
from femspin.studies.textures.system import build_texture_system

HERE = Path(__file__).parent
CASES = HERE.parent / "cases"
IMAGES = HERE / "images"


def solved(name: str) -> TextureResult:
    """Return the result of a shipped case."""
    return simulate_texture(load_case(CASES / f"{name}.toml"), CASES)


def walker() -> None:
    """A wall beyond breakdown."""
    result = solved("texture_fm_wall_walker")
    assert result.wall is not None
    figure, _ = plot_wall(result.wall)
    figure.savefig(IMAGES / "texture_walker.png", dpi=110)


def skyrmion() -> None:
    """A relaxed skyrmion."""
    result = solved("texture_skyrmion")
    figure, _ = plot_snapshot(result.space, result.frames[0][1])
    figure.savefig(IMAGES / "texture_skyrmion.png", dpi=80)


def line() -> None:
    """The line of spin-torque resonance."""
    figure, _ = plot_curve(solved("texture_st_fmr").curves[0])
    figure.savefig(IMAGES / "texture_st_fmr.png", dpi=110)


def saturation() -> None:
    """Velocity of an antiferromagnetic wall against the torque, with the closed form."""
    name = "texture_scan_afm_wall"
    case = load_case(CASES / f"{name}.toml")
    magnet = build_texture_system(case, CASES).magnet
    with TemporaryDirectory() as folder:
        table = {c.name: c.values for c in sweep(case, CASES, Path(folder) / "out").table}
    torque = np.array(table["texture.spin_orbit.0.damping_like_rate"], float)
    figure, axis = plt.subplots(figsize=(6.2, 3.8), layout="constrained")
    fine = np.geomspace(torque[0], torque[-1], 200)
    slow = np.pi * fine * magnet.wall_width / (2 * magnet.damping)
    closed = slow / np.sqrt(1 + (slow / magnet.magnon_velocity) ** 2)
    axis.plot(fine / 1e9, slow / 1e3, ":", color="0.5", label="$v_1$")
    axis.plot(fine / 1e9, closed / 1e3, color="#0072b2", label="closed form")
    axis.plot(
        torque / 1e9,
        np.array(table["texture.wall.final_velocity"]) / 1e3,
        "o",
        color="#d55e00",
        label="femspin",
    )
    axis.axhline(magnet.magnon_velocity / 1e3, color="0.2", linewidth=0.8, linestyle="--")
    axis.set(xlabel="$w_D$ (1/ns)", ylabel="wall velocity (km/s)", ylim=(0, 10))
    axis.legend(frameon=False)
    axis.grid(color="0.9", linewidth=0.6)
    figure.savefig(IMAGES / "texture_afm_wall.png", dpi=110)


def main() -> None:
    """Make all of them."""
    walker()
    skyrmion()
    line()
    saturation()


if __name__ == "__main__":
    main()
