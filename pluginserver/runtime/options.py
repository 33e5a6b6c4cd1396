"""The settings of a server: their defaults, their limits and their descriptions, once.

:class:`~pluginserver.server.PluginServer` takes them as keyword arguments, the command line as flags,
and both describe them with the texts that stand here.  Rules kept here:

* a value that cannot work is refused when it is given, with its name and what is wanted;
* one default for each, whichever way a server is started.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from typing import Any, Final, TypedDict

import attrs

from .accounts import group_number, user_number


def _option(
    default: Any,
    help: str,
    wanted: str,
    allows: Callable[[Any], bool],
    converter: Callable[[Any], Any] | None = None,
) -> Any:
    """A field of :class:`Options`.

    :param help: what it is for, as one line of a usage text.
    :param wanted: what a value must be; goes on from "is not".
    :param allows: whether a value is that.
    :param converter: makes the value of what was given.
    """

    def check(_options: Options, attribute: attrs.Attribute[Any], value: Any) -> None:
        if not allows(value):
            raise ValueError(f"{attribute.name}: {value!r} is not {wanted}")

    return attrs.field(
        default=default,
        validator=check,
        converter=converter,
        metadata={"help": help, "wanted": wanted},
    )


def _is_mode(value: Any) -> bool:
    return type(value) is int and 0 <= value <= 0o777


def _is_count(value: Any) -> bool:
    return type(value) is int and value >= 1


def _is_duration(value: Any) -> bool:
    return type(value) in (int, float) and 0 <= value < float("inf")


def _is_positive(value: Any) -> bool:
    return _is_duration(value) and value > 0


def _is_process(value: Any) -> bool:
    return type(value) is int and value >= 0


def _is_flag(value: Any) -> bool:
    return type(value) is bool


def _is_round_trips(value: Any) -> bool:
    return type(value) is str and value in ("fewer", "plain")


def _is_group(value: Any) -> bool:
    return value is None or (isinstance(value, str) and group_number(value) is not None)


def _are_users(value: Any) -> bool:
    return type(value) is tuple and all(
        isinstance(user, str) and user_number(user) is not None for user in value
    )


def _several(value: Any) -> Any:
    """A tuple of the strings of a list; a single string is a list of one."""
    if isinstance(value, str):
        return (value,)
    return tuple(value) if isinstance(value, list) else value


@attrs.frozen(kw_only=True)
class Options:
    """How a server behaves, whatever it serves.

    :raises ValueError: for a value that cannot work; its text names the option.
    """

    socket_mode: int = _option(
        0o600,
        "the permissions of the socket file, in octal",
        "a mode such as 0o660",
        _is_mode,
    )
    socket_group: str | None = _option(
        None,
        "the group of the socket file, by name or number",
        "a group of this system",
        _is_group,
    )
    allow_user: Sequence[str] = _option(
        (),
        "a user that may connect, by name or number, besides the server's own; may be given more than once",
        "a user of this system",
        _are_users,
        _several,
    )
    fixed_plugins_directory: bool = _option(
        False,
        "refuse SetPluginDir, so that no client chooses whose code is run; "
        "so it is in any case when the socket's mode lets other users connect",
        "True or False",
        _is_flag,
    )
    report_cost: bool = _option(
        False,
        "have Kong's log plugins show what each plugin has cost a request, by two more callbacks",
        "True or False",
        _is_flag,
    )
    otel: bool = _option(
        False,
        "make spans of OpenTelemetry for events and callbacks; needs the extra otel",
        "True or False",
        _is_flag,
    )
    max_threads: int = _option(
        256,
        "how many threads handlers that block may take",
        "a whole number from 1 up",
        _is_count,
    )
    max_connections: int = _option(
        4096,  # sixteen nginx workers, each with a full pool of 256
        "how many clients may be connected; the next one is closed at once",
        "a whole number from 1 up",
        _is_count,
    )
    max_events: int = _option(
        20_000,  # of 8 KiB each when they are suspended: 160 MiB
        "how many events may run, wait for Kong or wait for a thread; the next one is refused",
        "a whole number from 1 up",
        _is_count,
    )
    request_timeout: float = _option(
        55.0,
        "seconds after which a request is answered even if its handler still runs; "
        "keep it under Kong's read time-out of 60",
        "a number of seconds above 0",
        _is_positive,
    )
    callback_timeout: float = _option(
        120.0,
        "seconds after which an event is ended whose callback Kong does not answer",
        "a number of seconds above 0",
        _is_positive,
    )
    io_timeout: float = _option(
        30.0,  # half of what Kong itself waits: a client that it has given up is gone by then
        "seconds after which a connection is closed whose client sent half a message, or does not read",
        "a number of seconds above 0",
        _is_positive,
    )
    ping_interval: float = _option(
        25.0,
        "seconds in a handler after which Kong is sent a harmless callback, so that it goes on waiting; "
        "keep it under Kong's read time-out of 60",
        "a number of seconds above 0",
        _is_positive,
    )
    cpu_timeout: float = _option(
        5.0,
        "seconds of CPU time that a handler may use between two callbacks before it is interrupted",
        "a number of seconds above 0",
        _is_positive,
    )
    queue_timeout: float = _option(
        2.0,
        "seconds that an event waits for a free thread before it is refused",
        "a number of seconds above 0",
        _is_positive,
    )
    stuck_timeout: float = _option(
        2.0,
        "seconds in one handler after which the other events of its thread are refused",
        "a number of seconds above 0",
        _is_positive,
    )
    linger: float = _option(
        2.0,  # Kong starts the next server within a second of the end of the last
        "seconds that the server goes on as before when it is told to stop and clients are connected, "
        "so that a successor can take over",
        "a number of seconds from 0 up",
        _is_duration,
    )
    instance_timeout: float = _option(
        86_400.0,  # a quiet night, and a quiet weekend's day, must not reset every plugin
        "seconds after which an unused instance is closed whose Kong worker the system does not show",
        "a number of seconds above 0",
        _is_positive,
    )
    grace: float = _option(
        10.0,  # what Kong gives its own workers to quit
        "seconds that running events get to finish when the server stops",
        "a number of seconds from 0 up",
        _is_duration,
    )
    round_trips: str = _option(
        "fewer",
        "fewer, to spare a callback whose answer and effect are certain, or plain, to have each one travel",
        "fewer or plain",
        _is_round_trips,
    )
    replace: bool = _option(
        False,
        "take over from a server that is listening on the socket, and let a later one take over, "
        "if both are processes of one user",
        "True or False",
        _is_flag,
    )
    watch_parent: bool = _option(
        False,
        "stop when the process that started this one is gone",
        "True or False",
        _is_flag,
    )
    parent: int = _option(
        0,  # what starts a server is mostly what it lives for; a shell in between is not
        "the process that the server lives for, with watch_parent; 0 for the one that started it",
        "a process id, or 0",
        _is_process,
    )


class OptionArguments(TypedDict, total=False):
    """The fields of :class:`Options` as keyword arguments of a function."""

    socket_mode: int
    socket_group: str | None
    allow_user: Sequence[str]
    fixed_plugins_directory: bool
    report_cost: bool
    otel: bool
    max_threads: int
    max_connections: int
    max_events: int
    request_timeout: float
    callback_timeout: float
    io_timeout: float
    ping_interval: float
    cpu_timeout: float
    queue_timeout: float
    stuck_timeout: float
    linger: float
    instance_timeout: float
    grace: float
    round_trips: str
    replace: bool
    watch_parent: bool
    parent: int


HELP: Final[dict[str, str]] = {
    field.name: field.metadata["help"] for field in attrs.fields(Options)
}
"""What each option is for."""

WANTED: Final[dict[str, str]] = {
    field.name: field.metadata["wanted"] for field in attrs.fields(Options)
}
"""What a value of each option must be; goes on from "is not"."""

DEFAULTS: Final = Options()
"""The options that nobody has set."""


def documented(docstring: str | None) -> str:
    """A class's docstring with a ``:param:`` line for each option at its end."""
    lines = (f":param {name}: {text}; default: {_shown(name)}." for name, text in HELP.items())
    return "\n".join([inspect.cleandoc(docstring or "").rstrip(), *lines, ""])


def _shown(name: str) -> str:
    """An option's default as a reader writes it."""
    value = getattr(DEFAULTS, name)
    return f"0o{value:o}" if name == "socket_mode" else f"{value}"


Options.__doc__ = documented(Options.__doc__)
