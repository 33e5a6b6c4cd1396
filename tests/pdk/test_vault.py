"""Secrets that Kong rotates."""

from __future__ import annotations

from typing import Any

import pytest
from support.driving import ask

from pluginserver import PDKError
from pluginserver.pdk.vault import Secret

REFERENCE = "{vault://env/key}"
GET = [("kong.vault.get", (REFERENCE,))]


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def test_a_secret_without_a_reference_never_changes() -> None:
    clock = Clock()
    secret = Secret("plain", clock=clock)
    clock.now = 1e9
    assert ask(secret.get) == ([], "plain")


@pytest.mark.parametrize("keys", [{}, {"$refs": []}, {"$refs": {"other": REFERENCE}}])
def test_a_field_without_a_reference(keys: dict[str, Any]) -> None:
    assert Secret.of(keys, "key", "plain").reference is None


def test_a_rotated_secret_is_found_when_the_ttl_is_over() -> None:
    clock = Clock()
    secret = Secret("old", REFERENCE, ttl=10, clock=clock)
    assert ask(secret.get) == ([], "old")
    clock.now = 9.9
    assert ask(secret.get) == ([], "old")
    clock.now = 10
    assert ask(secret.get, answers=["new"]) == (GET, "new")
    assert ask(secret.get) == ([], "new")


def test_the_last_known_secret_serves_while_kong_has_none() -> None:
    clock = Clock()
    secret = Secret("old", REFERENCE, ttl=10, clock=clock)
    clock.now = 10
    assert ask(secret.get) == (GET, "old")
    clock.now = 15
    assert ask(secret.get) == ([], "old")
    clock.now = 20
    assert ask(secret.get, answers=["new"]) == (GET, "new")


def test_a_reference_alone_is_read_at_first_use() -> None:
    secret = Secret(REFERENCE)
    assert secret.reference == REFERENCE
    assert ask(secret.get, answers=["new"]) == (GET, "new")
    assert ask(secret.get) == ([], "new")


def test_no_secret_at_all() -> None:
    secret = Secret(REFERENCE)
    for _ in range(2):
        with pytest.raises(
            PDKError, match=r"Kong does not have a secret for \{vault://env/key\}"
        ) as raised:
            ask(secret.get)
        assert raised.value.calls == GET  # type: ignore[attr-defined]
    assert ask(secret.get, answers=["new"]) == (GET, "new")


def test_the_reference_of_a_field() -> None:
    secret = Secret.of({"$refs": {"key": REFERENCE}}, "key", "old", ttl=0)
    assert ask(secret.get, answers=["new"]) == (GET, "new")


def test_the_value_is_not_shown() -> None:
    assert "old" not in repr(Secret("old"))
    assert repr(Secret("old", REFERENCE)) == f"Secret({REFERENCE!r})"
