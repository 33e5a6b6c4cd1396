"""Secrets never come back over the real socket; nor does what cannot be sent stop an answer."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from typing import Any

import attrs
import msgpack
import pytest
from support.client import Client, Failed

from pluginserver import Kong, PluginServer, attributes
from pluginserver.spec.secrets import MASK

Serve = Callable[..., PluginServer]

SECRET = "s3cr3t-\N{LATIN SMALL LETTER E WITH ACUTE}\nsecond line"


@attrs.define
class Account:
    """A nested class with a secret."""

    user: str = "nobody"
    password: str = attrs.field(default="", metadata=attributes(encrypted=True))


@attrs.define
class Keeper:
    """An attrs class with secrets in every shape."""

    name = "keeper"
    version, priority = "1.0.0", 1

    key: str = attrs.field(default="", metadata=attributes(referenceable=True))
    plain: str = "shown"
    account: Account = attrs.field(factory=Account)
    accounts: list[Account] = attrs.field(factory=list)
    tokens: list[str] = attrs.field(factory=list, metadata=attributes(encrypted=True))
    refuse: bool = False
    kind: str = "ValueError"

    def __attrs_post_init__(self) -> None:
        if self.refuse:
            raise {
                "ValueError": ValueError,
                "KeyboardInterrupt": KeyboardInterrupt,
                "repr": ValueError,
            }[self.kind](repr(self.key) if self.kind == "repr" else f"the key {self.key} is bad")

    def access(self, kong: Kong) -> None:
        logging.getLogger("keeper").warning("this is %s", self)
        kong.log.notice(self)


class Dicts:
    """A class that gets a dict, with a schema of its own."""

    Schema = (
        {"key": {"type": "string", "referenceable": True}},
        {
            "map": {
                "type": "map",
                "keys": {"type": "string"},
                "values": {"type": "string", "encrypted": True},
            }
        },
        {"plain": {"type": "string"}},
    )
    name, version, priority = "dicts", "1.0.0", 1

    def __init__(self, config: dict[str, Any]) -> None:
        if config.get("plain") == "refuse":
            raise ValueError(f"cannot use {config}")

    def access(self, kong: Kong) -> None:
        pass


CONFIG = {
    "key": SECRET,
    "plain": "shown",
    "account": {"user": "u", "password": SECRET},
    "accounts": [{"user": "v", "password": SECRET}],
    "tokens": [SECRET, SECRET],
    "refuse": False,
    "kind": "ValueError",
}


def holds_secret(data: Any) -> bool:
    text = repr(data) + json.dumps(data, ensure_ascii=False, default=repr)
    return "s3cr3t" in text or "second line" in text


def test_no_answer_shows_a_secret(serve: Serve) -> None:
    server = serve(Keeper)
    with Client(server.socket_path) as client:
        argument = {"Name": "keeper", "Config": json.dumps(CONFIG)}
        started = client.call("plugin.StartInstance", argument)
        assert started["Config"] == {
            "key": MASK,
            "plain": "shown",
            "account": {"user": "u", "password": MASK},
            "accounts": [{"user": "v", "password": MASK}],
            "tokens": MASK,
            "refuse": False,
            "kind": "ValueError",
        }
        instance = started["Id"]
        for answer in (
            client.call("plugin.InstanceStatus", instance),
            client.call("plugin.GetStatus", None),
            client.call("plugin.CloseInstance", instance),
        ):
            assert not holds_secret(answer)


def test_nor_that_of_a_class_that_gets_a_dict(serve: Serve) -> None:
    server = serve(Dicts)
    with Client(server.socket_path) as client:
        config = {"key": SECRET, "map": {"a": SECRET}, "plain": "shown", "__plugin_id": "x"}
        argument = {"Name": "dicts", "Config": json.dumps(config)}
        assert client.call("plugin.StartInstance", argument)["Config"] == {
            "key": MASK,
            "map": {"a": MASK},
            "plain": "shown",
            "__plugin_id": "x",
        }


@pytest.mark.parametrize("kind", ["ValueError", "KeyboardInterrupt", "repr"])
def test_an_error_of_the_constructor_shows_none(
    serve: Serve, kind: str, capfd: pytest.CaptureFixture[str]
) -> None:
    server = serve(Keeper)
    with Client(server.socket_path) as client:
        with pytest.raises(Failed) as raised:
            client.start("keeper", json.dumps({**CONFIG, "refuse": True, "kind": kind}))
        assert str(raised.value).startswith("Decoding config: config: Keeper was refused: ")
        assert MASK in str(raised.value)
        assert not holds_secret(str(raised.value))
    assert not holds_secret(capfd.readouterr().err)


def test_an_error_that_shows_the_whole_dict_shows_none(serve: Serve) -> None:
    server = serve(Dicts)
    with Client(server.socket_path) as client:
        config = {"key": SECRET, "map": {"a": SECRET}, "plain": "refuse"}
        with pytest.raises(Failed) as raised:
            client.start("dicts", json.dumps(config))
        assert "'plain': 'refuse'" in str(raised.value)
        assert not holds_secret(str(raised.value))


def test_a_short_secret_hides_the_whole_text(serve: Serve) -> None:
    server = serve(Keeper)
    with (
        Client(server.socket_path) as client,
        pytest.raises(Failed, match="why is not shown") as raised,
    ):
        client.start("keeper", '{"key": "ad", "refuse": true}')
    assert "bad" not in str(raised.value)


def test_a_value_of_the_wrong_type_is_not_shown(serve: Serve) -> None:
    server = serve(Keeper)
    with Client(server.socket_path) as client:
        for config in (
            {"key": [SECRET]},
            {"account": {"password": {"a": SECRET}}},
            {"tokens": SECRET},
            {"account": SECRET},
            {"account": [SECRET]},
            {"accounts": [SECRET]},
            {"accounts": {"a": SECRET * 20}},
            {"account": SECRET * 20},
        ):
            with pytest.raises(Failed, match="Decoding config: ") as raised:
                client.start("keeper", json.dumps(config))
            assert not holds_secret(str(raised.value))


def test_a_plugin_that_logs_itself_shows_none(
    serve: Serve, caplog: pytest.LogCaptureFixture
) -> None:
    server = serve(Keeper)
    with Client(server.socket_path) as client:
        calls = client.play(client.start("keeper", json.dumps(CONFIG)))
    (record,) = [one for one in caplog.records if one.name == "keeper"]
    assert record.getMessage().startswith(
        "this is Keeper(key=(secret), plain='shown', account=Account("
    )
    assert not holds_secret(record.getMessage())
    assert [args for method, args in calls if "log" in method]
    assert not holds_secret(calls)


# -- half characters


@pytest.mark.parametrize(
    ("config", "place"),
    [
        (r'{"plain": "\ud800"}', "config.plain"),
        (r'{"accounts": [{"user": "a"}, {"user": "x\uDFFF"}]}', r"config.accounts\[1\].user"),
        (r'{"\ud800": 1}', "config"),
        (r'{"key": "s3cr3t\ud800"}', "config.key"),
    ],
)
def test_a_lone_surrogate_is_refused_when_it_comes(serve: Serve, config: str, place: str) -> None:
    server = serve(Keeper, Dicts)
    with Client(server.socket_path) as client:
        for plugin in ("keeper", "dicts"):
            with pytest.raises(
                Failed, match=f"^Decoding config: {place}: it holds half of a"
            ) as raised:
                client.start(plugin, config)
            assert not holds_secret(str(raised.value))
        assert client.call("plugin.GetStatus", None)["Plugins"]["keeper"]["Instances"] == []
        client.start("keeper", r'{"plain": "\ud83d\ude00"}')


class Poisons:
    """Puts what cannot be sent into its configuration."""

    name, version, priority = "poisons", "1.0.0", 1

    def __init__(self, config: dict[str, Any]) -> None:
        class Broken:
            def __repr__(self) -> str:
                raise LookupError("no repr")

        config.update(half="\ud800", broken=Broken(), huge=2**70, raw=b"\xff", inner={1: {2, 3}})

    def access(self, kong: Kong) -> None:
        pass


def test_what_a_plugin_puts_into_its_configuration_breaks_no_status(serve: Serve) -> None:
    server = serve(Poisons)
    with Client(server.socket_path) as client:
        instance = client.start("poisons", '{"a": "raw \\udc80"}')
        config = client.call("plugin.InstanceStatus", instance)["Config"]
        assert config["half"] == "\\ud800"
        assert config["broken"] == "<Broken>"
        assert config["huge"] == str(2**70)
        assert config["inner"] == {"1": [2, 3]}
        assert config["a"] == "raw \udc80"
        assert client.call("plugin.GetStatus", None)["Plugins"]["poisons"]["Instances"]
    assert msgpack.packb(config, unicode_errors="surrogateescape")


class Unshown:
    """Puts a map that cannot be read into its configuration."""

    name, version, priority = "unshown", "1.0.0", 1

    def __init__(self, config: dict[str, Any]) -> None:
        class Unreadable(dict[str, Any]):
            def keys(self) -> Any:
                raise LookupError("no keys")

            __iter__ = keys

        config["map"] = Unreadable(a=1)

    def access(self, kong: Kong) -> None:
        kong.call("kong.test")


def test_a_configuration_that_cannot_be_shown_is_told_as_empty(serve: Serve) -> None:
    server = serve(Unshown)
    with Client(server.socket_path) as client:
        instance = client.start("unshown")
        (told,) = client.call("plugin.GetStatus", None)["Plugins"]["unshown"]["Instances"]
        assert (told["Id"], told["Config"]) == (instance, {})
        client.play(instance)
