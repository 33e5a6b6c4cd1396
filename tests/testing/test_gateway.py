"""A request's cycle through the simulated Kong: see pluginserver/testing/gateway.py and kong/phases.py."""

from __future__ import annotations

import json
import threading
from collections.abc import Generator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from support.scripted import Failed, Handler, Scripted, does

from pluginserver.testing import (
    Binding,
    Exchange,
    Gateway,
    GatewayError,
    HandshakeFailed,
    PluginBug,
    Quirks,
    Response,
    ServiceRequest,
    make_request,
)

Steps = Generator[tuple[Any, ...], Any, None]


def notes(word: str) -> Handler:
    """A handler that logs a word."""
    return does(("kong.log", word))


def words(kong: Gateway) -> list[str]:
    return [line.message for line in kong.exchange.logs]


def a_gateway(*, quirks: Quirks | None = None, **plugins: dict[str, Handler]) -> Gateway:
    """A gateway with these plugins on it."""
    kong = Gateway(Scripted(**plugins), quirks=quirks)
    for name in plugins:
        kong.plugin(name)
    return kong


def server(kong: Gateway) -> Scripted:
    assert isinstance(kong.transport, Scripted)
    return kong.transport


# -- phases


def test_the_phases_in_their_order() -> None:
    phases = ("certificate", "rewrite", "access", "response", "log")
    kong = a_gateway(p={phase: notes(phase) for phase in phases})
    assert kong.get("https://example.com/").status == 200
    assert words(kong) == list(phases)
    assert kong.get("http://example.com/").status == 200
    assert words(kong) == list(phases[1:])


def test_plugins_by_priority_then_name() -> None:
    plugins = {name: {"access": notes(name)} for name in ("low", "high", "a", "b")}
    transport = Scripted(**plugins)
    transport.priorities = {"low": -1, "high": 100, "a": 5, "b": 5}
    kong = Gateway(transport)
    for name in plugins:
        kong.plugin(name)
    kong.get()
    assert words(kong) == ["high", "b", "a", "low"]


def test_an_exit_in_access_ends_the_phase_but_not_the_log() -> None:
    transport = Scripted(
        first={"access": does(("kong.response.exit", 401, "no")), "log": notes("first")},
        second={"access": notes("never"), "response": notes("never"), "log": notes("second")},
    )
    transport.priorities = {"first": 2, "second": 1}
    kong = Gateway(transport)
    kong.plugin("first")
    kong.plugin("second")
    response = kong.get()
    assert (response.status, response.body) == (401, b"no")
    assert words(kong) == ["first", "second"]
    assert kong.exchange.source == "exit"
    assert kong.exchange.service_request is None
    assert [run.ended for run in kong.exchange.runs] == ["exit", "ret", "ret"]
    with pytest.raises(AssertionError, match="did not reach the service"):
        _ = kong.service_request


def test_an_exit_in_rewrite_ends_the_request_for_all() -> None:
    kong = a_gateway(
        p={
            "rewrite": does(("kong.response.exit", 302, "", {"Location": "/x"})),
            "access": notes("never"),
            "log": notes("log"),
        }
    )
    response = kong.get()
    assert response.status == 302
    assert response.headers["location"] == "/x"
    assert words(kong) == ["log"]


def test_an_exit_in_response_replaces_the_services_answer() -> None:
    kong = a_gateway(p={"response": does(("kong.response.exit", 502, {"message": "no"}))})
    response = kong.get()
    assert (response.status, response.json()) == (502, {"message": "no"})
    assert response.headers["content-length"] == str(len(response.body))
    assert kong.service_request.method == "GET"


def test_an_error_page() -> None:
    kong = a_gateway(p={"access": does(("kong.response.error", 503))})
    assert kong.get().json()["message"] == "The upstream server is currently unavailable"


def test_the_response_phase_sees_and_changes_the_buffered_response() -> None:
    seen: list[Any] = []

    def handler() -> Steps:
        seen.append((yield ("kong.response.get_status",)))
        seen.append((yield ("kong.response.get_source",)))
        seen.append((yield "kong.response.get_header", "content-type"))
        seen.append((yield ("kong.service.response.get_raw_body",)))
        yield "kong.response.set_status", 201
        yield "kong.response.set_header", "X-Own", "1"
        yield "kong.response.clear_header", "Content-Type"

    kong = a_gateway(p={"response": handler})
    kong.upstream = lambda _request: "hello"
    response = kong.get()
    assert seen == [200, "service", "text/plain; charset=utf-8", b"hello"]
    assert (response.status, response.body) == (201, b"hello")
    assert response.headers["x-own"] == "1"
    assert "content-type" not in response.headers


def test_buffering_can_be_asked_for() -> None:
    seen: list[Any] = []

    def later() -> Steps:
        seen.append((yield ("kong.service.response.get_raw_body",)))

    kong = a_gateway(
        a={"access": does(("kong.service.request.enable_buffering",))}, p={"response": later}
    )
    kong.get()
    assert b"GET" in seen[0]


