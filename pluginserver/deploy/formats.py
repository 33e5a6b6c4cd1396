"""The four ways to write Kong's settings down.

Rules kept here:

* each is read by Kong as the same names and values: in ``kong.conf`` a ``#`` begins a comment unless there
  is a backslash before it (Kong 3.9, kong/conf_loader/init.lua, ``strip_comments``); in the environment a
  setting is ``KONG_`` and its name in capitals, and its value is taken as it is;
* in YAML every value is in double quotes, as JSON has them.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Final

from .settings import Settings


def _conf(settings: Settings) -> Iterator[str]:
    for name, value in {"plugins": _plugins(settings), **settings.values}.items():
        escaped = value.replace("#", "\\#")
        yield f"{name} = {escaped}"


def _env(settings: Settings) -> Iterator[str]:
    for name, value in _environment(settings).items():
        yield f"{name}={value}"


def _compose(settings: Settings) -> Iterator[str]:
    yield from ("services:", "  kong:", "    environment:")
    for name, value in _environment(settings).items():
        yield f"      {name}: {_text(value)}"


def _helm(settings: Settings) -> Iterator[str]:
    yield "env:"
    for name, value in settings.values.items():
        yield f"  {name}: {_text(value)}"
    yield from ("plugins:", f"  preInstalled: {_text(','.join(settings.plugins))}")


FORMATS: Final[dict[str, Callable[[Settings], Iterator[str]]]] = {
    "conf": _conf,
    "env": _env,
    "compose": _compose,
    "helm": _helm,
}
"""Lines of ``kong.conf``; of a file for ``docker run --env-file``; a service of Docker Compose; values of
Kong's Helm chart, which adds what is ``preInstalled`` to ``bundled``."""


def written(settings: Settings, form: str) -> str:
    """Settings as text.

    :param form: one of :data:`FORMATS`.
    :returns: lines, the remarks as comments first.
    """
    lines = [*(f"# {remark}" for remark in settings.remarks), *FORMATS[form](settings)]
    return "\n".join(lines) + "\n"


def _plugins(settings: Settings) -> str:
    return ",".join(["bundled", *settings.plugins])


def _environment(settings: Settings) -> dict[str, str]:
    values = {"plugins": _plugins(settings), **settings.values}
    return {f"KONG_{name.upper()}": value for name, value in values.items()}


def _text(value: str) -> str:
    """A YAML scalar in double quotes."""
    return json.dumps(value, ensure_ascii=False)
