"""Instances: plugins configured by Kong, each an object with an id that lives across events.

Theory of operation.  An instance serves until it is closed, whatever becomes of the connection that it was
asked for on.  When its plugin is loaded anew it is *retired*: the next event that is asked of it is answered
with "No plugin instance", in the words that make Kong forget it, start a new one and ask again.  Kong knows
no end there: the same words for the same configuration once more, and it asks for ever.  So they are said
once; from then on a retired instance serves again, on its old code, whoever still has its id::

    SERVING --retire--> RETIRED --asked for an event: "No plugin instance"--> SERVING (told)
    any of them --close--> CLOSED --its last event is over--> its object's close() is called

Rules kept here:

* an instance that was told stays, and is not retired again: only a new ``StartInstance`` gets new code;
* a configuration that the new code does not take, and that the old code serves, is started on the old code
  again: a reload takes nobody's plugin away;
* events that run when an instance is closed go on to their end; its object's ``close()`` is called
  afterwards, once, on a thread where it may take its time, and nothing that it raises comes further;
* ids fit 31 bits and are drawn at random, so that one which Kong remembers of an earlier run meets a live
  instance by a rare accident only: with 100 of them in 1 case of 21 million;
* looking up a handler takes no lock: every event does it.
"""

from __future__ import annotations

import secrets
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final, Protocol

from ..compat.proxies import kong_for
from ..errors import ConfigError, InstanceError, RPCError
from ..events.event import Event
from ..events.handler import Handler
from ..events.wrapping import Wrap
from ..events.wrapping import plain as unwrapped
from ..logs import get_logger
from ..pdk import kong
from ..plugins.plugin import Configured
from ..plugins.registry import Plugin
from ..runtime.book import Unbegun
from .clients import UNSEEN, Client
from .instance import Asked, Instance
from .judged import Judged, Placed
from .refused import RefusedStarts
from .shown import shown

MAX_ID: Final = 2**31 - 1
"""The largest id: what a client's signed 32 bits can hold."""

Background = Callable[[str, Callable[[], None]], None]
"""Calls a function on a thread where it may take its time; the text says what it does, for the log."""


class Follower(Protocol):
    """Who is told of every instance that starts or is closed: a server that is about to take over."""

    def started(self, instance: Instance) -> None:
        """Told before Kong is.

        :raises RPCError: when the follower cannot start it.
        """

    def closed(self, instance_id: int) -> None:
        """Told before Kong is."""


