"""The command, and the diagnosis behind it."""
