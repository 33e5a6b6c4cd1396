"""Writing the log: on a thread of its own while a server runs, and never so that anybody waits for ever."""

from __future__ import annotations

import contextlib
import fcntl
import io
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any

import pytest
from support.client import TIMEOUT, Client
from support.commands import MODULE, environment, running
from support.plugins import eventually

from pluginserver import Kong, PluginServer, logs
from pluginserver.logs import logger, writer
from pluginserver.logs.printed import Printed
from pluginserver.logs.writer import WRITER, Writer

Serve = Callable[..., PluginServer]

PIPE = 65536
"""Bytes that a pipe holds which nobody reads."""


class Pipe:
    """A pipe whose one end is a text stream, as stderr is."""

    def __init__(self) -> None:
        read, write = os.pipe()
        self.reader: IO[bytes] = os.fdopen(read, "rb", buffering=0)
        self.stream = io.TextIOWrapper(os.fdopen(write, "wb"), encoding="utf-8")

    def fill(self) -> None:
        """Put in all that it holds."""
        flags = fcntl.fcntl(self.stream, fcntl.F_GETFL)
        os.set_blocking(self.stream.fileno(), False)
        try:
            while True:
                os.write(self.stream.fileno(), b"\n" * 4096)
        except BlockingIOError:
            fcntl.fcntl(self.stream, fcntl.F_SETFL, flags)

    def read_eventually(self, text: bytes) -> bytes:
        """Read up to some text."""
        data = b""
        while text not in data:
            data += (more := self.reader.read(PIPE))
            assert more, data
        return data

    def close(self) -> None:
        for end in (self.reader, self.stream):
            end.close()


@pytest.fixture
def pipe() -> Iterator[Pipe]:
    pipe = Pipe()
    yield pipe
    pipe.close()


@pytest.fixture
def own() -> Iterator[Writer]:
    """A writer of the test's own, which writes on a thread."""
    own = Writer()
    own.start()
    yield own
    own.stop(0)


def tasks() -> int:
    """The threads of this process, those too that Python does not know."""
    return len(os.listdir("/proc/self/task"))


def settled() -> int:
    """The threads of this process, when those of earlier tests have ended."""
    number, since = tasks(), time.monotonic()
    while time.monotonic() - since < 0.2:
        if tasks() != number:
            number, since = tasks(), time.monotonic()
        time.sleep(0.01)
    return number


# -- the thread


def test_no_thread_before_the_first_line_and_none_after_stop(pipe: Pipe) -> None:
    before = settled()
    own = Writer()
    own.start()
    assert tasks() <= before
    own.write(pipe.stream, "one\n")
    assert own.flush(TIMEOUT)
    eventually(lambda: tasks() == before + 1)
    own.write(pipe.stream, "two\n")
    assert own.stop(TIMEOUT)
    eventually(lambda: tasks() <= before)
    assert pipe.reader.read(PIPE) == b"one\ntwo\n"
    own.write(pipe.stream, "three\n")
    assert tasks() <= before
    assert pipe.reader.read(PIPE) == b"three\n"


def test_the_thread_stays_as_long_as_one_server_runs(pipe: Pipe) -> None:
    own = Writer()
    own.start()
    own.start()
    assert own.stop(TIMEOUT)
    assert own.threaded
    own.write(pipe.stream, "one\n")
    assert own.stop(TIMEOUT)
    assert not own.threaded
    assert pipe.reader.read(PIPE) == b"one\n"


