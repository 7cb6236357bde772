"""Make the pictures of README and docs from the shipped cases: python docs/make_images.py."""

from __future__ import annotations

from pathlib import Path

import matplotlib as mpl

mpl.use("Agg")
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.image import imsave

from femspin import load_case, simulate
from femspin.materials.parameters import complete_case
from femspin.results.plots import plot_parts, plot_profiles
from femspin.studies.fit import build_model, fit_model, load_fit
from femspin.studies.fit.plot import plot_fit
from femspin.studies.sensitivity.layers import solved_stack, stack_sensitivities
from femspin.studies.sensitivity.report import SensitivityReport, plot_tornado

HERE = Path(__file__).parent


def side_by_side(figures: list, target: Path) -> None:
    """Save figures next to each other, scaled to one height."""
    pictures = []
    for figure in figures:
        figure.set_figheight(4.6)
        figure.set_dpi(130)
        canvas = FigureCanvasAgg(figure)
        canvas.draw()
        pictures.append(np.asarray(canvas.buffer_rgba())[:, :, :3])
    imsave(target, np.concatenate(pictures, axis=1))


def overview() -> None:
    """Parts and profile of the Fe3GeTe2/Pt case."""
    case = load_case(HERE.parent / "cases" / "fgt_pt.toml")
    solution = simulate(case)
    parts, _ = plot_parts(solution.device, solution.transport, "Pt|F")
    profiles, _ = plot_profiles(solution.device, solution.transport)
    side_by_side([parts, profiles], HERE / "images" / "overview.png")


def fit() -> None:
    """Data and model of the shipped fit."""
    file = HERE.parent / "cases" / "fit_smr_torque.toml"
    figure, _ = plot_fit(fit_model(build_model(load_fit(file), file.parent)))
    figure.savefig(HERE / "images" / "fit.png", dpi=130)


def sensitivities() -> None:
    """Largest elasticities of the Fe3GeTe2/Pt case."""
    case, _ = complete_case(load_case(HERE.parent / "cases" / "fgt_pt.toml", ["solver.method=stack"]))
    names = [f"interfaces.Pt|F.spin_current.{axis}" for axis in "xy"]
    names += [f"torques.F.efficiency_{kind}_like" for kind in ("damping", "field")]
    found = stack_sensitivities(solved_stack(case), names)
    figure, _ = plot_tornado(SensitivityReport(case, found, (), "stack"))
    figure.savefig(HERE / "images" / "sensitivities.png", dpi=120)


if __name__ == "__main__":
    import make_accuracy_images
    import make_texture_images

    (HERE / "images").mkdir(exist_ok=True)
    make_accuracy_images.main()
    make_texture_images.main()
    overview()
    fit()
    sensitivities()
