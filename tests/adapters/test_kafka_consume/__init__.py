"""Tests of `consume` and `aconsume`."""
