"""Writing: the one place where a line of the log can have to wait for somebody who reads it.

While a server runs (:meth:`Writer.start`), records and what is printed go into a queue, and a thread of its
own writes them; before and after, and in the child of a fork, they are written at once.

Rules kept here:

* :meth:`Writer.write` takes no lock and waits for nobody while a server runs: it may be called on a thread
  that can be interrupted (see :mod:`pluginserver.runtime.interrupts`), and on the leader.  What is shared is
  ``SimpleQueue.put``, ``list.pop`` and ``next`` of a count, each of which is atomic with the GIL;
* the queue is bounded: what finds it full is dropped and counted, and the count is told as soon as a line
  can be written again;
* no thread is started before the first line, none is left after the last :meth:`Writer.stop`, and nothing
  waits longer than it was told to: a write begins only when the system says that it has room, and is of
  no more bytes than a pipe takes as one;
* the thread is the only writer of its time: who has the token in ``_resting`` writes.
"""

from __future__ import annotations

import atexit
import contextlib
import itertools
import os
import queue
import select
import sys
import threading
import time
from _thread import allocate_lock, start_new_thread
from collections import Counter
from collections.abc import Callable
from io import TextIOWrapper
from time import monotonic
from typing import Final, TextIO, TypeAlias

BACKLOG: Final = 4096
"""Lines that wait to be written, at most: what a busy server logs in a second or so, and
32 MiB if each were as long as a line may be."""

PATIENCE: Final = 1.0
"""Seconds that a line which is written at once waits for somebody to read; those after it do not wait."""

RETRY: Final = 0.1
"""Seconds after which a writer that was started, and has not begun, is started again."""

LOOK: Final = 0.1
"""Seconds between two looks at whether to give up, while nobody reads."""

TELL: Final = 1.0
"""Seconds between two lines that say how many were dropped, while the queue is never empty."""

FOREVER: Final = float("inf")

ATOMIC: Final = select.PIPE_BUF
"""Bytes that a pipe takes as a whole: lines written together stay whole beside those of other processes."""


RLock: TypeAlias = "threading.RLock"

_RLOCK: Final = type(threading.RLock())


class Mark:
    """A place in the queue that somebody waits for the writer to come to.

    :param last: the writer ends there.
    """

    def __init__(self, last: bool) -> None:
        self.last = last
        self._lock = allocate_lock()
        self._lock.acquire()

    def reach(self) -> None:
        """Let go who waits; the writer, once."""
        self._lock.release()

    def wait(self, timeout: float) -> bool:
        """Wait for the writer, so many seconds at most."""
        return self._lock.acquire(timeout=timeout)


Item: TypeAlias = "tuple[TextIO, str] | Mark"


class _Batch:
    """Lines for one stream that are written as one."""

    def __init__(self) -> None:
        self._stream: TextIO | None = None
        self._lines: list[str] = []
        self._size = 0

    def takes(self, stream: TextIO, text: str) -> bool:
        """Whether the text can be written with what is here."""
        return self._stream is None or (
            stream is self._stream and self._size + _bytes(text) <= ATOMIC
        )

    def add(self, stream: TextIO, text: str) -> None:
        """Write the text with what is here."""
        self._stream = stream
        self._lines.append(text)
        self._size += _bytes(text)

    def take(self) -> tuple[TextIO | None, list[str]]:
        """What is here; the batch is empty then."""
        taken = self._stream, self._lines
        self._stream, self._lines, self._size = None, [], 0
        return taken


def _bytes(text: str) -> int:
    return len(text) if text.isascii() else len(text.encode("utf-8", "backslashreplace"))


