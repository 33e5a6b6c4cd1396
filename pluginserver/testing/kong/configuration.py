"""What Kong makes of a plugin's configuration: defaults, the check, the secrets behind references.

Rules kept here:

* a configuration is completed with the schema's defaults before it is checked, as Kong does;
* a reference stays in the configuration that Kong keeps; only what an instance gets has the secret.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from ...spec.validators import fault
from ..transports.base import GatewayError, PluginInfo

_REFERENCE: Final = re.compile(r"\{vault://([^?#}]+)[^}]*\}")


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


def secret(vault: Mapping[str, str], reference: str) -> str | None:
    """The secret that a reference such as ``{vault://env/name}`` names, None when there is none."""
    match = _REFERENCE.fullmatch(reference)
    return vault.get(match[1]) if match else None


def resolved(vault: Mapping[str, str], config: Mapping[str, Any]) -> dict[str, Any]:
    """A configuration with the secrets that its references name.

    :param vault: the secrets by name.
    :param config: the configuration; its references are kept under ``$refs``.
    """
    found: dict[str, Any] = {}
    out = {}
    for key, value in config.items():
        out[key] = value
        if isinstance(value, str) and _REFERENCE.fullmatch(value):
            found[key] = value
            out[key] = secret(vault, value) or ""
    return {**out, "$refs": found} if found else out
