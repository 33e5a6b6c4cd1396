"""The status of the whole: what each member tells, and the sums.

Rules kept here:

* a member that hangs or ends meanwhile is named, and holds up nobody.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from .. import logs

SUMS: Final = ("instances", "connections", "running", "suspended", "threads", "counts")
"""What can be added up."""

_log: Final = logs.get_logger()


class Survey:
    """One question to all members.

    :param asked: the process ids of those that are asked, by their place.
    """

    patience: Final = 2.0
    """Seconds to wait for the answers."""

    def __init__(self, asked: Mapping[int, int]) -> None:
        self._asked = dict(asked)
        self._answers: dict[int, dict[str, Any]] = {}
        self._gone: set[int] = set()

    def answered(self, place: int, answer: dict[str, Any]) -> None:
        """Take an answer."""
        self._answers[place] = answer

    def gone(self, place: int) -> None:
        """Do not wait for a member that has ended."""
        self._gone.add(place)

    @property
    def complete(self) -> bool:
        """Whether there is nobody to wait for."""
        return self._asked.keys() <= self._answers.keys() | self._gone

    def write(
        self, places: Iterable[int], peers: Mapping[int, int], members: Mapping[str, int]
    ) -> None:
        """Write a line for each place and one for the whole to the log.

        :param places: the numbers of all places.
        :param peers: how many processes of clients each place serves.
        :param members: counts of what happened to the members.
        """
        for place in places:
            about = {"process": self._asked.get(place), "peers": peers[place]}
            answer = self._answers.get(place)
            if answer is not None:
                _log.info(f"status of process {place}", **about, **answer)
            elif place in self._asked and place not in self._gone:
                _log.warning(f"status of process {place}: it does not answer", **about)
            else:
                _log.warning(f"status of process {place}: it does not serve now", **about)
        answers = list(self._answers.values())
        plugins = sorted({name for answer in answers for name in answer.get("plugins", ())})
        sums = {name: _sum([answer.get(name, 0) for answer in answers]) for name in SUMS}
        _log.info(
            "status",
            plugins=plugins,
            processes={str(place): pid for place, pid in self._asked.items()},
            peers=sum(peers.values()),
            **sums,
            members=dict(members),
        )


def _sum(values: list[Any]) -> Any:
    """Numbers added up; mappings by their keys."""
    mappings = [value for value in values if isinstance(value, dict)]
    if not mappings:
        return sum(value for value in values if isinstance(value, (int, float)))
    keys = {key: None for mapping in mappings for key in mapping}
    return {key: _sum([mapping.get(key, 0) for mapping in mappings]) for key in keys}
