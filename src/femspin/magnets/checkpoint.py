"""Saving a run so that it resumes bit for bit: state, clock, step control and random numbers."""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import os
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import CaseError
from ..units import Array

__all__ = ["Checkpoint", "load_checkpoint", "restore_scheme", "save_checkpoint", "take_checkpoint"]


@dataclass(frozen=True)
class Checkpoint:
    """Everything a run needs to go on.

    Args:
        clock: Time [ps].
        fields: Nodal arrays by name, such as m, or n and m.
        scheme: State of the step control by name.
        random: State of the random numbers as JSON; empty without.
    """

    clock: float
    fields: Mapping[str, Array]
    scheme: Mapping[str, Array]
    random: str = ""


def take_checkpoint(scheme: Any, clock: float, **fields: Array) -> Checkpoint:
    """Return the state of a run.

    The scheme forgets what is not saved (a factorization), so that the run that goes on does the
    same arithmetic as one that resumes from here.

    Args:
        scheme: The time scheme.
        clock: Time reached [ps].
        fields: Nodal arrays, e.g. ``m=m``.
    """
    saved = scheme.state() if hasattr(scheme, "state") else {}
    generator = getattr(scheme, "generator", None)
    random = "" if generator is None else json.dumps(generator.bit_generator.state)
    return Checkpoint(float(clock), {k: v.copy() for k, v in fields.items()}, saved, random)


def restore_scheme(scheme: Any, checkpoint: Checkpoint) -> None:
    """Put a scheme of the same kind into the saved state; its fields are in the checkpoint."""
    if hasattr(scheme, "restore"):
        scheme.restore(dict(checkpoint.scheme))
    if checkpoint.random:
        scheme.generator.bit_generator.state = json.loads(checkpoint.random)


def save_checkpoint(path: Path, checkpoint: Checkpoint) -> Path:
    """Write a checkpoint and return its path: ``.h5`` with h5py, else ``.npz``.

    It is written under a temporary name and renamed, so that an old one is never half replaced.
    The file ends with a checksum of the rest, which HDF5 and zip readers skip.

    Raises:
        OSError: If it cannot be written; an old one is left as it was.
    """
    with_h5py = find_spec("h5py") is not None
    path = Path(path).with_suffix(".h5" if with_h5py else ".npz")
    partial = path.with_name(f".{path.stem}.partial{path.suffix}")
    # Made in memory: on a full disk the HDF5 library goes on to write, and crashes.
    arrays = _flatten(checkpoint)
    content = _hdf5(arrays) if with_h5py else _npz(arrays)
    try:
        with partial.open("wb") as stream:
            stream.write(content)
            stream.write(_seal(content))
        os.replace(partial, path)
    except OSError:
        with contextlib.suppress(OSError):
            partial.unlink(missing_ok=True)
        raise
    return path


def load_checkpoint(path: Path) -> Checkpoint:
    """Return the checkpoint in a file written by `save_checkpoint`.

    Raises:
        CaseError: If the file is missing, damaged or no checkpoint, or h5py is missing for
            ``.h5``.
    """
    path = Path(path)
    if not path.is_file():
        raise CaseError("checkpoint", f"no file {path}")
    if path.suffix == ".h5" and find_spec("h5py") is None:
        raise CaseError("checkpoint", f"{path} needs h5py; pip install 'femspin[textures]'")
    try:
        data = path.read_bytes()
    except OSError as error:
        raise CaseError("checkpoint", f"{path} cannot be read: {error.strerror}") from None
    content, seal = data[:-_SEAL_LENGTH], data[-_SEAL_LENGTH:]
    if seal != _seal(content):
        raise CaseError(
            "checkpoint", f"{path} is not a checkpoint, or it is damaged: its checksum does not hold"
        )
    try:
        arrays = _read_npz(content) if path.suffix == ".npz" else _read_hdf5(content)
        fields = {k[7:]: v for k, v in arrays.items() if k.startswith("fields/")}
        scheme = {k[7:]: v for k, v in arrays.items() if k.startswith("scheme/")}
        random = bytes(arrays["random"]).decode()
        return Checkpoint(float(arrays["clock"]), fields, scheme, random)
    except (OSError, KeyError, ValueError, TypeError, RuntimeError, zipfile.BadZipFile):
        raise CaseError("checkpoint", f"{path} is a checkpoint of another form") from None


def _seal(content: bytes) -> bytes:
    """Return the line that ends the file of a checkpoint."""
    return f"\nfemspin checkpoint {hashlib.sha256(content).hexdigest()}\n".encode()


_SEAL_LENGTH = len(_seal(b""))


def _flatten(checkpoint: Checkpoint) -> dict[str, Any]:
    arrays: dict[str, Any] = {"clock": np.array(checkpoint.clock)}
    arrays |= {f"fields/{k}": v for k, v in checkpoint.fields.items()}
    arrays |= {f"scheme/{k}": v for k, v in checkpoint.scheme.items()}
    arrays["random"] = np.frombuffer(checkpoint.random.encode(), np.uint8)
    return arrays


def _npz(arrays: Mapping[str, Any]) -> bytes:
    stream = io.BytesIO()
    named: dict[str, Any] = {k.replace("/", "__"): v for k, v in arrays.items()}
    np.savez(stream, allow_pickle=False, **named)
    return stream.getvalue()


def _read_npz(content: bytes) -> dict[str, Any]:
    with np.load(io.BytesIO(content), allow_pickle=False) as file:
        return {k.replace("__", "/"): file[k] for k in file.files}


def _hdf5(arrays: Mapping[str, Any]) -> bytes:
    stream = io.BytesIO()
    with import_module("h5py").File(stream, "w") as file:
        for name, value in arrays.items():
            file[name] = value
    return stream.getvalue()


def _read_hdf5(content: bytes) -> dict[str, Any]:
    arrays: dict[str, Any] = {}
    with import_module("h5py").File(io.BytesIO(content), "r") as file:
        file.visititems(
            lambda name, item: arrays.update({name: item[()]}) if hasattr(item, "shape") else None
        )
    return arrays
