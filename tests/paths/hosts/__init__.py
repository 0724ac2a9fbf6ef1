"""Applications under test; see `test_real_servers.py`."""
