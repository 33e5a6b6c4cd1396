"""Connections in Kong's stream subsystem: see pluginserver/testing/kong/stream.py."""

from __future__ import annotations

from typing import Any

import pytest
from support.scripted import Handler, Scripted, does

from pluginserver.testing import TLS, Gateway, HandshakeFailed, PluginBug


def a_gateway(**plugins: dict[str, Handler]) -> Gateway:
    kong = Gateway(Scripted(**plugins))
    for name in plugins:
        kong.plugin(name)
    return kong


def words(kong: Gateway) -> list[str]:
    return [line.message for line in kong.exchange.logs]


def all_phases() -> dict[str, Handler]:
    phases = ("certificate", "rewrite", "access", "preread", "response", "log")
    return {phase: does(("kong.log", phase)) for phase in phases}


@pytest.mark.parametrize(
    ("tls", "phases"),
    [(None, ["preread", "log"]), (TLS(server_name="x"), ["certificate", "preread", "log"])],
)
def test_the_phases_of_a_connection(tls: TLS | None, phases: list[str]) -> None:
    kong = a_gateway(p=all_phases())
    assert kong.connect(tls=tls).status == 200
    assert words(kong) == phases
    assert kong.exchange.source == "service"
    assert kong.exchange.service_request is None


def test_what_a_plugin_can_ask_in_preread() -> None:
    kong = a_gateway(
        p={
            "preread": does(
                ("kong.nginx.get_subsystem",),
                ("kong.request.get_port",),
                ("kong.nginx.get_var", "remote_addr"),
            ),
            "log": does(("kong.nginx.get_subsystem",)),
        }
    )
    kong.connect(port=9001, client_ip="10.0.0.1")
    assert [call.answer for call in kong.callbacks] == ["stream", 9001, "10.0.0.1", "stream"]


def test_an_exit_ends_the_connection_but_not_the_log() -> None:
    kong = a_gateway(
        b={"preread": does(("kong.response.exit", 403, "no")), "log": does(("kong.log", "b"))},
        a={"preread": does(("kong.log", "never")), "log": does(("kong.log", "a"))},
    )
    response = kong.connect()
    assert (response.status, response.text, kong.exchange.source) == (403, "no", "exit")
    assert words(kong) == ["b", "a"]


@pytest.mark.parametrize(
    ("call", "why"),
    [
        (("kong.response.exit", 401), "only 200, 400, 403, 500, 502 and 503 are accepted"),
        (("kong.request.get_method",), "kong.request.get_method cannot be called in preread"),
    ],
)
def test_what_throws_ends_the_connection(call: tuple[Any, ...], why: str) -> None:
    kong = a_gateway(p={"preread": does(call)})
    with pytest.raises(PluginBug, match=why):
        kong.connect()
    assert kong.connect(raise_bugs=False).status == 500


def test_a_plugin_that_fails_in_certificate_fails_the_handshake() -> None:
    kong = a_gateway(p={"certificate": does(("kong.request.get_method",))})
    with pytest.raises(HandshakeFailed):
        kong.connect(tls=TLS(), raise_bugs=False)


def test_connections_are_routed_by_port_address_and_name() -> None:
    kong = Gateway(Scripted(**{name: {"preread": does(("kong.log", name))} for name in "abc"}))
    by_port = kong.route(protocols=["tcp"], destinations=[{"port": 9000}])
    by_address = kong.route(protocols=["tcp", "tls"], sources=[{"ip": "10.0.0.0/8"}])
    by_name = kong.route(protocols=["tls"], snis=["c.example"])
    for route, name in ((by_port, "a"), (by_address, "b"), (by_name, "c")):
        route.plugin(name)
    for more, wanted in (
        ({"port": 9000}, ["a"]),
        ({"port": 9001, "client_ip": "10.1.2.3"}, ["b"]),
        ({"port": 9001, "tls": TLS(server_name="c.example")}, ["c"]),
        ({"port": 9001}, ["no Route found with those values"]),
    ):
        status = kong.connect(**more).status  # type: ignore[arg-type]
        assert (words(kong), status) == (wanted, 500 if "Route" in wanted[0] else 200)


def test_a_connection_without_a_service() -> None:
    kong = a_gateway(p={"preread": does(("kong.log", "p"))})
    kong.route(protocols=["tcp"]).data["service"] = None
    assert kong.connect().status == 500
    assert words(kong) == ["p", "no Service found with those values"]
