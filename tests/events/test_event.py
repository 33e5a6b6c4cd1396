"""Events: how a handler asks Kong, and every way in which it can end."""

from __future__ import annotations

import contextlib
import contextvars
import gc
import linecache
import threading
import weakref
from collections.abc import Callable, Iterator
from typing import Any

import greenlet
import pytest
from support.driving import drive

from pluginserver.errors import EventEndedError, OutsideEventError, PDKError, PhaseError
from pluginserver.events.callbacks import callback, current, finish
from pluginserver.events.collection import COLLECTION
from pluginserver.events.event import Event, Runners
from pluginserver.events.handler import Handler
from pluginserver.events.outcome import Outcome, summary
from pluginserver.runtime.interrupts import Cancelled
from pluginserver.spec.phases import ANSWERING, PHASES

EXIT = "kong.response.exit"
REFUSED = ("kong.response.error", (500,))
"""What closes a request where Kong can make the response itself."""


def started(handler: Callable[[], object], phase: str = "access") -> tuple[Runners, Event, Any]:
    """An event whose handler has been started, its first message, and the runners it runs in."""
    runners = Runners()
    event = Event(7, Handler("p", 2, phase, lambda _kong: handler(), lambda _event, _error: None))
    return runners, event, event.understand(runners.start(event))


def test_a_handler_asks_and_gets_what_kong_answers() -> None:
    got: list[Any] = []

    def handler() -> None:
        got.append(callback("kong.request.get_header", "host"))
        got.append(callback("kong.request.get_path"))

    calls, ending, failures = drive(handler, ["example.com", None])
    assert calls == [("kong.request.get_header", ("host",)), ("kong.request.get_path", ())]
    assert got == ["example.com", None]
    assert (ending.call, ending.error, failures) == (None, None, [])


class Leaves:
    """Calls when it is collected, which is not before the collector comes by."""

    def __init__(self, call: Callable[[], object], told: list[BaseException]) -> None:
        self.call, self.told, self.me = call, told, self

    def __del__(self) -> None:
        try:
            self.call()
        except BaseException as error:
            self.told.append(error)


@pytest.mark.parametrize(
    "call", [lambda: finish(EXIT, 403), lambda: callback("kong.request.get_path")]
)
def test_what_one_event_left_to_the_collector_does_not_call_in_another(
    call: Callable[[], object],
) -> None:
    told: list[BaseException] = []
    gc.collect()
    drive(lambda: Leaves(call, told) and None)

    def handler() -> None:
        gc.collect()
        callback("kong.request.get_host")

    calls, ending, failures = drive(handler, ["a"])
    assert (calls, ending.call, failures) == ([("kong.request.get_host", ())], None, [])
    assert [type(error) for error in told] == [OutsideEventError]
    assert "in a finaliser, which may run in another request's event" in str(told[0])


class Held:
    """Exits when the last reference to it is dropped."""

    def __del__(self) -> None:
        finish(EXIT, 403)


def exits_at_its_end() -> Iterator[None]:
    try:
        yield
    finally:
        finish(EXIT, 403)


def begun(generator: Iterator[None]) -> Iterator[None]:
    next(generator)
    return generator


def finalized() -> object:
    held = {1}.union  # anything that can be referred to weakly
    weakref.finalize(held, finish, EXIT, 403)
    return held


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("make", [Held, lambda: begun(exits_at_its_end()), finalized])
def test_who_drops_the_last_reference_is_not_ended_by_it(make: Callable[[], object]) -> None:
    held: list[object] = []
    drive(lambda: held.append(make()))

    def handler() -> None:
        held.clear()
        callback("kong.request.get_host")

    calls, ending, failures = drive(handler, ["a"])
    assert (calls, ending.call) == ([("kong.request.get_host", ())], None)
    assert [type(error) for error in failures] == [OutsideEventError]


def test_what_leaves_a_generator_or_an_exception_by_an_exit_is_its_own() -> None:
    @contextlib.contextmanager
    def guarded() -> Iterator[None]:
        try:
            yield
        except ValueError:
            finish(EXIT, 403)

    def handler() -> None:
        with guarded():
            raise ValueError

    _, ending, failures = drive(handler)
    assert (ending.call, failures) == ((EXIT, (403,)), [])


def test_a_collection_whose_end_was_not_told_refuses_nobody() -> None:
    def handler() -> None:
        COLLECTION.thread = (
            threading.get_ident()
        )  # as an interrupt in the collector's callback leaves it
        callback("kong.request.get_host")

    calls, _ending, failures = drive(handler, ["a"])
    assert (calls, failures) == ([("kong.request.get_host", ())], [])


