"""Of a code and a much rarer day, the day is where a statement on SQLite begins; what is found stays the same."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from hie.store.resources import ResourceStore
from hie.store.search import drivers, engine, query
from hie.store.search.clauses import Both, Either, Interval, Number, Token
from tests.builders import observation

Bind = Callable[..., ResourceStore]
ON_SQLITE = pytest.mark.parametrize("database_kind", ["sqlite"])
CODE = "http://loinc.org|8867-4"


@pytest.fixture
def filled(bind: Bind, monkeypatch: pytest.MonkeyPatch) -> ResourceStore:
    """40 Observations of one code over 20 days; from 30 on a token counts as frequent."""
    monkeypatch.setattr(drivers, "FREQUENT", 30)

    def unit(inside: ResourceStore) -> None:
        for number in range(40):
            made: dict[str, Any] = observation(code="8867-4") | {
                "effectiveDateTime": f"2024-03-{number % 20 + 1:02d}T10:00:00Z",
                "issued": f"2024-04-{number % 20 + 1:02d}T10:00:00Z",
                "valueQuantity": {"value": number, "system": "http://unitsofmeasure.org", "code": "/min"},
            }
            inside.create("Observation", made, id=f"o{number}")

    bind().transact(unit)
    return bind()


def asked(store: ResourceStore, *parameters: tuple[str, str]) -> query.SearchQuery:
    return query.parse("Observation", parameters, base_url="", now=store.clock())


def led_by(store: ResourceStore, *parameters: tuple[str, str]) -> object:
    clause = engine._asked(store, asked(store, *parameters)).arms[0].clause
    assert isinstance(clause, Both)
    return type(clause.parts[0])


@ON_SQLITE
@pytest.mark.parametrize(
    ("range_", "leader"),
    [
        (("date", "2024-03-05"), Interval), (("date", "ge2024-03-19"), Either), (("date", "ge2024-03-02"), Token),
        (("date", "lt2024-03-03"), Interval), (("date", "gt2024-03-19"), Either), (("date", "le2024-03-18"), Token),
        (("date", "ne2024-03-05"), Token), (("value-quantity", "gt35"), Number), (("value-quantity", "ge0"), Token),
        (("_lastUpdated", "lt2000"), Interval), (("_lastUpdated", "gt2000"), Token),
    ],
)  # fmt: skip
def test_a_rare_range_goes_before_a_code(filled: ResourceStore, range_: Any, leader: type) -> None:
    assert led_by(filled, ("code", CODE), range_) is leader


@ON_SQLITE
@pytest.mark.parametrize(
    ("bound", "number", "leader"),
    [("AHEAD", 15, Token), ("AHEAD", 10, Interval), ("FEW", 2, Token), ("FEW", 3, Interval), ("FREQUENT", 11, Token)],
)
def test_a_code_stays_in_front_of_a_day_that_is_not_much_rarer(
    filled: ResourceStore, bound: str, number: int, leader: type, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(drivers, bound, number)  # the day has two Observations
    assert led_by(filled, ("code", CODE), ("date", "2024-03-05")) is leader


@pytest.mark.parametrize(
    "range_",
    [("date", "2024-03-05"), ("date", "ge2024-03-15"), ("date", "lt2024-03-04"), ("date", "ap2024-03-18"),
     ("value-quantity", "gt33"), ("_lastUpdated", "gt2000")],
)  # fmt: skip
@pytest.mark.parametrize("sort", ["", "date", "-date", "-_lastUpdated", "_id"])
def test_what_is_found_and_its_order_do_not_change(
    filled: ResourceStore, range_: tuple[str, str], sort: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    parameters = [("code", CODE), range_, *([("_sort", sort)] if sort else [])]

    def pages() -> list[str]:
        found: list[str] = []
        cursor: str | None = None
        while True:
            more = [("_cursor", cursor)] if cursor else []
            page = engine.search(filled, asked(filled, *parameters, ("_count", "3"), *more))
            found += [one.id for one in page.matches]
            cursor = page.next_cursor
            if cursor is None:
                return found

    led = pages()
    total = engine.search(filled, asked(filled, *parameters, ("_summary", "count"))).total
    with monkeypatch.context() as patched:
        patched.setattr(drivers, "settled", lambda store, clause, type_name: clause)
        plain = pages()
    assert led == plain
    assert total == len(plain)
    assert len(plain) == len(set(plain)) > 0


@ON_SQLITE
@pytest.mark.parametrize("day", ["2024-03-05", "ge2024-03-19", "gt2024-03-19", "sa2024-03-19", "lt2024-03-03"])
def test_the_statement_begins_at_the_days_index(filled: ResourceStore, day: str) -> None:
    (_, statement, bound), *_ = engine.first_pages(filled, asked(filled, ("code", CODE), ("date", day)))
    compiled = statement.compile(filled.connection().engine)  # type: ignore[attr-defined]
    sql = f"EXPLAIN QUERY PLAN {compiled}"
    given = {**compiled.params, **bound}
    values = tuple(given[name] for name in compiled.positiontup)
    plan = " / ".join(row[-1] for row in filled.connection().exec_driver_sql(sql, values))
    assert "ix_resource_type_date (tenant=? AND type=? AND date_low" in plan, plan
    assert "SCAN" not in plan, plan


def asked_of(store: ResourceStore, *parameters: tuple[str, str]) -> Any:
    return engine._asked(store, asked(store, *parameters)).arms[0].clause


def test_a_range_of_very_many_leads_nothing(filled: ResourceStore) -> None:
    many, few = asked_of(filled, ("value-quantity", "ge1")), asked_of(filled, ("value-quantity", "gt35"))
    assert (many.leads, few.leads) == (False, True)
    together = asked_of(filled, ("value-quantity", "ge1"), ("value-quantity", "gt35"))
    assert [part.leads for part in together.parts] == [True, False]


@pytest.mark.parametrize("value", ["ge1", "ge0", "gt35", "lt39"])
def test_very_many_are_found_in_the_same_order(
    filled: ResourceStore, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def found() -> tuple[list[str], int | None]:
        page = engine.search(filled, asked(filled, ("value-quantity", value), ("_count", "50"), ("_total", "accurate")))
        return [one.id for one in page.matches], page.total

    unled = found()
    monkeypatch.setattr(drivers, "settled", lambda store, clause, type_name: clause)
    assert found() == unled
    assert len(unled[0]) == unled[1] == {"ge1": 39, "ge0": 40, "gt35": 4, "lt39": 39}[value]
