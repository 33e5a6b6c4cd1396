"""What is said of a plugin that works otherwise than its author thinks."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from pluginserver.errors import PluginError
from pluginserver.plugins.judge import Finding, judge, judge_broken
from pluginserver.plugins.registry import Plugins
from pluginserver.spec.functions import FUNCTIONS, LATER

HEAD = """\
import os
import attrs
version = "1.0.0"
priority = 1
"""

Judge = Callable[..., list[Finding]]


@pytest.fixture
def judged(tmp_path: Path) -> Iterator[Judge]:
    """Judges a plugin whose source begins with :data:`HEAD`, which has four lines."""
    made: list[Plugins] = []

    def of(source: str, head: str = HEAD, advice: bool = False, **wanted: object) -> list[Finding]:
        path = tmp_path / f"p{len(made)}.py"
        path.write_text(head + source)
        made.append(Plugins([path], entry_points=False))
        made[-1].load()
        assert not made[-1].failures
        return judge(made[-1].all()[0], **wanted)  # type: ignore[arg-type]

    yield of
    for plugins in made:
        plugins.close()


CASES = {
    "a phase for Lua": (
        "class Plugin:\n    def access(self, kong): pass\n    def body_filter(self, kong): pass\n",
        [(7, "phase", "Kong never calls body_filter: no plugin server can be asked there, since")],
    ),
    "a WebSocket phase": (
        "class Plugin:\n    def ws_close(self, kong): pass\n    def access(self, kong): pass\n",
        [(6, "phase", "Kong never calls ws_close")],
    ),
    "a misspelt phase": (
        "class Plugin:\n    def acess(self, kong): pass\n    def log(self, kong): pass\n",
        [(6, "phase", "Kong never calls acess: did you mean 'access'?")],
    ),
    "a method that is no phase": (
        "class Plugin:\n    def access(self, kong): self.process(1)\n    def process(self, x): pass\n",
        [],
    ),
    "a method like a phase that takes more": (
        "class Plugin:\n    def access(self, kong): pass\n    def respond(self, a, b): pass\n",
        [],
    ),
    "a shared list": (
        "@attrs.define\nclass Plugin:\n    seen = []\n    def access(self, kong): pass\n",
        [(7, "shared", "seen is one object for all instances")],
    ),
    "a shared default": (
        "@attrs.define\nclass Plugin:\n    seen: dict[str, str] = {}\n    def access(self, kong): pass\n",
        [(7, "shared", "seen is one object")],
    ),
    "a shared call": (
        "import collections\n@attrs.define\nclass Plugin:\n"
        "    _seen = collections.Counter()\n    def access(self, kong): pass\n",
        [
            (
                8,
                "shared",
                "annotate it, and write attrs.field(factory=collections.Counter, init=False)",
            )
        ],
    ),
    "metadata where a default belongs": (
        "import pluginserver\n@attrs.define\nclass Plugin:\n"
        "    a: dict[str, dict[str, int]] = attrs.field(default=pluginserver.attributes(len_min=1))\n"
        "    b: str = attrs.field(default='', metadata=pluginserver.attributes(len_min=0))\n"
        "    def access(self, kong): pass\n",
        [(8, "fields", "the default of a is what attributes() returns")],
    ),
    "what is shared on purpose": (
        "from typing import ClassVar\n@attrs.define\nclass Plugin:\n    seen: ClassVar[set] = set()\n"
        "    KNOWN = {1: 2}\n    size = 3\n    def access(self, kong): pass\n",
        [],
    ),
    "annotations without attrs": (
        "class Plugin:\n    message: str = 'x'\n    other: int = 1\n    def access(self, kong): pass\n",
        [(6, "fields", "message is no field of the configuration: write @attrs.define")],
    ),
    "a function that does not exist": (
        "class Plugin:\n    def access(self, kong):\n        kong.request.get_headr('x')\n",
        [
            (
                7,
                "pdk",
                "there is no kong.request.get_headr in Kong's PDK: did you mean 'get_header'?",
            )
        ],
    ),
    "a namespace that does not exist": (
        "class Plugin:\n    def access(self, kong):\n        kong.requests.get_header('x')\n",
        [(7, "pdk", "there is no kong.requests in Kong's PDK: did you mean 'request'?")],
    ),
    "a function of a later Kong": (
        "class Plugin:\n    def access(self, kong):\n        kong.request.get_raw_headers()\n",
        [(7, "pdk", "kong.request.get_raw_headers is called by kong.call('kong.request.get_raw_")],
    ),
    "a wrong phase": (
        "class Plugin:\n    def log(self, kong):\n        kong.response.exit(200)\n",
        [
            (
                7,
                "phase",
                "kong.response.exit cannot be called in log, where this code runs: it works in",
            )
        ],
    ),
    "a wrong phase behind helpers": (
        "def helper(kong):\n    kong.response.get_status()\n"
        "class Plugin:\n    def access(self, kong): self._more(kong)\n"
        "    def _more(self, kong): helper(kong)\n    def log(self, kong): self._more(kong)\n",
        [
            (
                6,
                "phase",
                "kong.response.get_status cannot be called in access, where this code runs",
            )
        ],
    ),
    "a helper that nobody is seen to call": (
        "def helper(kong):\n    kong.response.get_status()\n"
        "class Plugin:\n    def access(self, kong): pass\n",
        [],
    ),
    "kong by other names": (
        "class Plugin:\n    def log(self, k):\n        r = k.response\n        r.exit(1)\n        r.x\n",
        [(8, "phase", "kong.response.exit"), (9, "pdk", "there is no kong.response.x")],
    ),
    "a name that is not always kong's": (
        "class Plugin:\n    def log(self, kong):\n        r = kong.response\n        r = os\n"
        "        r.exit\n",
        [],
    ),
    "what cannot be called from outside": (
        "class Plugin:\n    def response(self, kong):\n        kong.response.get_raw_body()\n",
        [(7, "pdk", "kong.response.get_raw_body works only in Kong's own body_filter phase")],
    ),
    "a call by name": (
        "class Plugin:\n    def log(self, kong):\n        kong.call('kong.response.exit', 1)\n"
        "        kong.call('kong.of_tomorrow')\n        kong.call(self.name)\n",
        [(7, "phase", "kong.response.exit cannot be called in log")],
    ),
    "an entry as an attribute": (
        "class Plugin:\n    def access(self, kong):\n        kong.ctx.shared.user\n",
        [(7, "pdk", "kong.ctx.shared is a mapping: write kong.ctx.shared['user']")],
    ),
    "what is there and is no function of Kong's": (
        "class Plugin:\n    def access(self, kong):\n        kong.log('x')\n        kong.log.level\n"
        "        kong.log.enabled('debug')\n        kong.ctx.shared.setdefault('a', 1)\n"
        "        kong.nginx.ctx['a'] = kong.ctx.shared['b']\n        kong.request.get_headers().get('a')\n",
        [],
    ),
    "variables of the environment": (
        "class Plugin:\n    def access(self, kong):\n        os.environ['A']\n        os.getenv('B', '')\n"
        "        os.environ['C'] = '1'\n        os.environ.get('D')\n        os.environ.get(self)\n",
        [
            (7, "environment", "variable A"),
            (8, "environment", "variable B"),
            (10, "environment", "D"),
        ],
    ),
}


@pytest.mark.parametrize("what", CASES)
def test_what_is_found(what: str, judged: Judge) -> None:
    source, wanted = CASES[what]
    found = judged(source, passed=())
    told = [(one.line, one.rule) for one in found]
    assert told == [(line, rule) for line, rule, _ in wanted], found
    for one, (_, _, text) in zip(found, wanted, strict=True):
        assert text in one.text
        assert one.level == "warning"


def test_a_version_that_kong_refuses(judged: Judge) -> None:
    (found,) = judged(
        "class Plugin:\n    def access(self, kong): pass\n",
        HEAD.replace("1.0.0", "1.0"),
    )
    assert (found.line, found.rule) == (3, "version")
    assert found.text.startswith("Kong 3 refuses the version '1.0'")


def test_a_default_that_may_be_no_regular_expression(judged: Judge) -> None:
    (found,) = judged(
        "from pluginserver import attributes\n@attrs.define\nclass Plugin:\n"
        "    a: str = attrs.field(default='(?|a)', metadata=attributes(is_regex=True))\n"
        "    def access(self, kong): pass\n"
    )
    assert (found.line, found.rule) == (7, "schema")


def test_a_variable_that_is_handed_on_is_none_to_tell_of(judged: Judge) -> None:
    source = (
        "class Plugin:\n    def access(self, kong):\n        os.environ['A'], os.getenv('B', 1)\n"
    )
    assert ["variable B " in one.text for one in judged(source, passed=["A"])] == [True]
    assert judged(source, passed=["A"], at_load=True) == []


@pytest.mark.parametrize(
    ("call", "since"),
    [
        *((f"kong.call({name!r})", since) for name, since in LATER.items()),
        *((f"{name}()", one.since) for name, one in FUNCTIONS.items() if one.since),
    ],
)
def test_what_a_version_of_kong_lacks(call: str, since: str, judged: Judge) -> None:
    source = f"class Plugin:\n    def access(self, kong):\n        {call}\n"
    major, minor = map(int, since.split("."))
    assert judged(source) == judged(source, kong=(major, minor)) == []
    (found,) = judged(source, kong=(major, minor - 1))
    assert found.rule == "kong"
    assert f"is in Kong from {since} on" in found.text


def test_the_later_functions_are_none_that_the_table_has() -> None:
    assert not set(LATER) & set(FUNCTIONS)


def test_a_schema_that_a_version_of_kong_lacks(judged: Judge) -> None:
    source = (
        "from pluginserver import attributes\n@attrs.define\nclass Plugin:\n"
        "    a: str = attrs.field(default='', metadata=attributes(description='ten letters'))\n"
        "    def access(self, kong): pass\n"
    )
    assert judged(source, kong=(3, 4)) == []
    (found,) = judged(source, kong=(3, 3))
    assert found.text == "the schema needs Kong 3.4 or later: config.a has description"


def test_a_load_tells_once_and_serves(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "p.py"
    path.write_text(
        f"{HEAD}class Plugin:\n    def acess(self, kong): 1\n    def log(self, kong): 1\n"
    )
    plugins = Plugins(directory=tmp_path, entry_points=False)
    plugins.load()
    plugins.load()
    assert plugins.get("p").phases == ("log",)
    told = capfd.readouterr().err
    assert told.count(f"Kong never calls acess: did you mean 'access'? ({path}:6)") == 1
    plugins.close()


def test_a_class_or_a_module_without_a_file_has_no_source_to_look_at() -> None:
    class Plugin:
        version = "1.0"

        def access(self, kong: object) -> None: ...

    plugins = Plugins([Plugin], entry_points=False)
    plugins.load()
    (found,) = judge(plugins.all()[0])
    assert found.rule == "version"
    plugins.close()


def test_a_class_is_looked_at_where_it_is_written_and_nothing_beside_it() -> None:
    class Plugin:
        def access(self, kong: Any) -> None:
            kong.cache.get("key")

        def respons(self, kong: Any) -> None: ...

    kong: Any = None
    assert kong is None or kong.no_such_name
    plugins = Plugins([Plugin], entry_points=False)
    plugins.load()
    first = Plugin.access.__code__.co_firstlineno
    found = [(one.file, one.line, one.rule) for one in judge(plugins.all()[0])]
    here = Path(__file__)
    assert found == [(here, first + 1, "pdk"), (here, first + 3, "phase")]
    plugins.close()


def test_a_class_that_cannot_be_loaded_has_its_place() -> None:
    class Plugin:
        async def access(self, kong: Any) -> None: ...

    plugins = Plugins([Plugin], entry_points=False)
    plugins.load()
    (error,) = plugins.failures.values()
    line = Plugin.access.__code__.co_firstlineno
    assert error.place == (__file__, line)
    assert f"({__file__}:{line}): access is async" in str(error)
    plugins.close()


def test_a_class_without_a_source_has_no_place() -> None:
    names: dict[str, Any] = {"__name__": "nowhere"}
    exec("class Plugin:\n    def acess(self, kong): ...\n    def log(self, kong): ...", names)
    plugins = Plugins([names["Plugin"]], entry_points=False)
    plugins.load()
    assert judge(plugins.all()[0]) == []
    plugins.close()


ERRORS = {
    "class Plugin:\n    def access(self, kong): pass\nvalue = 1 / 0\n": 7,
    "class Plugin:\n    def access(self, kong): pass\ndef broken(:\n": 7,
    "class Plugin:\n    def log(self, kong): pass\n    async def access(self, kong): pass\n": 7,
    "class Plugin:\n    message: str = ''\n": 5,
    "@attrs.define\nclass Plugin:\n    a: int = 1\n    b: complex = 1j\n    def log(self, kong): 1\n": 8,
    "class Plugin:\n    def access(self, kong): pass\npriority = 'high'\n": 4,
}


@pytest.mark.parametrize("source", ERRORS)
def test_what_cannot_be_loaded_has_a_line(source: str, tmp_path: Path) -> None:
    path = tmp_path / "p.py"
    path.write_text(HEAD + source)
    plugins = Plugins([path], entry_points=False)
    plugins.load()
    (error,) = plugins.failures.values()
    found, *_ = judge_broken(path, error)
    assert (found.level, found.rule, found.line) == ("error", "load", ERRORS[source]), found
    plugins.close()


def test_an_error_without_a_place_is_at_the_beginning(tmp_path: Path) -> None:
    (found,) = judge_broken(tmp_path / "none.py", PluginError("?"))
    assert found.line == 1


def test_what_cannot_be_loaded_is_looked_at_too(tmp_path: Path) -> None:
    path = tmp_path / "p.py"
    path.write_text(
        f"{HEAD}class Plugin:\n    message: str\n    def body_filter(self, kong):\n"
        "        kong.requests\n"
    )
    plugins = Plugins([path], entry_points=False)
    plugins.load()
    (error,) = plugins.failures.values()
    found = judge_broken(path, error)
    told = [(one.level, one.rule, one.line) for one in found]
    assert told == [("error", "load", 5), ("warning", "phase", 7), ("warning", "pdk", 8)]
    plugins.close()


ASKS = "class Plugin:\n    def access(self, kong): kong.{}\n"


def test_a_function_that_the_protocol_lacks_is_named(judged: Judge) -> None:
    (found,) = judged("protocol = 'protobuf'\n" + ASKS.format("node.get_hostname()"))
    assert (found.level, found.rule, found.line) == ("warning", "protocol", 7)
    assert found.text == (
        "Kong's ProtoBuf:1 has no kong.node.get_hostname: serve this plugin with protocol = 'msgpack'"
    )
    assert not judged("protocol = 'protobuf'\n" + ASKS.format("request.get_body()"))
