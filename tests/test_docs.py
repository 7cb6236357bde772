"""The documentation agrees with the code: names, equations, links, keys, cases."""

from __future__ import annotations

import inspect
import re
import runpy
from fnmatch import fnmatch
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from femspin import case_from_table, simulate

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
PAGES = sorted(DOCS.glob("*.md"))
LINKING = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *PAGES]
TEXT = {page.name: page.read_text(encoding="utf-8") for page in PAGES}

# What counts as saying which equation of the theory a function evaluates.
REFERENCE = re.compile(r"Eqs?\. \(|[Ee]rrata E\d|App\. C|\bW1\b")
# Functions of the table whose docstring does not say so yet.


def names(text: str) -> set[str]:
    """Return the dotted names of the package in code spans."""
    spans = re.findall(r"`([^`\n]+)`", text)
    return {n for s in spans for n in re.findall(r"(?<![\w./])femspin(?:\.[A-Za-z_]\w*)+", s)}


def resolve(name: str) -> Any:
    """Return what a dotted name means; AttributeError if nothing."""
    parts = name.split(".")
    found: Any = import_module(parts[0])
    for k, part in enumerate(parts[1:], 2):
        try:
            found = getattr(found, part)
        except AttributeError:
            try:
                found = import_module(".".join(parts[:k]))
            except ModuleNotFoundError:
                raise AttributeError(f"{name}: no {part}") from None
    return found


def section(text: str, title: str) -> str:
    """Return what stands under a heading, up to the next one."""
    start = text.index(f"\n{title}\n") + 1
    end = re.search(r"^#+ ", text[start + len(title) :], re.MULTILINE)
    return text[start : start + len(title) + end.start()] if end else text[start:]


def cells(text: str) -> list[list[str]]:
    """Return the rows of the tables in a text, without their heads."""
    rows = [re.split(r"(?<!\\)\|", line)[1:-1] for line in text.splitlines() if line[:1] == "|"]
    heads = [k for k, row in enumerate(rows) if set("".join(row)) <= set("-:")]
    drop = {k for h in heads for k in (h - 1, h)}
    return [[c.strip() for c in row] for k, row in enumerate(rows) if k not in drop]


def anchors(text: str) -> set[str]:
    """Return the anchors GitHub gives the headings of a page."""
    heads = re.findall(r"^#+ (.+)$", re.sub(r"```.*?```", "", text, flags=re.S), re.M)
    return {re.sub(r"[^\w\- ]", "", h.lower()).replace(" ", "-") for h in heads}


def links(text: str) -> list[tuple[str, str]]:
    """Return text and target of every relative link."""
    code = r"```.*?```"
    plain = re.sub(code, "", text, flags=re.S)
    found = re.findall(r"\[((?:[^\[\]]|\[[^\]]*\])*)\]\(([^)\s]+)\)", plain)
    return [(label, target) for label, target in found if "://" not in target]


PAPER = section(TEXT["theory.md"], "### Equations of the paper")
METHOD = section(TEXT["theory.md"], "### Equations of the method")


# ---------------------------------------------------------------- names


@pytest.mark.parametrize("page", TEXT)
def test_every_name_of_the_package_exists(page):
    for name in sorted(names(TEXT[page])):
        assert resolve(name) is not None, name


def test_the_tables_of_equations_name_public_functions():
    for name in sorted(names(PAPER) | names(METHOD)):
        found = resolve(name)
        assert callable(found) or isinstance(found, property), name
        assert not any(part.startswith("_") for part in name.split(".")), name


@pytest.mark.parametrize("name", sorted(names(PAPER)))
def test_functions_of_published_equations_say_which(name):
    text = inspect.getdoc(resolve(name))
    assert text is not None
    assert REFERENCE.search(text), name


# ---------------------------------------------------------------- equations


def test_equations_are_numbered_in_order_and_every_reference_exists():
    tags = [int(n) for n in re.findall(r"\\tag\{T(\d+)\}", TEXT["theory.md"])]
    assert tags == list(range(1, len(tags) + 1))
    for page, text in TEXT.items():
        cited = {int(n) for n in re.findall(r"\(T(\d+)\)", text)}
        assert cited <= set(tags), page


def test_every_numbered_number_of_the_paper_has_a_function():
    listed = set()
    for paper, _, _, function, _ in cells(PAPER):
        assert names(function)
        for first, last in re.findall(r"\((\w+)\)(?:-\((\w+)\))?", paper):
            listed |= numbers(first, last or first)
    prose = PAPER.split("| paper |")[0].replace("Appendix B,", "")
    without = set()
    for first, last in re.findall(r"\(([A-D]?\d+)\)(?:-\(([A-D]?\d+)\))?", prose):
        without |= numbers(first, last or first)
    everything = numbers("1", "61") | numbers("A1", "A25") | numbers("C1", "C9")
    assert everything | numbers("D1", "D5") == listed | without


def numbers(first: str, last: str) -> set[str]:
    """Return the numbers of equations from one to another of the same appendix."""
    head = first.rstrip("0123456789")
    assert head == last.rstrip("0123456789")
    return {f"{head}{k}" for k in range(int(first[len(head) :]), int(last[len(head) :]) + 1)}


def test_displays_are_plain_for_markdown():
    """No line of a display starts like a list or a heading, and none needs an escape."""
    for page, text in TEXT.items():
        parts = re.sub(r"```.*?```", "", text, flags=re.S).split("$$")
        assert len(parts) % 2 == 1, page
        for display in parts[1::2]:
            assert display.count("{") == display.count("}"), display
            assert not re.search(r"^\s*[-+=*#>]\s", display, re.M), display
            assert not re.search(r"\\[,;:!{}\\]", display), display
        for line in "".join(parts[0::2]).splitlines():
            outside = re.sub(r"`[^`]*`", "", line)
            assert outside.count("$") % 2 == 0, line


