"""Signs, each stated as a claim about an experiment and derived from it, not from the code.

Common ground.  z points up, a current is conventional, an electron's moment is opposite to its
spin.  A magnet's angular momentum per area is L = -(M_s d/gamma) m, so that a torque tau on it
turns it by dm/dt = -(gamma/M_s d) tau.
"""

from __future__ import annotations

import numpy as np
import pytest

from femspin import case_from_table, simulate
from femspin.magnets.ferromagnet import ferromagnet_texture
from femspin.magnets.walls import wall_profile
from femspin.materials import load_database
from femspin.studies.textures.simulate import simulate_texture
from femspin.studies.textures.system import build_texture_system
from femspin.studies.textures.warnings import case_warnings
from femspin.units import E_CHARGE, HBAR, MU_0, MU_B

from texture_setup import fm, line  # isort: skip

GAMMA = 2 * MU_B / HBAR
THICK, SATURATION = 4e-9, 8e5
METALS = {"Pt": 0.1, "W": -0.3}
PLACES = {"below": 1.0, "above": -1.0}  # of the metal; n from the metal to the magnet along z


def metal(angle, **more):
    return {
        "kind": "HM",
        "conductivity": "5e6 S/m",
        "diffusion_constant": "5e-4 m^2/s",
        "spin_diffusion_length": "1.5 nm",
        "spin_hall_angle": angle,
        **more,
    }


def bilayer(angle, place="below", m=(0, 0, 1), conductance=None, **drive):
    """Return a metal below or above a magnetic insulator, current along +x."""
    layers = ["HM", "FI"] if place == "below" else ["FI", "HM"]
    return case_from_table(
        {
            "structure": {"layers": [{"region": r, "thickness": "4 nm"} for r in layers]},
            "regions": {"HM": metal(angle), "FI": {"kind": "FI"}},
            "interfaces": {"HM|FI": conductance or {"G_r": "5e14 S/m^2"}},
            "drive": {"electric_field": ["1e5 V/m", "0 V/m", "0 V/m"], **drive},
            "magnetization": {"direction": list(m)},
            "solver": {"method": "stack"},
        }
    )


def table_of(case):
    return simulate(case, errors=False).table


def rate(table, magnet="FI"):
    """Return dm/dt [1/s] of a magnet of M_s d from the torque on its angular momentum."""
    return -GAMMA / (SATURATION * THICK) * np.asarray(table["torques"][magnet]["torque"])


# ------------------------------------------------------------------------- spin Hall effect


def test_current_along_x_gathers_spins_y_on_top_of_pt_and_minus_y_on_top_of_w():
    """Two experiments fix the sign of Pt: ST-FMR with S/A > 0 and left-handed walls along j.

    In both the moments that reach a magnet above Pt are along the Oersted field there, -y, and
    the spins of these electrons along +y.
    """
    for name, sign in (("Pt", 1), ("W (beta)", -1), ("Ta", -1)):
        case = case_from_table(
            {
                "structure": {"layers": [{"region": "A", "thickness": "10 nm"}]},
                "regions": {"A": {"kind": "HM", "material": name}},
                "drive": {"electric_field": ["1e5 V/m", "0 V/m", "0 V/m"]},
                "solver": {"method": "stack"},
            }
        )
        found = simulate(case, errors=False)
        mu = found.transport.state.mu[:, 2]
        z = found.device.space.locations[-1]
        assert sign * mu[z.argmax()] > 0
        assert sign * mu[z.argmin()] < 0
        assert found.table["charge_current_density"]["A"][0] > 0


@pytest.mark.parametrize("mode", ["exact", "first"])
def test_the_published_angle_is_minus_the_raw_one(mode):
    """theta_C^{ka} of the equations is -theta_SH delta_ka (Chen et al., PRB 87, 144411)."""
    given = {"conductivity": None, "dos": "4e47 1/(J*m^3)", "theta_mode": mode}
    tables = []
    for change in ({"spin_hall_angle": 0.2}, {"override": {"spin_hall_angles": (-0.2 * np.eye(3)).tolist()}}):
        region = {k: v for k, v in {**metal(None), **given, **change}.items() if v is not None}
        case = case_from_table(
            {
                "structure": {"layers": [{"region": "HM", "thickness": "4 nm"}]},
                "regions": {"HM": region},
                "interfaces": {"top": {"G_r": "5e14 S/m^2"}},
                "drive": {"electric_field": ["1e5 V/m", "2e4 V/m", "0 V/m"]},
                "magnetization": {"direction": [1, 2, 3]},
                "solver": {"method": "stack"},
            }
        )
        solution = simulate(case, errors=False)
        tables.append(solution.transport.state.mu)
    np.testing.assert_allclose(tables[0], tables[1], rtol=1e-12, atol=1e-15)


