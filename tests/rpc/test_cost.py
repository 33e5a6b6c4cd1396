"""``-report-cost``: Kong is told what a plugin has cost a request."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from support.client import Client, Failed

from pluginserver import Kong, PluginServer

Serve = Callable[..., PluginServer]
SET = "kong.log.set_serialize_value"


class Ends:
    """Ends in each phase in another way."""

    name, version, priority = "my-plugin", "1.0.0", 7

    def rewrite(self, kong: Kong) -> None:
        kong.request.get_method()
        kong.response.exit(204)

    def access(self, kong: Kong) -> None:
        kong.request.get_method()
        kong.client.get_ip()

    def response(self, kong: Kong) -> None:
        raise ValueError("no")

    def log(self, kong: Kong) -> None:
        kong.request.get_header("x")


def played(serve: Serve, phase: str, answers: Any = lambda *_: "x", **options: Any) -> Any:
    server = serve(Ends, on_error=lambda _event, _error: None, **options)
    with Client(server.socket_path) as client:
        return client.play(client.start("my-plugin"), phase, answers)


@pytest.mark.parametrize(
    ("phase", "trips", "last"),
    [
        ("rewrite", 1, "kong.response.exit"),
        ("access", 2, SET),
        ("response", 0, "kong.response.error"),
    ],
)
def test_two_calls_before_the_end_tell_time_and_round_trips(
    serve: Serve, phase: str, trips: int, last: str
) -> None:
    calls = played(serve, phase, report_cost=True)
    (first, time), (second, count) = (args for method, args in calls if method == SET)
    assert first == "pluginserver.my-plugin.ms"
    assert time >= 0
    assert (second, count) == ("pluginserver.my-plugin.round_trips", trips)
    assert calls[-1][0] == last


@pytest.mark.parametrize("options", [{}, {"report_cost": False}])
def test_nothing_is_told_by_default(serve: Serve, options: dict[str, bool]) -> None:
    assert [method for method, _ in played(serve, "access", **options)] == [
        "kong.request.get_method",
        "kong.client.get_ip",
    ]


def test_nothing_is_told_where_it_would_come_too_late(serve: Serve) -> None:
    assert SET not in dict(played(serve, "log", report_cost=True))


class Sets:
    """Sets a header at its end, which waits to travel with others."""

    name, version, priority = "p", "1.0.0", 7

    def access(self, kong: Kong) -> None:
        kong.response.set_header("x-a", "1")
        kong.response.set_header("x-b", "2")


def test_what_waits_to_travel_is_counted(serve: Serve) -> None:
    server = serve(Sets, report_cost=True)
    with Client(server.socket_path) as client:
        instance = client.start("p")
        for _ in range(8):
            calls = client.play(instance)
    methods = [method for method, _ in calls]
    assert methods == ["kong.response.set_headers", SET, SET]
    assert calls[-1][1] == ["pluginserver.p.round_trips", 1]


def test_that_kong_refuses_it_changes_nothing(serve: Serve) -> None:
    server = serve(Ends, report_cost=True)
    with Client(server.socket_path) as client:
        out = client.begin(client.start("my-plugin"), "access")
        while out["Data"]["Method"] != SET:
            out = client.step(out["EventId"], "x")
        out = client.call("plugin.StepError", {"EventId": out["EventId"], "Data": "no"})
        assert out["Data"] == "ret"
        with pytest.raises(Failed):
            client.step(out["EventId"])
