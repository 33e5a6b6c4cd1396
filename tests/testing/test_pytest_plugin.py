"""The pytest plugin, in a pytest of its own: see pluginserver/testing/pytest_plugin.py."""

from __future__ import annotations

import re
import sys
from importlib.metadata import entry_points

import pytest
from support.paths import HELLO

pytest_plugins = ["pytester"]


ISSUE = """
def test_greets(kong):
    kong.plugin("examples/hello.py", message="hi")
    response = kong.get("/", headers={"host": "example.com"})
    assert response.headers["x-hello"] == "hi to example.com"
"""


def run(pytester: pytest.Pytester, *arguments: str) -> pytest.RunResult:
    """Run pytest on the files made so far; the plugin is loaded by its entry point where installed."""
    installed = entry_points(group="pytest11", name="pluginserver")
    own = () if installed else ("-p", "pluginserver.testing.pytest_plugin")
    return pytester.runpytest_subprocess(*own, "-p", "no:cacheprovider", *arguments)


@pytest.fixture(autouse=True)
def project(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    """A project with an example, and pluginserver importable from it."""
    monkeypatch.setenv("PYTHONPATH", str(HELLO.parent.parent))
    (pytester.path / "examples").mkdir()
    (pytester.path / "examples" / "hello.py").write_text(HELLO.read_text())


@pytest.mark.parametrize("arguments", [(), ("--kong-server", "embedded")])
def test_the_first_test(pytester: pytest.Pytester, arguments: tuple[str, ...]) -> None:
    pytester.makepyfile(ISSUE)
    run(pytester, *arguments).assert_outcomes(passed=1)


def test_paths_begin_at_the_tests_file(pytester: pytest.Pytester) -> None:
    (pytester.path / "deep").mkdir()
    (pytester.path / "deep" / "test_it.py").write_text(ISSUE.replace("examples/", ""))
    (pytester.path / "deep" / "hello.py").write_text(HELLO.read_text())
    (pytester.path / "hello.py").write_text("this is another file")
    for arguments in ([], ["--kong-server", "embedded"]):
        result = run(pytester, "--rootdir", str(pytester.path), "deep", *arguments)
        result.assert_outcomes(passed=1)


def test_a_path_that_is_nowhere_is_told_with_both_places(pytester: pytest.Pytester) -> None:
    (pytester.path / "deep").mkdir()
    (pytester.path / "deep" / "test_it.py").write_text(ISSUE.replace("hello.py", "hullo.py"))
    result = run(pytester, "--rootdir", str(pytester.path), "deep")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        [
            "E *GatewayError: there is no plugin file */deep/examples/hullo.py nor */examples/hullo.py: "
            "relative paths begin at */deep, then at *"
        ]
    )


def test_what_is_not_beside_the_test_is_looked_for_at_the_root(pytester: pytest.Pytester) -> None:
    (pytester.path / "deep").mkdir()
    (pytester.path / "deep" / "test_it.py").write_text(ISSUE)
    run(pytester, "--rootdir", str(pytester.path), "deep").assert_outcomes(passed=1)


