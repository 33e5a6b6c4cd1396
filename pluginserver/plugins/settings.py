"""What a plugin's module may say of how its plugin is served.

Rules kept here:

* a value that cannot be is refused with what may stand there;
* in a plugin that was written for kong-pdk, which has no such settings, it is passed over with a line: a
  name such as ``threads`` may mean anything there.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, Literal

from ..errors import PluginError
from ..logs import get_logger

OnError = Literal["close", "continue"]
Threads = Literal["own", "shared"]
Protocol = Literal["msgpack", "protobuf"]
RoundTrips = Literal["fewer", "plain"]


def read_settings(module: Mapping[str, Any], plugin: str, theirs: bool) -> dict[str, Any]:
    """The settings of one plugin, by name.

    :param module: the names of its module.
    :param plugin: its name.
    :param theirs: whether it was written for kong-pdk: then each callback travels by default.
    :raises PluginError: when one cannot be.
    """
    found = {}
    for name, (check, default) in _SETTINGS.items():
        if theirs and name == "round_trips":
            default = "plain"
        value = module.get(name, default)
        try:
            check(name, value)
        except PluginError as error:
            if not theirs:
                raise
            value = default
            get_logger(plugin=plugin).warning(
                f"{error}: it is passed over, since the plugin is written for kong-pdk, which has no such"
                " setting"
            )
        found[name] = value
    return found


def _one_of(*choices: str | None) -> Callable[[str, Any], None]:
    """A check for a value that is one of two texts, or None where that is a choice."""

    def check(name: str, value: Any) -> None:
        if value not in choices:
            allowed = " or ".join(f'"{choice}"' for choice in choices if choice is not None)
            raise PluginError(f"{name} must be {allowed}, got {value!r:.60}")

    return check


def _seconds(name: str, value: Any) -> None:
    if value is not None and (type(value) not in (int, float) or not 0 < value < float("inf")):
        raise PluginError(f"{name} must be a number of seconds, got {value!r:.60}")


_SETTINGS: Final[dict[str, tuple[Callable[[str, Any], None], Any]]] = {
    "on_error": (_one_of("close", "continue"), "close"),
    "threads": (_one_of("own", "shared", None), None),
    "request_timeout": (_seconds, None),
    "protocol": (_one_of("msgpack", "protobuf"), "msgpack"),
    "round_trips": (_one_of("fewer", "plain"), "fewer"),
}
"""Each with its check and its default."""
