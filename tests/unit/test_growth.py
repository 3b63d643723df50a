"""Work that looks at all for each grows with the square of it: that is seen wherever its loop stands."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.growth import Text, growth, growth_of_time

OF_ALL: dict[str, Callable[[range, int], Any]] = {
    "a generator": lambda rows, one: any(other == -1 for other in rows),
    "a list": lambda rows, one: [other for other in rows if other == one],
    "a function that is called by another": lambda rows, one: max(rows, key=lambda other: other == one),
}


@pytest.mark.parametrize("name", OF_ALL)
def test_a_loop_in_a_loop_is_seen_and_one_alone_is_none(name: str) -> None:
    looked = OF_ALL[name]
    assert 12 < growth(lambda number: lambda: [looked(range(number), one) for one in range(number)], 100) < 17
    assert 3 < growth(lambda number: lambda: looked(range(number), 1), 100) < 5


def test_what_an_instruction_does_inside_is_seen_by_its_time() -> None:
    def added(number: int) -> Callable[[], Any]:
        def work() -> None:
            found: list[int] = []
            for one in range(number):
                found = [*found, one]

        return work

    assert growth(added, 2_000) < 5
    assert growth_of_time(added, 2_000) > 8


def test_a_text_that_is_looked_for_in_a_list_is_seen() -> None:
    def found(number: int) -> Callable[[], Any]:
        rows = [Text(one) for one in range(number)]
        return lambda: [str(one) in rows for one in range(number)]

    assert 12 < growth(found, 100) < 17
