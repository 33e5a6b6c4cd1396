"""``kong.log``: Kong's error log.

Rules kept here:

* a message is made of any values, as :func:`print` makes it, and is sent as one text: Lua would print
  the address of a table, and throw when there are no arguments;
* a level below :attr:`Log.level` costs no round trip.  Kong does not tell its level to a plugin
  server, and it can be changed while it runs; so it is known here only from the
  environment's ``KONG_LOG_LEVEL``, which Kong itself reads too, or from an assignment.  Without
  either everything is sent, and Kong decides.
"""

from __future__ import annotations

import json
import os
import sys
from types import TracebackType
from typing import Any, Final, Literal, TypeAlias

from ..errors import PDKError
from ..events.callbacks import callback
from ..logs import fold
from ..spec.levels import LOG_LEVELS
from .namespace import Namespace
from .values import Value, check_choice, check_text, to_lua

ExcInfo: TypeAlias = (
    "bool | BaseException | "
    "tuple[type[BaseException], BaseException, TracebackType | None] | tuple[None, None, None] | None"
)
"""An exception, or True for the one that is being handled, as :mod:`logging` takes it."""

_DEBUG, _INFO, _NOTICE, _WARN, _ERR, _CRIT, _ALERT, _EMERG = range(8)

_MODES: Final = ("set", "add", "replace")


class Log(Namespace):
    """Functions that write to Kong's log, and the object itself as a function.

    Each takes any values, and ``exc_info`` for a traceback, which is put into the same line.

    :param level: see :attr:`level`.
    """

    __slots__ = ("_lowest",)

    NAME = "kong.log"

    def __init__(self, level: str = "debug") -> None:
        self.level = level

    @property
    def level(self) -> str:
        """The lowest level that is sent to Kong, one of :data:`~pluginserver.spec.levels.LOG_LEVELS`.

        It holds for all plugins of the process.  Set it to the level that Kong logs at, to save the
        round trips of what it would not write: ``kong.log.level = "notice"``.
        """
        return LOG_LEVELS[self._lowest]

    @level.setter
    def level(self, level: str) -> None:
        known = {"warning": "warn", "error": "err"}.get(level, level)
        self._lowest = LOG_LEVELS.index(check_choice(known, "level", LOG_LEVELS))

    def enabled(self, level: str) -> bool:
        """Whether messages of a level are sent.

        :param level: one of :data:`~pluginserver.spec.levels.LOG_LEVELS`.
        """
        return LOG_LEVELS.index(check_choice(level, "level", LOG_LEVELS)) >= self._lowest

    def __call__(self, *values: object, exc_info: ExcInfo = None) -> None:
        """Write at level ``notice``.

        Phases: all.
        """
        if self._lowest <= _NOTICE:
            callback("kong.log", message(values, exc_info))

    def debug(self, *values: object, exc_info: ExcInfo = None) -> None:
        """Write at level ``debug``.

        Phases: all.
        """
        if self._lowest <= _DEBUG:
            callback("kong.log.debug", message(values, exc_info))

    def info(self, *values: object, exc_info: ExcInfo = None) -> None:
        """Write at level ``info``.

        Phases: all.
        """
        if self._lowest <= _INFO:
            callback("kong.log.info", message(values, exc_info))

    def notice(self, *values: object, exc_info: ExcInfo = None) -> None:
        """Write at level ``notice``, the lowest that Kong writes by default.

        Phases: all.
        """
        if self._lowest <= _NOTICE:
            callback("kong.log.notice", message(values, exc_info))

    def warn(self, *values: object, exc_info: ExcInfo = None) -> None:
        """Write at level ``warn``.

        Phases: all.
        """
        if self._lowest <= _WARN:
            callback("kong.log.warn", message(values, exc_info))

    def err(self, *values: object, exc_info: ExcInfo = None) -> None:
        """Write at level ``err``.

        Phases: all.
        """
        if self._lowest <= _ERR:
            callback("kong.log.err", message(values, exc_info))

    def crit(self, *values: object, exc_info: ExcInfo = None) -> None:
        """Write at level ``crit``.

        Phases: all.
        """
        if self._lowest <= _CRIT:
            callback("kong.log.crit", message(values, exc_info))

    def alert(self, *values: object, exc_info: ExcInfo = None) -> None:
        """Write at level ``alert``.

        Phases: all.
        """
        if self._lowest <= _ALERT:
            callback("kong.log.alert", message(values, exc_info))

    def emerg(self, *values: object, exc_info: ExcInfo = None) -> None:
        """Write at level ``emerg``.

        Phases: all.
        """
        callback("kong.log.emerg", message(values, exc_info))

    def deprecation(
        self,
        *values: object,
        after: str | None = None,
        removal: str | None = None,
        trace: bool = False,
    ) -> None:
        """Write at level ``warn`` that something should no longer be used.

        :param after: the version since which it should not.
        :param removal: the version that will not have it any more.
        :param trace: add a traceback of Kong's own, in Lua.

        Phases: all.
        """
        if self._lowest > _WARN:
            return
        notes: dict[str, str | bool] = {}
        if after is not None:
            notes["after"] = check_text(after, "after")
        if removal is not None:
            notes["removal"] = check_text(removal, "removal")
        if trace:
            notes["trace"] = True
        if notes:
            callback("kong.log.deprecation", message(values), notes)
        else:
            callback("kong.log.deprecation", message(values))

    def inspect(self, *values: object) -> None:
        """Write values at level ``debug``, several lines long, as Lua's ``inspect`` shows them.

        What Lua cannot hold is shown as ``repr`` does.

        Phases: all.
        """
        if self._lowest <= _DEBUG:
            callback("kong.log.inspect", *(_inspectable(value) for value in values or ("",)))

    def set_serialize_value(
        self,
        key: str,
        value: Value | None = None,
        mode: Literal["set", "add", "replace"] = "set",
    ) -> None:
        """Set a field of the record that Kong's logging plugins write.

        In ``log`` it comes too late for other plugins.

        :param key: the field's name; dots reach into nested maps.
        :param value: None removes the field.
        :param mode: ``"set"``; ``"add"`` only where there is none; ``"replace"`` only where there
            is one.
        :raises ValueError: for None with another mode than ``"set"``, which cannot be sent.

        Phases: rewrite, access, response, log.
        """
        check_text(key, "key")
        check_choice(mode, "mode", _MODES)
        if value is None:
            if mode != "set":
                raise ValueError(
                    f"value is None, which cannot be sent with mode {mode!r}: leave mode out"
                )
            callback("kong.log.set_serialize_value", key)
        elif mode == "set":
            callback("kong.log.set_serialize_value", key, to_lua(value, "value"))
        else:
            callback("kong.log.set_serialize_value", key, to_lua(value, "value"), {"mode": mode})

    def serialize(self) -> dict[str, Any]:
        """The record that Kong's logging plugins write about the request.

        It has ``request``, ``response``, ``latencies``, ``route``, ``service``, ``consumer``,
        ``client_ip``, ``started_at`` and more.  It may hold secrets.

        :returns: the record; Kong sends it as a JSON text, which is decoded here.
        :raises PDKError: when Kong could not make it.

        Phases: log.
        """
        answer = callback("kong.log.serialize")
        try:
            record = json.loads(answer)
        except (TypeError, ValueError):
            record = None
        if not isinstance(record, dict):
            raise PDKError(
                f"kong.log.serialize did not give a record but {answer!r:.80}: "
                "look for values that set_serialize_value put into it"
            )
        return record


