"""Writing a result so that a reader finds either all of it or none."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import CaseError

__all__ = ["result_folder", "to_json"]


@contextlib.contextmanager
def result_folder(target: Path, overwrite: bool = False) -> Iterator[Path]:
    """Yield a temporary folder beside `target` that takes its place when the block succeeds.

    Whatever ends the block early leaves `target` as it was.

    Raises:
        CaseError: If `target` exists and is not an earlier result, or may not be replaced.
    """
    target = Path(target)
    if target.exists():
        if not target.is_dir() or (any(target.iterdir()) and not (target / "result.json").is_file()):
            raise CaseError("output.directory", f"{str(target)!r} exists and is not an earlier result")
        if not overwrite and any(target.iterdir()):
            raise CaseError("output.directory", f"{str(target)!r} holds a result; use --force to replace it")
    target.parent.mkdir(parents=True, exist_ok=True)
    part = Path(tempfile.mkdtemp(prefix=f".{target.name}.", suffix=".part", dir=target.parent))
    try:
        yield part
        part.chmod(0o777 & ~_umask())
        if target.exists():
            # A folder cannot be replaced in one step: move the old one aside, then rename.
            old = part.with_suffix(".old")
            os.replace(target, old)
            os.replace(part, target)
            shutil.rmtree(old)
        else:
            os.replace(part, target)
    finally:
        shutil.rmtree(part, ignore_errors=True)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def to_json(value: Any) -> str:
    """Return JSON text; arrays become lists, and numbers that JSON lacks become null."""
    return json.dumps(_plain(value), indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(v) for v in value]
    if isinstance(value, np.ndarray):
        return _plain(value.tolist())
    if isinstance(value, np.generic):
        return _plain(value.item())
    if isinstance(value, float) and not np.isfinite(value):
        return None
    return value
