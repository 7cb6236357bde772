"""Local laws of many layers at once: arrays with leading axes (stack, layer)."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...fields.soc import covariant_rotation, cross_matrix
from ...units import ENERGY, AnyArray
from .batched_case import LayerBatch, StackBatch
from .slab import SlabOperators, local_system, natural_length, scaled_generator

__all__ = ["bad_numbers", "batch_operators", "without_bad_numbers"]

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


def without_bad_numbers(array: AnyArray, inner: int, bad: Good, neutral: Any) -> AnyArray:
    """Return an array with something harmless where a stack has bad numbers.

    Args:
        array: With or without leading axis.
        inner: Number of its other axes.
        bad: By stack, shape (B,).
        neutral: What takes their place.
    """
    if not bad.any():
        return array
    full = np.array(np.broadcast_to(array, (len(bad), *array.shape[array.ndim - inner :])))
    full[bad] = neutral
    return full


def batch_operators(batch: StackBatch, bad: Good) -> SlabOperators:
    """Return the local laws of all layers of all stacks, leading axes (B, n); see `SlabOperators`.

    Args:
        batch: The stacks.
        bad: Which of them have bad numbers and get those of a harmless layer, shape (B,).
    """
    frequency = without_bad_numbers(np.asarray(batch.frequency), 0, bad, 0.0)
    flux0 = without_bad_numbers(np.asarray(batch.charge_flux), 0, bad, 0.0)
    shape = (batch.size, len(batch.layers))
    parts = [_layer_system(layer, frequency, bad) for layer in batch.layers]
    system, in_plane, conductance = (
        np.stack([np.broadcast_to(p[j], (shape[0], *p[j].shape[1:])) for p in parts], axis=1)
        for j in range(3)
    )
    thickness = without_bad_numbers(batch.thickness, 1, bad, 1.0).ravel()
    system = system.reshape(-1, 8, 9)
    length = natural_length(system, thickness)
    flux = conductance.ravel() * ENERGY / length
    through = np.repeat(np.broadcast_to(flux0, shape[:1]), shape[1])
    generator = scaled_generator(system, length, through / flux)
    norm = np.abs(generator[:, :6, :6]).sum(axis=1).max(axis=1)
    return SlabOperators(
        generator.reshape(*shape, 8, 8),
        norm.reshape(shape),
        length.reshape(shape),
        flux.reshape(shape),
        in_plane,
    )


def _layer_system(layer: LayerBatch, frequency: AnyArray, bad: Good) -> tuple[AnyArray, AnyArray, AnyArray]:
    """Return system and in-plane laws of `slab._local_system` and nu D; leading axis B or 1."""
    neutral = {"dos": 1.0, "diffusion": 1.0, "theta": np.eye(12)}
    arrays = {
        name: without_bad_numbers(getattr(layer, name), len(s), bad, neutral.get(name, 0.0))
        for name, s in layer._SHAPES.items()
        if name != "thickness"
    }
    count = max((a.shape[0] for n, a in arrays.items() if a.ndim > len(layer._SHAPES[n])), default=1)
    if np.any(frequency):
        count = max(count, frequency.size)
    diffusion = np.broadcast_to(arrays["diffusion"], (count,))
    conductance = np.broadcast_to(arrays["dos"], (count,)) * diffusion
    full = {n: np.broadcast_to(arrays[n], (count, *s)) for n, s in layer._SHAPES.items() if s}
    drift = full["drift"] / (conductance * ENERGY)[:, None, None]
    loss: AnyArray = full["relaxation"] - cross_matrix(full["omega"])
    if np.any(frequency):
        loss = loss + 1j * np.broadcast_to(frequency, (count,))[:, None, None] * np.eye(3)
    loss = loss / diffusion[:, None, None]
    turn = covariant_rotation(full["gauge"])
    system, in_plane = local_system(full["theta"], turn, drift, loss)
    in_plane[:, :, :4] *= conductance[:, None, None]
    in_plane[:, :, 8] *= (conductance * ENERGY)[:, None]
    return system, in_plane, conductance
