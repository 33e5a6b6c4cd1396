"""Every method of the protocol over the real socket: result shapes, error texts, odd arguments."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import attrs
import msgpack
import pytest
from support.client import Client, Closed, Failed, pack
from support.paths import WIRE

from pluginserver import Kong, PluginServer
from pluginserver.events.callbacks import callback
from pluginserver.rpc import instances

Serve = Callable[..., PluginServer]

WIRE = [json.loads(line) for line in WIRE.read_text().splitlines()]


name = "py-torture"
version = "1.2.3"
priority = 7


@attrs.define
class Plugin:
    """Tells its caller what each callback was answered."""

    message: str = "hello"
    i: int = 1
    num: float = 0.5
    flag: bool = False
    _seen: list[Any] = attrs.field(factory=list, init=False)

    def access(self, kong: Kong) -> None:
        answer = kong.call("kong.first")
        while answer != "end":
            answer = callback("kong.got", answer)

    def log(self, kong: Kong) -> None:
        pass


@pytest.fixture
def server(serve: Serve) -> PluginServer:
    return serve(Plugin)


@pytest.fixture
def client(server: PluginServer) -> Any:
    with Client(server.socket_path) as one:
        yield one


def expected(entry: dict[str, Any], result: Any) -> tuple[Any, Any]:
    """The error and result that a recorded request gets from a server that was just started."""
    argument = entry["params"][0]
    if entry["method"] == "plugin.StartInstance":
        config = {"message": "hi", "i": 3, "num": 1.5, "flag": True}
        assert 1 <= result["Id"] < 2**31
        assert abs(result["StartTime"] - time.time()) < 600
        return None, {**result, "Name": "py-torture", "Config": config}
    if entry["method"] == "plugin.HandleEvent":
        return f"No plugin instance {argument['InstanceId']}", None
    return f"No running event {argument['EventId']}", None


@pytest.mark.parametrize("cut", ["whole", "bytes", "one write"])
def test_recorded_requests(client: Client, cut: str) -> None:
    frames = [bytes.fromhex(entry["hex"]) for entry in WIRE]
    if cut == "one write":
        client.send(b"".join(frames))
    for entry, data in zip(WIRE, frames, strict=True):
        if cut == "whole":
            client.send(data)
        elif cut == "bytes":
            for byte in data:
                client.send(bytes([byte]))
        _, message_id, error, result = client.response()
        assert message_id == msgpack.unpackb(data, raw=True, strict_map_key=False)[1]
        assert (error, result) == expected(entry, result)


def test_recorded_steps_reach_their_callbacks_as_they_were_sent(client: Client) -> None:
    instance = client.start("py-torture")
    event = client.begin(instance)["EventId"]
    for entry in WIRE:
        if "Step" not in entry["method"]:
            continue
        _, message_id, method, (argument,) = msgpack.unpackb(
            bytes.fromhex(entry["hex"]), strict_map_key=False, unicode_errors="surrogateescape"
        )
        client.send(pack([0, message_id, method, [{**argument, "EventId": event}]]))
        answer = argument.get("Data")
        response = client.response()
        assert response == [
            1,
            message_id,
            None,
            {"EventId": event, "Data": {"Method": "kong.got", "Args": [answer]}},
        ]
    assert client.step(event, "end") == {"EventId": event, "Data": "ret"}


def test_the_server_says_who_it_is(client: Client) -> None:
    client.call("plugin.GetStatus", None)
    assert client.notifications == [[2, "serverPid", os.getpid()]]


def test_plugin_info(client: Client) -> None:
    info = client.call("plugin.GetPluginInfo", "py-torture")
    assert (info["Name"], info["Version"], info["Priority"]) == ("py-torture", "1.2.3", 7)
    assert sorted(info["Phases"]) == ["access", "log"]
    assert info["Schema"]["name"] == "py-torture"
    ((field,),) = [[f["config"] for f in info["Schema"]["fields"] if "config" in f]]
    assert field["type"] == "record"
    assert [list(f) for f in field["fields"]] == [["message"], ["i"], ["num"], ["flag"]]


def test_the_life_of_an_instance(client: Client) -> None:
    now = int(time.time())
    argument = {"Name": "py-torture", "Config": b'{"message": "hi", "__seq__": 3, "_seen": 5}'}
    started = client.call("plugin.StartInstance", argument)
    assert started["Name"] == "py-torture"
    assert started["Config"]["message"] == "hi"
    assert started["StartTime"] >= now
    assert client.call("plugin.InstanceStatus", started["Id"]) == started
    status = client.call("plugin.GetStatus", "ignored")
    assert status["Pid"] == os.getpid()
    entry = status["Plugins"]["py-torture"]
    assert entry["Name"] == "py-torture"
    assert entry["Instances"] == [started]
    assert entry["LastStartInstance"] >= now
    assert entry["LastCloseInstance"] == 0
    assert {type(entry["Modtime"]), type(entry["LoadTime"])} == {int}
    assert client.call("plugin.CloseInstance", started["Id"]) == started
    for method in ("plugin.CloseInstance", "plugin.InstanceStatus"):
        with pytest.raises(Failed, match=f"^No plugin instance {started['Id']}$"):
            client.call(method, started["Id"])
    entry = client.call("plugin.GetStatus", None)["Plugins"]["py-torture"]
    assert entry["Instances"] == []
    assert entry["LastCloseInstance"] >= now


def test_events_of_a_closed_instance_go_on(client: Client) -> None:
    instance = client.start("py-torture")
    event = client.begin(instance)["EventId"]
    client.call("plugin.CloseInstance", instance)
    assert client.step(event, 1)["Data"]["Args"] == [1]
    assert client.step(event, "end")["Data"] == "ret"
    with pytest.raises(Failed, match=f"^No plugin instance {instance}$"):
        client.begin(instance)


def test_event_ids_are_never_used_again(serve: Serve) -> None:
    seen: list[int] = []
    for _ in range(3):
        server = serve(Plugin)
        with Client(server.socket_path) as client:
            instance = client.start("py-torture")
            for _ in range(3):
                seen.append(client.begin(instance)["EventId"])
        server.stop()
    assert sorted(set(seen)) == seen
    assert seen[-1] < 2**53


def test_instance_ids_fit_31_bits_and_are_drawn_again_while_in_use(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn: list[int] = []
    numbers = iter([4, 4, 2**31 - 2, 4, 2**31 - 2, 0, 4])

    def randbelow(limit: int) -> int:
        drawn.append(limit)
        return next(numbers)

    monkeypatch.setattr(instances.secrets, "randbelow", randbelow)
    server = serve(Plugin)
    with Client(server.socket_path) as client:
        assert [client.start("py-torture") for _ in range(3)] == [5, 2**31 - 1, 1]
        event = client.begin(5)["EventId"]
        client.call("plugin.CloseInstance", 5)
        numbers = iter([4, 9])
        assert client.start("py-torture") == 10
        client.step(event, "end")
    assert set(drawn) == {2**31 - 1}


def test_a_directory_of_plugins_can_be_named_later(client: Client, tmp_path: Path) -> None:
    (tmp_path / "late.py").write_text(
        "version = '1.0.0'\npriority = 1\nclass Plugin:\n    def log(self, kong): pass\n"
    )
    with pytest.raises(Failed, match="late"):
        client.call("plugin.GetPluginInfo", "late")
    assert client.call("plugin.SetPluginDir", str(tmp_path)) == "ok"
    assert client.call("plugin.GetPluginInfo", "late")["Phases"] == ["log"]
    assert client.call("plugin.GetPluginInfo", "py-torture")["Name"] == "py-torture"
    missing = str(tmp_path / "missing")
    with pytest.raises(Failed, match=missing):
        client.call("plugin.SetPluginDir", missing)


@pytest.mark.parametrize(
    ("method", "argument", "error"),
    [
        ("plugin.NoSuchMethod", None, "rpc: can't find method plugin.NoSuchMethod"),
        ("plugin.__init__", None, "rpc: can't find method plugin.__init__"),
        ("plugin._get_status", None, "rpc: can't find method plugin._get_status"),
        ("plugin.step", {"EventId": 1, "X": 1}, "rpc: can't find method plugin.step"),
        ("other.GetStatus", None, "rpc: can't find service other.GetStatus"),
        ("a.b.GetStatus", None, "rpc: can't find service a.b.GetStatus"),
        ("GetStatus", None, "rpc: service/method request ill-formed: GetStatus"),
        ("", None, "rpc: service/method request ill-formed: "),
        ("plugin.HandleEvent", {"InstanceId": 9999}, "No plugin instance 9999"),
        ("plugin.InstanceStatus", 9999, "No plugin instance 9999"),
        ("plugin.CloseInstance", 9999, "No plugin instance 9999"),
        ("plugin.Step", {"EventId": 99999}, "No running event 99999"),
        ("plugin.StepError", {"EventId": 99999, "Data": "x"}, "No running event 99999"),
        ("plugin.StepRoute", {"EventId": 99999, "Data": {}}, "No running event 99999"),
        ("plugin.HandleEvent", None, "No plugin instance 0"),
        ("plugin.InstanceStatus", None, "No plugin instance 0"),
        ("plugin.Step", None, "No running event 0"),
        ("plugin.Step", {"EventId": None}, "No running event 0"),
    ],
)
def test_error_texts(client: Client, method: str, argument: Any, error: str) -> None:
    message_id = client.request(method, argument)
    assert client.response() == [1, message_id, error, None]
    assert client.call("plugin.GetStatus", None)


@pytest.mark.parametrize(
    ("method", "params", "error"),
    [
        (5, [], "ill-formed: 5"),
        ([], [1], "ill-formed"),
        (None, [None], "ill-formed"),
        ({"a": 1}, [{"EventName": "access"}], "ill-formed"),
        ("plugin.Step", [{"EventId": "7"}], "EventId must be an integer, got '7'"),
        ("plugin.Step", [{"EventId": 7.0}], "EventId must be an integer"),
        ("plugin.Step", [{"EventId": [1]}], "EventId must be an integer"),
        ("plugin.Step", [{"EventId": True}], "EventId must be an integer"),
        ("plugin.Step", [7], "plugin.Step takes a map, got 7"),
        ("plugin.HandleEvent", ["x"], "plugin.HandleEvent takes a map, got 'x'"),
        ("plugin.HandleEvent", [{"InstanceId": {}}], "No plugin instance 0"),
        ("plugin.HandleEvent", [{"InstanceId": [1]}], "InstanceId must be an integer"),
        ("plugin.GetPluginInfo", [5], "the plugin's name must be a string, got 5"),
        ("plugin.StartInstance", [[]], "plugin.StartInstance takes a map"),
        ("plugin.StartInstance", [{"Name": 5}], "Name must be a string"),
        ("plugin.CloseInstance", ["7"], "the instance's id must be an integer, got '7'"),
        ("plugin.SetPluginDir", [{}], "the directory must be a string"),
        ("plugin.GetStatus", "text", "params must be an array"),
        ("plugin.GetStatus", {"a": 1}, "params must be an array"),
    ],
)
def test_mistyped_requests_are_answered(
    client: Client, method: Any, params: Any, error: str
) -> None:
    client.send(pack([0, 77, method, params]))
    _, message_id, got, _ = client.response()
    assert message_id == 77
    assert error in got
    assert client.call("plugin.GetStatus", None)


def test_no_arguments_mean_the_zero_value(client: Client) -> None:
    for params in ([], None):
        client.send(pack([0, 5, "plugin.InstanceStatus", params]))
        assert client.response()[2] == "No plugin instance 0"


def test_errors_of_an_instance_that_is_there(client: Client) -> None:
    instance = client.start("py-torture")
    with pytest.raises(Failed, match=r"^undefined method rewrite on plugin py-torture$"):
        client.begin(instance, "rewrite")
    with pytest.raises(Failed, match=r"^undefined method __init__ on plugin py-torture$"):
        client.begin(instance, "__init__")
    with pytest.raises(Failed, match="EventName must be a string"):
        client.call("plugin.HandleEvent", {"InstanceId": instance, "EventName": ["access"]})


@pytest.mark.parametrize(
    "config", ["{", "[1]", "5", '{"i": "three"}', '{"i": true}', '{"flag": 1}', "\udcff"]
)
def test_a_wrong_configuration_starts_nothing(client: Client, config: str) -> None:
    with pytest.raises(Failed, match=r"^Decoding config: "):
        client.start("py-torture", config)
    assert client.call("plugin.GetStatus", None)["Plugins"]["py-torture"]["Instances"] == []


def test_an_error_about_text_that_is_no_unicode(client: Client) -> None:
    with pytest.raises(Failed, match=r"^Decoding config: .*config\.i"):
        client.start("py-torture", '{"i": "\\ud800"}')
    assert client.call("plugin.GetStatus", None)


@pytest.mark.parametrize("config", [None, "", "{}", "[]", "null", b"{}"])
def test_no_configuration_means_the_defaults(client: Client, config: Any) -> None:
    argument = (
        {"Name": "py-torture"} if config is None else {"Name": "py-torture", "Config": config}
    )
    assert client.call("plugin.StartInstance", argument)["Config"]["message"] == "hello"


def test_a_config_that_is_no_text_is_refused(client: Client) -> None:
    with pytest.raises(Failed, match=r"^Decoding config: "):
        client.call("plugin.StartInstance", {"Name": "py-torture", "Config": {"message": "hi"}})


def test_str_and_bin_are_alike(client: Client) -> None:
    argument = {b"Name": b"py-torture", b"Config": "{}"}
    instance = client.call(b"plugin.StartInstance", argument)["Id"]
    start = {b"InstanceId": instance, b"EventName": b"access"}
    event = client.call(b"plugin.HandleEvent", start)["EventId"]
    out = client.call(b"plugin.Step", {b"EventId": event, b"Data": "x"})
    assert out["Data"]["Args"] == ["x"]
    assert client.call(b"plugin.GetPluginInfo", b"py-torture")["Priority"] == 7


@pytest.mark.parametrize(
    "method",
    [
        *("evil", "plugin.GetStatus", "plugin.CloseInstance", "plugin.HandleEvent", ""),
        *("plugin.__class__", b"plugin.GetStatus", ["a", "b"], [], 5, None, {"x": "y"}),
    ],
)
def test_a_step_may_come_under_any_name(client: Client, method: Any) -> None:
    event = client.begin(client.start("py-torture"))["EventId"]
    data = {"_method": method, "x": 1}
    out = client.call(method, {"EventId": event, "Data": data})
    assert out == {"EventId": event, "Data": {"Method": "kong.got", "Args": [data]}}


def test_a_form_field_cannot_make_a_callback_fail(client: Client) -> None:
    event = client.begin(client.start("py-torture"))["EventId"]
    data = {"_method": "plugin.StepError"}
    out = client.call("plugin.StepError", {"EventId": event, "Data": data})
    assert out["Data"]["Args"] == [data]


@pytest.mark.parametrize("text", ["it broke", "", None, b"bytes", "caf\udce9"])
def test_a_step_error_raises_in_the_callback(serve: Serve, text: Any) -> None:
    seen: list[str] = []

    class Plugin:
        name, version, priority = "p", "1.0.0", 1

        def access(self, kong: Kong) -> None:
            from pluginserver import PDKError

            with pytest.raises(PDKError) as caught:
                kong.call("kong.test")
            seen.append(str(caught.value))

    with Client(serve(Plugin).socket_path) as client:
        event = client.begin(client.start("p"))["EventId"]
        out = client.call("plugin.StepError", {"EventId": event, "Data": text})
        assert out["Data"] == "ret"
    wanted = text.decode() if isinstance(text, bytes) else text or ""
    assert wanted in seen[0]


@pytest.mark.parametrize(
    "bad", [b"\xc1", pack([0, 1, "m"]), pack([1, 1, None, None]), pack([2, "x", 1]), pack("x")]
)
def test_a_bad_frame_costs_its_connection_alone(server: PluginServer, bad: bytes) -> None:
    with Client(server.socket_path) as one, Client(server.socket_path) as other:
        instance = other.start("py-torture")
        event = one.begin(instance)["EventId"]
        one.send(pack([0, 5, "plugin.GetStatus", []]) + bad)
        assert one.response()[1] == 5
        with pytest.raises(Closed):
            one.frame()
        assert other.step(event, "end")["Data"] == "ret"


def test_half_a_request_and_then_the_end(server: PluginServer) -> None:
    frame = pack([0, 1, "plugin.GetStatus", [None]])
    for length in range(len(frame)):
        with Client(server.socket_path) as one:
            one.send(frame[:length])
    with Client(server.socket_path) as one:
        assert one.call("plugin.GetStatus", None)


def test_pipelined_requests_are_all_answered(client: Client) -> None:
    frame = pack([0, 1, "plugin.GetStatus", [None]])
    client.send(frame * 100)
    for _ in range(100):
        assert client.response()[2] is None


def test_a_client_that_does_not_read_holds_up_nobody(server: PluginServer) -> None:
    with Client(server.socket_path) as greedy, Client(server.socket_path) as other:
        for _ in range(50):
            other.start("py-torture")
        greedy.socket.settimeout(0.5)
        frame = pack([0, 1, "plugin.GetStatus", [None]])
        sent = 0
        while True:
            try:
                sent += greedy.socket.send(frame * 100)
            except TimeoutError:
                break
        assert other.call("plugin.GetStatus", None)
        greedy.socket.settimeout(60)
        for _ in range(sent // len(frame)):
            assert greedy.response()[2] is None


def test_a_client_that_goes_without_reading(server: PluginServer) -> None:
    for _ in range(5):
        with Client(server.socket_path) as one:
            one.socket.settimeout(0.2)
            while True:
                try:
                    one.send(pack([0, 1, "plugin.GetStatus", [None]]) * 100)
                except TimeoutError:
                    break
    with Client(server.socket_path) as one:
        assert one.call("plugin.GetStatus", None)


def test_large_frames(client: Client) -> None:
    event = client.begin(client.start("py-torture"))["EventId"]
    body = os.urandom(5_000_000)
    assert client.step(event, body)["Data"]["Args"] == [body]
    assert client.step(event, body[:100])["Data"]["Args"] == [body[:100]]


def test_text_that_is_not_utf8_comes_back_as_the_same_bytes(client: Client) -> None:
    event = client.begin(client.start("py-torture"))["EventId"]
    text = bytes(range(256)).decode("utf-8", "surrogateescape")
    assert client.step(event, text)["Data"]["Args"] == [text]
