"""What the docs show works: each Python block is run, each command is run, or checked where it cannot be.

A page's Python blocks run from its top to its end, in one directory: a block with a ``:caption:`` is a file
of that name there.  A file of tests is run by pytest; a plugin is loaded.  A block that cannot be run is
marked by a comment above it, ``.. Not run: needs Kong``, and its syntax is checked.
"""

from __future__ import annotations

import ast
import contextlib
import gc
import re
import shlex
import shutil
import signal
import subprocess
import sys
import textwrap
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import attrs
import pytest
from support import commands
from support.paths import DOCS, EXAMPLES, ROOT

from pluginserver import PluginServer
from pluginserver.testing import Gateway

PAGES = sorted(
    [ROOT / "README.rst", *(path for path in DOCS.rglob("*.rst") if path.name != "changelog.rst")]
)

PLAIN = frozenset({"none", "text", "ini", "toml", "yaml", "json", "lua", "pycon", "docker"})
"""Languages of which nothing is run here."""

SHELLS = frozenset({"console", "shell"})


@attrs.frozen
class Block:
    """A block of code in a page.

    :param language: ``"python"`` where a page does not say; the docs' default.
    :param name: the file that it is, ``""`` for none.
    :param why_not: why it is not run, ``""`` when it is.
    """

    page: Path
    line: int
    language: str
    name: str
    why_not: str
    text: str

    def __str__(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.line}"


def blocks(page: Path) -> Iterator[Block]:
    """The blocks of a page, in order."""
    lines = page.read_text().splitlines()
    for place, line in enumerate(lines):
        directive = re.fullmatch(r" *\.\. code-block:: (\w+)", line)
        literal = line.endswith("::") and not line.lstrip().startswith("..")
        if not directive and not literal:
            continue
        indent = len(line) - len(line.lstrip())
        inner: list[str] = []
        for after in lines[place + 1 :]:
            if after.strip() and len(after) - len(after.lstrip()) <= indent:
                break
            inner.append(after)
        caption = re.search(r":caption: (\S+)", "\n".join(inner[:3])) if directive else None
        options = [one for one in inner if directive and re.match(r" +:[\w-]+:", one)]
        above = "\n".join(lines[max(place - 3, 0) : place])
        why = re.findall(r"^ *\.\. Not run: (.+)$", above, re.M)
        yield Block(
            page,
            place + 1,
            directive[1] if directive else "python",
            caption[1] if caption else "",
            why[-1] if why else "",
            textwrap.dedent("\n".join(one for one in inner if one not in options)).strip("\n")
            + "\n",
        )


BLOCKS = [block for page in PAGES for block in blocks(page)]
TYPED = {DOCS / "tutorial.rst": ROOT / "tests" / "test_tutorial.py"}
"""Pages that a test of their own types from the first line to the last, and that test."""
RUN = [block for block in BLOCKS if not (block.page in TYPED and TYPED[block.page].exists())]
WITH_PYTHON = sorted({block.page for block in RUN if block.language == "python"})
COMMANDS = [block for block in RUN if block.language in SHELLS]


def test_each_block_has_a_language_that_is_known() -> None:
    assert {block.language for block in BLOCKS} <= {"python", *SHELLS, *PLAIN}
    assert len(BLOCKS) > 80


@pytest.mark.parametrize("block", [one for one in BLOCKS if one.language == "python"], ids=str)
def test_what_is_python_is_python(block: Block) -> None:
    ast.parse(block.text, str(block))


