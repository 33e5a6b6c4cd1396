"""Bodies by their type, which Kong's ProtoBuf:1 has raw only: decoded and encoded here, as Kong does it.

Rules kept here:

* a body that Kong does not have, that is too large or is not of its type is None, as it is there;
* a multipart body is not decoded: what Kong's reader takes and refuses is its own.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from ...errors import PDKError
from ...pdk.values import json_text
from ...spec import arguments
from ...spec.bodies import FORM, JSON, MULTIPART, from_json, kind_of, to_multipart
from .asks import Args, Ask, Given, at, then
from .plain import PLAIN, NoBody, as_lua, body, header_text, with_text
from .wire import WireError

ARGUMENTS: Final = 100
"""How many arguments of a form are read when it is not told."""

_REQUEST: Final = "kong.request"
_RESPONSE: Final = "kong.service.response"


def get_body(args: Args) -> Ask | Given:
    """The request's body; arguments: its type, how many arguments, how many bytes of a file."""

    def raw(kind: str) -> Ask:
        def read(data: bytes) -> Any:
            try:
                return _decoded(kind, body(data, at(args, 2, 0)), args)
            except NoBody:
                return None

        return Ask(PLAIN[f"{_REQUEST}.get_raw_body"](()).frames, read)

    return _by_type(_REQUEST, at(args, 0), raw)


def get_response_body(args: Args) -> Ask | Given:
    """The body of the service's response; arguments: its type, how many arguments."""

    def raw(kind: str) -> Ask:
        found = PLAIN[f"{_RESPONSE}.get_raw_body"](())
        return then(found, lambda data: _decoded(kind, data, args))

    return _by_type(_RESPONSE, at(args, 0), raw)


def _by_type(what: str, mimetype: Any, raw: Any) -> Ask | Given:
    """Ask for the type if it is not given, and for the body if Kong reads one of that type."""

    def of_type(found: Any) -> Any:
        kind = kind_of(found) if found else None
        if kind == MULTIPART:
            raise PDKError(
                f"Kong's ProtoBuf:1 has no {what}.get_body of {MULTIPART}: serve this plugin with"
                " protocol = 'msgpack'"
            )
        return None if kind is None else raw(kind)

    if not mimetype:
        return then(PLAIN[f"{what}.get_header"](("content-type",)), of_type)
    one = of_type(mimetype)
    return Given(None) if one is None else one


def _decoded(kind: str, data: bytes, args: Args) -> Any:
    if kind == JSON:
        try:
            return as_lua(from_json(data))
        except RecursionError:
            return None
    return arguments.decode(data.decode("utf-8", "surrogateescape"), at(args, 1, ARGUMENTS))


def set_body(args: Args) -> Ask:
    """Set the body of the request to the service; arguments: what it holds, its type."""
    fields, mimetype = at(args, 0, {}), at(args, 1, "")
    kind = mimetype.partition(";")[0]
    if kind == JSON:
        text = json_text(with_text(fields))
    elif kind == FORM:
        text = arguments.ordered({name: _form_value(name, fields[name]) for name in fields})
    elif kind == MULTIPART:
        text, mimetype = to_multipart(
            {name: _text(name, fields[name]) for name in fields}, mimetype
        )
    else:
        raise PDKError(f"kong.service.request.set_body: unsupported content type {mimetype}")

    def typed(_nothing: None) -> Ask:
        header = PLAIN["kong.service.request.set_header"](("Content-Type", mimetype))
        return then(header, lambda _nothing: True)

    return then(PLAIN["kong.service.request.set_raw_body"]((text,)), typed)


def _form_value(name: str, value: Any) -> Any:
    if isinstance(value, (list, tuple)):
        return [_form_value(name, one) for one in value]
    return value if isinstance(value, bool) or value is None else _text(name, value)


def _text(name: str, value: Any) -> str:
    """A field's value as text, as Lua would make it."""
    if value is None or isinstance(value, (Mapping, list, tuple)):
        raise WireError(f"{name}: a {type(value).__name__} cannot be the value of a field")
    text = header_text(with_text(value))
    assert isinstance(text, str)
    return text