def test_lines_of_many_threads_all_arrive_in_the_order_of_each(own: Writer) -> None:
    stream = io.StringIO()

    def write(name: int) -> None:
        for number in range(200):
            own.write(stream, f"{name} {number}\n")

    threads = [threading.Thread(target=write, args=(name,)) for name in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert own.flush(TIMEOUT)
    lines = [line.split() for line in stream.getvalue().splitlines()]
    for name in range(8):
        assert [int(n) for who, n in lines if who == str(name)] == list(range(200))
    assert own.counts["written"] == 1600


def test_a_thread_that_cannot_be_started_costs_no_line(
    own: Writer, pipe: Pipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(writer, "start_new_thread", refuse)
    own.write(pipe.stream, "one\n")
    assert pipe.reader.read(PIPE) == b"one\n"
    monkeypatch.undo()
    own.write(pipe.stream, "two\n")
    assert own.flush(TIMEOUT)
    assert pipe.reader.read(PIPE) == b"two\n"


# -- nobody reads


def test_what_finds_the_queue_full_is_dropped_and_the_count_is_told(
    own: Writer, pipe: Pipe
) -> None:
    own.limit = 10
    own.note = lambda count: f"dropped {count}\n"
    pipe.fill()
    started = time.monotonic()
    for number in range(1000):
        own.write(pipe.stream, f"line {number}\n")
    assert time.monotonic() - started < 5
    assert not own.flush(0.01)
    data = pipe.read_eventually(b"dropped")
    assert own.flush(TIMEOUT)
    told = (data + pipe.reader.read(PIPE) if not data.endswith(b"\n") else data).split()
    kept = told.count(b"line")
    dropped = int(told[told.index(b"dropped") + 1])
    assert kept >= 10  # the queue's; more when the thread had taken some before it was full
    assert dropped > 0
    assert kept + dropped == 1000
    assert (own.counts["written"], own.counts["dropped"]) == (kept, dropped)
    own.write(pipe.stream, "and on\n")
    assert own.flush(TIMEOUT)
    assert pipe.reader.read(PIPE) == b"and on\n"


def test_stop_waits_so_long_and_no_longer_and_leaves_no_thread(pipe: Pipe) -> None:
    before = settled()
    own = Writer()
    own.start()
    pipe.fill()
    own.write(pipe.stream, "lost\n")
    started = time.monotonic()
    assert not own.stop(0.05)
    assert time.monotonic() - started < 5
    eventually(lambda: tasks() <= before)
    assert own.counts["dropped"] == 1
    own.write(pipe.stream, "lost at once\n")
    assert own.counts["dropped"] == 2
    pipe.read_eventually(b"\n")
    own.write(pipe.stream, "heard\n")
    assert b"heard\n2 lines of the log were dropped\n" in pipe.read_eventually(b"dropped\n")


def test_without_a_server_a_line_waits_for_its_reader_only_so_long(
    pipe: Pipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer, "PATIENCE", 0.05)
    own = Writer()
    pipe.fill()
    for _ in range(100):
        own.write(pipe.stream, "lost\n")
    assert own.counts["dropped"] == 100


@pytest.mark.parametrize("threaded", [True, False])
@pytest.mark.parametrize("broken", ["reader", "stream", "none", "nonblocking"])
def test_a_stream_that_is_not_there_stops_nobody(broken: str, threaded: bool) -> None:
    own, pipe = Writer(), Pipe()
    if threaded:
        own.start()
    if broken == "nonblocking":
        os.set_blocking(pipe.stream.fileno(), False)
    elif broken != "none":
        getattr(pipe, broken).close()
    own.write(None if broken == "none" else pipe.stream, "line\n")
    assert own.stop(TIMEOUT)
    lines = 0 if broken == "none" else 1
    assert own.counts["written" if broken == "nonblocking" else "failed"] == lines
    pipe.close()


def test_lines_that_are_written_together_stay_whole(own: Writer, pipe: Pipe) -> None:
    """A pipe takes so many bytes as a whole, whoever else writes to it."""
    sizes: list[int] = []
    write = os.write

    def seen(descriptor: int, data: bytes) -> int:
        if descriptor == pipe.stream.fileno():
            sizes.append(len(data))
            assert data.endswith(b"\n")
        return write(descriptor, data)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "write", seen)
        for _ in range(300):
            own.write(pipe.stream, "é" * 40 + "\n")
        assert own.flush(TIMEOUT)
    assert sum(sizes) == 300 * 81
    assert max(sizes) <= 4096


def test_a_fork_has_a_writer_of_its_own(pipe: Pipe) -> None:
    """In the child there is no thread, and what waited in the parent is the parent's to write."""
    code = (
        "import os, sys, time\n"
        "from pluginserver import logs\n"
        "logs.WRITER.start()\n"
        "log = logs.get_logger()\n"
        "log.error('one'); logs.flush(30)\n"
        "pid = os.fork()\n"
        "if not pid:\n"
        "    log.error('of the child')\n"
        "    os._exit(0)\n"
        "os.waitpid(pid, 0)\n"
        "log.error('two')\n"
        "logs.WRITER.stop(30)\n"
    )
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code],
        capture_output=True,
        text=True,
        timeout=TIMEOUT,
        env=environment(),
    )
    told = [line.split("] ")[1] for line in done.stderr.splitlines()]
    assert told == ["one", "of the child", "two"]