class Writer:
    """Writes the lines of a process; there is one, :data:`WRITER`.

    ``limit`` is how many lines may wait, ``note`` makes the line that says how many were dropped.
    """

    def __init__(self) -> None:
        self.limit = BACKLOG
        self.note: Callable[[int], str] = lambda count: f"{count} lines of the log were dropped\n"
        self.counts: Counter[str] = Counter()
        """How many lines were ``written``, ``dropped``, ``failed`` to be written, and ``cut``."""
        self.reset()

    def reset(self) -> None:
        """Begin anew, without the thread and without what waits; in the child of a fork they are the
        parent's."""
        self.threaded = False
        """Whether lines are written by a thread."""
        self._users = 0
        self._life = threading.Lock()
        self._queue: queue.SimpleQueue[Item] = queue.SimpleQueue()
        self._resting: list[None] = [None]
        self._started = -FOREVER
        self._drops = itertools.count()
        self._seen_drops = 0
        self._untold = 0
        self._told = -FOREVER
        self._stuck = False
        self._giving_up = False

    # -- for everybody

    def write(self, stream: TextIO | None, text: str) -> None:
        """Write text, or have it written.

        :param stream: where to; None for nowhere.
        :param text: whole lines, or a piece of one.
        """
        if stream is None:
            return
        if not self.threaded:
            self._put_out(stream, text, 1, 0.0 if self._stuck else PATIENCE)
            self._tell_drops(stream, 0.0 if self._stuck else PATIENCE)
            return
        if self._queue.qsize() < self.limit:
            self._queue.put((stream, text))
        else:
            next(self._drops)
        self._wake()

    def start(self) -> None:
        """Have lines written by a thread from now on; once for each server."""
        with self._life:
            self._users += 1
            self.threaded = True

    def stop(self, timeout: float) -> bool:
        """Write what waits; the last of those who called :meth:`start` ends the thread.

        Not for a thread that may be interrupted.

        :param timeout: seconds after which what is not written is dropped.
        :returns: whether everything was written.
        """
        with self._life:
            self._users = max(0, self._users - 1)
            if self._users:
                return self.flush(timeout)
            flushed = self._end(timeout)
            self.threaded = False
            return self._end(timeout if flushed else 0.0) and flushed  # of what came meanwhile

    def flush(self, timeout: float) -> bool:
        """Wait until what was given to :meth:`write` before is written.

        Not for a thread that may be interrupted.

        :param timeout: seconds to wait at most.
        :returns: whether it is.
        """
        return self._idle() or self._mark(False).wait(timeout)

    def close(self) -> None:
        """Write what waits, for a second at most, and start no thread any more; at the interpreter's end."""
        self._end(PATIENCE)
        self.threaded = False

    # -- the thread's life

    def _idle(self) -> bool:
        return bool(self._resting) and self._queue.empty()

    def _mark(self, last: bool) -> Mark:
        mark = Mark(last)
        self._queue.put(mark)
        self._started = -FOREVER
        self._wake()
        return mark

    def _end(self, timeout: float) -> bool:
        """End the thread when it has written everything, or when the time is over."""
        if self._idle():
            return True
        mark = self._mark(True)
        if mark.wait(timeout):
            return True
        self._giving_up = True
        mark.wait(PATIENCE)
        self._giving_up = False
        self._stuck = True
        return False

    def _wake(self) -> None:
        """Start the thread if there is none.

        The new thread claims the token, not who starts it: whatever interrupts the caller, the token is
        there or a thread has it.
        """
        if self._resting and monotonic() - self._started > RETRY:
            try:
                start_new_thread(self._run, ())
            except RuntimeError:  # there are no more threads, or the interpreter ends
                self._run(PATIENCE)
            self._started = monotonic()

    def _run(self, patience: float = FOREVER) -> None:
        """Write what is in the queue.

        :param patience: seconds that a write may wait; the thread, which waits for ever, waits for more
            lines too, until the last mark.
        """
        while not self._queue.empty():
            try:
                self._resting.pop()
            except IndexError:
                return
            last: Mark | None = None
            try:
                last = self._work(patience)
            finally:
                self._resting.append(None)
                self._started = -FOREVER
                if last is not None:
                    last.reach()

    def _work(self, patience: float) -> Mark | None:
        """Write what is in the queue, in batches.

        :returns: the last mark; None when there is nothing more.
        """
        batch = _Batch()
        while True:
            try:
                item = self._queue.get_nowait()
            except queue.Empty:
                self._write_batch(batch, patience)
                if patience < FOREVER:
                    return None
                item = self._queue.get()
            if not isinstance(item, Mark):
                if not batch.takes(*item):
                    self._write_batch(batch, patience)
                batch.add(*item)
                continue
            self._write_batch(batch, patience)
            if item.last:
                return item
            item.reach()

    def _write_batch(self, batch: _Batch, patience: float) -> None:
        stream, lines = batch.take()
        if stream is not None:
            self._put_out(stream, "".join(lines), len(lines), patience)
            self._tell_drops(stream, patience)

    # -- the writing itself

    def _drop(self, lines: int) -> None:
        self.counts["dropped"] += lines
        self._untold += lines

    def _tell_drops(self, stream: TextIO, patience: float) -> None:
        """Say how many lines were dropped since the last time, if a line can be written."""
        seen = next(self._drops)
        if seen > self._seen_drops:
            self._drop(seen - self._seen_drops)
        self._seen_drops = seen + 1
        if self._untold and not self._stuck and not self._giving_up:
            now = monotonic()
            if self._queue.empty() or now - self._told > TELL:
                self._told = now
                untold, self._untold = self._untold, 0
                self._put_out(stream, self.note(untold), 0, patience)

    def _put_out(self, stream: TextIO, text: str, lines: int, patience: float) -> None:
        """Write text to a stream; what cannot be written is counted, and nobody is stopped.

        :param lines: how many lines to count.
        :param patience: seconds to wait for somebody to read, at most.
        """
        try:
            # A stream that is not the interpreter's own may be a program's way to see what is written.
            if type(stream) is TextIOWrapper:
                data = text.encode(stream.encoding, "backslashreplace")
                if not self._send(stream.fileno(), data, patience):
                    self._stuck = True
                    self._drop(lines)
                    return
            else:
                stream.write(text)
                stream.flush()
            self._stuck = False
            self.counts["written"] += lines
        except Exception:
            self.counts["failed"] += lines

    def _send(self, descriptor: int, data: bytes, patience: float) -> bool:
        """Write bytes, waiting for room first.

        Past the stream's own buffer, whose lock a thread that waits would keep to the interpreter's end.

        :returns: False when there was none in time.
        :raises OSError: when nobody can read any more.
        """
        poll = select.poll()
        poll.register(descriptor, select.POLLOUT)
        deadline = monotonic() + patience
        while data:
            if not poll.poll(0 if self._giving_up else min(patience, LOOK) * 1000):
                if self._giving_up or monotonic() >= deadline:
                    return False
                continue
            try:
                data = data[os.write(descriptor, data[:ATOMIC]) :]
            except BlockingIOError:
                time.sleep(LOOK)
                if self._giving_up or monotonic() >= deadline:
                    return False
        return True


WRITER: Final = Writer()
"""The writer of this process."""

os.register_at_fork(after_in_child=WRITER.reset)
atexit.register(WRITER.close)


def release_locks() -> None:
    """Release what the calling thread holds of the locks of :mod:`logging`.

    For a thread whose handler was interrupted: at any bytecode, also between the acquiring of a lock and the
    block that releases it.  These locks are the one place in the standard library that most handlers pass
    through, ``logging.getLogger`` for one, and every thread waits for who has kept one.
    """
    logging = sys.modules.get("logging")
    handlers = [reference() for reference in getattr(logging, "_handlerList", ())]
    for lock in (
        getattr(logging, "_lock", None),
        *(getattr(one, "lock", None) for one in handlers),
    ):
        if isinstance(lock, _RLOCK):
            release_held(lock)


def release_held(lock: RLock) -> None:
    """Release what the calling thread holds of a lock, however often it has acquired it."""
    with contextlib.suppress(RuntimeError):  # it is not ours, or not any more
        while True:
            lock.release()
