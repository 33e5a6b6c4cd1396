"""Kong's log: what is printed, what is not sent, and Python's own logging."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.driving import ask, drive

from pluginserver import PDKError, kong
from pluginserver.pdk.handler import KongHandler
from pluginserver.pdk.log import Log, level_of_environment, message
from pluginserver.spec.levels import LOG_LEVELS


class Rude:
    def __str__(self) -> str:
        raise RuntimeError("no")

    __repr__ = __str__


@pytest.mark.parametrize(
    ("values", "text"),
    [
        ((), ""),
        (("a", "b"), "a b"),
        ((1, 2.5, None, True), "1 2.5 None True"),
        (({"a": [1, (2,)]},), "{'a': [1, (2,)]}"),
        ((b"\xff",), "b'\\xff'"),
        (("caf\udce9",), "caf\udce9"),
        (("\ud800x\udce9",), "\\ud800x\\udce9"),
        ((Rude(),), "<Rude whose str() raised RuntimeError>"),
        ((ValueError("bad"),), "bad"),
    ],
)
def test_a_message_is_as_print_makes_it(values: tuple[Any, ...], text: str) -> None:
    assert message(values) == text


@given(st.lists(st.text() | st.binary() | st.floats() | st.none()))
def test_a_message_can_always_be_sent(values: list[Any]) -> None:
    message(tuple(values)).encode("utf-8", "surrogateescape")


def test_the_exception_that_is_handled() -> None:
    def handler() -> None:
        try:
            raise ValueError("bad")
        except ValueError as error:
            kong.log.err("it failed", exc_info=True)
            kong.log.warn(exc_info=error)
            kong.log("in all", exc_info=(type(error), error, error.__traceback__))

    calls, _, failures = drive(handler)
    assert failures == []
    methods = [method for method, _ in calls]
    assert methods == ["kong.log.err", "kong.log.warn", "kong.log"]
    texts = [text for _, (text,) in calls]
    assert texts[0].startswith("it failed | ")
    assert texts[2].startswith("in all | ")
    for text in texts:
        assert "test_log.py" in text
        assert text.endswith("ValueError: bad")
        assert "\n" not in text


@pytest.mark.parametrize("exc_info", [True, None, False, (None, None, None)])
def test_no_exception_is_handled(exc_info: Any) -> None:
    assert message(("a",), exc_info) == "a"


SENDING: list[tuple[str, Callable[[Log], None]]] = [
    ("debug", lambda log: log.debug("x")),
    ("debug", lambda log: log.inspect("x")),
    ("info", lambda log: log.info("x")),
    ("notice", lambda log: log.notice("x")),
    ("notice", lambda log: log("x")),
    ("warn", lambda log: log.warn("x")),
    ("warn", lambda log: log.deprecation("x")),
    ("err", lambda log: log.err("x")),
    ("crit", lambda log: log.crit("x")),
    ("alert", lambda log: log.alert("x")),
    ("emerg", lambda log: log.emerg("x")),
]


@pytest.mark.parametrize("lowest", LOG_LEVELS)
@pytest.mark.parametrize(("level", "send"), SENDING)
def test_a_level_that_is_switched_off_is_not_sent(
    lowest: str, level: str, send: Callable[[Log], None]
) -> None:
    log = Log(lowest)
    calls, _ = ask(send, log)
    wanted = LOG_LEVELS.index(level) >= LOG_LEVELS.index(lowest)
    assert len(calls) == wanted
    assert log.enabled(level) == wanted


def test_the_level() -> None:
    log = Log()
    assert log.level == "debug"
    log.level = "error"
    assert log.level == "err"
    log.level = "warning"
    assert log.level == "warn"
    with pytest.raises(ValueError, match="level must be one of debug, info, notice, warn, err"):
        log.level = "loud"
    assert log.level == "warn"
    with pytest.raises(ValueError, match="level must be one of"):
        log.enabled("loud")


@pytest.mark.parametrize(
    ("value", "level"),
    [(None, "debug"), ("notice", "notice"), ("error", "err"), ("bogus", "debug"), ("", "debug")],
)
def test_the_level_of_the_environment(
    monkeypatch: pytest.MonkeyPatch, value: str | None, level: str
) -> None:
    monkeypatch.delenv("KONG_LOG_LEVEL", raising=False)
    if value is not None:
        monkeypatch.setenv("KONG_LOG_LEVEL", value)
    assert Log(level_of_environment()).level == level


def test_inspect_shows_what_lua_cannot_hold() -> None:
    calls, _ = ask(kong.log.inspect, {1}, {"a": None}, Rude(), "\ud800")
    assert calls == [
        (
            "kong.log.inspect",
            ("{1}", "{'a': None}", "<Rude whose repr() raised RuntimeError>", "'\\ud800'"),
        )
    ]


@pytest.mark.parametrize("answer", [None, "no json", "[]", 5, b"\xff"])
def test_a_record_that_kong_could_not_make(answer: Any) -> None:
    with pytest.raises(PDKError, match=r"kong\.log\.serialize did not give a record"):
        ask(kong.log.serialize, answers=[answer], phase="log")


# Python's logging


class Kept(logging.Handler):
    def __init__(self) -> None:
        super().__init__()
        self.kept: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.kept.append(record.getMessage())


@pytest.fixture
def fallback() -> Kept:
    return Kept()


@pytest.fixture
def logger(fallback: Kept) -> logging.Logger:
    """A logger that is not in the tree, so that nothing else gets its records."""
    logger = logging.Logger("my_plugin")
    logger.addHandler(KongHandler(fallback=fallback, log=Log()))
    return logger


@pytest.mark.parametrize(
    ("level", "method"),
    [
        (5, "debug"),
        (logging.DEBUG, "debug"),
        (logging.INFO, "info"),
        (25, "notice"),
        (logging.WARNING, "warn"),
        (logging.ERROR, "err"),
        (logging.CRITICAL, "crit"),
        (60, "crit"),
    ],
)
def test_records_go_to_kong(logger: logging.Logger, level: int, method: str) -> None:
    calls, _ = ask(logger.log, level, "seen %s", "caf\udce9")
    assert calls == [(f"kong.log.{method}", ("my_plugin: seen caf\udce9",))]


def test_a_record_with_a_traceback_is_one_line(logger: logging.Logger) -> None:
    def handler() -> None:
        try:
            raise ValueError("bad")
        except ValueError:
            logger.exception("several\nlines")

    calls, _, _ = drive(handler)
    ((method, (text,)),) = calls
    assert method == "kong.log.err"
    assert text.startswith("my_plugin: several | lines | ")
    assert "\n" not in text
    assert text.endswith("ValueError: bad")


def test_a_level_that_kong_does_not_log_is_not_sent(fallback: Kept) -> None:
    handler = KongHandler(fallback=fallback, log=Log("err"))
    record = logging.makeLogRecord({"levelno": logging.WARNING, "msg": "x"})
    calls, _ = ask(handler.handle, record)
    assert (calls, fallback.kept) == ([], [])


def test_filters_decide(logger: logging.Logger) -> None:
    (handler,) = logger.handlers
    handler.addFilter(lambda record: "secret" not in record.getMessage())
    calls, _ = ask(lambda: (logger.error("secret"), logger.error("open")))
    assert [text for _, (text,) in calls] == ["my_plugin: open"]


def test_a_filter_may_give_another_record(logger: logging.Logger) -> None:
    (handler,) = logger.handlers
    other = logging.makeLogRecord({"levelno": logging.ERROR, "msg": "other", "name": "n"})
    handler.filter = lambda _record: other  # type: ignore[assignment,method-assign]
    calls, _ = ask(logger.error, "first")
    assert [text for _, (text,) in calls] == ["n: other"]


def test_outside_of_an_event_another_handler_gets_it(
    logger: logging.Logger, fallback: Kept
) -> None:
    logger.error("at import")
    thread = threading.Thread(target=logger.error, args=("in a thread",))
    thread.start()
    thread.join()
    fallback.setLevel(logging.ERROR)
    logger.debug("not interesting")
    assert fallback.kept == ["at import", "in a thread"]


def test_outside_of_an_event_without_another_handler() -> None:
    record = logging.makeLogRecord({"levelno": logging.ERROR, "msg": "x"})
    assert KongHandler(fallback=None).handle(record)


def test_after_the_last_message_another_handler_gets_it(
    logger: logging.Logger, fallback: Kept
) -> None:
    def handler() -> None:
        try:
            kong.response.exit(403)
        finally:
            logger.error("in finally")

    calls, _, failures = drive(handler)
    assert (calls, failures) == ([], [])
    assert fallback.kept == ["in finally"]


def test_a_record_that_cannot_be_formatted_costs_nothing(
    logger: logging.Logger, capsys: pytest.CaptureFixture[str]
) -> None:
    calls, _ = ask(lambda: (logger.error("%d", "x"), logger.error("next")))
    assert [text for _, (text,) in calls] == ["my_plugin: next"]
    assert "Logging error" in capsys.readouterr().err


def test_no_lock_is_held_while_kong_is_asked(logger: logging.Logger) -> None:
    """Two events of two threads log at once; neither waits for the other's answer."""
    from pluginserver.events.event import Event, Runners
    from pluginserver.events.handler import Handler

    def begin() -> tuple[Runners, Event, Any]:
        runners = Runners()
        event = Event(
            1,
            Handler(
                "p", 2, "access", lambda _kong: logger.error("x"), lambda _event, _error: None
            ),
        )
        return runners, event, event.understand(runners.start(event))

    runners, event, out = begin()
    assert out[1] == "kong.log.err"
    others: list[Any] = []

    def other() -> None:
        runners, event, out = begin()
        others.append(out)
        event.resume(None)
        event.end()
        runners.close()

    thread = threading.Thread(target=other, daemon=True)
    thread.start()
    thread.join(60)
    assert not thread.is_alive()
    assert [other[1:] for other in others] == [out[1:]]
    event.resume(None)
    event.end()
    runners.close()
