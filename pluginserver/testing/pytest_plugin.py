"""The pytest plugin: the fixture ``kong``.

::

    @pytest.mark.kong(server="embedded", timeout=2)
    def test_greets(kong):
        kong.plugin("hello.py", message="hi")
        assert kong.get("/").headers["x-hello"] == "hi to localhost"

Rules kept here:

* the marker ``kong`` says how the fixture is made, the closest one for each setting; the command line
  (``--kong-server``, ``--kong-protocol``, ``--kong-version``) overrules the marker's ``server``,
  ``protocol`` and ``kong``, the ini file stands behind both;
* a thread of a plugin's own that calls ``kong`` fails the test in which it does so;
* paths of plugins are relative to the test's file; what is not there is looked for from pytest's root
  directory;
* when a test fails, the transcript of its requests is a section of the report, and the traceback has the
  frames of the test and of the plugin, without ours, unless ``--full-trace`` is given;
* loaded plugins, and embedded servers, are kept for the next test: what a test sees of them is new,
  but the globals of a plugin's module live on, as they do in a server;
* nothing heavy is imported before a test asks for the fixture.
"""

from __future__ import annotations

import sys
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pytest

if TYPE_CHECKING:
    from .gateway import Gateway
    from .kong.quirks import Quirks
    from .transports.base import Transport
    from .transports.plugins import Library
    from .transports.sockets import Host

TIMEOUT: Final = 10.0
"""Seconds that an answer may take in a test: Kong waits for 60, a test should not."""

_PACKAGE: Final = __name__.partition(".")[0]

_GATEWAY: Final[pytest.StashKey[Gateway]] = pytest.StashKey()
_LIBRARY: Final[pytest.StashKey[Library]] = pytest.StashKey()
_HOSTS: Final[pytest.StashKey[dict[tuple[Path, Path, str], Host]]] = pytest.StashKey()

_MARKER: Final = (
    "kong(server=..., protocol=..., kong=..., round_trips=..., timeout=..., raise_bugs=..., root=..., "
    "**quirks): how the fixture kong is made. server: in-process, embedded, socket:PATH, command:LINE; "
    "protocol: msgpack, protobuf; kong: a version, such as 3.9 or 3.14; round_trips: plain, fewer; quirks: "
    "see pluginserver.testing.Quirks"
)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options and the ini settings behind the fixture."""
    group = parser.getgroup("kong", "plugins for Kong")
    group.addoption(
        "--kong-server",
        metavar="SERVER",
        help="run all tests with the fixture kong against: in-process, embedded, socket:PATH, "
        "command:LINE",
    )
    group.addoption(
        "--kong-protocol",
        metavar="PROTOCOL",
        help="run all tests with the fixture kong in this protocol: msgpack, protobuf",
    )
    group.addoption(
        "--kong-version",
        metavar="VERSION",
        help="run all tests with the fixture kong as this version of Kong: 3.9, 3.14 ...",
    )
    parser.addini(
        "kong_version",
        "the version of Kong that the fixture kong plays; default: the newest that is open source",
    )
    parser.addini(
        "kong_protocol",
        "the protocol of the fixture kong: msgpack or protobuf; default: the one that each plugin asks for",
    )
    parser.addini("kong_server", "the plugin server of the fixture kong", default="in-process")
    parser.addini("kong_timeout", "seconds that a plugin may take to answer", default=str(TIMEOUT))


def pytest_configure(config: pytest.Config) -> None:
    """Register the marker."""
    config.addinivalue_line("markers", _MARKER)


def pytest_unconfigure(config: pytest.Config) -> None:
    """Stop the servers that the tests used, and drop the plugins that they loaded."""
    for host in config.stash.get(_HOSTS, {}).values():
        host.close()
    library = config.stash.get(_LIBRARY, None)
    if library is not None:
        library.close()


def _transport(
    config: pytest.Config,
    server: Any,
    roots: tuple[Path, Path],
    quirks: Quirks,
    timeout: float,
    round_trips: str,
) -> Transport:
    """The way to the server; ours are kept for the tests to come.

    :param roots: where relative paths of plugins begin, and where those that are not there.
    """
    from .transports.connect import connect
    from .transports.plugins import Collection, Library
    from .transports.sockets import Embedded, Host

    library = config.stash.setdefault(_LIBRARY, Library())
    if server != "embedded":
        return connect(
            server,
            root=roots[0],
            quirks=quirks,
            timeout=timeout,
            library=library,
            round_trips=round_trips,
            besides=roots[1],
        )
    hosts = config.stash.setdefault(_HOSTS, {})
    key = *roots, round_trips
    if key not in hosts:
        plugins = Collection(roots[0], library, roots[1])
        hosts[key] = Host(plugins, round_trips=round_trips)
    return Embedded(hosts[key], quirks, timeout)


def _settings(request: pytest.FixtureRequest) -> dict[str, Any]:
    config = request.config
    settings: dict[str, Any] = {
        "server": config.getini("kong_server"),
        "protocol": config.getini("kong_protocol") or None,
        "kong": config.getini("kong_version") or None,
        "timeout": float(config.getini("kong_timeout")),
        "root": "",
        "raise_bugs": True,
        "round_trips": "plain",
    }
    for mark in reversed(list(request.node.iter_markers("kong"))):
        settings.update(mark.kwargs)
    for option, name in (("server", "server"), ("protocol", "protocol"), ("version", "kong")):
        chosen = config.getoption(f"--kong-{option}")
        if chosen:
            settings[name] = chosen
    return settings


@pytest.fixture
def kong(request: pytest.FixtureRequest) -> Iterator[Gateway]:
    """A Kong to test plugins against: see :class:`pluginserver.testing.Gateway`."""
    from .gateway import Gateway
    from .kong.quirks import Quirks

    settings = _settings(request)
    server = settings.pop("server")
    below = settings.pop("root")
    roots = request.path.parent / below, request.config.rootpath / below
    timeout = settings.pop("timeout")
    raise_bugs = settings.pop("raise_bugs")
    given = {"protocol": settings.pop("protocol"), "kong": settings.pop("kong")}
    round_trips = settings.pop("round_trips")
    quirks = Quirks(**settings)
    transport = _transport(request.config, server, roots, quirks, timeout, round_trips)
    with Gateway(
        transport, root=roots[0], quirks=quirks, raise_bugs=raise_bugs, **given
    ) as gateway:
        request.node.stash[_GATEWAY] = gateway
        yield gateway


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, None, None]:
    """Let a test fail in which a thread of a plugin's own calls ``kong``."""
    yield
    gateway = item.stash.get(_GATEWAY, None)
    if gateway is not None and gateway.raise_bugs:
        gateway.strays.check()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Show the transcript of a failed test's requests, and no frames of ours."""
    gateway = item.stash.get(_GATEWAY, None)
    if call.excinfo is not None and gateway is not None:
        _hide_frames()
    report = yield
    if report.failed and gateway is not None and gateway.exchanges:
        report.sections.append(("what Kong saw", gateway.transcript()))
    return report


def _hide_frames() -> None:
    """Have pytest leave this package's frames out of tracebacks: it looks for this name in their modules."""
    for name, module in list(sys.modules.items()):
        if name.partition(".")[0] == _PACKAGE:
            vars(module)["__tracebackhide__"] = True
