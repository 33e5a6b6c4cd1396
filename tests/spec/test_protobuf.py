"""The tables of ProtoBuf:1."""

from __future__ import annotations

from pluginserver.spec.functions import FUNCTIONS as ALL
from pluginserver.spec.protobuf import FUNCTIONS, MESSAGES, SCALARS


def test_there_are_as_many_functions_as_kong_has() -> None:
    assert len(FUNCTIONS) == 74


def test_every_function_is_one_of_the_pdk() -> None:
    assert not set(FUNCTIONS) - set(ALL)


def test_every_message_that_is_named_is_there() -> None:
    named = {field.type for fields in MESSAGES.values() for field in fields} - SCALARS
    named |= {
        name for callback in FUNCTIONS.values() for name in (callback.argument, callback.result)
    }
    assert not named - set(MESSAGES)
    assert set(MESSAGES) - named == {"RpcCall", "RpcReturn"}


def test_no_number_is_given_twice_and_they_rise() -> None:
    for name, fields in MESSAGES.items():
        numbers = [field.number for field in fields]
        assert numbers == sorted(set(numbers)), name
        assert len({field.name for field in fields}) == len(fields), name


def test_a_field_is_one_thing() -> None:
    for name, fields in MESSAGES.items():
        for field in fields:
            assert (field.repeated, field.map, bool(field.oneof)).count(True) <= 1, name
        assert len({field.oneof for field in fields} - {""}) <= 1, name
