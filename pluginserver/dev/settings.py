"""What the development gateway is set up with: the plugins' configurations, consumers, secrets.

They come from a file (TOML or JSON) and from ``--config NAME.FIELD=VALUE``, which wins::

    off = ["slow"]

    [plugins.greet]
    message = "hi"

    [[consumers]]
    username = "ann"

    [vault]
    "env/token" = "secret"

    [[hints]]
    command = "curl -i {url}/hello"
    shows = "a greeting"

Rules kept here:

* an option's text becomes what the plugin's schema asks for: ``5`` is text for a string field and a
  number for an integer field; where the schema says nothing, it is JSON if it can be;
* a file's values are checked by the decoder of the plugins' own configurations: its errors name each
  wrong value's place; a section that does not exist is an error too, with the name that was meant;
* what is set for a plugin that is not loaded is told, since it may be loaded later.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any, Final

import attrs

from ..errors import ConfigError, PluginServerError
from ..schema.annotations import KongKeys, fields_of
from ..schema.decode import Decoder
from ..spec.wording import describe, describe_error, did_you_mean
from ..testing.kong.configuration import config_record

_toml = import_module("tomllib" if sys.version_info >= (3, 11) else "tomli")


class SettingsError(PluginServerError):
    """An option or a configuration file cannot be used; the text says why, and what to do."""


@attrs.frozen
class Hint:
    """Something to try: a command, in which ``{url}`` is where the gateway is, and what it shows."""

    command: str
    shows: str = ""


@attrs.frozen
class _Consumer:
    """A consumer in a file: its name, and whatever else Kong has of one."""

    username: str
    rest: KongKeys


@attrs.frozen
class _File:
    """A configuration file, as the decoder makes it; its fields are the sections."""

    plugins: dict[str, dict[str, Any]] = attrs.field(factory=dict)
    off: list[str] = attrs.field(factory=list)
    consumers: list[_Consumer] = attrs.field(factory=list)
    vault: dict[str, str] = attrs.field(factory=dict)
    hints: list[Hint] = attrs.field(factory=list)
    unknown: KongKeys = attrs.field(factory=KongKeys)


SECTIONS: Final = tuple(field.name for field in fields_of(_File, "file"))
"""The tables of a configuration file."""


@attrs.frozen
class Option:
    """One ``--config``.

    :param key: plugin, field and perhaps the fields inside it, with dots between them.
    :param text: the value as it was written.
    """

    key: str
    text: str

    @classmethod
    def parse(cls, given: str) -> Option:
        """Read ``NAME.FIELD=VALUE``.

        :raises SettingsError: when it is something else.
        """
        key, equals, text = given.partition("=")
        if not equals or "." not in key.strip("."):
            raise SettingsError(
                f"--config {given}: write it as NAME.FIELD=VALUE, such as hello.message=hi"
            )
        return cls(key, text)

    def path_in(self, plugin: str) -> list[str] | None:
        """The field's path, when the option is for that plugin."""
        prefix = f"{plugin}."
        return self.key[len(prefix) :].split(".") if self.key.startswith(prefix) else None


@attrs.frozen
class Settings:
    """Everything that can be set.

    :param plugins: configurations by the plugin's name.
    :param off: the names of plugins that no request shall meet.
    :param consumers: consumers as Kong has them, each with a ``username``.
    :param vault: secrets by ``vault/name``.
    :param options: what the command line gave for plugins; it wins.
    :param hints: what is said when the gateway starts.
    """

    plugins: dict[str, dict[str, Any]] = attrs.field(factory=dict)
    off: Sequence[str] = ()
    consumers: list[dict[str, Any]] = attrs.field(factory=list)
    vault: dict[str, str] = attrs.field(factory=dict)
    options: Sequence[Option] = ()
    hints: Sequence[Hint] = ()

    def config(self, plugin: str, schema: Mapping[str, Any]) -> dict[str, Any]:
        """A plugin's configuration.

        :param plugin: its name.
        :param schema: its schema.
        """
        config: dict[str, Any] = json.loads(json.dumps(self.plugins.get(plugin, {}), default=str))
        for option in self.options:
            path = option.path_in(plugin)
            if path is not None:
                _put(config, config_record(schema) or {}, path, option.text)
        return config

    def option_for(self, plugin: str, field: str) -> Option | None:
        """The last option that gives a field of a plugin, or something in it."""
        return next(
            (one for one in self.options[::-1] if (one.path_in(plugin) or [""])[0] == field), None
        )

    def unused(self, plugins: Sequence[str]) -> list[str]:
        """What was set for plugins that are not loaded, as sentences.

        :param plugins: the names of those that are.
        """
        named = [f"--config {one.key}" for one in self.options if not _meant_for(one, plugins)]
        named += [f"[plugins.{name}]" for name in self.plugins if name not in plugins]
        named += [f"{name} in off" for name in self.off if name not in plugins]
        known = ", ".join(plugins) or "none"
        return [f"{name} is for no plugin that is loaded; there are: {known}" for name in named]


def _meant_for(option: Option, plugins: Sequence[str]) -> bool:
    return any(option.path_in(plugin) is not None for plugin in plugins)


def read(path: Path | None, options: Sequence[Option] = ()) -> Settings:
    """The settings in a file, and those of the command line.

    :param path: the file, ``.json`` or TOML; None for none.
    :raises SettingsError: when it cannot be used.
    """
    if path is None:
        return Settings(options=options)
    try:
        text = path.read_text("utf-8")
        found = json.loads(text) if path.suffix == ".json" else _toml.loads(text)
    except OSError as error:
        raise SettingsError(f"{path} cannot be read: {error.strerror}") from None
    except ValueError as error:
        kind = "JSON" if path.suffix == ".json" else "TOML"
        raise SettingsError(f"{path} is not {kind}: {describe_error(error)}") from None
    given = _decoded(found, path)
    consumers = [{"username": one.username, **one.rest} for one in given.consumers]
    return Settings(given.plugins, given.off, consumers, given.vault, options, given.hints)


def _decoded(found: Any, path: Path) -> _File:
    if not isinstance(found, dict):
        raise SettingsError(f"{path} must hold an object, got {describe(found)}")
    try:
        file: _File = Decoder(_File, path="", intro=f"{path}: ").decode(found)
    except ConfigError as error:
        raise SettingsError(str(error)) from None
    for name in file.unknown:
        raise SettingsError(
            f"{path}: there is no section {name!r}{did_you_mean(name, SECTIONS)} The sections are "
            f"{', '.join(SECTIONS)}; a plugin's configuration goes into plugins.NAME"
        )
    return file


def _put(config: dict[str, Any], record: Mapping[str, Any], path: list[str], text: str) -> None:
    """Put an option's value where it belongs; ``record`` is what the schema says of that place."""
    name, *rest = path
    field = _field(record, name)
    if rest:
        inside = config.get(name)
        config[name] = inside = inside if isinstance(inside, dict) else {}
        _put(inside, field, rest, text)
    else:
        config[name] = _value(text, field.get("type"))


def _field(record: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    if record.get("type") == "map":
        return dict(record["values"])
    return next((one[name] for one in record.get("fields", []) if name in one), {})


def _value(text: str, type_: str | None) -> Any:
    if type_ == "string":
        return text
    try:
        return json.loads(text)
    except ValueError:
        return text
