"""What the page makes of a record: the axis, commands, tracebacks, comparisons, the round trips spared."""

from __future__ import annotations

import http.server
import json
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.devgateway import HELLO, Dev, dev
from support.http_server import serving

import pluginserver
from pluginserver.dev import fields
from pluginserver.dev import settings as dev_settings
from pluginserver.dev import spared as spares
from pluginserver.dev.page import axis, bodies, compare, curl, traces, view
from pluginserver.dev.settings import Option
from pluginserver.testing import make_request


@pytest.fixture
def plugins(tmp_path: Path) -> Path:
    directory = tmp_path / "plugins"
    directory.mkdir()
    return directory


@pytest.mark.parametrize(
    ("whole", "texts"),
    [
        (0.0, ["0"]),
        (0.0051, ["0", "2 ms", "4 ms"]),
        (0.0005, ["0", "0.1 ms", "0.2 ms", "0.3 ms", "0.4 ms", "0.5 ms"]),
        (0.012, ["0", "5 ms", "10 ms"]),
        (0.1, ["0", "20 ms", "40 ms", "60 ms", "80 ms", "100 ms"]),
        (7.5, ["0", "2 s", "4 s", "6 s"]),
    ],
)
def test_ticks_are_round(whole: float, texts: list[str]) -> None:
    assert [tick.text for tick in axis.ticks(whole)] == texts


@given(st.floats(1e-6, 1e5))
def test_ticks_are_in_order_and_inside(whole: float) -> None:
    ticks = axis.ticks(whole)
    assert 2 <= len(ticks) <= axis.STEPS + 1
    assert [tick.x for tick in ticks] == sorted({tick.x for tick in ticks})
    assert ticks[0].x == 0
    assert ticks[-1].x <= 100.001
    assert len({tick.text for tick in ticks}) == len(ticks)


