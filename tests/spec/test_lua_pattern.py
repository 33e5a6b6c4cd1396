"""Lua's patterns: known results, malformed ones, and the same as LuaJIT for any pattern and text."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pluginserver.spec.lua_pattern import LuaPattern, LuaPatternError, TooLongError


@pytest.mark.parametrize(
    ("pattern", "text", "found"),
    [
        ("", "", [b""]),
        ("b", "abc", [b"b"]),
        ("^b", "abc", None),
        ("c$", "abc", [b"c"]),
        ("b$", "abc", None),
        ("$b", "a$b", [b"$b"]),
        ("a^", "a^", [b"a^"]),
        ("^%u+$", "GET", [b"GET"]),
        ("^%u+$", "Get", None),
        ("%a+", "12 abc", [b"abc"]),
        ("%D", "12x", [b"x"]),
        ("%.", "a.b", [b"."]),
        ("%w+", "é_a1", [b"a1"]),
        ("[%w_-]+", "a-b_c!", [b"a-b_c"]),
        ("[^%s]+", " a b", [b"a"]),
        ("[a-c]+", "xabcd", [b"abc"]),
        ("[]]+", "a]]b", [b"]]"]),
        ("[^]]", "]a", [b"a"]),
        ("[a-]+", "b-a", [b"-a"]),
        ("[%a-z]+", "a-z", [b"a-z"]),
        ("a*", "aaa", [b"aaa"]),
        ("a-", "aaa", [b""]),
        ("a+", "baa", [b"aa"]),
        ("ba?c", "bc", [b"bc"]),
        ("<(.-)>", "<a><b>", [b"a"]),
        ("(a*(.)%w(%s*))", "aab 1", [b"aab ", b"a", b" "]),
        ("()b()", "abc", [2, 3]),
        ("(%a)%1", "abba", [b"b"]),
        ("%b()", "f(a(b)c)d)", [b"(a(b)c)"]),
        ("%b''", "x'y'z", [b"'y'"]),
        ("%f[%w]%w+%f[%W]", "  one two", [b"one"]),
        ("%f[%z]", "ab", [b""]),
        ("a\0b", "a", [b"a"]),
        (b"\xff", b"a\xffb", [b"\xff"]),
    ],
)
def test_what_a_pattern_finds(pattern: str, text: str, found: list[Any] | None) -> None:
    assert LuaPattern(pattern).captures(text) == found


@pytest.mark.parametrize(
    ("pattern", "words"),
    [
        ("%", "ends with '%'"),
        ("a%", "ends with '%'"),
        ("[a", "missing ']'"),
        ("[", "missing ']'"),
        ("[]", "missing ']'"),
        ("[a%", "missing ']'"),
        ("(a", "unfinished capture"),
        ("a)", "invalid pattern capture"),
        ("%1", "invalid capture index %1"),
        ("(a%1)", "invalid capture index %1"),
        ("%b(", "unbalanced pattern"),
        ("%fa", "missing '[' after '%f'"),
        ("()" * 33, "too many captures"),
        ("a" * 151, "too complex"),
    ],
)
def test_a_malformed_pattern_is_an_error(pattern: str, words: str) -> None:
    with pytest.raises(LuaPatternError) as caught:
        LuaPattern(pattern)
    assert words in str(caught.value)


def test_where_a_match_is_counts_in_bytes() -> None:
    assert LuaPattern("a+").find("éaab") == (2, 4)
    assert LuaPattern("x").find("éaab") is None


def test_a_match_that_takes_too_long_is_given_up() -> None:
    with pytest.raises(TooLongError):
        LuaPattern(".-" * 12 + "x").find("a" * 60)


ITEMS = [
    *(b"a", b"b", b".", b"%a", b"%D", b"%w", b"%g", b"%s", b"[ab]", b"[^a]", b"[a-c]", b"[]-a]"),
    *(b"[a-%]]", b"[%w_-]", b"[", b"]", b"(", b")", b"()", b"(a*)", b"(.-)", b"%b()", b"%bx"),
    *(b"%f[%w]", b"%f", b"%1", b"%2", b"*", b"+", b"-", b"?", b"^", b"$", b"%", b"%z", b"\xc3"),
]


@given(
    st.lists(st.sampled_from(ITEMS), max_size=6).map(b"".join),
    st.lists(st.sampled_from(b"aabbc()1. _-]A\0\xc3"), max_size=10).map(bytes),
)
def test_it_finds_what_luajit_finds(pattern: bytes, text: bytes) -> None:
    lupa = pytest.importorskip("lupa.luajit20", reason="there is no lupa with LuaJIT")
    lua = lupa.LuaRuntime(encoding=None)
    call = lua.eval(b"function(text, pattern) return pcall(string.match, text, pattern) end")
    answer = call(text, pattern)
    good, *found = answer if isinstance(answer, tuple) else (answer, None)
    try:
        ours = LuaPattern(pattern).captures(text)
    except LuaPatternError:
        assert not good or found == [None]
    else:
        assert good
        assert ours == (None if found == [None] else found)
