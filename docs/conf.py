"""How Sphinx builds these pages: `make docs`."""

from sphinx.application import Sphinx
from sphinx.pycode import ModuleAnalyzer

import stones

project = "stones"
author = "The stones developers"
copyright = "2026, The stones developers"
version = release = stones.__version__

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.autosummary"]
exclude_patterns = ["_build"]

html_theme = "furo"
html_title = f"stones {release}"
html_show_sphinx = False

# Docstrings are read in an editor more often than here: `name` in them is code, as in Markdown.
default_role = "code"
autodoc_default_options = {"members": True, "member-order": "bysource", "show-inheritance": True}
autodoc_typehints_format = "short"
autosummary_generate = False  # only the tables; the docstrings are on the same page
autodoc_preserve_defaults = True
python_maximum_signature_line_length = 88

myst_enable_extensions = ["deflist"]
myst_heading_anchors = 3


# `Mapping.get` has a docstring that describes nothing but the signature.
INHERITED = {"stones.Collection.get": "The record of `key`, or `default` if there is no such key."}


def describe_inherited(
    _app: Sphinx, _what: str, name: str, _object: object, _options: object, lines: list[str]
) -> None:
    """Replace the docstring of an inherited method by a line of its own."""
    if name in INHERITED:
        lines[:] = [INHERITED[name]]


def setup(app: Sphinx) -> None:
    """Let autodoc show one signature a function: that of its implementation, not its overloads."""
    analyze = ModuleAnalyzer.analyze

    def analyze_without_overloads(analyzer: ModuleAnalyzer) -> None:
        analyze(analyzer)
        analyzer.overloads = {}

    ModuleAnalyzer.analyze = analyze_without_overloads
    app.connect("autodoc-process-docstring", describe_inherited)
