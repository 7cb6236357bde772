"""Steps of a magnet under the torque of solved transport."""

from __future__ import annotations

import time as clocks
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from ...magnets.explicit import RungeKutta
from ...magnets.ferromagnet import Texture
from ...magnets.intervals import march
from ...magnets.midpoint import Anderson
from ...magnets.run import History, Scheme
from ...magnets.vectors import normalized
from ...units import TIME, Array
from .torque import CoupledTorque, largest_size

__all__ = ["coupled_step", "run_coupled"]


_MOST_REPEATS = 20  # of a step that pumps spin
_SAME_MOTION = 1e-4  # change of dm/dt, relative, at which they stop


def coupled_step(
    scheme: Scheme, texture: Texture, torque: CoupledTorque, m: Array, clock: float, end: float
) -> tuple[Array, float]:
    """Return m and the time [ps] after one step, with transport solved at its start if due.

    The step is limited so that no moment turns by more than the tolerance.

    Args:
        scheme: Time scheme of the texture, with `torque` among its torques.
        texture: The same texture.
        torque: The torque of transport, not automatic.
        m: State, shape (n, 3).
        clock: Time [ps].
        end: Time [ps] that the step must not pass.
    """
    if torque.velocity is not None:
        return _pumping_step(scheme, texture, torque, m, clock, end)
    renewed = torque.renew(clock * TIME, m)
    if renewed and isinstance(scheme, RungeKutta):
        scheme.forget()
    return _limited_step(scheme, texture, torque, m, clock, end)


def _limited_step(
    scheme: Scheme, texture: Texture, torque: CoupledTorque, m: Array, clock: float, end: float
) -> tuple[Array, float]:
    """Return m and the time [ps] after a step in which no moment turns by more than allowed."""
    speed = largest_size(texture.rate(m, clock))
    limit = torque.tolerance / speed if speed > 0 else np.inf
    return scheme.advance(m, clock, end, limit)


def _pumping_step(
    scheme: Any, texture: Texture, torque: CoupledTorque, m: Array, clock: float, end: float
) -> tuple[Array, float]:
    """Return m and the time [ps] after one step in which the motion pumps spin.

    What is pumped is that of the mean motion in the step, at its middle.  It acts back on the
    motion: the step is repeated, with Anderson acceleration, until the motion is the one that
    pumps, so that the feedback is as implicit as the damping of the midpoint rule.
    """
    if torque.solution is None:
        torque.renew(clock * TIME, m)
    speed = torque.rate_of(clock * TIME, m)
    before, noise = dict(vars(scheme)), getattr(scheme, "generator", None)
    drawn = None if noise is None else noise.bit_generator.state
    history, length, settled = Anderson(), 0.0, False
    for left in range(_MOST_REPEATS, 0, -1):
        last = settled or left == 1
        middle = normalized(m + 0.5 * length * speed)
        torque.solve_moving((clock + 0.5 * length) * TIME, middle, speed, measured=last)
        vars(scheme).update(before)
        if noise is not None:
            noise.bit_generator.state = drawn
        if isinstance(scheme, RungeKutta):
            scheme.forget()
        after, reached = _limited_step(scheme, texture, torque, m, clock, end)
        if last:
            break
        change = (after - m) / (reached - clock) - speed
        # The first round takes the motion at the start, as the length of the step is not known.
        settled = length > 0.0 and largest_size(change) <= _SAME_MOTION * largest_size(speed)
        length = reached - clock
        speed = history.next(speed, change)
    return after, reached


def run_coupled(
    scheme: Scheme,
    texture: Texture,
    torque: CoupledTorque,
    m: Array,
    times: ArrayLike,
    observe: Callable[[float, Array], ArrayLike] | None = None,
) -> tuple[History, dict[str, Any]]:
    """Return the motion of a texture with transport solved between steps, and what it cost.

    Steps are limited so that no moment turns by more than the tolerance in one.

    Args:
        scheme: Time scheme of the texture, with `torque` among its torques.
        texture: The same texture.
        torque: The torque of transport.
        m: State at times[0], shape (n, 3).
        times: Output times [s], ascending.
        observe: What to record of time [s] and m; by default m itself.
    """
    grid, torque.automatic = np.asarray(times, float), False
    began, clock, steps = clocks.perf_counter(), float(grid[0]) / TIME, 0
    see = observe or (lambda _, state: state.copy())
    records = [np.asarray(see(float(grid[0]), m), float)]

    def step(m: Array, now: float, until: float) -> tuple[Array, float]:
        nonlocal steps
        steps += 1
        return coupled_step(scheme, texture, torque, m, now, until)

    breaks = np.array(torque.breaks) / TIME
    for stop in grid[1:]:
        end = float(stop / TIME)
        m, clock = march(scheme, m, clock, end, breaks, step), end
        records.append(np.asarray(see(float(stop), m), float))
    torque.finish(float(grid[-1]), m)
    torque.automatic = True
    report, total = torque.report(), clocks.perf_counter() - began
    report["seconds"]["magnetics"] = total - sum(report["seconds"].values())
    return History(grid, m, records), report | {"steps": steps}
