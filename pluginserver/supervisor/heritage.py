"""What a member is started with: a few descriptors, and what belongs to them, in one environment variable.

Rules kept here:

* the variable is for the process that the supervisor started, not for the children of that: it is taken
  out of the environment.
"""

from __future__ import annotations

import json
import os
from collections.abc import MutableMapping
from pathlib import Path
from typing import Any, Final

import attrs

from ..errors import PluginServerError

VARIABLE: Final = "PLUGINSERVER_MEMBER"


@attrs.frozen(kw_only=True)
class Heritage:
    """What the supervisor gives to a member.

    :param supervisor: its process id.
    :param place: the number of the member's place.
    :param link: the descriptor over which the two talk.
    :param clients: the descriptor over which clients come.
    :param path: where the supervisor listens.
    :param bound: device and inode of its socket file; None when there is none that is to be removed.
    :param predecessor: a descriptor that leads to the process whose instances and connections the member
        gets; None for none.
    """

    supervisor: int
    place: int
    link: int
    clients: int
    path: Path
    bound: tuple[int, int] | None
    predecessor: int | None

    def variable(self) -> dict[str, str]:
        """The environment variable that says all this."""
        fields: dict[str, Any] = {**attrs.asdict(self), "path": os.fspath(self.path)}
        return {VARIABLE: json.dumps(fields)}

    @classmethod
    def taken_from(cls, environment: MutableMapping[str, str]) -> Heritage | None:
        """Take the variable out of the environment; None when this process is not a member.

        :raises PluginServerError: when the supervisor is gone already: nobody would hand it clients.
        """
        text = environment.pop(VARIABLE, "")
        if not text:
            return None
        fields = json.loads(text)
        bound = fields["bound"] and tuple(fields["bound"])
        heritage = cls(**{**fields, "path": Path(fields["path"]), "bound": bound})
        if heritage.supervisor != os.getppid():
            raise PluginServerError("the supervisor that started this process is gone")
        return heritage
