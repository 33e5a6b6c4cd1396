"""A plugin: loaded code, judged once, with all that the server needs to know of it.

Rules kept here:

* whatever is wrong with a plugin is said when it is loaded, in one sentence that names the plugin and
  the thing: version, priority, handlers, constructor, schema;
* an attrs class gets its configuration as fields; any other class gets it as a dict, or nothing when
  it has no constructor of its own;
* a plugin never changes after it was loaded; a changed file makes a new one;
* one that was written for kong-pdk (:mod:`pluginserver.compat`) may lack version and priority, is called as
  its file is, gets its configuration as a dict in any case, and no call of its ``close()``.
"""

from __future__ import annotations

import inspect
import re
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import attrs

from ..errors import ConfigError, PluginError, SchemaError
from ..logs import get_logger
from ..schema.annotations import is_mark
from ..schema.infer import infer, jsonable, plugin_schema, public_values
from ..schema.secret_repr import hide_secrets
from ..spec import remarks
from ..spec.limits import EXACT
from ..spec.phases import PHASES
from ..spec.secrets import concealed, masked, secrets_in
from ..spec.wording import did_you_mean, is_users_interrupt
from .class_findings import METADATA
from .places import line_named, place_of_failure, source_of_class
from .settings import OnError, Protocol, RoundTrips, Threads, read_settings
from .thread_ties import ThreadTies

if TYPE_CHECKING:
    from ..schema.decode import Decoder

PARTS: Final = ("Plugin", "version", "priority")
"""What a module must define to be a plugin."""

THEIR_PARTS: Final = ("Plugin",)
"""What it must define to be one for kong-pdk."""

_NAME: Final = re.compile(r"[\w-]+")


@attrs.frozen(eq=False)
class Configured:
    """An object of a plugin's class, with its configuration; made by :meth:`Plugin.configure`.

    :param object: the object.
    """

    object: Any
    _phases: tuple[str, ...]
    _record: dict[str, Any]
    """The schema of the configuration."""
    _values: dict[str, Any] | None
    """What a class that is not an attrs class was given."""
    _may_close: bool = True
    """Whether a method ``close()`` is what we call so."""

    def handlers(self) -> dict[str, Callable[[Any], Any]]:
        """The object's handlers, by phase; each takes ``kong``."""
        return {phase: getattr(self.object, phase) for phase in self._phases}

    @property
    def closes(self) -> bool:
        """Whether the object's class has a method ``close()`` that is to be called."""
        return self._may_close and callable(getattr(type(self.object), "close", None))

    def close(self) -> None:
        """Call the object's ``close()``; it raises whatever that raises."""
        self.object.close()

    def public_config(self) -> dict[str, Any]:
        """The configuration as JSON values, without its secrets.

        :returns: the fields of an attrs object as they are now; the dict that any other was given.
        """
        if self._values is None:
            values = public_values(self.object, lenient=True)
        else:
            values = jsonable(self._values, lenient=True)
        shown: dict[str, Any] = masked(self._record, values)
        return shown


