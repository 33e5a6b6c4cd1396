"""What each branch of the ten plugins does, written by hand from what kong-pdk does with each call.

A pair is ``(data, None)`` and a setter ``(None, None)``; ``exit`` and ``error`` end the request; a log
function gets what is not text, a whole number, a list or a dict as ``str`` has it; an exception is a 500.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable
from typing import Any

import attrs

from pluginserver.testing import Gateway, Response

PIXEL = (
    b"GIF89a\x01\x00\x01\x00\x80\x00\x00\xff\xff\xff\x00\x00\x00"
    b"!\xf9\x04\x01\x00\x00\x00\x00,\x00\x00\x00\x00\x01\x00\x01\x00"
    b"\x00\x02\x02D\x01\x00;"
)


@attrs.frozen(kw_only=True)
class Case:
    """One branch.

    :param plugin: the plugin's name.
    :param about: what is different here.
    :param config: its configuration.
    :param request: the request; ``method`` and ``url`` besides what ``Gateway.request`` takes.
    :param before: how many requests like it come first.
    :param prepared: called with the gateway before.
    :param upstream: what the service answers.
    :param status: of the response.
    :param body: bytes, or what its JSON is; ... for whatever it is.
    :param headers: of the response: a value, a list of several, None for one that is not there.
    :param service: what reached the service: headers as above, and ``method``, ``target`` and ``body`` with
        a colon before; None when nothing did.
    :param logs: what the plugin wrote, level and text.
    :param problems: the kinds of the bugs that showed.
    :param better: kong-pdk itself does otherwise here, which is a bug of its own: it never answers.
    """

    plugin: str
    about: str
    config: dict[str, Any] = attrs.field(factory=dict)
    request: dict[str, Any] = attrs.field(factory=dict)
    before: int = 0
    prepared: Callable[[Gateway], object] = lambda _gateway: None
    upstream: Any = "fine"
    status: int = 200
    body: Any = ...
    headers: dict[str, Any] = attrs.field(factory=dict)
    service: dict[str, Any] | None = attrs.field(factory=dict)
    logs: list[tuple[str, str]] = attrs.field(factory=list)
    problems: list[str] = attrs.field(factory=list)
    better: bool = False


def basic(text: str) -> dict[str, Any]:
    return {"headers": {"authorization": "Basic " + b64encode(text.encode()).decode()}}


def bearer(token: str, **more: Any) -> dict[str, Any]:
    return {"headers": {"authorization": f"Bearer {token}"}, **more}


def xml(body: str) -> dict[str, Any]:
    return {"method": "POST", "headers": {"content-type": "application/xml"}, "body": body}


def with_alice(gateway: Gateway) -> None:
    gateway.consumer("alice")


def without_database(gateway: Gateway) -> None:
    gateway.faults.error("kong.client.load_consumer", "no database")


BEGAN = ("notice", "began: here")
CAPTURE = {
    "method": "POST",
    "headers": {"authorization": "Basic x"},
    "body": "twelve bytes",
}
PARTS = {
    "table: 0x",
    "a bug of the author's",
    "the header host is Kong's",
}
"""Texts that are a part of a line: an address is beside them, or our own words."""

NO_FUNCTION = ["unknown function"]

CASES = [
    # safeiter(kong.request.get_method())[0]
    Case(
        plugin="kong_logger",
        about="logs",
        config={"channel": "c"},
        request={"url": "/a"},
        logs=[("notice", "[c] GET /a"), ("info", "200 4 1.5 None True")],
    ),
    Case(
        plugin="kong_logger",
        about="skips every other request",
        config={"channel": "c", "sample": 2},
        request={"url": "/a"},
        logs=[("debug", "skipped GET /a")],
    ),
    # bytes as a body; host, err = ...; a name with a hyphen; code after exit
    Case(
        plugin="py-image",
        about="gives the image",
        request={"url": "/logo", "headers": {"accept": "image/gif"}},
        body=PIXEL,
        headers={
            "content-type": "image/gif",
            "x-host": "localhost",
            "x-files": ["logo", "pixel"],
            "x-tint": None,
            "x-never": None,
        },
        service=None,
    ),
    Case(
        plugin="py-image",
        about="gives it tinted",
        config={"tint": "red"},
        request={"url": "/logo"},
        body=PIXEL,
        headers={"x-tint": "red", "x-never": None},
        service=None,
    ),
    Case(
        plugin="py-image",
        about="refuses who wants text",
        request={"url": "/logo", "headers": {"accept": "text/html"}},
        status=406,
        body={"message": "only images here"},
        service=None,
    ),
    Case(plugin="py-image", about="lets others pass", request={"url": "/logos"}, body=b"fine"),
    # headers, _ = kong.request.get_headers(); what an instance keeps
    Case(
        plugin="py_custom_plugin",
        about="counts an address",
        headers={"x-left": "1", "x-key": ["127.0.0.1", "1"]},
        service={"x-counted": "1"},
    ),
    Case(
        plugin="py_custom_plugin",
        about="refuses the third request",
        before=2,
        status=429,
        body={"message": "too many", "key": "127.0.0.1"},
        headers={"x-left": "0", "x-key": ["127.0.0.1", "3"], "content-type": "application/json"},
        service=None,
    ),
    Case(
        plugin="py_custom_plugin",
        about="counts by headers",
        config={"by": "header"},
        request={"headers": [("x-client", "a"), ("x-client", "b")]},
        headers={"x-key": ["a,b", "1"]},
        service={"x-counted": "1"},
    ),
    Case(
        plugin="py_custom_plugin",
        about="goes no further after error",
        config={"by": "header"},
        status=400,
        body={"message": "x-client is missing", "request_id": ...},
        headers={"x-left": None},
        service=None,
    ),
    # a variable of the environment; authorization_header[0]; a sibling; entities as dicts
    Case(
        plugin="token_check",
        about="wants a token",
        status=401,
        body={"message": "no token"},
        headers={"www-authenticate": "Bearer"},
        service=None,
        logs=[BEGAN],
    ),
    Case(
        plugin="token_check",
        about="lets who has none pass",
        config={"anonymous": True},
        request={"headers": {"x-verified": "a lie"}},
        service={"x-verified": "anonymous", "x-service": None},
        logs=[BEGAN],
    ),
    Case(
        plugin="token_check",
        about="knows the token",
        request=bearer("s3"),
        service={"x-verified": "yes", "x-service": "echo", "x-route": "default"},
        logs=[BEGAN],
    ),
    Case(
        plugin="token_check",
        about="knows it without a scheme",
        request={"headers": {"authorization": "s3"}},
        service={"x-verified": "yes"},
        logs=[BEGAN],
    ),
    Case(
        plugin="token_check",
        about="refuses another",
        request=bearer("other"),
        status=403,
        service=None,
        logs=[BEGAN],
    ),
    Case(
        plugin="token_check",
        about="has a bug",
        request=bearer("crash"),
        status=500,
        body={"message": "An unexpected error occurred", "request_id": ...},
        service=None,
        logs=[BEGAN, ("err", "a bug of the author's")],
        problems=["raised"],
        better=True,
    ),
    Case(
        plugin="token_check",
        about="logs a dict",
        request=bearer("s3", url="/?debug=1"),
        service={"x-verified": "yes"},
        logs=[BEGAN, ("warn", "table: 0x")],
    ),
    # response and log; no version; an unknown function; what goes through kong.ctx.shared
    Case(
        plugin="traffic_capture",
        about="captures",
        request=CAPTURE,
        body=b"fine",
        headers={"x-captured": "200 4"},
        logs=[("notice", "captured 12 *** 200")],
        problems=NO_FUNCTION,
    ),
    Case(
        plugin="traffic_capture",
        about="hides that the service failed",
        upstream=Response(500, b"sorry", {"X-Internal": "1"}),
        status=502,
        body=b"sorry",
        headers={"x-captured": "500 5", "x-internal": None},
        logs=[("notice", "captured 0 - 502")],
        problems=NO_FUNCTION,
    ),
    Case(
        plugin="traffic_capture",
        about="answers itself in response",
        config={"rules": "stop"},
        request=CAPTURE,
        status=418,
        body={"was": 200, "bytes": 4},
        headers={"x-captured": None},
        logs=[("notice", "captured 12 *** 418")],
        problems=NO_FUNCTION,
    ),
    # --no-lua-style; a name with upper case; except PDKException; a function used as text
    Case(
        plugin="authChecker",
        about="wants a header",
        status=401,
        body={"message": "who are you?"},
        headers={"www-authenticate": 'Basic realm="kong"'},
        service=None,
    ),
    Case(
        plugin="authChecker",
        about="cannot read it",
        config={"realm": "r"},
        request={"headers": {"authorization": "Basic abc"}},
        status=400,
        body={"message": "bad header"},
        headers={"www-authenticate": 'Basic realm="r"'},
        service=None,
        logs=[("warn", "bad header: Incorrect padding")],
    ),
    Case(
        plugin="authChecker",
        about="knows another password",
        request=basic("alice:wrong"),
        status=403,
        body={"message": "alice may not GET"},
        service=None,
    ),
    Case(
        plugin="authChecker",
        about="finds no consumer",
        request=basic("alice:secret"),
        status=404,
        body={"message": "no consumer", "request_id": ...},
        service=None,
    ),
    Case(
        plugin="authChecker",
        about="finds the consumer",
        request=basic("alice:secret"),
        prepared=with_alice,
        service={"x-user": "alice", "authorization": None},
    ),
    Case(
        plugin="authChecker",
        about="catches an error of Kong's",
        request=basic("alice:secret"),
        prepared=without_database,
        status=500,
        body=b"exception from kong.client.load_consumer: no database",
        service=None,
        logs=[("err", "exception from kong.client.load_consumer: no database")],
    ),
    # --no-lua-style with the long flags; raw bodies as bytes; the service's request
    Case(
        plugin="xml-handling",
        about="passes on what is no XML",
        body=b"fine",
        headers={"x-source": "service", "x-names": "content-length"},
        service={":target": "/", "x-children": None},
        logs=[("info", "passed on: None")],
    ),
    Case(
        plugin="xml-handling",
        about="changes the document",
        request=xml("<order><a/></order>"),
        headers={"x-source": "service"},
        service={
            ":method": "PUT",
            ":target": "/orders?from=kong&tags=a&tags=b",
            ":body": b"<order><a /><seen>kong</seen></order>",
            "x-children": "2",
        },
    ),
    Case(
        plugin="xml-handling",
        about="refuses a large one",
        request=xml("<order>" + "x" * 250 + "</order>"),
        status=413,
        body=b"too large: 265",
        headers={"x-source": None},
        service=None,
    ),
    Case(
        plugin="xml-handling",
        about="refuses what cannot be read",
        request=xml("<order>"),
        status=400,
        body={"message": "no XML", "line": 1},
        service=None,
    ),
    Case(
        plugin="xml-handling",
        about="refuses another root",
        request=xml("<bill/>"),
        status=422,
        body={"message": "root is bill"},
        service=None,
    ),
    # a plugin's file as the command, of the name that it gives
    Case(
        plugin="my-plugin",
        about="greets",
        headers={"x-hello-from-python": "Python says hello to localhost"},
    ),
    Case(
        plugin="my-plugin",
        about="greets as it is told",
        config={"message": "hi"},
        headers={"x-hello-from-python": "Python says hi to localhost"},
    ),
    Case(
        plugin="my-plugin",
        about="stops, and what comes after is nothing",
        config={"message": "stop"},
        status=403,
        body={"stopped": True},
        headers={"x-hello-from-python": "Python says stop to localhost", "x-after": None},
        service=None,
    ),
    # a name that differs from the file's, with upper case; kong: kong; prints
    Case(
        plugin="Langfuse-Kong-Plugin",
        about="queues a trace",
        config={"host": "h", "keys": {}},
        request={"method": "POST", "json": {"model": "m"}},
        logs=[("notice", 'queued {"key": "pk", "model": "m", "status": 200}')],
    ),
    Case(
        plugin="Langfuse-Kong-Plugin",
        about="logs an exception when the queue is full",
        config={"host": "h", "keys": {}},
        request={"method": "POST", "json": {"model": "m"}},
        before=2,
        logs=[("err", "the queue is full: 2")],
    ),
    Case(
        plugin="Langfuse-Kong-Plugin",
        about="ends in access, and still has its log",
        config={"host": "h", "keys": {"public": "p"}},
        request={"method": "POST", "json": {"model": "secret"}},
        status=403,
        body=b"",
        service=None,
        logs=[("notice", 'queued {"key": "p", "model": "secret", "status": 403}')],
    ),
    Case(
        plugin="Langfuse-Kong-Plugin",
        about="has nothing to do without a body",
        config={"host": "h"},
    ),
    # a package with __main__.py; what is text in UTF-8; an __init__ that raises
    Case(
        plugin="geocode",
        about="knows the place",
        request={"client_ip": "10.0.0.1", "headers": {"x-country": "xx"}},
        headers={"x-place": "Berlin"},
        service={"x-country": ["de", "DE"]},
        logs=[("debug", "10.0.0.1False/")],
    ),
    Case(
        plugin="geocode",
        about="knows one that is not ASCII",
        request={"client_ip": "10.0.0.2"},
        headers={"x-place": "Évry"},
        service={"x-country": ["fr", "FR"]},
        logs=[("debug", "10.0.0.2False/")],
    ),
    Case(
        plugin="geocode",
        about="blocks a country",
        config={"block": ["de"]},
        request={"client_ip": "10.0.0.1"},
        status=451,
        body={"message": "not in de"},
        headers={"x-place": "Berlin"},
        service=None,
        logs=[("debug", "10.0.0.1False/")],
    ),
    Case(
        plugin="geocode",
        about="does not know it",
        request={"client_ip": "10.0.0.9", "headers": {"x-country": "xx"}},
        headers={"x-place": "unknown"},
        service={"x-country": None},
        logs=[("debug", "10.0.0.9False/")],
    ),
    Case(
        plugin="geocode",
        about="takes no such configuration",
        config={"header": "host"},
        status=500,
        service=None,
        logs=[("err", "the header host is Kong's")],
        problems=["bad instance"],
    ),
]
