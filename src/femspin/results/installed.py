"""Which code computed what is kept on disk: a digest of femspin and of what it rests on."""

from __future__ import annotations

import hashlib
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import femspin

__all__ = ["PACKAGES", "code_digest"]

PACKAGES = ("numpy", "scipy", "scikit-fem", "meshio", "pyamg")
"""Packages that results depend on."""

_SOURCES = (".py", ".toml", ".json")


def code_digest() -> str:
    """Return a hash of the installed source of femspin and of the versions of `PACKAGES`.

    The version number alone stays the same while the code is worked on; numbers kept by one state
    of it would pass for those of another.
    """
    return _digest(femspin.__version__)


@cache
def _digest(release: str) -> str:
    root = Path(__file__).parents[1]
    digest = hashlib.sha256(f"{release}\n".encode())
    for file in sorted(p for p in root.rglob("*") if p.suffix in _SOURCES):
        content = file.read_bytes()
        digest.update(f"{file.relative_to(root).as_posix()} {len(content)}\n".encode())
        digest.update(content)
    for name in (*PACKAGES, "numba"):
        digest.update(f"{name} {_version(name)}\n".encode())
    return digest.hexdigest()


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return ""
