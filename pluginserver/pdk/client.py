"""``kong.client``: who sends the request, and as whom."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, overload

from ..events.callbacks import callback
from ..spec.entities import Consumer, Credential
from ..spec.formats import UUID
from .namespace import Namespace
from .results import as_list, as_map, fresh, whole
from .tls import TLS
from .values import check_flag, check_text, to_lua, to_lua_map


class Client(Namespace):
    """Functions about the client of the current request."""

    __slots__ = ()

    NAME = "kong.client"

    tls: Final = TLS()

    def get_ip(self) -> str:
        """The address that is connected to Kong: the client's, or that of a load balancer before Kong.

        Phases: certificate, rewrite, access, response.
        """
        return callback("kong.client.get_ip")

    def get_forwarded_ip(self) -> str:
        """The address of the client as trusted load balancers report it.

        Which of them Kong trusts is up to its ``trusted_ips``, ``real_ip_header`` and
        ``real_ip_recursive``.

        Phases: certificate, rewrite, access, response.
        """
        return callback("kong.client.get_forwarded_ip")

    def get_port(self) -> int:
        """The port of the address that :meth:`get_ip` gives.

        Phases: certificate, rewrite, access, response.
        """
        return whole(callback("kong.client.get_port"))

    def get_forwarded_port(self) -> int:
        """The port of the client as trusted load balancers report it.

        Phases: certificate, rewrite, access, response.
        """
        return whole(callback("kong.client.get_forwarded_port"))

    def get_credential(self) -> Credential | None:
        """The credential that authenticated the request.

        :returns: None when the request is not authenticated by a credential.

        Phases: access, response, log.
        """
        return Credential.from_kong(fresh(callback("kong.client.get_credential")))

    def load_consumer(self, consumer_id: str, search_by_username: bool = False) -> Consumer | None:
        """Look a consumer up in Kong's database.

        :param consumer_id: the consumer's UUID, or its name with ``search_by_username``.
        :param search_by_username: look for a consumer of that name when none has that id.
        :returns: None when there is no such consumer.
        :raises ValueError: for an id that is not a UUID, which Kong takes only with
            ``search_by_username``.

        Phases: access, response, log.
        """
        consumer_id = check_text(consumer_id, "consumer_id")
        if check_flag(search_by_username, "search_by_username"):
            answer = callback("kong.client.load_consumer", consumer_id, True)
        elif UUID.fullmatch(consumer_id):
            answer = callback("kong.client.load_consumer", consumer_id)
        else:
            raise ValueError(
                f"consumer_id must be a UUID, not {consumer_id!r}: "
                "to find a consumer by name give search_by_username=True"
            )
        return Consumer.from_kong(answer)

    def get_consumer(self) -> Consumer | None:
        """The consumer that was authenticated.

        :returns: None when there is none: the request is not authenticated, or by a credential alone.

        Phases: access, response, log.
        """
        return Consumer.from_kong(fresh(callback("kong.client.get_consumer")))

    @overload
    def authenticate(
        self,
        consumer: Consumer | Mapping[str, Any],
        credential: Credential | Mapping[str, Any] | None = None,
    ) -> None: ...

    @overload
    def authenticate(self, consumer: None, credential: Credential | Mapping[str, Any]) -> None: ...

    def authenticate(
        self,
        consumer: Consumer | Mapping[str, Any] | None,
        credential: Credential | Mapping[str, Any] | None = None,
    ) -> None:
        """Say who the request comes from; replaces what was said before.

        :param consumer: a consumer, as :meth:`load_consumer` returns it; None for a request that
            is authenticated by a credential alone.
        :param credential: what the consumer was authenticated with.
        :raises ValueError: when both are None, which Kong would refuse.

        Phases: access.
        """
        who = None if consumer is None else to_lua_map(consumer, "consumer")
        if credential is not None:
            callback("kong.client.authenticate", who, to_lua_map(credential, "credential"))
        elif who is not None:
            callback("kong.client.authenticate", who)
        else:
            raise ValueError("consumer and credential are None: give one of them, or both")

    def get_protocol(self, allow_terminated: bool = False) -> str | None:
        """The protocol of the route that matched: ``"http"``, ``"https"``, ``"grpc"``, ``"tcp"`` …

        :param allow_terminated: believe ``X-Forwarded-Proto`` of a trusted load balancer.
        :returns: None when no route matched.

        Phases: access, response, preread.
        """
        if check_flag(allow_terminated, "allow_terminated"):
            return callback("kong.client.get_protocol", True)
        return callback("kong.client.get_protocol")

    def get_consumer_group(self) -> dict[str, Any] | None:
        """The consumer group of the request; Kong recommends :meth:`get_consumer_groups`.

        :returns: None when there is none.

        Kong Enterprise only.

        Phases: access, response, log.
        """
        answer = callback("kong.client.get_consumer_group")
        return None if answer is None else as_map(answer)

    def get_consumer_groups(self) -> list[dict[str, Any]] | None:
        """The consumer groups of the request.

        :returns: maps with ``id`` and ``name`` among others; None when there are none.

        Kong Enterprise only.

        Phases: access, response, log.
        """
        answer = callback("kong.client.get_consumer_groups")
        return None if answer is None else as_list(answer)

    def set_authenticated_consumer_group(self, group: Mapping[str, Any] | None = None) -> None:
        """Set the consumer group; Kong recommends :meth:`set_authenticated_consumer_groups`.

        :param group: a map with ``id`` and ``name``; default: no group.

        Kong Enterprise only.

        Phases: access, response, log.
        """
        if group is None:
            callback("kong.client.set_authenticated_consumer_group")
        else:
            callback("kong.client.set_authenticated_consumer_group", to_lua_map(group, "group"))

    def set_authenticated_consumer_groups(
        self, groups: Sequence[Mapping[str, Any]] | None = None
    ) -> None:
        """Set the consumer groups of the request.

        :param groups: maps with ``id`` and ``name``; default: no groups.

        Kong Enterprise only.

        Phases: access, response, log.
        """
        if groups is None:
            callback("kong.client.set_authenticated_consumer_groups")
        else:
            callback("kong.client.set_authenticated_consumer_groups", to_lua(groups, "groups"))

    def authenticate_consumer_group_by_consumer_id(self, consumer_id: str | None = None) -> None:
        """Set the consumer groups to those of a consumer, unless there are some already.

        :param consumer_id: the consumer's UUID; None changes nothing.

        Kong Enterprise only.

        Phases: access.
        """
        if consumer_id is None:
            callback("kong.client.authenticate_consumer_group_by_consumer_id")
        else:
            callback(
                "kong.client.authenticate_consumer_group_by_consumer_id",
                check_text(consumer_id, "consumer_id"),
            )
