"""The adapters: modules for each framework's traps, split by subject."""
