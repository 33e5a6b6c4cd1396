"""Plays a stored conversation against a plugin as it is now, and says what it does otherwise.

Rules kept here:

* what is compared is what a plugin does: the calls that change something, and how it ends; in which order it
  asks for what it reads is its own affair, and so is whether several headers travel together;
* a question is answered as it was when the conversation was recorded; one that was not asked then gets
  nothing, and is a difference;
* what was masked in the recording is like anything.
"""

from __future__ import annotations

import json
import os
import re
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from difflib import SequenceMatcher
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, Final, cast
from uuid import uuid4

import attrs

from ...spec.functions import FUNCTIONS
from ...spec.multimap import same
from ..attributes import NodeAttributes
from ..kong.client import ClientGone, KongClient
from ..kong.configuration import complete
from ..kong.lua import LuaError
from ..kong.messages import Request, Response
from ..kong.node import Node
from ..kong.router import Administration, Binding
from ..kong.state import Exit, State
from ..record.exchange import Exchange, Run
from ..record.format import short
from ..transports.base import GatewayError, Source, Transport, describe
from .cassette import Call, Conversation, ending, read

_READS: Final = frozenset(
    {
        "kong.client.load_consumer",
        "kong.ip.is_trusted",
        "kong.log.serialize",
        "kong.vault.is_reference",
        "kong.vault.parse_reference",
        "kong.ctx.shared.get",
    }
)
"""Functions that only ask, beside those whose names begin with ``get_``."""

_MASKED: Final = re.compile(r"\(secret( \d+)?\)")
"""What stands for a secret."""

_MANY: Final = {
    "kong.request.get_header": "kong.request.get_headers",
    "kong.request.get_query_arg": "kong.request.get_query",
    "kong.response.get_header": "kong.response.get_headers",
    "kong.service.response.get_header": "kong.service.response.get_headers",
}
"""Functions whose answers another function's answer has too."""


class ReplayDiffers(AssertionError):
    """A plugin does not do what was recorded; the text shows what differs."""


@attrs.frozen
class Replayed:
    """A conversation that was played again.

    :param recorded: as it was recorded.
    :param run: what the plugin did now.
    :param differences: what differs, a line for each; empty for nothing.
    """

    recorded: Conversation
    run: Run
    differences: list[str]


class _Recorded(dict[str, Callable[..., Any]]):
    """Functions that answer what was recorded, under every name that is asked for."""

    def __init__(self, conversation: Conversation) -> None:
        super().__init__()
        self.unknown: list[str] = []
        self._answers: dict[str, list[Any]] = defaultdict(list)
        for call in conversation.calls:
            self._answers[_key(call.method, call.args)].append(call.answer)

    def get(self, name: str, _default: Any = None) -> Callable[..., Any]:
        return lambda *args: self._answer(name, list(args))

    def _answer(self, name: str, args: list[Any]) -> Any:
        function = FUNCTIONS.get(name)
        if function is not None and function.never_returns:
            raise Exit(Response(200), name.rpartition(".")[2])
        waiting = self._answers.get(_key(name, args))
        if waiting:
            return waiting.pop(0) if len(waiting) > 1 else waiting[0]
        if not is_read(name):
            return None
        many = self._answers.get(_key(_MANY.get(name, ""), []))
        if many and isinstance(many[0], Mapping) and args:
            return _one_of(name, many[0], str(args[0]))
        self.unknown.append(f"asks {_shown(name, args)}, which was not asked then: it got nothing")
        return None


def is_read(name: str) -> bool:
    """Whether a function only asks."""
    return name in _READS or name.rpartition(".")[2].startswith("get_")


def replay(
    node: Node,
    transport: Transport,
    binding: Binding,
    recorded: Conversation,
    ignore: Sequence[str],
) -> Replayed:
    """Play a conversation against a plugin.

    :param node: the node whose habits and version are played.
    :param binding: the plugin, with the configuration to use.
    :param ignore: patterns of functions whose calls are not compared.
    """
    answers = _Recorded(recorded)
    stage = Node(node.quirks, version=node.version)
    stage.functions = answers
    client = KongClient(stage, transport)
    state = State(stage, Exchange(uuid4().hex, time.time(), Request()))
    try:
        client.run(state, binding, recorded.phase)
    except (Exit, LuaError, ClientGone):
        pass
    finally:
        client.close_all()
        state.end()
    run = state.exchange.runs[0]
    now = [Call(one.method, list(one.args)) for one in run.callbacks]
    differences = list(_differences(_effects(recorded.calls, ignore), _effects(now, ignore)))
    differences += answers.unknown
    ended = ending(run.ended)
    if ended != recorded.ended and recorded.ended != "abandoned":
        why = f" ({run.error})" if run.error else ""
        differences.append(f"ended with {recorded.ended!r} then, ends with {ended!r} now{why}")
    return Replayed(recorded, run, differences)


def _effects(calls: list[Call], ignore: Sequence[str]) -> list[Call]:
    """The calls that do something, those for several headers as one for each."""
    out = []
    for call in calls:
        if is_read(call.method) or any(fnmatchcase(call.method, one) for one in ignore):
            continue
        if call.method.endswith(".set_headers") and call.args and isinstance(call.args[0], dict):
            one = call.method.removesuffix("s")
            out += [Call(one, [name, value]) for name, value in call.args[0].items()]
        else:
            out.append(call)
    return out


