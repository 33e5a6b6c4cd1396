"""Measure this server, and the floor, in turn, on the same machine.

Usage: python bench/run.py compare [--quick] compares it with the floor, naive servers and peers, and writes
tables and a plot (see comparison/).  python bench/run.py [NAME|all] [-t SECONDS] [-n ROUNDS] measures one
thing, where NAME is hello, modes, blocking, raising, own, processes, memory, pdk, trips, testing, watching,
or one of those that are not among all: million, and against, which compares with another checkout (--other).

The machines that run this are shared and noisy, so only what is measured in one run is compared:
each round measures the floor and the server one after the other, and the table gives the median of
the rounds' ratios.  CPU is the server process's own, user and system, divided by its RPCs.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

from comparison.command import main as compare
from comparison.costs import growth
from comparison.kong import MessagePackKong
from comparison.load import build
from comparison.processes import ServerError, cpu_time, rss, serving, threads, wake_ups

HERE = Path(__file__).parent
ROOT = HERE.parent


def floor(socket: Path) -> list[str]:
    return [sys.executable, str(HERE / "floor.py"), str(socket)]


def ours(socket: Path, plugins: Path) -> list[str]:
    return [
        *(sys.executable, "-m", "pluginserver"),
        *("-socket", str(socket), "-plugins-directory", str(plugins), "-log-level", "error"),
    ]


def load(
    loadgen: Path,
    pid: int,
    socket: Path,
    *,
    inflight: int,
    seconds: float,
    warm: float = 0,
    flags: Sequence[str] = (),
    **options: Any,
) -> dict[str, Any]:
    """Put load on a server; the load generator's figures, ``cpu``, microseconds per RPC, and ``wake_ups`` of
    threads for each event.

    :param warm: seconds of load before anything is counted.
    :param flags: further flags of the load generator, those without a value.
    """
    command = [str(loadgen), *flags, "-s", str(socket), "-k", str(inflight)]
    command += ["-t", str(seconds), "-w", str(warm)]
    for flag, value in options.items():
        command += [f"-{flag}", str(value)]
    cpu, woken = {}, {}
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None and process.stderr is not None
        for line in process.stderr:
            if line.strip() in ("begin", "end"):
                cpu[line.strip()] = cpu_time([pid])
                woken[line.strip()] = wake_ups(pid)
            else:
                sys.stderr.write(line)
        cpu.setdefault("end", cpu_time([pid]))
        woken.setdefault("end", wake_ups(pid))
        result: dict[str, Any] = json.loads(process.stdout.read().strip().replace("\n", " "))
    result["cpu"] = 1e6 * (cpu["end"] - cpu["begin"]) / max(1, result["rpcs"])
    result["wake_ups"] = (woken["end"] - woken["begin"]) / max(1, result["events"])
    return result


def hello(loadgen: Path, directory: Path, seconds: float, rounds: int) -> None:
    """``hello`` at 64 in flight against the floor."""
    print("hello, 64 in flight, LIFO pool")
    ratios, cpu_ratios = [], []
    for number in range(rounds):
        results = []
        for name, command in (("floor", floor), ("ours", None)):
            socket = directory / f"{name}.sock"
            line = command(socket) if command else ours(socket, ROOT / "examples")
            with serving(line, socket) as pid:
                results.append(load(loadgen, pid, socket, inflight=64, seconds=seconds, warm=1))
        low, our = results
        ratios.append(our["events_s"] / low["events_s"])
        cpu_ratios.append(our["cpu"] / low["cpu"])
        print(
            f"  round {number + 1}: floor {low['events_s']:.0f} events/s, {low['cpu']:.1f} us/RPC;"
            f" ours {our['events_s']:.0f} events/s, {our['cpu']:.1f} us/RPC,"
            f" p99 {our['ev_p99'] / 1000:.1f} ms, errors {our['errors']};"
            f" ratio {ratios[-1]:.2f}, CPU ratio {cpu_ratios[-1]:.2f}"
        )
    print(
        f"  median ratio {statistics.median(ratios):.2f},"
        f" median CPU ratio {statistics.median(cpu_ratios):.2f}"
    )


def against(
    loadgen: Path, directory: Path, seconds: float, rounds: int, *, other: Path = ROOT
) -> None:
    """``hello`` at 64 in flight on this code and on that of another checkout, in turn."""
    print(f"hello, 64 in flight: this code against that in {other}")
    checkouts = {"this": ROOT, "other": other}
    start = "import runpy, sys; sys.path.insert(0, sys.argv.pop(1)); runpy.run_module"
    start += "('pluginserver', run_name='__main__', alter_sys=True)"
    ratios, costs = [], []
    for number in range(rounds):
        cpu = {}
        for name in checkouts if number % 2 else reversed(checkouts):
            socket = directory / f"{name}.sock"
            flags = ours(socket, ROOT / "examples")[3:]
            command = [sys.executable, "-c", start, str(checkouts[name]), *flags]
            with serving(command, socket) as pid:
                got = load(loadgen, pid, socket, inflight=64, seconds=seconds, warm=1)
            cpu[name] = got["cpu"]
        costs.append(cpu)
        ratios.append(cpu["this"] / cpu["other"])
        print(
            f"  round {number + 1}: this {cpu['this']:.2f} us of CPU per RPC,"
            f" other {cpu['other']:.2f}; ratio {ratios[-1]:.3f}"
        )
    this, former = (statistics.median(cpu[name] for cpu in costs) for name in checkouts)
    print(
        f"  ratio of the medians {this / former:.3f}, median ratio {statistics.median(ratios):.3f}"
        f" ({min(ratios):.3f} to {max(ratios):.3f})"
    )


def modes(loadgen: Path, directory: Path, seconds: float, _rounds: int) -> None:
    """No errors in any mode at any number of requests in flight."""
    print("hello in every mode")
    socket = directory / "ours.sock"
    with serving(ours(socket, ROOT / "examples"), socket) as pid:
        for mode in ("pool", "sticky", "fresh"):
            for inflight in (1, 16, 64, 256):
                got = load(loadgen, pid, socket, inflight=inflight, seconds=seconds, m=mode)
                print(
                    f"  {mode:6} {inflight:3}: {got['events_s']:6.0f} events/s,"
                    f" {got['cpu']:5.1f} us/RPC, p99 {got['ev_p99'] / 1000:6.1f} ms,"
                    f" errors {got['errors']} {got['first_error']}"
                )


def blocking(loadgen: Path, directory: Path, seconds: float, _rounds: int) -> None:
    """64 handlers that sleep, and an endless loop, with ``hello`` beside them."""
    socket = directory / "ours.sock"
    for name, inflight in (("sleeper", 64), ("looper", 1)):
        print(f"{name}, {inflight} in flight, and hello, 16 in flight, beside it")
        with serving(ours(socket, HERE / "plugins"), socket) as pid:
            load(loadgen, pid, socket, inflight=16, seconds=1)
            with ThreadPoolExecutor(1) as pool:
                other = pool.submit(
                    load, loadgen, pid, socket, inflight=inflight, seconds=seconds, p=name
                )
                time.sleep(0.3)
                got = load(loadgen, pid, socket, inflight=16, seconds=max(1, seconds - 1))
                count = threads(pid)
                beside = other.result()
            print(f"  {name}: {beside['events_s']:.0f} events/s, errors {beside['errors']}")
            print(
                f"  hello: {got['events_s']:.0f} events/s, p50 {got['ev_p50'] / 1000:.2f} ms,"
                f" p99 {got['ev_p99'] / 1000:.2f} ms, errors {got['errors']}; {count} threads"
            )


def own(loadgen: Path, directory: Path, seconds: float, rounds: int) -> None:
    """``hello`` with an event to a thread, against ``hello`` inline, in both protocols."""
    print("hello on threads of its own against inline, 16 in flight")
    socket = directory / "ours.sock"
    with serving(ours(socket, HERE / "plugins"), socket) as pid:
        for protocol, flags in (("MsgPack:1", ()), ("ProtoBuf:1", ("-P",))):
            print(f"  {protocol}")
            compare_own(loadgen, pid, socket, seconds, rounds, flags)


def compare_own(
    loadgen: Path, pid: int, socket: Path, seconds: float, rounds: int, flags: Sequence[str]
) -> None:
    """The same in one protocol.

    :param flags: of the load generator: which protocol it speaks.
    """
    ratios, cpu_ratios = [], []
    for name in ("shared", "own"):
        load(loadgen, pid, socket, inflight=16, seconds=1, flags=flags, p=name)
    for number in range(rounds):
        inline, apart = (
            load(loadgen, pid, socket, inflight=16, seconds=seconds, flags=flags, p=name)
            for name in ("shared", "own")
        )
        ratios.append(apart["events_s"] / inline["events_s"])
        cpu_ratios.append(apart["cpu"] / inline["cpu"])
        print(
            f"  round {number + 1}: inline {inline['events_s']:.0f} events/s,"
            f" {inline['cpu']:.1f} us/RPC; own {apart['events_s']:.0f} events/s,"
            f" {apart['cpu']:.1f} us/RPC, {apart['wake_ups']:.1f} wake-ups an event,"
            f" p99 {apart['ev_p99'] / 1000:.1f} ms, errors {apart['errors']}; ratio {ratios[-1]:.2f}"
        )
    print(
        f"  median ratio {statistics.median(ratios):.2f}"
        f" ({min(ratios):.2f} to {max(ratios):.2f}),"
        f" median CPU ratio {statistics.median(cpu_ratios):.2f}"
    )


def processes(loadgen: Path, directory: Path, seconds: float, rounds: int) -> None:
    """A handler that computes, served by two processes and by one; each nginx worker is a load generator."""
    print("burner in two processes against one, for two clients with 4 in flight each")
    ratios = []
    with contextlib.ExitStack() as stack:
        servers = []
        for number in (1, 2):
            socket = directory / f"{number}.sock"
            command = [*ours(socket, HERE / "plugins"), "-processes", str(number)]
            servers.append((stack.enter_context(serving(command, socket)), socket))
        pool = stack.enter_context(ThreadPoolExecutor(2))

        def both(pid: int, socket: Path, seconds: float) -> tuple[float, int]:
            """Events a second of the two clients together, and their errors."""
            options: dict[str, Any] = {
                "inflight": 4,
                "seconds": seconds,
                "warm": 0.5,
                "p": "burner",
            }
            running = [pool.submit(load, loadgen, pid, socket, **options) for _ in range(2)]
            results = [one.result() for one in running]
            return sum(one["events_s"] for one in results), sum(one["errors"] for one in results)

        for server in servers:
            both(*server, 1)
        for number in range(rounds):
            order = servers if number % 2 else servers[::-1]
            rates = {server: both(*server, seconds) for server in order}
            (one, errors), (two, more_errors) = (rates[server] for server in servers)
            ratios.append(two / one)
            print(
                f"  round {number + 1}: one process {one:.1f} events/s, two {two:.1f} events/s,"
                f" errors {errors + more_errors}; ratio {ratios[-1]:.2f}"
            )
    print(
        f"  median ratio {statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})"
    )


def memory(loadgen: Path, directory: Path, seconds: float, _rounds: int) -> None:
    """What one more of each costs: an idle connection, a suspended event inline and on a thread."""
    print("memory, and an idle server's CPU")
    socket = directory / "ours.sock"
    for what, plugin, number in (
        ("an idle connection", "empty", 1000),
        ("an event suspended inline", "shared", 2000),
        ("an event on a thread of its own", "own", 150),
    ):
        with (
            serving(ours(socket, HERE / "plugins"), socket) as pid,
            contextlib.closing(MessagePackKong(socket)) as kong,
        ):
            load(loadgen, pid, socket, inflight=16, seconds=1, p="hello")
            more = kong.idle if plugin == "empty" else kong.suspend
            cost = growth(pid, number, partial(more, kong.start(plugin)))
            print(f"  {what}: {1024 * cost:.0f} bytes ({number} of them, {threads(pid)} threads)")
    with (
        serving(ours(socket, HERE / "plugins"), socket) as pid,
        contextlib.closing(MessagePackKong(socket)) as kong,
    ):
        load(loadgen, pid, socket, inflight=16, seconds=1, p="hello")
        kong.idle(kong.start("empty"), 256)
        time.sleep(3)
        start = time.monotonic(), cpu_time([pid])
        time.sleep(max(10.0, seconds))
        share = (cpu_time([pid]) - start[1]) / (time.monotonic() - start[0])
        print(f"  256 idle connections: {100 * share:.3f} % of a core")


def million(loadgen: Path, directory: Path, _seconds: float, _rounds: int) -> None:
    """A million events: the memory must not grow by 2 MiB or more after the first 100,000.

    The threads are few, so that there are as many before as after, on a noisy machine too.
    """
    print("a million events of hello, 64 in flight")
    socket = directory / "ours.sock"
    command = [*ours(socket, HERE / "plugins"), "-max-threads", "8"]
    with serving(command, socket) as pid:
        load(loadgen, pid, socket, inflight=64, seconds=600, n=100_000)
        before = rss(pid)
        got = load(loadgen, pid, socket, inflight=64, seconds=600, n=900_000)
        after = rss(pid)
    print(
        f"  {got['events'] + 100_000} events at {got['events_s']:.0f}/s, errors {got['errors']}:"
        f" {before} -> {after} KiB"
    )
    if got["errors"] or got["events"] < 900_000 or after - before >= 2048:
        sys.exit("a million events were not served, or the memory grew by 2 MiB or more")


def raising(loadgen: Path, directory: Path, _seconds: float, _rounds: int) -> None:
    """10,000 events that raise; what they leave."""
    print("10,000 events that raise")
    socket = directory / "ours.sock"
    with serving(ours(socket, HERE / "plugins"), socket) as pid:
        for name in ("raiser", "late-raiser"):
            load(loadgen, pid, socket, inflight=16, seconds=60, p=name, n=1000)
            before = rss(pid), threads(pid)
            got = load(loadgen, pid, socket, inflight=16, seconds=60, p=name, n=10000)
            print(
                f"  {name}: {got['events']} events at {got['events_s']:.0f}/s, memory"
                f" {before[0]} -> {rss(pid)} KiB, threads {before[1]} -> {threads(pid)}"
            )


def pdk(loadgen: Path, directory: Path, seconds: float, rounds: int) -> None:
    """What the typed PDK costs: ``hello`` against the same two callbacks made by hand."""
    print("hello against bare callbacks, 64 in flight")
    socket = directory / "ours.sock"
    ratios = []
    with serving(ours(socket, HERE / "plugins"), socket) as pid:
        for name in ("hello", "bare"):
            load(loadgen, pid, socket, inflight=64, seconds=1, p=name)
        for number in range(rounds):
            bare, typed = (
                load(loadgen, pid, socket, inflight=64, seconds=seconds, p=name)["cpu"]
                for name in ("bare", "hello")
            )
            ratios.append(typed / bare)
            print(f"  round {number + 1}: bare {bare:.2f}, hello {typed:.2f} us/RPC")
    print(f"  median CPU ratio {statistics.median(ratios):.3f}")


def trips(loadgen: Path, directory: Path, seconds: float, rounds: int) -> None:
    """``bench`` (8 callbacks) and ``hello`` (2) with fewer round trips, against each callback travelling."""
    print("fewer round trips against plain, 64 in flight")
    ratios: dict[str, list[float]] = {"bench": [], "hello": []}
    ways = ("plain", "fewer")
    with contextlib.ExitStack() as stack:
        servers = {}
        for way in ways:
            socket = directory / f"{way}.sock"
            command = [*ours(socket, HERE / "plugins"), "-round-trips", way]
            servers[way] = stack.enter_context(serving(command, socket)), socket
            for name in ratios:
                load(loadgen, *servers[way], inflight=64, seconds=1, p=name, H=13)
        for number in range(rounds):
            for name, found in ratios.items():
                got = {
                    way: load(loadgen, *servers[way], inflight=64, seconds=seconds, p=name, H=13)
                    for way in (ways if number % 2 else reversed(ways))
                }
                plain, fewer = got["plain"], got["fewer"]
                found.append(fewer["events_s"] / plain["events_s"])
                print(
                    f"  round {number + 1}, {name}: "
                    + "; ".join(
                        f"{way} {one['rpcs'] / one['events']:.2f} RPCs an event,"
                        f" {one['events_s']:.0f} events/s,"
                        f" {one['cpu'] * one['rpcs'] / one['events']:.1f} us of CPU an event,"
                        f" errors {one['errors']}"
                        for way, one in got.items()
                    )
                    + f"; ratio {found[-1]:.2f}"
                )
    for name, found in ratios.items():
        print(
            f"  {name}: median ratio {statistics.median(found):.2f}"
            f" ({min(found):.2f} to {max(found):.2f})"
        )


def watching(loadgen: Path, directory: Path, seconds: float, rounds: int) -> None:
    """What ``-report-cost`` and ``-otel`` cost an event of ``hello``; nobody collects the spans."""
    print("hello, 16 in flight: CPU an event, watched and not")
    costs: dict[str, list[float]] = {"nothing": [], "-report-cost": [], "-otel": []}
    with contextlib.ExitStack() as stack:
        servers = {}
        for flag in costs:
            socket = directory / f"watched{flag}.sock"
            command = [*ours(socket, ROOT / "examples"), *([flag] if flag[0] == "-" else [])]
            servers[flag] = stack.enter_context(serving(command, socket)), socket
            load(loadgen, *servers[flag], inflight=16, seconds=1)
        for _ in range(rounds):
            for flag, found in costs.items():
                got = load(loadgen, *servers[flag], inflight=16, seconds=seconds)
                found.append(got["cpu"] * got["rpcs"] / got["events"])
    for flag, found in costs.items():
        print(
            f"  {flag}: median {statistics.median(found):.1f} us of CPU an event"
            f" ({min(found):.1f} to {max(found):.1f})"
        )


def testing(_loadgen: Path, _directory: Path, _seconds: float, rounds: int) -> None:
    """What one test of ``hello`` takes: a gateway, the plugin, a request, and the end.

    As with the pytest plugin, tests share what is loaded and the server.
    """
    print("a test of hello with pluginserver.testing")
    from pluginserver.testing import Gateway, Quirks
    from pluginserver.testing.transports.base import Transport
    from pluginserver.testing.transports.connect import connect
    from pluginserver.testing.transports.plugins import Collection, Library
    from pluginserver.testing.transports.sockets import Embedded, Host

    def test(transport: Transport) -> None:
        with Gateway(transport) as kong:
            kong.plugin("examples/hello.py", message="hi")
            assert kong.get("/", headers={"host": "a"}).headers["x-hello"] == "hi to a"

    with contextlib.closing(Library()) as library:
        host = Host(Collection(ROOT, library))
        ways: dict[str, Callable[[], Transport]] = {
            "in process": lambda: connect("in-process", root=ROOT, library=library),
            "over the socket": lambda: Embedded(host, Quirks(), 60.0),
        }
        for name, way in ways.items():
            test(way())
            times = []
            for _ in range(100 * rounds):
                start = time.perf_counter()
                test(way())
                times.append(time.perf_counter() - start)
            print(f"  {name}: median {1000 * statistics.median(times):.2f} ms")
        host.close()


BENCHMARKS = {
    "hello": hello,
    "modes": modes,
    "blocking": blocking,
    "raising": raising,
    "own": own,
    "processes": processes,
    "memory": memory,
    "million": million,
    "against": against,
    "pdk": pdk,
    "trips": trips,
    "testing": testing,
    "watching": watching,
}


ALONE = {"million", "against"}
"""What is not among all."""


def main() -> None:
    if sys.argv[1:2] == ["compare"]:
        sys.exit(compare(sys.argv[2:]))
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("which", nargs="?", default="all", choices=[*BENCHMARKS, "all"])
    parser.add_argument("-t", "--seconds", type=float, default=4)
    parser.add_argument("-n", "--rounds", type=int, default=5)
    parser.add_argument("--other", type=Path, default=ROOT, help="a checkout, for against")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        try:
            loadgen = build(directory)
            for name, function in BENCHMARKS.items():
                if name == "against":
                    function = partial(against, other=args.other.resolve())
                if args.which == name or (args.which == "all" and name not in ALONE):
                    function(loadgen, directory, args.seconds, args.rounds)
        except ServerError as error:
            sys.exit(str(error))


if __name__ == "__main__":
    main()
