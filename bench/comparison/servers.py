"""The servers that can be compared: how each is started, what it speaks and serves, whether it is there."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Final

BENCH: Final = Path(__file__).parents[1]
PLUGINS: Final = BENCH / "plugins"
PEERS: Final = BENCH / "peers"

BARE: Final = ("hello", "bench", "empty")
"""The plugins of the naive servers."""

ALL: Final = (*BARE, "sleeper", "burner")
"""Those that every peer has."""


@dataclass(frozen=True)
class Settings:
    """Where to find what is not Python's.

    :param javascript: a folder in which ``npm install kong-pdk`` was run.
    :param go: the program go-pluginserver; None to leave it out.
    :param go_plugins: the folder of its plugins, ``hello.so`` and so on.
    """

    javascript: Path
    go: Path | None = None
    go_plugins: Path | None = None


@dataclass(frozen=True)
class Server:
    """A server: what it is called in tables, and what it can do.

    :param plugins: the plugins that it has.
    :param one_plugin: whether a process serves one plugin only, which its command line names.
    """

    name: str
    protocols: tuple[str, ...] = ("MsgPack:1",)
    plugins: tuple[str, ...] = ALL
    one_plugin: bool = False

    def missing(self) -> str | None:
        """Why it cannot be run here; None when it can."""
        return None

    def speaking(self, protocols: Sequence[str]) -> Server:
        """The same server, with those of its protocols that are among ``protocols``."""
        kept = tuple(protocol for protocol in self.protocols if protocol in protocols)
        return replace(self, protocols=kept)

    def command(self, socket: Path, protocol: str, plugin: str) -> list[str]:
        """The command line that makes it listen."""
        raise NotImplementedError


@dataclass(frozen=True)
class Ours(Server):
    """This project.

    :param flags: what is added to its command line; a flag that it does not have makes it missing.
    """

    plugins: tuple[str, ...] = (*ALL, "shared", "own")
    flags: tuple[str, ...] = ()

    def missing(self) -> str | None:
        unknown = [flag for flag in self.flags if flag.startswith("-") and flag not in our_help()]
        return f"this version has no {unknown[0]}" if unknown else None

    def command(self, socket: Path, protocol: str, plugin: str) -> list[str]:
        return [
            *(sys.executable, "-m", "pluginserver", "-socket", str(socket)),
            *("-plugins-directory", str(PLUGINS), "-log-level", "error", *self.flags),
        ]


@dataclass(frozen=True)
class Naive(Server):
    """The floor, and the naive servers.

    :param programs: the program and its first arguments, for each protocol.
    """

    plugins: tuple[str, ...] = BARE
    one_plugin: bool = True
    programs: Mapping[str, tuple[str, ...]] = field(default_factory=dict, hash=False)

    def command(self, socket: Path, protocol: str, plugin: str) -> list[str]:
        program, *arguments = self.programs[protocol]
        return [sys.executable, str(BENCH / program), *arguments, str(socket), plugin]


@dataclass(frozen=True)
class KongPDK(Server):
    """kong-pdk for Python, from PyPI.

    :param flags: its flags for how it runs events.
    """

    flags: tuple[str, ...] = ()

    def missing(self) -> str | None:
        for package in ("kong-pdk", "gevent"):
            try:
                metadata.version(package)
            except metadata.PackageNotFoundError:
                return f"{package} is not installed beside {Path(sys.executable).name}"
        return None

    def command(self, socket: Path, protocol: str, plugin: str) -> list[str]:
        program = Path(sys.executable).with_name("kong-python-pluginserver")
        return [
            *(sys.executable, str(program), "-d", str(PEERS / "python")),
            *("-p", str(socket.parent), "--socket-name", socket.name, *self.flags),
        ]


@dataclass(frozen=True)
class JavaScript(Server):
    """kong-pdk for JavaScript, from npm."""

    settings: Settings | None = None

    def missing(self) -> str | None:
        if shutil.which("node") is None:
            return "there is no Node.js"
        if not self._program().exists():
            return "kong-pdk is not in the folder that --javascript names (npm install kong-pdk)"
        return None

    def command(self, socket: Path, protocol: str, plugin: str) -> list[str]:
        return [
            *("node", str(self._program()), "-d", str(PEERS / "javascript")),
            *("-p", str(socket.parent), "--sock-name", socket.name),
        ]

    def _program(self) -> Path:
        assert self.settings is not None
        return self.settings.javascript.resolve() / "node_modules/.bin/kong-js-pluginserver"


@dataclass(frozen=True)
class Go(Server):
    """go-pluginserver; its plugins are built by whoever has Go.

    It names its socket itself, so each process needs a directory of its own.
    """

    settings: Settings | None = None

    def missing(self) -> str | None:
        assert self.settings is not None
        if self.settings.go is None or self.settings.go_plugins is None:
            return "no --go and --go-plugins were given"
        if not self.settings.go.exists():
            return f"{self.settings.go} is not there"
        return None

    def command(self, socket: Path, protocol: str, plugin: str) -> list[str]:
        assert self.settings is not None
        return [
            *("sh", "-c", 'ln -s "$1/go_pluginserver.sock" "$2"; shift 2; exec "$@"', "sh"),
            *(str(socket.parent), str(socket), str(self.settings.go)),
            *("-kong-prefix", str(socket.parent)),
            *("-plugins-directory", str(self.settings.go_plugins)),
        ]


@cache
def our_help() -> frozenset[str]:
    """The flags that this version of the server has."""
    shown = subprocess.run(
        [sys.executable, "-m", "pluginserver", "--help-all"],
        capture_output=True,
        text=True,
        check=True,
    )
    words = shown.stdout.replace(",", " ").replace("[", " ").replace("]", " ").split()
    return frozenset(f"-{word.lstrip('-')}" for word in words if word.startswith("-"))


def our_protocols() -> tuple[str, ...]:
    """The protocols that this version of the server speaks."""
    return ("MsgPack:1", "ProtoBuf:1") if "-protocol" in our_help() else ("MsgPack:1",)


def servers(settings: Settings) -> list[Server]:
    """All of them, in the order of tables."""
    ours = our_protocols()
    floor = {"MsgPack:1": ("floor.py",), "ProtoBuf:1": ("naive.py", "protobuf-inline")}
    naive = {
        "MsgPack:1": ("naive.py", "msgpack-threads"),
        "ProtoBuf:1": ("naive.py", "protobuf-threads"),
    }
    both = ("MsgPack:1", "ProtoBuf:1")
    return [
        Naive("floor", both, programs=floor),
        Ours("pluginserver", ours),
        Ours("pluginserver, plain", ours, flags=("-round-trips", "plain")),
        Ours("pluginserver, 2 processes", ours, flags=("-processes", "2")),
        Naive("naive threads", both, programs=naive),
        KongPDK("kong-pdk threads"),
        KongPDK("kong-pdk gevent", flags=("-g",)),
        KongPDK("kong-pdk processes", flags=("-m",)),
        JavaScript("kong-pdk JavaScript", settings=settings),
        Go("go-pluginserver", settings=settings),
    ]


def versions(
    names: Sequence[str] = ("greenlet", "msgpack", "kong-pdk", "gevent"),
) -> dict[str, str]:
    """The versions of installed packages; those that are not there are left out."""
    found = {}
    for name in names:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            pass
    return found
