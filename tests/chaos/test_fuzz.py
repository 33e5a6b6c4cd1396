"""What atheris is given to call works without it: the frames of Kong, and bytes that are none."""

from __future__ import annotations

import json

import pytest
from support.client import pack

from chaos.fuzz import FRAMES, Harness
from pluginserver.rpc import methods
from pluginserver.rpc.protobuf.messages import encode
from pluginserver.rpc.protobuf.wire import frame


def test_the_harness_takes_frames_and_other_bytes(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(methods, "first_id", methods.first_id)  # put back afterwards
    harness = Harness()
    for line in FRAMES.read_text().splitlines():
        harness(bytes.fromhex(json.loads(line)["hex"]))
    begin = pack([0, 1, "plugin.HandleEvent", [{"InstanceId": 1, "EventName": "access"}]])
    step = pack([0, 2, "plugin.Step", [{"EventId": 1, "Data": "a"}]])
    before = harness.callbacks
    for data in (b"\xc1", begin, begin + step, begin + 3 * step, begin + 4 * step):
        harness(data)
    assert harness.callbacks == before + 1 + 2 + 3 + 3
    call = {"cmd_handle_event": {"instance_id": 1, "event_name": "access"}}
    harness(frame(encode("RpcCall", call)) + 4 * frame(b""))
    assert harness.callbacks == before + 9 + 3
    assert "internal error" not in capfd.readouterr().err
