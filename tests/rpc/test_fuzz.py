"""Whatever a client sends, the server lives, answers or closes, and logs no traceback.

Every case is sent on a connection of its own, or on one that the server is free to close; afterwards
the same server must still run an event.  2,600 cases of each kind make more than 10,000 in all.

The cases are the same in each run (see ``pyproject.toml``), so tox draws all of them on one Python, and
the first 600 of each kind on the others.
"""

from __future__ import annotations

import contextlib
import shutil
import socket
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import attrs
import msgpack
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from support.cases import CASES
from support.client import TIMEOUT, Client, Closed, pack

from pluginserver import PDKError, PluginServer, logs
from pluginserver.events.callbacks import callback
from pluginserver.rpc.protocols import is_messagepack

SENT = settings(
    max_examples=CASES,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)

name = "fuzzed"
version = "1.0.0"
priority = 1


@attrs.define
class Plugin:
    """Repeats what it is answered, three times."""

    number: int = 1
    names: list[str] = attrs.field(factory=list)

    def access(self, _kong: object) -> None:
        answer = None
        for _ in range(3):
            try:
                answer = callback("kong.test", answer)
            except PDKError as error:
                answer = str(error)


METHODS = [
    *("plugin.SetPluginDir", "plugin.GetPluginInfo", "plugin.GetStatus", "plugin.StartInstance"),
    *("plugin.InstanceStatus", "plugin.CloseInstance", "plugin.HandleEvent", "plugin.Step"),
    *("plugin.StepError", "plugin.StepMultiMap", "plugin.StepRoute", "plugin.StepService"),
    *("plugin.StepConsumer", "plugin.StepCredential", "plugin.StepMemoryStats"),
]
KEYS = ["Name", "Config", "InstanceId", "EventName", "EventId", "Data"]

scalars = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=True)
    | st.text(max_size=20)
    | st.binary(max_size=20).map(lambda raw: raw.decode("utf-8", "surrogateescape"))
    | st.binary(max_size=20)
)
values = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=5)
        | st.dictionaries(scalars | st.sampled_from(KEYS), inner, max_size=5)
    ),
    max_leaves=20,
)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PluginServer]:
    directory = tempfile.mkdtemp(prefix="ps-")
    with PluginServer(Path(directory) / "s", [Plugin]) as one:
        yield one
    shutil.rmtree(directory)


def lives(server: PluginServer) -> None:
    with Client(server.socket_path) as client:
        instance = client.start("fuzzed")
        assert len(client.play(instance)) == 3
        client.call("plugin.CloseInstance", instance)


def answers(server: PluginServer, data: bytes, requests: int) -> None:
    """Send ``data``, in which ``requests`` whole requests are the first thing, and wait for them."""
    with Client(server.socket_path) as client:
        client.send(data)
        for _ in range(requests):
            response = client.response()
            assert len(response) == 4
            assert response[2] is None or isinstance(response[2], str)


@pytest.fixture(autouse=True)
def quiet(server: PluginServer, capfd: pytest.CaptureFixture[str]) -> Iterator[None]:
    yield
    lives(server)
    assert logs.flush(TIMEOUT)
    assert "traceback" not in capfd.readouterr().err.lower()


@SENT
@given(data=st.binary(max_size=100))
def test_random_bytes(server: PluginServer, data: bytes) -> None:
    with contextlib.suppress(Closed), Client(server.socket_path) as client:
        client.send(data)
        client.socket.shutdown(socket.SHUT_WR)
        with contextlib.suppress(Closed):
            while True:
                client.frame()


@SENT
@given(value=values)
def test_random_messagepack(server: PluginServer, value: Any) -> None:
    data = pack(value)
    with contextlib.suppress(Closed), Client(server.socket_path) as client:
        client.send(data)
        client.socket.shutdown(socket.SHUT_WR)
        with contextlib.suppress(Closed):
            while True:
                client.frame()


@SENT
@given(
    method=st.sampled_from(METHODS) | scalars,
    params=st.lists(values, max_size=2) | values,
    message_id=st.integers(0, 2**64 - 1),
)
def test_random_requests(server: PluginServer, method: Any, params: Any, message_id: int) -> None:
    data = pack([0, message_id, method, params])
    try:
        msgpack.unpackb(data, strict_map_key=False, unicode_errors="surrogateescape")
    except Exception:
        return
    assume(is_messagepack(data))  # with 0 as its method a request may begin as ProtoBuf:1
    answers(server, data, 1)


@SENT
@given(
    method=st.sampled_from(METHODS),
    argument=st.fixed_dictionaries(
        {}, optional={key: scalars | st.just("fuzzed") | values for key in KEYS}
    ),
    data=values,
)
def test_random_arguments_of_the_right_shape(
    server: PluginServer, method: str, argument: dict[str, Any], data: Any
) -> None:
    with Client(server.socket_path) as client:
        instance = client.start("fuzzed")
        event = client.begin(instance)["EventId"]
        for changed in (
            argument,
            {**argument, "EventId": event, "Data": data},
            {**argument, "InstanceId": instance},
            instance,
        ):
            client.request(method, changed)
            response = client.response()
            assert response[2] is None or isinstance(response[2], str)
        client.request("plugin.CloseInstance", instance)
        client.response()
