"""The versions of a poll, put in their order."""

from __future__ import annotations

import random

from hie.commands.following.gathered import Gathered
from hie.commands.following.versions import Version


def version(number: int, at: int | None) -> Version:
    return Version(("Patient", "a"), str(number), "PUT", at, "http://there.example/Patient/a", b'{"id":"a"}')


def test_they_come_back_by_their_times_the_last_added_first():
    chance = random.Random(1)
    added = [version(number, chance.randrange(20)) for number in range(200)]
    with Gathered() as gathered:
        for one in added:
            gathered.add(one, 0)
        gathered.settle()
        read = [gathered.read(rank) for rank in range(len(gathered))]
        added.reverse()
        assert read == sorted(added, key=lambda one: one.at or 0)
        assert [gathered.time(rank) for rank in range(200)] == [one.at for one in read]
        assert gathered.newest == 19


def test_one_without_a_time_stands_where_it_came():
    with Gathered() as gathered:
        for number, at, about in ((3, 30, 0), (2, None, 30), (1, 10, 0)):
            gathered.add(version(number, at), about)
        gathered.settle()
        assert [gathered.read(rank).number for rank in range(3)] == ["1", "2", "3"]


def test_there_may_be_none():
    with Gathered() as gathered:
        gathered.settle()
        assert (len(gathered), gathered.newest) == (0, 0)
