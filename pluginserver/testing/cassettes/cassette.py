"""What a plugin and Kong said to each other, as a JSON file that is kept with the tests.

Rules kept here:

* a file has nothing that changes from run to run but what plugin and Kong said: no times, ids or numbers of
  events;
* JSON cannot say bytes, nor maps whose keys are numbers: they are objects with one key that begins with
  ``$``;
* a file is written whole or not at all.
"""

from __future__ import annotations

import base64
import json
import os
import re
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import attrs

from ...errors import PluginServerError
from ...spec.protocols import MSGPACK

FORMAT: Final = 1
"""The number of the format, in each file under ``cassette``."""

_NUMBERED: Final = re.compile(r"(\d+)-.*\.json")
_TEXT, _BASE64, _MAP = "$text", "$base64", "$map"


class CassetteError(PluginServerError):
    """A file cannot be used as a cassette; the text says why."""


@attrs.define
class Call:
    """One PDK call.

    :param method: the function's full name.
    :param args: its arguments as the plugin sent them.
    :param answer: what came back.
    """

    method: str
    args: list[Any] = attrs.field(factory=list)
    answer: Any = None


@attrs.define
class Conversation:
    """One phase of one plugin.

    :param plugin: the plugin's name.
    :param phase: the phase's name.
    :param config: the plugin's configuration, without what Kong adds.
    :param calls: its calls, in order.
    :param ended: ``"ret"``, ``"exit"`` (also by ``kong.response.error``), ``"failed"`` or ``"abandoned"``.
    :param error: the text of a failure.
    :param protocol: ``"msgpack"`` or ``"protobuf"``.
    """

    plugin: str
    phase: str
    config: dict[str, Any] = attrs.field(factory=dict)
    calls: list[Call] = attrs.field(factory=list)
    ended: str = "ret"
    error: str | None = None
    protocol: str = MSGPACK


def read(path: str | os.PathLike[str]) -> list[Conversation]:
    """The conversations in a file.

    :raises CassetteError: when it cannot be read, or is no cassette.
    """
    try:
        found = json.loads(Path(path).read_bytes())
    except OSError as error:
        raise CassetteError(f"{path} cannot be read: {error.strerror}") from None
    except ValueError as error:
        raise CassetteError(f"{path} is not JSON: {error}") from None
    if not isinstance(found, dict) or found.get("cassette") != FORMAT:
        raise CassetteError(
            f"{path} is no cassette: record one with pluginserver record, which writes "
            f'"cassette": {FORMAT} into it'
        )
    try:
        return [_conversation(one) for one in found["conversations"]]
    except (KeyError, TypeError, ValueError) as error:
        raise CassetteError(f"{path} is a cassette with a mistake in it: {error!r}") from None


def write(path: Path, conversations: list[Conversation]) -> None:
    """Write a file.

    :raises OSError: when it cannot be written.
    """
    content = {
        "cassette": FORMAT,
        "conversations": [_plain(attrs.asdict(one)) for one in conversations],
    }
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    beside.write_text(json.dumps(content, indent=2) + "\n", "utf-8")
    beside.replace(path)


def own(config: Any) -> Any:
    """A plugin's configuration without what Kong adds to it."""
    if isinstance(config, list):
        return [own(one) for one in config]
    if not isinstance(config, dict):
        return config
    return {key: own(one) for key, one in config.items() if not key.startswith(("__", "$"))}


def ending(ended: str) -> str:
    """How a conversation ended, by how a :class:`~..record.exchange.Run` did."""
    return {"error": "exit", "throw": "failed"}.get(ended, ended)


class Folder:
    """A directory of cassettes, which are numbered in the order in which they are stored.

    :param directory: it must exist.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._lock = threading.Lock()
        found = (_NUMBERED.fullmatch(path.name) for path in directory.iterdir())
        self._number = max((int(one[1]) for one in found if one), default=0)

    def store(self, name: str, conversations: list[Conversation]) -> None:
        """Write the next file, ``NUMBER-NAME.json``; from any thread.

        :raises OSError: when it cannot be written.
        """
        with self._lock:
            self._number += 1
            number = self._number
        write(self._directory / f"{number:04}-{name}.json", conversations)


def _conversation(found: Any) -> Conversation:
    given = _value(found)
    calls = [Call(**one) for one in given.pop("calls")]
    return Conversation(calls=calls, **given)


def _plain(value: Any) -> Any:
    """A value as JSON has it."""
    if isinstance(value, bytes):
        try:
            return {_TEXT: value.decode()}
        except UnicodeDecodeError:
            return {_BASE64: base64.b64encode(value).decode()}
    if isinstance(value, (list, tuple)):
        return [_plain(one) for one in value]
    if isinstance(value, Mapping):
        if any(not isinstance(key, str) or key.startswith("$") for key in value):
            return {_MAP: [[_plain(key), _plain(one)] for key, one in value.items()]}
        return {key: _plain(one) for key, one in value.items()}
    return value if value is None or isinstance(value, (bool, int, float, str)) else str(value)


def _value(found: Any) -> Any:
    """A value of what JSON has."""
    if isinstance(found, list):
        return [_value(one) for one in found]
    if not isinstance(found, dict):
        return found
    if len(found) == 1:
        ((key, one),) = found.items()
        if key == _TEXT:
            return str(one).encode()
        if key == _BASE64:
            return base64.b64decode(one)
        if key == _MAP:
            return {_value(name): _value(item) for name, item in one}
    return {key: _value(one) for key, one in found.items()}
