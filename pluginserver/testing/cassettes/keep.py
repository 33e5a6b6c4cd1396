"""Stores the requests of a simulated Kong, in the form in which those of a real one are recorded.

Rules kept here:

* a request is one file, with a conversation for each phase of each plugin;
* nothing is stored before its secrets are taken out.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

from ..kong.configuration import config_record
from ..kong.node import Node
from ..kong.router import Binding
from ..record.exchange import Exchange, Run
from .cassette import Call, Conversation, Folder, ending, own
from .mask import HEADERS, mask

_UNSAFE: Final = re.compile(r"[^A-Za-z]")


class Keeper:
    """Stores each request of a node as ``NUMBER-METHOD.json``.

    :param node: whose requests; :meth:`observe` is to be one of its observers.
    :param into: the directory, which must exist.
    :param failed: told of a request that cannot be stored.
    :param headers: names of headers whose values are not stored.
    """

    def __init__(
        self,
        node: Node,
        into: Path,
        failed: Callable[[BaseException], None],
        headers: Sequence[str] = HEADERS,
    ) -> None:
        self._node = node
        self._folder = Folder(into)
        self._failed = failed
        self._headers = headers

    def observe(self, kind: str, exchange: Exchange, _thing: Any) -> None:
        """Store a request that is over, if a plugin ran."""
        if kind != "end" or not exchange.runs:
            return
        said = [self._conversation(run) for run in exchange.runs]
        try:
            self._folder.store(_UNSAFE.sub("_", exchange.request.method), said)
        except OSError as error:
            self._failed(error)

    def _conversation(self, run: Run) -> Conversation:
        bound = next((one for one in self._node.bindings if one.name == run.plugin), None)
        said = Conversation(
            run.plugin,
            run.phase,
            _config(bound),
            [Call(one.method, list(one.args), one.answer) for one in run.callbacks],
            ending(run.ended),
            run.error,
            run.protocol,
        )
        return mask(said, config_record(bound.info.schema) if bound else None, self._headers)


def _config(binding: Binding | None) -> dict[str, Any]:
    """A configuration as the plugin got it, secrets and all: so that they are known when they are masked."""
    return {} if binding is None else own(binding.with_secrets())
