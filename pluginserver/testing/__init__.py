"""A Kong to test plugins against.

The first test of a plugin needs nothing but pytest and the fixture ``kong``::

    def test_greets(kong):
        kong.plugin("examples/hello.py", message="hi")
        response = kong.get("/", headers={"host": "example.com"})
        assert response.headers["x-hello"] == "hi to example.com"

``kong`` is a :class:`Gateway`; without pytest it is made by hand, and closed by ``with``.

The names are those of :mod:`.api`, which is loaded when the first of them is asked for: pytest imports
this package in every session, also where no test needs it.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .api import *  # noqa: F403


def __getattr__(name: str) -> object:
    if name == "__all__" or not name.startswith("_"):
        public = {
            key: value
            for key, value in vars(import_module(".api", __name__)).items()
            if not key.startswith("_")
        }
        if name == "__all__":
            return sorted(public)
        if name in public:
            return public[name]
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
