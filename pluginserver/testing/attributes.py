"""What a gateway shows of its node: attributes that a test reads and sets."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any, Generic, TypeVar, overload

from .kong.faults import Faults
from .kong.node import Node, Observer
from .kong.quirks import Quirks
from .kong.router import Binding, Entity
from .kong.upstream import FakeUpstream, Upstream
from .record.exchange import Exchange, LogLine

T = TypeVar("T")


class _OfNode(Generic[T]):
    """An attribute of a gateway that its node holds."""

    def __set_name__(self, _owner: type, name: str) -> None:
        self._name = name

    @overload
    def __get__(self, gateway: None, owner: type) -> _OfNode[T]: ...

    @overload
    def __get__(self, gateway: NodeAttributes, owner: type) -> T: ...

    def __get__(self, gateway: NodeAttributes | None, owner: type) -> _OfNode[T] | T:
        if gateway is None:
            return self
        value: T = getattr(gateway.node, self._name)
        return value

    def __set__(self, gateway: NodeAttributes, value: T) -> None:
        setattr(gateway.node, self._name, value)


class _UpstreamOfNode:
    """The upstream, which remembers its requests; what is assigned is how it answers from then on."""

    @overload
    def __get__(self, gateway: None, owner: type) -> _UpstreamOfNode: ...

    @overload
    def __get__(self, gateway: NodeAttributes, owner: type) -> FakeUpstream: ...

    def __get__(
        self, gateway: NodeAttributes | None, owner: type
    ) -> _UpstreamOfNode | FakeUpstream:
        return self if gateway is None else gateway.node.upstream

    def __set__(self, gateway: NodeAttributes, answer: Upstream) -> None:
        gateway.node.upstream.answer = answer


class NodeAttributes:
    """A gateway's attributes that its node holds.

    :param node: the node.
    """

    quirks = _OfNode[Quirks]()
    faults = _OfNode[Faults]()
    observers = _OfNode[list[Observer]]()
    """Called with everything that happens, in the thread of its request."""
    exchanges = _OfNode[deque[Exchange]]()
    """The last exchanges, the latest at the end."""
    all_logs = _OfNode[deque[LogLine]]()
    """Kong's log: the lines of all requests."""
    requests = _OfNode[int]()
    """How many requests there were."""

    bindings = _OfNode[list[Binding]]()
    routes = _OfNode[list[Entity]]()
    services_by_id = _OfNode[dict[str, Entity]]()
    consumers = _OfNode[dict[str, Entity]]()
    """The consumers by id."""
    upstream = _UpstreamOfNode()
    """What stands behind every service that has no upstream of its own: assign how it answers, look at its
    ``requests``."""
    upstreams = _OfNode[dict[str, Upstream]]()
    """Upstream entities by name, for ``kong.service.set_upstream``."""
    functions = _OfNode[dict[str, Callable[..., Any]]]()
    """PDK functions of your own by full name, called with the arguments; they come before Kong's."""
    vars = _OfNode[dict[str, Any]]()
    """nginx variables, for ``kong.nginx.get_var``; they come before Kong's own."""
    ctx = _OfNode[dict[Any, Any]]()
    """What ``kong.nginx.get_ctx`` finds at the beginning of each request."""
    shared = _OfNode[dict[Any, Any]]()
    """What ``kong.ctx.shared`` holds at the beginning of each request."""
    secrets = _OfNode[dict[str, str]]()
    """Secrets, as ``{"env/my-secret": "value"}`` for ``{vault://env/my-secret}``; for what is not
    among them the vault ``env`` reads the environment, here ``MY_SECRET``."""
    trusted_ips = _OfNode[list[str]]()
    """Addresses and networks whose ``X-Forwarded-*`` headers are believed."""
    workspace_id = _OfNode[str]()
    node_id = _OfNode[str]()
    cluster_id = _OfNode[str]()
    hostname = _OfNode[str]()
    worker_pid = _OfNode[int]()

    def __init__(self, node: Node) -> None:
        self.node = node
