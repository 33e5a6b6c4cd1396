"""The old place of what is in :mod:`pluginserver.spec.entities` now."""

from .spec.entities import (
    Consumer,
    Credential,
    Entity,
    MemoryStats,
    Route,
    Service,
    SharedDict,
    Stored,
    WorkerVM,
)

__all__ = [
    "Consumer",
    "Credential",
    "Entity",
    "MemoryStats",
    "Route",
    "Service",
    "SharedDict",
    "Stored",
    "WorkerVM",
]
