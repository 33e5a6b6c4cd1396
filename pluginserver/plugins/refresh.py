"""Following the plugins' files while a server runs: what changed is loaded, and told in the log.

Rules kept here:

* what is told is in use: the next event meets it;
* a plugin that cannot be loaded costs a line that says why; what was loaded before stays;
* Kong reads a schema when it starts, so that a changed one is told: until Kong is started again it checks
  configurations by the old one.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable

from ..logs import get_logger
from .registry import Change, Plugin, Plugins


def follow_files(
    plugins: Plugins,
    changed: Iterable[str | os.PathLike[str]] = (),
    use: Callable[[list[Plugin]], object] = lambda loaded: None,
) -> list[Change]:
    """Load what has changed, put it to use, and log it.

    :param plugins: the registry; plugins that it was given as modules or classes are not loaded again.
    :param changed: files that changed, besides those whose time stamp tells it.
    :param use: gets all plugins, and puts them to use, before anything is told.
    :returns: what happened, in order.
    """
    before = {plugin.name: plugin for plugin in plugins.all()}
    changes = plugins.refresh(changed)
    after = {plugin.name: plugin for plugin in plugins.all()}
    use([*after.values()])
    for change in changes:
        _tell(change, before.get(change.name), after.get(change.name))
    if not changes:
        get_logger().info("reloaded: no plugin's file has changed")
    return changes


def _tell(change: Change, before: Plugin | None, after: Plugin | None) -> None:
    log = get_logger(plugin=change.name)
    if change.kind == "broken":
        stays = f"; version {after.version}, loaded before, stays" if after is not None else ""
        log.error(f"{change.error}{stays}")
        log.debug("the traceback of the plugin that failed to load", exc_info=change.error)
    elif change.kind == "gone":
        if after is None:
            log.warning(
                f"{change.path} does not hold the plugin any more: no instance can be started"
            )
    elif after is not None:
        log.info(f"{change.kind} from {change.path}", version=after.version)
        if before is not None and before.describe()["Schema"] != after.schema:
            log.warning("the schema has changed, and Kong reads it when it starts: restart Kong")