# ------------------------------------------------------------------------------- resonance


def line_shape(damping_field, oersted, field, saturation, damping=0.02):
    """Return the symmetric and antisymmetric part of a line, from the linearised equation.

    m = m0 + Re(u e^{iwt}) under in-phase fields in the plane (b2, along z x m0) and along z (b3):
    i w u = -gamma [u x B0 + m0 x b] + i w alpha m0 x u, demagnetizing field -mu0 M_s u_z z.
    The resistance follows u2, so that the voltage is Re u2 against the field, near its resonance
    S/(1 + x^2) + A x/(1 + x^2), x = (B - B0)/width.
    """
    b2, b3 = oersted, damping_field
    w = GAMMA * np.sqrt(field * (field + MU_0 * saturation))
    sweep = field + np.linspace(-8, 8, 401) * damping * w / GAMMA
    response = []
    for B in sweep:
        # rows: du2/dt, du3/dt; m0 is axis 1, 2 = z x m0, 3 = z
        # m x B to first order: (2): u3 B - 1*(b3 - M u3), (3): b2 - u2 B  (times m0 = 1)
        stiff = np.array([[0.0, B + MU_0 * saturation], [-B, 0.0]])
        gilbert = damping * np.array([[0.0, -1.0], [1.0, 0.0]])  # m0 x u: (2) -u3, (3) +u2
        push = np.array([-b3, b2])
        matrix = 1j * w * (np.eye(2) - gilbert) + GAMMA * stiff
        response.append(np.linalg.solve(matrix, -GAMMA * push)[0].real)
    x = (sweep - field) / (
        damping * (2 * field + MU_0 * saturation) * w / GAMMA / (2 * field + MU_0 * saturation)
    )
    shape = 1 / (1 + x**2)
    basis = np.stack([shape, x * shape, np.ones_like(x)], axis=1)
    return np.linalg.lstsq(basis, np.array(response), rcond=None)[0][:2]


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("name", METALS)
def test_st_fmr_on_pt_has_one_sign_of_symmetric_and_antisymmetric_part(name, place):
    """Py|Pt with the Oersted field of the current in Pt: S/A > 0, with W below 0.

    Liu et al., PRL 106, 036601 (2011): S/A > 0 for Pt, whatever the angle of the field and the
    sign of the resistance that rectifies; above or below makes no difference, since field and
    spins turn over together.  The Oersted field of a sheet d with j along +x is mu0 j d/2, along
    -y above it and +y below.  The line is solved here, and once more by femspin itself.
    """
    m = np.array([1.0, 1.0, 0.0]) / np.sqrt(2)
    table = table_of(bilayer(METALS[name], place, m))
    j = table["charge_current_density"]["HM"][0]
    oersted = -PLACES[place] * MU_0 * j * 4e-9 / 2 * np.array([0.0, 1.0, 0.0])
    torque = rate(table)
    across, up = np.cross([0, 0, 1], m), np.array([0.0, 0.0, 1.0])
    # dm/dt = -gamma m x B has the field B = m x (dm/dt)/gamma
    b = np.cross(m, torque) / GAMMA
    assert abs(b @ across) < 1e-12 * abs(b @ up)  # G_i = 0: damping-like alone
    symmetric, antisymmetric = line_shape(b @ up, oersted @ across, 0.1, SATURATION)
    expected = 1 if METALS[name] > 0 else -1
    assert np.sign(symmetric / antisymmetric) == expected
    # S/A = (a/B_Oe) sqrt(B/(B + mu0 M_s)) to the order of the damping
    ratio = abs(b @ up) / abs(oersted @ across) * np.sqrt(0.1 / (0.1 + MU_0 * SATURATION))
    assert abs(symmetric / antisymmetric) == pytest.approx(ratio, rel=0.05)


