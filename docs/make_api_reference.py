"""Write the pages of the API reference: one of the public names, one of every folder.

python docs/make_api_reference.py                      # pages, into docs/api
python -m sphinx -W -b html docs/api docs/api/_build   # HTML of them; pip install "femspin[docs]"
"""

from __future__ import annotations

import ast
from pathlib import Path

import femspin

PAGES = Path(__file__).parent / "api"
SOURCE = Path(femspin.__file__).parent
FOLDERS = (
    "case",
    "materials",
    "fields",
    "structure",
    "bands",
    "transport",
    "interface",
    "magnets",
    "device",
    "results",
    "studies",
)


def summary(file: Path) -> str:
    """Return the first line of the docstring of a file."""
    return (ast.get_docstring(ast.parse(file.read_text(encoding="utf-8"))) or "").split("\n")[0]


def page(title: str, text: str, blocks: list[str]) -> str:
    """Return a page of reStructuredText."""
    return "\n".join([title, "=" * len(title), "", text, "", *blocks])


def public() -> str:
    """Return the page of the public names."""
    blocks = []
    for name in sorted(n for n in femspin.__all__ if not n.startswith("_")):
        value = getattr(femspin, name)
        kind = (
            "module"
            if not isinstance(value, type) and not callable(value)
            else ("class" if isinstance(value, type) else "function")
        )
        if kind == "module":
            continue
        home = f"{value.__module__}.{value.__qualname__}"
        members = "   :members:\n   :exclude-members: model_config\n" if kind == "class" else ""
        blocks.append(f".. auto{kind}:: {home}\n   :no-index:\n{members}")
    return page("femspin", "The public names, each imported from ``femspin`` itself.", blocks)


def folder(name: str) -> str:
    """Return the page of a folder: its files in the order of their names."""
    blocks = []
    for file in sorted((SOURCE / name).rglob("*.py")):
        parts = file.relative_to(SOURCE).with_suffix("").parts
        if parts[-1] == "__init__" or "kernels" in parts:
            continue
        module = ".".join(("femspin", *parts))
        blocks.append(f"{module}\n{'-' * len(module)}\n\n.. automodule:: {module}\n   :members:\n")
    return page(f"femspin.{name}", summary(SOURCE / name / "__init__.py"), blocks)


def main() -> None:
    """Write all pages."""
    PAGES.mkdir(exist_ok=True)
    names = ["public", *FOLDERS]
    (PAGES / "public.rst").write_text(public(), encoding="utf-8")
    for name in FOLDERS:
        (PAGES / f"{name}.rst").write_text(folder(name), encoding="utf-8")
    toc = [".. toctree::", "   :maxdepth: 2", "", *(f"   {name}" for name in names)]
    text = "Public names first, then the folders in the order in which a case passes them."
    (PAGES / "index.rst").write_text(page("API reference", text, toc) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
