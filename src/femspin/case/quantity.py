"""Quantities with units, as they stand in a case file: ``"1.5 nm"`` in, SI floats out."""

from __future__ import annotations

import re
from functools import cache, lru_cache
from typing import Annotated, Any

from pydantic import BeforeValidator, PlainSerializer, WithJsonSchema
from pydantic_core import PydanticCustomError

from ..errors import closest
from ..units import HBAR, MU_0

__all__ = [
    "AngularFrequency",
    "Capacity",
    "Conductance",
    "Conductivity",
    "Current",
    "CurrentDensity",
    "Diffusion",
    "Dos",
    "Duration",
    "ElectricField",
    "Energy",
    "ExchangeCoupling",
    "ExchangeStiffness",
    "Length",
    "MagneticField",
    "Magnetization",
    "Mass",
    "MomentDensity",
    "Position",
    "Rate",
    "Resistivity",
    "SpinFlux",
    "SpinVelocity",
    "SurfaceEnergy",
    "Temperature",
    "Time",
    "Voltage",
    "WaveNumber",
    "parse_quantity",
    "without_hertz",
]

# A case file is data: only this form ever reaches the units library, so that no text can call
# anything or cost more than its length.
_LONGEST = 100
_LARGEST_EXPONENT = 9
_NUMBER = r"[+-]?(?:(?:nan|inf(?:inity)?)(?![a-z])|(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?)"
_NAME = r"[A-Za-zµμΩΩÅÅ°_][A-Za-z0-9µμΩΩÅÅ_]*+"  # no backtracking: (a+)+ is exponential
_POWER = r"(?:\^|\*\*)\s*(?:[+-]?[0-9]|\(\s*[+-]?[0-9]\s*\))(?![\w.])"
_QUANTITY = re.compile(rf"({_NUMBER})\s*(.*)", re.ASCII | re.DOTALL | re.IGNORECASE)
_UNIT = re.compile(rf"(?:{_NAME}(?:\s*{_POWER})?|\)\s*{_POWER}|1(?![\w.])|[*/() ](?!\*))++")
_SUPERSCRIPTS = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹⁻·−", "0123456789-*-")
_COMMON_UNITS = (
    "m",
    "cm",
    "um",
    "nm",
    "pm",
    "angstrom",
    "s",
    "ms",
    "us",
    "ns",
    "ps",
    "fs",
    "Hz",
    "GHz",
    "THz",
    "eV",
    "meV",
    "ueV",
    "J",
    "K",
    "mK",
    "V",
    "mV",
    "uV",
    "A",
    "mA",
    "uA",
    "nA",
    "S",
    "ohm",
    "T",
    "mT",
    "kg",
    "m_e",
    "kA",
    "MA",
    "MS",
    "hbar",
    "Oe",
    "kOe",
    "G",
    "kG",
    "emu",
    "erg",
    "uohm",
)
# The library keeps the magnetic units of Gauss apart from those of the SI; as fields they are
# unique: B in G, H in Oe, a moment in emu.
_MAGNETIC_UNITS = (
    "si_gauss = 1e-4 * tesla",
    f"si_oersted = {1e-4 / MU_0!r} * ampere / meter",
    "emu = 1e-3 * ampere * meter**2",
)
_PREFIX = r"(?<![A-Za-zµμ_])(kilo|milli|micro|[kMmuµμn]?)"
_SPELLINGS = (
    (re.compile(rf"{_PREFIX}(?:[Gg]auss|Gs|G)(?![A-Za-z0-9_])"), r"\1si_gauss"),
    (re.compile(rf"{_PREFIX}(?:[Oo]ersted|Oe)(?![A-Za-z0-9_])"), r"\1si_oersted"),
)
_FIELD, _MAGNETIZATION = "tesla", "ampere / meter"
# Units of every day, with the numbers that the library multiplies by (it says 1/nm = 1e9 - 1e-7):
# loading the library takes longer than anything else that a small case needs.
_DAILY: dict[str, dict[str, float]] = {
    "m": {"pm": 1e-12, "angstrom": 1e-10, "nm": 1e-9, "um": 1e-6, "mm": 1e-3, "cm": 1e-2},
    "s": {"fs": 1e-15, "ps": 1e-12, "ns": 1e-9, "us": 1e-6, "ms": 1e-3},
    "J": {"ueV": 1.602176634e-25, "meV": 1.6021766339999998e-22, "eV": 1.602176634e-19},
    "J*m": {"eV*angstrom": 1.602176634e-29, "meV*nm": 1.6021766339999998e-31},
    "T": {"nT": 1e-9, "uT": 1e-6, "mT": 1e-3},
    "V": {"uV": 1e-6, "mV": 1e-3},
    "A": {"nA": 1e-9, "uA": 1e-6, "mA": 1e-3},
    "kg": {"m_e": 9.1093837139e-31},
    "rad": {"deg": 0.017453292519943295},
    "1/m": {"1/nm": 999999999.9999999, "1/um": 1e6},
    "1/s": {"1/fs": 999999999999999.9, "1/ps": 1e12, "1/ns": 999999999.9999999},
    "J/m": {"pJ/m": 1e-12},
    "J/m**2": {"uJ/m^2": 1e-6, "mJ/m^2": 1e-3},
    "J/m**3": {"kJ/m^3": 1e3, "MJ/m^3": 1e6},
    "A/m": {"kA/m": 1e3, "MA/m": 1e6},
    "S/m": {"kS/m": 1e3, "MS/m": 1e6},
    "ohm*m": {"uohm*cm": 1e-8, "nohm*m": 1e-9},
    "V/m": {"kV/m": 1e3, "V/um": 1e6, "MV/m": 1e6},
    "m**2/s": {"cm^2/s": 1e-4},
}
# What is written for another quantity, by the unit needed and one of the unit given.
_ADVICE = (
    ("S/m", "ohm*m", 'a resistivity; give it as resistivity = "{text}" instead'),
    ("ohm*m", "S/m", 'a conductivity; give it as conductivity = "{text}" instead'),
    ("J/m**3", "T", "a field; an anisotropy field B_K means K = M_s B_K/2, an energy density"),
    ("J/m**3", "A/m", "a field; an anisotropy field H_K means K = mu_0 M_s H_K/2, an energy density"),
    ("J/m**3", "J/m**2", "an energy per area; divide it by the thickness of the film"),
    ("J/m**2", "J/m", "an energy per length, as D_s = D d of a film; divide it by its thickness d"),
    ("J/m", "J*m**2", "a spin-wave stiffness D; A = D M_s/(2 g mu_B)"),
    ("S/m**2", "1/m**2", "channels per area; multiply by e^2/h = 3.874e-5 S"),
    ("S/m**2", "ohm*m**2", "a resistance times area; give its inverse"),
)