def test_a_command_as_server(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(ISSUE.replace("examples/hello.py", "hello"))
    line = f"{sys.executable} -m pluginserver -socket {{socket}} -plugins-directory examples"
    run(pytester, "--kong-server", f"command:{line}").assert_outcomes(passed=1)


def test_the_marker(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        import pytest

        pytestmark = pytest.mark.kong(server="embedded", timeout=3, hopping=False)

        @pytest.mark.kong(timeout=4, raise_bugs=False)
        def test_settings(kong):
            assert type(kong.transport).__name__ == "Embedded"
            assert kong.transport.timeout == 4
            assert kong.raise_bugs is False
            assert kong.quirks.hopping is False
            assert kong.quirks.cut_at_none is True

        @pytest.mark.kong(root="examples")
        def test_root(kong):
            kong.plugin("hello.py")

        @pytest.mark.kong(brew=True)
        def test_unknown(kong):
            pass
        """
    )
    result = run(pytester, "--strict-markers")
    result.assert_outcomes(passed=2, errors=1)
    result.stdout.fnmatch_lines(["*unexpected keyword argument 'brew'*"])


def test_settings_of_the_project(pytester: pytest.Pytester) -> None:
    pytester.makeini("[pytest]\nkong_server = embedded\nkong_timeout = 7")
    pytester.makepyfile(
        """
        def test_settings(kong):
            assert type(kong.transport).__name__ == "Embedded"
            assert kong.transport.timeout == 7
        """
    )
    run(pytester).assert_outcomes(passed=1)
    result = run(pytester, "--kong-server", "in-process")
    result.assert_outcomes(failed=1)


@pytest.mark.parametrize(
    ("ini", "marker", "option", "played"),
    [
        ("", "", (), "3.9.3"),
        ("kong_version = 3.8", "", (), "3.8"),
        ("kong_version = 3.8", "kong='3.12'", (), "3.12"),
        ("kong_version = 3.8", "kong='3.12'", ("--kong-version", "3.14"), "3.14"),
    ],
)
def test_the_version_of_kong(
    pytester: pytest.Pytester, ini: str, marker: str, option: tuple[str, ...], played: str
) -> None:
    pytester.makeini(f"[pytest]\n{ini}")
    pytester.makepyfile(
        f"""
        import pytest

        @pytest.mark.kong({marker})
        def test_version(kong):
            assert kong.node.version.text == "{played}"
        """
    )
    run(pytester, *option).assert_outcomes(passed=1)


def test_a_wrong_version_is_said_in_a_sentence(pytester: pytest.Pytester) -> None:
    pytester.makepyfile("def test_it(kong): pass")
    result = run(pytester, "--kong-version", "2.8")
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*'2.8' is not a version of Kong from 3.0 on: write 3.9*"])


def test_a_failure_shows_what_kong_saw(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        def test_wrong(kong):
            kong.plugin("examples/hello.py", message="hi")
            assert kong.get("/").headers["x-hello"] == "other"

        def test_no_request(kong):
            assert False

        def test_without():
            assert False
        """
    )
    result = run(pytester)
    result.assert_outcomes(failed=3)
    text = result.stdout.str()
    assert text.count("what Kong saw") == 1
    result.stdout.fnmatch_lines(
        [
            "*what Kong saw*",
            "GET http://localhost/ -> 200 from the service*",
            "  access hello*",
            "    kong.request.get_header('host') -> 'localhost'*",
            "      response header x-hello: 'hi to localhost'",
        ]
    )


def test_a_bug_fails_the_test_and_shows_its_traceback(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        buggy="""
        version = "1.0.0"
        priority = 1

        class Plugin:
            def access(self, kong):
                {}["missing"]
        """,
        test_it="""
        def test_bug(kong):
            kong.plugin("buggy.py")
            kong.get("/")
        """,
    )
    result = run(pytester)
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        [
            "*KeyError: 'missing'",
            "*buggy.py:6: KeyError",
            "The above exception was the direct cause*",
            "*PluginBug: buggy raised KeyError: 'missing'*in access*",
            "  BUG (raised): *",
        ]
    )


