"""Many multilayers of one build: the same number of layers, every number with a leading axis."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from dataclasses import fields as dataclass_fields
from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike

from ...dual import as_array
from ...fields.region import RegionFields
from ...units import E_CHARGE, AnyArray
from .case import (
    FIELD_SHAPES,
    Conductance,
    Contact,
    Face,
    Insulating,
    SpinFlux,
    SpinPotential,
    StackCase,
    StackLayer,
    require_layers,
)

__all__ = [
    "ContactBatch",
    "FaceBatch",
    "LayerBatch",
    "StackBatch",
    "contact_batch",
    "face_batch",
    "layer_batch",
    "stack_batch",
]

_Shapes = Mapping[str, tuple[int, ...]]

INSULATING = Insulating()
_ZERO = (0.0, 0.0, 0.0)


class _Shaped:
    """Turns what is given into arrays and checks their last axes; `_SHAPES` has them by name."""

    _SHAPES: ClassVar[_Shapes] = {}

    def __post_init__(self) -> None:
        for name, shape in self._SHAPES.items():
            array = as_array(getattr(self, name))
            where = getattr(self, "name", "") or type(self).__name__
            if array.shape[array.ndim - len(shape) :] != shape or array.ndim > len(shape) + 1:
                raise ValueError(
                    f"{where}: {name} must have shape {shape} or (stacks, *{shape}), got {array.shape}"
                )
            object.__setattr__(self, name, array)

    @property
    def sizes(self) -> tuple[int, ...]:
        """Length of the leading axis of every array that has one."""
        arrays = ((getattr(self, name), shape) for name, shape in self._SHAPES.items())
        return tuple(a.shape[0] for a, shape in arrays if a.ndim > len(shape))


@dataclass(frozen=True)
class LayerBatch(_Shaped):
    """One layer of B stacks, in SI; every array may have a leading axis of length B or 1.

    Args:
        thickness: Thickness [m].
        dos: Density of states per spin nu [1/(J m^3)].
        diffusion: Diffusion constant D [m^2/s].
        gauge: a^{ib} [1/m], shape (3, 3) = (space, spin).
        omega: Precession [rad/s], shape (3,).
        relaxation: Gamma_ab [1/s], shape (3, 3).
        theta: Response J = Theta f, shape (12, 12), index 4 i + eta.
        drift: Drift force s^{j eta} [1/(m^2 s)], shape (3, 4).
        name: Region name, for messages.

    Raises:
        ValueError: If an array has a wrong shape.
    """

    thickness: ArrayLike
    dos: ArrayLike
    diffusion: ArrayLike
    gauge: ArrayLike = field(default_factory=lambda: np.zeros((3, 3)))
    omega: ArrayLike = _ZERO
    relaxation: ArrayLike = field(default_factory=lambda: np.zeros((3, 3)))
    theta: ArrayLike = field(default_factory=lambda: np.eye(12))
    drift: ArrayLike = field(default_factory=lambda: np.zeros((3, 4)))
    name: str = ""

    _SHAPES: ClassVar[_Shapes] = {"thickness": (), **FIELD_SHAPES}

    @property
    def fields(self) -> RegionFields:
        """All but the thickness, every array with a leading axis or without."""
        return RegionFields(self.name, **{k: getattr(self, k) for k in FIELD_SHAPES})

    def case(self, index: int) -> StackLayer:
        """Return the layer of one stack; ValueError if a number is not allowed."""
        one = {name: _entry(getattr(self, name), s, index) for name, s in self._SHAPES.items()}
        thickness = float(one.pop("thickness"))
        dos, diffusion = float(one.pop("dos")), float(one.pop("diffusion"))
        return StackLayer(RegionFields(self.name, dos, diffusion, **one), thickness)


@dataclass(frozen=True)
class FaceBatch(_Shaped):
    """One outer face of B stacks: a fixed potential, or inflow G mu/e^2 + J_E into the stack.

    Args:
        fixed: Whether the face fixes the potential.
        value: mu^a [J] where it does, else J_E [1/(m^2 s)], shape (3,).
        conductance: G [S/m^2], shape (3, 3); without meaning where the potential is fixed.

    Raises:
        ValueError: If an array has a wrong shape.
    """

    fixed: ArrayLike = False
    value: ArrayLike = _ZERO
    conductance: ArrayLike = field(default_factory=lambda: np.zeros((3, 3)))

    _SHAPES: ClassVar[_Shapes] = {"fixed": (), "value": (3,), "conductance": (3, 3)}

    def case(self, index: int) -> Face:
        """Return the face of one stack; ValueError if a number is not allowed."""
        value = _entry(self.value, (3,), index)
        if _entry(self.fixed, (), index):
            return SpinPotential(value)
        return Conductance(_entry(self.conductance, (3, 3), index), value)


@dataclass(frozen=True)
class ContactBatch(_Shaped):
    """The contact at one interface of B stacks, as drops of potential per flux.

    Args:
        resistance: Drop of mu^a per J^{zb} [J m^2 s], shape (3, 3); zero is an ideal contact.
        charge: Drop of mu^0 per J^{z0} [J m^2 s].

    Raises:
        ValueError: If an array has a wrong shape.
    """

    resistance: ArrayLike
    charge: ArrayLike = 0.0

    _SHAPES: ClassVar[_Shapes] = {"resistance": (3, 3), "charge": ()}

    def case(self, index: int) -> Contact | None:
        """Return the contact of one stack, None if it is ideal."""
        drop, charge = _entry(self.resistance, (3, 3), index), _entry(self.charge, (), index)
        conductance = np.inf if charge == 0 else E_CHARGE**2 / float(charge)
        if not np.any(drop):
            return Contact(np.inf, conductance) if charge else None
        if np.array_equal(drop, drop[0, 0] * np.eye(3)):
            return Contact(E_CHARGE**2 / drop[0, 0], conductance)
        return Contact(E_CHARGE**2 * np.linalg.inv(drop), conductance)


@dataclass(frozen=True)
class StackBatch(_Shaped):
    """B multilayers and what drives them; numbers of `StackCase` with a leading axis.

    Args:
        layers: From bottom to top.
        bottom: Condition on the bottom face, one for all stacks or a `FaceBatch`.
        top: Condition on the top face, likewise.
        contacts: By interface between two layers, one for all stacks or a `ContactBatch`.
        frequency: Angular frequency W of exp(+iWt) [rad/s].
        charge_flux: J^{z0} through the stack [1/(m^2 s)].
        z_zero: Interface at which z = 0.

    Raises:
        ValueError: If shapes do not fit together.
    """

    layers: Sequence[LayerBatch]
    bottom: Face | FaceBatch = INSULATING
    top: Face | FaceBatch = INSULATING
    contacts: Mapping[int, Contact | ContactBatch] = field(default_factory=dict)
    frequency: ArrayLike = 0.0
    charge_flux: ArrayLike = 0.0
    z_zero: ArrayLike = 0

    _SHAPES: ClassVar[_Shapes] = {"frequency": (), "charge_flux": (), "z_zero": ()}

    def __post_init__(self) -> None:
        super().__post_init__()
        count = len(self.layers)
        require_layers(count, self.contacts)
        if np.any(np.asarray(self.z_zero) < 0) or np.any(np.asarray(self.z_zero) > count):
            raise ValueError(f"stack: z_zero must be 0 to {count}")
        for name, inward in (("bottom", 1), ("top", -1)):
            face = getattr(self, name)
            if not isinstance(face, FaceBatch):
                object.__setattr__(self, name, face_batch([face], inward))
        made = {
            k: c if isinstance(c, ContactBatch) else contact_batch([c])
            for k, c in sorted(self.contacts.items())
        }
        object.__setattr__(self, "contacts", made)
        if len({n for n in self._lengths() if n != 1}) > 1:
            raise ValueError(
                f"stack: leading axes of lengths {sorted(set(self._lengths()))} do not fit together"
            )

    def _lengths(self) -> list[int]:
        parts = (self, *self.layers, self.bottom, self.top, *self.contacts.values())
        return [n for part in parts for n in _sizes(part)]

    @property
    def size(self) -> int:
        """Number B of stacks; one if no array has a leading axis."""
        lengths = [n for n in self._lengths() if n != 1]
        return lengths[0] if lengths else 1

    @property
    def thickness(self) -> AnyArray:
        """Thickness of each layer [m], shape (B, n)."""
        return self._stacked(lambda layer: layer.thickness)

    @property
    def interfaces(self) -> AnyArray:
        """Position z of each interface [m], shape (B, n + 1)."""
        z = np.pad(np.cumsum(self.thickness, axis=1), ((0, 0), (1, 0)))
        zero = np.broadcast_to(np.asarray(self.z_zero), (self.size,))
        return np.asarray(z - np.take_along_axis(z, zero[:, None], axis=1))

    def _stacked(self, of: Callable[[LayerBatch], Any]) -> AnyArray:
        columns = [np.broadcast_to(of(layer), (self.size,)) for layer in self.layers]
        return np.stack(columns, axis=1)

    def case(self, index: int) -> StackCase:
        """Return one stack; ValueError if a number is not allowed."""
        faces = [f.case(index) for f in (self.bottom, self.top) if isinstance(f, FaceBatch)]
        contacts = {k: c.case(index) for k, c in self.contacts.items() if isinstance(c, ContactBatch)}
        frequency, flux, zero = (_entry(getattr(self, n), (), index) for n in self._SHAPES)
        return StackCase(
            tuple(layer.case(index) for layer in self.layers),
            faces[0],
            faces[1],
            {k: c for k, c in contacts.items() if c is not None},
            float(frequency),
            int(zero),
            float(flux),
        )

    def part(self, rows: slice) -> StackBatch:
        """Return some of the stacks."""
        changes = {n: _rows(getattr(self, n), s, rows) for n, s in self._SHAPES.items()}
        return StackBatch(
            tuple(_part(layer, rows) for layer in self.layers),
            _part(self.bottom, rows),
            _part(self.top, rows),
            {k: _part(c, rows) for k, c in self.contacts.items()},
            **changes,
        )


def layer_batch(layers: Sequence[StackLayer]) -> LayerBatch:
    """Return one layer of as many stacks as there are layers; what is equal has no axis."""
    fields = [layer.fields for layer in layers]
    arrays = {name: _merged([getattr(f, name) for f in fields]) for name in FIELD_SHAPES}
    return LayerBatch(_merged([layer.thickness for layer in layers]), **arrays, name=fields[0].name)


def face_batch(faces: Sequence[Face], inward: int) -> FaceBatch:
    """Return the faces of as many stacks, without leading axis where they are equal.

    Args:
        faces: Conditions, which may be of different kinds.
        inward: 1 for bottom faces, -1 for top faces.
    """
    numbers = zip(*(_face_numbers(face, inward) for face in faces), strict=True)
    return FaceBatch(*(_merged(x) for x in numbers))


def _face_numbers(face: Face, inward: int) -> tuple[bool, AnyArray, AnyArray]:
    """Return what `FaceBatch` has of one face."""
    if isinstance(face, SpinPotential):
        return True, as_array(face.mu), np.zeros((3, 3))
    if isinstance(face, SpinFlux):
        return False, inward * as_array(face.flux), np.zeros((3, 3))
    if isinstance(face, Conductance):
        return False, as_array(face.drift), as_array(face.G)
    return False, np.zeros(3), np.zeros((3, 3))


def contact_batch(contacts: Sequence[Contact]) -> ContactBatch:
    """Return the contacts at one interface of as many stacks, likewise."""
    charges = [E_CHARGE**2 / c.charge for c in contacts]
    return ContactBatch(_merged([c.resistance for c in contacts]), _merged(charges))


def stack_batch(cases: Sequence[StackCase]) -> StackBatch:
    """Return stacks as one batch; faces, contacts and frequencies may differ.

    Raises:
        ValueError: If there is no stack, or the numbers of layers differ.
    """
    counts = {len(case.layers) for case in cases}
    if len(counts) != 1:
        listed = ", ".join(map(str, sorted(counts))) or "none"
        raise ValueError(f"a batch needs stacks with one number of layers, got {listed}")
    contacts = {}
    for k in sorted({k for case in cases for k in case.contacts}):
        found = [case.contacts.get(k, Contact(np.inf)) for case in cases]
        contacts[k] = contact_batch(found)
    return StackBatch(
        tuple(layer_batch([case.layers[k] for case in cases]) for k in range(counts.pop())),
        face_batch([case.bottom for case in cases], 1),
        face_batch([case.top for case in cases], -1),
        contacts,
        np.array([case.frequency for case in cases]),
        np.array([case.charge_flux for case in cases]),
        np.array([case.z_zero for case in cases]),
    )


def _merged(values: Sequence[Any]) -> AnyArray:
    """Return arrays with a leading axis, or one of them if all are equal."""
    if len(values) == 1:
        return as_array(values[0])
    array = np.array(values)
    return np.asarray(array[0] if np.all(array == array[0]) else array)


def _entry(array: Any, shape: tuple[int, ...], index: int) -> Any:
    """Return the numbers of one stack."""
    if array.ndim == len(shape):
        return array
    return array[0 if len(array) == 1 else index]


def _rows(array: Any, shape: tuple[int, ...], rows: slice) -> Any:
    return array if array.ndim == len(shape) or len(array) == 1 else array[rows]


def _sizes(part: Any) -> tuple[int, ...]:
    return part.sizes if isinstance(part, _Shaped) else ()


def _part(part: Any, rows: slice) -> Any:
    others = {f.name: getattr(part, f.name) for f in dataclass_fields(part)}
    return type(part)(
        **{n: _rows(v, part._SHAPES[n], rows) if n in part._SHAPES else v for n, v in others.items()}
    )
