"""The old place of what is in :mod:`pluginserver.schema.annotations` now."""

from .schema.annotations import (
    Attributes,
    Field,
    FieldType,
    KongKeys,
    fields_of,
    keys_arguments,
    parse,
)

Kind = FieldType

__all__ = ["Attributes", "Field", "Kind", "KongKeys", "fields_of", "keys_arguments", "parse"]
