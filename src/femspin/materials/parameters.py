"""Complete regions: material values filled in, Einstein relation closed, sources kept."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ..case.load import case_from_plain, dump_case
from ..case.schema import Case, Region
from ..case.values import INSULATORS
from ..dual import as_array, stacked
from ..errors import CaseError
from ..units import E_CHARGE
from .lookup import find_material
from .records import Material, MaterialValue, material_from_table

__all__ = [
    "RegionParameters",
    "UsedValue",
    "complete_case",
    "conductor_parameters",
    "passed_over",
    "polarisation_squared",
    "region_parameters",
]


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
    """

    name: str
    region: Region
    dos: float
    diffusion: float

    @property
    def drude_conductivity(self) -> float:
        """sigma_c = 2 e^2 nu D, which the equations take [S/m] (errata E25)."""
        return 2 * E_CHARGE**2 * self.dos * self.diffusion

    def background_rate(self, onsager: bool) -> float:
        """Return the spin relaxation that is not due to the moments [1/s].

        In a polarised metal spin spreads with D (1 - P^2) in the Onsager-symmetric form, since
        no charge goes with it; the rate is the one with which it decays over the spin diffusion
        length (Valet and Fert's l_sf, PRB 48, 7099).

        Args:
            onsager: Whether the Onsager-symmetric form of the polarisation is used.
        """
        length, time = self.region.spin_diffusion_length, self.region.spin_relaxation_time
        if length is not None:
            share = 1 - polarisation_squared(self.region) if onsager else 1.0
            rate: float = self.diffusion * share / length**2
            return rate
        return 0.0 if time is None else 1 / time


def polarisation_squared(region: Region) -> float:
    """Return P^2 of the conductivity of a region."""
    override = region.override
    raw = None if override is None else override.polarisation
    p = region.polarisation if raw is None else raw
    if p is None:
        return 0.0
    full: Any = stacked(p) if isinstance(p, list) else as_array(p)
    return full * full if full.ndim == 0 else (full * full).sum()  # type: ignore[no-any-return]


def _resistance_ratio(region: Region) -> float:
    """Return sigma_c over the measured conductivity of the bulk metal.

    Two spin Hall deflections bend a current back: rho = (1 + 2 theta_SH^2)/sigma_c in the mode
    that keeps them.  Raw spin Hall angles come with raw conductivities.
    """
    override, angle = region.override, region.spin_hall_angle
    raw = override is not None and override.spin_hall_angles is not None
    if raw or angle is None or region.theta_mode != "exact":
        return 1.0
    return 1 + 2 * angle**2


def complete_case(case: Case) -> tuple[Case, tuple[UsedValue, ...]]:
    """Return the case with all material values written out, and the values that were used.

    Raises:
        CaseError: For an unknown material or a database value of a case's own that is wrong.
    """
    if not case.materials and all(
        r.material is None and r.resistivity is None for r in case.regions.values()
    ):
        return case, ()
    own = _own_materials(case)
    table = dump_case(case)
    used: list[UsedValue] = []
    for name, region in case.regions.items():
        used += _fill(name, region, table["regions"][name], own)
        table["regions"][name].pop("material", None)
    table.pop("materials", None)
    return case_from_plain(table), tuple(used)


def passed_over(case: Case) -> tuple[UsedValue, ...]:
    """Return the database values of a case that two others of its own replace.

    Conductivity, dos and diffusion constant are two numbers: the case gives both.
    """
    own, found = _own_materials(case), []
    for name, region in case.regions.items():
        given = [key for key in _EINSTEIN if getattr(region, key) is not None]
        given += ["conductivity"] if region.resistivity is not None else []
        if region.kind in INSULATORS or len(given) < 2:
            continue
        path = f"regions.{name}"
        for key, (material, value) in _known_values(region, own, path).items():
            if key in _EINSTEIN and key not in given:
                found.append(UsedValue(f"{path}.{key}", material, value))
    return tuple(found)


