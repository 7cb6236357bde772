"""Make the pictures of covariant-elements.md and error-bars.md.

``python docs/make_accuracy_images.py`` also prints the numbers that the pages quote (a minute).
"""

from __future__ import annotations

import sys
from pathlib import Path
from unittest import mock

import matplotlib as mpl

mpl.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
import scipy.sparse.linalg as spl

from femspin import build_device, case_from_table, load_case
from femspin.case.schema import Stack
from femspin.device.observables.mesh import discretised_numbers
from femspin.device.observables.quantity import flat_numbers
from femspin.device.steady import solve_transport
from femspin.fields.soc import covariant_rotation
from femspin.structure.refine import refine
from femspin.structure.stack import build_stack
from femspin.studies.accuracy import adaptive
from femspin.studies.accuracy.error_bars import enriched, error_bars
from femspin.transport.assembly.coefficients import Coefficients
from femspin.transport.assembly.frames import rotation_by
from femspin.transport.assembly.regions import apply_region, assemble_region, block_matrix
from femspin.transport.elements.space import build_space

HERE = Path(__file__).parent
CASES, MESHES = HERE.parent / "cases", HERE.parent / "meshes"
sys.path.insert(0, str(HERE.parent / "tests"))
from layers import magnetic_layer  # noqa: E402

STACKS = ("eus_pt", "yig_pt", "ggg_pt", "fgt_pt", "biox_cu")
PLAIN, CARRIED = "tab:red", "tab:blue"


def save(figure, name: str) -> None:
    """Save a picture of the docs."""
    figure.tight_layout()
    figure.savefig(HERE / "images" / name, dpi=110)
    plt.close(figure)


# ------------------------------------------------------------------------ covariant elements
def medium(gauge, relaxation: float, along: tuple[int, ...]) -> Coefficients:
    """Return a medium with nu = D = 1."""
    return Coefficients(
        1.0,
        1.0,
        np.eye(12),
        covariant_rotation(gauge),
        gauge,
        relaxation * np.eye(3),
        np.zeros(3),
        np.zeros((3, 4)),
        np.zeros((3, 3)),
        np.zeros(3),
        along,
    )


def space_of(table: dict, order: int):
    """Return the space on a film of one region F."""
    return build_space(build_stack(Stack.model_validate(table), {"F": "F"}, {}), ("F",), order)


def rectangle(n: int, order: int, q: float, r: float, carried: bool):
    """Return current at the side that holds mu = e_z, and mu at the centre, of 4 nm x 1 nm."""
    space = space_of(
        {
            "dimension": 2,
            "cell": "tri",
            "lateral": "insulating",
            "cells_x": 4 * n,
            "width": "4 nm",
            "layers": [{"region": "F", "thickness": "1 nm", "cells": n}],
        },
        order,
    )
    gauge = np.array([[0.0, q, 0.0], [0.0, 0.0, 0.0], [-q * r, 0.0, 0.0]])
    c = medium(gauge, 1 / 1.5**2, space.structure.axes if carried else ())
    matrix = block_matrix(space, {"F": assemble_region(space, "F", c)}).tocsr()
    x = space.locations - space.locations.min(axis=1, keepdims=True)
    left = np.flatnonzero(x[0] < 1e-9)
    mu = np.zeros((space.n_dofs, 4))
    mu[left, 3] = 1.0
    held = np.zeros((space.n_dofs, 4), bool)
    held[:, 0] = held[left] = True
    free = np.flatnonzero(~held.ravel())
    right = -(matrix @ mu.ravel())[free]
    mu.ravel()[free] = spl.splu(matrix[free][:, free].tocsc()).solve(right)
    centre = np.argmin(np.hypot(x[0] - 2.0, x[1] - 0.5))
    return apply_region(space, "F", c, mu)[left].sum(axis=0)[1:], mu[centre, 1:]


def distance(found, truth) -> float:
    """Return the relative error of a vector."""
    return float(np.linalg.norm(found - truth) / np.linalg.norm(truth))


