"""Misbehaves as the header ``x-do`` says; what a client must get then is in ``chaos/load.py``."""

import asyncio
import contextlib
import subprocess
import threading
import time

import attrs
import greenlet

from pluginserver import Kong, OutsideEventError

version = "1.0.0"
priority = 10


class Unprintable(Exception):
    def __str__(self) -> str:
        raise ValueError("no text")

    __repr__ = __str__


class Leaves:
    """Answers the request when it is collected, which may be in another one's event."""

    def __init__(self, kong: Kong, token: str) -> None:
        self.kong, self.token, self.me = kong, token, self

    def __del__(self) -> None:
        self.kong.response.exit(403, self.token)


def spin(seconds: float) -> None:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        pass


@attrs.define
class Plugin:
    def access(self, kong: Kong) -> None:
        token = kong.request.get_header("x-token")
        getattr(self, "do_" + kong.request.get_header("x-do"))(kong, token)
        if kong.call("kong.chaos.echo", token, 1) != [token, 1]:
            kong.response.exit(598, "crossed")
        kong.response.set_header("x-answer", token)

    def do_sleep(self, _kong: Kong, _token: str) -> None:
        time.sleep(0.1)

    def do_loop(self, _kong: Kong, _token: str) -> None:
        spin(0.2)

    def do_endless(self, _kong: Kong, _token: str) -> None:
        while True:
            pass

    def do_raise(self, _kong: Kong, token: str) -> None:
        raise LookupError(token)

    def do_interrupt(self, _kong: Kong, _token: str) -> None:
        raise KeyboardInterrupt

    def do_cancel(self, _kong: Kong, _token: str) -> None:
        raise asyncio.CancelledError

    def do_leave(self, _kong: Kong, _token: str) -> None:
        raise SystemExit(3)

    def do_close(self, _kong: Kong, _token: str) -> None:
        raise GeneratorExit

    def do_memory(self, _kong: Kong, _token: str) -> None:
        raise MemoryError

    def do_unprintable(self, _kong: Kong, _token: str) -> None:
        raise Unprintable

    def do_deep(self, kong: Kong, token: str) -> None:
        self.do_deep(kong, token)

    def do_unsendable(self, kong: Kong, _token: str) -> None:
        kong.call("kong.chaos.echo", object())

    def do_throw(self, kong: Kong, _token: str) -> None:
        kong.call("kong.chaos.throw")

    def do_exit(self, kong: Kong, token: str) -> None:
        kong.response.exit(403, token)

    def do_exit_in_finally(self, kong: Kong, token: str) -> None:
        try:
            raise LookupError(token)
        finally:
            kong.response.exit(418, token)

    def do_switch(self, _kong: Kong, _token: str) -> None:
        parent = greenlet.getcurrent().parent
        assert parent is not None
        parent.switch()

    def do_greenlet(self, _kong: Kong, token: str) -> None:
        assert greenlet.greenlet(lambda: token).switch() == token

    def do_thread(self, _kong: Kong, _token: str) -> None:
        thread = threading.Thread(target=time.sleep, args=(0.01,))
        thread.start()
        thread.join()

    def do_outside(self, kong: Kong, token: str) -> None:
        def ask() -> None:
            with contextlib.suppress(OutsideEventError):
                kong.response.exit(403, token)

        thread = threading.Thread(target=ask)
        thread.start()
        thread.join()

    def do_collected(self, kong: Kong, token: str) -> None:
        Leaves(kong, token)

    def do_asyncio(self, _kong: Kong, _token: str) -> None:
        asyncio.run(asyncio.sleep(0.01))

    def do_subprocess(self, _kong: Kong, _token: str) -> None:
        subprocess.run(["true"], check=True)

    def do_big(self, kong: Kong, _token: str) -> None:
        text = "x" * 262_144
        assert kong.call("kong.chaos.echo", text, 1) == [text, 1]

    def do_swallow(self, _kong: Kong, _token: str) -> None:
        for _ in range(3):
            try:
                spin(0.05)
                raise LookupError
            except BaseException:
                pass

    def do_print(self, _kong: Kong, token: str) -> None:
        for _ in range(20):
            print(token)
