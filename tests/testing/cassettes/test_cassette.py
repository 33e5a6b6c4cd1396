"""Conversations as files: see pluginserver/testing/cassettes/cassette.py."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from pluginserver.testing import CassetteError
from pluginserver.testing.cassettes.cassette import Call, Conversation, read, write


@pytest.mark.parametrize(
    "value",
    [
        None, True, 1, 1.5, "text", "\udcff", b"text", b"\xff\x00", [1, [b"x"]], {"a": {"b": b"c"}},
        {1: "one", 3: "three"}, {"$text": "x"}, {"$text": "x", "more": 1}, {},
    ],
)  # fmt: skip
def test_what_was_said_is_read_as_it_was_written(value: Any, tmp_path: Path) -> None:
    said = [
        Conversation("p", "access", {"field": "v"}, [Call("kong.x", [value], value)], "exit"),
        Conversation("q", "log", ended="failed", error="oops", protocol="protobuf"),
    ]
    write(tmp_path / "case.json", said)
    assert read(tmp_path / "case.json") == said
    assert [one.name for one in tmp_path.iterdir()] == ["case.json"]


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (None, "cannot be read: No such file"),
        ("{", "is not JSON"),
        ("[]", "is no cassette: record one with pluginserver record"),
        ('{"cassette": 2}', "is no cassette"),
        ('{"cassette": 1}', "is a cassette with a mistake in it: KeyError"),
        ('{"cassette": 1, "conversations": [{}]}', "with a mistake in it"),
        ('{"cassette": 1, "conversations": [{"calls": [{"brew": 1}]}]}', "with a mistake in it"),
    ],
)
def test_a_file_that_is_no_cassette_is_said_in_a_sentence(
    text: str | None, why: str, tmp_path: Path
) -> None:
    path = tmp_path / "case.json"
    if text is not None:
        path.write_text(text)
    with pytest.raises(CassetteError, match=why) as caught:
        read(path)
    assert str(path) in str(caught.value)


def test_a_file_can_be_read_by_people(tmp_path: Path) -> None:
    write(tmp_path / "c.json", [Conversation("p", "log", calls=[Call("kong.log", ["hi"])])])
    found = json.loads((tmp_path / "c.json").read_text())
    assert found["conversations"][0]["calls"] == [
        {"method": "kong.log", "args": ["hi"], "answer": None}
    ]