# ---------------------------------------------------------------- errata


def test_every_erratum_has_an_entry_and_is_cited_in_the_theory():
    text = TEXT["errata.md"]
    wanted = [f"E{k}" for k in range(1, 32)]
    assert re.findall(r"^## (E\d+)$", text, re.M) == wanted
    assert [row[0].split("]")[0][1:] for row in cells(text)] == wanted
    theory = TEXT["theory.md"]
    for entry in wanted:
        body = section(text, f"## {entry}")
        for part in ("Equation", "Printed", "Corrected", "Why", "Effect", "Tests"):
            assert f"**{part}** " in body, (entry, part)
        assert covered(entry, theory), entry


def covered(entry: str, text: str) -> bool:
    """Return whether an erratum is cited, by itself or within a range such as E10-E20."""
    number = int(entry[1:])
    ranges = re.findall(r"E(\d+)-E(\d+)", text)
    within = any(int(a) <= number <= int(b) for a, b in ranges)
    return within or re.search(rf"\b{entry}\b", text) is not None


def test_every_test_linked_in_the_errata_exists():
    found = [(a.strip("`"), t) for a, t in links(TEXT["errata.md"]) if a.startswith("`test_")]
    assert found
    for name, target in found:
        source = (DOCS / target).resolve().read_text(encoding="utf-8")
        assert f"\ndef {name}(" in source, (name, target)


def test_every_test_of_an_erratum_is_linked():
    linked = {a.strip("`") for a, _ in links(TEXT["errata.md"])}
    for file in sorted((ROOT / "tests" / "errata").glob("test_*.py")):
        defined = re.findall(r"^def (test_e\d\w*)\(", file.read_text(encoding="utf-8"), re.M)
        assert set(defined) <= linked, file.name


# ---------------------------------------------------------------- links


@pytest.mark.parametrize("page", LINKING, ids=lambda p: p.name)
def test_every_relative_link_leads_somewhere(page):
    text = page.read_text(encoding="utf-8")
    for label, target in links(text):
        path, _, anchor = target.partition("#")
        goal = (page.parent / path).resolve() if path else page
        assert goal.exists(), (label, target)
        if anchor and goal.suffix == ".md":
            assert anchor in anchors(goal.read_text(encoding="utf-8")), (label, target)


def test_the_index_links_every_page():
    targets = {target for _, target in links(TEXT["index.md"])}
    assert {p.name for p in PAGES} - {"index.md"} <= targets


def test_the_page_on_python_runs_as_it_is(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    code = "\n".join(re.findall(r"```python\n(.*?)```", TEXT["python.md"], flags=re.S))
    exec(compile(code, "python.md", "exec"), {})
    assert "spin current J_y at Pt|YIG" in capsys.readouterr().out


# ---------------------------------------------------------------- case file, results, cases


def test_the_reference_of_the_case_file_is_that_of_the_schema():
    page = runpy.run_path(str(DOCS / "make_case_reference.py"))["page"]
    assert TEXT["case-file.md"] == page(), "run python docs/make_case_reference.py"


def test_every_key_of_a_result_is_documented():
    layers = [
        {"region": "YIG", "thickness": "2 nm"},
        {"region": "F", "thickness": "0.5 nm", "cells": 4},
        {"region": "Pt", "thickness": "3 nm", "cells": 8},
    ]
    case = case_from_table(
        {
            "structure": {"layers": layers},
            "regions": {
                "YIG": {"kind": "FI", "magnet": {"saturation_magnetization": "1.4e5 A/m", "damping": 0.1}},
                "F": {
                    "kind": "F",
                    "dos": "5e46 1/(J*m^3)",
                    "diffusion_constant": "2e-4 m^2/s",
                    "kondo": {
                        "spin": 2.5,
                        "moment_density": "1e28 1/m^3",
                        "exchange_energy": "1 meV",
                        "curie_temperature": "559 K",
                    },
                },
                "Pt": {"kind": "HM", "material": "Pt"},
            },
            "drive": {
                "electric_field": ["1e5 V/m", "0 V/m", "0 V/m"],
                "magnetic_field": ["0 T", "0.1 T", "0 T"],
            },
            "dynamics": {"mode": "relax", "relax_torque": 1e-2, "frames": 2},
        }
    )
    names_of_the_case = {*case.regions, "Pt|F", "F|YIG"}
    known = set(re.findall(r"`([^`]+)`", TEXT["results.md"]))
    table = simulate(case).report
    for part in ("inputs", "versions", "conventions", "units"):
        assert part in known
        del table[part]
    missing = keys(table) - names_of_the_case - known
    assert not missing


def keys(table: Any) -> set[str]:
    """Return the keys of nested tables."""
    if isinstance(table, dict):
        return set(table).union(*(keys(v) for v in table.values()))
    if isinstance(table, list | tuple) and not isinstance(table, np.ndarray):
        return set().union(*(keys(v) for v in table))
    return set()


@pytest.mark.parametrize("case", sorted(p.name for p in (ROOT / "cases").glob("*.toml")))
def test_every_case_is_named_in_the_readme(case):
    """By its name, or by a pattern such as `scan_*.toml`."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    spans = {s.removeprefix("cases/") for s in re.findall(r"`([^`\n]+)`", text)}
    assert any(fnmatch(case, s) for s in spans if s.endswith(".toml"))


def test_the_documentation_speaks_of_the_project_alone():
    """No absolute path of some machine stands in a page."""
    for page, text in TEXT.items():
        assert not re.search(r"(?<![\w.])/(?:home|tmp|Users|root)/", text), page
