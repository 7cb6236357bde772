"""Checkpoints of a run: where they lie, when one is due, what makes one fit."""

from __future__ import annotations

import hashlib
import json
import logging
import time as clock_of_the_wall
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np

from ...case.files import input_digest
from ...case.load import dump_case
from ...case.schema import Case
from ...errors import CaseError
from ...magnets.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from ...results.installed import code_digest
from ...units import TIME, Array

__all__ = ["ANEW", "Keeper", "checkpoint_file", "code_numbers"]


log = logging.getLogger("femspin")

ANEW = "run without --resume"


@dataclass
class Keeper:
    """Checkpoints of a run beside its result.

    Args:
        path: File; its ending is replaced by .h5 or .npz.
        case: The case, whose checkpoint only it may take up.
        interval: Time of the clock between checkpoints [s].
        resuming: Take up what is there.
        folder: Where relative paths in the case start.
    """

    path: Path
    case: Case
    interval: float
    resuming: bool = False
    folder: Path | None = None
    _last: float = field(default_factory=clock_of_the_wall.monotonic)
    _failed: bool = False

    @property
    def file(self) -> Path:
        """The checkpoint that is there, or the path where there is none."""
        for ending in (".h5", ".npz"):
            if self.path.with_suffix(ending).is_file():
                return self.path.with_suffix(ending)
        return self.path

    @property
    def due(self) -> bool:
        """Whether it is time for the next checkpoint."""
        return clock_of_the_wall.monotonic() - self._last >= self.interval

    def save(self, checkpoint: Checkpoint) -> None:
        """Write a checkpoint in place of what is there, in whatever form that is.

        One that cannot be written (a full disk) is a warning: the run goes on, and the last one
        that could be is kept.
        """
        self._last = clock_of_the_wall.monotonic()
        try:
            written = save_checkpoint(self.path.with_suffix(".h5"), checkpoint)
            for ending in {".h5", ".npz"} - {written.suffix}:
                self.path.with_suffix(ending).unlink(missing_ok=True)
        except OSError as error:
            if not self._failed:
                log.warning(
                    "no checkpoint at %.4g s could be written to %s: %s; the run goes on"
                    " with the last good one, if any",
                    checkpoint.clock * TIME,
                    self.path.parent,
                    error.strerror or error,
                )
            self._failed = True

    def load(self) -> Checkpoint | None:
        """Return the checkpoint to take up, None without one.

        Raises:
            CaseError: If it is damaged, or belongs to another case or state of the code.
        """
        if not self.resuming or not self.file.is_file():
            return None
        try:
            found = load_checkpoint(self.file)
        except CaseError as error:
            if "needs h5py" in error.problem:
                raise
            raise CaseError("--resume", f"{error.problem}; {ANEW}") from None
        if not np.array_equal(found.fields.get("code", np.zeros(0)), code_numbers(code_digest())):
            raise CaseError(
                "--resume",
                f"{self.file} was written by another version of femspin or"
                f" of the packages it rests on; {ANEW}",
            )
        if not np.array_equal(found.fields.get("case", np.zeros(0)), self.digest):
            raise CaseError("--resume", f"{self.file} belongs to another case or version of it; {ANEW}")
        return found

    @cached_property
    def digest(self) -> Array:
        """Numbers that tell cases apart, but for what does not change the motion."""
        table = dump_case(self.case)
        for key in ("expected", "output", "title"):
            table.pop(key, None)
        table["texture"].pop("checkpoint")
        files = input_digest(self.case, self.folder)
        text = json.dumps([table, files] if files else table, sort_keys=True).encode()
        return code_numbers(hashlib.sha256(text).hexdigest())

    def clear(self) -> None:
        """Remove the checkpoint of a run that is complete."""
        for ending in (".h5", ".npz"):
            try:
                self.path.with_suffix(ending).unlink(missing_ok=True)
            except OSError as error:
                log.warning("%s is left: %s", self.path.with_suffix(ending), error.strerror)


def code_numbers(digest: str) -> Array:
    """Return a hexadecimal digest as an array, as checkpoints hold it."""
    return np.frombuffer(bytes.fromhex(digest), np.uint8).astype(float)


def checkpoint_file(result: Path) -> Path:
    """Return where the checkpoint of a result folder is kept; its ending says in what form."""
    return result.with_name(f"{result.name}.checkpoint.h5")
