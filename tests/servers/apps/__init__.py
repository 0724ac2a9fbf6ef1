"""One application per framework, each with the same three endpoints: see README.md."""
