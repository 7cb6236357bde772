"""Case files: schema, units, messages."""

from .load import case_from_table, dump_case, load_case
from .schema import Case
from .toml import to_toml

__all__ = ["Case", "case_from_table", "dump_case", "load_case", "to_toml"]