def test_headers_set_before_the_service_answers() -> None:
    kong = a_gateway(
        p={
            "access": does(
                ("kong.response.set_header", "X-Own", "mine"),
                ("kong.response.set_header", "Content-Type", "mine"),
                ("kong.response.set_status", 201),
            )
        }
    )
    kong.upstream = lambda _request: Response(
        202, "", [("X-Own", "its"), ("Content-Type", "its"), ("Connection", "close")]
    )
    response = kong.get()
    assert response.status == 202
    assert response.headers.all("x-own") == ["mine", "its"]
    assert response.headers.all("content-type") == ["its"]
    assert "connection" not in response.headers


def test_a_failing_handshake() -> None:
    kong = a_gateway(p={"certificate": does(("kong.request.get_header", "x"))})
    kong.raise_bugs = False
    with pytest.raises(HandshakeFailed):
        kong.get("https://example.com/")
    assert kong.exchange.response is None
    assert kong.response is None
    assert any(line.level == "crit" for line in kong.exchange.logs)


def test_a_throw_in_rewrite_and_response() -> None:
    for phase in ("rewrite", "response"):
        kong = a_gateway(p={phase: does(("kong.response.set_status", "x")), "log": notes("log")})
        response = kong.get(raise_bugs=False)
        assert response.json()["message"] == "An unexpected error occurred"
        assert kong.exchange.source == "error"
        assert words(kong)[-1] == "log"


def test_a_throw_in_log_is_heard_by_nobody() -> None:
    kong = a_gateway(
        p={"log": does(("kong.request.get_method",))},
        q={"log": does(("kong.response.exit", 200))},
        r={"log": notes("still")},
    )
    assert kong.get(raise_bugs=False).status == 200
    assert words(kong)[-1] in ("still", "function cannot be called in log phase")
    assert [run.ended for run in kong.exchange.runs].count("throw") == 2


# -- routes, services, consumers


def test_no_route() -> None:
    kong = a_gateway(
        p={"rewrite": notes("rewrite"), "access": notes("never"), "log": notes("log")}
    )
    kong.route("/only")
    response = kong.get("/other")
    assert response.status == 404
    assert response.json()["message"] == "no Route matched with those values"
    assert words(kong) == ["rewrite", "log"]


def test_a_route_without_a_service() -> None:
    kong = a_gateway()
    kong.route("/x", service=None)
    kong.routes[0].data["service"] = None
    assert kong.get("/x").status == 503


@pytest.mark.parametrize(
    ("url", "more", "name"),
    [
        ("/a/x", {}, "a"),
        ("/a/long/x", {}, "long"),
        ("/a/42/x", {}, "regex"),
        ("http://host.org/a", {}, "host"),
        ("http://x.wild.org/a", {}, "wild"),
        ("http://tail.com/a", {}, "tail"),
        ("/a", {"headers": {"x-version": "2"}}, "header"),
        ("https://secure.org/s", {}, "secure"),
    ],
)
def test_the_router(url: str, more: dict[str, Any], name: str) -> None:
    kong = a_gateway()
    kong.route("/a", name="a")
    kong.route("/a/long", name="long")
    kong.route("~/a/(?<id>\\d+)", name="regex")
    kong.route("/a", name="host", hosts=["host.org"])
    kong.route("/a", name="wild", hosts=["*.wild.org"])
    kong.route("/a", name="tail", hosts=["tail.*"])
    kong.route("/a", name="header", headers={"x-version": ["2"]})
    kong.route("/a", name="post", methods=["POST"])
    kong.route("/s", name="secure", protocols=["https"])
    kong.upstream = lambda _request: "ok"
    seen: list[Any] = []

    def handler() -> Steps:
        seen.append((yield ("kong.router.get_route",)))
        seen.append((yield ("kong.request.get_uri_captures",)))

    server(kong).plugins["p"] = {"access": handler}
    kong.plugin("p")
    assert kong.get(url, **more).status == 200
    assert seen[0]["name"] == name
    if name == "regex":
        assert seen[1] == {"unnamed": ["42"], "named": {"id": "42"}}


def test_a_route_that_wants_https() -> None:
    kong = a_gateway()
    kong.route("/s", protocols=["https"])
    assert kong.get("/s").status == 404


