"""Lua's patterns, as Lua 5.1 and LuaJIT match them: what Kong's ``match`` and its kin are written in.

Theory of operation.  A pattern is compiled into a chain of small matchers, each of which is called with a
position and a continuation, and returns where the whole match ends or None: so an item that can be
repeated tries its counts until what follows it matches.

Rules kept here:

* text and patterns are bytes, and the classes (``%a``, ``%w``, ...) those of the C locale, as in nginx;
* a pattern ends at its first zero byte, for which ``%z`` stands;
* a malformed pattern raises when it is compiled; Lua raises only when the match comes to the mistake,
  so that what raises here may never be noticed there, and nothing the other way round;
* a match that takes more than :data:`MAX_STEPS` steps is given up, as nothing can be said of it then.
"""

from __future__ import annotations

import string
from collections.abc import Callable
from typing import Final, TypeAlias

MAX_STEPS: Final = 1_000_000
"""So many steps may a match take: a second or two."""

MAX_CAPTURES: Final = 32
"""``LUA_MAXCAPTURES``."""

MAX_DEPTH: Final = 150
"""So many items may a pattern have that follow each other; Lua's own limit is 200 nested calls."""

_POSITION: Final = -2
_OPEN: Final = -1

_CLASSES: Final = {
    "a": string.ascii_letters,
    "c": "".join(map(chr, [*range(32), 127])),
    "d": string.digits,
    "g": "".join(map(chr, range(33, 127))),
    "l": string.ascii_lowercase,
    "p": string.punctuation,
    "s": string.whitespace,
    "u": string.ascii_uppercase,
    "w": string.ascii_letters + string.digits,
    "x": string.hexdigits,
    "z": "\0",
}
_ALL: Final = frozenset(range(256))

Set: TypeAlias = "frozenset[int]"


class LuaPatternError(ValueError):
    """A pattern is malformed; the text says how."""


class TooLongError(Exception):
    """A match was given up."""


class _Match:
    """One attempt to match: the text, and what was captured so far."""

    __slots__ = ("captures", "steps", "text")

    def __init__(self, text: bytes) -> None:
        self.text = text
        self.captures: list[tuple[int, int]] = []
        """Where each begins, and its length, :data:`_OPEN` or :data:`_POSITION`."""
        self.steps = 0

    def step(self) -> None:
        self.steps += 1
        if self.steps > MAX_STEPS:
            raise TooLongError


Next: TypeAlias = Callable[[_Match, int], "int | None"]
"""What is left to match at a position: where it ends, or None."""


class LuaPattern:
    """A compiled pattern.

    :param pattern: the pattern; text is taken as UTF-8.
    :raises LuaPatternError: when it is malformed.
    """

    def __init__(self, pattern: str | bytes) -> None:
        source = _bytes(pattern).partition(b"\0")[0]
        self._anchored = source.startswith(b"^")
        self._next = _Compiler(source, 1 if self._anchored else 0).compile()

    def find(self, text: str | bytes) -> tuple[int, int] | None:
        """The first match, as ``string.find`` gives it, but counted from 0, in bytes.

        :returns: where it begins, and where it ends; None when there is none.
        :raises TooLongError: when the match takes too long.
        """
        found = self._search(text)
        return None if found is None else found[:2]

    def captures(self, text: str | bytes) -> list[bytes | int] | None:
        """What ``string.match`` returns: the captures, or the whole match where there are none.

        :returns: bytes, and for ``()`` the position, counted from 1; None when nothing matches.
        :raises TooLongError: when the match takes too long.
        """
        found = self._search(text)
        if found is None:
            return None
        start, end, match = found
        if not match.captures:
            return [match.text[start:end]]
        return [
            at + 1 if length == _POSITION else match.text[at : at + length]
            for at, length in match.captures
        ]

    def _search(self, text: str | bytes) -> tuple[int, int, _Match] | None:
        match = _Match(_bytes(text))
        last = 0 if self._anchored else len(match.text)
        for start in range(last + 1):
            match.captures.clear()
            end = self._next(match, start)
            if end is not None:
                return start, end, match
        return None