def _differences(then: list[Call], now: list[Call]) -> Iterator[str]:
    """What was done then and is not now, and the other way round, in order."""
    kinds: list[Call] = []
    old = [_kind(kinds, one) for one in then]
    new = [_kind(kinds, one) for one in now]
    for tag, a, b, c, d in SequenceMatcher(a=old, b=new, autojunk=False).get_opcodes():
        if tag != "equal":
            yield from (f"- {_shown(one.method, one.args)}" for one in then[a:b])
            yield from (f"+ {_shown(one.method, one.args)}" for one in now[c:d])


def _kind(kinds: list[Call], call: Call) -> int:
    """The number of the first call that does the same; those that were recorded come first."""
    for number, one in enumerate(kinds):
        same_function = one.method == call.method
        if same_function and _alike(_trimmed(one.args), _trimmed(call.args)):
            return number
    kinds.append(call)
    return len(kinds) - 1


def _trimmed(args: list[Any]) -> list[Any]:
    end = len(args)
    while end and args[end - 1] is None:
        end -= 1
    return args[:end]


def _alike(then: Any, now: Any) -> bool:
    """Whether two values are the same but for what was masked."""
    if isinstance(then, bytes) or isinstance(now, bytes):
        then, now = _text(then), _text(now)
    if isinstance(then, str) and _MASKED.fullmatch(then):
        return True
    if isinstance(then, Mapping) and isinstance(now, Mapping):
        return then.keys() == now.keys() and all(_alike(then[key], now[key]) for key in then)
    if isinstance(then, list) and isinstance(now, list):
        return len(then) == len(now) and all(map(_alike, then, now))
    return bool(then == now)


def _text(value: Any) -> Any:
    return value.decode("utf-8", "surrogateescape") if isinstance(value, bytes) else value


def _one_of(name: str, many: Mapping[str, Any], wanted: str) -> Any:
    """The first value that a table has under a name."""
    headers = name.endswith("_header")
    for key, values in many.items():
        if (same(key) == same(wanted)) if headers else key == wanted:
            listed = values if isinstance(values, list) else [values]
            return listed[0] if listed else True
    return None


def _key(name: str, args: list[Any]) -> str:
    shown = [_text(one) for one in _trimmed(args)]
    if name.endswith("_header") and shown and isinstance(shown[0], str):
        shown[0] = same(shown[0])
    return f"{name} {json.dumps(shown, sort_keys=True, default=str)}"


def _shown(name: str, args: list[Any]) -> str:
    return f"{name}({', '.join(short(_text(one)) for one in _trimmed(args))})"


class Replays(NodeAttributes):
    """Plays stored conversations on a gateway."""

    transport: Transport
    root: Path
    """Where relative paths begin."""

    def replay(
        self,
        path: str | os.PathLike[str],
        source: Source | None = None,
        /,
        *,
        ignore: Sequence[str] = (),
        check: bool = True,
        **config: Any,
    ) -> list[Replayed]:
        """Play the conversations of a cassette against a plugin as it is now.

        :param path: the file, relative to the gateway's root; one of ``pluginserver record`` or ``dev``.
        :param source: the plugin, as for ``plugin``; None for the one of the recorded name that is on the
            gateway.
        :param ignore: functions whose calls are not compared, as patterns: ``"kong.log.*"``.
        :param check: raise when something differs.
        :param config: fields of the configuration that take the place of what was recorded, such as secrets.
        :returns: a record for each conversation.
        :raises ReplayDiffers: when something differs.
        :raises CassetteError: when the file is no cassette.
        :raises GatewayError: when there is no such plugin, or the configuration does not fit it.
        """
        name = None if source is None else self.transport.load(source)
        found = read(self.root / path)
        if name is not None:
            found = [one for one in found if one.plugin == name]
            if not found:
                raise GatewayError(f"{path} has no conversation of a plugin named {name!r}")
        done = [
            replay(self.node, self.transport, self._binding(one, name, config), one, ignore)
            for one in found
        ]
        texts = [text for one in done for text in _told(one)]
        if check and texts:
            raise ReplayDiffers("\n".join([f"{path} is not what the plugin does now:", *texts]))
        return done

    def _binding(self, recorded: Conversation, name: str | None, config: Any) -> Binding:
        """The plugin of a conversation, configured as it was."""
        if name is None:
            on = next((one for one in self.bindings if one.name == recorded.plugin), None)
            if on is None:
                raise GatewayError(
                    f"no plugin named {recorded.plugin!r} is on the gateway: give the plugin's file as the "
                    "second argument of replay()"
                )
            info = attrs.evolve(on.info, protocol=recorded.protocol)
        else:
            info = describe(self.transport, name, recorded.protocol)
        given = complete(info, {**recorded.config, **config})
        return Binding(cast("Administration", self), info, given)


def _told(one: Replayed) -> Iterator[str]:
    if one.differences:
        yield f"{one.recorded.plugin} in {one.recorded.phase}:"
        yield from (f"  {text}" for text in one.differences)
