"""Writing a result so that a reader finds either all of it or none."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import platform
import re
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import numpy as np

from ..case.input_files import real_path
from ..errors import CaseError

try:
    import fcntl
except ImportError:  # not on Windows
    fcntl = None  # type: ignore[assignment]

__all__ = ["check_target", "digest_of", "holds", "only_writer", "refuse_target", "result_folder", "to_json"]

_KEY = "output.directory"
_LISTED = "files"  # key of result.json: the names of all files of the result


@contextlib.contextmanager
def result_folder(target: Path, overwrite: bool = False) -> Iterator[Path]:
    """Yield a temporary folder beside `target` that takes its place when the block succeeds.

    Whatever ends the block early leaves `target` as it was.  Of an earlier result the files that
    its `result.json` lists are replaced; what else somebody has put there is kept.

    Args:
        target: The result folder.
        overwrite: Replace an earlier result; one of the same inputs (`inputs_digest`) is replaced
            in any case.

    Raises:
        CaseError: If `target` exists and is not an earlier result, or may not be replaced.
        OSError: If a file cannot be written; it has a name.
    """
    target = _resolved(target)  # a link stays a link: what it points to is replaced
    check_target(target, True)
    with _refused(target):
        target.parent.mkdir(parents=True, exist_ok=True)
        part = Path(
            tempfile.mkdtemp(prefix=f"{_prefix(target)}{os.getpid()}.", suffix=".part", dir=target.parent)
        )
    try:
        yield part
        part.chmod(0o777 & ~_umask())
        check_target(target, overwrite or holds(target, _digest(part)))
        _list_files(part)
        _keep_foreign(target, part)
        _take_place(part, target)
    except OSError as error:
        if error.filename is None and error.errno is not None:  # as of a write to a full disk
            raise OSError(error.errno, error.strerror, str(target)) from None
        raise
    finally:
        shutil.rmtree(part, ignore_errors=True)


def check_target(target: Path, overwrite: bool = False) -> None:
    """Refuse a result folder that cannot be written or would replace something else.

    What earlier runs left behind when they were killed is cleared away first.

    Raises:
        CaseError: If `target` exists and is not an earlier result, or may not be replaced.
    """
    _clear_leftovers(_resolved(target))
    refuse_target(target, overwrite)


def refuse_target(target: Path, overwrite: bool = False) -> None:
    """Refuse what `check_target` refuses, and change nothing."""
    target = _resolved(target)
    name = repr(str(target))
    above = next((p for p in target.parents if p.exists()), target)
    try:  # what is allowed and what the disk then does are two things, as for root in /proc
        with tempfile.TemporaryDirectory(prefix=".", dir=above):
            pass
    except OSError as error:
        raise CaseError(_KEY, f"no folder can be made in {str(above)!r}: {error.strerror or error}") from None
    if not target.exists():
        return
    entries = list(target.iterdir()) if target.is_dir() else []
    if not target.is_dir() or (entries and not (target / "result.json").is_file()):
        raise CaseError(_KEY, f"{name} exists and is not an earlier result")
    if entries and not overwrite:
        raise CaseError(_KEY, f"{name} holds a result; use --force to replace it")
    folders = sorted(p.name for p in entries if not (p.is_file() or p.is_symlink()))
    if folders:
        raise CaseError(
            _KEY, f"{name} holds folders that are no part of a result: " + ", ".join(map(repr, folders))
        )
    foreign = [p.name for p in _foreign(target)]
    if foreign and _listed(target) is None:
        raise CaseError(
            _KEY,
            f"{name} holds a result that does not list its files; remove it, or"
            " what is yours in it, or choose another folder",
        )


@contextlib.contextmanager
def only_writer(target: Path) -> Iterator[None]:
    """Let no other process that does the same write to `target` within the block.

    The system takes the lock back when a process ends, however it ends; where there are no such
    locks (some network disks) nothing is locked.

    Raises:
        CaseError: If another process is at it.
    """
    target = _resolved(target)
    made = [p for p in target.parents if not p.exists()]
    with _refused(target):
        target.parent.mkdir(parents=True, exist_ok=True)
        file = target.with_name(f"{_prefix(target)}lock")
        stream = _locked(file, target)
    try:
        yield
    finally:
        if stream is not None:
            with contextlib.suppress(OSError):
                file.unlink()  # before it is let go: who waits for it looks whether it is there
            stream.close()
        for folder in made:  # those that hold nothing in the end
            with contextlib.suppress(OSError):
                folder.rmdir()


@contextlib.contextmanager
def _refused(target: Path) -> Iterator[None]:
    """Name the result folder, not what stands beside it for a while, where the disk refuses."""
    try:
        yield
    except OSError as error:
        raise CaseError(_KEY, f"{str(target)!r} cannot be written: {error.strerror or error}") from None


def _locked(file: Path, target: Path) -> IO[str] | None:
    """Return the open lock file, None where there are no locks."""
    if fcntl is None:
        return None
    while True:
        stream = file.open("a+", encoding="utf-8")
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.path.samestat(os.fstat(stream.fileno()), file.stat()):
                break
            stream.close()  # another process has removed it in between
        except FileNotFoundError:
            stream.close()
        except OSError as error:
            stream.seek(0)
            process = stream.read(20).strip()
            stream.close()
            if error.errno not in (errno.EAGAIN, errno.EACCES):
                file.unlink(missing_ok=True)
                return None
            by = f" (process {process})" if process.isdecimal() else ""
            raise CaseError(
                _KEY,
                f"{str(target)!r} is being written by another run{by}; wait for"
                " it, or choose another folder with -o",
            ) from None
    stream.truncate(0)
    stream.write(f"{os.getpid()}\n")
    stream.flush()
    return stream


def _resolved(target: Path) -> Path:
    """Return the absolute path without links."""
    path = real_path(target)
    if path.is_symlink():
        raise CaseError(_KEY, f"{str(target)!r} is a link that leads to itself")
    return path


def _list_files(part: Path) -> None:
    """Write the names of all files of a result into its `result.json`."""
    file = part / "result.json"
    try:
        table = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return
    if isinstance(table, dict):
        table[_LISTED] = sorted(p.name for p in part.iterdir())
        file.write_text(to_json(table), encoding="utf-8")


def _listed(target: Path) -> set[str] | None:
    """Return the names of the files of a result, None if it does not list them."""
    try:
        table = json.loads((target / "result.json").read_text(encoding="utf-8"))
        return {str(name) for name in table[_LISTED]}
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _foreign(target: Path) -> list[Path]:
    """Return the files in the folder of an earlier result that are not of it."""
    if not target.is_dir():
        return []
    own = (_listed(target) or set()) | {"result.json"}
    return sorted(p for p in target.iterdir() if p.name not in own)


def _keep_foreign(target: Path, part: Path) -> None:
    """Copy what is not of the earlier result to its successor, before that takes its place."""
    for path in _foreign(target):
        if os.path.lexists(part / path.name):
            raise CaseError(_KEY, f"{str(path)!r} is not of the earlier result; the new one would replace it")
        shutil.copy2(path, part / path.name, follow_symlinks=False)


def digest_of(*inputs: Any) -> str:
    """Return a hash of plain data; a result holds that of its inputs as `inputs_digest`."""
    text = json.dumps(_plain(list(inputs)), sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def holds(target: Path, digest: str) -> bool:
    """Return whether a folder holds a result of the inputs with this `digest_of`.

    It may be replaced without being asked for: the same numbers come out again.
    """
    return bool(digest) and _digest(Path(target)) == digest


def _digest(folder: Path) -> str:
    """Return the digest of the inputs of the result in a folder; an empty text without one."""
    try:
        found = json.loads((folder / "result.json").read_text(encoding="utf-8"))
        return str(found["inputs_digest"])
    except (OSError, ValueError, KeyError, TypeError):
        return ""


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
