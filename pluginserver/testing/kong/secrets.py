"""Vaults: what a reference such as ``{vault://env/my-secret}`` means, and where in a configuration.

As Kong 3.9, ``kong/pdk/vault.lua`` and ``kong/db/schema/init.lua``.  Rules kept here:

* only a field that is marked ``referenceable`` is read from a vault: a string, or the elements of an array
  or set and the values of a map that have the mark; records are looked into, whatever holds them;
* each record has the references of its own fields under ``$refs``; what no vault has becomes ``""``;
* what the test has set comes before the environment.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from typing import Any, Final
from urllib.parse import parse_qsl, unquote, urlsplit

from ...spec.secrets import is_reference

REFERENCES: Final = "$refs"
"""The key under which a record has its references."""

Find = Callable[[str], "str | None"]
"""Gives the secret behind a reference."""


def parse(reference: str) -> dict[str, Any] | str:
    """A reference's parts: ``name`` and ``resource``; where it has them ``key``, ``config`` and ``version``.

    :returns: why it is none, in Kong's words, instead.
    """
    if not is_reference(reference):
        return f"not a reference [{reference}]"
    parts = urlsplit(reference[1:-1])
    if not parts.netloc:
        return f"reference url is missing host [{reference}]"
    path = parts.path.removeprefix("/")
    if not path:
        return f"reference url has empty path [{reference}]"
    resource, slash, key = path.rpartition("/")
    found: dict[str, Any] = {"name": parts.netloc, "resource": unquote(resource if slash else key)}
    if not found["resource"]:
        return f"reference url has invalid path [{reference}]"
    if slash and key:
        found["key"] = unquote(key)
    if parts.query:
        found["config"] = dict(parse_qsl(parts.query))
    if parts.fragment:
        if not parts.fragment.isdecimal():
            return f"reference url has invalid version [{reference}]"
        found["version"] = int(parts.fragment)
    return found


def secret(secrets: Mapping[str, str], reference: str) -> str | None:
    """The secret that a reference names, None when there is none.

    :param secrets: what the test has set: under ``vault/resource`` a secret, or the JSON object that has a
        reference's key; or under the whole ``vault/resource/key`` its secret.
    """
    parts = parse(reference)
    if isinstance(parts, str):
        return None
    path, key = f"{parts['name']}/{parts['resource']}", parts.get("key")
    whole = path if key is None else f"{path}/{key}"
    if whole in secrets:
        return secrets[whole]
    value = secrets.get(path)
    if value is None and parts["name"] == "env":
        prefix = parts.get("config", {}).get("prefix", "")
        value = os.environ.get(f"{prefix}{parts['resource']}".upper().replace("-", "_"))
    return value if value is None or key is None else _of_object(value, key)


def _of_object(text: str, key: str) -> str | None:
    """The text that a JSON object has under a key."""
    try:
        found = json.loads(text)
    except ValueError:
        return None
    value = found.get(key) if isinstance(found, dict) else None
    return value if isinstance(value, str) else None


def resolved(record: Mapping[str, Any], config: Mapping[str, Any], find: Find) -> dict[str, Any]:
    """A configuration with the secrets that its references name.

    :param record: the schema of the record that it is.
    :param config: the configuration; it is not changed.
    """
    out, references = dict(config), {}
    for one in record.get("fields", ()):
        for name, field in one.items():
            value = out.get(name)
            found = _references(field, value)
            if found:
                references[name] = found
            if value is not None:
                out[name] = _value(field, value, find)
    return {**out, REFERENCES: references} if references else out


def _references(field: Mapping[str, Any], value: Any) -> Any:
    """The references in a field's own value: a text, or those of a list or map by their places."""
    if isinstance(value, str):
        return value if field.get("referenceable") and is_reference(value) else None
    marked = (field.get("elements") or field.get("values") or {}).get("referenceable")
    if not marked or not isinstance(value, (list, dict)):
        return None
    if isinstance(value, dict):
        return {key: one for key, one in value.items() if is_reference(one)}
    found = [one if is_reference(one) else None for one in value]
    return found if any(found) else None


def _value(field: Mapping[str, Any], value: Any, find: Find) -> Any:
    """A value with its secrets in it."""
    if isinstance(value, str):
        return (find(value) or "") if field.get("referenceable") and is_reference(value) else value
    if isinstance(value, list):
        return [_value(field.get("elements") or {}, one, find) for one in value]
    if not isinstance(value, dict):
        return value
    if "fields" in field:
        return resolved(field, value, find)
    return {key: _value(field.get("values") or {}, one, find) for key, one in value.items()}