def test_line_shape_finds_the_same_sign_for_spins_along_the_oersted_field():
    """`analysis = "line_shape"` with the spins and the field of Pt below the film: S/A > 0."""
    case = case_from_table(
        {
            "texture": {
                "kind": "ferromagnet",
                "analysis": "line_shape",
                "magnetostatics": "thin_film",
                "relax_torque": "0.1 nT",
                "mesh": {"shape": "point", "length": "100 nm", "width": "100 nm", "thickness": "4 nm"},
                "magnet": {
                    "saturation_magnetization": "8e5 A/m",
                    "damping": 0.01,
                    "exchange_stiffness": "13 pJ/m",
                },
                "initial": {"direction": [1, 1, 0]},
                "spin_orbit": [
                    {
                        "polarisation": [0, -1, 0],
                        "damping_like": "0.2 mT",
                        "signal": {"shape": "sine", "frequency": "8 GHz"},
                    }
                ],
                "fields": [
                    {"field": ["0 T", "-0.1 mT", "0 T"], "signal": {"shape": "sine", "frequency": "8 GHz"}}
                ],
                "line_shape": {
                    "frequency": "8 GHz",
                    "direction": [1, 1, 0],
                    "low": "50 mT",
                    "high": "100 mT",
                    "points": 41,
                },
            }
        }
    )
    values = simulate_texture(case).values
    assert values["texture.symmetric"] / values["texture.antisymmetric"] > 0


# ----------------------------------------------------------------------------------- walls


def test_positive_interfacial_dmi_makes_left_handed_walls():
    """Up - left - down: the moment at the centre of an up|down wall points along -x.

    Co on Pt is left-handed (Emori et al., Nature Mater. 12, 611 (2013)); D > 0 there.
    """
    magnet = fm(interfacial_dmi=1e-3)
    space = line(magnet.wall_width, 30, 0.2)
    texture = ferromagnet_texture(space, magnet)
    left, right = (texture.energy(wall_profile(space, 0.0, magnet.wall_width, tilt=t)) for t in (np.pi, 0.0))
    m = wall_profile(space, 0.0, magnet.wall_width, tilt=np.pi)
    middle = np.argmin(np.abs(m[:, 2]))
    assert m[0, 2] > 0 > m[-1, 2]
    assert m[middle, 0] < -0.99
    assert left < right


def test_database_has_the_dmi_of_co_on_pt_with_this_sign():
    for name in ("Co/Pt", "CoFeB/Pt"):
        assert not str(load_database()[name].values["dmi"].value).startswith("-")


@pytest.mark.parametrize(
    ("name", "place", "left_handed"), [("Pt", "below", True), ("Pt", "above", False), ("W", "below", False)]
)
def test_walls_of_pt_run_along_the_current(name, place, left_handed):
    """Left-handed wall on Pt: the damping-like field at its centre grows the up side.

    An up|down wall moves to +x where the field along z at its centre is positive.  Pt above a film
    has the opposite handedness and the opposite spins: again along the current (Ryu et al., Nature
    Nano. 8, 527 (2013)).  A right-handed wall on W, whose spins are opposite, moves along the
    current, too.
    """
    m = np.array([-1.0 if left_handed else 1.0, 0.0, 0.0])
    table = table_of(bilayer(METALS[name], place, m))
    field = np.cross(m, rate(table)) / GAMMA
    assert table["charge_current_density"]["HM"][0] > 0
    assert field[2] > 0
    assert abs(field[1]) < 1e-12 * field[2]


