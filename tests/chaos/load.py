"""The load: the simulated Kong, on several threads, and the judgement of each request.

Rules kept here:

* a token that only one request has goes through the plugin and comes back: an answer with another's token is
  wrong, whatever was done to the server;
* a request that is not answered as its plugin would is lost; it must be explained by a window of the server.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import threading
import time
from collections import Counter
from pathlib import Path
from random import Random
from time import monotonic
from typing import Any, Final

import attrs

from pluginserver.testing import Exchange, Gateway, Quirks, make_request
from pluginserver.testing.kong.lua import LuaError
from pluginserver.testing.transports.sockets import Socket

from .process import Server

TIMEOUT: Final = 20.0
"""Seconds that an answer may take before the simulated Kong gives up."""

BACK_OFF: Final = 0.05
"""Seconds before the next request of a thread that met no server, so that one can start."""

KEPT: Final = 20
"""Losses that are described."""


@attrs.frozen
class Expected:
    """What the client must get: the status, and whether the token comes back in ``x-answer``."""

    status: int = 200
    answered: bool = False


ANSWERED: Final = Expected(200, True)
REFUSED: Final = Expected(500)

WILD: Final[dict[str, tuple[float, Expected]]] = {
    "sleep": (4, ANSWERED),
    "loop": (1, ANSWERED),
    "endless": (0.3, REFUSED),
    "raise": (4, REFUSED),
    "interrupt": (4, REFUSED),
    "cancel": (4, REFUSED),
    "leave": (4, REFUSED),
    "close": (4, REFUSED),
    "memory": (4, REFUSED),
    "unprintable": (4, REFUSED),
    "deep": (1, REFUSED),
    "unsendable": (4, REFUSED),
    "throw": (1, REFUSED),
    "exit": (4, Expected(403)),
    "exit_in_finally": (4, Expected(418)),
    "switch": (4, REFUSED),
    "greenlet": (4, ANSWERED),
    "thread": (2, ANSWERED),
    "outside": (2, ANSWERED),
    "collected": (2, ANSWERED),
    "asyncio": (2, ANSWERED),
    "subprocess": (0.5, ANSWERED),
    "big": (1, ANSWERED),
    "swallow": (1, ANSWERED),
    "print": (1, ANSWERED),
}
"""What a wild handler does: how often, and what must come of it."""

STEADY: Final = 0.7
"""The share of requests that are for the steady plugin."""


def judge(expected: Expected, token: str, exchange: Exchange) -> str:
    """``"right"``, ``"lost"`` or ``"wrong"``: whether a request was answered as it must be."""
    response = exchange.response
    if response is None:
        return "lost"
    answer = response.headers.get("x-answer")
    if answer not in (None, token) or response.status == 598:
        return "wrong"
    if response.status in (403, 418) and response.body != token.encode():
        return "wrong"
    if (response.status, answer is not None) == (expected.status, expected.answered):
        return "right"
    return "lost"


class Load:
    """Threads that send requests until they are told to stop.

    :param server: the server.
    :param threads: how many requests are on their way at once.
    :param seed: where chance begins.
    """

    def __init__(self, server: Server, threads: int, seed: int) -> None:
        self._server = server
        self._stopping = threading.Event()
        self._lock = threading.Lock()
        self.counts: Counter[str] = Counter()
        """Requests by what was done and how it was judged."""
        self.explained: Counter[str] = Counter()
        """Lost requests by what explains them."""
        self.unexplained: list[str] = []
        self.slowest = 0.0
        """Seconds of the slowest steady request that was not in a window."""
        self._logged: set[str] = set()
        self.gateway = Gateway(
            Socket(server.socket, Quirks(), TIMEOUT), raise_bugs=False, keep=2 * threads
        )
        self.gateway.functions.update(
            {
                "kong.chaos.echo": lambda *values: list(values),
                "kong.chaos.logged": self._logged.add,
                "kong.chaos.throw": _throw,
            }
        )
        for plugin in ("steady", "wild"):
            self.gateway.route(f"/{plugin}").plugin(plugin)
        self._threads = [
            threading.Thread(target=self._run, args=(Random(f"{seed}/{number}"), number))
            for number in range(threads)
        ]

    def start(self) -> None:
        """Begin."""
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Let each thread come to the end of its request."""
        self._stopping.set()
        for thread in self._threads:
            thread.join()

    def close(self) -> None:
        """Close the instances, as a tidy Kong."""
        self.gateway.close()

    def _run(self, random: Random, number: int) -> None:
        names = list(WILD)
        weights = [weight for weight, _ in WILD.values()]
        count = 0
        while not self._stopping.is_set():
            count += 1
            token = f"{number}-{count}"
            if random.random() < STEADY:
                self._one("steady", "steady", ANSWERED, token)
            else:
                (what,) = random.choices(names, weights)
                self._one("wild", what, WILD[what][1], token)

    def _one(self, plugin: str, what: str, expected: Expected, token: str) -> None:
        request = make_request("GET", f"/{plugin}", headers={"x-token": token, "x-do": what})
        start = monotonic()
        try:
            exchange = self.gateway.handle(request)
        except Exception as error:
            with self._lock:
                self.unexplained.append(f"{what} {token}: the simulated Kong failed: {error!r}")
            return
        end = monotonic()
        verdict = judge(expected, token, exchange)
        if plugin == "steady" and verdict == "right" and token not in self._logged:
            verdict = "lost"
        self._logged.discard(token)
        self._note(what, token, verdict, exchange, start, end)

    def _note(
        self, what: str, token: str, verdict: str, exchange: Exchange, start: float, end: float
    ) -> None:
        why = self._server.explains(start, end)
        pause = 0.0
        with self._lock:
            self.counts[f"{what}: {verdict}"] += 1
            if what == "steady" and why is None:
                self.slowest = max(self.slowest, end - start)
            if verdict == "lost" and why is not None:
                self.explained[why] += 1
                pause = BACK_OFF
            elif verdict != "right":
                self.counts["unexplained"] += 1
                if len(self.unexplained) < KEPT:
                    self.unexplained.append(
                        _described(what, token, verdict, exchange, end - start)
                    )
        time.sleep(pause)