@cache
def _registry() -> Any:
    import pint  # imported on first use: it takes longer than the rest of the package

    registry: Any = pint.UnitRegistry()
    for unit in _MAGNETIC_UNITS:
        registry.define(unit)
    return registry


def parse_quantity(text: Any, unit: str, example: str, velocity_of_energy: bool = False) -> float:
    """Return a quantity in `unit` (SI).

    Args:
        text: ``"<number> <unit>"``; the unit is made of names, powers, products and quotients.
            A quantity of pint counts as its text.
        unit: SI unit to convert to.
        example: Shown in the message, e.g. ``"1.5 nm"``.
        velocity_of_energy: Also accept energy x length, divided by hbar (Rashba constants are
            given both as alpha_R in eV angstrom and as a velocity alpha_R / hbar).

    Raises:
        PydanticCustomError: For a bare number, an unknown unit or a wrong dimension.
    """
    if hasattr(text, "magnitude") and hasattr(text, "units"):  # of pint, in Python
        text = f"{float(text.magnitude)!r} {text.units}"
    needed = {"unit": unit.replace("**", "^"), "example": example}
    if not isinstance(text, str):
        raise PydanticCustomError(
            "needs_unit", 'must be text with a number and a unit of {unit}, like "{example}"', needed
        )
    match = _QUANTITY.fullmatch(text.strip()) if len(text) <= _LONGEST else None
    if match is None:
        raise _no_quantity(example)
    number, rest = float(match[1]), match[2].strip()
    if number != number or abs(number) == float("inf"):
        raise PydanticCustomError("not_finite", 'must be finite, like "{example}"', needed)
    if re.match(r",\d", rest):
        raise _no_quantity(example, "; decimals begin with a point")
    if not rest:
        raise PydanticCustomError(
            "needs_unit", 'lacks its unit: {unit} or a multiple, like "{example}"', needed
        )
    # Text that is already in the SI unit must come back bit for bit (a resolved case reruns to
    # the same numbers), so it does not pass through a unit conversion.
    if rest.replace("^", "**") == unit:
        value = number
    elif velocity_of_energy and rest in _DAILY["J*m"]:
        value = number * _DAILY["J*m"][rest] / HBAR
    elif rest in _DAILY.get(unit, ()):
        value = number * _DAILY[unit][rest]
    else:
        value = _convert(number, rest, needed, velocity_of_energy)
    if abs(value) == float("inf"):
        raise PydanticCustomError("not_finite", 'must be finite, like "{example}"', needed)
    return value


