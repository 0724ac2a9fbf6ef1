"""The management commands of the replay store."""
