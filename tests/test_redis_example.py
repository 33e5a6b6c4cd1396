"""The rate limit that nodes share, against a real Redis.

``.ci/run`` installs the program; where it is not, these tests are skipped, but never in CI.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from support.paths import ROOT
from support.plugins import eventually

from pluginserver.testing import Gateway

redis = pytest.importorskip("redis")

PLUGIN = ROOT / "examples" / "redis" / "rate-limit-redis.py"


@pytest.fixture
def url(prefix: Path) -> Iterator[str]:
    """A Redis of the test's own, without a file and a port."""
    program = shutil.which("redis-server")
    if program is None:
        missing = "there is no redis-server: apt-get install redis-server"
        pytest.fail(missing) if os.environ.get("CI") else pytest.skip(missing)
    path = prefix / "redis.sock"
    flags = ("--port", "0", "--unixsocket", path, "--save", "", "--appendonly", "no")
    with subprocess.Popen(
        [program, *map(str, flags)], stdout=subprocess.DEVNULL, cwd=prefix
    ) as server:
        try:
            eventually(lambda: accepts(path))
            yield f"unix://{path}"
        finally:
            server.terminate()


def accepts(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as client:
        return client.connect_ex(str(path)) == 0


def node(stack: ExitStack, **config: Any) -> Gateway:
    """A Kong with a plugin server of its own."""
    kong = stack.enter_context(Gateway("embedded", root=ROOT))
    kong.plugin(PLUGIN, **config)
    return kong


def test_nodes_share_their_buckets(url: str) -> None:
    with ExitStack() as stack:
        nodes = [node(stack, url=url, limit=3, window=3600) for _ in range(2)]
        left = []
        for number in range(3):
            response = nodes[number % 2].get("/")
            assert response.status == 200
            left.append(response.headers["x-ratelimit-remaining"])
        assert left == ["2", "1", "0"]
        for one in nodes:
            response = one.get("/")
            assert response.status == 429
            assert 0 < int(response.headers["retry-after"]) <= 1201


def test_each_client_has_a_bucket_of_its_own(url: str) -> None:
    with ExitStack() as stack:
        kong = node(stack, url=url, limit=1, window=3600)
        assert kong.get("/").status == 200
        assert kong.get("/").status == 429
        redis.Redis.from_url(url).delete("rate-limit:127.0.0.1")
        assert kong.get("/").status == 200


@pytest.mark.parametrize(("without_redis", "status"), [("allow", 200), ("refuse", 503)])
def test_without_redis_the_configuration_decides(
    prefix: Path, without_redis: str, status: int
) -> None:
    with ExitStack() as stack:
        kong = node(stack, url=f"unix://{prefix / 'none'}", without_redis=without_redis)
        assert kong.get("/").status == status
        assert any("Redis cannot be asked" in line.message for line in kong.logs)