class Pressure:
    """Events of ``hello`` at the rate that the server can take, beside the load: nobody judges them.

    :param program: the load generator of ``bench``.
    """

    def __init__(self, program: Path, socket: Path) -> None:
        self._command = [str(program), "-s", str(socket), "-p", "hello", "-k", "16", "-t", "2"]
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()
        self.events = 0

    def stop(self) -> None:
        """End it."""
        self._stopping.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stopping.wait(0.05):
            done = subprocess.run(self._command, capture_output=True, text=True)
            if done.returncode == 0:
                self.events += json.loads(done.stdout.replace("\n", " "))["events"]


def built(directory: Path) -> Path | None:
    """The load generator, compiled; None where there is no compiler."""
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        return None
    program = directory / "loadgen"
    source = Path(__file__).parents[2] / "bench" / "loadgen.c"
    subprocess.run([compiler, "-O2", "-o", program, source], check=True)
    return program


def _throw(*_values: Any) -> None:
    raise LuaError("thrown by chaos")


def _described(what: str, token: str, verdict: str, exchange: Exchange, seconds: float) -> str:
    response = exchange.response
    got = "nothing" if response is None else f"{response.status} {response.body[:60]!r}"
    lines = "; ".join(line.message for line in exchange.logs)
    return f"{what} {token} after {seconds:.2f} s: {verdict}: got {got}; Kong's log: {lines:.400}"


def copied(target: Path) -> Path:
    """A plugins directory of its own, in which files can be broken."""
    target.mkdir()
    here = Path(__file__).parent
    for path in (*here.glob("plugins/*.py"), here.parents[1] / "examples" / "hello.py"):
        (target / path.name).write_bytes(path.read_bytes())
    return target
