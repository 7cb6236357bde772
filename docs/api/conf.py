"""Sphinx: the API reference from docstrings."""

import re

project = "femspin"
extensions = ["sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx.ext.mathjax"]
html_theme = "furo"
html_title = "femspin"
autodoc_typehints = "signature"
autodoc_member_order = "bysource"
autodoc_preserve_defaults = True
napoleon_google_docstring = True
napoleon_numpy_docstring = False
napoleon_use_ivar = True
default_role = "literal"
exclude_patterns = ["_build"]
suppress_warnings = ["ref.python"]  # two classes named Drive, one of a case and one of a magnet


def plain_signs(app, what, name, obj, options, lines):
    """Keep |x|, x_ and x* of formulas in docstrings from being read as markup."""
    in_math = -1
    for k, line in enumerate(lines):
        indent = len(line) - len(line.lstrip())
        if line.strip() and in_math >= 0 and indent <= in_math:
            in_math = -1
        if line.lstrip().startswith((".. math::", ">>>")):
            in_math = indent
        if in_math < 0:
            parts = re.split(r"(``.*?``|:\w+:`.*?`|`[^`]*`)", line)
            parts[::2] = [
                re.sub(r"(?<=\w)_(?!\w)|\||(?<=\w)\*(?!\*)|(?<!\*)\*(?=\w)", r"\\\g<0>", p)
                for p in parts[::2]
            ]
            lines[k] = "".join(parts)


def setup(app):
    """Run `plain_signs` before docstrings are taken apart into sections."""
    app.connect("autodoc-process-docstring", plain_signs, priority=400)
