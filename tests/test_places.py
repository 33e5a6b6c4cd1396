"""Where something was raised, as an author looks for it: pluginserver/logs/places.py."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from pluginserver import kong
from pluginserver.errors import OutsideEventError
from pluginserver.logs import is_librarys, place_of, raised_at
from pluginserver.pdk.headers import header_value
from pluginserver.plugins.registry import Plugins

PLUGIN = """
import json
version, priority = "1.0.0", 1
class Plugin:
    def access(self, kong):
        json.loads("{")
"""


def here(offset: int) -> str:
    """The place so many lines before the caller's line."""
    return f"{__file__}:{sys._getframe(1).f_lineno - offset}"


def test_it_is_never_in_our_files() -> None:
    with pytest.raises(TypeError) as raised:
        header_value("x", None)
    assert raised_at(raised.value) == here(1)


def test_it_is_never_in_a_librarys() -> None:
    with pytest.raises(json.JSONDecodeError) as raised:
        json.loads("{")
    assert raised_at(raised.value) == here(1)
    assert place_of(raised.value) is not None


def test_what_was_only_in_libraries_is_there() -> None:
    error: Exception | None = None
    code = compile("import json\njson.loads('{')", "<no file>", "exec")
    try:
        exec(code)
    except json.JSONDecodeError as caught:
        error = caught
    assert error is not None and error.__traceback__ is not None
    error.__traceback__ = error.__traceback__.tb_next
    assert place_of(error) is None
    assert raised_at(error).startswith(json.decoder.__file__)


def test_what_was_never_raised_is_nowhere() -> None:
    assert raised_at(ValueError()) == ""


@pytest.mark.parametrize(
    ("file", "librarys"),
    [
        (json.__file__, True),
        (pytest.__file__, True),
        ("<frozen importlib._bootstrap>", True),
        ("/opt/lib/python3/dist-packages/x.py", True),
        ("/srv/plugins/hello.py", False),
    ],
)
def test_what_is_a_librarys(file: str, librarys: bool) -> None:
    assert is_librarys(file) is librarys


def test_a_plugin_that_lies_among_libraries_is_no_library(tmp_path: Path) -> None:
    directory = tmp_path / "site-packages"
    directory.mkdir()
    path = directory / "p.py"
    path.write_text(PLUGIN)
    plugins = Plugins([path], entry_points=False)
    handler = plugins.get("p").configure("{}").handlers()["access"]
    with pytest.raises(json.JSONDecodeError) as raised:
        handler(None)
    raised.value.__traceback__ = raised.value.__traceback__.tb_next  # type: ignore[union-attr]
    assert raised_at(raised.value) == f"{path}:6"
    plugins.close()


def test_a_call_where_no_event_runs_names_the_line() -> None:
    with pytest.raises(OutsideEventError) as raised:
        kong.request.get_host()
    assert str(raised.value).endswith(f"call it in a phase handler ({here(1)})")
