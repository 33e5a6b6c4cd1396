"""The server's log: one line a record, wherever it goes."""

from __future__ import annotations

import contextlib
import gc
import io
import json
import logging
import subprocess
import sys
import threading
import time
import types
import warnings
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st

from pluginserver import logs
from pluginserver.logs import ErrorDigest, Repeats, fold, logger, one_line
from pluginserver.runtime.interrupts import Cancelled, raise_in


@pytest.fixture
def unconfigured(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Puts back whatever a test configures."""
    monkeypatch.setattr(logger, "_configured", None)
    monkeypatch.setattr(threading, "excepthook", threading.excepthook)
    monkeypatch.setattr(sys, "unraisablehook", sys.unraisablehook)
    monkeypatch.setattr(sys, "excepthook", sys.excepthook)
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    # basicConfig(force=True) closes what it takes away: it must not find pytest's own handlers.
    root.handlers.clear()
    yield
    structlog.reset_defaults()
    logging.captureWarnings(False)
    root.handlers[:] = handlers
    root.setLevel(level)


class Stderr:
    """What was written to stderr, by whatever was configured before or after."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self._capsys = capsys
        self._text = ""

    @property
    def text(self) -> str:
        self._text += self._capsys.readouterr().err
        return self._text

    @property
    def records(self) -> list[dict[str, Any]]:
        """The records of a log in JSON; each line must be one."""
        return [json.loads(line) for line in self.text.splitlines()]


@pytest.fixture
def stderr(unconfigured: None, capsys: pytest.CaptureFixture[str]) -> Stderr:
    return Stderr(capsys)


def boom(text: str = "boom") -> Exception:
    """An exception that was raised."""
    try:
        raise ValueError(text)
    except ValueError as error:
        return error


# -- where records go


def test_without_configuration_warnings_and_worse_go_to_stderr(stderr: Stderr) -> None:
    log = logs.get_logger()
    log.debug("one")
    log.info("two")
    log.warning("three", plugin="hello")
    log.error("four")
    log.critical("five")
    lines = stderr.text.splitlines()
    assert [word for line in lines for word in ("three", "four", "five") if word in line] == [
        "three",
        "four",
        "five",
    ]
    assert len(lines) == 3
    assert "plugin=hello" in lines[0]
    assert "\x1b" not in stderr.text


def test_without_configuration_the_programs_structlog_decides(stderr: Stderr) -> None:
    with structlog.testing.capture_logs() as captured:
        structlog.configure(processors=structlog.get_config()["processors"])
        error = boom()
        logs.get_logger(plugin="hello").debug("seen", event=7, exc_info=error)
    assert captured == [
        {
            "event": "seen",
            "log_level": "debug",
            "plugin": "hello",
            "event_id": 7,
            "exc_info": error,
        }
    ]
    assert stderr.text == ""


def test_a_structlog_that_another_thread_is_importing_is_no_obstacle(
    stderr: Stderr, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "structlog", types.ModuleType("structlog"))
    logs.get_logger().info("too early for the program's configuration")


def test_a_processor_that_fails_stops_nobody(stderr: Stderr) -> None:
    def fail(_logger: object, _name: object, _record: object) -> dict[str, object]:
        raise RuntimeError("a bug of the program")

    structlog.configure(processors=[fail])
    logs.get_logger().error("lost")


def test_configure_wins_over_the_programs_structlog(stderr: Stderr) -> None:
    structlog.configure(logger_factory=structlog.ReturnLoggerFactory())
    logs.configure("debug", "json")
    logs.get_logger().debug("ours")
    assert [record["message"] for record in stderr.records] == ["ours"]


def test_nothing_is_imported_for_a_record_that_is_not_written() -> None:
    code = (
        "import sys; from pluginserver import logs; logs.get_logger(a=1).bind(b=2).info('x');"
        "assert 'structlog' not in sys.modules;"
        "logs.get_logger().warning('y'); assert 'structlog' in sys.modules"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "named"),
    [(("loud",), "'loud'"), (("info", "xml"), "'xml'")],
)
def test_configure_refuses_what_it_does_not_know(
    unconfigured: None, arguments: tuple[Any, ...], named: str
) -> None:
    with pytest.raises(ValueError, match=named):
        logs.configure(*arguments)
    assert logger._configured is None


