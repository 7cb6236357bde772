"""``solver.method = "stack"``: the exact solution of a one-dimensional case, on its mesh.

The matrix-exponential solver replaces the finite elements; its potentials are sampled at the
nodes of the line mesh, so that fields and plots come out as usual.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ..transport.assembly.coefficients import coefficients
from ..transport.layers.stack import StackSolution
from ..transport.linear.solve import LinearReport
from ..transport.system import TransportState
from ..units import ENERGY, LENGTH, Array
from .coefficients import coefficients_under
from .model import Transport
from .observables.stack import StackSaid
from .stack_problem import solved_state, stack_problem

if TYPE_CHECKING:
    from .model import Device

__all__ = ["exact_transport"]


def exact_transport(device: Device, m: Array) -> Transport:
    """Return the exact potentials and interface currents for the magnetization `m`.

    Raises:
        SolverError: If the spin potential is not determined.
    """
    began = time.perf_counter()
    problem = stack_problem(device.case, m)
    c = coefficients_under(device.case, device.parameters, device.conditions, m)
    exact = solved_state(problem, c)
    z, above = _places(device, exact.solution)
    mu = np.empty((len(z), 4))
    for side, here in ((1, above), (-1, ~above)):
        mu[here] = exact.solution.potential(z[here], side) / ENERGY
    count, mismatch = len(exact.problem.names), exact.solution.mismatch
    report = LinearReport("stack", 8 * count, 0, mismatch, time.perf_counter() - began)
    fields = {name: exact.fields(name) for name in device.conductors}
    scaled = {name: coefficients(f) for name, f in fields.items()}
    state = TransportState(mu, np.zeros_like(mu), scaled, {}, device.laws(m), report)
    distinct = exact if exact.problem.distinct else None
    return Transport(m, fields, state, StackSaid(exact).interfaces, exact=distinct)


def _places(device: Device, solution: StackSolution) -> tuple[Array, NDArray[np.bool_]]:
    """Return z of every dof within the stack [m], and whether its cell lies above it."""
    edges, space = solution.case.interfaces, device.space
    nodes = space.locations[-1]
    at = np.clip((nodes - nodes.min()) * LENGTH + edges[0], edges[0], edges[-1])
    mesh = device.structure.mesh
    middle = np.zeros(space.n_dofs)
    middle[space.dofs] = mesh.p[-1, mesh.t[:, space.cells]].mean(axis=0)[:, None]
    return at, middle > nodes
