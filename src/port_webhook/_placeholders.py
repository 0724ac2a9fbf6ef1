"""Placeholders where a secret belongs, because nothing filled them in."""

from __future__ import annotations

import re

__all__ = ["is_placeholder"]

# What wraps text of any kind in templates: of shells, Helm and GitHub, and ERB.
_WRAPPED = (("${", "}"), ("{{", "}}"), ("<%", "%>"))
# `$NAME`, `$env:NAME` and `%NAME%`, in upper, lower or camel case, since a random
# secret may begin with a dollar sign; `$(NAME)`, `{name}`, `#{name}`, `<your name>`.
_NAME = r"(?:[A-Z_][A-Z0-9_]*|[a-z_][a-z0-9_]*|[a-z]+(?:[A-Z][a-z]+)+)"
_WORDS = r" *[.$]?[A-Za-z_]\w*(?:[ .:/'-]+\w+)* *"
# Compiled only for what begins like one: that takes half as long as the import.
_PATTERN = rf"\$(?:env:)?{_NAME}|%{_NAME}%|\$\({_WORDS}\)|#?\{{{_WORDS}\}}|<{_WORDS}>"
_STARTS = ("$", "%", "#", "{", "<")
_LONGEST = 63  # so that no random secret of 64 characters is refused


def is_placeholder(text: str) -> bool:
    """Tell whether the whole of *text* stands for a value that was to replace it."""
    if text in {"…", "..."}:
        return True
    if not text.startswith(_STARTS):
        return False
    if any(text.startswith(start) and text.endswith(end) for start, end in _WRAPPED):
        return True
    return len(text) <= _LONGEST and bool(re.fullmatch(_PATTERN, text, re.ASCII))