def convergence() -> None:
    """Error against the mesh, plain and covariant, pure gauge and non-Abelian."""
    figure, panels = plt.subplots(1, 3, figsize=(12.5, 4.4), sharey=True)
    for panel, (q, r) in zip(panels, ((2.0, 0.0), (6.0, 0.0), (6.0, 1.0)), strict=True):
        if r == 0:  # the solution without field, turned
            decay = np.cosh(2 / 1.5) / np.cosh(4 / 1.5)
            current = np.array([0.0, 0.0, np.tanh(4 / 1.5) / 1.5])
            truth = current, rotation_by(np.array([0.0, -2 * q, 0.0])) @ [0, 0, decay]
        else:
            truth = rectangle(48, 2, q, r, True)
        for order, line in ((1, "o--"), (2, "s-")):
            for carried, color in ((False, PLAIN), (True, CARRIED)):
                n = np.array([4, 8, 16, 32] if order == 1 else [4, 8, 16])
                found = [rectangle(int(k), order, q, r, carried) for k in n]
                errors = [[distance(f[k], truth[k]) for f in found] for k in (0, 1)]
                label = f"{'covariant' if carried else 'plain'} P{order}"
                panel.loglog(n, errors[1], line, color=color, label=label)
                table = "  ".join(f"{a:.2e}/{b:.2e}" for a, b in zip(*errors, strict=True))
                print(f"q={q:g} r={r:g} {label:13s} current/centre: {table}")
        kind = "pure gauge" if r == 0 else "non-Abelian"
        panel.set(title=f"{kind}, {q:g} rad/nm", xlabel="cells per nm")
        panel.set_xticks([4, 8, 16, 32], ["4", "8", "16", "32"])
        panel.minorticks_off()
        panel.grid(alpha=0.3)
    panels[0].set_ylabel("relative error of $\\mu$ at the centre")
    panels[0].legend(fontsize=9)
    save(figure, "covariant_convergence.png")


def helix_rate(n: int, order: int, carried: bool) -> float:
    """Return the decay rate of the persistent helix over Gamma on n x n cells per pitch."""
    q, gamma = 1.0, 0.05  # the helix turns by 2 q per length along x + y
    side = f"{np.pi / q} nm"
    space = space_of(
        {
            "dimension": 3,
            "cell": "hex",
            "lateral": "insulating",
            "cells_x": n,
            "cells_y": n,
            "width": side,
            "depth": side,
            "layers": [{"region": "F", "thickness": "0.3 nm", "cells": 1}],
        },
        order,
    )
    c = medium(
        q * np.array([[-1.0, 1, 0], [-1, 1, 0], [0, 0, 0]]), gamma, space.structure.axes if carried else ()
    )
    spin = np.flatnonzero(np.arange(space.size) % 4)
    matrix, mass = (
        block_matrix(space, {"F": assemble_region(space, "F", x)}).tocsr()[spin][:, spin].tocsc()
        for x in (c, c.storage)
    )
    lowest = spl.eigsh(matrix, 4, mass, sigma=0.5 * gamma, return_eigenvectors=False)
    return float(np.sort(lowest)[2] / gamma)  # the uniform mode, and the helix twice


def helix() -> None:
    """Decay rate of the persistent spin helix against the cells per pitch."""
    figure, panel = plt.subplots(figsize=(6, 4.2))
    for order, line in ((1, "o--"), (2, "s-")):
        for carried, color in ((False, PLAIN), (True, CARRIED)):
            n = np.array([3, 4, 6, 8, 12, 16, 24] if order == 1 else [3, 4, 6, 8, 12])
            rates = np.array([helix_rate(int(k), order, carried) for k in n])
            label = f"{'covariant' if carried else 'plain'} P{order}"
            panel.loglog(n, rates, line, color=color, label=label)
            print("helix", label, [f"{k}: 1{x - 1:+.1e}" for k, x in zip(n, rates, strict=True)])
    panel.set(xlabel="cells per pitch", ylabel=r"decay rate of the helix [$\Gamma$]")
    panel.set_xticks([3, 4, 6, 8, 12, 16, 24], ["3", "4", "6", "8", "12", "16", "24"])
    panel.minorticks_off()
    panel.grid(alpha=0.3)
    panel.legend()
    save(figure, "covariant_helix.png")


