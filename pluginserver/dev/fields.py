"""A plugin's configuration as it is shown: each field's value, and where that came from.

Rules kept here:

* what a schema marks as ``encrypted`` is not shown, wherever it is inside of a value: a page may be looked
  at by others, and end up in a picture;
* a reference to a vault is shown as it was written: it is resolved for the plugin alone.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import attrs

from ..plugins.registry import Plugin
from ..spec.secrets import Mask
from ..testing.kong.configuration import config_record
from .settings import Settings

HIDDEN: Final = "••••••"
"""What is shown of an encrypted value."""

_MASK: Final = Mask(HIDDEN, ("encrypted",), references=True)


@attrs.frozen
class ShownField:
    """A field of a configuration.

    :param name: its name.
    :param kind: its type in Kong's schema; empty when the schema does not say.
    :param value: its value, in which nothing is secret.
    :param origin: where it came from, in words.
    :param given: whether somebody gave it: it is not the default.
    """

    name: str
    kind: str
    value: Any
    origin: str
    given: bool


def shown_fields(plugin: Plugin, settings: Settings, file: Path | None) -> tuple[ShownField, ...]:
    """The fields of a plugin, in the order of its schema.

    :param plugin: the plugin.
    :param settings: how it is configured.
    :param file: the file that the settings were read from.
    """
    return tuple(_fields(plugin, settings, file))


def _fields(plugin: Plugin, settings: Settings, file: Path | None) -> Iterator[ShownField]:
    record = config_record(plugin.schema) or {}
    kinds = {name: kind for one in record.get("fields", []) for name, kind in one.items()}
    config = settings.config(plugin.name, plugin.schema)
    for name in [*kinds, *(name for name in config if name not in kinds)]:
        kind = kinds.get(name, {})
        given = name in config
        value = config[name] if given else kind.get("default")
        option = settings.option_for(plugin.name, name)
        if option is not None:
            origin = f"--config {option.key}"
        elif given:
            origin = f"{file.name if file else 'the settings'}, plugins.{plugin.name}"
        else:
            origin = "default" if "default" in kind else "not set"
        yield ShownField(name, kind.get("type", ""), _MASK.over(kind, value), origin, given)