def test_a_left_handed_wall_on_pt_runs_along_the_current_in_time():
    """The same with the motion: spins of Pt below (moments -y), D > 0, velocity along +x."""
    case = case_from_table(
        {
            "texture": {
                "kind": "ferromagnet",
                "duration": "0.1 ns",
                "output_interval": "10 ps",
                "mesh": {
                    "shape": "line",
                    "length": "160 nm",
                    "width": "50 nm",
                    "thickness": "1 nm",
                    "cell": "2 nm",
                },
                "magnet": {
                    "saturation_magnetization": "8e5 A/m",
                    "exchange_stiffness": "13 pJ/m",
                    "damping": 0.3,
                    "anisotropy": "4e5 J/m^3",
                    "interfacial_dmi": "0.8 mJ/m^2",
                },
                "initial": {"type": "wall", "tilt": "180 deg"},
                "wall": {},
                "spin_orbit": [{"polarisation": [0, -1, 0], "damping_like": "10 mT"}],
            }
        }
    )
    assert simulate_texture(case).values["texture.wall.displacement"] > 1e-9


def test_pt_above_a_film_switches_it_up_with_the_field_along_the_current():
    """TmIG below Pt, j and H along +x: the film goes up (Velez et al., Nat. Commun. 10, 4750).

    At m along the field the torque must lift m towards +z.
    """
    table = table_of(bilayer(METALS["Pt"], "above", (1, 0, 0)))
    assert (np.cross([1, 0, 0], rate(table)) / GAMMA)[2] > 0


@pytest.mark.parametrize("place", PLACES)
def test_given_torques_have_the_signs_of_the_efficiencies(place):
    """Xi of the solved stack, typed as damping_like and field_like_torque with p = j x n.

    The rate of change of m from the given torque is that from the angular momentum of the solved
    one; the older key field_like is minus the field-like one, and says so.
    """
    m = np.array([0.3, -0.5, 0.8])
    m /= np.linalg.norm(m)
    table = table_of(bilayer(0.1, place, m, {"G_r": "5e14 S/m^2", "G_i": "2e14 S/m^2"}))
    xi = table["torques"]["FI"]
    moments = np.cross(table["charge_current_density"]["HM"], [0, 0, PLACES[place]])
    j = np.linalg.norm(moments)
    unit = HBAR * j / (2 * E_CHARGE * SATURATION * THICK)
    damping, field = (unit * xi[f"efficiency_{k}_like"] for k in ("damping", "field"))
    assert damping > 0 > field  # G_i > 0: a field along the moments that gather there
    for key, sign in (("field_like_torque", 1), ("field_like", -1)):
        case = case_from_table(
            {
                "texture": {
                    "kind": "ferromagnet",
                    "duration": "1 ps",
                    "mesh": {"shape": "point", "length": "4 nm", "thickness": "4 nm"},
                    "magnet": {
                        "saturation_magnetization": f"{SATURATION} A/m",
                        "damping": 0.1,
                        "exchange_stiffness": "13 pJ/m",
                    },
                    "spin_orbit": [
                        {
                            "polarisation": (moments / j).tolist(),
                            key: f"{sign * field} T",
                            "damping_like": f"{damping} T",
                        }
                    ],
                }
            }
        )
        system = build_texture_system(case)
        states = np.tile(m, (system.space.size, 1))
        turning = system.orbit()[0].rotation(system.space, states, 0.0)[0] * 1e12
        np.testing.assert_allclose(np.cross(turning, m), rate(table), rtol=1e-9)
        told = [w for w in case_warnings(system, case) if "field_like" in w]
        assert len(told) == (key == "field_like")


# ------------------------------------------------------------------------- magnetoresistance


def resistivity(case):
    charge = table_of(case)["observables"]["charge"]
    return charge["longitudinal_resistivity"], charge["transverse_resistivity"]


@pytest.mark.parametrize("angle", [0.1, -0.1])
def test_smr_is_lowest_where_m_is_along_the_spins(angle):
    """An absorbed spin current is lost for the inverse effect: rho(y) < rho(x) = rho(z).

    Nakayama et al., PRL 110, 206601 (2013); even in the spin Hall angle.  In the plane
    rho_yx = (rho_x - rho_y) m_x m_y > 0.
    """
    x, y, z = (resistivity(bilayer(angle, m=m))[0] for m in np.eye(3))
    assert y < x
    assert x == pytest.approx(z, rel=1e-12)
    assert resistivity(bilayer(angle, m=(1, 1, 0)))[1] > 0