@attrs.frozen(eq=False)
class Plugin:
    """What the server knows of one plugin; made by :func:`build`.

    :param name: its name in Kong.
    :param version: such as ``"1.0.0"``; None for a plugin for kong-pdk that has none.
    :param priority: Kong runs plugins with a higher one first.
    :param phases: the phases that it has handlers for, in Kong's order.
    :param schema: the whole schema, ``{"name": ..., "fields": [{"config": ...}]}``.
    :param on_error: whether the request is closed or goes on when a handler raises.
    :param request_timeout: seconds after which a request is refused; None for the server's own.
    :param protocol: what Kong is told to speak with it.
    :param threads: ``"own"`` or ``"shared"`` when the module says itself where its events run.
    :param round_trips: whether a callback that need not travel is spared, ``"fewer"``, or each one travels.
    :param lua_style: for a plugin for kong-pdk, whether it takes answers in pairs; None for any other.
    :param modtime: when its file was changed, in seconds since 1970; 0 when it has none.
    :param load_time: when it was loaded, in seconds since 1970.
    :param source: the file or package's directory that it was loaded from, or the name of the module,
        class or entry point.
    """

    name: str
    version: str | None
    priority: int
    phases: tuple[str, ...]
    schema: dict[str, Any]
    on_error: OnError
    threads: Threads | None
    round_trips: RoundTrips
    request_timeout: float | None
    protocol: Protocol
    lua_style: bool | None
    modtime: float
    load_time: float
    source: Path | str
    _cls: type
    _decoders: list[Decoder] = attrs.field(factory=list, init=False, repr=False)

    @property
    def record(self) -> dict[str, Any]:
        """The schema of the configuration: a field of type ``record``."""
        found: dict[str, Any] = self.schema["fields"][0]["config"]
        return found

    @property
    def has_fields(self) -> bool:
        """Whether its class is an attrs class, whose fields are its configuration."""
        return attrs.has(self._cls)

    def describe(self) -> dict[str, Any]:
        """What ``GetPluginInfo`` and the dumps tell Kong."""
        return {
            "Name": self.name,
            "Phases": list(self.phases),
            "Version": self.version,
            "Priority": self.priority,
            "Schema": self.schema,
        }

    def thread_ties(self) -> ThreadTies:
        """What judges whether the plugin's code ties its events to a thread; nothing is judged yet."""
        return ThreadTies(self._cls, self.phases, self.source, self.load_time)

    def configure(self, config: str | bytes) -> Configured:
        """Make a plugin object.

        :param config: the JSON object that Kong sends; empty text, ``null`` and ``[]`` are empty ones.
        :returns: an object of the plugin's class, with its configuration.
        :raises ConfigError: when the configuration does not fit or the constructor raises; the text
            begins with ``Decoding config:`` and names the place.
        """
        from ..schema.decode import Decoder, read_object

        values = read_object(config)
        secrets = secrets_in(self.record, values)
        try:
            if attrs.has(self._cls) and self.lua_style is None:
                if not self._decoders:
                    self._decoders.append(Decoder(self._cls))
                made = self._decoders[0].decode(values)
                return Configured(made, self.phases, self.record, None)
            may_close = self.lua_style is None
            made = self._construct(values)
            return Configured(made, self.phases, self.record, values, may_close)
        except ConfigError as error:
            text = concealed(str(error), secrets)
            if text is None:
                text = "Decoding config: it was refused, and why is not shown: the text may hold a secret"
            raise ConfigError(f"{text} (plugin {self.name})") from error.__cause__

    @property
    def cls(self) -> type:
        """Its class."""
        return self._cls

    @property
    def package(self) -> str:
        """The name of the module that it comes from, or of the package around that."""
        return self._cls.__module__.partition(".")[0]

    def _construct(self, values: dict[str, Any]) -> Any:
        try:
            return self._cls(values) if _has_constructor(self._cls) else self._cls()
        except BaseException as error:
            if is_users_interrupt(error):
                raise
            from ..schema.decode import refused_by

            raise ConfigError(f"Decoding config: {refused_by(self._cls, error)}") from error


def build(
    module: Mapping[str, Any],
    default_name: str,
    source: Path | str,
    modtime: float = 0.0,
    lua_style: bool | None = None,
) -> Plugin:
    """Make a plugin of what a module defines, and judge it.

    :param module: the module's names: ``Plugin``, ``version``, ``priority``, and if wanted ``name``,
        ``Schema``, ``on_error``, ``threads``, ``request_timeout``, ``protocol``, ``round_trips`` and what
        :func:`~pluginserver.schema.plugin_schema` takes.
    :param default_name: its name when the module gives none; for kong-pdk in any case.
    :param source: where it comes from.
    :param modtime: when its file was changed.
    :param lua_style: see :class:`Plugin`.
    :raises PluginError: when something is wrong with it; the text names it.
    """
    theirs = lua_style is not None
    name = default_name if theirs else module.get("name", default_name)
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise PluginError(
            f"the plugin in {source} has the name {name!r}: use a string of letters, digits, dashes "
            "and underscores, which are what Kong's pluginserver_names can hold"
        )
    try:
        cls = _class(module.get("Plugin"), theirs)
        return Plugin(
            name=name,
            version=_version(module.get("version"), theirs),
            priority=_priority(module.get("priority", 0)),
            phases=_phases(cls, theirs),
            schema=_their_schema(name, module) if theirs else _schema(name, cls, module),
            **read_settings(module, name, theirs),
            lua_style=lua_style,
            modtime=modtime,
            load_time=time.time(),
            source=source,
            cls=cls,
        )
    except PluginError as error:
        raise _placed(error, name, source, module.get("Plugin")) from error.__cause__


def _placed(error: PluginError, name: str, source: Path | str, cls: object) -> PluginError:
    """An error of a plugin with the plugin's name, and the place, in front."""
    place = None
    if isinstance(source, Path):
        place = place_of_failure(source, str(error), error.__cause__)
    elif isinstance(cls, type) and (found := source_of_class(cls)) is not None:
        place = str(found[0]), line_named(found[1], str(error))
    told = source if place is None else f"{place[0]}:{place[1]}"
    placed = type(error)(f"plugin {name} ({told}): {error}")
    placed.place = place
    return placed


