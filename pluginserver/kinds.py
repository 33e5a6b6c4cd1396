"""The old place of what is in :mod:`pluginserver.schema.annotations` now."""

from .schema.annotations import (
    Attributes,
    Field,
    Kind,
    KongKeys,
    fields_of,
    keys_arguments,
    parse,
)

__all__ = ["Attributes", "Field", "Kind", "KongKeys", "fields_of", "keys_arguments", "parse"]