def test_what_was_logged_is_written_at_the_end_of_the_interpreter() -> None:
    code = (
        "from pluginserver import logs\n"
        "logs.WRITER.start()\n"
        "for number in range(500): logs.get_logger().error(f'line {number}')\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        timeout=TIMEOUT,
        env=environment(),
    )
    assert done.returncode == 0
    assert len(done.stderr.splitlines()) == 500


def test_an_end_of_the_interpreter_that_nobody_reads_is_bounded(pipe: Pipe) -> None:
    code = (
        "from pluginserver import logs\n"
        "logs.WRITER.start()\n"
        "for number in range(500): logs.get_logger().error('x' * 1000)\n"
    )
    pipe.fill()
    done = subprocess.run(
        [sys.executable, "-c", code], stderr=pipe.stream, timeout=TIMEOUT, env=environment()
    )
    assert done.returncode == 0


# -- what is printed


@contextlib.contextmanager
def adopted() -> Iterator[io.StringIO]:
    """Where a process writes that is the server and nothing else."""
    both = io.StringIO()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "stdout", both)
        patch.setattr(sys, "stderr", both)
        patch.setattr(logger, "_configured", None)
        logs.configure("info", "json")
        logs.adopt_output()
        WRITER.start()
        yield both
        WRITER.stop(TIMEOUT)


def test_what_is_printed_stays_in_order_with_the_log() -> None:
    expected = []
    with adopted() as written:
        for number in range(50):
            print("printed", number)
            logs.get_logger().info(f"logged {number}")
            print("error", number, file=sys.stderr)
            expected += [f"printed {number}", f"logged {number}", f"error {number}"]
        assert logs.flush(TIMEOUT)
    told = [
        json.loads(line)["message"] if line.startswith("{") else line
        for line in written.getvalue().splitlines()
    ]
    assert told == expected


def test_a_part_of_a_line_waits_for_its_end_or_a_flush() -> None:
    with adopted() as written:
        print("a", end="")
        assert logs.flush(TIMEOUT)
        assert written.getvalue() == ""
        print("b", end="", flush=True)
        print("c\nd", end="")
        assert logs.flush(TIMEOUT)
        assert written.getvalue() == "abc\n"
        sys.stdout.flush()
        print("e" * 100_000, end="")
        assert logs.flush(TIMEOUT)
        assert written.getvalue() == "abc\nd" + "e" * 100_000


def test_what_takes_the_place_of_stdout_is_like_it(pipe: Pipe) -> None:
    printed = Printed(pipe.stream)
    assert printed.fileno() == pipe.stream.fileno()
    assert printed.buffer is pipe.stream.buffer
    assert (printed.encoding, printed.isatty(), printed.writable()) == ("utf-8", False, True)
    assert printed.errors == "backslashreplace"
    assert printed.write("a\udc80\n") == 3
    assert pipe.reader.read(PIPE) == b"a\\udc80\n"
    with pytest.raises(TypeError, match="must be str, not bytes"):
        printed.write(b"x")  # type: ignore[arg-type]


def test_what_is_printed_in_huge_pieces_counts_as_many(own: Writer) -> None:
    """The queue is bounded in lines, so that a piece may not be longer than a line."""
    put: list[int] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(WRITER, "write", lambda _stream, text: put.append(len(text)))
        Printed(io.StringIO()).write("x" * 100_000 + "\n")
    assert sum(put) == 100_001
    assert max(put) <= logs.MAX_LINE


# -- over the socket

LOUD = """
import logging
version, priority = "1.0.0", 1

class Plugin:
    def access(self, kong):
        {say}
"""


