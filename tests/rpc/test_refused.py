"""The traceback of a constructor that raises: pluginserver/rpc/refused.py."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pluginserver.errors import ConfigError
from pluginserver.plugins.plugin import Plugin
from pluginserver.plugins.registry import Plugins
from pluginserver.rpc.instances import Instances

HEAD = "import attrs\nfrom pluginserver import attributes\nversion, priority = '1.0.0', 1\n"
RAISES = """
class Plugin:
    def __init__(self, config):
        self.host = config["host"].lower()
    def access(self, kong): pass
"""
SECRET = """
@attrs.define
class Plugin:
    token: str = attrs.field(default="", metadata=attributes(encrypted=True))
    def __attrs_post_init__(self):
        raise ValueError("this is " + self.token)
    def access(self, kong): pass
"""
VALIDATED = """
@attrs.define
class Plugin:
    size: int = attrs.field(default=1, validator=attrs.validators.lt(10))
    def access(self, kong): pass
"""

Load = Callable[[str], Plugin]


@pytest.fixture
def load(tmp_path: Path) -> Iterator[Load]:
    made: list[Plugins] = []

    def of(source: str) -> Plugin:
        path = tmp_path / "p.py"
        path.write_text(HEAD + source)
        made.append(Plugins([path], entry_points=False))
        return made[-1].get("p")

    yield of
    for plugins in made:
        plugins.close()


def start(instances: Instances, plugin: Plugin, config: str) -> str:
    with pytest.raises(ConfigError) as raised:
        instances.start(plugin, config)
    return str(raised.value)


def instances() -> Instances:
    return Instances(lambda _event, _error: None, lambda _what, function: function())


def test_the_traceback_is_logged_once_and_kong_is_told_the_line(
    load: Load, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    plugin, served = load(RAISES), instances()
    text = start(served, plugin, "{}")
    assert text == (
        f"Decoding config: Plugin was refused: KeyError: 'host' ({tmp_path}/p.py:7) (plugin p)"
    )
    start(served, plugin, "{}")
    (line,) = capfd.readouterr().err.splitlines()
    assert f"a configuration was not taken: {text}" in line
    assert 'self.host = config["host"].lower()' in line
    start(served, plugin, '{"host": 1}')
    (line,) = capfd.readouterr().err.splitlines()
    assert "AttributeError: 'int' object has no attribute 'lower'" in line


def test_a_traceback_shows_no_secret(load: Load, capfd: pytest.CaptureFixture[str]) -> None:
    start(instances(), load(SECRET), '{"token": "abcdefghijkl"}')
    (line,) = capfd.readouterr().err.splitlines()
    assert "abcdef" not in line
    assert "this is (secret)" in line
    assert "p.py" in line
    assert "in __attrs_post_init__" in line


def test_a_rule_that_a_value_breaks_is_no_traceback(
    load: Load, capfd: pytest.CaptureFixture[str]
) -> None:
    assert "'size' must be < 10" in start(instances(), load(VALIDATED), '{"size": 11}')
    assert capfd.readouterr().err == ""
