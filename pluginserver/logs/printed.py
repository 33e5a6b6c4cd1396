"""What a process prints, in order with its log and without waiting for whoever reads it.

Rules kept here:

* a line appears when it is printed, after the records that were written before it and before those that
  come later;
* a text is taken in pieces that are no longer than a line of the log may be, since the writer counts
  pieces;
* no lock is taken: what is not a whole line yet is kept for each thread.
"""

from __future__ import annotations

import io
import threading
from typing import IO, Any, TextIO

from .render import MAX_LINE
from .writer import WRITER


class Printed(io.TextIOBase):
    """Takes the place of ``sys.stdout`` or ``sys.stderr``.

    :param stream: what is there now, which it writes to.
    """

    def __init__(self, stream: TextIO) -> None:
        super().__init__()
        self.stream = stream
        self._parts = threading.local()

    def write(self, text: str) -> int:
        """Write text: at once what ends with a line break, the rest when its line is whole or flushed."""
        if not isinstance(text, str):
            raise TypeError(f"write() argument must be str, not {type(text).__name__}")
        whole, line_break, rest = (getattr(self._parts, "text", "") + text).rpartition("\n")
        if len(rest) > MAX_LINE:
            whole, line_break, rest = whole + line_break + rest, "", ""
        self._parts.text = rest
        self._put(whole + line_break)
        return len(text)

    def flush(self) -> None:
        """Have the calling thread's part of a line written too."""
        rest, self._parts.text = getattr(self._parts, "text", ""), ""
        self._put(rest)

    def _put(self, text: str) -> None:
        for start in range(0, len(text), MAX_LINE):
            WRITER.write(self.stream, text[start : start + MAX_LINE])

    # -- what it is asked beside

    @property
    def encoding(self) -> str:  # type: ignore[override]
        """That of the stream below."""
        return self.stream.encoding

    @property
    def errors(self) -> str | None:  # type: ignore[override]
        """What the writer does with what the encoding cannot take."""
        return "backslashreplace"

    @property
    def buffer(self) -> IO[bytes]:
        """The bytes below; what is written there comes out of order."""
        return self.stream.buffer

    def fileno(self) -> int:
        """That of the stream below."""
        return self.stream.fileno()

    def isatty(self) -> bool:
        """Whether the stream below is a terminal."""
        return self.stream.isatty()

    def writable(self) -> bool:
        """It is."""
        return True


def stream_of(stream: Any) -> Any:
    """What a line to a stream is written to in the end."""
    return stream.stream if isinstance(stream, Printed) else stream
