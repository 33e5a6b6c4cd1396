"""A request as a command that sends it again.

Rules kept here:

* the command is one for bash, and everything in it from outside is quoted: it sends, and does nothing else;
* it sends what the client sent: headers that curl would add by itself are taken out;
* a body that an argument cannot carry is left out, and a comment says so.
"""

from __future__ import annotations

import re
import shlex
from typing import Final

from ...testing import Request
from ...testing.kong.headers import same
from ...testing.kong.upstream import HOP_BY_HOP

BODY: Final = 32768
"""Bytes of a body that the command holds at the most."""

_PLAIN: Final = re.compile(r"[\x20-\x7e]*")
_ADDED: Final = ("Accept", "User-Agent")


def curl(request: Request, base: str) -> str:
    """The command.

    :param request: the request.
    :param base: where the gateway is, such as ``"http://127.0.0.1:8000"``.
    """
    words = ["curl -i --path-as-is -g"]
    if request.method == "HEAD":
        words[0] += " -I"
    elif request.method != "GET" or request.body:
        words.append(f"-X {quoted(request.method)}")
    given = [
        (name, value)
        for name, value in request.headers.pairs()
        if same(name) not in HOP_BY_HOP and same(name) not in ("content-length", "host")
    ]
    host = request.headers.get("Host")
    if host is not None and f"http://{host}" != base:
        given.insert(0, ("Host", host))
    words += [f"-H {quoted(_line(name, value))}" for name, value in given]
    missing = [*_ADDED, *(["Content-Type"] if request.body else [])]
    words += [f"-H '{name}:'" for name in missing if name not in request.headers]
    note = ""
    if request.body and (len(request.body) > BODY or b"\x00" in request.body):
        note = f"  # without its body of {len(request.body)} bytes"
    elif request.body:
        words.append(f"--data-raw {quoted(request.body)}")
    words.append(quoted(f"{base}{request.target}"))
    return " \\\n  ".join(words) + note


def _line(name: str, value: str) -> str:
    """A header as curl takes it: with a semicolon, one that is empty is sent and not taken out."""
    return f"{name}: {value}" if value else f"{name};"


def quoted(text: str | bytes) -> str:
    """A word of a command, whatever is in it."""
    data = text if isinstance(text, bytes) else text.encode("utf-8", "surrogateescape")
    shown = data.decode("latin-1")
    if _PLAIN.fullmatch(shown):
        return shlex.quote(shown)
    return "$'" + "".join(_escaped(byte) for byte in data) + "'"


def _escaped(byte: int) -> str:
    letter = chr(byte)
    if letter in "'\\":
        return f"\\{letter}"
    # Three octal digits: what follows is never taken for more of them.
    return letter if 32 <= byte < 127 else f"\\{byte:03o}"
