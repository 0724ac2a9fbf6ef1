"""The `port-webhook` command, also as ``python -m port_webhook``."""

from __future__ import annotations

import sys

__all__ = ["main"]

_EXTRA = ("click", "httpx2", "rich", "starlette", "typer", "uvicorn")


def main() -> None:
    """Run the command; without its extra, say how to install it."""
    try:
        from port_webhook.devtools._app import app

        app(prog_name="port-webhook")
    except KeyboardInterrupt:  # before typer waits for it, while it is imported
        sys.exit(130)
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in _EXTRA:
            raise
        message = f'{error.name} is missing: pip install "port-webhook[cli]"\n'
        sys.stderr.write(message)
        sys.exit(2)


if __name__ == "__main__":
    main()
