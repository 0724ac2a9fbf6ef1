"""The migrations of the replay store."""
