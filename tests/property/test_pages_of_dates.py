"""Pages in the order of dates, onwards and back: the same whichever index is read, and all that is found."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import pytest

from hie.store.resources import ResourceStore
from hie.store.search import counting, drivers, pages, rare
from tests.builders import observation
from tests.property.plain_filter import date_is, spans
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


def is_asked(record: dict[str, Any], asked: Asked) -> bool:
    """What a plain walk finds."""
    (name, texts), *dates = asked
    coding = record["code"]["coding"] if name == "code" else record["meta"]["tag"]
    found = spans(record.get("effectiveDateTime", record.get("effectivePeriod")))
    prefixed = [(text[:2], text[2:]) if text[:2].isalpha() else ("eq", text) for _, text in dates]
    return coding[0]["code"] in texts.split(",") and all(
        any(date_is(prefix, text, *one) for one in found) for prefix, text in prefixed)  # fmt: skip


@pytest.mark.parametrize("seed", range(2))
def test_whichever_index_is_read(
    bind: Callable[..., ResourceStore], seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    chance, store = random.Random(seed), bind()
    records = {f"o{one}": made(chance) for one in range(150)}
    store.transact(lambda inside: [inside.create("Observation", one, id=id_) for id_, one in records.items()])
    monkeypatch.setattr(counting, "_counted", counting._counted.__wrapped__)
    for turn in range(20):
        asked, order = asked_by_chance(chance), ("_sort", chance.choice(ORDERS))
        found = []
        for frequent, many in ((10, 10), (10_000, 1_000)):
            monkeypatch.setattr(drivers, "FREQUENT", frequent)
            monkeypatch.setattr(rare, "MANY", many)
            monkeypatch.setattr(pages, "MANY", many)
            found.append(walked(store, "Observation", [*asked, order]))
        assert found[0] == found[1], (asked, order)
        assert set(found[0]) == {id_ for id_, one in records.items() if is_asked(one, asked)}, asked
        if turn % 4 == 0:
            assert set(walked(store, "Observation", asked)) == set(found[0]), asked