def _own_materials(case: Case) -> dict[str, Material]:
    return {n: material_from_table(n, table, f"materials.{n}") for n, table in case.materials.items()}


def _known_values(
    region: Region, own: Mapping[str, Material], path: str
) -> dict[str, tuple[str, MaterialValue]]:
    """Return what the materials of a region say, later ones first, each with its material."""
    names = [region.material] if isinstance(region.material, str) else region.material or []
    return {
        key: (material, value)
        for material in names
        for key, value in find_material(material, own, f"{path}.material").values.items()
    }


def _fill(name: str, region: Region, table: dict[str, Any], own: Mapping[str, Material]) -> list[UsedValue]:
    """Write material values into the raw table of a region; return those used."""
    if region.resistivity is not None:  # the equations know conductivities alone
        del table["resistivity"]
        table["conductivity"] = f"{1 / region.resistivity!r} S/m"
    if region.material is None:
        return []
    path = f"regions.{name}"
    values = _known_values(region, own, path)
    used: list[UsedValue] = []

    def take(key: str, target: dict[str, Any], where: str) -> None:
        if key in target or key not in values or _REPLACED_BY.get(key) in target:
            return
        material, value = values[key]
        target[key] = value.value
        used.append(UsedValue(f"{where}.{key}", material, value))

    if region.kind in INSULATORS:
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


def conductor_parameters(case: Case) -> dict[str, RegionParameters]:
    """Return the transport parameters of every conducting region of a completed case.

    Raises:
        CaseError: See `region_parameters`.
    """
    return {n: region_parameters(n, r) for n, r in case.regions.items() if r.kind not in INSULATORS}


def region_parameters(name: str, region: Region) -> RegionParameters:
    """Return the transport parameters of a completed conducting region.

    Two of conductivity, dos and diffusion_constant fix the third through
    sigma_c = 2 e^2 nu D.  The conductivity given is the measured one; sigma_c is larger by
    1 + 2 theta_SH^2 in theta_mode ``exact``.

    Raises:
        CaseError: If fewer than two are known, if three disagree, or if a parameter that a
            mechanism of this region needs is missing.
    """
    path = f"regions.{name}"
    sigma, dos, diffusion = region.conductivity, region.dos, region.diffusion_constant
    if sigma is not None:
        sigma = sigma * _resistance_ratio(region)  # not in place: it may be dual
    known = [key for key in _EINSTEIN if getattr(region, key) is not None]
    if len(known) < 2:
        raise CaseError(path, f"two of {', '.join(_EINSTEIN)} are needed (got {', '.join(known) or 'none'})")
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
                "conductivity, dos and diffusion_constant disagree: 2 e^2 nu D is a measured"
                f" {implied / _resistance_ratio(region):.6g} S/m (got {region.conductivity:.6g}"
                " S/m); give two of the three",
            )
    _check_complete(path, region)
    return RegionParameters(name, region, dos, diffusion)


def _check_complete(path: str, region: Region) -> None:
    """Refuse a region whose mechanisms lack a parameter: silence would mean a wrong number."""
    override = region.override

    def overridden(key: str) -> bool:
        return override is not None and getattr(override, key) is not None

    relaxing = region.spin_diffusion_length or region.spin_relaxation_time
    if region.kind == "HM" and not relaxing and not overridden("relaxation"):
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
                    f"{path}.{key}", "the curvature spin Hall effect needs it; or set soc.curvature = false"
                )
    kondo = region.kondo
    if kondo is not None:
        if kondo.spin is None:
            raise CaseError(f"{path}.kondo.spin", "local moments need their spin")
        if kondo.moment_density is None:
            raise CaseError(f"{path}.kondo.moment_density", "local moments need their density")
        if kondo.coupling is None and kondo.exchange_energy is None:
            raise CaseError(f"{path}.kondo.coupling", "give coupling (K_s) or exchange_energy")
