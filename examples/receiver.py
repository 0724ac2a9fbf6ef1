"""A Flask service that receives what Port sends; `make demo` starts it.

It prints its URL, then one JSON line for each delivery: what the library's logger
says of it. To see deliveries of your own, set ``PORT_CLIENT_SECRET`` and run it alone:
``python examples/receiver.py 8000``. With ``PORT_CLIENT_ID``, too, ``/report`` tells
Port how its runs end.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import sys

from flask import Flask
from werkzeug.serving import make_server

from port_webhook import Delivery, Verifier
from port_webhook.adapters.flask import webhook
from port_webhook.replay.memory import MemoryReplayStore
from port_webhook.reporting import PortClient

app = Flask(__name__)

# PORT_CLIENT_SECRET, and PORT_CLIENT_SECRET_PREVIOUS while a rotation lasts.
direct = Verifier.from_env()
agent = Verifier.from_env(agent=True)
once = Verifier.from_env(replay_store=MemoryReplayStore(single_process=True))


@app.post("/port")
@webhook(direct)
def port(delivery: Delivery) -> dict[str, str | None]:
    """Receive what Port sends itself."""
    return {"run": delivery.run_id}


@app.post("/agent")
@webhook(agent)
def forwarded(delivery: Delivery) -> dict[str, str | None]:
    """Receive what Port's execution agent forwards, too."""
    return {"run": delivery.run_id}


@app.post("/once")
@webhook(once)
def run_once(delivery: Delivery) -> dict[str, str | None]:
    """Run each signed request once."""
    return {"run": delivery.run_id}


if os.environ.get("PORT_CLIENT_ID"):
    # PORT_REGION, or PORT_BASE_URL, says where Port's API is.
    client = PortClient.from_env()

    @app.post("/report")
    @webhook(direct)
    def report(delivery: Delivery) -> dict[str, str | None]:
        """Do what was asked for, and report it."""
        inputs = delivery.invocation().inputs or {}
        with client.report(delivery) as run:
            run.log(f"creating a machine with {inputs['cpu']} CPUs")
            if "region" not in inputs:
                run.fail("The machine needs a region.")
            else:
                run.log(f"it starts in {inputs['region']}")
                run.update(status_label="Started", links="https://vm.example.com/1")
        return {"run": delivery.run_id}


class JsonLines(logging.Formatter):
    """Print a record of the library as one line of JSON."""

    def format(self, record: logging.LogRecord) -> str:
        """Keep the fields that start with ``port_``."""
        fields = {k: v for k, v in vars(record).items() if k.startswith("port_")}
        return json.dumps({"message": record.getMessage(), **fields})


def main() -> None:
    """Serve on the loopback interface until interrupted."""
    parser = argparse.ArgumentParser(description="Receive what Port sends.")
    parser.add_argument(
        "port",
        type=int,
        nargs="?",
        default=0,
        help="where to listen; a free one if none",
    )
    arguments = parser.parse_args()
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(JsonLines())
    logger = logging.getLogger("port_webhook")
    logger.addHandler(handler)
    logger.setLevel(logging.DEBUG)
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = make_server("127.0.0.1", arguments.port, app, threaded=True)
    print(f"http://127.0.0.1:{server.server_port}", flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main()
