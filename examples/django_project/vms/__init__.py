"""The app that runs the actions of the blueprint ``vm``."""
