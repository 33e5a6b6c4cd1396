"""``kong.cluster``: the cluster that this Kong belongs to."""

from __future__ import annotations

from ..events.callbacks import callback
from .namespace import Namespace


class Cluster(Namespace):
    """Functions about Kong's cluster."""

    __slots__ = ()

    NAME = "kong.cluster"

    def get_id(self) -> str | None:
        """The cluster's id.

        :returns: a UUID; None when Kong does not know it.

        Phases: all.
        """
        return callback("kong.cluster.get_id")
