"""Hides an installed kong-pdk: from a process that has this directory on its path, or by :func:`hide`."""

from __future__ import annotations

import sys
from importlib.machinery import PathFinder
from typing import Any


class WithoutKongPdk:
    """Finds what is on the path, except for ``kong_pdk``."""

    find_distributions = PathFinder.find_distributions
    invalidate_caches = PathFinder.invalidate_caches

    @staticmethod
    def find_spec(name: str, path: Any = None, target: Any = None) -> Any:
        if name.partition(".")[0] == "kong_pdk":
            return None
        return PathFinder.find_spec(name, path, target)


def hidden() -> list[Any]:
    """The finders of this process, of which none finds kong-pdk."""
    return [WithoutKongPdk if one is PathFinder else one for one in sys.meta_path]


if __name__ == "sitecustomize":
    sys.meta_path[:] = hidden()
