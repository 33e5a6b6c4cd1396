"""Lines of the log about what clients can cause as often as they like: each once a minute, with a count.

25,000 bad frames are one line, and a minute later another one.
"""

from __future__ import annotations

from typing import Final

from .. import logs


class Notices:
    """The log of what happens to connections and tasks.

    :param log: where the lines go.
    :param repeats: what is told when.
    """

    def __init__(self, log: logs.Logger, repeats: logs.Repeats | None = None) -> None:
        self._log: Final = log
        self._repeats: Final = repeats or logs.Repeats()

    def tell(self, what: str, detail: str = "") -> None:
        """Note that something happened; the first time in a minute it is logged.

        :param what: what happened, in words that are always the same.
        :param detail: what is different each time.
        """
        repeats = self._repeats.note(what)
        if repeats is not None:
            self._log.warning(f"{what}: {detail}" if detail else what, repeats=repeats)

    def flush(self, everything: bool = False) -> float | None:
        """Log how often something happened in silence whose minute is over and that happens no more.

        :param everything: do not wait for the minute; for the end of the server.
        :returns: in how many seconds to call again; None when nothing is remembered.
        """
        for what, count in self._repeats.collect(everything):
            self._log.warning(f"{what}, again", repeats=count)
        return self._repeats.interval if self._repeats else None
