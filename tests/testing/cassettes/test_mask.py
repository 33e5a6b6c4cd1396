"""What is not stored: see pluginserver/testing/cassettes/mask.py."""

from __future__ import annotations

from typing import Any

import attrs
import pytest

from pluginserver.spec.secrets import MASK
from pluginserver.testing.cassettes.cassette import Call, Conversation
from pluginserver.testing.cassettes.mask import HEADERS, mask

RECORD = {
    "type": "record",
    "fields": [
        {"key": {"type": "string", "referenceable": True}},
        {"pin": {"type": "integer", "encrypted": True}},
        {"name": {"type": "string"}},
        {"deep": {"type": "array", "elements": {
            "type": "record", "fields": [{"word": {"type": "string", "encrypted": True}}]}}},
    ],
}  # fmt: skip
CONFIG = {"key": "s3cret-key", "pin": 987654, "name": "shown", "deep": [{"word": "deep-word"}]}
SECRETS = ("s3cret-key", "987654", "deep-word", "Bearer abc.def", "session=1")


def masked(*calls: Call, record: Any = RECORD, error: str | None = None) -> Conversation:
    said = Conversation("p", "access", dict(CONFIG), list(calls), error=error)
    before = attrs.asdict(said)
    out = mask(said, record, [*HEADERS, "X-Token"])
    assert attrs.asdict(said) == before
    return out


def test_the_secrets_of_a_configuration_are_masked() -> None:
    assert masked().config == {
        "key": MASK, "pin": "(secret 2)", "name": "shown", "deep": [{"word": "(secret 3)"}],
    }  # fmt: skip
    unknown = masked(record=None).config
    assert unknown.keys() == CONFIG.keys()
    assert all(str(one).startswith("(secret") for one in unknown.values())


@pytest.mark.parametrize(
    "call",
    [
        Call("kong.log", ["the key is s3cret-key", 987654]),
        Call("kong.service.request.set_raw_body", [b'{"word": "deep-word"}\xff']),
        Call("kong.service.request.set_header", ["Authorization", "Bearer abc.def"]),
        Call("kong.request.get_header", ["authorization"], "Bearer abc.def"),
        Call("kong.request.get_headers", [], {"authorization": ["Bearer abc.def"], "a": ["b"]}),
        Call("kong.response.exit", [200, "", {"Set-Cookie": ["session=1"]}]),
        Call("kong.nginx.get_var", ["http_x_token"], "Bearer abc.def"),
        Call("kong.request.get_body", [], {"s3cret-key": 987654}),
    ],
)
def test_no_secret_is_in_what_was_said(call: Call) -> None:
    out = masked(call)
    assert "(secret" in repr(out.calls)
    assert not [one for one in SECRETS if one in repr(out.calls)]
    assert out.calls[0].method == call.method


def test_a_headers_value_is_masked_wherever_it_comes_again() -> None:
    out = masked(
        Call("kong.log", ["token abc.def.ghi"]),
        Call("kong.request.get_header", ["x_token"], "abc.def.ghi"),
        error="bad token abc.def.ghi",
    )
    assert [one.args for one in out.calls] == [["token (secret 4)"], ["x_token"]]
    assert (out.calls[1].answer, out.error) == ("(secret 4)", "bad token (secret 4)")


def test_different_secrets_stay_different() -> None:
    asked = Call("kong.request.get_header", ["authorization"], "not the key")
    equal = Call("kong.request.get_header", ["authorization"], CONFIG["key"])
    found = masked(asked).calls[0].answer, masked(equal).calls[0].answer
    assert found == ("(secret 4)", MASK)
    assert masked(Call("kong.request.get_header", ["cookie"], "")).calls[0].answer == ""


def test_what_is_no_secret_stays() -> None:
    calls = [
        Call("kong.request.get_header", ["host"], "example.com"),
        Call("kong.request.get_header", ["authorization"], None),
        Call("kong.service.request.set_header", ["x-name", "shown"]),
        Call("kong.ctx.shared.set", ["n", [1, True, None, b"raw", {"a": 2}]]),
    ]
    assert masked(*calls).calls == calls