@pytest.mark.parametrize("place", PLACES)
def test_smr_hall_effect_of_a_positive_g_i_is_that_of_a_field_along_m(place):
    """G_i > 0 turns the accumulation as a field along +m does; both make rho_yx < 0.

    Chen et al., PRB 87, 144411 (2013): Delta rho_2 < 0 for G_i > 0.  Hanle: the moments of the
    accumulation turn about the field as any moment does.
    """
    mixing = {"G_r": "5e14 S/m^2", "G_i": "1e14 S/m^2"}
    up = resistivity(bilayer(0.1, place, (0, 0, 1), mixing))[1]
    assert up < 0
    assert resistivity(bilayer(0.1, place, (0, 0, -1), mixing))[1] == pytest.approx(-up, rel=1e-9)


def film(**drive):
    return case_from_table(
        {
            "structure": {"layers": [{"region": "HM", "thickness": "4 nm"}]},
            "regions": {"HM": metal(0.1, diffusion_constant="1e-5 m^2/s")},
            "drive": {"electric_field": ["1e5 V/m", "0 V/m", "0 V/m"], **drive},
            "solver": {"method": "stack"},
        }
    )


def test_hanle_field_across_the_spins_raises_the_resistance():
    """Velez et al., PRL 116, 016603 (2016): none for B along y, up for x and z, rho_yx(B_z) < 0.

    j = +x: spins +y at the top, -y at the bottom.  They turn about B_z by omega = +g mu_B B/hbar,
    +y towards -x at the top; an accumulation of -x above and +x below diffuses -x downwards,
    J^{zx} > 0, which the inverse effect turns into electrons J^{y0} = theta eps^{yxz} J^{zx} < 0,
    a current along +y in short circuit; open, a field along -y.
    """
    zero = resistivity(film())
    along, across, normal = (
        resistivity(film(magnetic_field=[f"{9 * b} T" for b in axis]))
        for axis in ((0, 1, 0), (1, 0, 0), (0, 0, 1))
    )
    assert along[0] == pytest.approx(zero[0], rel=1e-12)
    assert across[0] > zero[0] * (1 + 1e-6)
    assert normal[0] > zero[0] * (1 + 1e-6)
    assert normal[1] < 0


# ------------------------------------------------------------------------------ pumping


@pytest.mark.parametrize("place", PLACES)
def test_inverse_spin_hall_current_of_pumped_spins(place):
    """A precessing magnet drives a current theta J_s m0 x n in the metal, n from metal to magnet.

    Damping turns m towards the field, m -> m0: the magnet's m gains along +m0, its angular
    momentum -m therefore loses along +m0, and the metal gains it: electrons with spin along +m0.
    In Pt, a force along -x on electrons (j = +x) moves spin +y along +z.  Spin is odd under time
    reversal, so by Onsager the off-diagonal conductivities are opposite: a force along +z on spin
    +y moves electrons along +x.  Spins +y pushed down by a magnet above Pt therefore move
    electrons along -x: a current along +x.
    """
    face = "top" if place == "below" else "bottom"
    case = case_from_table(
        {
            "structure": {"layers": [{"region": "HM", "thickness": "4 nm"}]},
            "regions": {"HM": metal(0.1)},
            "interfaces": {face: {"spin_flux": ["0 1/(m^2*s)", "1e28 1/(m^2*s)", "0 1/(m^2*s)"]}},
            "solver": {"method": "stack"},
        }
    )
    m0, n = np.array([0.0, 1.0, 0.0]), np.array([0.0, 0.0, PLACES[place]])
    j = table_of(case)["charge_current_density"]["HM"]
    assert j @ np.cross(m0, n) > 0
    assert abs(j[1]) + abs(j[2]) < 1e-9 * abs(j[0])


# -------------------------------------------------------------------------- polarised metals


def test_electrons_from_co_carry_moments_along_its_magnetization():
    """Spin injection: with electrons flowing out of Co (P > 0) moments gather along M in Cu.

    Johnson and Silsbee, PRL 55, 1790 (1985).  Spins gather along -M.
    """
    case = case_from_table(
        {
            "structure": {
                "layers": [{"region": "Co", "thickness": "40 nm"}, {"region": "Cu", "thickness": "40 nm"}]
            },
            "regions": {"Co": {"kind": "F", "material": "Co"}, "Cu": {"kind": "HM", "material": "Cu"}},
            "magnetization": {"direction": [0, 0, 1]},
            "drive": {"electrodes": {"top": {"voltage": "1 mV"}, "bottom": {"voltage": "0 V"}}},
        }
    )
    solution = simulate(case, errors=False)
    assert solution.table["electrodes"]["top"]["current"] > 0  # j down, electrons up into Cu
    assert solution.table["observables"]["regions"]["Cu"]["mean_potential"][2] < 0


