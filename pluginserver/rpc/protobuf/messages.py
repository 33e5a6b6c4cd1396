"""Messages of ProtoBuf:1 as bytes, both ways, from the tables of :mod:`pluginserver.spec.protobuf`.

A message is a dict of its fields by name.  Three of Google's are the plain values that they stand for,
wherever they occur: ``Value`` is None, a bool, a number, a text, a dict or a list, ``Struct`` a dict with
texts as keys, ``ListValue`` a list.

Rules kept here:

* a field that is given is sent, whatever its value; one that is None, or not given, is not.  One that did
  not arrive is not in the dict;
* text that is not UTF-8 travels as str: it is decoded, and encoded again, with surrogate escapes.  ``bytes``
  are taken wherever text is, and the other way round;
* a ``Value`` without a kind is None, and so is every ``null_value``: Kong sends one with a number that is
  not in the enum.  None is sent as a ``Value`` without a kind, which Kong takes for nil;
* a number of a ``Value`` that is whole is an int, if a double holds it exactly: Lua does not tell ``5``
  from ``5.0``, and this is what MsgPack:1 gives;
* fields may come in any order; unknown ones, and known ones of another wire type, are skipped.  Of a field
  that comes twice the last one counts, and messages are merged, as Google's libraries do it;
* bytes that are not that message, and values that it cannot carry, are a
  :class:`~.wire.WireError`, which is a :class:`ValueError`.
"""

from __future__ import annotations

from .decoding import decode
from .encoding import encode

__all__ = ["decode", "encode"]