def _no_quantity(example: str, hint: str = "") -> PydanticCustomError:
    words = 'must be a number followed by a unit, like "{example}"{hint}'
    return PydanticCustomError("not_a_quantity", words, {"example": example, "hint": hint})


def _convert(number: float, text: str, needed: dict[str, Any], velocity_of_energy: bool) -> float:
    """Return `number` of the unit `text` in the unit that is needed."""
    import pint

    found = _unit(text, needed["example"])
    quantity, target = _registry().Quantity(number, found), _unit(needed["unit"], "")
    if _quoted_as_m(found, target):
        raise PydanticCustomError(
            "gaussian",
            "a magnetization in G or Oe may mean M or 4 pi M; write M in emu/cm^3 or"
            ' A/m, or mu_0 M (which is 4 pi M) in T, like "{example}"',
            needed,
        )
    try:
        if velocity_of_energy and quantity.check("[energy] * [length]"):
            return float(quantity.to("J*m").magnitude) / HBAR
        return float(_as_field(quantity, target).to(target).magnitude)
    except pint.DimensionalityError:
        raise _another_quantity(f"{number:g} {text}", quantity, needed) from None
    except (ArithmeticError, ValueError, pint.PintError):  # out of range, logarithmic units
        raise _no_quantity(needed["example"]) from None


def _quoted_as_m(unit: Any, target: Any) -> bool:
    """Return whether a magnetization is given in G or Oe: M and 4 pi M are quoted in them."""
    gaussian = any(n.endswith(("gauss", "oersted")) for n in dict(unit._units))
    return gaussian and bool(target == _registry().parse_units("A/m"))


def _as_field(quantity: Any, target: Any) -> Any:
    """Return B = mu_0 H for a field H, or H for a B, where the other one is needed.

    So a magnetization may be given as mu_0 M in T.
    """
    permeability = _registry().Quantity(MU_0, "T*m/A")
    if target.is_compatible_with(_FIELD) and quantity.is_compatible_with(_MAGNETIZATION):
        return quantity * permeability
    if target.is_compatible_with(_MAGNETIZATION) and quantity.is_compatible_with(_FIELD):
        return quantity / permeability
    return quantity


def _another_quantity(text: str, quantity: Any, needed: dict[str, Any]) -> PydanticCustomError:
    """Return the refusal of a unit of another dimension, with what to write where it is known."""
    for unit, given, words in _ADVICE:
        if unit.replace("**", "^") == needed["unit"] and quantity.is_compatible_with(given):
            advice = words.format(text=text)
            return PydanticCustomError("wrong_dimension", "is {advice}", {"advice": advice})
    return PydanticCustomError(
        "wrong_dimension",
        'has a unit of another quantity; use {unit} or a multiple, like "{example}"',
        needed,
    )


@lru_cache(maxsize=500)
def _unit(text: str, example: str) -> Any:
    """Return the units library's unit for a unit expression that has the allowed form."""
    import pint

    text = re.sub("[⁻⁰¹²³⁴⁵⁶⁷⁸⁹]+", r"^\g<0>", text).translate(_SUPERSCRIPTS)
    if _UNIT.fullmatch(text) is None:
        raise _no_quantity(example)
    for spelling, name in _SPELLINGS:
        text = spelling.sub(name, text)
    try:
        unit = _registry().parse_units("1" + text if text.startswith("/") else text)
    except pint.UndefinedUnitError as error:
        name = error.unit_names if isinstance(error.unit_names, str) else error.unit_names[0]
        then = f'write it like "{example}"'
        hint = closest(name, _COMMON_UNITS, then) if len(name) > 2 else f"; {then}"
        raise PydanticCustomError(
            "unknown_unit", "has an unknown unit {name}{hint}", {"name": repr(name), "hint": hint}
        ) from None
    except Exception:  # pint raises many kinds, down to tokenizer errors
        raise _no_quantity(example) from None
    if any(abs(power) > _LARGEST_EXPONENT for power in dict(unit._units).values()):
        raise _no_quantity(example)
    return unit