def test_nothing_heavy_is_imported_for_tests_without_kong(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        import sys

        def test_modules():
            heavy = {"msgpack", "cattrs", "structlog", "pluginserver.testing.gateway"}
            assert not heavy & set(sys.modules)
        """
    )
    run(pytester).assert_outcomes(passed=1)


DOUBTFUL = """
version, priority = "1.0.0", 1
class Plugin:
    def acess(self, kong): pass
    def log(self, kong): pass
"""


def test_what_is_doubtful_is_a_warning_of_each_test_with_its_place(
    pytester: pytest.Pytester,
) -> None:
    pytester.makepyfile(
        doubtful=DOUBTFUL,
        test_it="""
        import warnings

        import pytest
        from pluginserver.testing import Gateway, PluginWarning

        def test_it(kong):
            kong.plugin("doubtful.py")
            kong.get()

        def test_it_again(kong):
            with pytest.warns(PluginWarning, match="did you mean 'access'") as warned:
                kong.plugin("doubtful.py")
            assert warned[0].filename.endswith("doubtful.py")
            assert warned[0].lineno == 3

        @pytest.mark.filterwarnings("ignore::pluginserver.testing.PluginWarning")
        def test_it_is_meant(kong):
            kong.plugin("doubtful.py")

        def test_a_gateway_by_hand():
            with Gateway() as kong, pytest.warns(PluginWarning):
                kong.plugin("doubtful.py")
        """,
    )
    result = run(pytester, "test_it.py")
    result.assert_outcomes(passed=4, warnings=1)
    result.stdout.fnmatch_lines(["*doubtful.py:3: PluginWarning: Kong never calls acess: *"])
    run(pytester, "-W", "error", "test_it.py").assert_outcomes(passed=3, failed=1)


THREADS = """
import logging, threading
import attrs
from pluginserver import KongHandler

version, priority = "1.0.0", 1
log = logging.getLogger("threads")
log.addHandler(KongHandler())
begin, over = threading.Event(), threading.Event()

@attrs.define
class Plugin:
    how: str = "asks"

    def access(self, kong):
        begin.clear()
        over.clear()
        thread = threading.Thread(target=getattr(self, self.how), args=[kong], name="mine", daemon=True)
        thread.start()

    def asks(self, kong):
        begin.wait()
        try:
            kong.request.get_host()
        except Exception:
            pass
        over.set()

    def logs(self, kong):
        begin.wait()
        log.warning("a line")
        over.set()
"""


def test_a_thread_that_calls_kong_fails_the_test_in_which_it_does(
    pytester: pytest.Pytester,
) -> None:
    pytester.makepyfile(
        threads=THREADS,
        test_it="""
        import sys

        def module():
            found = [name for name in sys.modules if name.startswith("_pluginserver_")]
            return sys.modules[next(name for name in found if name.endswith("_threads"))]

        def play(kong, how):
            kong.plugin("threads.py", how=how)
            kong.get()

        def end():
            module().begin.set()
            assert module().over.wait(60)

        def test_a_thread_that_does_not_call_in_time(kong):
            play(kong, "asks")

        def test_the_thread_of_an_earlier_test_is_not_this_tests(kong):
            end()

        def test_after_the_request(kong):
            play(kong, "asks")
            end()

        def test_a_logging_handler_writes_elsewhere_there(kong):
            play(kong, "logs")
            end()

        def test_before_the_next_request(kong):
            play(kong, "asks")
            end()
            kong.get()
            raise AssertionError("the request did not tell")
        """,
    )
    result = run(pytester)
    result.assert_outcomes(passed=3, failed=2)
    result.stdout.fnmatch_lines(
        [
            "E *kong.request.get_host was called in the thread 'mine', which runs no event*threads.py:*"
        ]
    )
    result.stdout.no_fnmatch_line("*the request did not tell")


BUGGY = """
version = "1.0.0"
priority = 1

class Plugin:
    def access(self, kong):
        helper(kong)

def helper(kong):
    kong.response.set_header("x-a", None)
"""


@pytest.mark.parametrize("server", ["in-process", "embedded"])
def test_a_traceback_has_no_frames_of_ours(pytester: pytest.Pytester, server: str) -> None:
    pytester.makepyfile(
        buggy=BUGGY,
        test_it="""
        def test_bug(kong):
            kong.plugin("buggy.py")
            kong.get("/")

        def test_not_reached(kong):
            kong.upstream = lambda request: 1 / 0
            kong.service_request

        def test_no_file(kong):
            kong.plugin("nothing.py")
        """,
    )
    shown = run(pytester, "--kong-server", server)
    shown.assert_outcomes(failed=3)
    frames = re.findall(r"^(\S+\.py):\d+: ", shown.stdout.str(), re.MULTILINE)
    assert frames
    assert not [one for one in frames if "pluginserver" in one], frames
    assert "test_it.py:3: PluginBug" in shown.stdout.str()
    whole = run(pytester, "--kong-server", server, "--full-trace").stdout.str()
    assert "pluginserver/testing/gateway.py" in whole


def test_a_test_for_each_phase(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        both="""
        version, priority = "1.0.0", 1

        class Plugin:
            def access(self, kong):
                kong.log.warn("in access")

            def log(self, kong):
                kong.log.warn("in log")
        """,
        test_it="""
        import pytest

        @pytest.mark.parametrize("phase", ["access", "log"])
        def test_it_says_where_it_is(kong, phase):
            kong.plugin("both.py")
            kong.get("/", phases=[phase])
            assert [line.message for line in kong.logs] == [f"in {phase}"]
        """,
    )
    run(pytester).assert_outcomes(passed=2)


def test_time_that_one_test_has_moved_is_not_the_next_ones(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        clocked="""
        from time import time
        version, priority = "1.0.0", 1

        class Plugin:
            def access(self, kong):
                kong.response.exit(200, {"time": time()})
        """,
        test_it="""
        import time
        import pytest

        @pytest.mark.parametrize("seconds", [7200, 0])
        def test_moves(kong, seconds):
            kong.plugin("clocked.py")
            before = time.time()
            kong.clock.advance(seconds)
            assert seconds <= kong.get("/").json()["time"] - before < seconds + 3600
        """,
    )
    run(pytester).assert_outcomes(passed=2)


@pytest.mark.parametrize("server", ["in-process", "embedded"])
def test_several_processes_may_test_the_same_plugin_at_once(
    pytester: pytest.Pytester, server: str
) -> None:
    pytest.importorskip("xdist")
    pytester.makepyfile(
        """
        import pytest

        @pytest.mark.parametrize("number", range(8))
        def test_greets(kong, number):
            kong.plugin("examples/hello.py", message=f"hi {number}")
            assert kong.get("/").headers["x-hello"] == f"hi {number} to localhost"
        """
    )
    run(pytester, "-n", "2", "--kong-server", server).assert_outcomes(passed=8)