AUTH = """
import attrs
from pluginserver import Kong
from pluginserver.errors import PDKError
version = "1.0.0"
priority = 1000
@attrs.define
class Plugin:
    url: str = ""
    per_minute: int = 1
    def access(self, kong: Kong) -> None:
        if self.url:
            raise ConnectionError(f"{self.url} does not answer")
        try:
            kong.client.load_consumer("bob", search_by_username=True)
        except PDKError:
            kong.response.exit(503)
        kong.service.request.set_header("x-user", "bob")
"""
"""The plugin that pages speak of and do not show."""


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory as a reader has it: the examples, and plugins."""
    shutil.copytree(EXAMPLES, tmp_path / "examples")
    (tmp_path / "plugins").mkdir()
    for name in ("auth.py", "limit.py"):
        (tmp_path / "plugins" / name).write_text(AUTH)
    (tmp_path / "my_plugin.py").write_text(AUTH)
    shutil.copy(EXAMPLES / "hello.py", tmp_path / "plugins")
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    for name in ("example", "dumps", "my-plugins"):
        (tmp_path / name).mkdir()
    monkeypatch.chdir(tmp_path)
    return tmp_path


def names(gateway: Gateway) -> dict[str, Any]:
    """What the fragments of a page take for granted."""
    import pluginserver
    from pluginserver import testing

    given = {name: getattr(testing, name) for name in testing.__all__}
    return {
        **given,
        "attrs": attrs,
        "pytest": pytest,
        "pluginserver": pluginserver,
        "attributes": pluginserver.attributes,
        "Kong": pluginserver.Kong,
        "PluginServer": pluginserver.PluginServer,
        "kong": gateway,
        "send_to_client": lambda response: None,
        "pem": "-----BEGIN CERTIFICATE-----",
        "__name__": "page",
    }


@pytest.mark.parametrize("page", WITH_PYTHON, ids=lambda page: str(page.relative_to(ROOT)))
def test_the_python_of_a_page_runs(
    page: Path, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = types.ModuleType("page")
    monkeypatch.setitem(sys.modules, "page", module)
    with closed(Gateway, monkeypatch), closed(PluginServer, monkeypatch):
        vars(module).update(names(Gateway("in-process", root=place)))
        for block in blocks(page):
            if block.language != "python" or block.why_not:
                continue
            text = block.text.replace("/tmp/example/", f"{place}/example/")
            if block.name.startswith("test_") or re.search(r"^def test_", text, re.M):
                run_tests(block, text, place)
            elif re.search(r"^version = ", text, re.M):
                load(block, text, place)
            else:
                exec(compile(text, str(block), "exec"), vars(module))
        vars(module).clear()
    gc.collect()


@contextlib.contextmanager
def closed(kind: type, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Close what a page makes of a kind and does not close."""
    made: list[Any] = []
    init = kind.__init__  # type: ignore[misc]

    def recording(self: Any, *args: Any, **kwargs: Any) -> None:
        made.append(self)
        init(self, *args, **kwargs)

    monkeypatch.setattr(kind, "__init__", recording)
    yield
    for one in made:
        one.close() if isinstance(one, Gateway) else one.stop()


def load(block: Block, text: str, place: Path) -> None:
    """Have the server describe a plugin, as Kong asks for it."""
    file = place / (block.name or "shown.py")
    file.write_text(text)
    done = run(
        [
            sys.executable,
            *commands.MODULE,
            "-plugins-directory",
            str(file.parent),
            "-dump",
            file.stem,
        ]
    )
    assert done.returncode == 0, f"{block}: {done.stderr}"
    assert "warning" not in done.stderr, f"{block}: {done.stderr}"


