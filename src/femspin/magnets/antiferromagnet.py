r"""An antiferromagnet in its order parameter n and its magnetization m.

.. math:: \dot n &= \tfrac1s\,n\times w_m - (u_n\cdot\nabla)n + \tau_n \\
    \dot m &= \tfrac1s(n\times w_n + m\times w_m) + \alpha\,n\times\dot n
    - \Pi_n(u_m\cdot\nabla)m - n(m\cdot\dot n)_\tau + \beta\,n\times(u_n\cdot\nabla)n
    + \tau_{sd}\,n\times(\dot u_{st}\cdot\nabla)n + \tau_m

(Fujimoto, Phys. Rev. B 103, 014436 (2021), Eq. (13), with the term m x w_m that conserves n.m
in a field and the sign of Eq. (16a) for magnetization directions.)  |n| = 1 and n.m = 0 hold
exactly.  The homogeneous exchange is integrated exactly and never limits the step.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
from numpy.typing import ArrayLike

from ..errors import CaseError
from ..units import LENGTH, RATE, TIME, Array
from .energy import FieldFunction, Term, staggered_terms
from .magnet import Antiferromagnet, joule, rate
from .space import TextureSpace
from .torques import SpinOrbitTorque, SpinTransfer
from .vectors import cross, dot, normalized, rotate

__all__ = ["AntiferroTexture", "Rotor", "StaggeredTorque", "antiferromagnet_texture"]


@dataclass(frozen=True)
class StaggeredTorque:
    """Any torque on an antiferromagnet given as rates of n and m.

    Args:
        rates: (dn/dt, dm/dt) [1/s] of time [s], n and m; the parts along n are dropped.
        renew: Lets rates that follow n with a delay be those of n itself, at time 0.
    """

    rates: Callable[[float, Array, Array], tuple[ArrayLike, ArrayLike]]
    renew: Callable[[Array], object] | None = None


@dataclass(frozen=True)
class AntiferroTexture:
    """The (n, m) equations of motion of an antiferromagnet on a mesh.

    Args:
        space: The nodal space.
        magnet: Parameters, SI.
        terms: Energy of n.
        precession: gamma B [rad/ps] of a time [ps], shape (3,) or (n, 3); None without a field.
        orbit: Spin-orbit torques.
        transfer: Spin-transfer torque.
        external: Torque of transport.
    """

    space: TextureSpace
    magnet: Antiferromagnet
    terms: tuple[Term, ...]
    precession: Callable[[float], Array] | None = None
    orbit: tuple[SpinOrbitTorque, ...] = ()
    transfer: SpinTransfer | None = None
    external: StaggeredTorque | None = None

    @property
    def stiffness_rate(self) -> float:
        """A / s [1/ps], the rate at which m turns n."""
        return float(rate(self.magnet.homogeneous_exchange / self.magnet.spin_density))

    @property
    def skew(self) -> Array:
        """d_h / a, the weak moment per unit n: m = -(d_h/a) x n at rest, shape (3,)."""
        return np.asarray(self.magnet.homogeneous_dmi) / self.magnet.homogeneous_exchange

    @property
    def longest_step(self) -> float:
        """Return 2 / w_max [ps], the stability limit of the rotor scheme on this mesh."""
        magnet = self.magnet
        k = magnet.exchange_stiffness * self.space.steepest / LENGTH**2
        local = abs(magnet.anisotropy) + abs(magnet.hard_anisotropy) + k
        omega = np.sqrt(2 * magnet.homogeneous_exchange * local) / magnet.spin_density
        return float(2 / rate(omega))

    def field(self, time: float) -> Array:
        """Return what acts like gamma B on both sublattices [rad/ps]: (3,), (1, 3) or (n, 3)."""
        total = np.zeros(3) if self.precession is None else self.precession(time)
        for torque in self.orbit:
            if not torque.staggered:
                p, _, field_like = torque.rates(time)
                total = total + field_like * p
        return total

    def order_gradient(self, n: Array, time: float) -> Array:
        """Return w_n / s at the nodes [1/ps], shape (n, 3), homogeneous DMI included.

        With q = m + (d_h/a) x n in place of m the homogeneous DMI leaves a hard axis along d_h
        and, in a field, a staggered field; the change of variable is canonical.
        """
        total = np.zeros_like(n)
        for term in self.terms:
            total += term.gradient(n, time)
        total /= self.space.volumes[:, None]
        for torque in self.orbit:
            if torque.staggered:
                p, _, field_like = torque.rates(time)
                total -= field_like * p
        if self.skew.any():
            total += self.stiffness_rate * (n @ self.skew)[:, None] * self.skew
            total += cross(np.broadcast_to(self.field(time), n.shape), self.skew)
        return total

    def energy(self, n: Array, m: Array, time: float = 0.0) -> float:
        """Return the energy [J] at a time [ps], without the work of torques."""
        v = self.space.volumes
        total = sum(term.energy(n, time) for term in self.terms)
        total += 0.5 * self.stiffness_rate * float(v @ np.einsum("ij,ij->i", m, m))
        if self.precession is not None:
            b = np.broadcast_to(self.precession(time), m.shape)
            total -= float(v @ np.einsum("ij,ij->i", b, m))
        if self.skew.any():
            weak = (cross(n, m) @ self.skew) * self.stiffness_rate
            total += float(v @ weak)
        return joule(total, self.magnet.spin_density)

    def start(self, n: ArrayLike, m: ArrayLike = (0.0, 0.0, 0.0)) -> tuple[Array, Array]:
        """Return n, normalized, and the part of m normal to it, at every node."""
        shape = (self.space.size, 3)
        unit = normalized(np.array(np.broadcast_to(np.asarray(n, float), shape)))
        moment = np.array(np.broadcast_to(np.asarray(m, float), shape))
        return unit, moment - unit * dot(unit, moment)

    def moving(self, n: Array, velocity: Array, direction: int = 0) -> Array:
        """Return m of a texture that moves rigidly along an axis at `velocity` [m/s], (n, 3)."""
        unit = np.zeros(3)
        unit[direction] = 1.0
        rate_of_n = -velocity * (TIME / LENGTH) * self.space.along(unit, n)
        return -cross(n, rate_of_n) / self.stiffness_rate

    def with_damping(self, damping: float) -> AntiferroTexture:
        """Return the texture with another Gilbert damping."""
        return replace(self, magnet=replace(self.magnet, damping=damping))


@dataclass
class Rotor:
    r"""The kick-drift-kick scheme of order 2 with fixed steps.

    Kick: m changes at fixed n under w_n, torques and damping, the damping exactly.  Drift:
    free rotation of n about m and of both about the field, exactly.  Currents move n and m in
    half a step on each side of the drift.  Stable below `AntiferroTexture.longest_step`.

    Args:
        texture: The system.
        step: Largest time step [ps].
    """

    texture: AntiferroTexture
    step: float
    steps: int = 0

    def __post_init__(self) -> None:
        if not 0 < self.step < self.texture.longest_step:
            raise CaseError(
                "step",
                f"must be positive and below {self.texture.longest_step:.3g} ps, the"
                f" stability limit of this mesh; got {self.step:g} ps",
            )

    def advance(
        self, n: Array, m: Array, time: float, end: float, watch: Callable[[Array], None] | None = None
    ) -> tuple[Array, Array, float]:
        """Return n, m and the time [ps] after equal steps up to `end`; `watch` sees every n."""
        count = max(1, int(np.ceil((end - time) / self.step - 1e-9)))
        grid = np.linspace(time, end, count + 1)
        for start, stop in pairwise(grid):
            n, m = self._step(n, m, float(start), float(stop))
            if watch is not None:
                watch(n)
        self.steps += count
        return n, m, end

    def jump(self, n: Array, m: Array, before: float, after: float) -> Array:
        """Return m after the kick of a current that jumps between two times [ps], shape (n, 3)."""
        transfer = self.texture.transfer
        impulse = None if transfer is None else transfer.impulse(before, after)
        if impulse is None:
            return m
        m = m + cross(n, self.texture.space.along(impulse, n))
        return m - n * dot(n, m)

    def _step(self, n: Array, m: Array, start: float, stop: float) -> tuple[Array, Array]:
        texture, half = self.texture, 0.5 * (stop - start)
        middle = start + half
        skew = texture.skew
        m = self._kick(n, m + cross(skew, n), start, middle)
        n, m = self._transport(n, m, half, middle)
        n = rotate(-2 * half * texture.stiffness_rate * m, n)
        turn = texture.field(middle)
        if turn.any():
            angle = np.broadcast_to(2 * half * turn, n.shape)
            n, m = rotate(angle, n), rotate(angle, m)
        n, m = self._transport(n, m, half, middle)
        m = self._kick(n, m, middle, stop, late=True)
        n = normalized(n)
        m = m - cross(skew, n)
        return n, m - n * dot(n, m)

    def _kick(self, n: Array, m: Array, start: float, stop: float, late: bool = False) -> Array:
        """Return m after the time from start to stop at fixed n."""
        texture, h = self.texture, stop - start
        at = stop if late else start
        source = cross(n, texture.order_gradient(n, at)) + self._damping_like(n, at)
        rest = texture.field(at) / texture.stiffness_rate
        impulse = None
        if texture.transfer is not None:
            # The damping term alpha n x dn/dt also acts on the motion by the current.
            u = texture.transfer.rates(at)
            slope = (u.beta - texture.magnet.damping) * u.u_n
            source += cross(n, texture.space.along(slope, n))
            impulse = texture.transfer.impulse(start, stop)
        if texture.external is not None or any(t.staggered for t in texture.orbit):
            tau_n, tau_m = self._torques(n, m, at)
            source += tau_m + texture.magnet.damping * cross(n, tau_n)
        if impulse is not None:
            m = m + cross(n, texture.space.along(impulse, n))
        decay = texture.magnet.damping * texture.stiffness_rate
        if decay == 0.0:
            m = m + h * source
        else:
            # m relaxes towards its equilibrium in the field, where n does not move.
            target = np.broadcast_to(rest, n.shape)
            target = target - n * dot(n, target)
            kept = np.exp(-decay * h)
            m = target + (m - target) * kept - source * (np.expm1(-decay * h) / decay)
        return m - n * dot(n, m)

    def _damping_like(self, n: Array, time: float) -> Array:
        """Return the torque of uniform damping-like parts on m [1/ps], shape (n, 3)."""
        total = np.zeros_like(n)
        for torque in self.texture.orbit:
            if not torque.staggered:
                p, damping_like, _ = torque.rates(time)
                total -= damping_like * cross(n, cross(n, np.broadcast_to(p, n.shape)))
        return total

    def _torques(self, n: Array, m: Array, time: float) -> tuple[Array, Array]:
        """Return the rates of n and m [1/ps] from staggered and external torques."""
        tau_n, tau_m = np.zeros_like(n), np.zeros_like(n)
        for torque in self.texture.orbit:
            if torque.staggered:
                p, damping_like, _ = torque.rates(time)
                tau_n -= damping_like * cross(n, cross(n, np.broadcast_to(p, n.shape)))
        if self.texture.external is not None:
            own = m - cross(self.texture.skew, n)
            given_n, given_m = self.texture.external.rates(time * TIME, n, own)
            tau_n = tau_n + np.asarray(given_n, float) / RATE
            tau_m = tau_m + np.asarray(given_m, float) / RATE
        return tau_n - n * dot(n, tau_n), tau_m - n * dot(n, tau_m)

    def _transport(self, n: Array, m: Array, h: float, time: float) -> tuple[Array, Array]:
        """Return n and m moved for a time h by currents and torques on n (midpoint rule)."""
        texture = self.texture
        staggered = texture.external is not None or any(t.staggered for t in texture.orbit)
        if texture.transfer is None and not staggered:
            return n, m
        skew = texture.skew
        own = m - cross(skew, n)
        v_n, v_m = self._velocities(n, own, time)
        turn = cross(n, v_n)
        n_mid, m_mid = rotate(0.5 * h * turn, n), rotate(0.5 * h * turn, own + 0.5 * h * v_m)
        v_n, v_m = self._velocities(n_mid, m_mid, time)
        turn = cross(n_mid, v_n)
        n, own = rotate(h * turn, n), rotate(h * turn, own + h * v_m)
        n = normalized(n)
        m = own + cross(skew, n)
        return n, m - n * dot(n, m)

    def _velocities(self, n: Array, m: Array, time: float) -> tuple[Array, Array]:
        texture = self.texture
        v_n, v_m = np.zeros_like(n), np.zeros_like(n)
        if texture.transfer is not None:
            u = texture.transfer.rates(time)
            v_n -= texture.space.along(u.u_n, n)
            v_m -= texture.space.along(u.u_m, m)
        if texture.external is not None or any(t.staggered for t in texture.orbit):
            v_n += self._torques(n, m + cross(texture.skew, n), time)[0]
        return v_n - n * dot(n, v_n), v_m - n * dot(n, v_m)


def antiferromagnet_texture(
    space: TextureSpace,
    magnet: Antiferromagnet,
    field: ArrayLike | FieldFunction | None = None,
    orbit: tuple[SpinOrbitTorque, ...] = (),
    transfer: SpinTransfer | None = None,
    external: StaggeredTorque | None = None,
) -> AntiferroTexture:
    """Return the (n, m) equations of motion of an antiferromagnet.

    Args:
        space: The nodal space.
        magnet: Parameters, SI.
        field: External B [T]: shape (3,) or (n, 3), or a function of position [m] and time [s].
        orbit: Spin-orbit torques.
        transfer: Spin-transfer torque.
        external: Torque of transport.
    """
    precession: Callable[[float], Array] | None = None
    if callable(field):
        where, function = space.positions * LENGTH, field

        def varying(time: float) -> Array:
            found: Array = rate(magnet.gamma * np.asarray(function(where, time * TIME), float))
            return found

        precession = varying
    elif field is not None:
        constant = rate(magnet.gamma * np.asarray(field, float))

        def steady(_: float) -> Array:
            found: Array = constant
            return found

        precession = steady
    terms = staggered_terms(space, magnet)
    return AntiferroTexture(space, magnet, terms, precession, orbit, transfer, external)
