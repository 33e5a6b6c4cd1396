"""Every exception that this package raises on purpose.

Rules kept here:

* whatever a user can cause is a :class:`PluginServerError`, and its text is one sentence that
  names the thing and says what to do;
* what a plugin can catch around a PDK call is a :class:`PDKError`;
* this module imports nothing of the package, so that every other one may import it.
"""

from __future__ import annotations

from typing import Final

MAX_TEXT: Final = 4096
"""Characters of an error's text that are sent or logged: it is read by people, line by line."""


def cut(text: str) -> str:
    """A text of at most :data:`MAX_TEXT` characters."""
    return text if len(text) <= MAX_TEXT else text[: MAX_TEXT - 3] + "..."


class PluginServerError(Exception):
    """Base of every error that a user of the package can cause."""


class ListenError(PluginServerError):
    """The socket cannot be served: it is in use, or its path is unusable."""


class SocketInUseError(ListenError):
    """Another server is listening on the socket."""


class LinkError(PluginServerError):
    """The connection between two servers of which one takes over from the other is of no more use."""


class PluginError(PluginServerError):
    """A plugin cannot be loaded or described."""

    place: tuple[str, int] | None = None
    """The file and the line that it is about, where these are known; the text names them, too."""


class UnknownPluginError(PluginError):
    """There is no plugin of that name."""


class SchemaError(PluginError):
    """A config class has a field that Kong's schema language cannot express."""


class ConfigError(PluginServerError):
    """A plugin's configuration does not fit its config class."""


class RPCError(PluginServerError):
    """A request cannot be answered with a result; the text is the response's error."""


class InstanceError(RPCError):
    """There is no instance of that id: Kong starts a new one."""


class PDKError(PluginServerError):
    """A PDK call failed: Kong answered it with ``StepError``, or it could not be made."""


class PhaseError(PDKError):
    """A PDK function was called in a phase in which Kong does not offer it; nothing was sent."""


class OutsideEventError(PDKError):
    """A PDK function was called where no event runs: at import, or in a thread or greenlet of the
    plugin's own."""


class EventEndedError(PDKError):
    """A PDK function was called after the event's last message (``exit``, ``error``, a
    time-out)."""


class ForeignSwitchError(PluginServerError):
    """A handler, or what it calls, switched greenlets behind the server's back; its event was refused."""