def test_a_handler_that_asks_nothing() -> None:
    calls, ending, failures = drive(lambda: "ignored")
    assert (calls, ending.call, ending.error, failures) == ([], None, None, [])


def test_step_error_is_raised_at_the_call() -> None:
    def handler() -> None:
        with pytest.raises(PDKError, match="no such thing"):
            callback("kong.request.get_path")
        callback("kong.response.set_status", 201)

    calls, ending, failures = drive(handler, [PDKError("no such thing")])
    assert [method for method, _ in calls] == ["kong.request.get_path", "kong.response.set_status"]
    assert (ending.call, failures) == (None, [])


def test_step_error_that_is_not_caught_fails_the_handler() -> None:
    calls, ending, failures = drive(
        lambda: callback("kong.request.get_path"), [PDKError("no such thing")]
    )
    assert [method for method, _ in calls] == ["kong.request.get_path", "kong.log.err"]
    assert "PDKError: no such thing" in calls[1][1][0]
    assert ending.call == REFUSED
    assert [str(error) for error in failures] == ["no such thing"]


# Last messages


def test_exit_is_the_last_message_and_unwinds() -> None:
    seen: list[str] = []

    def handler() -> None:
        try:
            finish(EXIT, 403, "no")
        except Exception:
            seen.append("except")
        finally:
            seen.append("finally")
        seen.append("after")

    calls, ending, failures = drive(handler)
    assert (calls, failures, seen) == ([], [], ["finally"])
    assert ending.call == (EXIT, (403, "no"))


def test_exit_that_is_swallowed_is_the_last_message_all_the_same() -> None:
    def handler() -> None:
        try:
            finish(EXIT, 403)
        except BaseException:
            pass

    calls, ending, failures = drive(handler)
    assert (calls, failures) == ([], [])
    assert ending.call == (EXIT, (403,))


@pytest.mark.parametrize("call", [callback, finish])
def test_a_call_after_the_last_message_raises_and_sends_nothing(call: Callable[..., Any]) -> None:
    raised: list[Exception] = []

    def handler() -> None:
        try:
            finish(EXIT, 403)
        finally:
            try:
                call("kong.response.exit", 200)
            except EventEndedError as error:
                raised.append(error)

    calls, ending, failures = drive(handler)
    assert (calls, failures) == ([], [])
    assert ending.call == (EXIT, (403,))
    assert "kong.response.exit was called after kong.response.exit" in str(raised[0])


def test_an_error_while_unwinding_is_told_and_changes_nothing() -> None:
    def handler() -> None:
        try:
            finish(EXIT, 403)
        finally:
            raise KeyError("in finally")

    ((method, (text,)),), ending, failures = drive(handler)
    assert method == "kong.log.err"
    assert "KeyError: 'in finally'" in text
    assert text.endswith("(after the last message to Kong)")
    assert ending.call == (EXIT, (403,))
    assert [type(error) for error in failures] == [KeyError]


def test_an_error_that_an_exit_in_finally_hides_is_told() -> None:
    def handler() -> None:
        try:
            raise ValueError("lost")
        finally:
            finish(EXIT, 200)

    ((method, (text,)),), ending, failures = drive(handler)
    assert method == "kong.log.err"
    assert "ValueError: lost" in text
    assert text.endswith("(hidden by an exit in a finally block)")
    assert ending.call == (EXIT, (200,))
    assert [str(error) for error in failures] == ["lost"]


def test_an_exit_in_finally_by_way_of_a_function() -> None:
    def deny() -> None:
        finish(
            EXIT,
            200,
        )

    def handler() -> None:
        try:
            raise ValueError("lost")
        finally:
            if True:
                deny()

    calls, _, failures = drive(handler)
    assert len(calls) == 1
    assert [str(error) for error in failures] == ["lost"]


def test_an_exit_that_hides_nothing() -> None:
    def in_except() -> None:
        try:
            raise ValueError
        except ValueError:
            finish(EXIT, 400)

    def in_finally() -> None:
        try:
            pass
        finally:
            finish(EXIT, 200)

    def in_except_in_finally() -> None:
        try:
            pass
        finally:
            try:
                raise ValueError
            except ValueError:
                finish(EXIT, 400)

    def without_source() -> None:
        exec("try:\n    raise ValueError\nexcept ValueError:\n    finish('x')", globals())

    for handler in (in_except, in_finally, in_except_in_finally, without_source):
        calls, ending, failures = drive(handler)
        assert (calls, failures) == ([], [])
        assert ending.call is not None


