"""Kong's settings for plugins: which server is started how, and which plugin is asked about how.

Kong 3.9, kong/conf_loader/init.lua: ``pluginserver_names`` is a list of names in lower case; the keys of one
are ``pluginserver_<name with _ for ->_socket``, ``_start_cmd`` and ``_query_cmd``.  Rules kept here:

* each plugin has a name of its own, in every version: from 3.9 on Kong reads the first entry of a dump and
  no other, and before that it takes as many as there are;
* of names that share a server one has the start command: Kong would start a server for each, and they would
  take the socket from each other;
* every command is words with absolute paths (:mod:`.launch`).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final, Literal

import attrs

from ..errors import PluginServerError
from .launch import command_line, program, socket_path

SHARED: Final = "python_pluginserver.sock"
"""The name of the socket of one server for all."""

CAT: Final = "/bin/cat"

Version = tuple[int, int]
"""A version of Kong: its first two numbers."""

ONE_ENTRY: Final[Version] = (3, 9)
"""The first version that reads one entry of a dump."""

_VERSION: Final = re.compile(r"(\d+)\.(\d+)(\.\d+)*")
_OLDEST: Final[Version] = (3, 0)
_VARIABLE: Final = re.compile(r"[A-Za-z_]\w*", re.ASCII)


@attrs.frozen(kw_only=True)
class Plan:
    """What is to be configured.

    :param names: the plugins, as Kong knows them.
    :param directory: where they are.
    :param kong: for which version.
    :param servers: one process for all, or each plugin with its own.
    :param started_by: whether Kong starts the servers.
    :param sockets: the directory of the sockets.
    :param environment: variables of Kong's that the servers are to have.
    :param dumps: where the dumps are that :mod:`.dumps` has made; None to ask the plugins.
    """

    names: Sequence[str]
    directory: Path
    kong: Version
    servers: Literal["one", "each"]
    started_by: Literal["kong", "other"]
    sockets: Path
    environment: Sequence[str] = ()
    dumps: Path | None = None


@attrs.frozen
class Settings:
    """What is to be written.

    :param plugins: what to add to Kong's ``plugins``.
    :param values: the settings by their names in ``kong.conf``, in order.
    :param remarks: what whoever reads them should know, a line each.
    """

    plugins: list[str]
    values: dict[str, str]
    remarks: list[str]


def version(text: str) -> Version:
    """A version of Kong, such as ``3.9`` or ``3.10.0.2``.

    :raises PluginServerError: when it is none, or one that no plugin here can serve.
    """
    found = _VERSION.fullmatch(text)
    if found is None or (int(found[1]), int(found[2])) < _OLDEST:
        raise PluginServerError(
            f"{text!r} is not a version of Kong from 3.0 on: write 3.9, for one"
        )
    return int(found[1]), int(found[2])


def settings(plan: Plan) -> Settings:
    """Kong's settings for a plan.

    :raises PluginServerError: when two names are the same to Kong, or something cannot be written.
    """
    values = {"pluginserver_names": ",".join(name.lower() for name in plan.names)}
    keys: dict[str, str] = {}
    for name in plan.names:
        key = f"pluginserver_{name.lower().replace('-', '_')}"
        if key in keys:
            raise PluginServerError(
                f"Kong cannot tell the plugins {keys[key]} and {name} apart: its settings are in lower case,"
                " with _ for a dash; rename one of them"
            )
        keys[key] = name
        first = len(keys) == 1
        values[f"{key}_socket"] = str(_socket(plan, name))
        if plan.started_by == "kong" and (first or plan.servers == "each"):
            values[f"{key}_start_cmd"] = command_line(_start(plan, name))
        values[f"{key}_query_cmd"] = command_line(_query(plan, name))
    if plan.environment:
        values["nginx_main_env"] = "; env ".join(map(_variable, plan.environment))
    return Settings(list(plan.names), values, list(_remarks(plan)))


def _socket(plan: Plan, name: str) -> Path:
    own = f"{name.lower()}.socket"
    return socket_path(plan.sockets, own if plan.servers == "each" else SHARED)


def _start(plan: Plan, name: str) -> list[str]:
    words = [*program(), "-plugins-directory", str(plan.directory)]
    if plan.servers == "each":
        words += ["-only", name]
    return [*words, "-socket", str(_socket(plan, name))]


def _query(plan: Plan, name: str) -> list[str]:
    if plan.dumps is not None:
        return [CAT, str(plan.dumps / f"{name}.json")]
    return [*program(), "-plugins-directory", str(plan.directory), "-dump", name]


def _variable(name: str) -> str:
    if not _VARIABLE.fullmatch(name):
        raise PluginServerError(
            f"{name!r} is not the name of an environment variable: give the name alone, not its value"
        )
    return name


def _remarks(plan: Plan) -> Iterator[str]:
    major, minor = plan.kong
    yield f"Written by pluginserver kong-conf for Kong {major}.{minor}."
    if plan.kong < ONE_ENTRY:
        yield "Before 3.9 one name could hold all plugins; a name for each works from 3.9 on too."
    if plan.started_by == "other":
        starts = plan.names if plan.servers == "each" else plan.names[:1]
        for name in starts:
            yield f"Kong starts no server. Keep this running: {command_line(_start(plan, name))}"
    elif plan.kong == ONE_ENTRY:
        yield "On Kong 3.9.0 to 3.9.3 the Admin API may answer GET / with 500 when Kong starts the server."
        yield "Where something reads GET / (decK for one): pluginserver kong-conf --started-by other."
    if plan.environment:
        yield "If nginx_main_env is set already, join the two: A; env B."
