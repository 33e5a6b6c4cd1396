"""The modules of kong-pdk, for plugins that import them where kong-pdk is not installed.

Theory of operation.  A finder stands at the end of :data:`sys.meta_path` while somebody holds it: a
registry that has loaded a file, or who runs a plugin's file.  So a real kong-pdk is always found first, and
neither the interpreter's start nor a program that only imports this package sees anything of it.

Rules kept here:

* a module of kong-pdk 0.36 has the names that plugins and scripts import from it; of those that are the
  inside of its server (``server``, ``listener``, ``module``) a class that is made says what to use instead;
* functions of Kong's are there for annotations alone, and return None: a handler gets another ``kong``;
* when the last one lets go, the finder and the modules are taken away again;
* a dump imports this: neither ``importlib.abc`` nor what only a module needs that nobody has asked for.
"""

from __future__ import annotations

import importlib.machinery
import sys
import weakref
from collections.abc import Callable, Sequence
from types import ModuleType
from typing import Any, Final, TypeVar

from ..logs import get_logger
from ..version import DISTRIBUTION
from . import arguments
from .recognition import PACKAGE

STUBS: Final = f"{PACKAGE}.pdk.kong"
"""The module whose class ``kong`` describes Kong's functions."""

PHASES: Final = ("certificate", "rewrite", "log", "access", "preread", "response")
"""The phases in the order in which kong-pdk asks for them."""

_NAMESPACES: Final = (
    *("client", "client.tls", "cluster", "ctx", "ctx.shared", "enterprise_edition"),
    *("enterprise_edition.jwe", "ip", "log", "nginx", "nginx.shared", "node", "plugin", "request"),
    *(
        "response",
        "router",
        "service",
        "service.request",
        "service.response",
        "telemetry",
        "vault",
    ),
)

Filler = Callable[[ModuleType], None]


class PDKException(Exception):
    """An error of a function of Kong's, as ``kong_pdk.exception`` has it."""


class PluginServerException(Exception):
    """An error of the plugin server, as ``kong_pdk.exception`` has it."""


class Starter:
    """What ``kong_pdk.cli`` starts a server with, while somebody runs a plugin's file.

    :param dedicated: takes a name, a class, a version, a priority and a schema; None where no file is run.
    :param server: takes nothing.
    """

    def __init__(self) -> None:
        self.dedicated: Callable[[str, type, Any, Any, Any], object] | None = None
        self.server: Callable[[], object] | None = None


STARTER: Final = Starter()


def start_dedicated_server(
    name: str, plugin: type, _version: Any = None, _priority: Any = 0, _schema: Any = ()
) -> None:
    """Serve one plugin, or describe it, as the command line says; ends the process.

    :raises PluginServerException: when its file is not run, but loaded as one of several.
    """
    if STARTER.dedicated is None:
        raise PluginServerException(_not_run("start_dedicated_server"))
    STARTER.dedicated(name, plugin, _version, _priority, _schema)


def start_server() -> None:
    """Serve a directory of plugins, or describe them, as the command line says; ends the process.

    :raises PluginServerException: as above.
    """
    if STARTER.server is None:
        raise PluginServerException(_not_run("start_server"))
    STARTER.server()


def _not_run(function: str) -> str:
    return (
        f"{function} was called in a file that is loaded as one of several: put the call under"
        ' if __name__ == "__main__", or start the file by pluginserver run FILE'
    )


