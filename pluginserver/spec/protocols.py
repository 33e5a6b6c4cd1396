"""The protocols between Kong and a plugin server, by the names under which one is chosen.

Rules kept here:

* these are our names; what Kong calls them is in :data:`ON_THE_WIRE`.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

MSGPACK: Final = "msgpack"
PROTOBUF: Final = "protobuf"

ON_THE_WIRE: Final[Mapping[str, str]] = MappingProxyType(
    {MSGPACK: "MsgPack:1", PROTOBUF: "ProtoBuf:1"}
)
"""Kong's word for each protocol, in what its query command reads."""