@pytest.mark.parametrize(
    ("service_path", "route_path", "strip", "path", "sent"),
    [
        (None, "/", True, "/", "/"),
        (None, "/r", True, "/r", "/"),
        (None, "/r", True, "/r/x", "/x"),
        (None, "/r", False, "/r/x", "/r/x"),
        ("/s", "/r", True, "/r/x", "/s/x"),
        ("/s", "/r", True, "/r", "/s"),
        ("/s", "/r", True, "/r/", "/s/"),
        ("/s/", "/r", True, "/r/x", "/s/x"),
        ("/s", "/r", False, "/r/x", "/s/r/x"),
        ("/s", "/", True, "/", "/s"),
        ("/s/", "/r", True, "/r", "/s"),
        ("/s/", "/r", True, "/r/", "/s/"),
    ],
)  # fmt: skip
def test_the_path_that_the_service_gets(
    service_path: str | None, route_path: str, strip: bool, path: str, sent: str
) -> None:
    kong = a_gateway()
    service = kong.service("s", path=service_path)
    kong.route(route_path, service=service, strip_path=strip)
    kong.get(path + "?q=1")
    assert kong.service_request.target == sent + "?q=1"
    stripped = strip and route_path != "/"
    prefix = kong.service_request.headers.get("x-forwarded-prefix")
    assert prefix == (route_path if stripped else None)


@pytest.mark.parametrize(
    ("service_path", "route_path", "strip", "path", "v0", "v1"),
    [
        ("/s", "/f", False, "/freq", "/s/freq", "/sfreq"),
        ("/s", "/f", False, "/f", "/s/f", "/sf"),
        ("/s", "/t", True, "/treq", "/s/req", "/sreq"),
        ("/s", "/t", True, "/t", "/s", "/s"),
        ("/s/", "/f/", False, "/f/req", "/s/f/req", "/s/f/req"),
        ("/s/", "/t/", True, "/t/req", "/s/req", "/s/req"),
        (None, "/t", True, "/t/req", "/req", "/req"),
        ("/s", "/t", True, "/t/req", "/s/req", "/s/req"),
        ("/s", "/", True, "/req", "/s/req", "/sreq"),
        ("/s/", "/", True, "/", "/s/", "/s/"),
        ("/s/", "/", False, "/", "/s/", "/s/"),
        ("/s", "/", False, "/", "/s", "/s"),
    ],
)
def test_both_ways_of_handling_paths(
    service_path: str | None, route_path: str, strip: bool, path: str, v0: str, v1: str
) -> None:
    for handling, sent in (("v0", v0), ("v1", v1)):
        kong = a_gateway()
        service = kong.service("s", path=service_path)
        kong.route(route_path, service=service, strip_path=strip, path_handling=handling)
        kong.get(path)
        assert kong.service_request.path == sent


@pytest.mark.parametrize(
    ("more", "why"),
    [
        ({"http_version": 2.0}, "incompatible HTTP version (2)"),
        ({"headers": {"upgrade": "WebSocket"}}, "connection upgrade (websocket)"),
    ],
)
def test_nothing_is_buffered_over_http2_or_for_websockets(more: dict[str, Any], why: str) -> None:
    kong = a_gateway(p={"response": notes("never"), "log": notes("log")})
    assert kong.get(**more).status == 200
    assert words(kong) == [f"response buffering was turned off: {why}", "log"]


def test_buffering_cannot_be_asked_for_over_http2() -> None:
    kong = a_gateway(p={"access": does(("kong.service.request.enable_buffering",))})
    with pytest.raises(PluginBug, match="cannot currently be enabled with http/2, please use"):
        kong.get(http_version=2.0)


def test_what_the_service_gets() -> None:
    kong = a_gateway()
    service = kong.service("backend", port=8443, protocol="https", retries=2, read_timeout=5)
    kong.route("/", service=service)
    kong.post(
        "http://Front.org/p?q",
        body="data",
        headers={"X-Forwarded-For": "1.1.1.1", "Connection": "close"},
        client_ip="9.9.9.9",
    )
    request = kong.service_request
    assert request.url == "https://backend:8443/p?q"
    assert request.body == b"data"
    assert (request.retries, request.timeouts) == (2, (60000, 60000, 5))
    headers = request.headers
    assert headers["host"] == "backend:8443"
    assert headers["x-forwarded-for"] == "1.1.1.1, 9.9.9.9"
    assert headers["x-forwarded-host"] == "front.org"
    assert headers["x-forwarded-proto"] == "http"
    assert headers["x-real-ip"] == "9.9.9.9"
    assert headers["x-kong-request-id"] == kong.exchange.id
    assert "connection" not in headers


def test_a_preserved_host_and_trusted_forwarding() -> None:
    kong = a_gateway()
    kong.trusted_ips = ["0.0.0.0/0"]
    kong.route("/p", preserve_host=True)
    kong.get(
        "http://front.org:81/p", headers={"X-Forwarded-Proto": "https", "X-Forwarded-Prefix": "/z"}
    )
    assert kong.service_request.headers["host"] == "front.org:81"
    assert kong.service_request.headers["x-forwarded-proto"] == "https"
    assert kong.service_request.headers["x-forwarded-prefix"] == "/z"


