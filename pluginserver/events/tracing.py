"""Spans of OpenTelemetry: one for each event, its callbacks as children: ``-otel``.

A span is joined to the trace of the client where the request carries ``traceparent`` (W3C).  Since Kong 3.2
a plugin server sees no trace of Kong's own, so without that header Kong's id of the request, 32 hexadecimal
digits since Kong 3.5, is taken for the trace's id: the spans of one request are in one trace.

Rules kept here:

* whoever does not want it pays nothing, and imports nothing of OpenTelemetry;
* the span is the current one while the handler runs: what an instrumented library does is a child of it;
* an ``exit`` is no error; the two questions that join a span are asked before it begins, and how they fail
  changes nothing.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from typing import Any, Final

from opentelemetry import trace
from opentelemetry.propagate import extract
from opentelemetry.trace import (
    NonRecordingSpan,
    Span,
    SpanContext,
    SpanKind,
    StatusCode,
    TraceFlags,
    Tracer,
)

from ..errors import PDKError
from ..version import __version__
from .callbacks import current
from .event import Event
from .outcome import Unwind

Call = Callable[[Any], object]

SYSTEM: Final = "kong"
"""``rpc.system``: which protocol it is."""

HEADER: Final = ("kong.request.get_header", "traceparent")
REQUEST_ID: Final = ("kong.nginx.get_var", "kong_request_id")


def tracing(plugin: str, phase: str, call: Call) -> Call:
    """A handler whose events have spans.

    :param call: the handler.
    """
    tracer = trace.get_tracer("pluginserver", __version__)
    name = f"{plugin}/{phase}"

    def traced(kong: Any) -> None:
        event = current()
        attributes: dict[str, Any] = {
            "rpc.system": SYSTEM,
            "rpc.service": plugin,
            "rpc.method": phase,
            "kong.pluginserver.instance": event.handler.instance_id,
            "kong.pluginserver.event": event.id,
        }
        with tracer.start_as_current_span(
            name,
            _parent(event),
            SpanKind.SERVER,
            attributes,
            record_exception=False,
            set_status_on_exception=False,
        ) as span:
            _run(event, span, tracer, lambda: call(kong))

    return traced


def _run(event: Event, span: Span, tracer: Tracer, call: Callable[[], object]) -> None:
    """Call a handler with a span for each callback."""
    runner = event.runner
    ask = runner.ask

    def asked(runner: Any, method: str, args: tuple[Any, ...]) -> Any:
        attributes = {"rpc.system": SYSTEM, "rpc.service": "pdk", "rpc.method": method}
        with tracer.start_as_current_span(method, kind=SpanKind.CLIENT, attributes=attributes):
            return ask(runner, method, args)

    runner.ask = asked
    try:
        call()
        event.send()
    except Unwind:
        if event.outcome is not None and event.outcome.call is not None:
            span.set_attribute("kong.pluginserver.ended_by", event.outcome.call[0])
        raise
    except BaseException as error:
        span.record_exception(error)
        span.set_status(StatusCode.ERROR, type(error).__name__)
        raise
    finally:
        runner.ask = ask


def _parent(event: Event) -> Any:
    """The context that an event's span belongs to; None for none."""
    header = _ask(event, *HEADER)
    if header:
        found = extract({"traceparent": header})
        if trace.get_current_span(found).get_span_context().is_valid:
            return found
    request = _ask(event, *REQUEST_ID)
    try:
        number = int(request, 16) if len(request) == 32 else 0
    except ValueError:
        number = 0
    if not number:
        return None
    parent = SpanContext(number, secrets.randbits(64) | 1, True, TraceFlags(TraceFlags.SAMPLED))
    return trace.set_span_in_context(NonRecordingSpan(parent))


def _ask(event: Event, method: str, name: str) -> str:
    """What Kong answers; empty for nothing, and where it cannot be asked."""
    if method in event.forbidden:
        return ""
    try:
        answer = event.runner.ask(event.runner, method, (name,))
    except PDKError:
        return ""
    return answer if isinstance(answer, str) else ""