def _class(cls: Any, theirs: bool) -> type:
    if not isinstance(cls, type):
        raise PluginError(f"Plugin must be a class, got {cls!r:.60}")
    if attrs.has(cls) and not theirs:
        return cls
    if hasattr(cls, "__dataclass_fields__") and not theirs:
        raise PluginError("Plugin is a dataclass: decorate it with attrs.define instead")
    if _has_constructor(cls):
        try:
            inspect.signature(cls).bind({})
        except (TypeError, ValueError) as error:
            raise PluginError(
                "the constructor of Plugin must take one argument, the config as a dict "
                f"({error}): write def __init__(self, config), or make Plugin an attrs class"
            ) from error
    return cls


def _has_constructor(cls: type) -> bool:
    return any("__init__" in vars(base) or "__new__" in vars(base) for base in cls.__mro__[:-1])


def _version(version: Any, theirs: bool) -> str | None:
    if version is None and theirs:
        return None
    if not isinstance(version, str):
        raise PluginError(f'version must be a string such as "1.0.0", got {version!r:.60}')
    return version


def _priority(priority: Any) -> int:
    if not isinstance(priority, int) or isinstance(priority, bool) or abs(priority) > EXACT:
        raise PluginError(f"priority must be an integer such as 100, got {priority!r:.60}")
    return priority


def _phases(cls: type, theirs: bool) -> tuple[str, ...]:
    phases = tuple(phase for phase in PHASES if getattr(cls, phase, None) is not None)
    ours = attrs.has(cls) and not theirs
    fields = {field.name for field in attrs.fields(cls)} if ours else set()
    for phase in PHASES:
        if phase in fields:
            raise PluginError(
                f"the field {phase} has the name of a phase: rename it in Python and keep its name "
                f"in Kong with attributes(name={phase!r})"
            )
    for phase in phases:
        _check_handler(cls, phase)
    if not phases:
        raise PluginError(
            f"Plugin has no handler: define one of the methods {', '.join(PHASES)}{_misspelt(cls)}"
        )
    return phases


def _misspelt(cls: type) -> str:
    """What methods of a class without handlers may be meant to be."""
    for name, member in vars(cls).items():
        if inspect.isfunction(member) and not name.startswith("_"):
            close = did_you_mean(name, PHASES)
            if close:
                return f"; Kong never calls {name}{close}"
    return ""


def _check_handler(cls: type, phase: str) -> None:
    handler = getattr(cls, phase)
    static = inspect.getattr_static(cls, phase)
    bound = isinstance(static, (staticmethod, classmethod)) or not hasattr(static, "__get__")
    if not callable(handler):
        raise PluginError(f"{phase} must be a method, got {handler!r:.60}")
    if inspect.iscoroutinefunction(handler) or inspect.isasyncgenfunction(handler):
        raise PluginError(
            f"{phase} is async, and handlers run without an event loop: write def {phase}(self, kong)"
        )
    if inspect.isgeneratorfunction(handler):
        raise PluginError(
            f"{phase} is a generator, whose body would never run: take the yield out"
        )
    try:
        signature = inspect.signature(handler)
    except ValueError:
        return
    try:
        signature.bind(*((None,) if bound else (None, None)))
    except TypeError as error:
        raise PluginError(
            f"{phase} must take one argument, kong ({error}): write def {phase}(self, kong)"
        ) from error


def _schema(name: str, cls: type, module: Mapping[str, Any]) -> dict[str, Any]:
    inferred = infer(cls) if attrs.has(cls) else []
    given = module.get("Schema")
    try:
        schema = plugin_schema(name, inferred if given is None else given, module)
    except SchemaError:
        _check_defaults(cls)
        raise
    except TypeError as error:
        raise SchemaError(f"{error}: use what JSON can hold") from error
    if attrs.has(cls):
        hide_secrets(cls, schema["fields"][0]["config"])
    _remark(name, schema["fields"], inferred=given is None)
    return schema


def _check_defaults(cls: type) -> None:
    """Look whether a default that Kong does not take is meant to be no default.

    :raises SchemaError: when it is.
    """
    for field in attrs.fields(cls) if attrs.has(cls) else ():
        if is_mark(field.default):
            raise SchemaError(METADATA.format(field.name))


def _their_schema(name: str, module: Mapping[str, Any]) -> dict[str, Any]:
    """The schema of a plugin for kong-pdk, where no other name of a module means anything for it."""
    try:
        schema = plugin_schema(name, module.get("Schema") or (), {})
    except TypeError as error:
        raise SchemaError(f"{error}: use what JSON can hold") from error
    _remark(name, schema["fields"], inferred=False)
    return schema


def _remark(name: str, fields: list[dict[str, Any]], inferred: bool) -> None:
    """Log what the author should know of the schema; a line of each kind at the most."""
    log = get_logger(plugin=name)
    if needed := remarks.needed_version(fields):
        log.info(needed)
    if inferred and (surprises := remarks.never_none(fields)):
        log.info("; ".join(surprises))