def test_what_plugins_change_reaches_the_service() -> None:
    kong = a_gateway(
        p={
            "rewrite": does(
                ("kong.service.request.set_path", "/other"),
                ("kong.service.request.set_scheme", "https"),
            ),
            "access": does(
                ("kong.service.set_target", "10.0.0.1", 9000),
                ("kong.service.set_timeouts", 1, 2, 3),
                ("kong.service.set_retries", 0),
                ("kong.service.set_tls_verify", True),
                ("kong.service.request.set_method", "PUT"),
                ("kong.service.request.set_header", "Host", "h.org"),
                ("kong.service.request.set_raw_query", "x=1"),
                ("kong.service.request.set_raw_body", "new"),
            ),
        }
    )
    kong.get("/")
    request = kong.service_request
    assert request.method == "PUT"
    assert request.url == "https://10.0.0.1:9000/other?x=1"
    assert request.headers["host"] == "h.org"
    assert request.body == b"new"
    assert (request.retries, request.timeouts, request.tls_verify) == (0, (1, 2, 3), True)


def test_upstream_entities() -> None:
    kong = a_gateway(p={"access": does(("kong.service.set_upstream", "pool"))})
    kong.upstreams["pool"] = lambda _request: "from the pool"
    assert kong.get().text == "from the pool"
    assert kong.service_request.host == "pool"


def test_a_credential_without_a_consumer_arrives_as_the_second_argument() -> None:
    seen = []

    def authenticate() -> Steps:
        yield "kong.client.authenticate", None, {"id": "k"}
        seen.append((yield ("kong.client.get_credential",)))
        seen.append((yield ("kong.client.get_consumer",)))

    kong = a_gateway(p={"access": authenticate})
    assert kong.get().status == 200
    assert seen == [{"id": "k"}, None]


def test_headers_behind_a_missing_body_are_lost_and_told_of() -> None:
    exits = does(("kong.response.exit", 401, None, {"x-a": "1"}))
    kong = a_gateway(p={"access": exits})
    with pytest.raises(PluginBug, match=r"\{'x-a': '1'\} never reaches it"):
        kong.get()
    assert kong.response is not None
    assert kong.response.status == 401
    assert "x-a" not in kong.response.headers


@pytest.mark.parametrize("phase", ["rewrite", "access", "response"])
@pytest.mark.parametrize(
    ("accept", "media", "words"),
    [
        ("application/json", "application/json", '"message":"An unexpected error occurred"'),
        ("text/html,*/*;q=0.8", "text/html", "<p>An unexpected error occurred.</p>"),
        ("application/xml", "application/xml", "<message>An unexpected error occurred</message>"),
        ("text/plain", "text/plain", "An unexpected error occurred\n"),
    ],
)
def test_an_error_page_is_as_the_client_accepts_it_and_names_the_request(
    phase: str, accept: str, media: str, words: str
) -> None:
    kong = a_gateway(p={phase: does(("kong.response.error", 500))})
    response = kong.get(headers={"accept": accept})
    assert response.status == 500
    assert response.headers["content-type"] == f"{media}; charset=utf-8"
    assert words in response.text
    assert kong.exchange.id in response.text
    assert response.headers["x-kong-request-id"] == kong.exchange.id


@pytest.mark.parametrize("phase", ["rewrite", "access", "response"])
@pytest.mark.parametrize(
    ("accept", "words_of_kong"),
    [
        ("text/plain", "An unexpected error occurred\nrequest_id: "),
        ("application/json", '"message":"An unexpected error occurred"'),
        ("text/html", "<p>An unexpected error occurred.</p>"),
    ],
)
def test_what_throws_is_a_500_in_the_form_that_the_client_accepts(
    phase: str, accept: str, words_of_kong: str
) -> None:
    kong = a_gateway(p={phase: does(("kong.log.serialize",))})
    response = kong.get(headers={"accept": accept}, raise_bugs=False)
    assert response.status == 500
    assert response.headers["content-type"] == f"{accept}; charset=utf-8"
    assert words_of_kong in response.text
    assert kong.exchange.id in response.text


def test_plugins_on_routes_services_and_consumers() -> None:
    def authenticate() -> Steps:
        who = yield "kong.request.get_header", "x-user"
        if who:
            consumer = yield "kong.client.load_consumer", who, True
            yield "kong.client.authenticate", consumer

    transport = Scripted(
        auth={"access": authenticate}, p={"rewrite": notes("rewrite"), "access": notes("p")}
    )
    transport.priorities = {"auth": 10}
    kong = Gateway(transport)
    service = kong.service("s")
    route = kong.route("/r", service=service)
    kong.route("/other")
    bob = kong.consumer("bob")
    kong.plugin("auth")

    def instance_of(url: str, **headers: str) -> Any:
        kong.get(url, headers=headers)
        return [run.instance_id for run in kong.exchange.runs if run.plugin == "p"]

    assert instance_of("/r") == []
    bindings: list[Binding] = [service.plugin("p")]
    [on_service] = instance_of("/r")
    assert kong.instances[bindings[0].id] == on_service
    assert instance_of("/other") == []
    bindings.append(route.plugin("p"))
    [on_route] = instance_of("/r")
    assert kong.instances[bindings[1].id] == on_route
    bindings.append(bob.plugin("p"))
    [for_bob] = instance_of("/r", **{"x-user": "bob"})
    assert for_bob not in (on_service, on_route)
    assert instance_of("/r") == [on_route]
    kong.plugin("p")
    assert words_of(kong, "/r", "bob") == ["rewrite", "p"]
    bindings[1].enabled = False
    assert instance_of("/r")[-1] == on_service