def _quantity(unit: str, example: str, smallest: float, largest: float, *, spin_orbit: bool = False) -> Any:
    """Build the annotated type of a quantity: text with unit in, SI float inside, text out.

    The bounds are far beyond any material; they stop slips of a unit and numbers whose squares
    leave the range of floating point.

    Args:
        unit: SI unit.
        example: Shown in messages.
        smallest: Lower bound of a quantity that must be positive; 0 allows both signs and zero.
        largest: Upper bound of the magnitude.
        spin_orbit: See `parse_quantity`.
    """
    context = {"low": f"{smallest:g}", "high": f"{largest:g}", "unit": unit.replace("**", "^")}

    def read(text: Any) -> float:
        value = parse_quantity(text, unit, example, spin_orbit)
        if smallest > 0 and not value > 0:
            raise PydanticCustomError("out_of_range", "must be > 0")
        if smallest > 0 and not smallest <= value <= largest:
            raise PydanticCustomError("out_of_range", "must be between {low} and {high} {unit}", context)
        if abs(value) > largest:
            raise PydanticCustomError("out_of_range", "must be at most {high} {unit} in magnitude", context)
        return value

    description = f"quantity in {unit}" + (", > 0" if smallest > 0 else "")
    return Annotated[
        float,
        BeforeValidator(read),
        PlainSerializer(lambda x: f"{x!r} {unit}", return_type=str),
        WithJsonSchema({"type": "string", "description": description, "examples": [example]}),
    ]


def without_hertz(text: Any, hint: str = "") -> Any:
    """Return what is no frequency in Hz: the library takes Hz for 1/s, 2 pi from what is meant.

    Raises:
        PydanticCustomError: If it is one.
    """
    if isinstance(text, str) and re.search("hz|hertz", text, re.IGNORECASE):
        raise PydanticCustomError(
            "angular",
            'an angular frequency has the unit 1/s or rad/s, like "1e11 rad/s"{hint}',
            {"hint": hint},
        )
    return text


Length = _quantity("m", "1.5 nm", 1e-13, 1e3)
Duration = _quantity("s", "10 fs", 1e-20, 1e3)
Temperature = _quantity("K", "10 K", 1e-6, 1e6)
Mass = _quantity("kg", "1 m_e", 1e-36, 1e-25)
Conductivity = _quantity("S/m", "7e6 S/m", 1e-10, 1e14)
Resistivity = _quantity("ohm*m", "20 uohm*cm", 1e-14, 1e10)
Dos = _quantity("1/(J*m**3)", "5e46 1/(J*m^3)", 1e35, 1e55)
Diffusion = _quantity("m**2/s", "8e-4 m^2/s", 1e-14, 1e4)
SpinVelocity = _quantity("m/s", "0.3 eV*angstrom", 0, 1e9, spin_orbit=True)
MomentDensity = _quantity("1/m**3", "1.2e27 1/m^3", 1e15, 1e33)
ExchangeCoupling = _quantity("J*m**3", "3.3e-49 J*m^3", 0, 1e-30)
Energy = _quantity("J", "1 meV", 0, 1e-15)
WaveNumber = _quantity("1/m", "0.35 1/nm", 0, 1e13)
Rate = _quantity("1/s", "1 1/ps", 0, 1e20)
AngularFrequency: Any = Annotated[Rate, BeforeValidator(without_hertz)]
ElectricField = _quantity("V/m", "1e5 V/m", 0, 1e12)
Voltage = _quantity("V", "1 mV", 0, 1e6)
Current = _quantity("A", "10 uA", 0, 1e6)
MagneticField = _quantity("T", "0.1 T", 0, 1e6)
Conductance = _quantity("S/m**2", "1e13 S/m^2", 0, 1e22)
SpinFlux = _quantity("1/(m**2*s)", "1e28 1/(m^2*s)", 0, 1e40)
Magnetization = _quantity("A/m", "1.4e5 A/m", 1e-3, 1e9)
Capacity = _quantity("J/m**3", "1e4 J/m^3", 0, 1e12)
Position = _quantity("m", "-20 nm", 0, 1e-2)
Time = _quantity("s", "50 ps", 0, 1e3)
CurrentDensity = _quantity("A/m**2", "1e12 A/m^2", 0, 1e18)
ExchangeStiffness = _quantity("J/m", "13 pJ/m", 1e-16, 1e-6)
SurfaceEnergy = _quantity("J/m**2", "1 mJ/m^2", 0, 1e3)
