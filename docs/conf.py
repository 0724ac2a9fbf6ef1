"""Sphinx configuration: `make docs` builds the pages without the internet."""

from __future__ import annotations

import re
from importlib.metadata import version as installed_version
from typing import TYPE_CHECKING

from django.conf import settings
from sphinx.util.nodes import make_refnode

if TYPE_CHECKING:
    from docutils.nodes import Element
    from sphinx.application import Sphinx
    from sphinx.environment import BuildEnvironment

settings.configure()  # Django Ninja reads them when it is imported

project = "port-webhook"
author = "port-webhook contributors"
copyright = f"2026, {author}"
version = release = installed_version("port-webhook")

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx_inline_tabs",
]
exclude_patterns = ["_build"]
default_role = "py:obj"  # `name` in a docstring is code, and a link where it can be
html_theme = "furo"
html_title = f"port-webhook {release}"
html_static_path = ["_styles"]
html_css_files = ["pages.css"]
html_extra_path = ["_extra"]  # the signature debugger, a page of its own

myst_enable_extensions = ["colon_fence", "deflist", "smartquotes", "tasklist"]
myst_heading_anchors = 3

autodoc_member_order = "bysource"
napoleon_use_ivar = True  # an Attributes section describes members, it adds none
autodoc_typehints = "description"
autodoc_typehints_description_target = "documented"
autodoc_preserve_defaults = True  # `clock=time.time`, not where it is in memory

# `-n` reports names that lead nowhere. Ours must resolve, but for private base classes,
# type variables and the protocol of a decorator, which have no entry. Those of the
# standard library and of frameworks would need their inventories from the internet.
nitpick_ignore_regex = [
    (r"py:.*", r"(?!port_webhook\b).*"),
    (r"py:.*", r"port_webhook\.(\w+\.)*(_\w+|[A-Z]|\w*T(_co|_contra)?|Decorator)"),
    (r"py:.*", r"port_webhook\.models\._(shapes\.Message|generic\.InputsModel).*"),
]
# The built-in `type` in a signature is also the name of some models' fields.
suppress_warnings = ["ref.python"]

# Any character that no docstring holds.
_COLON = "\ue000"
_CITATION = re.compile(r"\(protocol, section (\d)\)")


def _before_napoleon(
    app: Sphinx, what: str, name: str, obj: object, options: object, lines: list[str]
) -> None:
    """Keep "text: text" together where Napoleon would take it for "type: text".

    It does so in the summary of a property and under Returns. Types are annotations
    here, so that colon is one of the sentence. Citations become links.
    """
    is_value = what in {"attribute", "data", "property"}
    for index, line in enumerate(lines):
        if (index == 0 and is_value) or lines[index - 1].strip() == "Returns:":
            lines[index] = line.replace(": ", f"{_COLON} ")
        lines[index] = _CITATION.sub(
            r"(:doc:`protocol, section \1 <protocol>`)", lines[index]
        )


def _after_napoleon(
    app: Sphinx, what: str, name: str, obj: object, options: object, lines: list[str]
) -> None:
    """Restore the colons."""
    # Napoleon takes the type of an argument from an attribute of the same name.
    lines[:] = [
        line.replace(_COLON, ":") for line in lines if not line.startswith(":type ")
    ]


def _skip(
    app: Sphinx, what: str, name: str, obj: object, skip: object, options: object
) -> bool | None:
    """Leave out the fields of a named tuple: its Attributes section describes them."""
    return True if type(obj).__name__ == "_tuplegetter" else None


def _show_bases(
    app: Sphinx, name: str, obj: object, options: object, bases: list[object]
) -> None:
    """Put their own bases in the place of private ones."""
    while private := [
        base
        for base in bases
        if isinstance(base, type) and base.__name__.startswith("_")
    ]:
        for base in private:
            place = bases.index(base)
            bases[place : place + 1] = base.__bases__


def _resolve(
    app: Sphinx, env: BuildEnvironment, node: Element, content: Element
) -> Element | None:
    """Link a name of a private module to the public place that it is described at."""
    target: str = node.get("reftarget", "")
    if node.get("refdomain") != "py" or not target.startswith("port_webhook."):
        return None
    name = target.rpartition(".")[2]
    objects = env.domains.python_domain.objects
    found = [each for each in objects if each.endswith(f".{name}")]
    if not found:
        return None
    entry = objects[min(found, key=len)]
    return make_refnode(
        app.builder, node["refdoc"], entry.docname, entry.node_id, [content]
    )


def setup(app: Sphinx) -> None:
    """Connect what changes docstrings on their way to the API page."""
    app.connect("autodoc-process-docstring", _before_napoleon, priority=400)
    app.connect("autodoc-process-docstring", _after_napoleon, priority=600)
    app.connect("autodoc-skip-member", _skip)
    app.connect("autodoc-process-bases", _show_bases)
    app.connect("missing-reference", _resolve)
