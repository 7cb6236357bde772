"""Case files: schema, units, messages."""

from .load import case_from_table, dump_case, load_case, to_toml
from .schema import Case

__all__ = ["Case", "case_from_table", "dump_case", "load_case", "to_toml"]
