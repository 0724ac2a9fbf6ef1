"""The recipes of docs/other-frameworks.md, each run with the framework itself."""
