"""Tests of the WSGI middleware."""
