"""``-otel``: spans of events and callbacks."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from support.client import Client, Failed

from pluginserver import Kong, PluginServer

Serve = Callable[..., PluginServer]

TRACE = "0af7651916cd43dd8448eb211c80319c"
SPAN = "b7ad6b7169203331"
REQUEST = "1f0e9d8c7b6a59483726150413121110"


class Does:
    """Asks, and makes a span of its own; in other phases it ends otherwise."""

    name, version, priority = "p", "1.0.0", 7

    def access(self, kong: Kong) -> None:
        with trace.get_tracer("theirs").start_as_current_span("own"):
            kong.request.get_method()

    def rewrite(self, kong: Kong) -> None:
        kong.response.exit(204)

    def log(self, kong: Kong) -> None:
        raise ValueError("no")


@pytest.fixture(scope="module")
def exporter() -> InMemorySpanExporter:
    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    trace.set_tracer_provider(provider)
    return exporter


@pytest.fixture
def client(serve: Serve, exporter: InMemorySpanExporter) -> Iterator[Client]:
    exporter.clear()
    server = serve(Does, otel=True, on_error=lambda _event, _error: None)
    with Client(server.socket_path) as client:
        yield client


def answers(**known: str) -> Callable[[str, Any], Any]:
    def answer(method: str, args: Any) -> Any:
        return known.get(args[0]) if args else "GET"

    return answer


def found(exporter: InMemorySpanExporter) -> dict[str, ReadableSpan]:
    return {span.name: span for span in exporter.get_finished_spans()}


def test_an_event_is_a_span_and_its_callbacks_are_children(
    client: Client, exporter: InMemorySpanExporter
) -> None:
    calls = client.play(client.start("p"), answers=answers(traceparent=f"00-{TRACE}-{SPAN}-01"))
    assert calls[0] == ("kong.request.get_header", ["traceparent"])
    assert len(calls) == 2
    spans = found(exporter)
    event, own, callback = spans["p/access"], spans["own"], spans["kong.request.get_method"]
    assert event.kind is trace.SpanKind.SERVER
    assert callback.kind is trace.SpanKind.CLIENT
    assert event.parent is not None and own.parent is not None and callback.parent is not None
    assert format(event.parent.span_id, "016x") == SPAN
    assert {format(one.context.trace_id, "032x") for one in spans.values()} == {TRACE}
    assert own.parent.span_id == event.context.span_id
    assert callback.parent.span_id == own.context.span_id
    assert event.attributes is not None
    assert event.attributes["rpc.service"] == "p"
    assert event.attributes["rpc.method"] == "access"
    assert event.status.is_unset or event.status.is_ok


def test_without_a_header_the_spans_of_a_request_share_the_trace_of_its_id(
    client: Client, exporter: InMemorySpanExporter
) -> None:
    instance = client.start("p")
    for _ in range(2):
        client.play(instance, answers=answers(kong_request_id=REQUEST))
    spans = exporter.get_finished_spans()
    assert len(spans) == 6
    assert {format(one.context.trace_id, "032x") for one in spans} == {REQUEST}


@pytest.mark.parametrize("known", [{}, {"kong_request_id": "short"}, {"traceparent": "nonsense"}])
def test_a_request_that_says_neither_has_a_trace_of_its_own(
    known: dict[str, str], client: Client, exporter: InMemorySpanExporter
) -> None:
    client.play(client.start("p"), answers=answers(**known))
    assert found(exporter)["p/access"].parent is None


def test_an_exit_is_no_error_and_an_exception_is(
    client: Client, exporter: InMemorySpanExporter
) -> None:
    instance = client.start("p")
    client.play(instance, "rewrite", answers())
    with pytest.raises(Failed):
        client.play(instance, "log", answers())
    spans = found(exporter)
    left = spans["p/rewrite"]
    assert left.attributes is not None
    assert left.attributes["kong.pluginserver.ended_by"] == "kong.response.exit"
    assert not left.events
    failed = spans["p/log"]
    assert failed.status.status_code is trace.StatusCode.ERROR
    assert [one.name for one in failed.events] == ["exception"]


def test_events_that_overlap_keep_their_spans_apart(
    client: Client, exporter: InMemorySpanExporter
) -> None:
    instance = client.start("p")
    open_events = [client.begin(instance) for _ in range(2)]
    for _ in range(3):
        for event in open_events:
            client.step(event["EventId"])
    events = [one for one in exporter.get_finished_spans() if one.name == "p/access"]
    own = [one for one in exporter.get_finished_spans() if one.name == "own"]
    assert len({one.context.trace_id for one in events}) == 2
    assert {one.parent.span_id for one in own if one.parent} == {
        one.context.span_id for one in events
    }


def test_both_watchers_may_be_there(serve: Serve, exporter: InMemorySpanExporter) -> None:
    exporter.clear()
    server = serve(Does, otel=True, report_cost=True)
    with Client(server.socket_path) as client:
        calls = client.play(client.start("p"), answers=answers())
    assert [args[0] for method, args in calls if method.endswith("serialize_value")] == [
        "pluginserver.p.ms",
        "pluginserver.p.round_trips",
    ]
    assert len(found(exporter)) == 4
