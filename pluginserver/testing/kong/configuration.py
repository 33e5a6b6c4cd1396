"""What Kong makes of a plugin's configuration: defaults and the check; secrets are in :mod:`.secrets`.

Rules kept here:

* a configuration is completed with the schema's defaults before it is checked, as Kong does;
* a reference stays as it is in the configuration that Kong keeps.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ...spec.validators import fault
from ..transports.base import GatewayError, PluginInfo


def config_record(schema: Mapping[str, Any]) -> dict[str, Any] | None:
    """The ``config`` field of a plugin's schema, None when it has none."""
    for field in schema.get("fields", []):
        if isinstance(field.get("config"), dict):
            return dict(field["config"])
    return None


def complete(info: PluginInfo, config: Mapping[str, Any]) -> dict[str, Any]:
    """A configuration with the schema's defaults, after the check that Kong makes.

    :param info: the plugin.
    :param config: what is given for it.
    :raises GatewayError: when Kong would refuse it.
    """
    record = config_record(info.schema)
    if record is None:
        return dict(config)
    completed = _with_defaults(record, config)
    found = fault(record, completed, "config")
    if found:
        raise GatewayError(f"Kong refuses this configuration of {info.name}: {found}")
    return completed


def _with_defaults(record: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """A record's values with the defaults of its fields, nested ones too."""
    out = dict(given)
    for one in record.get("fields", []):
        for name, field in one.items():
            if out.get(name) is None and "default" in field:
                out[name] = field["default"]
            if field["type"] == "record" and isinstance(out.get(name), dict):
                out[name] = _with_defaults(field, out[name])
            elif field["type"] == "record" and out.get(name) is None and field.get("required"):
                out[name] = _with_defaults(field, {})
    return out
