"""The case file of `femspin afm-torques`: its tables, and the lattice they describe."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import BeforeValidator, Field, PlainSerializer, ValidationError, model_validator
from pydantic_core import PydanticCustomError

from ..case import quantity as q
from ..case.load import read_table, set_key
from ..case.messages import first_problem
from ..case.values import Table, refuse
from ..errors import CaseError
from ..units import HBAR, K_B, MU_B
from .coefficients import TorqueModel
from .lattice import LATTICES, Hop, TwoSublattice, from_hops, named_lattice

__all__ = [
    "BandCase",
    "EnergyRange",
    "Exchange",
    "HopEntry",
    "Lattice",
    "NumberRange",
    "Scan",
    "Torque",
    "band_case_from_table",
    "load_band_case",
    "scaled_lattice",
]

_CUSTOM = ("vectors", "inter", "inter_amplitudes", "intra", "intra_amplitudes", "hops")


def _temperature(text: Any) -> float:
    value = q.parse_quantity(text, "K", "300 K")
    if not 0 <= value <= 1e6:
        raise PydanticCustomError("out_of_range", "must be between 0 and 1e6 K")
    return value


def _current_density(text: Any) -> float:
    value = q.parse_quantity(text, "A/m**2", "1e12 A/m^2")
    if abs(value) > 1e20:
        raise PydanticCustomError("out_of_range", "must be at most 1e20 A/m^2 in magnitude")
    return value


def _positive_energy(text: Any) -> float:
    value = q.parse_quantity(text, "J", "1 eV")
    if not 1e-30 <= value <= 1e-15:
        raise PydanticCustomError("out_of_range", "must be > 0 and at most 1e-15 J")
    return value


def _text(unit: str) -> Any:
    return PlainSerializer(lambda x: f"{x!r} {unit}", return_type=str)


AnyTemperature = Annotated[float, BeforeValidator(_temperature), _text("K")]
CurrentDensity = Annotated[float, BeforeValidator(_current_density), _text("A/m**2")]
PositiveEnergy = Annotated[float, BeforeValidator(_positive_energy), _text("J")]
Row = Annotated[list[float], Field(min_length=1, max_length=3)]


class HopEntry(Table):
    """One hop of a list that names every hop and its reverse."""

    start: Literal["A", "B"]
    end: Literal["A", "B"]
    vector: Row
    amplitude: float = 1.0


class Lattice(Table):
    """Where electrons hop: a named lattice, or vectors in units of `constant`."""

    kind: Literal["square", "honeycomb", "chain", "cubic", "custom"]
    constant: q.Length = Field(description="distance of neighbouring sites a")
    t: PositiveEnergy = Field(description="inter-sublattice hopping")
    t_prime: q.Energy = Field(0.0, description="intra-sublattice hopping; its sign matters")
    thickness: q.Length | None = Field(
        None, description="of a two-dimensional lattice, for conductivities in S/m"
    )
    vectors: Annotated[list[Row], Field(min_length=1, max_length=3)] | None = None
    inter: Annotated[list[Row], Field(min_length=1, max_length=200)] | None = None
    inter_amplitudes: list[float] | None = Field(None, description="in units of t; default 1")
    intra: Annotated[list[Row], Field(max_length=200)] | None = None
    intra_amplitudes: list[float] | None = Field(None, description="in units of t_prime; default 1")
    hops: Annotated[list[HopEntry], Field(min_length=1, max_length=500)] | None = Field(
        None, description="instead of inter and intra: every hop and its reverse, in units of t"
    )

    @model_validator(mode="after")
    def _one_description(self) -> Lattice:
        given = [k for k in _CUSTOM if getattr(self, k) is not None]
        if self.kind != "custom" and given:
            raise refuse(given[0], 'only for kind "custom"; this lattice is a {k}', k=self.kind)
        if self.kind == "custom" and self.vectors is None:
            raise refuse("vectors", 'needed for kind "custom", like [[1, 1], [1, -1]]')
        if self.kind == "custom" and (self.hops is None) == (self.inter is None):
            raise refuse("inter", 'kind "custom" needs either inter (and intra) or hops')
        if self.hops is not None and self.intra is not None:
            raise refuse("intra", "not together with hops")
        for name in ("inter", "intra"):
            rows, amplitudes = getattr(self, name), getattr(self, f"{name}_amplitudes")
            if amplitudes is not None and len(amplitudes) != len(rows or ()):
                raise refuse(
                    f"{name}_amplitudes", "must have one number for each of {n} vectors", n=len(rows or ())
                )
        return self


class Exchange(Table):
    """Exchange of electrons and local spins: J = N J_sd, given as one number or as two."""

    energy: PositiveEnergy | None = Field(None, description="J, half the gap at eta = 0")
    coupling: PositiveEnergy | None = Field(None, description="J_sd, with `spin`")
    spin: Annotated[float, Field(gt=0, le=100)] | None = Field(None, description="length N of the local spin")

    @model_validator(mode="after")
    def _one_form(self) -> Exchange:
        if self.energy is None and (self.coupling is None or self.spin is None):
            raise refuse("energy", 'needed, like "1 eV"; or both coupling and spin')
        if self.energy is not None and self.coupling is not None:
            raise refuse("coupling", "not together with energy, which is spin times coupling")
        return self

    @property
    def total(self) -> float:
        """J [J]."""
        if self.energy is not None:
            return self.energy
        assert self.coupling is not None
        assert self.spin is not None
        return self.coupling * self.spin


class EnergyRange(Table):
    """Equally spaced energies."""

    start: q.Energy
    stop: q.Energy
    points: Annotated[int, Field(ge=2, le=2000)] = 61

    @property
    def values(self) -> list[float]:
        """The energies [J]."""
        return [float(x) for x in np.linspace(self.start, self.stop, self.points)]


class NumberRange(Table):
    """Equally spaced ratios."""

    start: Annotated[float, Field(ge=-1e3, le=1e3)]
    stop: Annotated[float, Field(ge=-1e3, le=1e3)]
    points: Annotated[int, Field(ge=2, le=2000)] = 31

    @property
    def values(self) -> list[float]:
        """The ratios."""
        return [float(x) for x in np.linspace(self.start, self.stop, self.points)]


class Scan(Table):
    """What is varied, one after the other, from the state of the case."""

    chemical_potential: EnergyRange | None = None
    t_prime: NumberRange | None = Field(None, description="t'/t at fixed chemical potential")
    exchange: NumberRange | None = Field(None, description="J/t at fixed chemical potential")

    @model_validator(mode="after")
    def _positive_exchange(self) -> Scan:
        if self.exchange is not None and min(self.exchange.start, self.exchange.stop) <= 0:
            raise refuse("exchange", "must run through positive ratios J/t")
        return self


class Torque(Table):
    """A current and a magnet, for velocities in m/s."""

    current_density: CurrentDensity = Field(description="conventional, along x")
    sublattice_magnetization: q.Magnetization = Field(description="M_0 of one sublattice")
    g_factor: Annotated[float, Field(gt=0, le=20)] = 2.0

    @property
    def spin_density(self) -> float:
        """Angular-momentum density s = 2 M_0/gamma [J s/m^3]."""
        return float(2 * self.sublattice_magnetization * HBAR / (self.g_factor * MU_B))


class BandCase(Table):
    """A lattice, its electrons, and what to vary."""

    title: str = ""
    lattice: Lattice
    exchange: Exchange
    chemical_potential: q.Energy | None = Field(
        None, description="relative to the middle of the gap at T_k = 0"
    )
    filling: Annotated[float, Field(gt=0, lt=2)] | None = Field(
        None, description="electrons per site instead; 1 fills the lower band"
    )
    temperature: AnyTemperature = 300.0
    lifetime: q.Duration = Field(1e-14, description="tau, for the conductivity")
    spin_relaxation_time: q.Duration | None = Field(None, description="tau_s, for beta")
    model: TorqueModel = Field("complete", description="of the velocities; all are written")
    tolerance: Annotated[float, Field(ge=1e-13, le=1e-2)] = 1e-8
    torque: Torque | None = None
    scan: Scan | None = None
    plots: bool = True

    @model_validator(mode="after")
    def _one_density(self) -> BandCase:
        if (self.chemical_potential is None) == (self.filling is None):
            raise refuse("chemical_potential", "give either chemical_potential or filling")
        if self.lattice.thickness is not None and self._dimension != 2:
            raise refuse("lattice", "thickness is only for a two-dimensional lattice")
        return self

    @property
    def _dimension(self) -> int:
        named = {"square": 2, "honeycomb": 2, "chain": 1, "cubic": 3}
        return named.get(self.lattice.kind) or len(self.lattice.vectors or ())

    @property
    def kT(self) -> float:
        """Temperature in units of t."""
        return K_B * self.temperature / self.lattice.t


def load_band_case(path: str | Path, overrides: tuple[str, ...] | list[str] = ()) -> BandCase:
    """Return the validated band case of a TOML file.

    Args:
        path: The case file.
        overrides: ``key.path=value`` texts that replace single keys.

    Raises:
        CaseError: With the dotted path, the value and what is allowed.
    """
    table = read_table(path)
    for override in overrides:
        set_key(table, override)
    return band_case_from_table(table, str(path))


def band_case_from_table(table: dict[str, Any], file: str | None = None) -> BandCase:
    """Return the validated band case of nested dictionaries; its lattice is checked, too.

    Raises:
        CaseError: With the dotted path, the value and what is allowed.
    """
    if "structure" in table or "regions" in table:
        raise CaseError("", "this is a case of `femspin run`, without [lattice]", file)
    try:
        case = BandCase.model_validate(table)
        scaled_lattice(case)
    except ValidationError as error:
        path, message = first_problem(error, table, BandCase)
        raise CaseError(path, message, file) from None
    except CaseError as error:
        raise CaseError(error.path, error.problem, file) from None
    return case


def scaled_lattice(
    case: BandCase, t_prime: float | None = None, exchange: float | None = None
) -> TwoSublattice:
    """Return the lattice of a case in units of t and a.

    Args:
        case: The case.
        t_prime: t'/t in place of the case's.
        exchange: J/t in place of the case's.

    Raises:
        CaseError: If the hops are not Hermitian or break the sublattice structure.
    """
    lattice = case.lattice
    tp = lattice.t_prime / lattice.t if t_prime is None else t_prime
    J = case.exchange.total / lattice.t if exchange is None else exchange
    if lattice.kind in LATTICES:
        return named_lattice(lattice.kind, 1.0, tp, J)
    assert lattice.vectors is not None
    if lattice.hops is not None:
        hops = [Hop(h.start, h.end, tuple(h.vector), h.amplitude) for h in lattice.hops]
        found = from_hops(lattice.vectors, hops, J)
        return found if t_prime is None else found.with_(intra_scale=t_prime)
    inter, intra = lattice.inter or [], lattice.intra or []
    return TwoSublattice(
        tuple(map(tuple, lattice.vectors)),
        tuple(map(tuple, inter)),
        tuple(lattice.inter_amplitudes or [1.0] * len(inter)),
        tuple(map(tuple, intra)),
        tuple(tp * x for x in lattice.intra_amplitudes or [1.0] * len(intra)),
        J,
    )