def test_co_with_the_spin_hall_angle_of_pt_has_a_positive_anomalous_hall_coefficient():
    """R_s > 0 of Co: E_y > 0 for j along +x and M along +z.

    theta > 0 sends electrons of spin -z, the majority of P > 0, to +y when j is along +x (the
    cyclic image of spin +y to +z): negative charge gathers at +y and the field points there.
    In a wide film sigma_yx/sigma = -P theta in the mode of first order, twice that in `exact`,
    whose channels share one Hall resistivity rather than one Hall angle.
    """
    for mode, factor in (("first", 1), ("exact", 2)):
        case = case_from_table(
            {
                "structure": {"layers": [{"region": "Co", "thickness": "400 nm"}]},
                "regions": {
                    "Co": {
                        "kind": "F",
                        "material": "Co",
                        "spin_hall_angle": 0.02,
                        "theta_mode": mode,
                        "spin_diffusion_length": "2 nm",
                    }
                },
                "magnetization": {"direction": [0, 0, 1]},
                "drive": {"electric_field": ["1e5 V/m", "0 V/m", "0 V/m"]},
                "solver": {"method": "stack"},
            }
        )
        charge = table_of(case)["observables"]["charge"]
        assert charge["transverse_resistivity"] > 0
        ratio = charge["transverse_conductivity"] / charge["longitudinal_conductivity"]
        assert ratio == pytest.approx(-0.42 * 0.02 * factor, rel=0.01)


VORTEX = {
    "structure": {
        "dimension": 3,
        "lateral": "insulating",
        "width": "100 nm",
        "depth": "100 nm",
        "cells_x": 14,
        "cells_y": 14,
        "layers": [{"region": "F", "thickness": "10 nm", "cells": 1}],
    },
    "regions": {
        "F": {
            "kind": "F",
            "material": "Co",
            "spin_diffusion_length": "5 nm",
            "override": {"tau_parallel": "1 s", "tau_perpendicular": "1 s"},
            "kondo": {
                "spin": 0.5,
                "moment_density": "1e29 1/m^3",
                "curie_temperature": "1000 K",
                "exchange_energy": "1.4 eV",
            },
        }
    },
    "drive": {
        "temperature": "10 K",
        "electrodes": {"left": {"voltage": "5.882 mV"}, "right": {"voltage": "0 V"}},
    },
    "solver": {"order": 1},
    "texture": {
        "kind": "ferromagnet",
        "region": "F",
        "duration": "1 ns",
        "torque_source": "transport",
        "magnet": {"saturation_magnetization": "8e5 A/m", "exchange_stiffness": "13 pJ/m", "damping": 0.1},
        "initial": {"type": "vortex", "center": ["50 nm", "50 nm"], "radius": "10 nm"},
    },
}


def test_spin_transfer_of_the_solved_carriers_is_zhang_li_of_the_same_polarisation():
    """Electrons of P > 0 carry moments along M: textures move with them, against the current.

    Each electron that follows m exchanges its moment with it: dm/dt = -(u.grad) m with
    u = -hbar P j/(2 e s), s = M_s/gamma (Zhang and Li, PRL 93, 127204 (2004)); -u = +0.030 nm/ps
    for j = 1e12 A/m^2.  The distance from it is the square of the spin diffusion length over the
    radius (here (l_J/20 nm)^2 below 2 percent).
    """
    from femspin.device.coupled.torque import node_rate

    system = build_texture_system(case_from_table(VORTEX))
    space = system.space
    x, y = (space.positions[:, :2] - 50).T
    m = np.stack([-y, x, np.full_like(x, 10.0)], axis=1)
    m /= np.linalg.norm(m, axis=1, keepdims=True)
    slope = space.along(np.array([1.0, 0, 0]), m)
    solved = system.coupled.transport.solve(m, accuracy=1e-8)
    found = node_rate(solved.flux, m, space.volumes, system.magnet.spin_density)
    some = (np.hypot(x, y) > 20) & (np.abs(x) < 40)
    across = np.cross(m, slope)[some].ravel()
    basis = np.stack([slope[some].ravel(), across], axis=1)
    moved = np.linalg.lstsq(basis, 1e-12 * found[some].ravel(), rcond=None)[0]
    spins = SATURATION / GAMMA
    u = -HBAR * 0.42 * 1e12 / (2 * E_CHARGE * spins)
    assert moved[0] == pytest.approx(-u * 1e-3, rel=0.03)