def words_of(kong: Gateway, url: str, user: str) -> list[str]:
    kong.get(url, headers={"x-user": user})
    return words(kong)


# -- instances


def test_instances_are_started_once_and_closed_at_the_end() -> None:
    kong = a_gateway(p={"rewrite": notes("r"), "access": notes("a")})
    kong.get()
    kong.get()
    assert server(kong).methods.count("plugin.StartInstance") == 1
    kong.close()
    assert server(kong).methods[-1] == "plugin.CloseInstance"
    assert server(kong).closed


def test_a_changed_configuration_starts_a_new_instance() -> None:
    kong = a_gateway(p={"access": notes("a")})
    [binding] = kong.bindings
    kong.get()
    binding.configure(message="new")
    kong.get()
    sent = [what for method, what in server(kong).calls if method == "plugin.StartInstance"]
    assert "message" not in json.loads(sent[0]["Config"])
    assert json.loads(sent[1]["Config"])["message"] == "new"
    assert server(kong).methods[-1] == "plugin.Step"
    assert "plugin.CloseInstance" in server(kong).methods


def test_removing_a_plugin_closes_its_instance() -> None:
    kong = a_gateway(p={"access": notes("a")})
    [binding] = kong.bindings
    kong.get()
    binding.remove()
    assert server(kong).methods[-1] == "plugin.CloseInstance"
    kong.get()
    assert kong.exchange.runs == []
    binding.remove()


def test_a_restarted_server() -> None:
    kong = a_gateway(p={"access": notes("a")})
    kong.get()
    server(kong).restart()
    assert kong.get().status == 200
    assert words(kong) == ["No plugin instance 1", "a"]
    server(kong).restart()
    kong.get()
    assert words(kong) == ["a"]


def test_no_plugin_instance_without_the_retry() -> None:
    kong = a_gateway(p={"access": notes("a")}, quirks=Quirks(retry_instance=False))
    kong.get()
    server(kong).restart()
    assert kong.get(raise_bugs=False).status == 200
    assert words(kong) == ["No plugin instance 1"]


def test_a_server_that_never_knows_its_instances() -> None:
    def confused() -> Steps:
        raise AssertionError

    kong = a_gateway(p={"access": confused})
    original = server(kong).call

    def forgetful(method: Any, argument: Any) -> Any:
        if method == "plugin.HandleEvent":
            argument = {**argument, "InstanceId": 0}
        return original(method, argument)

    server(kong).call = forgetful  # type: ignore[method-assign]
    with pytest.raises(PluginBug, match="No plugin instance 0"):
        kong.get()
    assert kong.exchange.runs[0].round_trips > 50


def test_the_config_that_kong_sends() -> None:
    kong = a_gateway(p={"access": notes("a")})
    kong.bindings.clear()
    route = kong.route("/")
    binding = route.plugin("p", message="hé")
    kong.get()
    [sent] = [what for method, what in server(kong).calls if method == "plugin.StartInstance"]
    assert sent["Name"] == "p"
    config = json.loads(sent["Config"])
    assert config.pop("__seq__") == binding.sequence
    assert config == {
        "message": "hé",
        "__key__": f"plugins:p:{route.id}::::{kong.workspace_id}",
        "__ws_id": kong.workspace_id,
        "__plugin_id": binding.id,
        "route_id": route.id,
    }


SCHEMA = {
    "name": "p",
    "fields": [
        {
            "config": {
                "type": "record",
                "required": True,
                "fields": [
                    {"message": {"type": "string", "default": "hello"}},
                    {"count": {"type": "integer", "between": [1, 9]}},
                    {"secret": {"type": "string", "referenceable": True}},
                    {
                        "inner": {
                            "type": "record",
                            "required": True,
                            "fields": [{"deep": {"type": "boolean", "default": True}}],
                        }
                    },
                    {
                        "optional": {
                            "type": "record",
                            "fields": [{"deep": {"type": "boolean", "default": True}}],
                        }
                    },
                ],
            }
        }
    ],
}


def test_defaults_and_secrets() -> None:
    transport = Scripted(p={"access": notes("a")})
    transport.schemas["p"] = SCHEMA
    kong = Gateway(transport)
    kong.secrets["env/s"] = "hidden"
    binding = kong.plugin("p", count=3, secret="{vault://env/s}")
    assert binding.config == {
        "message": "hello", "count": 3, "secret": "{vault://env/s}", "inner": {"deep": True},
    }  # fmt: skip
    sent = json.loads(binding.config_json())
    assert sent["secret"] == "hidden"
    assert sent["$refs"] == {"secret": "{vault://env/s}"}
    binding.configure(inner={}, optional={"deep": False})
    assert binding.config["inner"] == {"deep": True}
    assert binding.config["optional"] == {"deep": False}


