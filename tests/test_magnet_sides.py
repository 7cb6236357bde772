"""Torques per area, efficiencies per metal and about which axis, on flat and curved meshes."""

from __future__ import annotations

import numpy as np
import pytest

from femspin import case_from_table, simulate
from femspin.device.build import build_device
from femspin.device.coefficients import with_parameters
from femspin.device.neighbours import footprints, magnet_area, magnet_thickness
from femspin.simulation import solve
from femspin.structure.model import cell_volumes
from femspin.structure.sides import region_thickness
from femspin.studies.sensitivity.elements import sensitivities
from femspin.studies.sensitivity.layers import solved_stack
from femspin.units import E_CHARGE, HBAR

KONDO = {
    "spin": 2.5,
    "moment_density": "4e27 1/m^3",
    "exchange_energy": "5 meV",
    "curie_temperature": "559 K",
}
F = {"kind": "F", "dos": "2e47 1/(J*m^3)", "diffusion_constant": "2e-4 m^2/s", "kondo": KONDO}
# theta_C of a metal whose current along +x sends moments -y to +z, like Pt.
PT_LIKE = {
    "kind": "HM",
    "conductivity": "5e6 S/m",
    "dos": "2e47 1/(J*m^3)",
    "spin_diffusion_length": "1.5 nm",
    "override": {"spin_hall_angles": (-0.1 * np.eye(3)).tolist()},
}
W_LIKE = PT_LIKE | {"override": {"spin_hall_angles": (0.2 * np.eye(3)).tolist()}}
REGIONS = {
    "Pt": PT_LIKE,
    "W": W_LIKE,
    "F": F,
    "F1": F,
    "F0": F,
    "YIG": {"kind": "FI"},
    "MgO": {"kind": "I"},
    "I": {
        "kind": "F",
        "conductivity": "5e6 S/m",
        "diffusion_constant": "1e-3 m^2/s",
        "spin_diffusion_length": "100 um",
    },
}
FIELD = ["1e5 V/m", "2e4 V/m", "0 V/m"]


def stack(*layers, m=(1, 0.3, 2), method="stack", regions=None, **tables) -> dict:
    """Return a one-dimensional case of layers "name thickness/nm", bottom to top."""
    pairs = [layer.split() for layer in layers]
    return {
        "structure": {"dimension": 1, "layers": [{"region": n, "thickness": f"{d} nm"} for n, d in pairs]},
        "regions": {n: (REGIONS | (regions or {}))[n] for n, _ in pairs},
        "magnetization": {"direction": list(m)},
        "drive": {"electric_field": FIELD},
        "solver": {"method": method},
        **tables,
    }


def result(table: dict) -> dict:
    return simulate(case_from_table(table), errors=False).table


MIXING = {"Pt|YIG": {"G_r": "5e14 S/m^2"}}


# ---------------------------------------------------------------- about which axis


@pytest.mark.parametrize("method", ["stack", "direct"])
@pytest.mark.parametrize("layers", [("YIG 3", "Pt 5"), ("F 0.6", "Pt 5"), ("YIG 3", "F 0.6", "Pt 5")])
def test_a_metal_like_pt_has_a_positive_damping_like_efficiency_on_either_side(layers, method):
    """Absorbed moments are along j x n: -y above and +y below for j = +x."""
    found = []
    for order, y in ((layers, 1), (layers[::-1], -1)):
        faces = MIXING if "F 0.6" not in layers else {}
        table = stack(*order, m=(1, 0, 0), method=method, interfaces=faces)
        table["drive"]["electric_field"] = ["1e5 V/m", "0 V/m", "0 V/m"]
        magnet = result(table)["torques"][layers[0].split()[0]]
        absorbed = magnet["torque"] * -2 / HBAR  # moments, in units of gamma hbar / 2
        assert np.sign(absorbed[1]) == y
        found.append((magnet["efficiency_damping_like"], magnet["efficiency_field_like"]))
        assert magnet["normal"] == [0, 0, -y]
    assert found[0][0] > 0
    assert found[1] == pytest.approx(found[0], rel=1e-9)


