"""The ``kong`` of a handler for kong-pdk, in front of the simulated Kong."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from support.kongpdk import write

from pluginserver.compat.proxies import KEPT, kong_for
from pluginserver.testing import Gateway

BOTH = pytest.mark.parametrize("lua", [True, False], ids=["lua style", "python style"])

Ask = Callable[..., Any]


@pytest.fixture
def kong() -> Iterator[Gateway]:
    with Gateway(raise_bugs=False) as gateway:
        yield gateway


@pytest.fixture
def ask(kong: Gateway, tmp_path: Path) -> Ask:
    """Runs a handler with some lines; gives the value of an expression in it, as ``repr`` has it.

    A request that ends otherwise fails the test; its keywords are the request's.
    """

    def ask(expression: str, *before: str, lua: bool = True, head: str = "", **more: Any) -> Any:
        lines = [*before, f"found = {expression}", "kong.response.exit(200, repr(found))"]
        head = f"{head}\nlua_style = {lua}\nfrom kong_pdk.exception import PDKException"
        kong.plugin(write(tmp_path, "p", *lines, head=head))
        response = kong.request("GET", "/", **more)
        assert response.status == 200, kong.transcript()
        return eval(response.text)

    return ask


PAIRS = [
    ('kong.request.get_header("x-a")', "1"),
    ('kong.request.get_header("x-none")', None),
    ('kong.request.get_headers()["x-a"]', ["1", "2"]),
    ("kong.request.get_query()", {"q": ["a"]}),
    ("kong.request.get_raw_body()", b""),
    ("kong.request.get_nothing()", None),
    ('kong.log.error(ValueError("x"))', None),
    ('kong.response.set_header("x", "y")', None),
    ("kong.client.get_consumer()", None),
    ('kong.ctx.shared.set("k", [1])', None),
    ('kong.nginx.get_var("host")', "localhost"),
]
REQUEST = {"headers": [("x-a", "1"), ("x-a", "2")], "query": {"q": "a"}}


@pytest.mark.parametrize(("call", "answer"), PAIRS)
def test_in_lua_style_every_call_gives_a_pair(ask: Ask, call: str, answer: Any) -> None:
    call, index, rest = call.partition(")[")
    expression = f"({call + ')' * bool(index)})[0][{rest}" if index else call
    expected = answer if index else (answer, None)
    assert ask(expression, **REQUEST) == expected


@pytest.mark.parametrize(("call", "answer"), PAIRS)
def test_in_python_style_it_gives_the_data(ask: Ask, call: str, answer: Any) -> None:
    assert ask(call, lua=False, **REQUEST) == answer


@BOTH
def test_entities_are_dicts(kong: Gateway, ask: Ask, lua: bool) -> None:
    kong.route("/", service=kong.service("things"), name="all")
    found = ask("kong.router.get_service()", lua=lua)
    service = found[0] if lua else found
    assert type(service) is dict and service["name"] == "things"


def test_an_error_of_kongs_is_the_second_of_the_pair(kong: Gateway, ask: Ask) -> None:
    kong.faults.error("kong.request.get_host", "no host")
    assert ask("kong.request.get_host()") == (None, "no host")


def test_an_error_of_kongs_is_raised_in_python_style(kong: Gateway, ask: Ask) -> None:
    kong.faults.error("kong.request.get_host", "no host")
    before = ("try:", "    kong.request.get_host()", "except PDKException as error:")
    text = ask("text", *before, "    text = str(error)", lua=False)
    assert text == "exception from kong.request.get_host: no host"


@BOTH
def test_a_call_in_a_wrong_phase_raises_what_the_plugin_can_catch(ask: Ask, lua: bool) -> None:
    before = (
        "try:",
        "    kong.log.serialize()",
        "    text = None",
        "except PDKException as error:",
        "    text = str(error)",
    )
    assert "kong.log.serialize cannot be called in access: it works in log" in ask(
        "text", *before, lua=lua
    )


@BOTH
@pytest.mark.parametrize("end", ["exit(403, {'message': 'no'})", "error(403, 'no')"])
def test_exit_and_error_end_the_handler(
    kong: Gateway, tmp_path: Path, lua: bool, end: str
) -> None:
    lines = (f"kong.response.{end}", "kong.response.set_header('x-after', '1')")
    kong.plugin(write(tmp_path, "p", *lines, head=f"lua_style = {lua}"))
    response = kong.get("/")
    assert response.status == 403 and response.json()["message"] == "no"
    assert "x-after" not in response.headers
    assert kong.exchange.problems == []


def test_a_handler_that_goes_on_in_vain_is_ended_all_the_same(
    kong: Gateway, tmp_path: Path
) -> None:
    lines = ("try:", "    kong.response.exit(401)", "except Exception:", "    pass", "1 / 0")
    kong.plugin(write(tmp_path, "p", *lines))
    assert kong.get("/").status == 401


@pytest.mark.parametrize(
    "line", ["1 / 0", "import sys; sys.exit(3)", "kong.request.get_host(x=1)"]
)
def test_an_exception_is_a_500_and_the_next_request_is_served(
    kong: Gateway, tmp_path: Path, line: str
) -> None:
    kong.plugin(write(tmp_path, "p", "if kong.request.get_query_arg('bad')[0]:", f"    {line}"))
    assert kong.get("/?bad=1").status == 500
    assert kong.get("/").status == 200


PRINTED = [
    ("'a', 1, [2], {'b': 3}", ("a", 1, [2], {"b": 3})),
    ("True", ("True",)),
    ("None", ("None",)),
    ("1.5", ("1.5",)),
    ("b'b'", ("b'b'",)),
    ("(1, 2)", ("(1, 2)",)),
    ("ValueError('x')", ("x",)),
]


@pytest.mark.parametrize("function", ["kong.log", "kong.log.err", "kong.log.set_serialize_value"])
@pytest.mark.parametrize(("given", "sent"), PRINTED)
def test_what_is_logged_becomes_text(
    kong: Gateway, tmp_path: Path, function: str, given: str, sent: tuple[Any, ...]
) -> None:
    first = () if function != "kong.log.set_serialize_value" else ("key",)
    kong.plugin(write(tmp_path, "p", f"{function}(*{first!r}, {given})"))
    kong.get("/")
    (call,) = kong.callbacks
    assert (call.method, call.args) == (function, (*first, *sent))


@pytest.mark.parametrize(
    ("given", "sent"),
    [("b'raw'", "raw"), ("True", True), ("(1, 2)", [1, 2]), ("{'a': {'b': 1}}", {"a": {"b": 1}})],
)
def test_other_arguments_go_as_they_are(
    kong: Gateway, tmp_path: Path, given: str, sent: Any
) -> None:
    kong.plugin(write(tmp_path, "p", f"kong.ctx.shared.set('k', {given})"))
    kong.get("/")
    assert kong.callbacks[0].args == ("k", sent)


def test_what_cannot_be_sent_is_a_500_and_not_a_wait(kong: Gateway, tmp_path: Path) -> None:
    kong.plugin(write(tmp_path, "p", "kong.ctx.shared.set('k', {1, 2})"))
    assert kong.get("/").status == 500
    assert "set" in str(kong.exchange.problems[0].error)


def test_bytes_that_are_not_utf8_cross_and_come_back(ask: Ask, kong: Gateway) -> None:
    found = ask(
        "kong.request.get_header('x-b')[0]",
        "kong.response.set_header('x-c', kong.request.get_header('x-b')[0])",
        headers={"x-b": b"\xff\xfe".decode("utf-8", "surrogateescape")},
    )
    assert found.encode("utf-8", "surrogateescape") == b"\xff\xfe"


def test_used_as_text_a_function_is_called_in_python_style(ask: Ask) -> None:
    assert ask("'%s' % kong.request.get_method", lua=False) == "GET"


def test_a_function_is_true_and_equals_itself(ask: Ask) -> None:
    found = ask("(bool(kong.request), kong.a == kong.a, repr(kong.a.b), hasattr(kong, '__len__'))")
    assert found == (True, True, "<kong.a.b>", False)


def test_used_as_text_in_lua_style_it_is_a_500(kong: Gateway, tmp_path: Path) -> None:
    kong.plugin(write(tmp_path, "p", "'%s' % kong.request.get_method"))
    assert kong.get("/").status == 500
    assert "was used as text and answered tuple" in str(kong.exchange.problems[0].error)


@pytest.mark.filterwarnings("ignore::pluginserver.testing.PluginWarning")
def test_nothing_that_a_handler_assigns_is_there_for_another(ask: Ask, kong: Gateway) -> None:
    assert ask(
        "repr(kong.secret), repr(kong.ctx.shared.user)",
        "kong.secret = 1",
        "kong.ctx.shared.user = 2",
    ) == ("<kong.secret>", "<kong.ctx.shared.user>")


def test_our_own_plugins_beside_them_get_our_own_kong(kong: Gateway, tmp_path: Path) -> None:
    (tmp_path / "ours.py").write_text(
        "version, priority = '1.0.0', 1\nclass Plugin:\n    def access(self, kong):\n"
        "        kong.response.set_header('x-ours', kong.request.get_method())\n"
    )
    kong.plugin(write(tmp_path, "p", "kong.response.set_header('x-theirs', 'y')"))
    kong.plugin(tmp_path / "ours.py")
    headers = kong.get("/").headers
    assert (headers["x-ours"], headers["x-theirs"]) == ("GET", "y")


@BOTH
def test_an_unknown_function_answers_nil_in_protobuf_too(
    kong: Gateway, tmp_path: Path, lua: bool
) -> None:
    lines = ("found = kong.log.error(ValueError('x'))", "kong.response.exit(200, repr(found))")
    head = f"protocol = 'protobuf'\nlua_style = {lua}"
    kong.plugin(write(tmp_path, "p", *lines, head=head))
    assert eval(kong.get("/").text) == ((None, None) if lua else None)
    assert kong.exchange.runs[0].protocol == "protobuf"
    (line,) = kong.exchange.logs
    assert line.level == "err" and "could not find pdk method: kong.log.error" in line.message


def test_names_that_a_plugin_makes_up_are_not_kept_for_ever() -> None:
    name = kong_for(True).made_up
    for number in range(KEPT * 2):
        assert repr(getattr(name, f"x{number}")) == f"<kong.made_up.x{number}>"
    assert len(vars(name)) == KEPT


def test_where_the_real_one_is_installed_its_own_exception_is_raised(ask: Ask, real: None) -> None:
    before = (
        "try:",
        "    kong.log.serialize()",
        "except PDKException as error:",
        "    caught = type(error).__mro__",
    )
    found = ask("[f'{one.__module__}.{one.__name__}' for one in caught]", *before)
    assert "kong_pdk.exception.PDKException" in found
    assert "pluginserver.errors.PhaseError" in found