class Finder:
    """Finds the modules, and makes them, while it is held."""

    def __init__(self) -> None:
        self._holders: weakref.WeakSet[Any] = weakref.WeakSet()

    def hold(self, holder: object) -> None:
        """Have the modules found until ``holder`` lets go, or is gone."""
        self._holders.add(holder)
        if self not in sys.meta_path:
            sys.meta_path.append(self)

    def let_go(self, holder: object) -> None:
        """End what :meth:`hold` began; nothing for one that does not hold."""
        self._holders.discard(holder)
        if self._holders or self not in sys.meta_path:
            return
        sys.meta_path.remove(self)
        for name, module in list(sys.modules.items()):
            if name.partition(".")[0] == PACKAGE and is_standin(module):
                del sys.modules[name]

    def find_spec(
        self, name: str, _path: Sequence[str] | None, _target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        """A module of kong-pdk's, if anybody holds them."""
        if name not in _MODULES or not self._holders:
            return None
        loader: Any = self
        return importlib.machinery.ModuleSpec(name, loader, is_package=name in _PACKAGES)

    def create_module(self, _spec: importlib.machinery.ModuleSpec) -> None:
        """A plain module will do."""

    def exec_module(self, module: ModuleType) -> None:
        """Fill a module."""
        module.__doc__ = f"Stands for {module.__name__} of kong-pdk, which is not installed."
        _MODULES[module.__name__](module)


FINDER: Final = Finder()


def is_standin(module: object) -> bool:
    """Whether a module is one of those that are made here."""
    return getattr(getattr(module, "__spec__", None), "loader", None) is FINDER


def is_installed() -> bool:
    """Whether the real kong-pdk is."""
    for finder in sys.meta_path:
        find = getattr(finder, "find_spec", None)
        if finder is not FINDER and find is not None and find(PACKAGE, None) is not None:
            return True
    return False


def both_installed() -> str | None:
    """A sentence for whoever has the real kong-pdk beside this package; None when it is not there."""
    if not is_installed():
        return None
    return (
        "kong-pdk is installed too, and both it and this package own the command kong-python-pluginserver:"
        f" run pip uninstall kong-pdk, then pip install --force-reinstall {DISTRIBUTION}"
    )


def tell_both_installed() -> None:
    """Log :func:`both_installed`, once in a process."""
    if not _told:
        _told.append(both_installed())
        if _told[0] is not None:
            get_logger().warning(_told[0])


_told: Final[list[str | None]] = []


def _kong_class() -> type:
    """The class ``kong``: in it a class for each namespace, with a static method for each function."""
    from ..spec.functions import FUNCTIONS

    classes: dict[str, dict[str, Any]] = {f"kong.{name}": {} for name in _NAMESPACES}
    classes["kong"] = {}
    for name in FUNCTIONS:
        space, _, function = name.rpartition(".")
        if space in classes and name not in classes:
            classes[space][function] = staticmethod(_returns_none)
    made: dict[str, type] = {}
    for name in sorted(classes, key=len, reverse=True):
        space, _, last = name.rpartition(".")
        made[name] = type(last or name, (), {**classes[name], "__module__": STUBS})
        if space:
            classes[space][last] = made[name]
    return made["kong"]


def _returns_none(*_args: object, **_named: object) -> None:
    """A description of a function of Kong's."""


def _nothing(_module: ModuleType) -> None:
    """Nothing is in it but its sub-modules."""


def _cli(module: ModuleType) -> None:
    def parse(dedicated: bool = False) -> Any:
        return arguments.parser(dedicated).parse_args()

    vars(module).update(
        start_dedicated_server=start_dedicated_server,
        start_server=start_server,
        parse=parse,
        display_lua_style_notice=_returns_none,
    )


def _const(module: ModuleType) -> None:
    import locale

    vars(module).update(
        __version__=0.36,
        PY3K=True,
        IRONPYTHON=False,
        EXEBUNDLE=False,
        LOCALE=locale.getlocale()[0] or "",
        CODEPAGE=sys.getfilesystemencoding(),
        FILEPATH=sys.path[0],
    )


def _exception(module: ModuleType) -> None:
    vars(module).update(PDKException=PDKException, PluginServerException=PluginServerException)


def _logger(module: ModuleType) -> None:
    class Logger:
        """Writes to the server's log."""

        CRITICAL, ERROR, WARNING, INFO, DEBUG, VERBOSE = 5, 4, 3, 2, 1, 0

        def __init__(self, level: int = INFO) -> None:
            log = get_logger()
            self.debug, self.info = log.debug, log.info
            self.warn = self.warning = log.warning
            self.error, self.critical = log.error, log.critical

    module.Logger = Logger  # type: ignore[attr-defined]


def _pdk(module: ModuleType) -> None:
    from ..spec.functions import FUNCTIONS

    class Kong:
        """Has the ``kong`` of the handler that runs; the queue that it is given is not used."""

        def __init__(self, _ch: object = None, lua_style: bool = False) -> None:
            from .proxies import kong_for

            self.kong = kong_for(lua_style)

    non_return_methods = {name for name, one in FUNCTIONS.items() if one.never_returns}
    vars(module).update(Kong=Kong, non_return_methods=non_return_methods)


def _stubs(module: ModuleType) -> None:
    kong = _kong_class()
    spaces = {name: getattr(kong, name) for name in _NAMESPACES if "." not in name}
    kinds = {name: TypeVar(name) for name in ("number", "table", "cdata", "err")}
    vars(module).update(**spaces, **kinds, kong=kong)


def _stub_of(name: str) -> Filler:
    """Fills the module of one namespace, which holds the class of that name."""

    def fill(module: ModuleType) -> None:
        found = sys.modules[STUBS].kong
        for part in name.split("."):
            found = getattr(found, part)
        setattr(module, name.rpartition(".")[2], found)

    return fill


def _inside(*names: str, **values: object) -> Filler:
    """Fills a module with classes of which none can be made."""

    def fill(module: ModuleType) -> None:
        for name in names:
            setattr(
                module, name, type(name, (), {"__init__": _refuse, "__module__": module.__name__})
            )
        vars(module).update(values)

    return fill


def _refuse(self: object, *_args: object, **_named: object) -> None:
    raise PluginServerException(
        f"{type(self).__module__}.{type(self).__name__} is the inside of kong-pdk's server, which does not"
        " run here: use kong-python-pluginserver, pluginserver run FILE or pluginserver.PluginServer"
    )


def _empty_kong(module: ModuleType) -> None:
    module.kong = type("kong", (), {"__module__": module.__name__})  # type: ignore[attr-defined]


_MODULES: Final[dict[str, Filler]] = {
    PACKAGE: _nothing,
    f"{PACKAGE}.cli": _cli,
    f"{PACKAGE}.const": _const,
    f"{PACKAGE}.exception": _exception,
    f"{PACKAGE}.kong": _empty_kong,
    f"{PACKAGE}.listener": _inside("UnixStreamServer", DEFAULT_SOCKET_NAME=arguments.SOCKET_NAME),
    f"{PACKAGE}.logger": _logger,
    f"{PACKAGE}.module": _inside("Module", "Instance", phases=PHASES),
    f"{PACKAGE}.pdk": _pdk,
    f"{PACKAGE}.server": _inside("PluginServer"),
    STUBS: _stubs,
    **{f"{STUBS}.{name}": _stub_of(name) for name in _NAMESPACES},
}
_PACKAGES: Final = {name.rpartition(".")[0] for name in _MODULES}
