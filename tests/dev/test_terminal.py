"""What the development gateway writes to the terminal."""

from __future__ import annotations

import io
import re

import pytest

from pluginserver.dev.deployment import Message, Status
from pluginserver.dev.history import Entry, plugin_traceback
from pluginserver.dev.terminal import Terminal, coloured
from pluginserver.testing import (
    Callback,
    Change,
    Exchange,
    LogLine,
    Problem,
    Response,
    Run,
    ServiceRequest,
    make_request,
)


class Tty(io.StringIO):
    def isatty(self) -> bool:
        return True


def entry() -> Entry:
    exchange = Exchange("0" * 32, 0.0, make_request("GET", "/a\x1b[31m", headers={"x": "y"}))
    run = Run("one", "access", 0.001, 0.002, event_id=7, ended="exit", round_trips=3)
    run.callbacks = [
        Callback("kong.a", ("x",), "one", "access", 0.001, answer="y", step="plugin.Step"),
        Callback("kong.b", (), "one", "access", 0.0015, error="bad \x1b arg"),
        Callback("kong.c", (), "one", "access", 0.0016, step="plugin.Step", error="nil, err"),
        Callback(
            "kong.d",
            (),
            "one",
            "access",
            0.0017,
            changes=[
                Change("response", "header x", None, "1"),
                Change("response", "header y", "1", None),
                Change("response", "status", 200, 201),
            ],
        ),
    ]
    failed = Run("two", "log", 0.004, 0.001, ended="failed", error="it broke")
    exchange.runs = [run, failed]
    exchange.logs = [LogLine("warn", "careful\x07", None, "access", 0.0018)]
    exchange.service_start = 0.003
    exchange.service_request = ServiceRequest(
        method="GET", scheme="http", host="s", port=80, path="/", query="", headers={}, body=b""
    )
    exchange.problems = [Problem("raised", "one", "access", "one has a bug")]
    exchange.response = Response(503)
    return Entry(1, exchange, 1, tracebacks={7: ["Traceback\n  line"]})


def written(stream: io.StringIO) -> list[str]:
    terminal = Terminal(stream)
    terminal.request(entry())
    return stream.getvalue().splitlines()


def test_a_request_is_told_in_order() -> None:
    lines = written(io.StringIO())
    assert lines[0].endswith(r"GET /a\x1b[31m 503 0.00 ms, 3 round trips")
    assert [line.strip() for line in lines[1:]] == [
        "access   one  2.00 ms  exit",
        "kong.a('x') -> 'y'  0.00 ms",
        r"kong.b() -> throws bad \x1b arg  0.00 ms",
        "kong.c() -> None (nil, err)  0.00 ms",
        "kong.d() -> no answer  0.00 ms",
        "response header x: '1'",
        "response header y: '1' -> none",
        "response status: 200 -> 201",
        r"[warn] kong: careful\x07",
        "service  GET http://s:80/ -> no response  0.00 ms",
        "log      two  1.00 ms  failed: it broke",
        "! one has a bug",
        "Traceback",
        "line",
    ]


def test_colours_only_change_the_look(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    bright = "\n".join(written(Tty()))
    assert "\x1b[31m503\x1b[0m" in bright
    assert re.sub(r"\x1b\[\d*m", "", bright).splitlines() == written(io.StringIO())


@pytest.mark.parametrize(("variable", "value"), [("NO_COLOR", "1"), ("TERM", "dumb")])
def test_colours_can_be_refused(
    monkeypatch: pytest.MonkeyPatch, variable: str, value: str
) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    assert coloured(Tty())
    monkeypatch.setenv(variable, value)
    assert not coloured(Tty())


def test_no_colours_without_a_terminal() -> None:
    closed = Tty()
    closed.close()
    assert not coloured(io.StringIO())
    assert not coloured(object())
    closed_file = open("/dev/null")  # noqa: SIM115
    closed_file.close()
    assert not coloured(closed_file)


def test_messages_are_a_line_each() -> None:
    stream = io.StringIO()
    Terminal(stream).messages([Message(True, "fine"), Message(False, "not\nfine \x1b[2J")])
    first, second = stream.getvalue().splitlines()
    assert first.endswith(" * fine")
    assert second.endswith(r" ! not fine \x1b[2J")


def test_only_plugins_that_are_on_are_listed() -> None:
    stream = io.StringIO()
    plugins = [Status("one", "1.0.0", 5, ("access", "log"), on=True), Status("two", error="no")]
    Terminal(stream).plugins(plugins)
    assert stream.getvalue() == "  one 1.0.0  priority 5  access, log\n"


def test_a_terminal_that_is_gone_stops_nobody() -> None:
    stream = io.StringIO()
    terminal = Terminal(stream)
    stream.close()
    terminal.write("into the void")


def test_lone_surrogates_can_be_written(capsys: pytest.CaptureFixture[str]) -> None:
    Terminal().write("a\udcffb")
    assert capsys.readouterr().out == "a?b\n"


def test_a_traceback_of_our_own_is_shown_whole() -> None:
    try:
        make_request("GET", "x")
    except ValueError as error:
        text = plugin_traceback(error)
    assert text.startswith("Traceback")
    assert "make_request" in text
    assert "is neither a path" in text


def test_an_exception_without_traceback() -> None:
    assert plugin_traceback(ValueError("x")) == "ValueError: x"