@pytest.mark.parametrize(
    ("config", "word"),
    [({"mesage": "x"}, "mesage"), ({"count": "x"}, "count"), ({"count": 10}, "count")],
)
def test_a_configuration_that_kong_refuses(config: dict[str, Any], word: str) -> None:
    transport = Scripted(p={})
    transport.schemas["p"] = SCHEMA
    kong = Gateway(transport)
    with pytest.raises(GatewayError, match=f"Kong refuses this configuration of p.*{word}"):
        kong.plugin("p", **config)


def test_a_plugin_twice_on_the_same() -> None:
    kong = a_gateway(p={})
    with pytest.raises(GatewayError, match="p is on this already"):
        kong.plugin("p")


def test_a_plugin_that_nobody_knows() -> None:
    with pytest.raises(GatewayError, match="cannot describe 'q'"):
        a_gateway().plugin("q")


# -- quirks


def test_only_the_first_result_comes_back() -> None:
    seen: list[Any] = []

    def handler() -> Steps:
        try:
            seen.append((yield "kong.service.set_upstream", "none"))
        except Failed as error:
            seen.append(str(error))

    kong = a_gateway(p={"access": handler})
    kong.get()
    kong.quirks = Quirks(first_result_only=False)
    kong.get()
    assert seen == [None, "could not find an Upstream named 'none'"]
    assert kong.callbacks[0].step == "plugin.StepError"
    assert kong.callbacks[0].error == "could not find an Upstream named 'none'"


def test_absent_data() -> None:
    kong = a_gateway(p={"access": notes("x")})
    kong.get()
    assert "Data" not in server(kong).calls[-1][1]
    kong.quirks = Quirks(absent_data=False)
    kong.get()
    assert server(kong).calls[-1][1]["Data"] is None


def test_the_methods_of_the_steps() -> None:
    kong = a_gateway(
        p={
            "access": does(
                ("kong.router.get_route",),
                ("kong.router.get_service",),
                ("kong.client.get_consumer",),
                ("kong.client.get_credential",),
                ("kong.node.get_memory_stats",),
                ("kong.request.get_headers",),
                ("kong.request.get_query",),
                ("kong.request.get_method",),
                ("kong.request.get_body", "application/x-www-form-urlencoded"),
            )
        }
    )
    kong.post(query={"_method": "Sneaky", "b": True}, body="_method=PUT&x=1")
    steps = [call.step for call in kong.callbacks]
    assert steps == [
        "plugin.StepRoute",
        "plugin.StepService",
        "plugin.StepConsumer",
        "plugin.StepCredential",
        "plugin.StepMemoryStats",
        "plugin.StepMultiMap",
        ["Sneaky"],
        "plugin.Step",
        "PUT",
    ]
    assert kong.callbacks[6].answer == {"_method": ["Sneaky"], "b": []}
    assert server(kong).methods[-9:] == steps
    kong.quirks = Quirks(method_key=False, multi_maps=False)
    kong.post(query={"_method": "x", "b": True})
    assert {call.step for call in kong.callbacks[5:]} == {"plugin.Step"}
    assert kong.callbacks[6].answer == {"_method": "x", "b": True}
    kong.quirks = Quirks(typed_steps=False)
    kong.get()
    assert {call.step for call in kong.callbacks} == {"plugin.Step"}


def test_an_empty_multi_map_stays_a_map() -> None:
    kong = a_gateway(
        p={"access": does(("kong.request.get_query",), ("kong.request.get_uri_captures",))}
    )
    kong.get()
    assert kong.callbacks[0].answer == {}
    assert kong.callbacks[1].answer == {"unnamed": [], "named": []}


def test_a_throw_that_is_told() -> None:
    def handler() -> Steps:
        try:
            yield "kong.response.set_status", "x"
        except Failed as error:
            yield "kong.log", str(error)

    kong = a_gateway(p={"access": handler}, quirks=Quirks(silent_throw=False))
    assert kong.get(raise_bugs=False).status == 200
    assert words(kong) == ["code must be a number"]


def test_an_exit_that_is_answered() -> None:
    heard: list[str] = []

    def handler() -> Steps:
        yield "kong.response.exit", 204
        heard.append("a step")

    kong = a_gateway(p={"access": handler})
    assert kong.get().status == 204
    assert (heard, kong.round_trips) == ([], 1)
    kong.quirks = Quirks(silent_exit=False)
    assert kong.get().status == 204
    assert (heard, kong.round_trips) == (["a step"], 2)


def test_failing_closed() -> None:
    def handler() -> Steps:
        yield "kong.log", "x"
        raise Failed("oops")

    kong = a_gateway(p={"access": handler})
    assert kong.get(raise_bugs=False).status == 200
    assert [problem.kind for problem in kong.exchange.problems] == ["raised"]
    assert "p failed in access, after kong.log('x'): failed: oops" in str(
        kong.exchange.problems[0].message
    )
    kong.quirks = Quirks(fail_open=False)
    assert kong.get(raise_bugs=False).status == 500


