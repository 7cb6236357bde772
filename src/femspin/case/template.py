"""The commented case that ``femspin template`` prints."""

from __future__ import annotations

__all__ = ["template"]

_TEMPLATE = """\
# A femspin case file (TOML).  Every dimensional value is text with a unit; any multiple of the
# unit works ("1.5 nm", "0.3 eV*angstrom", "2e4 m/s").  Lines that start with "#" show what else
# can be set.  `femspin check this.toml` validates; `femspin run this.toml` computes.
title = "Pt on a magnetic insulator with Rashba coupling at the interface"

# ---------------------------------------------------------------- structure: a stack, or a mesh
[structure]
dimension = 1                    # 1 (line), 2 or 3
# cell = "hex"                   # 2D: quad (default), tri; 3D: hex (default), tet
# width = "100 nm"               # 2D, 3D: extent along x
# depth = "100 nm"               # 3D: extent along y
# cells_x = 10
# cells_y = 10
# lateral = "insulating"         # side faces; default "periodic"
# cells_per_decay_length = 18
# Layers from bottom to top.  z = 0 is the top of the uppermost F layer.
layers = [
    { region = "YIG", thickness = "10 nm" },
    { region = "F", thickness = "1 nm" },          # cells = 12 fixes the number of cells
    { region = "Pt", thickness = "5 nm" },
]

# [mesh]                         # instead of [structure]: gmsh, physical names = region names
# file = "device.msh"
# length_unit = "nm"

# ---------------------------------------------------------------- regions
[regions.YIG]
kind = "FI"                      # magnetic insulator; "I": a plain one

[regions.YIG.magnet]             # needed by [dynamics]
saturation_magnetization = "1.4e5 A/m"
damping = 1e-3
# anisotropy = "1e4 J/m^3"       # uniaxial, energy -K (m.axis)^2
# axis = [0, 0, 1]
demagnetization = "thin_film"    # "none", "thin_film" or [Nx, Ny, Nz]

[regions.F]
kind = "F"                       # thin metal with moments and/or spin-orbit coupling
dos = "5e46 1/(J*m^3)"           # per spin; two of dos, diffusion_constant, conductivity
# resistivity = "60 uohm*cm"     # instead of a conductivity
diffusion_constant = "2e-4 m^2/s"
mass = "1 m_e"
scattering_time = "4 fs"
# spin_diffusion_length = "5 nm" # relaxation to the lattice; or spin_relaxation_time
# spin_hall_angle = 0.05         # published sign: Pt > 0, W < 0
# polarisation = 0.3             # of the conductivity; > 0: majority moments along m; or a vector
# theta_mode = "exact"           # exact, first, eq38, hall
# model = "resolved"             # or replace the layer by its conductance: exact, layer, thin,
                                 # corrected or printed (closed forms)

[regions.F.soc]
rashba = "0.1 eV*angstrom"       # alpha_R, or alpha_R/hbar in m/s
# dresselhaus = "1e4 m/s"
# strain_coupling = "2e4 m/s"
# strain = [[0, 0.3, 0.4], [0.3, 0, 0.4], [0.4, 0.4, 0]]
# curvature = true               # spin Hall angle from the curvature of the gauge field

[regions.F.kondo]
spin = 2.5
moment_density = "1e28 1/m^3"
exchange_energy = "1 meV"        # n_m K_s; or coupling = "1e-50 J*m^3" (K_s)
curie_temperature = "559 K"      # or exchange = "10 meV" (J_0); leave out for a paramagnet
# rotation = [0, 0, 0]           # phi of noncollinear exchange

# [regions.F.override]           # raw coefficients in place of the microscopic ones
# gauge = [["0 1/nm", "0.35 1/nm", "0 1/nm"], ["-0.35 1/nm", "0 1/nm", "0 1/nm"],
#          ["0 1/nm", "0 1/nm", "0 1/nm"]]
# omega = ["0 1/ps", "0 1/ps", "1 1/ps"]
# relaxation = [...]             # 3 x 3 tensor in 1/ps; or tau_parallel and tau_perpendicular
# hall_angles = [0, 0, 0.01]
# larmor_angles = [0, 0, 0.1]
# spin_hall_angles = [[-0.1, 0, 0], [0, -0.1, 0], [0, 0, -0.1]]   # -spin_hall_angle
# polarisation = -0.3            # of the electron spins
# electric_field = ["0 V/m", "0 V/m", "0 V/m"]   # in this region only

[regions.Pt]
kind = "HM"                      # heavy or normal metal
material = "Pt"                  # `femspin materials` lists them; keys given here win

# [materials."my Pt"]            # a material of your own
# conductivity = { value = "5e6 S/m", source = "our films, four-point" }

# ---------------------------------------------------------------- interfaces and drive
# [interfaces."F|YIG"]           # default: insulating for spin
# G_s = "-1e12 S/m^2"            # flux into the metal (G_s + G_r m x m x + G_i m x) mu
# G_r = "1e13 S/m^2"             # or conductance = 3 x 3 tensor; drift_flux
# [interfaces."Pt|F"]            # two conductors: potentials are continuous unless
# contact_conductance = "1e15 S/m^2"   # ... there is a contact; contact_spin_conductance
# [interfaces.top]               # outer faces: top, bottom, left, right, front, back
# spin_potential = ["0 meV", "1 meV", "0 meV"]   # or spin_flux

[drive]
electric_field = ["1e5 V/m", "0 V/m", "0 V/m"]
magnetic_field = ["0 T", "0 T", "0.1 T"]
temperature = "300 K"
# [drive.electrodes.left]        # instead of electric_field
# voltage = "1 mV"               # or current = "10 uA", or floating = true

[magnetization]
direction = [0, 0, 1]            # along the field the moments feel

# [dynamics]
# mode = "run"                   # or "relax"
# duration = "2 ns"
# output_interval = "10 ps"
# transport_tolerance = 1e-3     # rad; 0 solves transport at every step

# [frequency]                    # complex currents for sources that oscillate as exp(+iWt)
# frequency = ["10 GHz", "1 THz"]
# [transient]                    # or currents in time after the sources are switched
# drive = "pulse"                # "step" (default), "pulse" or "off"
# pulse_length = "100 fs"
# duration = "2 ps"
# output_interval = "10 fs"
# tolerance = 1e-5
# frames = 20

# [texture]                      # or a texture of m on a mesh of its own: docs/textures.md
# kind = "ferromagnet"           # "antiferromagnet": sublattice_magnetization, exchange_field
# mesh = { shape = "line", length = "300 nm", cell = "1 nm" }     # point, line, film, box
# magnet = { saturation_magnetization = "8e5 A/m", exchange_stiffness = "13 pJ/m", damping = 0.02 }
# initial = { type = "wall" }    # uniform, wall, vortex, skyrmion, random, file
# wall = { direction = "x" }     # follow it
# fields = [{ field = ["0 T", "0 T", "1 mT"] }]
# spin_orbit = [{ polarisation = [0, 1, 0], damping_like = "5 mT" }]
# current = { density = ["1e12 A/m^2", "0 A/m^2", "0 A/m^2"], polarisation = 0.5, beta = 0.04 }
# analysis = "run"               # relax, hysteresis, threshold, resonance, line_shape
# duration = "1 ns"
# output_interval = "5 ps"

[solver]
order = 2                        # 1 or 2
method = "auto"                  # direct, iterative; stack: exact solution of a 1D stack
tolerance = 1e-11

[output]
# directory = "my_result"        # default: <case>.out beside the case
fields = true
plots = true

# [scan]                         # many points in parallel, to table.csv and scan.png
# mode = "grid"                  # all combinations, or "zip": first with first, and so on
# processes = 2                  # default: one per processor
# columns = ["interfaces.Pt|F.spin_current", "torques"]   # default: all currents and torques
# plot = { x = "angle", y = ["interfaces.Pt|F.spin_current.y"] }
# [scan.axes]                    # dotted paths in quotes; layers by region name or position
# "drive.temperature" = ["2 K", "5 K", "10 K"]
# "structure.layers.Pt.thickness" = { from = "1 nm", to = "10 nm", points = 10 }
# "drive.magnetic_field.2" = { from = "1 mT", to = "1 T", points = 7, spacing = "log" }
# "angle" = { plane = "xy", from = "0 deg", to = "360 deg", points = 37, of = "magnetization" }
"""


def template() -> str:
    """Return a commented case file that runs as it is."""
    return _TEMPLATE