class _Compiler:
    """Reads a pattern once, from its end to its beginning in effect: each item gets what follows it."""

    def __init__(self, source: bytes, at: int) -> None:
        self._source = source
        self._at = at
        self._open: list[int] = []
        self._closed: set[int] = set()
        self._count = 0

    def compile(self) -> Next:
        makers: list[Callable[[Next], Next]] = []
        while self._at < len(self._source):
            makers.append(self._item())
        if self._open:
            raise LuaPatternError("unfinished capture")
        if len(makers) > MAX_DEPTH:
            raise LuaPatternError("pattern too complex")
        following: Next = _end
        for maker in reversed(makers):
            following = maker(following)
        return following

    def _item(self) -> Callable[[Next], Next]:
        source, at = self._source, self._at
        char, rest = source[at : at + 1], source[at + 1 : at + 2]
        if char == b"(":
            return self._begin_capture(position=rest == b")")
        if char == b")":
            return self._end_capture()
        if char == b"$" and at + 1 == len(source):
            self._at += 1
            return _at_end
        if char == b"%" and rest == b"b":
            pair = source[at + 2 : at + 4]
            if len(pair) < 2:
                raise LuaPatternError("unbalanced pattern: %b needs two characters")
            self._at += 4
            return lambda following: _balanced(pair[0], pair[1], following)
        if char == b"%" and rest == b"f":
            self._at += 2
            if source[self._at : self._at + 1] != b"[":
                raise LuaPatternError("missing '[' after '%f' in pattern")
            edge = self._set()
            return lambda following: _frontier(edge, following)
        if char == b"%" and rest.isdigit():
            self._at += 2
            return self._back_reference(int(rest) - 1)
        return self._repeated(self._single())

    def _begin_capture(self, position: bool) -> Callable[[Next], Next]:
        if self._count >= MAX_CAPTURES:
            raise LuaPatternError("too many captures")
        number, self._count = self._count, self._count + 1
        self._at += 2 if position else 1
        if position:
            self._closed.add(number)
        else:
            self._open.append(number)
        length = _POSITION if position else _OPEN
        return lambda following: _capture(number, length, following)

    def _end_capture(self) -> Callable[[Next], Next]:
        if not self._open:
            raise LuaPatternError("invalid pattern capture: ) without (")
        number = self._open.pop()
        self._closed.add(number)
        self._at += 1
        return lambda following: _close(number, following)

    def _back_reference(self, number: int) -> Callable[[Next], Next]:
        if number not in self._closed:
            raise LuaPatternError(f"invalid capture index %{number + 1}")
        return lambda following: _again(number, following)

    def _single(self) -> Set:
        """The characters that one item matches."""
        source, at = self._source, self._at
        if source[at] == ord("["):
            return self._set()
        if source[at] == ord("%"):
            if at + 1 >= len(source):
                raise LuaPatternError("malformed pattern (ends with '%')")
            self._at += 2
            return _class(source[at + 1])
        self._at += 1
        return _ALL if source[at] == ord(".") else frozenset({source[at]})

    def _set(self) -> Set:
        """A set in brackets; its first character may be the closing bracket."""
        source, at = self._source, self._at + 1
        negated = source[at : at + 1] == b"^"
        at += negated
        end = self._end_of_set(at)
        found: set[int] = set()
        while at < end:
            if source[at] == ord("%"):
                found |= _class(source[at + 1])
                at += 2
            elif source[at + 1] == ord("-") and at + 2 < end:
                found.update(range(source[at], source[at + 2] + 1))
                at += 3
            else:
                found.add(source[at])
                at += 1
        self._at = end + 1
        return _ALL - found if negated else frozenset(found)

    def _end_of_set(self, at: int) -> int:
        source, first = self._source, True
        while first or source[at : at + 1] != b"]":
            if at >= len(source):
                raise LuaPatternError("malformed pattern (missing ']')")
            at += 2 if source[at] == ord("%") else 1
            first = False
        return at

    def _repeated(self, chars: Set) -> Callable[[Next], Next]:
        mark = self._source[self._at : self._at + 1]
        if mark in (b"*", b"+", b"-", b"?") and mark:
            self._at += 1
        match mark:
            case b"*":
                return lambda following: _greedy(chars, 0, None, following)
            case b"+":
                return lambda following: _greedy(chars, 1, None, following)
            case b"?":
                return lambda following: _greedy(chars, 0, 1, following)
            case b"-":
                return lambda following: _lazy(chars, following)
            case _:
                return lambda following: _one(chars, following)