@pytest.mark.parametrize(
    "say",
    [
        "logging.getLogger('x').warning('w' * 1000)",
        "print('p' * 1000)",
        "raise ValueError('e' * 1000)",
    ],
)
def test_a_log_that_nobody_reads_holds_up_nobody(say: str, tmp_path: Path, prefix: Path) -> None:
    (tmp_path / "loud.py").write_text(LOUD.format(say=say))
    arguments = ("-socket", prefix / "s", "-plugins-directory", tmp_path, "-log-backlog", "20")
    read, write = os.pipe()
    with running(*MODULE, *arguments, "-grace", "0", stdout=write) as server:
        os.close(write)
        with Client(prefix / "s") as client:
            instance = client.start("loud")
            for _ in range(200):  # thrice what a pipe holds
                client.play(instance)
        server.signal(signal.SIGTERM)
        assert server.process.wait(TIMEOUT) == 0
        server.end()
    os.close(read)


def test_a_reader_that_comes_back_is_told_how_much_it_missed(tmp_path: Path, prefix: Path) -> None:
    say = "logging.getLogger('x').warning('w' * 1000)"
    (tmp_path / "loud.py").write_text(LOUD.format(say=say))
    arguments = ("-socket", prefix / "s", "-plugins-directory", tmp_path, "-log-backlog", "20")
    with running(*MODULE, *arguments, "-grace", "0", "-log-format", "json") as server:
        with Client(prefix / "s") as client:
            instance = client.start("loud")
            for _ in range(200):
                client.play(instance)
            server.wait_for("lines of the log were dropped")
            client.play(instance)
        server.signal(signal.SIGTERM)
        server.wait_for("stopped")
        assert server.end() == 0
    records = [json.loads(line) for line in server.lines]
    kept = sum(record["message"].startswith("www") for record in records)
    told = [one["message"] for one in records if "were dropped" in one["message"]]
    # More than once where the writer was slow before the pipe was full, too.
    assert sum(int(message.split()[0]) for message in told) + kept == 201
    assert kept >= 20


class Loud:
    """Logs a long line."""

    name, version, priority = "loud", "1.0.0", 1

    def access(self, kong: Kong) -> None:
        logs.get_logger().error("x" * 2000)


def test_in_a_program_too_and_its_end_is_bounded(
    serve: Serve, pipe: Pipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = settled()
    monkeypatch.setattr(sys, "stderr", pipe.stream)
    server = serve(Loud)
    with Client(server.socket_path) as client:
        instance = client.start("loud")
        for _ in range(100):
            client.play(instance)
    started = time.monotonic()
    server.stop()
    assert time.monotonic() - started < TIMEOUT / 2
    eventually(lambda: tasks() <= before)
    assert WRITER.counts["dropped"] > 0
    WRITER.reset()  # what was dropped is not for the next test to be told


class Forks:
    """Logs in a child."""

    name, version, priority = "forks", "1.0.0", 1

    def access(self, kong: Kong) -> None:
        pid = os.fork()
        if not pid:
            logs.get_logger().error("of the child")
            os._exit(0)
        os.waitpid(pid, 0)
        logs.get_logger().error("of the parent")


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_handler_that_forks_can_log_in_both(
    serve: Serve, pipe: Pipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stderr", pipe.stream)
    server = serve(Forks)
    with Client(server.socket_path) as client:
        client.play(client.start("forks"))
    assert logs.flush(TIMEOUT)
    told = pipe.reader.read(PIPE).decode()
    assert told.index("of the child") < told.index("of the parent")
    assert told.count("\n") == 2


def test_a_program_that_has_configured_structlog_gets_no_thread(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    import structlog

    told: list[Any] = []

    def keep(_logger: object, _method: str, record: Any) -> Any:
        told.append(record["event"])
        raise structlog.DropEvent

    def refuse(*_: object) -> None:
        raise AssertionError("a thread was started")

    monkeypatch.setattr(writer, "start_new_thread", refuse)
    structlog.configure(processors=[keep])
    try:
        server = serve(Loud)
        with Client(server.socket_path) as client:
            client.play(client.start("loud"))
        server.stop()
    finally:
        structlog.reset_defaults()
    assert "x" * 2000 in told
    assert told[-1] == "stopped"
