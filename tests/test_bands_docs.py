"""The pages on bands agree with the code: entries, linked tests, keys of a case, files."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from test_docs import links, section
from test_project import SOURCE, imports_of

from femspin.bands import case as schema

DOCS = Path(__file__).parents[1] / "docs"
ERRATA = (DOCS / "afm-errata.md").read_text(encoding="utf-8")
PAGE = (DOCS / "afm-torques.md").read_text(encoding="utf-8")
ENTRIES = [*(f"B{k}" for k in range(1, 21)), "C"]


def test_every_erratum_has_an_entry_and_a_row():
    assert re.findall(r"^## (\w+)$", ERRATA, re.M) == ENTRIES
    assert re.findall(r"^\| \[(\w+)\]", ERRATA, re.M) == ENTRIES


@pytest.mark.parametrize("entry", ENTRIES)
def test_an_entry_says_what_is_printed_corrected_why_and_tested(entry):
    body = section(ERRATA + "\n# end", f"## {entry}")
    for part in ("Printed", "Corrected", "Why", "Effect", "Tests"):
        assert f"**{part}** " in body, part


def test_every_linked_test_exists_and_every_erratum_test_is_linked():
    linked = [(a.strip("`"), t) for a, t in links(ERRATA) if a.startswith("`test_")]
    for name, target in linked:
        source = (DOCS / target).resolve().read_text(encoding="utf-8")
        assert f"\ndef {name}(" in source, name
    files = sorted((Path(__file__).parent / "errata").glob("test_afm_errata*.py"))
    assert len(files) == 2
    for file in files:
        defined = re.findall(r"^def (test_\w+)\(", file.read_text(encoding="utf-8"), re.M)
        assert set(defined) <= {name for name, _ in linked}, file.name


def test_every_key_of_a_band_case_is_documented():
    tables = {
        "": schema.BandCase,
        "lattice.": schema.Lattice,
        "exchange.": schema.Exchange,
        "torque.": schema.Torque,
        "scan.": schema.Scan,
    }
    known = set(re.findall(r"`([^`\n]+)`", re.sub(r"```.*?```", "", PAGE, flags=re.S)))
    for head, table in tables.items():
        for key in table.model_fields:
            if f"{key}." not in tables:
                assert f"{head}{key}" in known, f"{head}{key}"


def test_bands_stand_beside_fields_in_the_order_of_folders():
    allowed = {"case", "errors", "materials", "units"}
    for path in (SOURCE / "bands").glob("*.py"):
        assert {module.split(".")[0] for module, _ in imports_of(path)} - {"bands"} <= allowed
