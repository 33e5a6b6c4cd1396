"""The ``kong`` that a handler of a plugin for kong-pdk is called with.

Any name in it is a function of Kong's, as in kong-pdk 0.36: what it is called with is sent, whether or not
this package knows the function, and Kong answers nil for one that it does not have itself.

Rules kept here:

* in Lua style every call gives a pair, ``(data, err)``, those that set something too; else the data alone;
* answers are what Kong sent: entities as dicts, headers and queries as dicts of lists, raw bodies as bytes,
  nil as None;
* ``kong.log`` and what is below it get text, numbers, lists and dicts; anything else goes through ``str``;
* a function that neither Kong nor this package knows answers nil, also in ProtoBuf:1, which cannot carry
  it: then Kong's log gets the line that Kong itself writes in MsgPack:1;
* ``exit`` and ``error`` end the handler in both styles; kong-pdk lets it go on, and loses what it calls;
* what is raised is an instance of the ``PDKException`` that the plugin imports, and of our own error too;
* there is one object for all events, so nothing can be kept in it: what a handler assigns to a name is
  dropped.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Any, Final

from ..errors import PDKError
from ..events.callbacks import callback, finish
from ..pdk.results import fresh
from ..spec.functions import FUNCTIONS
from ..spec.methods import MULTI_MAPS

KEPT: Final = 200
"""Names below one name that are made once; a plugin may make names up, and these are not kept."""

_NON_RETURNING: Final = frozenset(name for name, one in FUNCTIONS.items() if one.never_returns)
_RAW_BODIES: Final = frozenset(name for name in FUNCTIONS if name.endswith(".get_raw_body"))
_PRINTED: Final = frozenset({str, int, list, dict})

Call = Callable[[str, "tuple[Any, ...]"], Any]


class Function:
    """A name in Kong's PDK: a function, or what functions are in; calling it asks Kong.

    :param name: the full name, such as ``"kong.request"``.
    :param call: asks Kong, with a function's full name and its arguments.
    """

    def __init__(self, name: str, call: Call) -> None:
        self.__dict__["_path"] = name
        self.__dict__["_call"] = call

    def __call__(self, *args: Any) -> Any:
        return self._call(self._path, args)

    def __getattr__(self, part: str) -> Function:
        if part.startswith("__"):
            raise AttributeError(f"{self._path} has no {part}")
        found = Function(f"{self._path}.{part}", self._call)
        if len(self.__dict__) < KEPT:
            self.__dict__[part] = found
        return found

    def __setattr__(self, _name: str, _value: object) -> None:
        """Nothing is kept, as in kong-pdk below the first name."""

    def __str__(self) -> str:
        """The function's answer: ``"%s" % kong.request.get_method`` calls it."""
        answer = self()
        if not isinstance(answer, str):
            raise TypeError(
                f"{self._path} was used as text and answered {type(answer).__name__}: call it, and take"
                " what you need of its answer"
            )
        return answer

    def __repr__(self) -> str:
        return f"<{self._path}>"


def _in_pairs(name: str, args: tuple[Any, ...]) -> tuple[Any, str | None]:
    """Ask Kong, and give what it sent and its error, of which one is None."""
    try:
        return _ask(name, args), None
    except PDKError as error:
        if type(error) is PDKError:  # not one of ours, which would be a 500 of Kong's
            return None, str(error)
        raise _of_plugin(error, str(error)) from error


def _data_alone(name: str, args: tuple[Any, ...]) -> Any:
    """Ask Kong, and give what it sent.

    :raises PDKError: with Kong's error; it is a ``PDKException`` of kong-pdk too.
    """
    try:
        return _ask(name, args)
    except PDKError as error:
        raise _of_plugin(error, f"exception from {name}: {error}") from error


LUA_STYLE: Final = Function("kong", _in_pairs)
"""For a plugin that takes pairs, ``host, err = kong.request.get_host()``."""

PYTHON_STYLE: Final = Function("kong", _data_alone)
"""For a plugin that takes the data alone, ``host = kong.request.get_host()``."""


def kong_for(lua_style: bool) -> Function:
    """What handlers are called with."""
    return LUA_STYLE if lua_style else PYTHON_STYLE


def _ask(name: str, args: tuple[Any, ...]) -> Any:
    if name == "kong.log" or name.startswith("kong.log."):
        args = tuple(one if type(one) in _PRINTED else str(one) for one in args)
    if name in _NON_RETURNING:
        try:
            finish(name, *args)
        except PDKError as error:
            raise _of_plugin(error, str(error)) from error
    if name not in FUNCTIONS:
        return _ask_unknown(name, args)
    answer = callback(name, *args)
    if name in MULTI_MAPS:
        return fresh(answer or {})
    if name in _RAW_BODIES and isinstance(answer, str):
        return answer.encode("utf-8", "surrogateescape")
    return fresh(answer)


def _ask_unknown(name: str, args: tuple[Any, ...]) -> Any:
    try:
        return fresh(callback(name, *args))
    except PDKError as error:
        if type(error) is not PDKError:
            raise
        callback("kong.log.err", f"could not find pdk method: {name}: {error}")
        return None


def _of_plugin(error: PDKError, text: str) -> PDKError:
    """The error as the plugin can catch it."""
    try:
        theirs: type[Exception] = import_module("kong_pdk.exception").PDKException
    except (ImportError, AttributeError):
        return error
    return error if isinstance(error, theirs) else _both(type(error), theirs)(text)


def _both(ours: type[PDKError], theirs: type[Exception]) -> type[PDKError]:
    """A class of errors that is of two kinds."""
    key = ours, theirs
    if key not in _BOTH:
        _BOTH[key] = type(ours.__name__, (ours, theirs), {"__module__": ours.__module__})
    return _BOTH[key]


_BOTH: Final[dict[tuple[type[PDKError], type[Exception]], type[PDKError]]] = {}
"""The classes that were made; there are a handful of our errors."""
