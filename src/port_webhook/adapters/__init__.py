"""Adapters: one module for each framework, imported by its full name only.

Each one gets the exact bytes, calls the `Verifier`, and turns its errors into the
framework's answer. What they share stands in ``port_webhook.integration``.
"""