def test_a_call_in_finally_after_an_error_still_works() -> None:
    def handler() -> None:
        try:
            raise ValueError("first")
        finally:
            callback("kong.response.set_status", 418)

    calls, ending, failures = drive(handler)
    assert [method for method, _ in calls] == ["kong.response.set_status", "kong.log.err"]
    assert ending.call == REFUSED
    assert [str(error) for error in failures] == ["first"]


# Handlers that raise


@pytest.mark.parametrize("phase", PHASES)
@pytest.mark.parametrize("before", [0, 2])
@pytest.mark.parametrize(
    "error",
    [ValueError("bad"), SystemExit(3), KeyboardInterrupt(), RecursionError(), BaseException("b")],
    ids=lambda error: type(error).__name__,
)
def test_an_error_in_a_handler(phase: str, before: int, error: BaseException) -> None:
    def handler() -> None:
        for _ in range(before):
            callback("kong.node.get_id")
        raise error

    calls, ending, failures = drive(handler, phase=phase)
    asked = [("kong.node.get_id", ())] * before
    assert failures == [error]
    if phase in ANSWERING:
        assert calls[:-1] == asked
        method, (text,) = calls[-1]
        assert method == "kong.log.err"
        assert text.startswith(f"plugin p failed in {phase}: {type(error).__name__}")
        assert "test_event.py:" in text
        assert ending.error is None
        unexpected = (EXIT, (500, {"message": "An unexpected error occurred"}))
        assert ending.call == (unexpected if phase == "preread" else REFUSED)
    else:
        assert calls == asked
        assert ending.call is None
        assert ending.error is not None
        assert ending.error.startswith(f"plugin p failed in {phase}: {type(error).__name__}")


@pytest.mark.parametrize("phase", PHASES)
def test_a_plugin_that_chose_to_go_on(phase: str) -> None:
    def handler() -> None:
        raise ValueError("bad")

    calls, ending, failures = drive(handler, phase=phase, fail_open=True)
    assert [method for method, _ in calls] == ["kong.log.err"]
    assert (ending.call, ending.error) == (None, None)
    assert len(failures) == 1


@pytest.mark.parametrize("answer", [PDKError("Kong is busy"), Cancelled("too late")])
def test_the_request_is_closed_even_if_the_log_fails(answer: BaseException) -> None:
    def handler() -> None:
        raise ValueError("bad")

    calls, ending, _ = drive(handler, [answer])
    assert [method for method, _ in calls] == ["kong.log.err"]
    assert ending.call == REFUSED


def test_the_summary_is_one_line() -> None:
    try:
        raise ValueError("several\n  lines")
    except ValueError as error:
        line = summary("p", "log", error)
    assert line.startswith("plugin p failed in log: ValueError: several lines (")
    assert "\n" not in line
    assert summary("p", "log", KeyError("never raised")) == (
        "plugin p failed in log: KeyError: 'never raised'"
    )


