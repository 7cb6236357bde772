"""Round-off of every reported number, from what it does to a solution.

All digits of the potentials are shaken, and the potentials are moved by what the residual that is
left does to them: round-off of the equations, whose spin rows are as uncertain as what a polarised
or spin Hall metal makes of the charge current's rounding.  No charge is lost in the theory; what
all charge rows together lose is round-off of every charge current.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np

from ...device.model import Device, Transport
from ...device.stack_problem import StackState
from ...device.steady import transport_of
from ...interface.currents import NOTHING, InterfaceCurrents
from ...transport.adjoint import tangent_solutions
from ...units import Array

__all__ = ["ROUND_OFF", "SHAKES", "shaken_solutions"]


# Round-off of the numbers themselves, relative to the largest of their group.
ROUND_OFF = 1e-14
# Digits of double precision that sums over cells may lose, and how many shakes are looked at.
_SHAKE, SHAKES = 16 * float(np.finfo(float).eps), 3
# Of the largest spin potential, what a solution may be off everywhere: rounded matrices.
_SHIFT = 3e-13
# Relative residual to which the effect of what is left of the equations is wanted.
_ROUGHLY = 0.1


def shaken_solutions(device: Device, transport: Transport) -> Iterator[Transport]:
    """Yield `SHAKES` solutions with the last digits of potentials and currents changed.

    Args:
        device: The problem.
        transport: Its solution.
    """
    rng, charge = np.random.default_rng(0), _charge_defect(device, transport)
    for left in _left_over(device, transport):
        mu = transport.state.mu * (1 + _SHAKE * rng.standard_normal(transport.state.mu.shape))
        if device.case.solver.method == "stack":
            other = replace(
                transport, state=replace(transport.state, mu=mu), exact=_shaken(transport.exact, rng)
            )
        else:
            mu[:, 1:] += _SHIFT * np.abs(mu[:, 1:]).max(initial=0.0) * rng.standard_normal(3)
            moved = mu + left
            low = transport.state.mu_low + (left - (moved - mu))  # fluxes see more digits
            state = replace(transport.state, mu=moved, mu_low=low)
            other = transport_of(device, transport.m, transport.fields, state)
        level = max(ROUND_OFF, transport.balance) * _largest(transport)
        yield replace(
            other,
            interfaces={
                name: _shaken_currents(i, charge / i.area, level, rng.standard_normal)
                for name, i in other.interfaces.items()
            },
        )


def _shaken(exact: StackState | None, rng: np.random.Generator) -> StackState | None:
    """Return an exact solution with the last digits of its states changed."""
    if exact is None:
        return None
    s = exact.solution
    lower, upper, integral = (
        x * (1 + _SHAKE * rng.standard_normal(x.shape)) for x in (s.lower, s.upper, s.integral)
    )
    return replace(exact, solution=replace(s, lower=lower, upper=upper, integral=integral))


def _charge_defect(device: Device, transport: Transport) -> float:
    """Return the charge that the equations lose by round-off: all charge rows add up to none."""
    state = transport.state
    if device.case.solver.method == "stack":
        return 0.0
    rows = device.problem.dof_residual(state.coefficients, state.laws, state.mu, state.mu_low)
    return abs(float(rows[:, 0].sum()))


def _left_over(device: Device, transport: Transport) -> list[Array]:
    """Return what the residual of a solution does to its potentials, as it is and with any signs.

    It is the round-off of the equations, or what an iteration left: of spins as well what that of
    the charge current becomes where one is handed on to the other.
    """
    state, problem = transport.state, device.problem
    nothing = [np.zeros_like(state.mu)] * SHAKES
    if device.case.solver.method == "stack":
        return nothing
    residual = problem.residual(state.coefficients, state.laws, state.mu, state.mu_low)
    if not residual.any():
        return nothing
    signs = np.random.default_rng(1).choice((-1.0, 1.0), (SHAKES, len(residual)))
    signs[0] = 1.0  # that of equal cells is alike and adds up
    return tangent_solutions(problem, state, list(signs * residual), _ROUGHLY, rough=True)


def _largest(transport: Transport) -> float:
    """Return the largest component of any part or spin current at interfaces, or next to none."""
    vectors = [v for i in transport.interfaces.values() for v in (i.flux[1:], *i.parts.values())]
    return max((float(np.abs(v).max()) for v in vectors), default=0.0) + NOTHING / ROUND_OFF


def _shaken_currents(
    currents: InterfaceCurrents, charge: float, level: float, normal: Callable[[int], Array]
) -> InterfaceCurrents:
    """Return currents with a change of that of charge and random ones of those of spin."""
    flux = currents.flux + np.append(charge, level * normal(3))
    noisy = {key: v + level * normal(3) for key, v in currents.parts.items()}
    return replace(currents, flux=flux, parts=noisy)
