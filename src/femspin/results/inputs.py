"""What tells the inputs of one result from those of another."""

from __future__ import annotations

from pathlib import Path

from ..case.files import input_digest, leave_out_files
from ..case.load import dump_case
from ..case.schema import Case
from ..errors import CaseError
from ..materials.parameters import complete_case
from .folder import digest_of

__all__ = ["case_digest"]


def case_digest(case: Case, folder: Path | None = None) -> str:
    """Return a hash of all that the result of a case depends on, the files it reads included.

    The material values count, not where they come from; [expected], the place of the result and
    the number of processes do not.  Empty where the case or a file cannot be completed.

    Args:
        case: The case.
        folder: Where relative paths start; default the folder of the case file.
    """
    folder = case.folder if folder is None else folder
    try:
        complete = case if case.scan is not None else complete_case(case)[0]
        table = dump_case(complete)
        leave_out_files(table)
        table.pop("expected", None)
        table["output"].pop("directory", None)
        table.get("scan", {}).pop("processes", None)
        return digest_of(table, input_digest(case, folder))
    except CaseError:
        return ""