def test_the_summary_opens_no_file(monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[str] = []
    monkeypatch.setattr(linecache, "updatecache", lambda name, *_: read.append(name) or [])
    linecache.clearcache()
    try:
        raise ValueError
    except ValueError as error:
        assert "test_event.py:" in summary("p", "log", error)
    assert read == []


# Calls that cannot be made


@pytest.mark.parametrize(
    ("phase", "method"),
    [
        ("certificate", EXIT),
        ("rewrite", "kong.router.get_route"),
        ("access", "kong.response.get_status"),
        ("response", "kong.service.request.set_header"),
        ("preread", "kong.request.get_header"),
        ("log", "kong.request.get_method"),
    ],
)
@pytest.mark.parametrize("call", [callback, finish])
def test_a_call_that_the_phase_does_not_offer(
    phase: str, method: str, call: Callable[..., Any]
) -> None:
    raised: list[Exception] = []

    def handler() -> None:
        try:
            call(method)
        except PhaseError as error:
            raised.append(error)

    calls, ending, failures = drive(handler, phase=phase)
    assert (calls, ending.call, failures) == ([], None, [])
    assert f"{method} cannot be called in {phase}: it works in " in str(raised[0])


def test_a_function_that_is_not_known_is_sent() -> None:
    calls, _, _ = drive(lambda: callback("kong.of.tomorrow", 1), phase="log")
    assert calls == [("kong.of.tomorrow", (1,))]


@pytest.mark.parametrize("call", [callback, finish, current])
def test_outside_of_an_event(call: Callable[..., Any]) -> None:
    arguments = () if call is current else ("kong.node.get_id",)
    with pytest.raises(OutsideEventError, match="while no event runs: call it in a phase handler"):
        call(*arguments)


def test_in_a_thread_of_the_plugins_own() -> None:
    raised: list[Exception] = []

    def work() -> None:
        try:
            callback("kong.node.get_id")
        except OutsideEventError as error:
            raised.append(error)

    def handler() -> None:
        thread = threading.Thread(target=work, name="my-worker")
        thread.start()
        thread.join()

    calls, _, failures = drive(handler)
    assert (calls, failures) == ([], [])
    assert "in the thread 'my-worker', which runs no event" in str(raised[0])


@pytest.mark.parametrize("depth", [1, 3])
def test_in_a_greenlet_of_the_plugins_own(depth: int) -> None:
    raised: list[Exception] = []

    def nested(level: int) -> None:
        if level:
            greenlet.greenlet(nested).switch(level - 1)
            return
        try:
            callback("kong.node.get_id")
        except OutsideEventError as error:
            raised.append(error)

    calls, _, failures = drive(lambda: nested(depth))
    assert (calls, failures) == ([], [])
    assert "in a greenlet that the plugin made itself" in str(raised[0])


def test_the_current_event_knows_its_handler() -> None:
    seen: list[tuple[int, str]] = []
    drive(lambda: seen.append((current().id, current().handler.phase)), phase="rewrite")
    assert seen == [(1, "rewrite")]


# Events that Kong abandons


def test_an_abandoned_event_is_unwound() -> None:
    seen: list[str] = []

    def handler() -> None:
        try:
            callback("kong.node.get_id")
        except Exception:
            seen.append("except")
        finally:
            with pytest.raises(EventEndedError, match="after event 7"):
                callback("kong.node.get_id")
            seen.append("finally")

    runners, event, out = started(handler)
    assert out[1:] == ("kong.node.get_id", ())
    assert event.suspended
    event.cancel("Kong went away")
    assert not event.suspended
    assert seen == ["finally"]
    assert event.outcome is not None
    assert (event.outcome.call, event.outcome.error) == (None, "Kong went away")
    event.end()
    runners.close()


def test_abandoned_before_it_ends_by_itself() -> None:
    runners, event, _ = started(lambda: callback("kong.node.get_id"))
    out = event.throw(Cancelled("stop"))
    assert isinstance(out, Outcome)
    assert out.call == REFUSED
    event.end()
    runners.close()


def test_an_event_that_is_over_is_not_suspended() -> None:
    runners, event, out = started(lambda: None)
    assert isinstance(out, Outcome)
    assert not event.suspended
    event.end()
    runners.close()
    assert not event.suspended


# Runners


def test_a_runner_is_used_again_and_keeps_nothing() -> None:
    variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable", default="unset")
    seen: list[str] = []

    def handler() -> None:
        seen.append(variable.get())
        variable.set("set")
        callback("kong.node.get_id")
        seen.append(variable.get())

    runners = Runners()
    used = set()
    for number in range(3):
        event = Event(number, Handler("p", 2, "access", lambda _kong: handler(), lambda *_: None))
        runners.start(event)
        out = event.resume(None)
        assert isinstance(out, Outcome)
        used.add(event.runner)
        event.end()
    runners.close()
    assert len(used) == 1
    assert seen == ["unset", "set"] * 3
    assert all(runner.dead for runner in used)


def test_only_so_many_idle_runners_are_kept() -> None:
    runners = Runners(spare=2)
    events = [
        Event(
            n,
            Handler("p", 2, "access", lambda _kong: callback("kong.node.get_id"), lambda *_: None),
        )
        for n in range(5)
    ]
    for event in events:
        runners.start(event)
    for event in events:
        event.resume(None)
        event.end()
    assert sum(not event.runner.dead for event in events) == 2
    runners.close()
    assert all(event.runner.dead for event in events)


def test_a_runner_that_died_is_not_kept() -> None:
    runners, event, _ = started(lambda: callback("kong.node.get_id"))
    event.resume(None)
    event.runner.throw(greenlet.GreenletExit)
    event.end()
    again = Event(8, Handler("p", 2, "access", lambda _kong: None, lambda *_: None))
    assert isinstance(again.understand(runners.start(again)), Outcome)
    assert again.runner is not event.runner
    again.end()
    runners.close()
