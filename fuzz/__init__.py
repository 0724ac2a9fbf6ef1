"""Fuzzing: one function a target, for Hypothesis and for atheris; see README.md."""
