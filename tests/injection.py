"""Raise an exception at the n-th line of the library that a call runs.

Two moments cannot be covered by any boundary, and are left out: the lines of a
function that is a boundary until it is in its ``try``, and the lines that do the
cleaning, from the ``except`` until `clean` has returned.
"""

from __future__ import annotations

import ast
import sys
from functools import cache
from pathlib import Path

from .leaks import PACKAGE

TRACEBACKS = f"{PACKAGE}/_tracebacks.py"


class Stop(BaseException):
    """As a worker's abort signal, Ctrl-C or an exit."""


class SoftTimeLimit(Exception):  # noqa: N818  # as Celery names its own
    """As a time limit that a task may catch."""


@cache
def uncovered(filename):
    """Return the lines of a file that are one of the two moments."""
    tree = ast.parse(Path(filename).read_text("utf-8"))
    return {
        line
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        for line in _uncovered_in(node, all_of_it=filename == TRACEBACKS)
    }


def _uncovered_in(function, *, all_of_it):
    guards = [each for each in function.body if _cleans(each)]
    if all_of_it:
        # The decorator's wrappers call the function that they guard in their `try`.
        lines = {line for guard in guards for each in guard.body for line in span(each)}
        yield from set(span(function)) - lines
        return
    for guard in guards:
        yield from range(function.lineno, guard.lineno + 1)
        (handler,) = guard.handlers
        last = next(each for each in handler.body if _is_cleaning(each))
        yield from range(handler.lineno, last.end_lineno + 1)
    if function.name == "_leave":
        yield from range(function.lineno, function.body[1].end_lineno + 1)


def span(node):
    return range(node.lineno, node.end_lineno + 1)


def _cleans(node):
    return isinstance(node, ast.Try) and any(
        ast.unparse(handler.type or ast.Constant(0)) == "BaseException"
        and any(map(_is_cleaning, handler.body))
        for handler in node.handlers
    )


def _is_cleaning(node):
    return ast.unparse(node) in ("clean(error)", "self._leave(error)")


def is_boundary(function):
    """Tell whether *function* is a boundary: decorated, or by its own body."""
    code = function.__code__
    if code.co_filename == TRACEBACKS:
        return hasattr(function, "__wrapped__") and code.co_name.startswith("guarded")
    tree = ast.parse(Path(code.co_filename).read_text("utf-8"))
    return any(
        isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and node.name == code.co_name
        and node.lineno == code.co_firstlineno
        and any(map(_cleans, node.body))
        for node in ast.walk(tree)
    )


def is_unprotected(trace):
    """Tell whether an exception was raised in one of the two moments."""
    at = None
    while trace is not None:
        if trace.tb_frame.f_code.co_filename.startswith(PACKAGE):
            at = trace.tb_frame.f_code.co_filename, trace.tb_lineno
        trace = trace.tb_next
    return at is not None and at[1] in uncovered(at[0])


def interrupt(call, number, kind):
    """Call; raise *kind* at the line with this *number*, counted from 1.

    Returns:
        What the call raised, and whether it ran as many lines.
    """
    count = 0

    def trace_calls(frame, _event, _arg):
        filename = frame.f_code.co_filename
        # A module that is imported late runs no code that sees a payload.
        if not filename.startswith(PACKAGE) or frame.f_code.co_name == "<module>":
            return None
        skipped = uncovered(filename)

        def trace_lines(frame, event, _):
            nonlocal count
            if event == "line" and frame.f_lineno not in skipped:
                count += 1
                if count == number:
                    raise kind
            # Behind that line, nothing need be counted any more.
            return trace_lines if count < number else None

        return trace_lines if count < number else None

    def run():
        before = sys.gettrace()
        sys.settrace(trace_calls)
        try:
            call()
        except BaseException as error:  # it is what is looked into
            sys.settrace(before)
            yield error
        else:
            sys.settrace(before)
            yield None

    # A generator has a state of exceptions of its own: an exception that a trace
    # function raises between two blocks may leave the interpreter's in disorder.
    (error,) = run()
    return error, count >= number
