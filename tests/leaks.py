"""Marked values, and a search for them in all that an error tracker could collect.

The search walks an error with its arguments, attributes, cause and context, and the
locals of every frame of ours that the traceback passes, through containers, objects,
closures and bound methods.
"""

from __future__ import annotations

import base64
import functools
import hashlib
import hmac
import types
from pathlib import Path

import port_webhook

PACKAGE = str(Path(port_webhook.__file__).parent)
TESTS = str(Path(__file__).parent)
NOW = 1_713_277_889

# Each marker is found in its own text and in nothing else.
SECRET = "SECRET-marker-1b5e"
PREVIOUS = "PREVIOUS-marker-77aa"
PAYLOAD = b'{"marker":"PAYLOAD-marker-9c31","n":[1,2]}'
RESPELLED = PAYLOAD.replace(b":", b": ").replace(b",", b", ")
FORGED = base64.b64encode(b"SIGNATURE-marker-of-32-bytes-4d2").decode()


def mac_of(payload, secret=SECRET, timestamp=str(NOW)):
    message = timestamp.encode() + b"." + payload
    return hmac.digest(secret.encode(), message, hashlib.sha256)


def spell(mac):
    return base64.b64encode(mac).decode()


def needles_for(*payloads):
    """Return all that must not be found, as bytes."""
    macs = [
        mac_of(payload, secret)
        for payload in (PAYLOAD, RESPELLED, b"null", b"", *payloads)
        for secret in (SECRET, PREVIOUS)
    ]
    return [
        SECRET.encode(),
        PREVIOUS.encode(),
        b"PAYLOAD-marker-9c31",
        FORGED.encode(),
        base64.b64decode(FORGED),
        *macs,
        *(spell(mac).encode() for mac in macs),
        *(mac.hex().encode() for mac in macs),
    ]


def attributes_of(value):  # noqa: C901, PLR0912  # a case for each kind of holder
    """Yield what *value* refers to, by whatever way there is."""
    if isinstance(value, dict | types.MappingProxyType):
        yield from value.keys()
        yield from value.values()
    elif isinstance(value, list | tuple | set | frozenset):
        yield from value
    elif isinstance(value, types.MethodType):
        yield value.__self__
        yield value.__func__
    elif isinstance(value, types.FunctionType):
        for cell in value.__closure__ or ():
            try:
                yield cell.cell_contents
            except ValueError:  # an empty cell
                continue
        yield value.__defaults__
        yield value.__kwdefaults__
    elif isinstance(value, functools.partial):
        yield from (value.func, value.args, value.keywords)
    elif isinstance(value, types.GeneratorType):
        if value.gi_frame is not None:
            yield dict(value.gi_frame.f_locals)
    elif isinstance(value, types.CoroutineType):
        if value.cr_frame is not None:
            yield dict(value.cr_frame.f_locals)
    elif not isinstance(value, type | types.ModuleType):
        yield getattr(value, "__dict__", None)
        for kind in type(value).__mro__:
            for name in kind.__dict__.get("__slots__", ()):
                yield getattr(value, name, None)


class Search:
    """Look for the needles in everything that can be reached.

    With *below*, the frames of other libraries that ours call count, too.
    """

    def __init__(self, needles, *, below=False):
        self.needles = needles
        self.found = []
        self._below = below
        self._seen = {}

    def walk(self, value, place):
        if (
            value is None
            or isinstance(value, bool | int | float)
            or id(value) in self._seen
        ):
            return
        self._seen[id(value)] = value  # kept, so that no id is used twice
        if isinstance(value, str):
            self._look(value.encode("utf-8", "surrogatepass"), place)
        elif isinstance(value, bytes | bytearray | memoryview):
            self._look(bytes(value), place)
        else:
            # A module of the library and its globals hold code, not deliveries.
            for inner in attributes_of(value):
                self.walk(inner, f"{place} > {type(value).__name__}")
            if isinstance(value, BaseException):
                self.error(value, place)

    def error(self, error, place):
        self.walk(str(error), f"{place}: message")
        self.walk(repr(error), f"{place}: repr")
        self.walk(error.args, f"{place}: args")
        self.walk(vars(error), f"{place}: vars")
        self.walk(error.__cause__, f"{place}: cause")
        self.walk(error.__context__, f"{place}: context")
        trace = error.__traceback__
        ours = False
        while trace is not None:
            code = trace.tb_frame.f_code
            if code.co_filename.startswith(PACKAGE):
                ours = True
            elif not self._below or code.co_filename.startswith(TESTS):
                ours = False  # a user's own frame
            if ours:
                for name, value in trace.tb_frame.f_locals.items():
                    self.walk(value, f"{place}: {code.co_qualname}.{name}")
            trace = trace.tb_next

    def _look(self, text, place):
        if any(needle and needle in text for needle in self.needles):
            self.found.append(place)


def headers(payload=PAYLOAD, *, timestamp=str(NOW), signature=None):
    """Return the headers of a payload, in any case; by default they are genuine."""
    if signature is None:
        signature = spell(mac_of(payload, timestamp=timestamp))
    return {"X-Port-Timestamp": timestamp, "X-Port-Signature": f"v1,{signature}"}
