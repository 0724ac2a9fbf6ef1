"""The replay stores: one suite of laws for all, and a module for each."""
