"""Serve an aiohttp application: ``python -m apps.run_aiohttp PORT MODULE:NAME``."""

from __future__ import annotations

import sys
from importlib import import_module

from aiohttp import web

if __name__ == "__main__":
    module, _, name = sys.argv[2].partition(":")
    web.run_app(
        getattr(import_module(module), name),
        host="127.0.0.1",
        port=int(sys.argv[1]),
        print=None,
    )
