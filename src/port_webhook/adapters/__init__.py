"""Adapters: one module for each framework, imported by its full name only.

Each one reads the exact bytes, calls the `Verifier`, and turns its errors into the
framework's response. Shared parts are in ``port_webhook.integration``.
"""
