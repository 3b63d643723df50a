"""When a process that died is started again."""

from __future__ import annotations

import signal

import pytest

from hie.commands.restarts import LONGEST_PAUSE_SECONDS, STEADY_SECONDS, Restarts, end_of, moment


def test_pauses_grow_to_the_longest_and_begin_anew_after_a_steady_life() -> None:
    web, job = Restarts(at_once=1), Restarts()
    assert [web.pause(0.5) for _ in range(8)] == [0, 1, 2, 4, 8, 16, 30, 30]
    assert [job.pause(0.5) for _ in range(7)] == [1, 2, 4, 8, 16, 30, 30]
    assert [web.pause(STEADY_SECONDS), web.pause(0)] == [0, 1]
    assert [job.pause(STEADY_SECONDS), job.pause(STEADY_SECONDS), job.pause(0)] == [1, 1, 2]
    assert STEADY_SECONDS > LONGEST_PAUSE_SECONDS


def test_a_process_that_has_died_for_months_waits_as_long_as_ever() -> None:
    assert Restarts(deaths=1_000_000).pause(0) == LONGEST_PAUSE_SECONDS


@pytest.mark.parametrize(("code", "text"), [
    (0, "ended with code 0"),
    (3, "ended with code 3"),
    (-signal.SIGSEGV, "was killed by SIGSEGV"),
    (-signal.SIGKILL, "was killed by SIGKILL, as the system does when memory runs out"),
    (-40, "was killed by signal 40"),
])  # fmt: skip
def test_an_end_is_told_by_its_code_or_signal(code: int, text: str) -> None:
    assert end_of(code) == text


def test_the_next_start_is_told() -> None:
    assert [moment(0.0), moment(1.0), moment(30.0)] == ["at once", "in 1 s", "in 30 s"]
