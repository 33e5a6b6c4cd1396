"""Bodies and long values as a page shows them: JSON has a line for each value.

Rules kept here:

* what is shown is the value: only the white space of JSON is ours, and what is no JSON stays as it is;
* a large body is cut before it is looked at.
"""

from __future__ import annotations

import json
from typing import Any

from ...testing.record.format import BODY, body, literal, plain


def pretty(data: bytes) -> str:
    """A body's beginning; JSON with a line for each value."""
    if len(data) <= BODY and data.lstrip()[:1] in (b"{", b"["):
        try:
            return _lines(json.loads(data))
        except (ValueError, RecursionError):
            pass
    return body(data)


def whole(value: Any) -> str:
    """A value with a line for each value in it."""
    if isinstance(value, str):
        return pretty(value.encode("utf-8", "surrogateescape"))
    return pretty(value) if isinstance(value, bytes) else _lines(value)


def as_json(value: Any) -> Any:
    """A value; what a text that is a JSON object or list holds."""
    if isinstance(value, str) and value[:1] in ("{", "["):
        try:
            return json.loads(value)
        except (ValueError, RecursionError):
            pass
    return value


def _lines(value: Any) -> str:
    return plain(json.dumps(value, indent=2, ensure_ascii=False, default=literal), 8 * BODY)
