"""What the author of a schema should know of how Kong takes it, where Kong itself says nothing.

Rules kept here:

* only what no check can decide is here: what Kong refuses is an error (:mod:`.metaschema`);
* a remark names the first field that it is about, and is made once for a schema.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

SINCE: Final = (
    ("examples", (3, 6)),
    ("json", (3, 5)),
    ("description", (3, 4)),
)
"""What schemas may hold in newer versions of Kong only, the newest first; ``json`` is a type."""


def needed_version(fields: Any, has: tuple[int, int] = (3, 0)) -> str | None:
    """The Kong version that a schema needs, and why; None when it needs none above ``has``.

    :param fields: a list of fields that the meta-schema accepts.
    :param has: a version of Kong.
    """
    places = list(walk(fields, ""))
    for what, (major, minor) in SINCE:
        if has >= (major, minor):
            break
        for path, field in places:
            if what in field or field["type"] == what:
                kind = "type json" if what == "json" else what
                return f"the schema needs Kong {major}.{minor} or later: {path} has {kind}"
    return None


def doubtful_regexes(fields: Any) -> list[str]:
    """The defaults that must be regular expressions and that Python does not take for one.

    Kong asks PCRE, which knows more than Python does.
    """
    found = []
    for path, field in walk(fields, ""):
        default = field.get("default")
        if field.get("is_regex") and isinstance(default, str):
            try:
                re.compile(default)
            except re.error as error:
                found.append(
                    f"{path}: the default may not be a regular expression, and Kong would not start "
                    f"then: {error}"
                )
    return found


def never_none(fields: Any) -> list[str]:
    """What can be left out of a configuration, but never arrives as None.

    :param fields: a list of inferred fields.
    """
    found = []
    for path, field in walk(fields, ""):
        if field.get("required") or "default" in field or path.endswith("]"):
            continue
        if field["type"] == "record" and path != "config":
            found.append(f"{path}: Kong fills a record in: it never arrives as None")
        inline = field.get("json_schema", {}).get("inline", {})
        if isinstance(inline, Mapping) and inline.get("type") == "object":
            found.append(f"{path}: its JSON schema takes only objects: it cannot be left unset")
    return found


def walk(fields: Any, path: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """All fields, with those inside of them, each with its place: ``config.limits[].window``."""
    for one in fields:
        for name, field in one.items():
            yield from _inside(field, f"{path}.{name}" if path else name)


def _inside(field: Mapping[str, Any], path: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    yield path, field
    for name in ("elements", "keys", "values"):
        if name in field:
            yield from _inside(
                field[name], f"{path}[]" if name == "elements" else f"{path}.{name}"
            )
    yield from walk(field.get("fields", ()), path)
