"""Where the spans of a process that serves go: to a collector, by OTLP over HTTP.

Rules kept here:

* what OpenTelemetry reads from the environment (``OTEL_EXPORTER_OTLP_ENDPOINT``, ``OTEL_SERVICE_NAME``,
  ``OTEL_TRACES_SAMPLER``) decides;
* a program that has set up a provider of its own keeps it: this is for a process that is the server alone.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import SERVICE_NAME, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor

NAME: Final = "kong-python-server"
"""The name of the service, where the environment has none."""


@contextmanager
def exporting_spans() -> Iterator[None]:
    """Send spans from now on; at the end of the block those that are left are sent."""
    named = {} if os.environ.get("OTEL_SERVICE_NAME") else {SERVICE_NAME: NAME}
    provider = TracerProvider(resource=Resource.create(named))
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    trace.set_tracer_provider(provider)
    try:
        yield
    finally:
        provider.shutdown()