def test_two_metals_have_one_efficiency_each_by_name():
    table = stack("W 5", "F 1.2", "Pt 4", m=(0, 0, 1))
    found = result(table)["torques"]["F"]
    assert "efficiency_damping_like" not in found
    # W (below) drives moments against j x n, Pt (above) along it: both push to +y for j = +x.
    flux = found["torque"] * -2 / HBAR * E_CHARGE
    for metal, n, sign in (("W", 1, -1), ("Pt", -1, 1)):
        entry = found[metal]
        crossed = np.cross(entry["current_density"], [0, 0, n])
        assert entry["normal"] == [0, 0, n]
        xi = flux @ crossed / (crossed @ crossed)
        assert entry["efficiency_damping_like"] == pytest.approx(xi, rel=1e-12)
        assert np.sign(xi) == sign
    device = build_device(case_from_table(table))
    exact, run = solved_stack(device.case).values, solve(device).values
    for name in (
        "torques.F.W.efficiency_damping_like",
        "torques.F.Pt.efficiency_field_like",
        "observables.torque_efficiency.F.Pt.damping_like_per_field",
    ):
        assert exact[name] == pytest.approx(run[name], rel=1e-6)


def test_the_mean_of_a_metal_that_lies_on_both_sides_has_no_efficiency_but_a_reason():
    table = stack("YIG 3", "Pt 5", "YIG 3", interfaces=MIXING)
    entry = result(table)["torques"]["YIG"]
    assert entry["efficiency_damping_like"] is None
    assert "normals from Pt to the magnet cancel" in entry["left_out"]
    alone = result(stack("F 2", m=(1, 1, 0)))["torques"]["F"]
    assert alone["efficiency_damping_like"] is None
    assert "no other metal touches F" in alone["left_out"]


# ---------------------------------------------------------------- reduced layers, chains


@pytest.mark.parametrize("method", ["stack", "direct"])
def test_a_replaced_layer_below_another_f_gives_every_number_of_the_resolved_run(method):
    soc = {"soc": {"rashba": "2e4 m/s"}, "mass": "1 m_e", "scattering_time": "1 fs"}
    found = []
    for model in ("resolved", "exact"):
        regions = {"F0": F | soc | {"model": model}, "F1": F | soc}
        table = result(
            stack("YIG 5", "F0 0.4", "F1 0.8", "Pt 5", method=method, m=(1, 1, 1), regions=regions)
        )
        numbers = {
            f"{n}.{k}": v
            for n, entry in table["torques"].items()
            for k, v in entry.items()
            if k not in ("current_density_of", "normal")
        }
        loss = table["observables"]["interfaces"]["Pt|F1"]
        found.append(numbers | {k: loss[k] for k in ("absorbed_by_moments", "spin_memory_loss")})
    assert found[0].keys() == found[1].keys()
    assert {"F0.torque", "F1.torque", "YIG.efficiency_damping_like"} <= set(found[0])
    # P2 elements on the default mesh; the stack method is exact.
    tolerance = 1e-10 if method == "stack" else 1e-5
    for key, value in found[0].items():
        size = np.abs(value).max()
        np.testing.assert_allclose(found[1][key], value, 0, tolerance * size, err_msg=key)


@pytest.mark.parametrize("method", ["stack", "direct"])
@pytest.mark.parametrize(
    "layers",
    [("F 5", "I 0.5", "Pt 5"), ("F 5", "Cu 3", "I 0.5", "Pt 5"), ("YIG 5", "F0 0.4", "I 0.5", "Pt 5")],
)
def test_spin_that_moments_further_on_absorb_is_not_lost(layers, method):
    """I and Cu relax spin over 100 um, and the whole stack is a few nm thick."""
    copper = {
        "kind": "HM",
        "conductivity": "6e7 S/m",
        "diffusion_constant": "1e-2 m^2/s",
        "spin_diffusion_length": "100 um",
    }
    table = stack(*layers, method=method, regions={"Cu": copper})
    found = result(table)["observables"]["interfaces"]["Pt|I"]
    # What relaxes is some nm over 100 um, squared.
    assert abs(found["spin_memory_loss"]) < 1e-6
    exact = solved_stack(build_device(case_from_table(table)).case).values
    assert abs(exact["observables.interfaces.Pt|I.spin_memory_loss"]) < 1e-6