@pytest.mark.parametrize("level", logs.LEVELS)
def test_the_level_is_the_lowest_that_is_written(stderr: Stderr, level: str) -> None:
    logs.configure(level, "json")
    for name in logs.LEVELS:
        getattr(logs.get_logger(), name)("text")
    written = [record["level"] for record in stderr.records]
    assert written == list(logs.LEVELS)[list(logs.LEVELS).index(level) :]


def test_a_level_that_is_known_only_when_the_program_runs(stderr: Stderr) -> None:
    logs.configure("info", "json")
    log = logs.get_logger(plugin="hello")
    for level in ("debug", "warning"):
        log.write(level, "text", n=1)
    (record,) = stderr.records
    assert (record["level"], record["plugin"], record["n"]) == ("warning", "hello", 1)
    with pytest.raises(ValueError, match="no log level 'loud': use one of debug, info"):
        log.write("loud", "text")


def test_what_every_record_holds_whoever_writes_it(stderr: Stderr) -> None:
    logs.configure("info", "json", fields={"member": 2})
    logs.adopt()
    logs.get_logger().info("ours", member="another")
    logging.getLogger("theirs").warning("theirs")
    structlog.get_logger().info("theirs too")
    assert [record["member"] for record in stderr.records] == [2, 2, 2]


class _Broken(io.StringIO):
    def write(self, _text: str) -> int:
        raise BrokenPipeError


@pytest.mark.parametrize("stream", [_Broken(), None])
def test_a_log_that_cannot_be_written_stops_nobody(
    unconfigured: None, monkeypatch: pytest.MonkeyPatch, stream: io.StringIO | None
) -> None:
    monkeypatch.setattr(sys, "stderr", stream)
    logs.get_logger().error("unheard")


