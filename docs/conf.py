"""How Sphinx builds these pages: `make docs`."""

import stones

project = "stones"
author = "The stones developers"
copyright = "2026, The stones developers"
version = release = stones.__version__

extensions = ["myst_parser", "sphinx.ext.autodoc"]
exclude_patterns = ["_build"]

html_theme = "furo"
html_title = f"stones {release}"
html_show_sphinx = False

# Docstrings are read in an editor more often than here: `name` in them is code, as in Markdown.
default_role = "code"
autodoc_default_options = {"members": True, "member-order": "bysource", "show-inheritance": True}
autodoc_typehints_format = "short"
autodoc_preserve_defaults = True
python_maximum_signature_line_length = 88

myst_enable_extensions = ["deflist"]
myst_heading_anchors = 3
