"""The functions that are known, against Kong's: what is written here was typed from the reference."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest

from pluginserver.pdk import Kong, kong
from pluginserver.spec.functions import FORBIDDEN, FUNCTIONS

PHASES = {
    "C": "certificate",
    "R": "rewrite",
    "A": "access",
    "P": "response",
    "S": "preread",
    "L": "log",
}

TABLE = """
kong.client.get_ip                                     CRAP
kong.client.get_forwarded_ip                           CRAP
kong.client.get_port                                   CRAP
kong.client.get_forwarded_port                         CRAP
kong.client.get_credential                             APL     StepCredential
kong.client.load_consumer                              APL     StepConsumer
kong.client.get_consumer                               APL     StepConsumer
kong.client.authenticate                               A       StepCredential
kong.client.get_protocol                               APS
kong.client.tls.request_client_certificate             C
kong.client.tls.disable_session_reuse                  C
kong.client.tls.get_full_client_certificate_chain      RAP
kong.client.tls.set_client_verify                      RAP
kong.cluster.get_id                                    CRAPSL
kong.ip.is_trusted                                     CRAPSL
kong.log                                               CRAPSL
kong.log.debug                                         CRAPSL
kong.log.info                                          CRAPSL
kong.log.notice                                        CRAPSL
kong.log.warn                                          CRAPSL
kong.log.err                                           CRAPSL
kong.log.crit                                          CRAPSL
kong.log.alert                                         CRAPSL
kong.log.emerg                                         CRAPSL
kong.log.deprecation                                   CRAPSL
kong.log.inspect                                       CRAPSL
kong.log.set_serialize_value                           RAPL
kong.log.serialize                                     L
kong.nginx.get_var                                     RAPS
kong.nginx.get_tls1_version_str                        RAP
kong.nginx.get_ctx                                     CRAPSL
kong.nginx.set_ctx                                     CRAPSL
kong.nginx.req_start_time                              RAPL
kong.nginx.get_subsystem                               CRAPSL
kong.nginx.get_statistics                              CRAPSL
kong.node.get_id                                       CRAPSL
kong.node.get_hostname                                 CRAPSL
kong.node.get_memory_stats                             CRAPSL  StepMemoryStats
kong.plugin.get_id                                     RAPL
kong.ctx.shared.get                                    CRAPSL
kong.ctx.shared.set                                    CRAPSL
kong.request.get_scheme                                RAP
kong.request.get_host                                  RAP
kong.request.get_port                                  CRAPS
kong.request.get_forwarded_scheme                      RAP
kong.request.get_forwarded_host                        RAP
kong.request.get_forwarded_port                        RAP
kong.request.get_forwarded_path                        RAP
kong.request.get_forwarded_prefix                      RAP
kong.request.get_http_version                          RAP
kong.request.get_method                                RAP
kong.request.get_path                                  RAP
kong.request.get_raw_path                              RAP
kong.request.get_path_with_query                       RAP
kong.request.get_raw_query                             RAP
kong.request.get_query_arg                             RAP
kong.request.get_query                                 RAP     StepMultiMap
kong.request.get_header                                RAPL
kong.request.get_headers                               RAPL    StepMultiMap
kong.request.get_raw_body                              RAP
kong.request.get_body                                  RAP
kong.request.get_start_time                            RAPL
kong.request.get_uri_captures                          RAPL
kong.response.get_status                               PL
kong.response.get_header                               PL
kong.response.get_headers                              PL      StepMultiMap
kong.response.get_source                               PL
kong.response.set_status                               RAP
kong.response.set_header                               RAP
kong.response.add_header                               RAP
kong.response.clear_header                             RAP
kong.response.set_headers                              RAP
kong.response.exit                                     RAPS
kong.response.error                                    RAP
kong.response.get_raw_body                             -
kong.response.set_raw_body                             -
kong.router.get_route                                  APL     StepRoute
kong.router.get_service                                APL     StepService
kong.service.set_upstream                              A
kong.service.set_target                                A
kong.service.set_retries                               A
kong.service.set_timeouts                              A
kong.service.set_tls_verify                            RAS
kong.service.set_tls_verify_depth                      RAS
kong.service.set_tls_cert_key                          -
kong.service.set_tls_verify_store                      -
kong.service.request.enable_buffering                  RA
kong.service.request.set_scheme                        RA
kong.service.request.set_path                          RA
kong.service.request.set_raw_body                      RA
kong.service.request.set_header                        RA
kong.service.request.set_raw_query                     RA
kong.service.request.set_method                        RA
kong.service.request.set_query                         RA
kong.service.request.clear_query_arg                   RA
kong.service.request.add_header                        RA
kong.service.request.clear_header                      RA
kong.service.request.set_headers                       RA
kong.service.request.set_body                          RA
kong.service.request.disable_tls                       S
kong.service.response.get_status                       P
kong.service.response.get_header                       PL
kong.service.response.get_headers                      PL      StepMultiMap
kong.service.response.get_raw_body                     P
kong.service.response.get_body                         P
kong.telemetry.log                                     CRAPSL
kong.vault.get                                         CRAPSL
kong.vault.is_reference                                CRAPSL
kong.vault.parse_reference                             CRAPSL
kong.vault.update                                      CRAPSL
kong.client.get_consumer_group                         APL     Enterprise
kong.client.get_consumer_groups                        APL     Enterprise
kong.client.set_authenticated_consumer_group           APL     Enterprise
kong.client.set_authenticated_consumer_groups          APL     Enterprise
kong.client.authenticate_consumer_group_by_consumer_id A       Enterprise
kong.enterprise_edition.jwe.decode                     CRAPSL  Enterprise
kong.enterprise_edition.jwe.decrypt                    CRAPSL  Enterprise
kong.enterprise_edition.jwe.encrypt                    CRAPSL  Enterprise
kong.websocket.client.get_frame                        -       Enterprise
kong.websocket.client.set_frame_data                   -       Enterprise
kong.websocket.client.set_status                       -       Enterprise
kong.websocket.client.drop_frame                       -       Enterprise
kong.websocket.client.close                            -       Enterprise
kong.websocket.client.set_max_payload_size             -       Enterprise
kong.websocket.upstream.get_frame                      -       Enterprise
kong.websocket.upstream.set_frame_data                 -       Enterprise
kong.websocket.upstream.set_status                     -       Enterprise
kong.websocket.upstream.drop_frame                     -       Enterprise
kong.websocket.upstream.close                          -       Enterprise
kong.websocket.upstream.set_max_payload_size           -       Enterprise
"""
"""Name, phases (- for none that a plugin server gets), the step that answers, the edition."""

ROWS = {line.split()[0]: line.split()[1:] for line in TABLE.strip().splitlines()}

OURS = {"kong.call", "kong.log.enabled"}
"""What is on the object, but is no function of Kong's."""

