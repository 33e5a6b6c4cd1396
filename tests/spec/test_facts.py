"""Kong's facts that several rooms share: what they say of each other holds."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pluginserver.spec import methods
from pluginserver.spec.formats import UUID
from pluginserver.spec.functions import FUNCTIONS
from pluginserver.spec.limits import EXACT
from pluginserver.spec.phases import ANSWERING, PHASES

WIRE = Path(__file__).parent.parent / "data" / "wire.jsonl"


def test_the_phases_that_can_answer_are_those_in_which_exit_works() -> None:
    assert FUNCTIONS["kong.response.exit"].phases == ANSWERING
    assert set(PHASES) > ANSWERING


def test_every_method_that_kong_was_seen_to_call_is_known() -> None:
    seen = {json.loads(line)["method"] for line in WIRE.read_text().splitlines()}
    known = {
        value
        for name, value in vars(methods).items()
        if name.isupper() and name != "PREFIX"
        if isinstance(value, str)
    }
    assert seen <= known | methods.STEPS


def test_every_step_of_a_function_is_a_method() -> None:
    for function in FUNCTIONS.values():
        assert f"{methods.PREFIX}{function.step}" in methods.STEPS


def test_beyond_the_exact_numbers_two_integers_are_one() -> None:
    assert float(EXACT) == float(EXACT + 1)
    assert float(EXACT - 1) != float(EXACT)


@pytest.mark.parametrize(
    ("text", "is_one"),
    [
        ("3f2b4c5d-0000-4000-8000-00000000000a", True),
        ("3F2B4C5D-0000-4000-8000-00000000000A", True),
        ("3f2b4c5d00004000800000000000000a", False),
        ("3f2b4c5d-0000-4000-8000-00000000000a0", False),
        ("3f2b4c5d-0000-4000-8000-00000000000g", False),
    ],
)
def test_a_uuid(text: str, is_one: bool) -> None:
    assert (UUID.fullmatch(text) is not None) is is_one
