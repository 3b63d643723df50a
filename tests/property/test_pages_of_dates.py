"""Pages in the order of dates, onwards and back: the same whichever index is read, and all that is found."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import pytest

from hie.store.resources import ResourceStore
from hie.store.search import counting, drivers, pages, rare
from tests.builders import observation
from tests.walking import walked

Asked = list[tuple[str, str]]
PREFIXES = ("ge", "gt", "ap", "le", "lt", "sa", "eb", "", "ne")
ORDERS = ("date", "-date", "date,_id", "-date,_id", "-date,_lastUpdated")


def made(chance: random.Random) -> dict[str, Any]:
    """Return an Observation of a day, a year, a period of up to years, an open one, or of no date."""
    found = observation(code=chance.choice("aabc"), meta={"tag": [{"code": chance.choice("xy")}]})
    del found["effectiveDateTime"]
    year, month, day = chance.randint(2000, 2010), chance.randint(1, 12), chance.randint(1, 28)
    start, kind = f"{year}-{month:02d}-{day:02d}", chance.random()
    if kind < 0.6:
        return found | {"effectiveDateTime": start if kind < 0.5 else str(year)}
    if kind < 0.9:
        end = {"end": f"{year + chance.randint(0, 3)}-12-30"} if kind < 0.8 else {}
        return found | {"effectivePeriod": {"start": start, **end}}
    return found


def asked_by_chance(chance: random.Random) -> Asked:
    year = chance.randint(2000, 2010)
    date = chance.choice([f"{year}", f"{year}-0{chance.randint(1, 9)}", f"{year}-0{chance.randint(1, 9)}-15"])
    asked = [chance.choice([("code", "a"), ("code", "a,b"), ("code", "b"), ("_tag", "y")]),
             ("date", chance.choice(PREFIXES) + date)]  # fmt: skip
    if chance.random() < 0.3:
        asked.append(("date", f"{chance.choice(['ge', 'lt'])}{chance.randint(2000, 2010)}"))
    return asked


@pytest.mark.parametrize("seed", range(3))
def test_whichever_index_is_read(
    bind: Callable[..., ResourceStore], seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    chance, store = random.Random(seed), bind()
    store.transact(lambda inside: [inside.create("Observation", made(chance), id=f"o{one}") for one in range(150)])
    monkeypatch.setattr(counting, "_counted", counting._counted.__wrapped__)
    for _ in range(20):
        asked, order = asked_by_chance(chance), ("_sort", chance.choice(ORDERS))
        found = []
        for frequent, many in ((10, 10), (10_000, 1_000)):
            monkeypatch.setattr(drivers, "FREQUENT", frequent)
            monkeypatch.setattr(rare, "MANY", many)
            monkeypatch.setattr(pages, "MANY", many)
            found.append(walked(store, "Observation", [*asked, order]))
        assert found[0] == found[1], (asked, order)
        assert set(walked(store, "Observation", asked)) == set(found[0]), asked