class Mirror(http.server.BaseHTTPRequestHandler):
    """Keeps what it was sent."""

    seen: list[tuple[str, str, list[tuple[str, str]], bytes]]

    def _any(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        type(self).seen.append((self.command, self.path, self.headers.items(), body))
        self.send_response(204)
        self.end_headers()

    do_GET = do_POST = do_PUT = do_HEAD = _any

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture(scope="module")
def mirror() -> Iterator[str]:
    Mirror.seen = []
    with serving(Mirror) as url:
        yield url


@pytest.mark.skipif(
    not shutil.which("curl") or not shutil.which("bash"), reason="there is no curl"
)
@pytest.mark.parametrize(
    ("method", "target", "headers", "body"),
    [
        ("GET", "/", {}, b""),
        ("HEAD", "/a/../b?c=[1]{2}", {"Accept": "text/html", "User-Agent": "me"}, b""),
        ("POST", "/x?a=$(touch it)`id`", {"Content-Type": "text/plain"}, b"it's \\ \n\xff\x01 1"),
        (
            "PUT",
            "/;ls",
            {"X-Quote": "a'b\"c", "X-Empty": "", "Host": "other.example"},
            b"@/etc/hosts",
        ),
    ],
)
def test_the_command_sends_the_request_again(
    mirror: str, method: str, target: str, headers: dict[str, str], body: bytes, tmp_path: Path
) -> None:
    target = target.replace(" ", "%20")
    request = make_request(method, target, headers=headers, body=body)
    command = curl.curl(request, mirror)
    subprocess.run(["bash", "-c", command], cwd=tmp_path, check=True, capture_output=True)
    assert list(tmp_path.iterdir()) == []
    sent = Mirror.seen.pop()
    assert (sent[0], sent[1], sent[3]) == (method, target, body)
    own = ("content-length", "host", "accept-encoding")
    got = {name.lower(): value for name, value in sent[2]}
    want = {name.lower(): value for name, value in request.headers.pairs()}
    for name in own:
        got.pop(name, None)
        want.pop(name, None)
    assert got == want


@settings(max_examples=30, deadline=None)
@given(st.binary(max_size=50).filter(lambda data: b"\x00" not in data))
def test_a_quoted_word_is_the_same_word(data: bytes) -> None:
    word = curl.quoted(data)
    found = subprocess.run(
        ["bash", "-c", f"printf %s {word}"], capture_output=True, check=True
    ).stdout
    assert found == data


def test_a_body_that_no_argument_can_carry_is_named() -> None:
    for body in (b"a\x00b", b"x" * (curl.BODY + 1)):
        command = curl.curl(make_request("POST", "/", body=body), "http://localhost:1")
        assert command.endswith(f"# without its body of {len(body)} bytes")
        assert "--data" not in command


def test_frames_of_the_server_are_told_from_the_plugins() -> None:
    ours = Path(pluginserver.__file__).parent / "pdk" / "headers.py"
    text = (
        "Traceback (most recent call last):\n"
        '  File "/p/mine.py", line 3, in access\n    one()\n    ^^^\n'
        f'  File "{ours}", line 1, in two\n    two()\n'
        f'  File "{ours}", line 2, in three\n    three()\n'
        '  File "/p/mine.py", line 9, in four\n    four()\n'
        "ValueError: bad\n  and more of it"
    )
    trace = traces.trace(text)
    assert trace.line == "ValueError: bad\n  and more of it"
    assert [part.folded for part in trace.frames] == [0, 2, 0]
    assert "\n".join([*(part.text for part in trace.frames), trace.line]) == text
    assert traces.trace("ValueError: 1") == traces.Trace("ValueError: 1", [])
    assert traces.trace("").line == ""


def test_json_has_a_line_for_each_value() -> None:
    assert bodies.pretty(b'{"a":[1,"\xc3\xa9"]}') == '{\n  "a": [\n    1,\n    "é"\n  ]\n}'
    assert bodies.pretty(b"{no json") == "{no json"
    assert bodies.pretty(b"[" * 4000) == "[" * 4000
    assert bodies.whole({"a": b"\xff"}) == '{\n  "a": "b\'\\\\xff\'"\n}'
    assert bodies.as_json("[1]") == [1]
    assert bodies.as_json("[1") == "[1"


SETS = """
version = "1.0.0"
priority = 1
class Plugin:
    def access(self, kong):
        for name in ("x-a", "x-b", "x-c"):
            kong.request.get_header(name)
        kong.request.get_method()
        kong.request.get_method()
        for name in ("x-a", "x-b", "x-c"):
            kong.response.set_header(name, "1")
"""


def test_the_round_trips_that_are_spared_are_those_of_the_server(plugins: Path) -> None:
    (plugins / "sets.py").write_text(SETS)
    with dev(plugins) as gateway:
        gateway.get("/", x_a="1", x_b="2", x_c="3")
        (entry,) = gateway.gateway.history.entries()
        page = gateway.page("/latest").text
    # Three headers are read by one call, three set by one, and the method is asked for once.
    assert spares.spared(entry.exchange) == 5
    assert "5 saved behind Kong" in page
    assert entry.exchange.round_trips == 9


def test_a_plugin_that_has_all_its_calls_travel_saves_none(plugins: Path) -> None:
    (plugins / "sets.py").write_text(f'round_trips = "plain"\n{SETS}')
    with dev(plugins) as gateway:
        gateway.get("/")
        page = gateway.page("/latest").text
    assert "none saved behind Kong" in page


def test_a_request_with_endless_calls_is_not_played_again(
    plugins: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(spares, "CALLS", 3)
    (plugins / "sets.py").write_text(SETS)
    with dev(plugins) as gateway:
        gateway.get("/")
        page = gateway.page("/latest").text
    assert "saved behind Kong" not in page


def test_who_answered_is_in_the_list(plugins: Path) -> None:
    (plugins / "stops.py").write_text(
        HELLO.replace('set_header("x-hello", self.message)', "exit(403)")
    )
    with dev(plugins) as gateway:
        gateway.get("/x")
        stopped = gateway.page().text
        (plugins / "stops.py").write_text(HELLO)
        gateway.screen.wait_for("reloaded stops")
        gateway.get("/y")
        passed = gateway.page().text
    assert '<td class="wide who">stops</td>' in stopped
    assert '<td class="wide who">service</td>' in passed


def test_the_start_of_an_instance_is_told_once(plugins: Path) -> None:
    (plugins / "hello.py").write_text(HELLO)
    with dev(plugins) as gateway:
        gateway.get("/first")
        gateway.get("/second")
        second, first = (view.request(one) for one in gateway.gateway.history.entries())
        page = gateway.page(f"/requests/{first.row.id}").text
    assert first.blocks[0].started
    assert 0 < first.blocks[0].bar.starting <= first.blocks[0].bar.width
    assert second.blocks[0].started == ""
    assert second.blocks[0].bar.starting == 0
    assert "instance started first" in page
    assert "Pale is the time" in page


FAILS = """
version = "1.0.0"
priority = 1
class Plugin:
    def access(self, kong):
        kong.log.err("my own")
        raise ValueError("broken")
"""


@pytest.mark.parametrize("phase", ["access", "log", "rewrite"])
def test_an_error_is_shown_once(plugins: Path, phase: str) -> None:
    (plugins / "fails.py").write_text(FAILS.replace("access", phase))
    with dev(plugins) as gateway:
        gateway.get()
        gateway.screen.wait_for("ValueError")
        (entry,) = gateway.gateway.history.entries()
        shown = view.request(entry)
        page = gateway.page("/latest").text
    (bug,) = shown.bugs
    assert [one.line for one in bug.traces] == ["ValueError: broken"]
    block = next(one for one in shown.blocks if one.phase == phase)
    said = [line.text for line in block.lines if isinstance(line, view.LogEntry)]
    assert said == ["my own"]
    assert len(block.told) == (1 if phase == "log" else 3)
    before, _, told = page.partition('class="told"')
    assert before.count("ValueError: broken") == 1
    assert told


def test_what_differs_between_two_runs(plugins: Path) -> None:
    (plugins / "hello.py").write_text(HELLO)
    with dev(plugins) as gateway:
        gateway.request("POST", "/x", b'{"a": 1}')
        gateway.get("/x")
        gateway.request("POST", "/x", b'{"a": 1}')
        gateway.request("POST", "/x", b'{"a": 2}')
        fourth, third, other, first = gateway.gateway.history.entries()
        history = gateway.gateway.history
        assert history.previous(fourth) is third
        assert history.previous(third) is first
        assert history.previous(other) is None
        pages = [gateway.page(f"/requests/{one.id}/compare") for one in (fourth, third, other)]
        gone = gateway.page("/requests/none/compare")
    assert compare.changes(first, third).parts == []
    found = compare.changes(third, fourth)
    titles = [part.title for part in found.parts]
    assert titles == [
        "Request from the client",
        "Request to the service",
        "Response to the client",
    ]
    changed = [(line.sign, line.text) for line in found.parts[0].lines if line.sign in "+-"]
    assert changed == [("-", '  "a": 1'), ("+", '  "a": 2')]
    assert "Calls" in found.same
    assert [page.status for page in pages] == [200, 200, 200]
    assert "Nothing changed" in pages[1].text
    assert "first run" in pages[2].text
    assert gone.status == 404


SECRETS = """
import attrs
from pluginserver import attributes
version = "1.0.0"
priority = 1
@attrs.define
class Inner:
    token: str = attrs.field(metadata=attributes(encrypted=True, referenceable=True))
    name: str = "n"
@attrs.define
class Plugin:
    one: Inner
    many: list[Inner] = attrs.field(factory=list)
    named: dict[str, str] = attrs.field(factory=dict)
    count: int = 3
    nothing: str | None = None
    def access(self, kong): pass
"""


@pytest.fixture
def configured(plugins: Path, tmp_path: Path) -> Iterator[Dev]:
    (plugins / "secrets.py").write_text("from __future__ import annotations\n" + SECRETS)
    file = tmp_path / "dev.json"
    config = {"one": {"token": "hush"}, "many": [{"token": "{vault://env/x}"}, {"token": "psst"}]}
    file.write_text(json.dumps({"plugins": {"secrets": config}}))
    options = [Option.parse("secrets.count=4"), Option.parse("secrets.count=5")]
    with dev(plugins, settings=dev_settings.read(file, options), settings_file=file) as gateway:
        yield gateway


def test_a_configuration_is_shown_with_where_it_came_from(configured: Dev) -> None:
    (plugin,) = configured.gateway.deployment.status()
    page = configured.page("/plugins").text
    shown = {one.name: one for one in plugin.fields}
    assert {name: one.origin for name, one in shown.items()} == {
        "one": "dev.json, plugins.secrets",
        "many": "dev.json, plugins.secrets",
        "named": "default",
        "count": "--config secrets.count",
        "nothing": "not set",
    }
    assert shown["one"].value == {"token": fields.HIDDEN}
    assert shown["many"].value == [{"token": "{vault://env/x}"}, {"token": fields.HIDDEN}]
    assert shown["count"].value == 5
    assert plugin.path.endswith("/plugins/secrets.py")
    assert "hush" not in page
    assert "psst" not in page