def spin_arrow(panel, at, angle: float, **style) -> None:
    """Draw a spin at a point, turned by an angle from the vertical."""
    panel.annotate(
        "",
        at + 0.13 * np.array([np.sin(angle), np.cos(angle)]),
        at,
        arrowprops={"arrowstyle": "-|>", "lw": 1.8, "shrinkA": 0, "shrinkB": 0, **style},
    )


def sketch() -> None:
    """Frames carried from the centroid of a triangle to its nodes; a cell of a turning spin."""
    figure, (left, right) = plt.subplots(1, 2, figsize=(11, 4.4))
    corners = np.array([[0.0, 0.0], [1.5, 0.15], [0.55, 1.15]])
    centre, turn = corners.mean(axis=0), np.array([1.9, 0.9])
    left.fill(*corners.T, facecolor="0.95", edgecolor="0.4", lw=1.5)
    for k, corner in enumerate(corners):
        left.plot(*np.stack([centre, corner]).T, ":", color=CARRIED, lw=1)
        for s in np.linspace(0.33, 1, 3):
            at = centre + s * (corner - centre)
            spin_arrow(left, at, -turn @ (at - centre), color=CARRIED)
        shift = [(-0.1, -0.12), (0.08, -0.08), (0.1, 0.02)][k]
        left.text(*(corner + shift), f"$x_{k + 1}$", fontsize=12)
    ray = 0.5 * (centre + corners[1])
    left.text(ray[0] - 0.2, ray[1] - 0.16, "$W(x_2\\leftarrow c)$", fontsize=12, color=CARRIED)
    spin_arrow(left, centre, 0.0, color="black")
    left.plot(*centre, "ko", ms=5)
    left.text(centre[0] - 0.1, centre[1] - 0.06, "c", fontsize=12)
    left.set(title="one spin, carried along the rays of a cell", aspect="equal")
    left.set(xlim=(-0.2, 1.75), ylim=(-0.2, 1.4))
    left.axis("off")
    nodes, x = np.linspace(0, 6, 4), np.linspace(0, 6, 400)
    right.plot(x, np.cos(1.2 * x), color="0.6", lw=5, label="$\\cos qx$")
    right.plot(nodes, np.cos(1.2 * nodes), "--", color=PLAIN, label="plain P1")
    right.plot(x, np.cos(1.2 * x), color=CARRIED, lw=1.5, label="covariant P1")
    right.plot(nodes, np.cos(1.2 * nodes), "ko")
    right.set(xlabel="x [nm]", ylabel="$\\mu^z$", xticks=nodes)
    right.set_title("a spin that only turns, three cells, 2.4 rad each")
    right.legend(loc="upper center", fontsize=9)
    save(figure, "covariant_frames.png")


# -------------------------------------------------------------------------------- error bars
def groups(bars) -> dict[str, list[str]]:
    """Return the components of every vector of interfaces and torques."""
    found: dict[str, list[str]] = {}
    for name in bars:
        if name.startswith(("interfaces", "torques")) and name[-2:] in (".x", ".y", ".z"):
            found.setdefault(name[:-2], []).append(name)
    return found


def stack_errors(name: str, order: int, cells: int | None = None):
    """Return bar, true error and scale of every vector of a shipped stack, shape (n, 3)."""
    case = load_case(CASES / f"{name}.toml")
    case = case.model_copy(update={"dynamics": None})
    exact = case.model_copy(update={"solver": case.solver.model_copy(update={"method": "stack"})})
    device = build_device(exact)
    truth = flat_numbers(discretised_numbers(device, solve_transport(device, device.direction)))
    if cells is not None:
        layers = [x.model_copy(update={"cells": cells}) for x in case.structure.layers]
        stack = case.structure.model_copy(update={"layers": layers})
        case = case.model_copy(update={"structure": stack})
    device = build_device(case, order=order)
    transport = solve_transport(device, device.direction)
    bars = flat_numbers(error_bars(device, transport).table)
    found = flat_numbers(discretised_numbers(device, transport))
    rows = []
    for names in groups(bars).values():
        owner = ".".join(names[0].split(".")[:2])
        scale = max((abs(v) for k, v in truth.items() if k.startswith(owner)), default=0.0)
        error = max(abs(found[n] - truth[n]) for n in names)
        if error > 1e-11 * scale:  # below, it is round-off
            rows.append((max(bars[n] for n in names), error, scale))
    return np.array(rows)


