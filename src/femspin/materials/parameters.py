"""Complete regions: material values filled in, Einstein relation closed, sources kept."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..case.load import case_from_table, dump_case
from ..case.schema import Case, Region
from ..errors import CaseError
from ..units import E_CHARGE
from .lookup import find_material, material_from_table
from .records import Material, MaterialValue

__all__ = ["RegionParameters", "UsedValue", "complete_case", "region_parameters"]

Array = NDArray[np.float64]

_EINSTEIN = ("conductivity", "dos", "diffusion_constant")
# Which database keys belong to which table of a region, and what given key makes them unwanted.
_TABLES: dict[str, tuple[str, ...]] = {
    "": ("mass", "scattering_time", "spin_diffusion_length", "spin_hall_angle", "polarisation"),
    "soc": ("rashba",),
    "kondo": ("spin", "moment_density", "exchange_energy", "curie_temperature"),
    "magnet": ("saturation_magnetization", "damping", "anisotropy"),
}
_REPLACED_BY = {
    "spin_diffusion_length": "spin_relaxation_time",
    "exchange_energy": "coupling",
    "curie_temperature": "exchange",
}


@dataclass(frozen=True)
class UsedValue:
    """A database value that entered a case: where it went, and where it comes from."""

    path: str
    material: str
    value: MaterialValue


@dataclass(frozen=True)
class RegionParameters:
    """One conducting region with every transport parameter known, in SI.

    Args:
        region: The completed region of the case.
        dos: nu per spin [1/(J m^3)].
        diffusion: D [m^2/s].
        background_rate: Spin relaxation that is not due to the moments [1/s].
    """

    name: str
    region: Region
    dos: float
    diffusion: float
    background_rate: float

    @property
    def conductivity(self) -> float:
        """Charge conductivity 2 e^2 nu D [S/m] (errata E25)."""
        return 2 * E_CHARGE**2 * self.dos * self.diffusion


def complete_case(case: Case) -> tuple[Case, tuple[UsedValue, ...]]:
    """Return the case with all material values written out, and the values that were used.

    Raises:
        CaseError: For an unknown material or a database value of a case's own that is wrong.
    """
    own = {
        name: material_from_table(name, table, f"materials.{name}")
        for name, table in case.materials.items()
    }
    table = dump_case(case)
    used: list[UsedValue] = []
    for name, region in case.regions.items():
        used += _fill(name, region, table["regions"][name], own)
        table["regions"][name].pop("material", None)
    table.pop("materials", None)
    return case_from_table(table), tuple(used)


def _fill(
    name: str, region: Region, table: dict[str, Any], own: Mapping[str, Material]
) -> list[UsedValue]:
    """Write material values into the raw table of a region; return those used."""
    if region.resistivity is not None:  # the equations know conductivities alone
        del table["resistivity"]
        table["conductivity"] = f"{1 / region.resistivity!r} S/m"
    if region.material is None:
        return []
    names = [region.material] if isinstance(region.material, str) else region.material
    path = f"regions.{name}"
    values: dict[str, tuple[str, MaterialValue]] = {}
    for material in names:
        for key, value in find_material(material, own, f"{path}.material").values.items():
            values[key] = (material, value)
    used: list[UsedValue] = []

    def take(key: str, target: dict[str, Any], where: str) -> None:
        if key in target or key not in values or _REPLACED_BY.get(key) in target:
            return
        material, value = values[key]
        target[key] = value.value
        used.append(UsedValue(f"{where}.{key}", material, value))

    if region.kind == "FI":
        _fill_table("magnet", table, path, take)
        return used
    for key in _EINSTEIN:
        if sum(k in table for k in _EINSTEIN) < 2:
            take(key, table, path)
    for key in _TABLES[""]:
        take(key, table, path)
    if region.kind == "F":
        _fill_table("soc", table, path, take)
        # A Curie temperature alone (a metal's) does not make a region of local moments.
        if "kondo" in table or "spin" in values:
            _fill_table("kondo", table, path, take)
    return used


def _fill_table(inner: str, table: dict[str, Any], path: str, take: Any) -> None:
    target = table.get(inner, {})
    for key in _TABLES[inner]:
        take(key, target, f"{path}.{inner}")
    if target:
        table[inner] = target


def region_parameters(name: str, region: Region) -> RegionParameters:
    """Return the transport parameters of a completed conducting region.

    Two of conductivity, dos and diffusion_constant fix the third through
    sigma_c = 2 e^2 nu D.

    Raises:
        CaseError: If fewer than two are known, if three disagree, or if a parameter that a
            mechanism of this region needs is missing.
    """
    path = f"regions.{name}"
    sigma, dos, diffusion = region.conductivity, region.dos, region.diffusion_constant
    known = [key for key in _EINSTEIN if getattr(region, key) is not None]
    if len(known) < 2:
        raise CaseError(path, f"two of {', '.join(_EINSTEIN)} are needed"
                        f" (got {', '.join(known) or 'none'})")  # fmt: skip
    if sigma is None:
        assert dos is not None
        assert diffusion is not None
    elif dos is None:
        assert diffusion is not None
        dos = sigma / (2 * E_CHARGE**2 * diffusion)
    elif diffusion is None:
        diffusion = sigma / (2 * E_CHARGE**2 * dos)
    else:
        implied = 2 * E_CHARGE**2 * dos * diffusion
        if abs(implied / sigma - 1) > 1e-3:
            raise CaseError(
                f"{path}.conductivity",
                "conductivity, dos and diffusion_constant disagree: 2 e^2 nu D ="
                f" {implied:.6g} S/m (got {sigma:.6g} S/m); give two of the three",
            )
    rate = 0.0
    if region.spin_diffusion_length is not None:
        rate = diffusion / region.spin_diffusion_length**2
    elif region.spin_relaxation_time is not None:
        rate = 1 / region.spin_relaxation_time
    _check_complete(path, region, rate)
    return RegionParameters(name, region, dos, diffusion, rate)


def _check_complete(path: str, region: Region, rate: float) -> None:
    """Refuse a region whose mechanisms lack a parameter: silence would mean a wrong number."""
    override = region.override

    def overridden(key: str) -> bool:
        return override is not None and getattr(override, key) is not None

    if region.kind == "HM" and rate == 0 and not overridden("relaxation"):
        raise CaseError(
            f"{path}.spin_diffusion_length",
            "an HM needs spin_diffusion_length, spin_relaxation_time or override.relaxation",
        )
    soc = region.soc
    if soc is not None and not overridden("gauge"):
        if soc.strain is not None and soc.strain_coupling is None:
            raise CaseError(f"{path}.soc.strain_coupling", "strain needs its coupling constant")
        if region.mass is None:
            raise CaseError(f"{path}.mass", "spin-orbit coupling needs the effective mass")
    has_gauge = soc is not None or overridden("gauge")
    curvature = soc is None or soc.curvature
    if has_gauge and curvature and soc is not None and not overridden("spin_hall_angles"):
        for key in ("scattering_time", "mass"):
            if getattr(region, key) is None:
                raise CaseError(
                    f"{path}.{key}",
                    "the curvature spin Hall effect needs it; or set soc.curvature = false",
                )
    kondo = region.kondo
    if kondo is not None:
        if kondo.spin is None:
            raise CaseError(f"{path}.kondo.spin", "local moments need their spin")
        if kondo.moment_density is None:
            raise CaseError(f"{path}.kondo.moment_density", "local moments need their density")
        if kondo.coupling is None and kondo.exchange_energy is None:
            raise CaseError(f"{path}.kondo.coupling", "give coupling (K_s) or exchange_energy")
