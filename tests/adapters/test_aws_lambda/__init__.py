"""The Lambda adapter's own traps, by subject."""
