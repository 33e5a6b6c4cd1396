"""ProtoBuf:1, Kong's second protocol: an event with all its callbacks on one connection."""