def effectivity() -> None:
    """Bars against true errors of the shipped stacks, on their own and on coarse meshes."""
    figure, panel = plt.subplots(figsize=(5.6, 4.6))
    styles = (
        (2, None, "o", "P2, mesh of the case"),
        (2, 3, "^", "P2, 3 cells per layer"),
        (1, 8, "s", "P1, 8 cells per layer"),
    )
    for order, cells, marker, label in styles:
        rows = []
        for name in STACKS:
            found = stack_errors(name, order, cells)
            ratio = found[:, 0] / found[:, 1]
            size = (found[:, 1] / found[:, 2]).max()
            print(
                f"effectivity {name} {label}: {len(found)} vectors, "
                f"{ratio.min():.3f} to {ratio.max():.3f}, largest error {size:.1e}"
            )
            rows.append(found)
        bar, error, scale = np.concatenate(rows).T
        panel.loglog(error / scale, bar / scale, marker, ms=5, alpha=0.6, label=label)
    ends = np.array([1e-11, 1.0])
    panel.loglog(ends, ends, "k-", lw=0.8)
    panel.set(xlabel="true error, relative", ylabel="error bar, relative")
    panel.grid(alpha=0.3)
    panel.legend(fontsize=9)
    save(figure, "error_bars.png")


STRIP = {
    "mesh": {"file": "strip_2d.msh"},
    "regions": {"Pt": {"kind": "HM", "material": "Pt"}, "F": magnetic_layer(), "YIG": {"kind": "FI"}},
    "drive": {"electrodes": {"left": {"voltage": "1 mV"}, "right": {"voltage": "-1 mV"}}},
    "magnetization": {"direction": [1, 1, 1]},
    "solver": {"elements": "plain"},  # on every mesh alike: only the meshes differ
}


def adaptive_levels(device, target: float, most: int = 200_000):
    """Return device, transport and bars of every mesh of an adaptive run."""
    seen = []

    def keep(device, transport, finer, better):
        bars = compare(device, transport, finer, better)
        seen.append((device, transport, bars))
        return bars

    compare = adaptive.compare_orders
    with mock.patch.object(adaptive, "compare_orders", keep):
        adaptive.adapt(device, device.direction, target, most)
    return seen


def uniform_levels(device, count: int):
    """Return the same for meshes refined everywhere."""
    seen = []
    for k in range(count):
        if k:
            structure = refine(device.structure)
            device = build_device(device.case, device.folder, structure, device.space.order)
        transport = solve_transport(device, device.direction)
        seen.append((device, transport, error_bars(device, transport)))
    return seen


def goal(level, truth) -> tuple[int, float, float]:
    """Return unknowns, estimated and true relative error of the worst output of the goal."""
    _, transport, bars = level
    relative, errors = adaptive.goal_errors(bars), flat_numbers(bars.table)
    true = {k: abs(bars.numbers[k] - truth[k]) * v / errors[k] for k, v in relative.items() if errors[k]}
    return transport.state.report.unknowns, max(relative.values()), max(true.values())


def plot_levels(panel, series, truth, label: str, color: str, marker: str):
    """Draw estimated and true errors against unknowns; return the true ones, shape (n, 2)."""
    rows = np.array([goal(level, truth) for level in series])
    panel.loglog(rows[:, 0], rows[:, 1], marker + "--", mfc="none", color=color, label=f"{label}, estimated")
    panel.loglog(rows[:, 0], rows[:, 2], marker + "-", color=color, label=f"{label}, true")
    for n, estimated, true in rows:
        print(f"{label}: {n:.0f} unknowns, estimated {estimated:.2e}, true {true:.2e}")
    return rows[:, [0, 2]]


def saved(adapted, uniform) -> float:
    """Return the ratio of unknowns at the last error that both curves reach."""
    error = max(adapted[-1, 1], uniform[-1, 1])
    return float(
        np.divide(
            *(
                np.exp(np.interp(np.log(error), np.log(rows[::-1, 1]), np.log(rows[::-1, 0])))
                for rows in (uniform, adapted)
            )
        )
    )


