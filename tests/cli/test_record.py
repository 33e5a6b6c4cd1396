"""``pluginserver record``."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from support.client import Client
from support.commands import MODULE, TIMEOUT, environment

from pluginserver import Kong, PluginServer
from pluginserver.cli.record import main
from pluginserver.testing.cassettes.cassette import read

Serve = Callable[..., PluginServer]


class Says:
    """Logs a word, and a header that nobody shall see."""

    name, version, priority = "says", "1.0.0", 7

    def access(self, kong: Kong) -> None:
        kong.request.get_header("x-pin")
        kong.log.notice("word")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_what_kong_and_a_server_say_is_stored(serve: Serve, prefix: Path, number: int) -> None:
    server = serve(Says)
    arguments = (
        "record", "-server", str(server.socket_path), "--listen", str(prefix / "kong"),
        "-into", str(prefix / "new" / "cases"), "-mask", "X-Pin",
    )  # fmt: skip
    with subprocess.Popen(
        [sys.executable, *MODULE, *arguments], env=environment(), stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline().startswith(
            f"records what comes to {prefix / 'kong'} into"
        )
        with Client(prefix / "kong") as kong:
            assert kong.play(kong.start("says"), answers=["1234", None])
        process.send_signal(number)
        rest, _ = process.communicate(timeout=TIMEOUT)
    assert (process.returncode, rest) == (0, "1 conversations stored\n")
    ((said,),) = [read(path) for path in (prefix / "new" / "cases").iterdir()]
    assert [(one.method, one.answer) for one in said.calls] == [
        ("kong.request.get_header", "(secret)"), ("kong.log.notice", None),
    ]  # fmt: skip


def test_what_cannot_be_recorded_is_told_in_a_line(
    serve: Serve, prefix: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    server = str(serve(Says).socket_path)
    (prefix / "file").write_text("")
    for listening, reason in (
        (server, "is the server's own socket: give another path"),
        (str(prefix / "file"), "is there, and no socket: give another path"),
    ):
        assert main(["-server", server, "-listen", listening]) == 1
        assert capsys.readouterr().err == f"pluginserver: --listen {listening} {reason}\n"
    assert main(["-server", str(prefix / "none"), "-listen", str(prefix / "kong")]) == 1
    assert "is no socket: start the plugin server first" in capsys.readouterr().err
    assert main(["-listen", str(prefix / "kong")]) == 2