def test_spin_that_a_metal_behind_relaxes_stays_lost():
    sink = {
        "kind": "HM",
        "conductivity": "5e6 S/m",
        "diffusion_constant": "1e-3 m^2/s",
        "spin_diffusion_length": "1 nm",
    }
    table = stack("Sink 20", "I 0.5", "Pt 5", regions={"Sink": sink})
    assert result(table)["observables"]["interfaces"]["Pt|I"]["spin_memory_loss"] == 1.0


# ---------------------------------------------------------------- geometry of meshes


def write_quads(path, x, z, region_of):
    """Write a mesh of quads on a grid of points (i, j): regions, left and right ends of Pt."""
    n, k = x.shape
    quads = [(a, b) for a in range(n - 1) for b in range(k - 1)]
    groups: dict[str, list] = {"F": [], "Pt": [], "left": [], "right": []}
    number = lambda a, b: a * k + b + 1  # noqa: E731
    for a, b in quads:
        corners = [number(a, b), number(a + 1, b), number(a + 1, b + 1), number(a, b + 1)]
        if region_of(a, b) is not None:
            groups[region_of(a, b)].append(corners)
    for b in range(k - 1):
        for side, a in (("left", 0), ("right", n - 1)):
            if region_of(min(a, n - 2), b) == "Pt":
                groups[side].append([number(a, b), number(a, b + 1)])
    tags = {name: k + 1 for k, name in enumerate(groups)}
    lines = ["$MeshFormat", "2.2 0 8", "$EndMeshFormat", "$PhysicalNames", str(len(tags))]
    lines += [f'{2 if name in ("F", "Pt") else 1} {tag} "{name}"' for name, tag in tags.items()]
    lines += ["$EndPhysicalNames", "$Nodes", str(x.size)]
    lines += [
        f"{i + 1} {p!r} {q!r} 0"
        for i, (p, q) in enumerate(zip(x.ravel().tolist(), z.ravel().tolist(), strict=True))
    ]
    cells = [(name, c) for name, found in groups.items() for c in found]
    lines += ["$EndNodes", "$Elements", str(len(cells))]
    lines += [
        f"{i + 1} {3 if len(c) == 4 else 1} 2 {tags[name]} {tags[name]} " + " ".join(map(str, c))
        for i, (name, c) in enumerate(cells)
    ]
    path.write_text("\n".join([*lines, "$EndElements", ""]))


def strip(shape, tmp_path):
    """Return the case of a Pt strip on F: flat, a half ring, or with sloped sides of F."""
    s, h = np.meshgrid(np.linspace(0, 40, 31), np.r_[np.linspace(-2, 0, 4), 1, 2.5, 4], indexing="ij")
    x, z = s, h
    if shape == "ring":
        x, z = (30 + h) * np.cos(np.pi * (1 - s / 40)), (30 + h) * np.sin(np.pi * (1 - s / 40))
    if shape == "sloped":
        x = 20 + (s - 20) * np.where(h < 0, 1 - 0.04 * h, 1.0)
    write_quads(tmp_path / "strip.msh", x, z, lambda a, b: "F" if b < 3 else "Pt")
    return case_from_table(
        {
            "mesh": {"file": str(tmp_path / "strip.msh")},
            "regions": {"F": F, "Pt": PT_LIKE},
            "drive": {"electrodes": {"left": {"voltage": "1 mV"}, "right": {"voltage": "0 V"}}},
            "magnetization": {"direction": [1, 0.3, 1]},
            "solver": {"error_bars": False, "elements": "plain"},
        }
    )


@pytest.mark.parametrize("shape", ["flat", "ring", "sloped"])
def test_torque_per_area_is_that_of_the_interface_on_any_mesh(shape, tmp_path):
    device = build_device(strip(shape, tmp_path))
    table = solve(device).table
    face, torque = table["interfaces"]["Pt|F"], table["torques"]["F"]
    np.testing.assert_allclose(torque["torque"], -HBAR / 2 / E_CHARGE * face["M_on_moments"], rtol=1e-12)
    assert torque["area"] == pytest.approx(face["area"], rel=1e-12)