def adaptive_strip() -> None:
    """A strip with electrodes on its sides: adaptive against uniform, and the mesh it ends on."""
    device = build_device(case_from_table(STRIP), MESHES)
    fine = adaptive_levels(device, 1e-6)[-1]
    truth = flat_numbers(discretised_numbers(fine[0], fine[1]))
    print("reference:", fine[1].state.report.unknowns, "unknowns")
    figure, (left, right) = plt.subplots(1, 2, figsize=(12, 4.4))
    adapted = adaptive_levels(device, 1e-5)
    rows = [
        plot_levels(left, adapted, truth, "adaptive", CARRIED, "o"),
        plot_levels(left, uniform_levels(device, 4), truth, "uniform", PLAIN, "s"),
    ]
    print(f"unknowns saved: a factor {saved(*rows):.0f}")
    left.set(xlabel="unknowns", ylabel="relative error of the worst output")
    left.grid(alpha=0.3)
    left.legend(fontsize=9)
    mesh, regions = adapted[-1][0].structure.mesh, adapted[-1][0].structure.region_of_cell
    right.tripcolor(*mesh.p, mesh.t.T, regions, cmap="Pastel1", edgecolors="0.4", lw=0.3)
    right.set(xlim=(-0.5, 12.5), ylim=(-2, 5.3), xlabel="x [nm]", ylabel="z [nm]")
    right.set_title("left end of the last adaptive mesh (YIG, F, Pt)")
    save(figure, "adaptive_strip.png")


def true_error(device, transport, truth) -> float:
    """Return the largest relative error of the goal against known numbers."""
    numbers = flat_numbers(discretised_numbers(device, transport))
    scales, truth = adaptive.goal_scales(truth), flat_numbers(truth)
    return max(abs(numbers[k] - truth[k]) / scale for k, scale in scales.items())


def hall_bar() -> None:
    """The shipped 3D Hall bar; the truth is the next order on the last adaptive mesh.

    Takes ten minutes, so `main` does not call it.
    """
    case = load_case(CASES / "hall_bar.toml")
    device = build_device(case, CASES)
    with mock.patch.object(adaptive, "_FRACTION", 0.25):
        levels = adaptive_levels(device, 4e-3)
    last, transport, _ = levels[-1]
    finer = enriched(last)
    truth = discretised_numbers(finer, solve_transport(finer, transport.m))
    rows = []
    for level in levels:
        size, estimate, _ = goal(level, flat_numbers(truth))
        rows.append((size, estimate, true_error(level[0], level[1], truth)))
    elements = device.problem.options.elements
    halved = build_device(case, CASES, refine(device.structure), None, elements)
    solved = solve_transport(halved, halved.direction)
    uniform = [rows[0][::2], (solved.state.report.unknowns, true_error(halved, solved, truth))]
    plot_hall_bar(rows, uniform)


def plot_hall_bar(rows, uniform) -> None:
    """Draw (unknowns, estimated, true) of adaptive and (unknowns, true) of uniform meshes."""
    for size, estimate, true in rows:
        print(f"Hall bar, adaptive: {size} unknowns, estimated {estimate:.2e}, true {true:.2e}")
    for size, true in uniform:
        print(f"Hall bar, uniform: {size} unknowns, true {true:.2e}")
    figure, panel = plt.subplots(figsize=(6, 4.2))
    columns = np.array(rows).T
    panel.loglog(columns[0], columns[1], "o--", mfc="none", color=CARRIED, label="adaptive, estimated")
    panel.loglog(columns[0], columns[2], "o-", color=CARRIED, label="adaptive, true")
    panel.loglog(*np.array(uniform).T, "s-", color=PLAIN, label="uniform, true")
    panel.set(xlabel="unknowns", ylabel="relative error of the worst output")
    panel.grid(alpha=0.3, which="both")
    panel.legend(fontsize=9)
    save(figure, "adaptive_hall_bar.png")


def main() -> None:
    """Make all pictures but that of the 3D Hall bar."""
    (HERE / "images").mkdir(exist_ok=True)
    sketch()
    convergence()
    helix()
    effectivity()
    adaptive_strip()


if __name__ == "__main__":
    main()