def test_walls_move_with_the_electrons_under_a_given_current():
    """[texture.current] with P > 0: a wall runs against the conventional current."""
    case = case_from_table(
        {
            "texture": {
                "kind": "ferromagnet",
                "duration": "0.1 ns",
                "output_interval": "10 ps",
                "mesh": {
                    "shape": "line",
                    "length": "160 nm",
                    "width": "50 nm",
                    "thickness": "1 nm",
                    "cell": "2 nm",
                },
                "magnet": {
                    "saturation_magnetization": "8e5 A/m",
                    "exchange_stiffness": "13 pJ/m",
                    "damping": 0.1,
                    "anisotropy": "4e5 J/m^3",
                },
                "initial": {"type": "wall"},
                "wall": {},
                "current": {
                    "density": ["1e12 A/m^2", "0 A/m^2", "0 A/m^2"],
                    "polarisation": 0.42,
                    "beta": 0.1,
                },
            }
        }
    )
    assert simulate_texture(case).values["texture.wall.displacement"] < -1e-9


def test_a_vector_polarisation_is_along_the_moments_of_the_majority_and_raw_along_their_spins():
    """A number along m, the vector P m, and the raw opposite are one metal."""
    m = np.array([1.0, 2.0, -0.5])
    m /= np.linalg.norm(m)
    solutions = []
    for given in (
        {"polarisation": 0.3},
        {"polarisation": (0.3 * m).tolist()},
        {"override": {"polarisation": (-0.3 * m).tolist()}},
        {"override": {"polarisation": -0.3}},
    ):
        case = case_from_table(
            {
                "structure": {
                    "layers": [{"region": "F", "thickness": "4 nm"}, {"region": "N", "thickness": "4 nm"}]
                },
                "regions": {
                    "F": {
                        "kind": "F",
                        "conductivity": "5e6 S/m",
                        "diffusion_constant": "5e-4 m^2/s",
                        "spin_diffusion_length": "3 nm",
                        **given,
                    },
                    "N": metal(0.0),
                },
                "magnetization": {"direction": m.tolist()},
                "drive": {"electrodes": {"top": {"voltage": "1 mV"}, "bottom": {"voltage": "0 V"}}},
            }
        )
        solutions.append(simulate(case, errors=False).transport.state.mu)
    for other in solutions[1:]:
        np.testing.assert_allclose(other, solutions[0], rtol=1e-10, atol=1e-13)


# ---------------------------------------------------------------------------------- Rashba


def test_rashba_accumulation_has_moments_along_z_cross_current():
    """Rashba coupling with alpha_R > 0: a current along +x gathers moments along +y.

    With H = alpha_R (sigma x k).z = alpha_R (sigma_x k_y - sigma_y k_x), electrons moving along
    -x (k_x < 0) see a field that favours sigma_y < 0: spin along -y, moments along +y = z x j.
    """
    case = case_from_table(
        {
            "structure": {"layers": [{"region": "F", "thickness": "1 nm"}]},
            "regions": {
                "F": {
                    "kind": "F",
                    "dos": "1e47 1/(J*m^3)",
                    "mass": "1 m_e",
                    "diffusion_constant": "2e-4 m^2/s",
                    "scattering_time": "2 fs",
                    "soc": {"rashba": "0.3 eV*angstrom"},
                }
            },
            "drive": {"electric_field": ["1e5 V/m", "0 V/m", "0 V/m"]},
            "solver": {"method": "stack"},
        }
    )
    region = table_of(case)["observables"]["regions"]["F"]
    assert region["spin_density"][1] < 0
