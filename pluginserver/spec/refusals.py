"""Why a function cannot be called in a phase, where it can be, and what works there instead.

Rules kept here:

* it is one sentence, the same from ``check``, at a load, and at the call;
* what is said to work instead is listed for that phase in :mod:`.functions`.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

from .functions import FUNCTIONS
from .phases import LETTERS, PHASES

_INSTEAD: Final = (
    # phases, what the name begins with, what to do: the first that fits
    ("L", "kong.request.get_raw_body", "read it in access, and keep it in kong.ctx.shared"),
    ("L", "kong.request.get_body", "read it in access, and keep it in kong.ctx.shared"),
    ("L", "kong.request.", "here kong.log.serialize() has the request, with method, url and uri"),
    ("L", "kong.client.get_ip", "here kong.log.serialize() has client_ip"),
    ("L", "kong.client.get_forwarded_ip", "here kong.log.serialize() has client_ip"),
    ("L", "kong.service.response.get_status", "here kong.response.get_status() has it"),
    ("L", "kong.service.response.", "read it in response, and keep it in kong.ctx.shared"),
    ("L", "kong.response.", "here the client has the response already"),
    ("L", "kong.nginx.", "read it in access, and keep it in kong.ctx.shared"),
    ("PL", "kong.service.", "here the service has the request already"),
    ("RA", "kong.response.get_", "here there is no response yet"),
    ("RA", "kong.service.response.", "here there is no response yet"),
    ("CRAPS", "kong.log.serialize", "here the request is not over yet"),
    ("R", "kong.client.", "here no route is chosen yet"),
    ("R", "kong.router.", "here no route is chosen yet"),
    ("C", "kong.", "here there is a TLS handshake, and no request yet"),
    ("S", "kong.", "here there is a stream of bytes, and no HTTP"),
)


def refusal(name: str, phases: Collection[str], remark: str = "") -> str:
    """Why a known function cannot be called.

    :param name: its full name.
    :param phases: where it was called, one of :data:`~.phases.PHASES` at least.
    :param remark: put behind these.
    """
    function = FUNCTIONS[name]
    if function.unusable:
        return f"{name} {function.unusable}"
    where = [phase for phase in PHASES if phase in phases]
    works = ", ".join(phase for phase in PHASES if phase in function.phases)
    text = f"{name} cannot be called in {', '.join(where)}{remark}: it works in {works}"
    instead = _instead(name, where[0])
    return f"{text}; {instead}" if instead else text


def _instead(name: str, phase: str) -> str:
    for letters, prefix, text in _INSTEAD:
        if name.startswith(prefix) and phase in [LETTERS[letter] for letter in letters]:
            return text
    return ""
