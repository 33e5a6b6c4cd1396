"""A server as a process of its own: how it begins, what it does at signals, and when and how it ends.

Rules kept here:

* SIGTERM and SIGINT let running events finish; a second one ends the process at once;
* SIGHUP loads changed plugins again, SIGUSR1 writes the stacks to the log, SIGUSR2 the status;
* the process ends in a bounded time after it was told to, whatever plugins do: a plugin that hangs
  while it is loaded, or when it should stop, cannot keep it;
* a server that cannot go on ends with a line and exit code 1: Kong starts another one;
* a line that a handler prints appears when it is printed, in order with the log, and nobody waits for
  whoever reads it.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import signal
from collections.abc import Callable
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Final

import attrs

from .. import logs
from ..errors import PluginServerError
from ..events.about import running
from ..runtime.frozen import Watcher, tell_reports
from ..runtime.options import Options
from ..runtime.systemd import Systemd
from ..server import PluginServer
from ..telemetry.address import Address
from ..version import needs
from .allocator import give_back_large_blocks
from .exit import end_within, leave_at_once
from .signals import Signals

STOP_TIME: Final = 10.0
"""Seconds that a stop may take beyond the times that a successor and the running events get."""

_log: Final = logs.get_logger()


@attrs.frozen(kw_only=True)
class Settings:
    """What only a process of its own has.

    :param frozen_timeout: seconds without a sign of life after which the process is killed; 0 for never.
    :param crash_directory: where the stacks are written then; None for the socket's directory.
    :param metrics: where metrics are served; None for nowhere.
    """

    frozen_timeout: float
    crash_directory: str | None
    metrics: Address | None = None

    @classmethod
    def of(cls, options: argparse.Namespace, place: int | None) -> Settings:
        """What a command line says.

        :param place: which one of several processes it is for, of which the first serves the metrics; None
            for one that is alone.
        :raises PluginServerError: when what it asks for is not installed.
        """
        metrics = options.metrics if place in (None, 1) else None
        if metrics is not None and find_spec("prometheus_client") is None:
            raise PluginServerError(needs("-metrics", "prometheus_client", "metrics"))
        return cls(
            frozen_timeout=options.frozen_timeout,
            crash_directory=options.crash_directory,
            metrics=metrics,
        )


def serve(
    server: PluginServer,
    settings: Settings,
    begun: Callable[[], object] = lambda: None,
    started: Callable[[], object] = lambda: None,
) -> None:
    """Run a server until a signal, the end of the parent process, or a failure stops it.

    To be called on the main thread, before there is another one.

    :param begun: called when there may be threads.
    :param started: called when clients are served.
    :raises ListenError: when the socket cannot be had.
    :raises PluginError: when the plugins directory does not exist.
    """
    give_back_large_blocks(os.environ)
    systemd = Systemd(os.environ)
    if systemd.descriptor is not None:
        server.inherit(systemd.descriptor)
    directory = Path(settings.crash_directory or server.socket_path.parent)
    tell_reports(directory, server.socket_path.name)
    watcher = _watch(settings, directory, server.socket_path.name)
    logs.adopt(running, partial(_is_plugins, server))
    logs.adopt_output()
    signals = _signals(server, systemd)
    if watcher is not None:
        watcher.start()
    begun()
    if settings.metrics is not None:
        server.succession.listeners.wanted = [str(settings.metrics)]
    with _tracing(server), server, _exporting(server, settings.metrics):
        signals.check()
        started()
        systemd.ready()
        systemd.start_watchdog(lambda: server.failure is None)
        server.wait()
        systemd.stopping()
        server.linger()
    systemd.end_watchdog()
    if server.failure is not None:
        leave_at_once(1)
    if watcher is not None:
        watcher.close()
    if server.left:
        leave_at_once(0)


def kind_of_server(watching: bool) -> type[PluginServer]:
    """The class of the server, which follows the plugins' files when it is ``watching``.

    :raises PluginServerError: when what that needs is not installed.
    """
    if not watching:
        return PluginServer
    try:
        from .watch import WatchingServer
    except ModuleNotFoundError as error:
        raise PluginServerError(needs("-watch", error.name, "dev")) from None
    return WatchingServer


def stop_time(options: Options) -> float:
    """Seconds in which a server has ended that was told to."""
    return options.linger + 2 * options.grace + STOP_TIME


def _tracing(server: PluginServer) -> contextlib.AbstractContextManager[object]:
    """Sends spans, where that is wanted.

    :raises PluginServerError: when what that needs is not installed.
    """
    if not server.options.otel:
        return contextlib.nullcontext()
    try:
        from ..telemetry.spans import exporting_spans
    except ModuleNotFoundError as error:
        raise PluginServerError(needs("-otel", error.name, "otel")) from None
    return exporting_spans()


def _is_plugins(server: PluginServer, logger: str) -> bool:
    """Whether a logger has the name of a plugin's module or package."""
    return logger.partition(".")[0] in {one.package for one in server.plugins.all()}


def _exporting(
    server: PluginServer, address: Address | None
) -> contextlib.AbstractContextManager[object]:
    """Serves metrics, where that is wanted."""
    if address is None:
        return contextlib.nullcontext()
    from ..telemetry.exporter import Exporter

    return Exporter(
        address,
        lambda answer: server.whole(answer),
        lambda: server.failure is None,
        server.succession.listeners,
    )


def _watch(settings: Settings, directory: Path, name: str) -> Watcher | None:
    if not settings.frozen_timeout:
        return None
    try:
        return Watcher(settings.frozen_timeout, directory, name)
    except (OSError, AttributeError) as error:
        _log.warning(f"nobody watches whether this server is frozen: {error}")
        return None


def _signals(server: PluginServer, systemd: Systemd) -> Signals:
    def stop(name: str) -> None:
        server.request_stop()
        end_within(stop_time(server.options), 1)
        _log.info("asked to stop", signal=name)

    def reload(_name: str) -> None:
        systemd.reloading()
        server.reload()
        systemd.ready()

    def stacks(_name: str) -> None:
        server.log_stacks()

    def status(_name: str) -> None:
        server.log_status()

    return Signals(
        {
            signal.SIGTERM: stop,
            signal.SIGINT: stop,
            signal.SIGHUP: reload,
            signal.SIGUSR1: stacks,
            signal.SIGUSR2: status,
        }
    )
