"""Large bodies take turns: in order, never for ever, and nobody else waits."""

from __future__ import annotations

import threading
from functools import partial

import pytest

from hie.store import waiting
from hie.web import turns
from tests.waiting import until


def _more_wait(line: turns.Turns, than: int) -> bool:
    return len(line._waiting) > than


def test_turns_come_in_order() -> None:
    line, done = turns.Turns(), list[int]()
    assert line.take(0)

    def wait(number: int) -> None:
        assert line.take(10)
        done.append(number)
        line.leave()

    threads = [threading.Thread(target=wait, args=(number,)) for number in range(5)]
    for thread in threads:
        before = len(line._waiting)
        thread.start()
        until(partial(_more_wait, line, before))
    assert done == []
    line.leave()
    for thread in threads:
        thread.join(10)
    assert done == [0, 1, 2, 3, 4]
    assert line.take(0), "the last one left it free"


def test_patience_ends_and_leaves_nobody_behind() -> None:
    line = turns.Turns()
    assert line.take(0)
    assert not line.take(0.01)
    line.leave()
    assert line.take(0), "the turn was not given to who had gone"


def test_small_bodies_take_no_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(turns, "_turns", turns.Turns())
    assert not turns.take(turns.LARGE - 1)
    assert turns.take(turns.LARGE)
    turns.leave()


def test_a_turn_that_was_left_before_the_end_is_not_left_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    line = turns.Turns()
    monkeypatch.setattr(turns, "_turns", line)
    assert turns.take(turns.LARGE)
    waiting.let_go()
    assert line.take(0), "somebody else has it"
    turns.leave()
    assert not line.take(0)