@pytest.mark.parametrize(
    ("answer", "words_of_lua"),
    [
        ("ret", "attempt to index a string value"),
        ({"EventId": 1}, r"field 'Data' \(a nil value\)"),
        ({"EventId": 1, "Data": "other"}, r"field 'Data' \(a string value\)"),
        ({"EventId": 1, "Data": {"Method": 5}}, r"field 'Data' \(a table value\)"),
    ],
)
def test_answers_that_kong_cannot_use(answer: Any, words_of_lua: str) -> None:
    kong = a_gateway(p={"access": notes("x")})
    original = server(kong).call
    server(kong).call = (  # type: ignore[method-assign]
        lambda method, what: answer if method == "plugin.HandleEvent" else original(method, what)
    )
    assert kong.get(raise_bugs=False).status == 500
    assert words_of_lua.replace("\\", "") in words(kong)[0]


def test_an_answer_of_nothing_ends_the_event() -> None:
    kong = a_gateway(p={"access": notes("x")})
    original = server(kong).call
    server(kong).call = (  # type: ignore[method-assign]
        lambda method, what: None if method == "plugin.HandleEvent" else original(method, what)
    )
    assert kong.get().status == 200


def test_an_instance_that_is_no_map() -> None:
    kong = a_gateway(p={"access": notes("x")})
    original = server(kong).call
    server(kong).call = (  # type: ignore[method-assign]
        lambda method, what: 5 if method == "plugin.StartInstance" else original(method, what)
    )
    assert kong.get().status == 500


# -- upstreams


@pytest.mark.parametrize(
    ("answer", "status", "body"),
    [
        (204, 204, b""),
        ("text", 200, b"text"),
        (b"\xff", 200, b"\xff"),
        ({"a": 1}, 200, b'{"a": 1}'),
        (Response(418, "tea"), 418, b"tea"),
    ],
)
def test_an_upstream_of_ones_own(answer: Any, status: int, body: bytes) -> None:
    kong = a_gateway()
    kong.upstream = lambda _request: answer
    response = kong.get()
    assert (response.status, response.body) == (status, body)
    assert kong.exchange.source == "service"
    assert response.headers["via"] == "1.1 kong/3.9.3"


@pytest.mark.parametrize(
    ("error", "status"), [(ConnectionRefusedError(), 502), (TimeoutError(), 504)]
)
def test_a_service_that_is_down(error: Exception, status: int) -> None:
    def down(_request: ServiceRequest) -> Response:
        raise error

    kong = a_gateway(p={"response": notes("never"), "log": notes("log")})
    service = kong.service("s", upstream=down)
    kong.route("/", service=service)
    assert kong.get().status == status
    assert words(kong)[-1] == "log"
    assert kong.exchange.source == "error"
    assert "never" not in words(kong)


# -- what is recorded


def test_the_serialised_request_in_log() -> None:
    texts: list[str] = []

    def handler() -> Steps:
        texts.append((yield ("kong.log.serialize",)))

    kong = a_gateway(p={"log": handler})
    kong.get("/a?b=c")
    record = json.loads(texts[0])
    assert record["response"]["status"] == 200
    assert record["response"]["headers"]["x-kong-request-id"] == kong.exchange.id
    assert record["upstream_uri"] == "/a?b=c"
    assert record["upstream_status"] == "200"
    assert record["tries"][0]["ip"] == "echo"
    assert record["source"] == "upstream"
    assert record["latencies"]["proxy"] >= 0


def test_observers_hear_everything_in_order() -> None:
    heard: list[tuple[str, str]] = []
    kong = a_gateway(p={"access": notes("x"), "log": notes("y")})
    kong.observers.append(
        lambda kind, _exchange, thing: heard.append((kind, type(thing).__name__))
    )
    kong.get()
    assert heard == [
        ("request", "Exchange"),
        ("run", "Run"),
        ("log", "LogLine"),
        ("callback", "Callback"),
        ("ran", "Run"),
        ("service", "ServiceRequest"),
        ("response", "Response"),
        ("run", "Run"),
        ("log", "LogLine"),
        ("callback", "Callback"),
        ("ran", "Run"),
        ("end", "Exchange"),
    ]


def test_the_record_can_be_stored() -> None:
    kong = a_gateway(
        p={
            "access": does(
                ("kong.request.get_raw_body",),
                ("kong.response.set_header", "x", "\udcff"),
                ("kong.nginx.set_ctx", "n", float("nan")),
                ("kong.brew",),
            )
        }
    )
    kong.post(body=b"\xff\x00", headers={"x": b"\xff"}, raise_bugs=False)
    record = json.loads(json.dumps(kong.exchange.to_dict(), allow_nan=False))
    assert record["request"]["headers"][-2] == ["x", "�"]
    assert record["runs"][0]["callbacks"][0]["answer"] == "�\x00"
    assert record["runs"][0]["callbacks"][1]["changes"][0] == {
        "where": "response", "what": "header x", "before": None, "after": "�",
    }  # fmt: skip
    assert record["round_trips"] == 5
    assert record["problems"][0]["kind"] == "unknown function"
    assert record["problems"][0]["error"] is None
    assert record["response"]["status"] == 200
    assert 0 <= record["runs"][0]["start"] <= record["duration"]