def run_tests(block: Block, text: str, place: Path) -> None:
    """Run tests as a reader would."""
    file = place / (block.name or "test_shown.py")
    if "import pytest" not in text and "pytest." in text:
        text = f"import pytest\n{text}"
    if "Gateway(" in text or "Quirks(" in text:
        text = f"from pluginserver.testing import *\n{text}"
    file.write_text(text)
    plugins = ("-p", "no:cacheprovider", "-p", "pluginserver.testing.pytest_plugin")
    alone = {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    done = run([sys.executable, "-m", "pytest", "-q", *plugins, str(file)], **alone)
    assert done.returncode == 0, f"{block}: {done.stdout}{done.stderr}"


def run(
    words: list[str], text: str | None = None, **environment: str
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        words,
        input=text,
        capture_output=True,
        text=True,
        timeout=commands.TIMEOUT,
        env={**commands.environment(), **environment},
    )


def shell_lines(block: Block) -> list[str]:
    """The commands of a block, without prompts, and without what they print."""
    text = block.text.replace("\\\n", " ")
    lines = text.splitlines()
    if block.language == "console":
        lines = [line[2:] for line in lines if line.startswith("$ ")]
    return [line for line in lines if line.strip() and not line.startswith("#")]


@pytest.mark.parametrize("block", COMMANDS, ids=str)
def test_commands_are_commands(block: Block) -> None:
    lines = shell_lines(block)
    assert lines
    text = block.text if block.language == "shell" else "\n".join(lines)
    checked = run(["bash", "-n"], text)
    assert checked.returncode == 0, checked.stderr


OURS = re.compile(r"^(\S*/)?(pluginserver|kong-python-pluginserver)$")
SERVES = frozenset({"dev", "serve"})


@pytest.mark.parametrize("block", [one for one in COMMANDS if not one.why_not], ids=str)
def test_commands_do_what_they_say(block: Block, place: Path) -> None:
    hello = (EXAMPLES / "hello.py").read_text()
    for name in ("hello.py", "greet.py"):
        (place / name).write_text(hello)
    shutil.copytree(place / "plugins", place / "opt")
    shutil.copy(EXAMPLES / "audit-log.py", place / "opt")
    for path in ("auth.py", "limit.py"):
        (place / "opt" / path).unlink()
    for line in shell_lines(block):
        words = [translated(word, place) for word in shlex.split(line, comments=True)]
        words = ours(words)
        assert words, f"{block}: {line}: run by nobody; mark it with '.. Not run: needs ...'"
        if is_server(words):
            starts(block, words)
        else:
            done = run(words)
            assert done.returncode == 0, f"{block}: {line}: {done.stdout}{done.stderr}"


def translated(word: str, place: Path) -> str:
    """A word with the paths that a test may write to."""
    for shown, there in (
        ("/opt/plugins", place / "opt"),
        ("/opt/dumps", place / "dumps"),
        ("/usr/local/kong", place / "example"),
    ):
        if word.startswith(str(shown)) and not OURS.match(word):
            return word.replace(str(shown), str(there), 1)
    return word


def ours(words: list[str]) -> list[str]:
    """A command of ours with the interpreter of this test; empty for another's."""
    if OURS.match(words[0]):
        module = "pluginserver.cli.kong_pdk" if "kong-python" in words[0] else "pluginserver"
        return [sys.executable, "-m", module, *words[1:]]
    if re.fullmatch(r"(\S*/)?python3?", words[0]) and words[1:2] == ["-m"]:
        return [sys.executable, *words[1:]] if words[2].startswith("pluginserver") else []
    return ["mkdir", "-p", *words[2:]] if words[:2] == ["mkdir", "-p"] else []


def is_server(words: list[str]) -> bool:
    """Whether a command serves until it is stopped."""
    rest = words[words.index("-m") + 2 :] if "-m" in words else words
    return bool(rest) and (rest[0] in SERVES or (rest[0].startswith("-") and "-dump" not in rest))


def starts(block: Block, words: list[str]) -> None:
    """Start a server; it must say that it is there, and end well."""
    if "dev" in words:
        words = [*words, "--port", "0"]
    with subprocess.Popen(
        words,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=commands.environment(),
    ) as process:
        assert process.stdout is not None
        seen = ""
        for line in process.stdout:
            seen += line
            if re.search(r"listening|^  page ", line):
                break
        process.send_signal(signal.SIGTERM)
        seen += process.communicate(timeout=commands.TIMEOUT)[0]
    assert process.returncode == 0, f"{block}: {seen}"
    assert re.search(r"listening|  page ", seen), f"{block}: {seen}"
