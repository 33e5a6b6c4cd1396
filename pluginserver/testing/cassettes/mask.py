"""Takes the secrets out of a conversation before it is stored.

Rules kept here:

* what a field that is ``referenceable`` or ``encrypted`` holds is replaced, and so is every copy of it in
  what plugin and Kong said;
* so are the values of headers that are named, wherever they stand: as an answer, an argument, in a table of
  headers, in a variable of nginx; and every copy of them;
* different secrets have different masks, so that a plugin that compares two finds what it found;
* of a plugin whose schema is not known the whole configuration is replaced.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

from ...spec.multimap import same
from ...spec.secrets import MASK, concealed, masked, secrets_in
from .cassette import Call, Conversation

HEADERS: Final = (
    "authorization",
    "proxy-authorization",
    "cookie",
    "set-cookie",
    "x-api-key",
    "apikey",
)
"""Headers whose values are never stored."""

_UNKNOWN: Final[Mapping[str, Any]] = {"type": "string", "referenceable": True}
_VARIABLE: Final = "http_"


def mask(
    conversation: Conversation, record: Mapping[str, Any] | None, headers: Iterable[str]
) -> Conversation:
    """A conversation without its secrets.

    :param record: the schema of the plugin's configuration; None when it is not known.
    :param headers: the names of headers whose values are secret.
    """
    names = {same(one) for one in headers}
    config = conversation.config
    labels = _Labels()
    if record is None:
        shown: Any = {key: masked(_UNKNOWN, value) for key, value in config.items()}
        labels.add(one for value in config.values() for one in secrets_in(_UNKNOWN, value))
    else:
        shown = masked(record, config)
        labels.add(secrets_in(record, config))
    calls = [Call(one.method, list(one.args), one.answer) for one in conversation.calls]
    for call in calls:
        _note_headers(call, names, labels)
    return Conversation(
        conversation.plugin,
        conversation.phase,
        labels.shown(shown, config) if isinstance(shown, dict) else {},
        [Call(one.method, labels.hide(one.args), labels.hide(one.answer)) for one in calls],
        conversation.ended,
        labels.hide(conversation.error),
        conversation.protocol,
    )


class _Labels:
    """What stands for each secret of a conversation: the same for the same one, wherever it is."""

    def __init__(self) -> None:
        self._labels: dict[str, str] = {}

    def add(self, secrets: Iterable[str]) -> None:
        """Have these hidden."""
        for one in secrets:
            if one and one not in self._labels:
                number = len(self._labels) + 1
                self._labels[one] = MASK if number == 1 else f"{MASK[:-1]} {number})"

    def shown(self, shown: Any, value: Any) -> Any:
        """A masked value with the labels of what was masked."""
        if shown == MASK:
            return self._labels.get(str(value), MASK)
        if isinstance(shown, dict) and isinstance(value, dict) and shown.keys() == value.keys():
            return {key: self.shown(one, value[key]) for key, one in shown.items()}
        if isinstance(shown, list) and isinstance(value, list) and len(shown) == len(value):
            return [self.shown(one, other) for one, other in zip(shown, value, strict=True)]
        return shown

    def hide(self, value: Any) -> Any:
        """A value with no copy of a secret in it."""
        if isinstance(value, str):
            return self._text(value)
        if isinstance(value, bytes):
            text = value.decode("utf-8", "surrogateescape")
            return self._text(text).encode("utf-8", "surrogateescape")
        if isinstance(value, list):
            return [self.hide(one) for one in value]
        if isinstance(value, dict):
            return {self.hide(key): self.hide(one) for key, one in value.items()}
        is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
        return self._labels.get(str(value), value) if is_number else value

    def _text(self, text: str) -> str:
        marks = {}
        for place, secret in enumerate(sorted(self._labels, key=len, reverse=True)):
            found = concealed(text, [secret])
            if found is None:
                return self._labels[secret]
            mark = f"\0{place}\0"
            marks[mark] = self._labels[secret]
            text = found.replace(MASK, mark)
        for mark, label in marks.items():
            text = text.replace(mark, label)
        return text


def _note_headers(call: Call, names: set[str], labels: _Labels) -> None:
    """Have the headers of a call hidden."""
    first = call.args[0] if call.args else None
    if isinstance(first, str) and _is_header(call.method, first, names):
        labels.add(_texts([*call.args[1:], call.answer]))
    for value in (*call.args, call.answer):
        labels.add(_of_tables(value, names))


def _is_header(method: str, name: str, names: set[str]) -> bool:
    if method.endswith("_header"):
        return same(name) in names
    variable = method == "kong.nginx.get_var" and name.lower().startswith(_VARIABLE)
    return variable and same(name[len(_VARIABLE) :]) in names


def _of_tables(value: Any, names: set[str]) -> Iterator[str]:
    """What the tables in a value have under the names of secret headers."""
    if isinstance(value, list):
        for one in value:
            yield from _of_tables(one, names)
    elif isinstance(value, dict):
        for key, one in value.items():
            if isinstance(key, str) and same(key) in names:
                yield from _texts(one)
            else:
                yield from _of_tables(one, names)


def _texts(value: Any) -> Iterator[str]:
    """The texts in a value."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, bytes):
        yield value.decode("utf-8", "surrogateescape")
    elif isinstance(value, list):
        for one in value:
            yield from _texts(one)
    elif isinstance(value, dict):
        for one in value.values():
            yield from _texts(one)
