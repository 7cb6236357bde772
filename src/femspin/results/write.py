"""Writing a result so that a reader finds either all of it or none."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import platform
import re
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import CaseError

__all__ = ["check_target", "digest_of", "holds", "result_folder", "to_json"]

_KEY = "output.directory"


@contextlib.contextmanager
def result_folder(target: Path, overwrite: bool = False) -> Iterator[Path]:
    """Yield a temporary folder beside `target` that takes its place when the block succeeds.

    Whatever ends the block early leaves `target` as it was.

    Raises:
        CaseError: If `target` exists and is not an earlier result, or may not be replaced.
    """
    target = Path(target).resolve()  # a link stays a link: what it points to is replaced
    check_target(target, overwrite)
    target.parent.mkdir(parents=True, exist_ok=True)
    part = Path(
        tempfile.mkdtemp(prefix=f"{_prefix(target)}{os.getpid()}.", suffix=".part",
                         dir=target.parent)
    )  # fmt: skip
    try:
        yield part
        part.chmod(0o777 & ~_umask())
        check_target(target, overwrite)  # another run may have been faster
        _take_place(part, target)
    finally:
        shutil.rmtree(part, ignore_errors=True)


def check_target(target: Path, overwrite: bool = False) -> None:
    """Refuse a result folder that cannot be written or would replace something else.

    What earlier runs left behind when they were killed is cleared away first.

    Raises:
        CaseError: If `target` exists and is not an earlier result, or may not be replaced.
    """
    target = Path(target).resolve()
    name = repr(str(target))
    above = next((p for p in target.parents if p.exists()), target)
    if not above.is_dir() or not os.access(above, os.W_OK | os.X_OK):
        raise CaseError(_KEY, f"no folder can be made in {str(above)!r}")
    _clear_leftovers(target)
    if not target.exists():
        return
    entries = list(target.iterdir()) if target.is_dir() else []
    if not target.is_dir() or (entries and not (target / "result.json").is_file()):
        raise CaseError(_KEY, f"{name} exists and is not an earlier result")
    if entries and not overwrite:
        raise CaseError(_KEY, f"{name} holds a result; use --force to replace it")
    folders = sorted(p.name for p in entries if p.is_dir())
    if folders:
        raise CaseError(_KEY, f"{name} holds folders that are no part of a result: "
                        + ", ".join(map(repr, folders)))  # fmt: skip


def digest_of(*inputs: Any) -> str:
    """Return a hash of plain data; a result holds that of its inputs as `inputs_digest`."""
    text = json.dumps(_plain(list(inputs)), sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def holds(target: Path, digest: str) -> bool:
    """Return whether a folder holds a result of the inputs with this `digest_of`.

    It may be replaced without being asked for: the same numbers come out again.
    """
    try:
        found = json.loads((Path(target) / "result.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return bool(digest) and isinstance(found, dict) and found.get("inputs_digest") == digest


def _take_place(part: Path, target: Path) -> None:
    """Move `part` to `target`, and what was there away."""
    # A folder cannot be replaced in one step: move the old one aside, then rename.  A process
    # that is killed in between leaves the old one to `_clear_leftovers`, which puts it back.
    old = part.with_suffix(".old")
    try:
        if target.exists():
            os.replace(target, old)
        os.replace(part, target)
    finally:
        if old.exists() and not target.exists():
            os.replace(old, target)
        shutil.rmtree(old, ignore_errors=True)


def _prefix(target: Path) -> str:
    """Return how the names of temporary folders of `target` begin on this machine."""
    short = target.name.encode()[:80].decode(errors="ignore")
    machine = re.sub(r"[^A-Za-z0-9-]", "_", platform.node())[:80]
    return f".{short}.{machine}."


def _clear_leftovers(target: Path) -> None:
    """Remove temporary folders of processes that are gone; put an earlier result back."""
    if not target.parent.is_dir():
        return
    form = re.compile(re.escape(_prefix(target)) + r"(\d+)\.\w+\.(part|old)")
    for path in target.parent.iterdir():
        match = form.fullmatch(path.name)
        if match is None or _is_running(int(match[1])):
            continue
        if match[2] == "old" and not target.exists():
            os.replace(path, target)
        else:
            shutil.rmtree(path, ignore_errors=True)


def _is_running(process: int) -> bool:
    if os.name != "posix":  # asking is not harmless there
        return True
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):
        pass
    return True


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
