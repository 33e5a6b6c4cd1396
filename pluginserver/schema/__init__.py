"""Kong's schemas from Python's annotations, and config objects from Kong's JSON.

:func:`infer` is both a function here and the name of the module that defines it, as it has been since
the first version.
"""

from .infer import attributes, infer, jsonable, plugin_schema, public_values

__all__ = ["attributes", "infer", "jsonable", "plugin_schema", "public_values"]
