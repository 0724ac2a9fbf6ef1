"""Tests of the client of Port's API, against a server that plays it."""
