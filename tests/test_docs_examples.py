"""The reference has an example for each function of Kong's, and each one gives what it says."""

from __future__ import annotations

import doctest
import importlib.util
import sys
import time
from types import ModuleType
from typing import Any

import pytest
from support.driving import ask
from support.paths import DOCS

from pluginserver.pdk import kong
from pluginserver.spec.functions import FUNCTIONS
from pluginserver.testing import TLS, Gateway, Response, make_request

_SPEC = importlib.util.spec_from_file_location("docs_pdk", DOCS / "_ext" / "pdk.py")
assert _SPEC is not None
assert _SPEC.loader is not None
reference = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(reference)
EXAMPLES = reference.examples()

CHECKER = doctest.OutputChecker()
ENTERPRISE: dict[str, Any] = {
    "kong.client.authenticate_consumer_group_by_consumer_id": None,
    "kong.client.set_authenticated_consumer_group": None,
    "kong.client.set_authenticated_consumer_groups": None,
    "kong.client.get_consumer_group": {"id": "1", "name": "gold"},
    "kong.client.get_consumer_groups": [{"id": "1", "name": "gold"}],
    "kong.enterprise_edition.jwe.encrypt": "a.b.c.d.e",
    "kong.enterprise_edition.jwe.decrypt": "hello",
    "kong.enterprise_edition.jwe.decode": {"protected": {"alg": "RSA-OAEP"}},
    "kong.request.get_id": "0f3a3b3c",
}
"""What the simulated Kong does not have, and what it answers here."""


def phase_of(example: Any) -> str:
    """The phase in which an example is run."""
    if example.phase:
        return str(example.phase)
    allowed = [FUNCTIONS[name].phases for name in example.names if name in FUNCTIONS]
    common = frozenset.intersection(*allowed) if allowed else {"access"}
    order = ("access", "response", "log", "rewrite", "certificate", "preread")
    return next(phase for phase in order if phase in common)


def play(text: str, kong: Any, wrong: list[str]) -> None:
    """Run an example in a handler, and note what came out otherwise."""
    names = {"kong": kong, "time": time}
    for one in doctest.DocTestParser().get_examples(text):
        out: list[str] = []
        shown, sys.displayhook = sys.displayhook, lambda value, out=out: _show(value, out)
        try:
            exec(compile(one.source, "<example>", "single"), names)
        except Exception as error:
            out.append(f"{type(error).__name__}: {error}\n")
        finally:
            sys.displayhook = shown
        flags = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
        if not CHECKER.check_output(one.want, "".join(out), flags):
            wrong.append(f"{one.source.strip()}\n  said {one.want!r}, is {''.join(out)!r}")


def _show(value: object, out: list[str]) -> None:
    if value is not None:
        out.append(f"{value!r}\n")


def module(text: str, phase: str, wrong: list[str]) -> ModuleType:
    """A plugin whose only phase runs an example."""
    made = ModuleType("example")

    def handler(_self: object, kong: Any) -> None:
        play(text, kong, wrong)

    vars(made).update(
        version="1.0.0",
        priority=1,
        Plugin=type("Plugin", (), {phase: handler, "__module__": "example"}),
    )
    return made


def upstream(_request: Any) -> Response:
    headers = {"content-type": "application/json", "x-cache": "hit"}
    return Response(200, b'{"id": 17}', headers)


def request(phase: str) -> Any:
    headers = {
        "host": "example.com",
        "accept": ["text/html", "text/plain"],
        "content-type": "application/json",
        "x-tenant": "blue",
        "x-real-ip": "203.0.113.7",
        "x-forwarded-proto": "https",
        "x-forwarded-host": "shop.example.com",
        "x-forwarded-port": "443",
    }
    return make_request(
        "POST",
        "http://example.com/orders/17?page=2&tag=red&tag=blue",
        headers=headers,
        body=b'{"item": 17}',
        client_ip="10.0.0.1",
        **({"scheme": "https", "tls": TLS()} if phase == "certificate" else {}),
    )


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda one: one.names[0])
def test_every_example_gives_what_it_says(example: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    wrong: list[str] = []
    phase = phase_of(example)
    if phase == "preread":
        # A stream, which has no request: the call is driven by hand.
        ask(lambda: play(example.text, kong, wrong), answers=[True], phase=phase)
        assert not wrong, "\n".join(wrong)
        return
    monkeypatch.setitem(sys.modules, "example", module(example.text, phase, wrong))
    with Gateway("in-process", raise_bugs=False) as gateway:
        service = gateway.service("shop", upstream=upstream)
        gateway.route(r"~/orders/(?<id>\d+)", service=service, name="orders", strip_path=False)
        gateway.consumer("ann", custom_id="customer-1")
        gateway.trusted_ips = ["10.0.0.0/8"]
        gateway.shared = {"plan": "gold"}
        gateway.secrets = {"env/token": "s3cret"}
        gateway.hostname = "kong-1"
        gateway.cluster_id = "4f1cb0a2-0000-4000-8000-000000000001"
        gateway.upstreams = {"shops": upstream}
        for name, answer in ENTERPRISE.items():
            gateway.functions[name] = lambda *_, answer=answer: answer
        gateway.plugin(sys.modules["example"])
        done = gateway.handle(request(phase))
    called = {call.method for call in done.callbacks}
    assert not wrong, "\n".join(wrong)
    assert not done.problems, done.problems
    expected = {name for name in example.names if name in FUNCTIONS}
    assert expected <= called | {"kong.log"}, expected - called


def test_every_function_has_an_example() -> None:
    shown = {name for example in EXAMPLES for name in example.names}
    known = {
        name
        for space, found in reference.namespaces(kong)
        for name, _ in reference.functions(found, space)
        if not (name in FUNCTIONS and FUNCTIONS[name].unusable)
    }
    assert known - shown == set()
    assert {name for name in shown if name not in known} == set()
    unusable = {name for name, function in FUNCTIONS.items() if function.unusable}
    assert set(FUNCTIONS) - unusable <= shown


def test_no_example_is_for_a_phase_that_no_function_has() -> None:
    assert {phase_of(example) for example in EXAMPLES} <= {
        *("certificate", "rewrite", "access", "response", "log", "preread")
    }