def test_efficiency_of_a_bent_film_is_that_of_the_flat_one(tmp_path):
    """Up to thickness over radius: Pt of 4 nm on a radius of 30 nm."""
    flat, ring = (
        solve(build_device(strip(shape, tmp_path))).table["torques"]["F"] for shape in ("flat", "ring")
    )
    for key in ("efficiency_damping_like", "efficiency_field_like"):
        assert ring[key] == pytest.approx(flat[key], rel=4 / 30)


def test_thickness_of_a_bent_film_is_its_own_and_not_its_extent(tmp_path):
    ring = build_device(strip("ring", tmp_path)).structure
    # Two polygons of 30 sides with 2 nm between their corners.
    assert region_thickness(ring, "F") == pytest.approx(2 * np.cos(np.pi / 60), rel=1e-12)
    assert ring.height("F") > 25
    sloped = build_device(strip("sloped", tmp_path)).structure
    assert region_thickness(sloped, "F") == pytest.approx(2.0, rel=1e-12)
    assert np.abs(cell_volumes(sloped.mesh, sloped.cells("F"))).sum() == pytest.approx(
        0.5 * (40 + 43.2) * 2, rel=1e-12
    )


def test_volumes_of_skew_hexahedra_are_those_of_their_trilinear_maps():
    import skfem

    rng = np.random.default_rng(1)
    cube = skfem.MeshHex()
    mesh = skfem.MeshHex(cube.p + 0.15 * rng.normal(size=cube.p.shape), cube.t)
    exact = skfem.Basis(mesh, skfem.ElementHex1(), intorder=6).dx.sum()
    assert abs(cell_volumes(mesh)[0]) == pytest.approx(exact, rel=1e-13)


def cross(tmp_path, arm):
    """Return a case of a Pt strip along x on a patch of F, with a dead pad of given height.

    In the plane of a 2D mesh the pad stands on the strip beside the magnet.
    """
    s = np.r_[np.linspace(0, 40, 21), np.linspace(42, 60, 10)]
    h = np.r_[-1.0, 0.0, np.linspace(1, 4, 4), 4 + np.linspace(arm / 8, arm, 8)]
    x, z = np.meshgrid(s, h, indexing="ij")

    def region_of(a, b):
        if b == 0:
            return "F" if 4 <= a < 12 else None
        return "Pt" if b < 5 or a >= 22 else None

    write_quads(tmp_path / "cross.msh", x, z, region_of)
    return case_from_table(
        {
            "mesh": {"file": str(tmp_path / "cross.msh")},
            "regions": {"F": F, "Pt": PT_LIKE},
            "drive": {"electrodes": {"left": {"voltage": "1 mV"}, "right": {"voltage": "0 V"}}},
            "magnetization": {"direction": [1, 0.3, 1]},
            "solver": {"error_bars": False, "elements": "plain"},
        }
    )


def test_current_is_that_under_the_magnet_and_not_of_the_whole_metal(tmp_path):
    """A pad that carries little current must not change the efficiency."""
    found = [solve(build_device(cross(tmp_path, arm))) for arm in (4.0, 40.0)]
    means = [s.table["charge_current_density"]["Pt"][0] for s in found]
    assert means[1] < 0.7 * means[0]  # of the whole metal
    torques = [s.table["torques"]["F"] for s in found]
    for key in ("efficiency_damping_like", "efficiency_field_like"):
        assert torques[1][key] == pytest.approx(torques[0][key], rel=0.01)
    # All of the current passes the section of 4 nm over F; a little of it flows in F.
    current = found[0].table["electrodes"]["left"]["current"] / 4e-9
    assert 0.9 * current < torques[0]["current_density"][0] < current


def test_footprint_is_the_metal_over_the_patch(tmp_path):
    device = build_device(cross(tmp_path, 4.0))
    part = footprints(device, "F")["Pt"]
    cells = device.structure.cells("Pt")
    covered = part.weights @ np.abs(cell_volumes(device.structure.mesh, cells))
    assert covered == pytest.approx(16 * 4, rel=1e-12)
    np.testing.assert_allclose(part.direction, [0, 0, -1], atol=1e-12)