def message(values: tuple[object, ...], exc_info: ExcInfo = None) -> str:
    """One text of what a log function was given."""
    words = " ".join([value if type(value) is str else _as_printed(value) for value in values])
    if exc_info:
        error = sys.exc_info()[1] if exc_info is True else exc_info
        if isinstance(error, tuple):
            error = error[1]
        if isinstance(error, BaseException):
            words = f"{words} | {fold(error)}" if words else fold(error)
    if not words.isascii():
        try:
            words.encode("utf-8", "surrogateescape")
        except UnicodeEncodeError:
            words = words.encode("utf-8", "backslashreplace").decode()
    return words


def _as_printed(value: object) -> str:
    """A value as :func:`print` shows it, also when its own method fails."""
    try:
        return str(value)
    except Exception as error:
        return f"<{type(value).__name__} whose str() raised {type(error).__name__}>"


def _inspectable(value: object) -> Any:
    try:
        return to_lua(value, "value")
    except (TypeError, ValueError):
        return _repr(value)


def _repr(value: object) -> str:
    try:
        return message((repr(value),))
    except Exception as error:
        return f"<{type(value).__name__} whose repr() raised {type(error).__name__}>"


def level_of_environment() -> str:
    """The level that the environment's ``KONG_LOG_LEVEL`` names, else the lowest."""
    level = os.environ.get("KONG_LOG_LEVEL", "")
    return level if level in (*LOG_LEVELS, "error") else "debug"
