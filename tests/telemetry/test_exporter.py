"""Metrics over HTTP, read by the official parser."""

from __future__ import annotations

import re
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from time import monotonic
from typing import Any

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as open_metrics
from prometheus_client.parser import text_string_to_metric_families
from support.client import TIMEOUT, Client
from support.commands import MODULE, running
from support.paths import DOCS
from support.plugins import eventually
from support.ports import free_port
from support.scrape import Unix, get

from pluginserver import Kong, PluginServer
from pluginserver.errors import LinkError
from pluginserver.rpc.listeners import Listeners
from pluginserver.telemetry.address import Address
from pluginserver.telemetry.exporter import Exporter

Serve = Callable[..., PluginServer]


class Asks:
    """Asks once; in ``log`` it fails."""

    name, version, priority = "p", "1.0.0", 7

    def access(self, kong: Kong) -> None:
        kong.request.get_method()

    def log(self, kong: Kong) -> None:
        raise ValueError("no")


@contextmanager
def exporting(server: PluginServer, path: Path, **changes: Any) -> Iterator[str]:
    options: dict[str, Any] = {
        "whole": lambda answer: server.whole(answer),
        "healthy": lambda: server.failure is None,
        "listeners": Listeners(),
    }
    with Exporter(Address(path=str(path)), **{**options, **changes}):
        eventually(path.exists)
        yield str(path)
    assert not path.exists()


def samples(
    text: str, parse: Any = text_string_to_metric_families
) -> dict[tuple[str, ...], float]:
    return {
        (one.name, *(f"{key}={one.labels[key]}" for key in sorted(one.labels))): one.value
        for family in parse(text)
        for one in family.samples
    }


def test_a_scrape_has_what_was_counted(serve: Serve, prefix: Path) -> None:
    server = serve(Asks, on_error=lambda _event, _error: None)
    with Client(server.socket_path) as client, exporting(server, prefix / "m") as path:
        instance = client.start("p")
        for _ in range(3):
            client.play(instance, answers=["GET"])
        status, text = get(path, "/metrics")
        assert status == 200
        found = samples(text)
        label = ("phase=access", "plugin=p")
        assert found[("kong_pluginserver_events_total", "outcome=returned", *label)] == 3
        assert found[("kong_pluginserver_callbacks_total", *label)] == 3
        for part in ("handler", "kong"):
            name = "kong_pluginserver_event_duration_seconds"
            assert found[(f"{name}_count", "part=" + part, *label)] == 3
            assert found[(f"{name}_bucket", "le=+Inf", "part=" + part, *label)] == 3
            assert found[(f"{name}_sum", "part=" + part, *label)] > 0
        name = "kong_pluginserver_callback_duration_seconds_count"
        assert found[name, "method=kong.request.get_method"] == 3
        assert found["kong_pluginserver_connections",] == 1
        assert found["kong_pluginserver_instances", "plugin=p"] == 1
        assert found["kong_pluginserver_timeouts_total", "kind=request"] == 0
        assert found["kong_pluginserver_threads_blocked",] == 0
        assert found["kong_pluginserver_processes",] == 1
        _, text = get(path, "/metrics", "application/openmetrics-text; version=1.0.0")
        name = "kong_pluginserver_events_total"
        assert samples(text, open_metrics)[(name, "outcome=returned", *label)] == 3


def test_the_reference_has_every_metric_and_its_labels(serve: Serve, prefix: Path) -> None:
    server = serve(Asks, on_error=lambda _event, _error: None)
    with Client(server.socket_path) as client, exporting(server, prefix / "m") as path:
        client.play(client.start("p"), answers=["GET"])
        served: dict[str, set[str]] = {}
        for family in text_string_to_metric_families(get(path, "/metrics")[1]):
            name = family.name + ("_total" if family.type == "counter" else "")
            labels = {label for one in family.samples for label in one.labels}
            served[name.removeprefix("kong_pluginserver_")] = labels - {"le"}
    rows = re.findall(
        r"^``(\w+)``(?: \(histogram\))? +(\w+(?:, \w+)*)?  ",
        (DOCS / "metrics.rst").read_text(),
        re.M,
    )
    assert {name: {*filter(None, labels.split(", "))} for name, labels in rows} == served


def test_probes_are_told_whether_the_server_serves(serve: Serve, prefix: Path) -> None:
    server = serve(Asks)
    with exporting(server, prefix / "m") as path:
        assert get(path, "/health") == (200, "ok\n")
        assert get(path, "/ready") == (200, "ok\n")
        assert get(path, "/other")[0] == 404
        server.request_stop()
        assert get(path, "/ready")[0] == 503
        assert get(path, "/health")[0] == 200
        server.failure = "broken"
        assert get(path, "/health")[0] == 503


def test_who_asks_is_told_when_the_server_does_not_answer(
    serve: Serve, prefix: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pluginserver.telemetry.exporter.PATIENCE", 0.05)
    with exporting(serve(Asks), prefix / "m", whole=lambda _answer: None) as path:
        assert get(path, "/metrics")[0] == 503
        assert get(path, "/health")[0] == 200


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("9542", Address("127.0.0.1", 9542)),
        (":9542", Address("127.0.0.1", 9542)),
        ("0.0.0.0:9542", Address("0.0.0.0", 9542)),
        ("[::1]:9542", Address("::1", 9542)),
        ("unix:/run/m.sock", Address(path="/run/m.sock")),
    ],
)
def test_an_address_is_a_port_or_a_path(text: str, address: Address) -> None:
    assert Address.read(text) == address
    assert Address.read(str(address)) == address


@pytest.mark.parametrize("text", ["", "x", "1:2:3", "0", "70000", "unix:", "::1:80", "host:"])
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is not PORT"):
        Address.read(text)


