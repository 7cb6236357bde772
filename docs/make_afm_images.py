"""Make the pictures of docs/afm-torques.md: python docs/make_afm_images.py (a few minutes)."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from femspin.bands.case import load_band_case
from femspin.bands.plots import plot_bands, plot_fermi_lines, plot_scan
from femspin.bands.study import study

HERE = Path(__file__).parent
CASES = HERE.parent / "cases" / "bands"


def side_by_side(figures: list, target: Path, height: float) -> None:
    """Save figures next to each other, scaled to one height."""
    import matplotlib.pyplot as plt
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    pictures = []
    for figure in figures:
        figure.set_figheight(height)
        figure.set_dpi(100)
        canvas = FigureCanvasAgg(figure)
        canvas.draw()
        pictures.append(np.asarray(canvas.buffer_rgba())[:, :, :3])
    plt.imsave(target, np.concatenate(pictures, axis=1))


def main() -> None:
    """Bands and spin texture of the honeycomb lattice, coefficients of the square lattice."""
    honeycomb = study(load_band_case(CASES / "afm_honeycomb.toml", ["scan={}"]))
    lines = plot_fermi_lines(honeycomb)
    assert lines is not None
    figures = [plot_bands(honeycomb)[0], lines[0]]
    side_by_side(figures, HERE / "images" / "afm_bands.png", 4.6)
    square = study(load_band_case(CASES / "afm_square.toml"))
    figures = [plot_scan(square, name)[0] for name in ("chemical_potential", "t_prime")]
    side_by_side(figures, HERE / "images" / "afm_coefficients.png", 7.0)


if __name__ == "__main__":
    main()
