"""What is counted of tasks and callbacks."""

from __future__ import annotations

import threading

from pluginserver.runtime.book import (
    BOUNDS,
    EXACT,
    NAMES,
    OTHER,
    SHARE,
    Books,
    Figures,
    Unbegun,
)


def test_a_duration_is_in_the_bucket_of_the_first_bound_that_it_is_not_over() -> None:
    book = Books().take()
    for seconds in (0.0, BOUNDS[0], BOUNDS[1], BOUNDS[-1] + 1):
        book.time("kong.test", seconds)
    durations = book.callbacks["kong.test"]
    assert durations[0] == 2
    assert durations[1] == 1
    assert durations[len(BOUNDS)] == 1
    assert durations[-1] == BOUNDS[0] + BOUNDS[1] + BOUNDS[-1] + 1


def test_a_task_is_counted_by_its_kind_and_how_it_ended() -> None:
    books = Books()
    book = books.take()
    book.count(("p", "access"), "returned", 0.5, 0.25, 3)
    book.count(("p", "access"), "raised", 0.0, 0.0, 1)
    book.count(("p", "log"), "returned", 0.0, 0.0, 0)
    figures = books.figures()
    assert figures["p", "access"].outcomes == {"returned": 1, "raised": 1}
    assert figures["p", "access"].asks == 4
    assert figures["p", "access"].spent[-1] == 0.5
    assert figures["p", "access"].waited[-1] == 0.25
    assert figures["p", "log"].outcomes == {"returned": 1}


def test_who_asks_gets_the_sum_of_all_books_and_changes_none() -> None:
    books = Books()
    for _ in range(2):
        book = books.take()
        book.count(("p", "log"), "returned", 0.1, 0.0, 0)
        book.time("kong.node.get_id", 0.1)
    found = books.figures()["p", "log"]
    found.add(Figures({"returned": 5}))
    books.callbacks()["kong.node.get_id"][0] = 99
    assert books.figures()["p", "log"].outcomes == {"returned": 2}
    assert sum(books.callbacks()["kong.node.get_id"][:-1]) == 2


def test_the_book_of_a_thread_that_has_ended_is_gone_on_with() -> None:
    books = Books()
    first = books.take()
    first.count(("p", "log"), "returned", 0.0, 0.0, 0)
    books.give_back(first)
    assert books.take() is first
    assert books.take() is not first
    assert books.figures()["p", "log"].outcomes == {"returned": 1}


def test_names_that_plugins_choose_without_end_are_counted_as_others() -> None:
    book = Books().take()
    for number in range(NAMES + 10):
        book.time(f"kong.table.f{number}", 0.0)
    assert len(book.callbacks) == NAMES + 1
    assert sum(book.callbacks[OTHER][:-1]) == 10


def test_a_callback_counts_for_several_when_many_were_timed() -> None:
    book = Books().take()
    for _ in range(EXACT):
        assert book.exact
        book.time("kong.node.get_id", 0.5)
    assert not book.exact
    book.time("kong.node.get_id", 0.5)
    assert sum(book.callbacks["kong.node.get_id"][:-1]) == EXACT + SHARE
    assert book.callbacks["kong.node.get_id"][-1] == (EXACT + SHARE) / 2


def test_threads_that_count_at_once_lose_nothing() -> None:
    books, unbegun, begin = Books(), Unbegun(), threading.Barrier(4)

    def work() -> None:
        book = books.take()
        begin.wait()
        for _ in range(2000):
            book.count(("p", "log"), "returned", 0.5, 0.0, 1)
            unbegun.note()

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    figures = books.figures()["p", "log"]
    assert (figures.outcomes, figures.asks) == ({"returned": 8000}, 8000)
    assert figures.spent[-1] == 4000.0
    assert unbegun.count == 8000