def test_handling_a_plain_request() -> None:
    order: list[str] = []
    kong = a_gateway(p={"access": does(("kong.brew",)), "log": notes("x")})
    kong.observers.append(lambda kind, *_: order.append(kind))

    def respond(response: Response) -> None:
        order.append(f"responded {response.status}")

    exchange = kong.handle(make_request("GET", "/"), respond)
    assert exchange.problems
    assert exchange is kong.exchange
    assert order.index("responded 200") < order.index("log", order.index("response"))


def test_round_trips_and_callbacks() -> None:
    kong = a_gateway(p={"access": does(("kong.request.get_method",), ("kong.log", "x"))})
    kong.get()
    assert kong.round_trips == 3
    assert [(call.method, call.args, call.answer) for call in kong.callbacks] == [
        ("kong.request.get_method", (), "GET"),
        ("kong.log", ("x",), None),
    ]


def test_nothing_was_sent_yet() -> None:
    with pytest.raises(GatewayError, match="no request"):
        _ = a_gateway().exchange


def test_only_so_many_exchanges_are_kept() -> None:
    with Gateway(Scripted(), keep=2) as kong:
        for number in range(3):
            kong.get(f"/{number}")
        assert [exchange.request.target for exchange in kong.exchanges] == ["/1", "/2"]


@pytest.mark.parametrize("method", ["get", "post", "put", "patch", "delete"])
def test_every_method(method: str) -> None:
    kong = a_gateway()
    getattr(kong, method)("/x")
    assert kong.service_request.method == method.upper()


def test_requests_from_many_threads() -> None:
    def handler() -> Steps:
        who = yield "kong.request.get_header", "x-who"
        yield "kong.response.set_header", "x-you", who

    kong = a_gateway(p={"access": handler})
    wrong: list[str] = []

    def ask(who: str) -> None:
        for _ in range(20):
            if kong.get("/", headers={"x-who": who}).headers["x-you"] != who:
                wrong.append(who)

    threads = [threading.Thread(target=ask, args=(str(number),)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
    assert kong.requests == 160
    assert isinstance(kong.exchange, Exchange)


# -- one phase alone


@pytest.mark.parametrize("phase", ["rewrite", "access", "response", "log"])
def test_a_request_may_have_plugins_run_in_one_phase_alone(phase: str) -> None:
    kong = a_gateway(p={one: notes(one) for one in ("rewrite", "access", "response", "log")})
    assert kong.get("/", phases=[phase]).status == 200
    assert words(kong) == [phase]
    kong.get("/")
    assert len(words(kong)) == 4


@pytest.mark.parametrize("phases", [["acces"], "access"])
def test_a_phase_that_is_none_is_refused(phases: Any) -> None:
    kong = a_gateway(p={"access": notes("a")})
    with pytest.raises(GatewayError, match=r"give a list of certificate, .* such as \['access'\]"):
        kong.get("/", phases=phases)
    assert not kong.exchanges


# -- logs


def test_the_logs_are_those_of_the_last_request_and_all_logs_those_of_all() -> None:
    kong = a_gateway(p={"access": notes("a")})
    assert kong.logs == []
    kong.get("/")
    kong.get("/")
    assert [line.message for line in kong.logs] == ["a"]
    assert [line.message for line in kong.all_logs] == ["a", "a"]


# -- what a plugin is named by

SOURCE = """
version, priority = "1.0.0", 1
class Plugin:
    def access(self, kong): kong.response.exit(201)
"""


@pytest.mark.parametrize("server", ["in-process", "embedded"])
@pytest.mark.parametrize("kind", ["file", "path", "package", "module", "class"])
def test_a_plugin_is_a_file_or_a_package_or_a_module_or_a_class(
    server: str, kind: str, tmp_path: Path
) -> None:
    (tmp_path / "one.py").write_text(SOURCE)
    (tmp_path / "two").mkdir()
    (tmp_path / "two" / "__init__.py").write_text(SOURCE)
    module = ModuleType("three")
    exec(SOURCE, vars(module))

    class Four:
        def access(self, kong: Any) -> None:
            kong.response.exit(201)

    sources = {
        "file": ("one.py", "one"),
        "path": (tmp_path / "one.py", "one"),
        "package": ("two", "two"),
        "module": (module, "three"),
        "class": (Four, "four"),
    }
    source, name = sources[kind]
    with Gateway(server, root=tmp_path) as kong:
        assert kong.plugin(source).name == name
        assert kong.get("/").status == 201