def _bytes(text: str | bytes) -> bytes:
    return text.encode("utf-8", "surrogatepass") if isinstance(text, str) else text


def _class(char: int) -> Set:
    """The characters of ``%a`` and its like; any other character stands for itself."""
    letter = chr(char)
    members = _CLASSES.get(letter.lower()) if letter.isascii() else None
    if members is None:
        return frozenset({char})
    found = frozenset(members.encode())
    return _ALL - found if letter.isupper() else found


def _end(_match: _Match, at: int) -> int:
    return at


def _at_end(following: Next) -> Next:
    def step(match: _Match, at: int) -> int | None:
        return following(match, at) if at == len(match.text) else None

    return step


def _one(chars: Set, following: Next) -> Next:
    def step(match: _Match, at: int) -> int | None:
        match.step()
        if at < len(match.text) and match.text[at] in chars:
            return following(match, at + 1)
        return None

    return step


def _greedy(chars: Set, least: int, most: int | None, following: Next) -> Next:
    def step(match: _Match, at: int) -> int | None:
        text = match.text
        limit = len(text) if most is None else min(len(text), at + most)
        end = at
        while end < limit and text[end] in chars:
            end += 1
        for stop in range(end, at + least - 1, -1):
            match.step()
            found = following(match, stop)
            if found is not None:
                return found
        return None

    return step


def _lazy(chars: Set, following: Next) -> Next:
    def step(match: _Match, at: int) -> int | None:
        while True:
            match.step()
            found = following(match, at)
            if found is not None:
                return found
            if at >= len(match.text) or match.text[at] not in chars:
                return None
            at += 1

    return step


def _balanced(begin: int, end: int, following: Next) -> Next:
    def step(match: _Match, at: int) -> int | None:
        match.step()
        text = match.text
        if at >= len(text) or text[at] != begin:
            return None
        depth = 1
        for place in range(at + 1, len(text)):
            if text[place] == end:
                depth -= 1
                if depth == 0:
                    return following(match, place + 1)
            elif text[place] == begin:
                depth += 1
        return None

    return step


def _frontier(chars: Set, following: Next) -> Next:
    def step(match: _Match, at: int) -> int | None:
        match.step()
        before = match.text[at - 1] if at > 0 else 0
        here = match.text[at] if at < len(match.text) else 0
        return following(match, at) if before not in chars and here in chars else None

    return step


def _capture(number: int, length: int, following: Next) -> Next:
    def step(match: _Match, at: int) -> int | None:
        del match.captures[number:]
        match.captures.append((at, length))
        return following(match, at)

    return step


def _close(number: int, following: Next) -> Next:
    def step(match: _Match, at: int) -> int | None:
        start, before = match.captures[number]
        match.captures[number] = start, at - start
        found = following(match, at)
        if found is None:
            match.captures[number:] = [(start, before)]
        return found

    return step


def _again(number: int, following: Next) -> Next:
    def step(match: _Match, at: int) -> int | None:
        match.step()
        start, length = match.captures[number]
        if length == _POSITION:
            return None
        captured = match.text[start : start + length]
        return following(match, at + length) if match.text.startswith(captured, at) else None

    return step