MAPPING = {"clear", "items", "keys", "pop", "popitem", "setdefault", "update", "values", "get"}
"""What ``kong.ctx.shared`` and ``kong.nginx.ctx`` have because they are mappings."""


def offered(namespace: Any, path: str) -> Iterator[tuple[str, Any]]:
    """Every public function below a namespace, with its path."""
    if callable(namespace):
        yield path, namespace
    for name in dir(type(namespace)):
        if name.startswith("_") or isinstance(getattr(type(namespace), name), property):
            continue
        value = getattr(namespace, name)
        below = f"{path}.{name}"
        if type(value).__module__.startswith("pluginserver."):
            yield from offered(value, below)
        elif callable(value) and not (name in MAPPING and path == "kong.nginx.ctx"):
            yield below, value


OFFERED = dict(offered(kong, "kong"))


def test_the_known_functions_are_those_of_the_table() -> None:
    assert set(FUNCTIONS) == set(ROWS)
    assert [name for name, function in FUNCTIONS.items() if function.name != name] == []


@pytest.mark.parametrize("name", ROWS)
def test_a_known_function(name: str) -> None:
    letters, *rest = ROWS[name]
    function = FUNCTIONS[name]
    assert function.phases == {PHASES[letter] for letter in letters if letter != "-"}
    assert function.step == next((word for word in rest if word.startswith("Step")), "Step")
    assert function.enterprise == ("Enterprise" in rest)
    assert bool(function.unusable) == (letters == "-")
    assert function.never_returns == (name in ("kong.response.exit", "kong.response.error"))


def test_forbidden_is_what_a_phase_does_not_offer() -> None:
    assert set(FORBIDDEN) == set(PHASES.values())
    for letter, phase in PHASES.items():
        offering = {name for name, (letters, *_) in ROWS.items() if letter in letters}
        assert FORBIDDEN[phase] == set(ROWS) - offering


def test_an_unknown_function_is_never_forbidden() -> None:
    assert not any("kong.of_tomorrow" in names for names in FORBIDDEN.values())


def test_every_function_is_offered_under_its_name() -> None:
    mapping_methods = {f"kong.ctx.shared.{name}" for name in MAPPING - {"get"}}
    assert set(OFFERED) - OURS - mapping_methods == set(ROWS)


def documented(name: str) -> str:
    function = OFFERED[name]
    if name == "kong.log":
        function = type(function).__call__
    return function.__doc__ or ""


@pytest.mark.parametrize("name", ROWS)
def test_the_docstring_says_where_the_function_may_be_called(name: str) -> None:
    text = documented(name)
    function = FUNCTIONS[name]
    if function.unusable:
        assert text.startswith("Not usable")
        return
    said = re.findall(r"^ *Phases: (.*)\.$", text, re.MULTILINE)
    ordered = [phase for phase in PHASES.values() if phase in function.phases]
    assert said == ["all" if len(ordered) == len(PHASES) else ", ".join(ordered)]
    assert ("Kong Enterprise only." in text) == function.enterprise
    since = re.findall(r"^ *Since Kong (.*)\.$", text, re.MULTILINE)
    assert since == ([function.since] if function.since else [])


def test_the_object_has_no_state_of_its_own() -> None:
    assert not hasattr(kong, "__dict__")
    assert Kong.request is kong.request is Kong().request
