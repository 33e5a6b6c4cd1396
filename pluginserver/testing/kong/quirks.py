"""What is odd about Kong's side of the conversation, one switch for each.

All are on by default: a plugin that passes is then a plugin that works behind Kong.  Switch one off
to play another client, or to see what a plugin would do in a kinder world.

Rules kept here:

* a habit is on unless it is switched off, and each can be switched alone.
"""

from __future__ import annotations

import attrs


@attrs.frozen(kw_only=True)
class Quirks:
    """Kong's habits on the wire and in its PDK; facts of Kong 3.10 unless said otherwise.

    :param cut_at_none: a None among the arguments of a callback may cut off what follows it, as LuaJIT
        counts: ``(1, None, x)`` arrives as ``(1,)``, but ``(None, x)`` whole.
    :param first_result_only: of a Lua function's results only the first comes back, so that a failed
        call answers None.  Off: the failure comes as ``StepError``, as older clients send it.
    :param absent_data: a nil result is sent as a step without ``Data``.  Off: ``Data`` is nil.
    :param empty_map_as_list: an empty table is sent as an empty array, nested ones too.
    :param lua_numbers: 1.0 is sent as the integer 1, and integers from 2**53 up as floats.
    :param text_as_str: bytes that are not UTF-8 travel as str.  Off: as bin.
    :param no_str8: strings of 32 to 255 bytes are sent as str16, never str8.
    :param multi_maps: headers and queries come under ``StepMultiMap`` with a list for every value.
        Off: under ``Step``, one value alone as itself.
    :param typed_steps: entities come under ``StepRoute`` and its like.  Off: all under ``Step``.
    :param method_key: a table's key ``_method`` becomes the name of the RPC method of its step.
    :param hopping: each RPC takes another connection, as a LIFO pool under load makes it.  Off: one
        request after another finds the same connection.
    :param silent_throw: a PDK function that throws ends the request with 500, and its event hears
        nothing more.  Off: the event gets a ``StepError``.
    :param silent_exit: after ``response.exit`` and ``error`` the event hears nothing more.  Off: a step
        without data comes, as after any other function.
    :param keep_timed_out: a connection whose answer did not come in time goes back into the pool.
        Off: it is closed.
    :param retry_instance: the error "no plugin instance" starts a new instance and tries again.
    :param log_prefix_by_name: a line of ``kong.log`` names the plugin that was the first to call that
        function in MsgPack:1, since Kong's client keeps functions by their names.
    :param fail_open: an error of ``HandleEvent`` or a step is logged and the request goes on.
        Off: the client gets 500.  None: as the version of Kong does it, on up to 3.13.
    :param body_limit: ``request.get_raw_body`` without its size argument throws for a body larger
        than ``client_body_buffer_size``.
    :param no_service_headers: in the ``response`` phase ``service.response.get_headers`` is empty.
    """

    cut_at_none: bool = True
    first_result_only: bool = True
    absent_data: bool = True
    empty_map_as_list: bool = True
    lua_numbers: bool = True
    text_as_str: bool = True
    no_str8: bool = True
    multi_maps: bool = True
    typed_steps: bool = True
    method_key: bool = True
    hopping: bool = True
    silent_throw: bool = True
    silent_exit: bool = True
    keep_timed_out: bool = True
    retry_instance: bool = True
    log_prefix_by_name: bool = True
    fail_open: bool | None = None
    body_limit: bool = True
    no_service_headers: bool = True

    @classmethod
    def none(cls) -> Quirks:
        """All of them off."""
        return cls(**{field.name: False for field in attrs.fields(cls)})