class Instances:
    """The instances of one server.

    :param failed: told of every exception that a handler raises.
    :param background: calls plugins' ``close()``.
    :param keep_texts: whether to keep the configurations as they were sent, for a successor.
    :param plain: whether every callback is to travel, whatever the plugins say.
    :param wrap: what stands around each handler.
    """

    def __init__(
        self,
        failed: Callable[[Event, BaseException], None],
        background: Background,
        keep_texts: bool = False,
        plain: bool = False,
        wrap: Wrap = unwrapped,
    ) -> None:
        self._wrap = wrap
        self.follower: Follower | None = None
        self._keep_texts = keep_texts
        self._failed = failed
        self._background = background
        self._lock = threading.Lock()
        self._by_id: dict[int, Instance] = {}
        """Those that serve."""
        self._retired: dict[int, Instance] = {}
        """Those whose next event is answered with "No plugin instance"."""
        self._closed: dict[int, Instance] = {}
        """Those that are closed and have events that run."""
        self.changes = 0
        """How many were started, told, or closed."""
        self._judged = Judged(plain)
        self._refused = RefusedStarts()
        self._last_start: dict[str, int] = {}
        self._last_close: dict[str, int] = {}

    # -- what clients ask for

    def start(self, plugin: Plugin, config: str | bytes, client: Client = UNSEEN) -> Instance:
        """Configure a plugin.

        :param config: a JSON object.
        :param client: the process that asks.
        :raises ConfigError: when the configuration does not fit; nothing is started then.
        :raises RPCError: when the follower cannot start the same.
        """
        instance = self._start(plugin, config, client)
        follower = self.follower
        if follower is not None:
            follower.started(instance)
        return instance

    def start_again(
        self, plugin: Plugin, config: str | bytes, instance_id: int, started: int, client: Client
    ) -> None:
        """Start what another server has started; nothing is done for an id that is there already.

        :param started: when it was started there, in seconds since 1970.
        :param client: the process that asked for it.
        :raises ConfigError: when the configuration does not fit.
        """
        if not self._is_taken(instance_id):
            self._start(plugin, config, client, instance_id, started)

    def _start(
        self,
        plugin: Plugin,
        config: str | bytes,
        client: Client,
        given_id: int | None = None,
        started: int | None = None,
    ) -> Instance:
        asked = Asked.read(config, self._keep_texts)
        code, configured = self._configure(plugin, config, asked)
        methods = configured.handlers()
        with self._lock:
            instance_id = self._new_id() if given_id is None else given_id
            self.changes += 1
            instance = Instance(
                instance_id,
                code,
                configured,
                self._handlers(instance_id, code, methods),
                client,
                asked,
                self.changes,
                started,
            )
            if code is not plugin:
                instance.retired_for = plugin
            self._by_id[instance_id] = instance
            self._last_start[code.name] = instance.started
        get_logger(plugin=code.name, instance=instance_id).debug("an instance was started")
        return instance

    def _configure(
        self, plugin: Plugin, config: str | bytes, asked: Asked
    ) -> tuple[Plugin, Configured]:
        """An object of a plugin, or of its old code when only that takes the configuration.

        :raises ConfigError: when neither does.
        """
        try:
            return plugin, plugin.configure(config)
        except ConfigError as error:
            self._refused.tell(plugin, error)
            old = self._code_that_served(plugin, asked)
            if old is None:
                raise
            configured = _configured(old, config, error)
            get_logger(plugin=plugin.name).error(
                "the plugin that was loaded anew does not take a configuration that its old version serves, "
                f"which goes on with it: {error}"
            )
            return old, configured

    def _handlers(
        self, instance_id: int, code: Plugin, methods: Mapping[str, Callable[..., object]]
    ) -> dict[str, Handler]:
        """The handlers of a new instance by phase; under the lock."""
        handlers = {}
        for phase, method in methods.items():
            placement, habits = self._judged.of(code, phase)
            handlers[phase] = Handler(
                code.name,
                instance_id,
                phase,
                self._wrap(code.name, phase, method),
                self._failed,
                fail_open=code.on_error == "continue",
                request_timeout=code.request_timeout,
                placement=placement,
                argument=kong if code.lua_style is None else kong_for(code.lua_style),
                habits=habits,
                unbegun=self._judged.unbegun.setdefault((code.name, phase), Unbegun()),
            )
        return handlers

    def placements(self) -> list[Placed]:
        """Where the phases of the plugins that have had an instance run, and why."""
        with self._lock:
            return self._judged.placements()

    def unbegun(self) -> dict[tuple[str, str], int]:
        """How many events of each phase of each plugin were refused before they began."""
        return {label: one.count for label, one in list(self._judged.unbegun.items())}

    def get(self, instance_id: int) -> Instance:
        """The instance with that id.

        :raises RPCError: when there is none, in the words that make Kong start a new one.
        """
        instance = self._by_id.get(instance_id) or self._retired.get(instance_id)
        if instance is None:
            raise none(instance_id)
        return instance

    def find(self, instance_id: int, phase: str) -> Handler | None:
        """The handler of one phase of one instance; None when there is none."""
        instance = self._by_id.get(instance_id)
        return None if instance is None else instance.handlers.get(phase)

    def handler(self, instance_id: int, phase: str) -> Handler:
        """The handler of one phase of one instance.

        :raises RPCError: when there is no such instance, or it has no such handler; and once for an
            instance that is retired.
        :raises TypeError: for an argument that cannot be a key.
        """
        if (handler := self.find(instance_id, phase)) is not None:
            return handler
        if (instance := self._by_id.get(instance_id)) is None:
            self._tell(instance_id)
            raise none(instance_id)
        raise RPCError(f"undefined method {phase} on plugin {instance.plugin}")

    def close(self, instance_id: int) -> Instance:
        """Take an instance out; what runs goes on.

        :returns: the instance as it was.
        :raises RPCError: when there is none.
        """
        with self._lock:
            instance = self._take(instance_id)
            if instance is None:
                raise none(instance_id)
            self._last_close[instance.plugin] = int(time.time())
        follower = self.follower
        if follower is not None:
            follower.closed(instance_id)
        self.tidy()
        return instance

    def counts(self) -> dict[str, int]:
        """How many instances each plugin has."""
        return dict(Counter(one.plugin for one in list(self._by_id.values())))

    def of_plugin(self, name: str) -> dict[str, Any]:
        """The part of ``GetStatus`` that tells of one plugin's instances; times are seconds, 0 for
        never."""
        return {
            "Instances": [one.status() for one in self.all() if one.plugin == name],
            "LastStartInstance": self._last_start.get(name, 0),
            "LastCloseInstance": self._last_close.get(name, 0),
        }

    # -- what the server does with them

    def all(self) -> list[Instance]:
        """Those that are not closed."""
        with self._lock:
            return [*self._by_id.values(), *self._retired.values()]

    def retire(self, plugins: Iterable[Plugin]) -> int:
        """Have Kong replace the instances of plugins that were loaded anew.

        :param plugins: the plugins that are loaded now; instances of others stay.
        :returns: how many were retired.
        """
        loaded = {plugin.name: plugin for plugin in plugins}
        with self._lock:
            found = [
                one
                for one in self._by_id.values()
                if (now := loaded.get(one.plugin, one.code)) is not one.code
                and one.retired_for is not now
                and not one.told
            ]
            for instance in found:
                instance.retired_for = loaded[instance.plugin]
                self._retired[instance.id] = instance
                del self._by_id[instance.id]
            used = {*loaded.values(), *(one.code for one in (*self._by_id.values(), *found))}
            self._judged.forget(lambda code: code not in used and code.name in loaded)
        return len(found)

    def discard(self, instance: Instance) -> bool:
        """Close an instance that nobody needs, unless an event of its runs, or a successor takes over.

        :returns: whether it was closed.
        """
        with self._lock:
            if self.follower is not None or instance.busy or self._take(instance.id) is None:
                return False
        self.tidy()
        return True

    def close_all(self) -> None:
        """Close every instance, since the server stops; who asks for an event of one still finds it."""
        for instance in self.all():
            with self._lock:
                instance.shut()
                self._closed[instance.id] = instance
        self.tidy()

    def tidy(self) -> bool:
        """Have ``close()`` called of the objects whose instances are closed and whose events are over.

        :returns: whether there are others, whose events still run.
        """
        for instance in list(self._closed.values()):
            if not instance.busy and self._closed.pop(instance.id, None) is not None:
                log = get_logger(plugin=instance.plugin, instance=instance.id)
                log.debug("an instance was closed")
                what = f"close() of the plugin {instance.plugin}"
                if instance.configured.closes:
                    self._background(what, instance.finish)
        return bool(self._closed)

    # -- under the lock

    def _take(self, instance_id: int) -> Instance | None:
        """Take an instance out of those that are not closed; None when it is not there."""
        instance = self._by_id.pop(instance_id, None) or self._retired.pop(instance_id, None)
        if instance is not None:
            self.changes += 1
            instance.shut()
            self._closed[instance_id] = instance
        return instance

    def _new_id(self) -> int:
        while True:
            number = secrets.randbelow(MAX_ID) + 1
            if not self._is_taken(number):
                return number

    def _is_taken(self, number: int) -> bool:
        return any(number in table for table in (self._by_id, self._retired, self._closed))

    # -- retired ones

    def _tell(self, instance_id: int) -> None:
        """Note that a client is told that there is no such instance, if it is there and retired."""
        with self._lock:
            instance = self._retired.pop(instance_id, None)
            if instance is not None:
                instance.told = True
                self.changes += 1
                self._by_id[instance_id] = instance

    def _code_that_served(self, plugin: Plugin, asked: Asked) -> Plugin | None:
        """The old code of a plugin that serves this very configuration; None when there is none."""
        for instance in reversed(self.all()):
            same = instance.plugin == plugin.name and instance.asked.digest == asked.digest
            if same and instance.code is not plugin:
                return instance.code
        return None


def _configured(plugin: Plugin, config: str | bytes, refused: ConfigError) -> Configured:
    """An object of the old code; raises what the new code said when the old one refuses it too."""
    try:
        return plugin.configure(config)
    except ConfigError:
        raise refused from None


def none(instance_id: object) -> InstanceError:
    """The error for an id that there is no instance of, in the words that Kong looks for."""
    return InstanceError(f"No plugin instance {shown(instance_id, 40)}")
