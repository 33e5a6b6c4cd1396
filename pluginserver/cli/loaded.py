"""The plugins that a sub-command is about.

Rules kept here:

* what is asked for by name must load; when nothing is named all are meant, and one that does not load is an
  error, since what a command writes would lack it without a word;
* what a plugin prints while it is loaded goes to standard error, and so does what is wrong with the
  installation that it is for.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import click

from .. import logs
from ..compat.standins import both_installed
from ..errors import PluginError
from ..plugins.plugin import Plugin
from ..plugins.registry import Plugins
from .dump import no_plugin


@contextmanager
def loaded(names: Sequence[str], directory: Path) -> Iterator[list[Plugin]]:
    """Load plugins; they are forgotten when the block ends.

    :param names: which, in this order; none for all.
    :param directory: where they are; installed distributions have some, too.
    :raises PluginError: when one of them cannot be loaded, or there is none.
    """
    logs.configure("critical")
    plugins = Plugins(directory=directory)
    try:
        if names:
            wanted = [plugins.get(name) for name in names]
            tell_both_installed(wanted)
            yield wanted
            return
        plugins.load()
        for error in plugins.failures.values():
            raise PluginError(f"{error}; mend it, or name the plugins that are meant")
        found = plugins.all()
        if not found:
            raise no_plugin(plugins, plugins.directory)
        tell_both_installed(found)
        yield found
    finally:
        plugins.close()


def tell_both_installed(plugins: Sequence[Plugin]) -> None:
    """Say it on standard error when plugins are for kong-pdk, and that is installed beside this package."""
    why = both_installed() if any(one.lua_style is not None for one in plugins) else None
    if why is not None:
        click.echo(why, err=True)
