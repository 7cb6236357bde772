"""Spin-transfer torque coefficients of antiferromagnets from a tight-binding band structure."""

from __future__ import annotations

from .closed_forms import chain_forms, square_forms
from .coefficients import COEFFICIENTS, MODELS, Coefficients, TorqueModel, conductivity, torque_coefficients
from .filling import chemical_potential, electrons_per_site
from .lattice import (
    LATTICES,
    Hop,
    TwoSublattice,
    chain,
    from_hops,
    honeycomb,
    named_lattice,
    simple_cubic,
    square,
)
from .torques import TorqueVelocities, torque_velocities

__all__ = [
    "COEFFICIENTS",
    "LATTICES",
    "MODELS",
    "Coefficients",
    "Hop",
    "TorqueModel",
    "TorqueVelocities",
    "TwoSublattice",
    "chain",
    "chain_forms",
    "chemical_potential",
    "conductivity",
    "electrons_per_site",
    "from_hops",
    "honeycomb",
    "named_lattice",
    "simple_cubic",
    "square",
    "square_forms",
    "torque_coefficients",
    "torque_velocities",
]
