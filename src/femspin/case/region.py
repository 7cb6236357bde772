"""Regions of a case: microscopic parameters, raw coefficients, magnets."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from . import quantity as q
from .values import (
    INSULATORS,
    Direction,
    Table,
    Vector,
    check_insulator,
    check_relaxation,
    matrix,
    refuse,
    vector,
)

__all__ = ["Kondo", "Magnet", "Override", "Region", "SpinOrbit"]


class SpinOrbit(Table):
    """Interfacial spin-orbit coupling (Eqs. 9-11)."""

    rashba: q.SpinVelocity | None = None
    dresselhaus: q.SpinVelocity | None = None
    strain_coupling: q.SpinVelocity | None = None
    strain: matrix(float) | None = None  # type: ignore[valid-type]
    curvature: bool = Field(default=True, description="spin Hall angles from the curvature of the field")

    @model_validator(mode="after")
    def _strain_is_symmetric(self) -> SpinOrbit:
        if self.strain is not None:
            for i, j in ((0, 1), (1, 2), (2, 0)):
                if self.strain[i][j] != self.strain[j][i]:
                    raise refuse("strain", "must be a symmetric 3 x 3 tensor")
        return self


class Kondo(Table):
    """Local moments exchange-coupled to the conduction electrons (Eqs. 2-5)."""

    spin: Annotated[float, Field(gt=0, le=10)] | None = None
    moment_density: q.MomentDensity | None = None
    coupling: q.ExchangeCoupling | None = Field(default=None, description="K_s")
    exchange_energy: q.Energy | None = Field(default=None, description="n_m K_s, instead of coupling")
    curie_temperature: q.Temperature | None = None
    exchange: q.Energy | None = Field(default=None, description="J_0, instead of curie_temperature")
    g_factor: Annotated[float, Field(gt=0)] = 2.0
    rotation: Vector = Field(default=[0.0, 0.0, 0.0], description="phi of noncollinear exchange [rad]")

    @model_validator(mode="after")
    def _one_of_each_pair(self) -> Kondo:
        for a, b in (("coupling", "exchange_energy"), ("curie_temperature", "exchange")):
            if getattr(self, a) is not None and getattr(self, b) is not None:
                raise refuse(b, "give either {a} or {b}, not both", a=a, b=b)
        if self.spin is not None and (2 * self.spin) % 1 != 0:
            raise refuse("spin", "must be a multiple of 1/2")
        return self


def _squared(p: float | list[float] | None) -> float:
    return sum(x * x for x in (p if isinstance(p, list) else [p or 0.0]))


class Override(Table):
    """Raw coefficients that replace the microscopic ones."""

    gauge: matrix(q.WaveNumber) | None = Field(  # type: ignore[valid-type]
        None, description="a^{ib}, rows space, columns spin"
    )
    omega: vector(q.AngularFrequency) | None = Field(  # type: ignore[valid-type]
        None, description="e Phi/hbar"
    )
    relaxation: matrix(q.Rate) | None = Field(default=None, description="whole tensor Gamma_ab")  # type: ignore[valid-type]
    tau_parallel: q.Duration | None = None
    tau_perpendicular: q.Duration | None = None
    hall_angles: Vector | None = Field(default=None, description="theta^0_k")
    larmor_angles: Vector | None = Field(default=None, description="theta_L^a")
    spin_hall_angles: matrix(float) | None = Field(  # type: ignore[valid-type]
        None, description="theta_C^{ka}, rows space, columns spin; -spin_hall_angle times one"
    )
    polarisation: float | Vector | None = Field(
        default=None,
        description="P^a of the electron spins: a number along m, or a vector; the opposite of"
        " the region's polarisation",
    )
    electric_field: vector(q.ElectricField) | None = Field(  # type: ignore[valid-type]
        None, description="instead of drive.electric_field in this region"
    )

    @model_validator(mode="after")
    def _polarisation_below_one(self) -> Override:
        if _squared(self.polarisation) >= 1:
            raise refuse("polarisation", "must satisfy |P| < 1")
        return self

    @model_validator(mode="after")
    def _relaxation_given_once(self) -> Override:
        if (self.tau_parallel is None) != (self.tau_perpendicular is None):
            missing = "tau_parallel" if self.tau_parallel is None else "tau_perpendicular"
            raise refuse(missing, "tau_parallel and tau_perpendicular come together")
        if self.relaxation is not None and self.tau_parallel is not None:
            raise refuse("relaxation", "give either the tensor or tau_parallel/tau_perpendicular")
        check_relaxation(self.relaxation)
        return self


class Magnet(Table):
    """A ferromagnetic insulator whose magnetization moves."""

    saturation_magnetization: q.Magnetization | None = None
    damping: Annotated[float, Field(ge=0, le=10)] | None = None
    g_factor: Annotated[float, Field(gt=0)] = 2.0
    anisotropy: q.Capacity | None = Field(default=None, description="uniaxial K_u, energy -K_u (m.k)^2")
    axis: Direction = Field(default=[0.0, 0.0, 1.0])
    demagnetization: Literal["none", "thin_film"] | Vector = Field(
        default="none", description="none, thin_film, or the three factors N_x, N_y, N_z"
    )
    thickness: q.Length | None = Field(
        default=None, description="driven thickness; default: thickness of the layer"
    )

    @model_validator(mode="after")
    def _factors_add_up(self) -> Magnet:
        n = self.demagnetization
        if isinstance(n, list) and (min(n) < 0 or abs(sum(n) - 1) > 1e-6):
            raise refuse("demagnetization", "factors must be >= 0 and add up to 1")
        return self


class Region(Table):
    """One region: a metal (HM), a magnetic metal (F), a magnetic (FI) or plain insulator (I)."""

    kind: Literal["HM", "F", "FI", "I"]
    material: str | list[str] | None = Field(
        default=None, description="database or case materials; values given here win, then later names"
    )
    conductivity: q.Conductivity | None = Field(
        default=None, description="measured, of the bulk; theta_mode exact takes 1 + 2 theta_SH^2 times it"
    )
    resistivity: q.Resistivity | None = Field(default=None, description="1/conductivity, instead of it")
    dos: q.Dos | None = Field(default=None, description="per spin")
    diffusion_constant: q.Diffusion | None = None
    mass: q.Mass | None = None
    scattering_time: q.Duration | None = None
    spin_diffusion_length: q.Length | None = Field(
        default=None, description="over which spin decays, in a polarised metal too"
    )
    spin_relaxation_time: q.Duration | None = None
    spin_hall_angle: Annotated[float, Field(ge=-100, le=100)] | None = Field(
        default=None, description="published sign: positive for Pt, negative for Ta and W"
    )
    polarisation: float | Vector | None = Field(
        default=None,
        description="of the conductivity, published sign: P > 0 where the majority carriers'"
        " moments lie along m; or a vector along those moments",
    )
    g_factor: float = Field(default=2.0, description="of the conduction electrons")
    theta_mode: Literal["exact", "first", "eq38", "hall"] = "exact"
    model: Literal["resolved", "exact", "layer", "thin", "corrected", "printed"] = Field(
        default="resolved", description="an F layer of a stack may be replaced by its conductance"
    )
    soc: SpinOrbit | None = None
    kondo: Kondo | None = None
    override: Override | None = None
    magnet: Magnet | None = None

    @model_validator(mode="after")
    def _keys_fit_kind(self) -> Region:
        if self.kind in INSULATORS:
            check_insulator(self, self.kind)
        elif self.kind == "HM" and self.model != "resolved":
            raise refuse("model", "only an F region can be replaced by its conductance")
        elif self.magnet is not None:
            raise refuse("magnet", "only an FI region carries a magnet; this one is {k}", k=self.kind)
        if self.conductivity is not None and self.resistivity is not None:
            raise refuse("resistivity", "give either conductivity or resistivity, its inverse")
        if self.spin_diffusion_length is not None and self.spin_relaxation_time is not None:
            raise refuse("spin_relaxation_time", "give either spin_diffusion_length or spin_relaxation_time")
        if _squared(self.polarisation) >= 1:
            raise refuse("polarisation", "must satisfy |P| < 1")
        return self
