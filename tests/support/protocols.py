"""Kong's two protocols in tests: which tests run in both, and what ProtoBuf:1 cannot carry."""

from __future__ import annotations

import re

import pytest

from pluginserver import PDKError
from pluginserver.spec.protocols import MSGPACK, PROTOBUF

PROTOCOLS = [MSGPACK, PROTOBUF]

NO_FUNCTION = "Kong's ProtoBuf:1 has no such function"
NO_ERROR = "Kong's ProtoBuf:1 has no place for an error's text"
REFUSED_HERE = "in ProtoBuf:1 our server refuses the function before Kong hears of it"

MSGPACK_ONLY = {
    "test_an_error_that_an_older_kong_tells": NO_ERROR,
    "test_a_function_that_fails": NO_ERROR,
    "test_two_faults_at_once": NO_ERROR,
    "test_a_none_in_the_middle": "ProtoBuf:1 has named fields instead of a list of arguments",
    "test_an_unknown_function": REFUSED_HERE,
    "test_a_function_of_kong_enterprise": REFUSED_HERE,
}
"""Tests of what there is in MsgPack:1 alone, and why."""

NOT_CARRIED = {
    "kong.client.tls.get_full_client_certificate_chain": NO_FUNCTION,
    "kong.vault.get": NO_FUNCTION,
}
"""Functions whose tests end in a PDKError in ProtoBuf:1, and why."""


def protocol_of(request: pytest.FixtureRequest) -> str:
    """The protocol that a test is to run in; skips a test of what that does not have."""
    name = request.node.originalname
    if request.param == PROTOBUF and name in MSGPACK_ONLY:
        pytest.skip(MSGPACK_ONLY[name])
    return str(request.param)


def missing(error: PDKError) -> str | None:
    """The function that ProtoBuf:1 does not have, when that is what an error says."""
    found = re.match(r"Kong's ProtoBuf:1 has no ([\w.]+):", str(error))
    return None if found is None else found[1]
