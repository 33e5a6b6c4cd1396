"""``kong.cluster``: the cluster that this Kong belongs to."""

from __future__ import annotations

from ..events.callbacks import callback


class Cluster:
    """Functions about Kong's cluster."""

    __slots__ = ()

    def get_id(self) -> str | None:
        """The cluster's id.

        :returns: a UUID; None when Kong does not know it.

        Phases: all.
        """
        return callback("kong.cluster.get_id")
