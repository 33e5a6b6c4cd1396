"""Reads Kong's configuration as Kong does: what becomes of a file's lines, and of environment variables.

Written from the rules of Kong 3.9, ``kong/conf_loader/init.lua`` (``load_config``, ``strip_comments``,
``overrides``, the plugin servers' defaults), ``kong/conf_loader/parse.lua`` (``parse_value``) and Penlight's
``pl.config`` that reads the file; ``kong/runloop/plugin_servers/process.lua`` runs the commands.  The Helm
chart's rules are those of its ``_helpers.tpl`` (``kong.plugins``, and the variables made of ``env``).

What Kong would take and an author cannot have meant is refused: see :class:`Refused`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import yaml

OPERATORS = set(";&|<>()$`*?[]{}~!\\")
"""What a shell does not take as it is; one that Kong splits the words for does."""


class Refused(ValueError):
    """A configuration with a comment in a command, a broken quote, or something that needs a shell."""


@dataclass
class Server:
    """What Kong knows of one name in ``pluginserver_names``."""

    name: str
    socket: str
    start: list[str] | None
    query: list[str]


@dataclass
class Read:
    """What Kong has understood."""

    plugins: list[str]
    servers: list[Server]
    environment: list[str]
    """The variables that nginx hands on."""


def conf(text: str) -> dict[str, str]:
    """The settings in a ``kong.conf``."""
    found: dict[str, str] = {}
    begun = ""
    for line in text.splitlines():
        if not line.strip() or line.lstrip().startswith((";", "#")):
            continue
        continued = re.search(r"\\\s*$", line)
        if continued:
            begun += line[: continued.start()]
            continue
        line, begun = begun + line, ""
        if line.startswith("["):
            raise Refused(f"a section: {line}")
        key, equals, value = line.lstrip().partition("=")
        if not equals:
            raise Refused(f"no setting: {line}")
        value = value.strip()
        stripped = re.sub(r"\s*(?<!\\)#.*$", "", value)
        if stripped != value:
            raise Refused(f"a comment after a value: {line}")
        found[re.sub(r"[^A-Za-z0-9]", "_", key.rstrip())] = stripped.replace("\\#", "#")
    return found


def environment(variables: Mapping[str, str]) -> dict[str, str]:
    """The settings in environment variables."""
    return {
        name.removeprefix("KONG_").lower(): value.strip()
        for name, value in variables.items()
        if name.startswith("KONG_")
    }


def env(text: str) -> dict[str, str]:
    """The settings in a file for ``docker run --env-file``: no quotes, no comment but whole lines."""
    lines = [one for one in text.splitlines() if one and not one.startswith("#")]
    return environment(dict(line.split("=", 1) for line in lines))


def compose(text: str) -> dict[str, str]:
    """The settings of the service ``kong``; Compose replaces ``$`` itself, so that there must be none."""
    if "$" in text:
        raise Refused("a $ that Compose would replace")
    found: dict[str, Any] = yaml.safe_load(text)
    return environment(found["services"]["kong"]["environment"])


def helm(text: str) -> dict[str, str]:
    """The settings that the chart makes of its values."""
    found: dict[str, Any] = yaml.safe_load(text)
    variables = {f"KONG_{name.upper()}": value for name, value in found["env"].items()}
    installed = found["plugins"]["preInstalled"].split(",")
    return environment({"KONG_PLUGINS": ",".join(["bundled", *installed]), **variables})


READERS: dict[str, Callable[[str], dict[str, str]]] = {
    "conf": conf,
    "env": env,
    "compose": compose,
    "helm": helm,
}


def understood(
    settings: Mapping[str, str],
    kong: str = "3.9",
    prefix: str = "/usr/local/kong",
    exists: Callable[[str], bool] = lambda _path: False,
) -> Read:
    """What Kong makes of settings.

    :param exists: whether there is a file, for the commands that Kong has by default.
    """
    names = [name.lower() for name in _list(settings.get("pluginserver_names", ""))]
    servers = [_server(settings, name, kong, prefix, exists) for name in names]
    passed = f"env {settings['nginx_main_env']}" if "nginx_main_env" in settings else ""
    variables = [part.split() for part in passed.split(";") if part]
    if any(len(words) != 2 or words[0] != "env" for words in variables):
        raise Refused(f"not what nginx takes: {passed}")
    return Read(_list(settings["plugins"]), servers, [name for _, name in variables])


def words(command: str) -> list[str]:
    """The words of a command, for a shell and for a Kong that splits them itself."""
    found: list[str] = []
    word: str | None = None
    quote = ""
    for character in command:
        if quote:
            if character == quote:
                quote = ""
            else:
                word = (word or "") + character
        elif character in "'\"":
            quote, word = character, word or ""
        elif character.isspace():
            if word is not None:
                found.append(word)
            word = None
        elif character == "#" and word is None:
            raise Refused(f"a comment: {command}")
        elif character in OPERATORS:
            raise Refused(f"it needs a shell: {command}")
        else:
            word = (word or "") + character
    if quote:
        raise Refused(f"a broken quote: {command}")
    return found if word is None else [*found, word]


def _server(
    settings: Mapping[str, str],
    name: str,
    kong: str,
    prefix: str,
    exists: Callable[[str], bool],
) -> Server:
    key = f"pluginserver_{name.replace('-', '_')}"
    path = f"/usr/local/bin/{name}"
    start = settings.get(f"{key}_start_cmd") or (path if exists(path) else None)
    if tuple(map(int, kong.split("."))) >= (3, 9):
        default = f"{path} -dump" if exists(path) else None
    else:
        asked = f"/usr/local/bin/query_{name}"
        default = asked if exists(asked) else None
    query = settings.get(f"{key}_query_cmd") or default
    if query is None:
        raise Refused(f"Kong does not start: {key}_query_cmd is missing")
    socket = settings.get(f"{key}_socket") or f"{prefix}/{name}.socket"
    return Server(name, socket, None if start is None else words(start), words(query))


def _list(text: str) -> list[str]:
    return [one.strip() for one in text.split(",") if one.strip()]
