"""Sphinx configuration: `make docs` builds the pages without the internet."""

from __future__ import annotations

from importlib.metadata import version as installed_version

project = "port-webhook"
author = "port-webhook contributors"
copyright = f"2026, {author}"
version = release = installed_version("port-webhook")

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
exclude_patterns = ["_build"]
default_role = "py:obj"  # `name` in a docstring is code, and a link where it can be
html_theme = "furo"
html_title = f"port-webhook {release}"

myst_enable_extensions = ["colon_fence", "deflist", "smartquotes"]
myst_heading_anchors = 3

autodoc_member_order = "bysource"
autodoc_default_options = {"show-inheritance": True}
napoleon_use_ivar = True  # an Attributes section describes members, it adds none
autodoc_typehints = "description"
autodoc_typehints_description_target = "documented"

# `-n` reports names that lead nowhere. Ours must resolve, but for private base classes,
# type variables and the protocol of a decorator, which have no entry. Those of the
# standard library and of frameworks would need their inventories from the internet.
nitpick_ignore_regex = [
    (r"py:.*", r"(?!port_webhook\b).*"),
    (r"py:.*", r"port_webhook\.(\w+\.)*(_\w+|[A-Z]|\w*T(_co|_contra)?|Decorator)"),
]
# The built-in `type` in a signature is also the name of some models' fields.
suppress_warnings = ["ref.python"]