def test_colours_are_for_terminals(stderr: Stderr, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    logs.configure("info", "console")
    logs.get_logger().info("bright")
    assert "\x1b" in stderr.text


# -- what a record looks like


@pytest.mark.parametrize("format", logs.FORMATS)
def test_a_record_is_one_line_whatever_is_in_it(stderr: Stderr, format: logs.Format) -> None:
    logs.configure("info", format)
    error = boom("first\nsecond\u2028third")
    logs.get_logger(bound="x\ry").error("a\nb", field="c\n\n d", odd=object(), exc_info=error)
    assert len(stderr.text.splitlines()) == 1
    kept = "first | second | third" if format == "console" else r"first\nsecond\u2028third"
    for part in ("a | b", "c | d", "x | y", kept, "test_logs.py"):
        assert part in stderr.text


def test_the_fields_of_an_event(stderr: Stderr) -> None:
    logs.configure("info", "json")
    log = logs.get_logger(plugin="hello", phase="access").bind(instance=3)
    log.info("told", event=7, more=True)
    (record,) = stderr.records
    assert next(iter(record)) == "timestamp"
    del record["timestamp"]
    assert list(record.items()) == [
        ("level", "info"),
        ("message", "told"),
        ("plugin", "hello"),
        ("phase", "access"),
        ("instance", 3),
        ("event", 7),
        ("more", True),
    ]


def test_exc_info_true_is_the_exception_at_hand(stderr: Stderr) -> None:
    logs.configure("info", "json")
    try:
        raise ValueError("at hand")
    except ValueError:
        logs.get_logger().error("text", exc_info=True)
    logs.get_logger().error("text", exc_info=True)
    first, second = stderr.records
    assert first["traceback"].endswith("ValueError: at hand")
    assert "traceback" not in second


def test_text_that_is_not_utf8_is_written(stderr: Stderr) -> None:
    logs.configure("info", "json")
    logs.get_logger().error("\udcff")
    assert stderr.records[0]["message"] == "\udcff"


# -- the rest of the process


def test_adopt_takes_on_everything_else(stderr: Stderr) -> None:
    logs.configure("info", "json")
    logs.adopt()
    structlog.get_logger().info("structured", n=1)
    structlog.get_logger().debug("too quiet")
    logging.getLogger("some.library").warning("standard %d", 2)
    logging.getLogger("some.library").debug("too quiet")
    logging.getLogger("some.library").log(5, "far too quiet")
    try:
        raise ValueError("inside")
    except ValueError:
        logging.getLogger().exception("with\ntraceback")
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        warnings.warn("be warned", stacklevel=1)

    def end() -> None:
        raise ValueError("in a thread")

    thread = threading.Thread(target=end, name="plugins-own")
    thread.start()
    thread.join()
    sys.unraisablehook(_unraisable(boom("in a finalizer")))
    sys.excepthook(ValueError, boom("in main"), None)

    told = stderr.records
    assert [record["message"].partition(":")[0] for record in told[:3]] == [
        "structured",
        "standard 2",
        "with | traceback",
    ]
    assert told[1]["logger"] == "some.library"
    assert told[2]["traceback"].endswith("ValueError: inside")
    assert "UserWarning: be warned" in told[3]["message"]
    assert "plugins-own" in told[4]["message"]
    assert told[4]["traceback"].endswith("ValueError: in a thread")
    assert told[5]["traceback"].endswith("ValueError: in a finalizer")
    assert told[6]["level"] == "critical"
    assert told[6]["traceback"].endswith("ValueError: in main")
    assert len(told) == 7


def test_what_a_handler_logs_says_for_which_event(stderr: Stderr) -> None:
    logs.configure("info", "json")
    logs.adopt(lambda: {"plugin": "p", "event": 7})
    logging.getLogger("a.plugin").info("theirs")
    structlog.get_logger().info("structured", plugin="mine")
    first, second = stderr.records
    assert (first["message"], first["plugin"], first["event"]) == ("theirs", "p", 7)
    assert (second["message"], second["plugin"], second["event"]) == ("structured", "mine", 7)


@pytest.fixture
def library(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Any]:
    """A module in a directory of libraries, whose ``say`` logs under a name."""
    from pluginserver.logs import adopted

    monkeypatch.setattr(adopted, "LIBRARIES", (f"{tmp_path}/",))
    names: dict[str, Any] = {}
    source = "import logging\ndef say(name, level, text): logging.getLogger(name).log(level, text)"
    exec(compile(source, f"{tmp_path}/httpy.py", "exec"), names)
    yield names["say"]
    for name in ("httpy", "httpy.client"):
        logging.getLogger(name).setLevel(logging.NOTSET)


def test_a_library_is_silent_below_warning(stderr: Stderr, library: Any) -> None:
    logs.configure("info", "json")
    logs.adopt(is_ours=lambda name: name.startswith("plugin_package"))
    library("httpy.client", logging.INFO, "GET /?key=secret")
    library("httpy.client", logging.WARNING, "no answer")
    library("plugin_package.x", logging.INFO, "an installed plugin")
    logging.getLogger("a.plugin").info("a plugin")
    told = [record["message"] for record in stderr.records]
    assert told == ["no answer", "an installed plugin", "a plugin"]


@pytest.mark.parametrize("name", ["httpy", "httpy.client"])
def test_a_library_is_heard_when_it_was_given_a_level(
    name: str, stderr: Stderr, library: Any
) -> None:
    logs.configure("info", "json")
    logs.adopt()
    logging.getLogger(name).setLevel(logging.INFO)
    library("httpy.client", logging.INFO, "wanted")
    assert [record["message"] for record in stderr.records] == ["wanted"]


def test_a_traceback_keeps_its_lines_in_json_and_not_on_a_console(stderr: Stderr) -> None:
    logs.configure("info", "json")
    logs.get_logger().error("it failed", exc_info=boom("no"))
    (record,) = stderr.records
    lines = record["traceback"].split("\n")
    assert lines[0] == "Traceback (most recent call last):"
    assert lines[-1] == "ValueError: no"


def _unraisable(error: Exception) -> Any:
    class Arguments:
        exc_value = error
        err_msg = None
        object = "some object"

    return Arguments()


def test_adopt_keeps_the_levels_of_logging_apart(stderr: Stderr) -> None:
    logs.configure("debug", "json")
    logs.adopt()
    for number in (10, 20, 25, 30, 40, 50, 60):
        logging.getLogger("x").log(number, "text")
    assert [record["level"] for record in stderr.records] == [
        "debug",
        "info",
        "info",
        "warning",
        "error",
        "critical",
        "critical",
    ]


@pytest.mark.parametrize("lookup", [False, True])
def test_a_thread_that_is_interrupted_while_it_logs_keeps_nobody_from_logging(
    stderr: Stderr, lookup: bool
) -> None:
    """An interrupt of a handler can come at any bytecode, in :mod:`logging` too."""
    logs.configure("info", "json")
    logs.adopt()
    logs.WRITER.start()
    log = logging.getLogger("a.plugin")
    rounds, entered, interrupted = 1000, 0, 0
    failed = threading.Event()

    def work() -> None:
        while not failed.is_set():
            (logging.getLogger("a.plugin") if lookup else log).info("text")

    def handle() -> None:
        nonlocal entered, interrupted
        while interrupted < rounds and not failed.is_set():
            with contextlib.suppress(Cancelled):  # the second of two, see ``interrupt``
                try:
                    entered += 1
                    # The loop is a function of its own: CPython 3.13 leaves the jump at the end of a loop
                    # out of the ``try`` around it, and an interrupt that came there would end the thread.
                    work()
                except Cancelled:
                    logs.release_locks()  # as a worker does when no interrupt can come any more
                    interrupted += 1

    def come(condition: Callable[[], bool], seconds: float) -> bool:
        deadline = time.monotonic() + seconds
        while not condition():
            if time.monotonic() > deadline:
                return False
            time.sleep(0)
        return True

    def interrupt(thread: threading.Thread, number: int) -> None:
        """Once, and again where a first use of :mod:`structlog` or a callback of the collector, which
        end what is raised in them, has swallowed it: as the clock does."""
        for _ in range(10):
            raise_in(thread.ident or 0, Cancelled)
            if come(lambda: interrupted > number, 3):
                return
        raise AssertionError("the thread that logs hangs")

    def neighbour() -> None:
        logging.getLogger("a.plugin").info("the neighbour")

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        thread = threading.Thread(target=handle, daemon=True)
        thread.start()
        for number in range(rounds):
            assert come(lambda number=number: entered > number, 30)
            interrupt(thread, number)
        thread.join(30)
        other = threading.Thread(target=neighbour, daemon=True)
        other.start()
        other.join(30)
        assert not other.is_alive(), "the thread that was interrupted has kept a lock"
    finally:
        sys.setswitchinterval(interval)
        failed.set()
        assert logs.WRITER.stop(30)
    assert interrupted == rounds
    assert "the neighbour" in stderr.text


def test_a_record_of_logging_whose_arguments_do_not_fit(stderr: Stderr) -> None:
    logs.configure("info", "json")
    logs.adopt()
    logging.getLogger("x").error("%d things", "many")
    (record,) = stderr.records
    assert record["message"].startswith(
        "%d things: the arguments of this record do not fit it, in "
    )
    assert "test_logs.py" in record["message"]


def test_filters_of_logging_are_kept(stderr: Stderr) -> None:
    logs.configure("info", "json")
    logs.adopt()
    (handler,) = logging.getLogger().handlers
    handler.addFilter(lambda record: record.name != "secret")
    logging.getLogger("secret").error("not this")
    logging.getLogger("open").error("this")
    assert [record["message"] for record in stderr.records] == ["this"]


# -- what cannot be shown as it is

HARMFUL = "\x1b]0;title\x07\x9b31m\u202etxt.exe\x00\x7f\ud800\r\u2028"


@pytest.mark.parametrize("format", logs.FORMATS)
def test_nothing_that_a_console_obeys_reaches_it(stderr: Stderr, format: logs.Format) -> None:
    logs.configure("info", format)
    logs.adopt()
    logs.get_logger().error(
        HARMFUL, field=HARMFUL, map={HARMFUL: HARMFUL}, exc_info=boom(HARMFUL), **{HARMFUL: 1}
    )
    logging.getLogger(HARMFUL).error("%s", HARMFUL)
    structlog.get_logger().error(HARMFUL, value=HARMFUL)
    text = stderr.text
    assert text.count("\n") == 3
    assert [one for one in text if not one.isprintable()] == ["\n"] * 3
    assert "title" in text


@pytest.mark.parametrize("format", logs.FORMATS)
@pytest.mark.parametrize(
    "fields",
    [
        {"field": "x" * 100_000},
        {"field": "é" * 100_000},
        {"field": "\x1b" * 100_000},
        {f"field{number}": "x" * 5000 for number in range(100)},
        {f"field{number}": number for number in range(5000)},
        {"f" * 100_000: 1},
        {"field": list(range(1_000_000))},
        {"field": {str(number): [number] * 50 for number in range(100_000)}},
        {"field": b"x" * 10_000_000},
        {"field": 1 << 10_000_000},
        {"field": [[[[[["deep"] * 1000] * 1000] * 1000]]] * 1000},
    ],
)
def test_a_line_is_at_most_8_kib(
    stderr: Stderr, format: logs.Format, fields: dict[str, Any]
) -> None:
    logs.configure("info", format)
    cut = logs.WRITER.counts["cut"]
    log = logs.get_logger()
    log.error("the message", **fields)
    log.error("m" * 100_000, **fields)
    lines = stderr.text.splitlines()
    assert len(lines) == 2
    assert max(len(line.encode()) for line in lines) < logs.MAX_LINE
    assert "the message" in lines[0]
    assert "mmmm" in lines[1]
    if format == "json":
        assert [json.loads(line)["level"] for line in lines] == ["error", "error"]
    assert logs.WRITER.counts["cut"] > cut


def test_a_long_traceback_loses_its_beginning(stderr: Stderr) -> None:
    def one(depth: int) -> None:
        other(depth - 1)

    def other(depth: int) -> None:
        if depth <= 0:
            raise ValueError("what happened")
        one(depth - 1)

    logs.configure("info", "json")
    with pytest.raises(ValueError, match="what happened") as caught:
        one(60)
    logs.get_logger().error("it failed", exc_info=caught.value, more="y" * 6000)
    (record,) = stderr.records
    assert record["message"] == "it failed"
    assert record["traceback"].endswith("ValueError: what happened")
    assert record["traceback"].startswith("…")


def test_a_value_is_what_it_was_when_it_was_logged(stderr: Stderr) -> None:
    logs.configure("info", "json")
    value = {"a": [1, (2, "three")], 4: {"b": None}}
    logs.WRITER.start()
    try:
        logs.get_logger().error("text", value=value)
        value.clear()
    finally:
        assert logs.WRITER.stop(30)
    assert stderr.records[0]["value"] == {"a": [1, [2, "three"]], "4": {"b": None}}


class _Unwilling:
    def __repr__(self) -> str:
        raise ValueError("no")


@pytest.mark.parametrize("format", logs.FORMATS)
def test_a_value_that_cannot_be_shown_costs_itself(stderr: Stderr, format: logs.Format) -> None:
    logs.configure("info", format)
    logs.get_logger().error(
        "the message", value=_Unwilling(), values=[_Unwilling()], big=1 << 50_000
    )
    assert "the message" in stderr.text
    assert stderr.text.count("<_Unwilling that cannot be shown: ValueError>") == 2
    assert "big=0x1000" in stderr.text or '"big": "0x1000' in stderr.text


def test_a_backlog_is_a_number_of_lines(unconfigured: None) -> None:
    with pytest.raises(ValueError, match="backlog: 0 is not a whole number from 1 up"):
        logs.configure(backlog=0)


# -- folding


@given(st.text())
def test_one_line_is_one_line(text: str) -> None:
    folded = one_line(text)
    assert len(folded.splitlines()) <= 1
    if not text.splitlines()[1:]:
        assert folded == text


@given(st.text())
def test_fold_is_one_line_with_every_part(text: str) -> None:
    folded = fold(boom(text))
    assert len(folded.splitlines()) == 1
    assert folded.startswith("File ")
    assert "in boom | raise ValueError(text) | ValueError" in folded


def test_fold_tells_of_the_cause() -> None:
    error = boom("outer")
    error.__cause__ = boom("inner")
    folded = fold(error)
    assert folded.index("ValueError: inner") < folded.index("ValueError: outer")


def test_fold_of_an_endless_recursion_is_bounded() -> None:
    def one(n: int) -> int:
        return other(n + 1)

    def other(n: int) -> int:
        return one(n + 1)

    with pytest.raises(RecursionError) as caught:
        one(0)
    assert fold(caught.value).count("File ") == logs.MAX_FRAMES


# -- the digest


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_repeats_tell_once_in_an_interval_with_a_count() -> None:
    clock = Clock()
    repeats = Repeats(interval=60.0, clock=clock)
    assert repeats.note("a") == 0
    assert [repeats.note("a") for _ in range(3)] == [None] * 3
    assert repeats.note("b") == 0
    clock.now += 59.9
    assert repeats.note("a") is None
    clock.now += 0.1
    assert repeats.note("a") == 4
    assert repeats.note("a") is None
    assert repeats.note("b") == 0


@given(
    st.lists(st.tuples(st.sampled_from("abc"), st.floats(0, 100)), max_size=100),
)
def test_repeats_lose_nothing(arrivals: list[tuple[str, float]]) -> None:
    clock = Clock()
    repeats = Repeats(interval=60.0, clock=clock)
    accounted = 0
    for key, pause in arrivals:
        clock.now += pause
        told = repeats.note(key)
        if told is not None:
            accounted += 1 + told
    accounted += sum(count for _key, count in repeats.collect(everything=True))
    assert accounted == len(arrivals)
    assert repeats.collect(everything=True) == []


def test_repeats_forget_the_oldest_beyond_the_limit() -> None:
    clock = Clock()
    repeats = Repeats(limit=2, clock=clock)
    for key in "abc":
        assert repeats.note(key) == 0
    assert repeats.note("c") is None
    assert repeats.note("b") is None
    assert repeats.note("a") == 0


def test_collect_waits_for_the_interval() -> None:
    clock = Clock()
    repeats = Repeats(interval=60.0, clock=clock)
    for key in "abb":
        repeats.note(key)
    clock.now += 30
    assert repeats.collect() == []
    clock.now += 30
    assert repeats.collect() == [("b", 1)]
    assert repeats.note("b") == 0


def test_repeats_count_across_threads() -> None:
    repeats = Repeats()
    told: list[int | None] = []

    def note() -> None:
        for _ in range(500):
            told.append(repeats.note("a"))

    threads = [threading.Thread(target=note) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert told.count(0) == 1
    assert told.count(None) == 3999
    assert repeats.collect(everything=True) == [("a", 3999)]


def report(
    digest: ErrorDigest, error: BaseException, event: int = 1, plugin: str = "hello"
) -> None:
    digest.report(error, plugin=plugin, phase="access", instance=3, event=event)


def test_the_digest_logs_an_error_once_with_all_that_is_known(stderr: Stderr) -> None:
    logs.configure("info", "json")
    clock = Clock()
    digest = ErrorDigest(Repeats(clock=clock))
    for number in range(5):
        report(digest, boom(f"no\n{number}"), number)
    clock.now += 60
    report(digest, boom("no"), 9)
    first, second = stderr.records
    del first["timestamp"]
    traceback = first.pop("traceback")
    assert traceback.startswith("Traceback (most recent call last):\n  File ")
    assert traceback.endswith("ValueError: no\n0")
    assert first == {
        "level": "error",
        "message": "the handler failed: ValueError: no | 0",
        "plugin": "hello",
        "phase": "access",
        "instance": 3,
        "event": 0,
        "repeats": 0,
    }
    assert (second["event"], second["repeats"]) == (9, 4)


def test_the_digest_keeps_errors_apart(stderr: Stderr) -> None:
    logs.configure("info", "json")
    digest = ErrorDigest()
    elsewhere: Exception
    try:
        raise ValueError("boom")
    except ValueError as error:
        elsewhere = error
    for one in (boom(), elsewhere, KeyError("never raised"), ValueError("never raised"), boom()):
        report(digest, one)
    report(digest, boom(), plugin="other")
    assert len(stderr.records) == 5


def test_the_digest_tells_in_the_end_what_it_kept_silent(stderr: Stderr) -> None:
    logs.configure("info", "json")
    digest = ErrorDigest()
    for number in range(3):
        report(digest, boom(), number)
    digest.flush()
    assert len(stderr.records) == 1
    digest.flush(everything=True)
    digest.flush(everything=True)
    _, last = stderr.records
    assert (last["plugin"], last["phase"], last["repeats"]) == ("hello", "access", 2)
    assert "ValueError" in last["message"]
    assert "test_logs.py" in last["message"]


def test_the_digest_keeps_nothing_of_a_plugin_alive() -> None:
    class Odd(Exception):
        pass

    seen = weakref.ref(Odd)
    digest = ErrorDigest()
    try:
        raise Odd
    except Odd as error:
        report(digest, error)
    del Odd
    gc.collect()
    assert seen() is None
