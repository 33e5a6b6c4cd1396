"""Kong's entities: made of what Kong sends, and sent back without loss."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pluginserver.spec.entities import (
    Consumer,
    Credential,
    Entity,
    MemoryStats,
    Route,
    Service,
    SharedDict,
    Stored,
    WorkerVM,
    as_list,
    as_map,
    whole,
)

KINDS = (Consumer, Credential, MemoryStats, Route, Service, SharedDict, Stored, WorkerVM)


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_is_none_and_an_empty_table_is_an_entity(kind: type[Entity]) -> None:
    assert kind.from_kong(None) is None
    assert kind.from_kong([]) == kind.from_kong({}) == kind()


@pytest.mark.parametrize("kind", KINDS)
def test_unknown_fields_are_kept_and_go_back(kind: type[Entity]) -> None:
    data = {"of_tomorrow": {"a": [1]}, "extra": "Kong's own", "_method": "x"}
    entity = kind.from_kong(data)
    assert entity is not None
    assert entity.extra == data
    assert entity.to_kong().items() >= data.items()


def test_what_refers_to_another_entity() -> None:
    route = Route.from_kong({"service": {"id": "s", "more": 1}})
    assert route is not None
    assert route.service == Service(id="s", extra={"more": 1})
    assert route.to_kong() == {"service": {"id": "s", "more": 1}}
    service = Service.from_kong({"client_certificate": {"id": "c"}})
    assert service is not None
    assert service.client_certificate == Stored(id="c")


def test_lists_and_maps_of_lua() -> None:
    route = Route.from_kong({"headers": [], "methods": {}, "tags": {}, "hosts": ["a"]})
    assert route is not None
    assert (route.headers, route.methods, route.tags, route.hosts) == ({}, [], [], ["a"])
    assert route.paths is None


def test_whole_numbers_and_times() -> None:
    consumer = Consumer.from_kong({"created_at": 1.7e9, "updated_at": 1700000060})
    assert consumer is not None
    assert type(consumer.created_at) is int
    assert consumer.created == datetime(2023, 11, 14, 22, 13, 20, tzinfo=timezone.utc)
    assert consumer.updated == datetime(2023, 11, 14, 22, 14, 20, tzinfo=timezone.utc)
    assert Consumer().created is None


def test_memory_stats_in_another_unit() -> None:
    stats = MemoryStats.from_kong(
        {
            "lua_shared_dicts": {"kong": {"capacity": "24.00 KiB", "allocated_slabs": None}},
            "workers_lua_vms": {},
        }
    )
    assert stats == MemoryStats(lua_shared_dicts={"kong": SharedDict(capacity="24.00 KiB")})


@pytest.mark.parametrize(
    ("value", "listed", "mapped"),
    [
        (None, [], {}),
        ([], [], {}),
        ({}, [], {}),
        (["a", "b"], ["a", "b"], {1: "a", 2: "b"}),
        ({1: "a", 3: "c"}, ["a", "c"], {1: "a", 3: "c"}),
    ],
)
def test_tables(value: Any, listed: list[Any], mapped: dict[Any, Any]) -> None:
    assert as_list(value) == listed
    assert as_map(value) == mapped


@given(st.one_of(st.integers(), st.floats(), st.text(), st.none(), st.booleans()))
def test_whole_changes_nothing_but_whole_floats(value: Any) -> None:
    result = whole(value)
    assert result == value or value != value
    if isinstance(value, float) and value.is_integer():
        assert type(result) is int
    else:
        assert result is value


@given(
    st.fixed_dictionaries(
        {},
        optional={
            "id": st.uuids().map(str),
            "name": st.text(),
            "tags": st.lists(st.text()),
            "headers": st.dictionaries(st.text(), st.lists(st.text())),
            "regex_priority": st.integers(0, 2**31),
            "strip_path": st.booleans(),
            "service": st.fixed_dictionaries({"id": st.uuids().map(str)}),
            "of_tomorrow": st.integers() | st.text(),
        },
    )
)
def test_a_route_goes_back_as_it_came(data: dict[str, Any]) -> None:
    route = Route.from_kong(data)
    assert route is not None
    assert route.to_kong() == data