def test_a_port_is_not_shared() -> None:
    address = Address("127.0.0.1", free_port())
    with address.listen(), pytest.raises(OSError, match="in use"):
        address.listen()


def test_a_socket_file_is_the_last_ones(prefix: Path) -> None:
    address = Address(path=str(prefix / "m"))
    old = address.listen()
    bound = address.bound()
    with pytest.raises(OSError, match="another server listens there"):
        address.listen()
    (prefix / "m").unlink()
    new = address.listen()
    address.remove(old, bound)
    assert (prefix / "m").exists()
    address.remove(new, address.bound())
    assert not (prefix / "m").exists()


def test_an_address_that_is_taken_is_had_when_it_is_free(
    serve: Serve, prefix: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pluginserver.telemetry.exporter.AGAIN", 0.01)
    tried = threading.Event()
    listen = Address.listen

    def watched(self: Address) -> socket.socket:
        try:
            return listen(self)
        except OSError:
            tried.set()
            raise

    monkeypatch.setattr(Address, "listen", watched)
    server = serve(Asks)
    other = socket.socket(socket.AF_UNIX)
    other.bind(str(prefix / "m"))
    other.listen()
    with exporting(server, prefix / "m") as path:
        assert tried.wait(30)
        other.close()
        eventually(lambda: answers(path))


def test_who_connects_between_two_servers_is_answered_by_the_second(prefix: Path) -> None:
    path = prefix / "m"
    address = Address(path=str(path))
    first, second = Listeners(), Listeners()
    client = Unix(str(path))
    with Exporter(address, told, lambda: True, first):
        eventually(lambda: answers(str(path)))
        with first.handing_on([str(address)]) as found:
            second.came(str(address), found[str(address)].dup())
        client.request("GET", "/ready")
    assert path.exists()
    with Exporter(address, told, lambda: True, second):
        assert client.getresponse().status == 200
        client.close()
    assert not path.exists()


def test_whom_a_successor_does_not_ask_or_does_not_hear_goes_on(prefix: Path) -> None:
    path = prefix / "m"
    address = Address(path=str(path))
    listeners = Listeners()
    with Exporter(address, told, lambda: True, listeners):
        eventually(lambda: answers(str(path)))
        with listeners.handing_on(["unix:elsewhere"]) as found:
            assert not found
        with pytest.raises(LinkError), listeners.handing_on([str(address)]):
            raise LinkError("the other server is gone")
        assert answers(str(path))
    assert not path.exists()


def test_what_came_and_nobody_took_is_closed() -> None:
    listeners = Listeners()
    with socket.socket(socket.AF_UNIX) as sock:
        listeners.came("unix:a", sock)
        listeners.close()
        assert sock.fileno() == -1
    assert listeners.take("unix:a") is None


def test_who_was_accepted_is_answered_at_the_end(prefix: Path) -> None:
    asked, go = threading.Event(), threading.Event()

    def whole(answer: Callable[[dict[str, Any]], None]) -> None:
        asked.set()
        go.wait(30)
        answer({"ready": True})

    path = str(prefix / "m")
    client = Unix(path)
    exporter = Exporter(Address(path=path), whole, lambda: True, Listeners())
    exporter.__enter__()
    eventually(lambda: answers(path))
    client.request("GET", "/ready")
    assert asked.wait(30)
    ending = threading.Thread(target=exporter.__exit__)
    ending.start()
    eventually(lambda: not Path(path).exists())
    go.set()
    ending.join()
    assert client.getresponse().status == 200
    client.close()


def told(answer: Callable[[dict[str, Any]], None]) -> None:
    answer({"ready": True})


def answers(path: str) -> bool:
    try:
        return get(path, "/health")[0] == 200
    except (ConnectionRefusedError, FileNotFoundError):
        return False


PLUGIN = """
version, priority = '1.0.0', 1
class Plugin:
    def access(self, kong):
        kong.node.get_id()
"""


@pytest.mark.parametrize("processes", ["1", "2"])
def test_one_process_serves_the_metrics_of_all_and_goes_on_at_a_takeover(
    processes: str, prefix: Path
) -> None:
    (prefix / "asks.py").write_text(PLUGIN)
    flags = (
        *("-socket", prefix / "s", "-plugins-directory", prefix, "-processes", processes),
        *("-metrics", f"unix:{prefix}/m"),
    )
    with running(*MODULE, *flags) as old:
        eventually(lambda: (prefix / "m").exists())
        eventually(lambda: get(f"{prefix}/m", "/ready")[0] == 200)
        found = samples(get(f"{prefix}/m", "/metrics")[1])
        assert found["kong_pluginserver_processes",] == int(processes)
        first = pids(prefix)
        seen: list[set[str] | Exception] = []
        scraping = threading.Thread(target=scrape, args=(prefix, first, seen))
        scraping.start()
        with running(*MODULE, *flags):
            assert old.end() == 0
            scraping.join()
            assert not [one for one in seen if isinstance(one, Exception)]
            assert len(pids(prefix)) == int(processes)


def scrape(prefix: Path, first: set[str], seen: list[set[str] | Exception]) -> None:
    """Scrape without a pause until all processes are others, or a scrape fails."""
    deadline = monotonic() + TIMEOUT
    while monotonic() < deadline:
        try:
            seen.append(pids(prefix))
        except Exception as error:
            seen.append(error)
            return
        if not seen[-1] & first:
            return


def pids(prefix: Path) -> set[str]:
    text = get(f"{prefix}/m", "/metrics")[1]
    return set(re.findall(r'start_time_seconds\{process="(\d+)"', text))
