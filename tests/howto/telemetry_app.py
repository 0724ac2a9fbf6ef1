"""A script that prints the spans and counts of the ``verifier`` that stdin defines."""

import json
import os
import sys
from typing import Any

from flask import Flask
from opentelemetry import metrics, trace
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from werkzeug.test import Client

from port_webhook import sign
from port_webhook.adapters.flask import webhook

SECRET = os.environ["PORT_CLIENT_SECRET"] = "the client secret of your organisation"
spans = InMemorySpanExporter()
provider = TracerProvider()
provider.add_span_processor(SimpleSpanProcessor(spans))
trace.set_tracer_provider(provider)
reader = InMemoryMetricReader()
metrics.set_meter_provider(MeterProvider([reader]))

namespace = {}
exec(sys.stdin.read(), namespace)  # noqa: S102  # a block of the page

app = Flask("hooks")
view = webhook(namespace["verifier"])(lambda delivery: {"run": delivery.run_id})
app.post("/port")(view)


def traced(environ, start_response):
    """Stand for the instrumentation: a span around each request."""
    with trace.get_tracer("server").start_as_current_span("POST /port"):
        return app.wsgi_app(environ, start_response)


client = Client(traced)
body = b'{"context":{"runId":"r_1"}}'
client.post("/port", data=body, headers=sign(body, SECRET))
client.post("/port", data=body)

data = reader.get_metrics_data()
assert data is not None
points: list[Any] = [
    *data.resource_metrics[0].scope_metrics[0].metrics[0].data.data_points
]
found = spans.get_finished_spans()
result = {
    "spans": [dict(each.attributes or {}) for each in found],
    "statuses": [each.status.status_code.name for each in found],
    "counts": [[dict(each.attributes or {}), each.value] for each in points],
}
sys.stdout.write(json.dumps(result) + "\n")
