"""What is wrong with the numbers of many stacks, and harmless ones in their place."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...units import AnyArray
from .batch import StackBatch

__all__ = ["bad_numbers", "harmless"]

Good = NDArray[np.bool_]


def bad_numbers(batch: StackBatch) -> dict[int, str]:
    """Return what is wrong with the numbers of a stack, by its place in the batch."""
    checks: list[tuple[str, Any, int, float]] = []  # label, array, inner axes, limit
    for layer in batch.layers:
        where = f"layer {layer.name!r}"
        checks += [
            (f"{where}: {label}", getattr(layer, name), 0, _LARGEST) for name, label in _POSITIVE.items()
        ]
        checks += [
            (f"{where}: {name}", getattr(layer, name), len(shape), np.nan)
            for name, shape in layer._SHAPES.items()
            if shape
        ]
    for name in ("bottom", "top"):
        face: Any = getattr(batch, name)
        checks += [
            (f"{name} face: value", face.value, 1, np.nan),
            (f"{name} face: conductance", face.conductance, 2, np.nan),
        ]
    for k, contact in batch.contacts.items():
        drop: Any = contact
        checks += [
            (f"contact at interface {k}: resistance", drop.resistance, 2, np.nan),
            (f"contact at interface {k}: symmetric part", _least(drop.resistance), 0, 0.0),
            (f"contact at interface {k}: charge", drop.charge, 0, np.nan),
        ]
    checks += [(f"stack: {n}", getattr(batch, n), 0, np.nan) for n in ("frequency", "charge_flux")]
    found: dict[int, str] = {}
    for label, array, inner, limit in checks:
        good, must = _allowed(array, inner, limit)
        if not np.all(good):
            full = np.broadcast_to(array, (batch.size, *array.shape[array.ndim - inner :]))
            for k in np.flatnonzero(~np.broadcast_to(good, (batch.size,))).tolist():
                end = f", got {float(full[k])!r}" if inner == 0 else ""
                found.setdefault(k, f"{label} must be {must}{end}")
    return found


_LARGEST = float(np.finfo(float).max)
_POSITIVE = {"thickness": "thickness", "dos": "density of states", "diffusion": "diffusion constant"}


def _least(resistance: AnyArray) -> AnyArray:
    """Return the smallest eigenvalue of the symmetric part; what is not finite counts as zero."""
    matrix = np.nan_to_num(resistance, nan=0.0, posinf=0.0, neginf=0.0)
    scale = np.abs(matrix).max(axis=(-1, -2))
    least = np.linalg.eigvalsh(matrix + np.swapaxes(matrix, -1, -2))[..., 0]
    return np.asarray(np.where(least >= -1e-15 * scale, 0.0, least))


def _allowed(array: AnyArray, inner: int, limit: float) -> tuple[Good, str]:
    if limit == 0:
        return np.asarray(array >= 0), ">= 0"
    if limit == limit:
        return np.asarray((array > 0) & (array <= limit)), "> 0 and finite"
    axes = tuple(range(array.ndim - inner, array.ndim))
    return np.asarray(np.isfinite(array).all(axis=axes)), "finite"


def harmless(batch: StackBatch, bad: Iterable[int]) -> StackBatch:
    """Return the batch with harmless numbers in place of all those of the stacks `bad`."""
    rows = list(bad)
    if not rows:
        return batch

    def cleaned(part: Any) -> Any:
        changes = {}
        for name, shape in part._SHAPES.items():
            array = getattr(part, name)
            changes[name] = np.array(np.broadcast_to(array, (batch.size, *shape)))
            changes[name][rows] = _HARMLESS.get(name, 0)
        return replace(part, **changes)

    faces = {name: cleaned(getattr(batch, name)) for name in ("bottom", "top")}
    layers, contacts = [cleaned(x) for x in batch.layers], {k: cleaned(c) for k, c in batch.contacts.items()}
    found: StackBatch = replace(cleaned(batch), layers=layers, contacts=contacts, **faces)
    return found


_HARMLESS: Mapping[str, Any] = {"thickness": 1.0, "dos": 1.0, "diffusion": 1.0, "theta": np.eye(12)}
