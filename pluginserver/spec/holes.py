"""How many of a call's arguments reach Kong's function when some of them are None.

Kong puts the arguments into a Lua table, one after another, and passes on as many as the table's length
says.  The length of a table with nils in it ("holes") may be any place that a nil follows: sometimes
all arguments arrive, sometimes the rest is cut off.

Rules kept here:

* the answer is LuaJIT 2.1's for up to ten arguments, compared with it for every pattern of holes (Kong's
  PDK takes five at the most); for more it may be too low, as LuaJIT uses a slot of a table's hash again
  when it holds a nil;
* a None at the end cuts nothing off.
"""

from __future__ import annotations

from collections.abc import Sequence


def border(values: Sequence[object]) -> int:
    """The length that LuaJIT finds for a table into which these values were put one after another.

    A table with a nil among its values has several lengths that Lua allows.  LuaJIT takes the last
    slot of the table's array when there is something in it and nothing in the hash, else what a
    binary search finds; so the answer depends on how far the array has grown by then.
    """

    def held(place: int) -> bool:
        return place <= len(values) and values[place - 1] is not None

    last, room = _grown(values)
    low, high = 0, last
    if not last or held(last):
        if not room:
            return last
        low, high = last, last + 1
        while held(high):
            low, high = high, 2 * high
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if held(middle) else (low, middle)
    return low


def _grown(values: Sequence[object]) -> tuple[int, int]:
    """The last slot of the array, and the slots of the hash, of a table that was given these values.

    What does not fit is put into the hash; a full hash makes the table share its keys out anew.
    """
    last = room = hashed = 0
    for place in range(1, len(values) + 1):
        if place <= last:
            continue
        if hashed < room:
            hashed += 1
            continue
        keys = [one for one in range(1, place) if values[one - 1] is not None] + [place]
        last = _last_slot(keys)
        hashed = sum(key > last for key in keys)
        room = 2 ** max(1, (hashed - 1).bit_length()) if hashed else 0
    return last, room


def _last_slot(keys: list[int]) -> int:
    """The largest power of two of which more than a quarter are keys, 0 for none."""
    best, top, seen = 0, 2, 0
    while 4 * len(keys) > top and seen < len(keys):
        below = sum(key <= top for key in keys)
        if below > seen and 4 * below > top:
            best = top
        top, seen = 2 * top, below
    return best