def test_motion_has_the_torque_of_the_volume_whatever_the_area(tmp_path):
    """dm/dt holds flux over area times volume over area: the area drops out."""
    device = build_device(strip("sloped", tmp_path))
    volume = np.abs(cell_volumes(device.structure.mesh, device.structure.cells("F"))).sum()
    assert magnet_area(device, "F") * magnet_thickness(device, "F") == pytest.approx(volume * 1e-9, rel=1e-12)


def test_part_of_a_cell_that_the_edge_of_a_footprint_cuts_counts_by_its_share():
    """A disc under a film of tetrahedra whose cells do not follow it but at the interface."""
    import skfem

    from femspin.structure.sides import Facets, _under

    mesh = skfem.MeshTet.init_tensor(*3 * (np.linspace(-1, 1, 9),))

    class Box:
        """What `_under` asks of a structure."""

        axes, facet_corners = (0, 1, 2), staticmethod(lambda facets: mesh.facets[:, facets])

    Box.mesh = mesh
    top = np.flatnonzero((mesh.p[2, mesh.facets] < -1 + 1e-9).all(axis=0))
    x, y = mesh.p[:2, mesh.facets[:, top]].mean(axis=1)
    patch = top[(np.abs(x) < 0.5) & (np.abs(y) < 0.5)]
    tilt = np.array([0.0, 0.0, -1.0])
    facets = Facets(patch, np.tile(tilt, (len(patch), 1)), np.ones(len(patch)))
    for axis in (tilt, np.array([0.3, -0.2, -1.0]) / np.sqrt(1.13)):
        weights = _under(Box, np.arange(mesh.nelements), facets, facets, axis)
        low = mesh.p[2, mesh.t].mean(axis=0) < -0.25  # there the shadow has not left the box
        covered = weights[low] @ np.abs(cell_volumes(mesh, np.flatnonzero(low)))
        # 64 points per cut cell: the shadow of a square is an oblique prism of its area.
        assert covered == pytest.approx(1.0 * 0.75, rel=0.01)


def test_derivatives_of_efficiencies_are_those_of_the_current_under_the_magnet(tmp_path):
    """Finite differences of whole solutions, of fourth order in a step of 1e-2."""
    case = cross(tmp_path, 40.0)
    device = build_device(case)
    names = [
        "torques.F.efficiency_damping_like",
        "torques.F.current_density.x",
        "observables.torque_efficiency.F.field_like_per_field",
    ]
    path = "regions.Pt.conductivity"
    found = sensitivities(device, solve(device).transport, names, [path])
    value, step = found.parameters[0].value, 1e-2 * found.parameters[0].value
    same = device.structure

    def at(x):
        changed = with_parameters(device.case, {path: x})
        numbers = solve(build_device(changed, structure=same)).values
        return np.array([numbers[name] for name in names])

    near = at(value + step) - at(value - step)
    far = at(value + 2 * step) - at(value - 2 * step)
    np.testing.assert_allclose(found.derivatives[:, 0], (8 * near - far) / (12 * step), rtol=1e-5)


def test_errors_of_efficiencies_cover_the_change_to_a_finer_order(tmp_path):
    case = cross(tmp_path, 4.0)
    with_bars = case.model_copy(
        update={"solver": case.solver.model_copy(update={"error_bars": True, "order": 1})}
    )
    solution = simulate(with_bars)
    finer = simulate(
        with_bars.model_copy(
            update={"solver": with_bars.solver.model_copy(update={"order": 2, "error_bars": False})}
        )
    )
    key = "efficiency_field_like"
    error = solution.errors["torques"]["F"][key]
    change = abs(finer.table["torques"]["F"][key] - solution.table["torques"]["F"][key])
    assert 0 < change <= error * (1 + 1e-9)
    assert "normal" not in solution.errors["torques"]["F"] or (
        solution.errors["torques"]["F"]["normal"] is None
    )


def test_transparency_refers_to_the_current_over_the_interface(tmp_path):
    found = [
        solve(build_device(cross(tmp_path, arm))).table["observables"]["interfaces"]["Pt|F"]
        for arm in (4.0, 40.0)
    ]
    keys = [entry["spin_transparency"] for entry in found]
    assert 0 < keys[0] < 1
    assert keys[1] == pytest.approx(keys[0], rel=0.01)
