"""A statement begins at the criterion of the fewest, an OR of ranges too; what is found stays the same."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest

from hie.store.resources import ResourceStore
from hie.store.search import counting, drivers, engine, pages, query
from hie.store.search.asked import asked_by
from hie.store.search.clauses import AnyToken, Both, Clause, Either, Led, Shaped, Token
from hie.store.search.range_clauses import Interval, Number
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
    clause = asked_by(store, asked(store, *parameters)).arms[0].clause
    assert isinstance(clause, Both)
    first = clause.parts[0]
    assert isinstance(first, Led | Token)
    return type(first.part if isinstance(first, Led) else first)


@ON_SQLITE
@pytest.mark.parametrize(
    ("range_", "leader"),
    [
        (("date", "2024-03-05"), Interval), (("date", "ge2024-03-19"), Either), (("date", "ge2024-03-02"), Token),
        (("date", "lt2024-03-03"), Interval), (("date", "gt2024-03-19"), Either), (("date", "le2024-03-18"), Token),
        (("date", "ne2024-03-05"), Token), (("value-quantity", "gt35"), Either), (("value-quantity", "ge0"), Token),
        (("_lastUpdated", "lt2000"), Interval), (("_lastUpdated", "gt2000"), Token),
        (("date", "2024-03-05,2024-03-06"), Either), (("date", "2024-03-05,ge2024-03-04"), Token),
        (("value-quantity", "gt38,lt1"), Either), (("combo-value-quantity", "gt35"), Either),
        (("combo-value-quantity", "ge0"), Token), (("date", "2024-03-05,ne2024-03-05"), Token),
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
     ("value-quantity", "gt33"), ("_lastUpdated", "gt2000"), ("date", "2024-03-05,gt2024-03-18"),
     ("combo-value-quantity", "gt33,lt2")],
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
        patched.setattr(drivers, "settled", lambda store, clause, type_name, _pair: clause)
        plain = pages()
    assert led == plain
    assert total == len(plain)
    assert len(plain) == len(set(plain)) > 0


@ON_SQLITE
@pytest.mark.parametrize("day", ["2024-03-05", "ge2024-03-19", "gt2024-03-19", "sa2024-03-19", "lt2024-03-03"])
def test_the_statement_begins_at_the_days_index(filled: ResourceStore, day: str) -> None:
    (_, statement, bound), *_ = pages.first_pages(filled, asked(filled, ("code", CODE), ("date", day)))
    plan = plan_of(filled, statement, bound)
    assert "ix_resource_type_date (tenant=? AND type=? AND date_low" in plan, plan
    assert "SCAN" not in plan, plan


@ON_SQLITE
@pytest.mark.parametrize("day", ["2024-03-05", "lt2024-03-03", "le2024-03-02", "sa2024-03-19", "eb2024-03-03"])
def test_no_row_is_read_for_what_has_not_the_code(filled: ResourceStore, day: str) -> None:
    """The day is counted, and its resources are asked for their code, by indexes alone."""
    parameters = [("code", CODE), ("date", day), ("status", "final"), ("category:not", "x"), ("_count", "1")]
    (_, statement, bound), *_ = pages.first_pages(filled, asked(filled, *parameters))
    plan = plan_of(filled, statement, bound).split(" / ")
    assert "COVERING INDEX ix_resource_type_date (" in plan[0], plan
    assert plan[-2].startswith("SEARCH resource USING INTEGER PRIMARY KEY"), plan
    led = asked_of(filled, ("code", CODE), ("date", day)).parts[0].part
    counting_it, names = counting._counting("sqlite", Shaped(counting._by_index(led)), "Observation")
    values = dict(zip(names, led.values(), strict=True)) | {"tenant": 1, "type": "Observation", "row_limit": 9}
    counted = plan_of(filled, counting_it.statement, values)
    assert "COVERING INDEX ix_resource_type_date (" in counted, counted


@ON_SQLITE
def test_what_begins_on_a_day_and_ends_later_is_not_of_that_day(filled: ResourceStore) -> None:
    made = observation(code="8867-4", effectivePeriod={"start": "2024-03-05T09:00:00Z", "end": "2024-03-07T09:00:00Z"})
    del made["effectiveDateTime"]
    filled.transact(lambda inside: inside.create("Observation", made, id="long"))
    day = ("date", "2024-03-05")
    assert found_by(filled, ("code", CODE), day) == ({"o4", "o24"}, [2, 2])
    assert found_by(filled, ("code", CODE), ("date", "sa2024-03-19"))[0] == {"o19", "o39"}
    assert led_by(filled, ("code", CODE), day) is Interval


def plan_of(store: ResourceStore, statement: Any, bound: dict[str, Any]) -> str:
    compiled = statement.compile(store.connection().engine)
    given = {**compiled.params, **bound}
    values = tuple(
        json.dumps(given[name]) if isinstance(given[name], list) else given[name] for name in compiled.positiontup
    )
    return " / ".join(row[-1] for row in store.connection().exec_driver_sql(f"EXPLAIN QUERY PLAN {compiled}", values))


def asked_of(store: ResourceStore, *parameters: tuple[str, str]) -> Any:
    return asked_by(store, asked(store, *parameters)).arms[0].clause


def test_a_range_of_very_many_leads_nothing(filled: ResourceStore) -> None:
    many, few = asked_of(filled, ("value-quantity", "ge1")), asked_of(filled, ("value-quantity", "gt35"))
    assert (many.leads, type(few)) == (False, Led)
    together = asked_of(filled, ("value-quantity", "ge1"), ("value-quantity", "gt35"))
    assert isinstance(together, Led)  # both are of one value
    fewest = ("combo-value-quantity", "gt35")
    few, together = asked_of(filled, fewest), asked_of(filled, ("value-quantity", "ge1"), fewest)
    assert isinstance(together.parts[0], Led)
    assert (list(together.parts[0].values()), together.parts[1].leads) == (list(few.values()), False)


@pytest.mark.parametrize("value", ["ge1", "ge0", "gt35", "lt39"])
def test_very_many_are_found_in_the_same_order(
    filled: ResourceStore, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def found() -> tuple[list[str], int | None]:
        page = engine.search(filled, asked(filled, ("value-quantity", value), ("_count", "50"), ("_total", "accurate")))
        return [one.id for one in page.matches], page.total

    unled = found()
    monkeypatch.setattr(drivers, "settled", lambda store, clause, type_name, _pair: clause)
    assert found() == unled
    assert len(unled[0]) == unled[1] == {"ge1": 39, "ge0": 40, "gt35": 4, "lt39": 39}[value]


LISTS = [
    [("value-quantity", "gt37,lt1")], [("value-quantity", "1,2,38")], [("value-quantity", "3||/min,5")],
    [("combo-value-quantity", "gt37")], [("combo-value-quantity", "ge1")], [("date", "2024-03-05,2024-03-07")],
    [("date", "ge2024-03-20,le2024-03-01")], [("date", "ge2024-03-02,ge2024-03-04")], [("_lastUpdated", "2000,2001")],
    [("_lastUpdated", "2000,gt2010")], [("_lastUpdated", "gt2010")], [("_lastUpdated", "lt2000")],
    [("value-quantity", "ge1,lt0"), ("date", "2024-03-05,2024-03-07")],
    [("combo-value-quantity", "gt37"), ("code", CODE)], [("combo-value-quantity", "ge1"), ("code", CODE)],
    [("value-quantity", "gt37"), ("code", CODE)], [("value-quantity", "ge1"), ("subject", "Patient/nobody")],
    [("combo-value-quantity", "gt37"), ("status", "final")], [("combo-value-quantity", "gt37"), ("status:not", "x")],
    [("_filter", "code eq none or value-quantity gt 37")], [("_filter", "code eq none or value-quantity gt 0")],
    [("_filter", "value-quantity gt 38 or date eq 2024-03-05")], [("_filter", "status eq none or date ge 2024-03-19")],
    [("_filter", "not (value-quantity gt 37 or date eq 2024-03-05)")],
    [("code-value-quantity", f"{CODE}$gt37,{CODE}$lt1")], [("combo-code-value-quantity", "8867-4$gt37,x$5")],
]  # fmt: skip


@pytest.mark.parametrize("bounds", [(30, 500), (30, 1), (3, 500), (1, 1)], ids=str)
def test_an_or_of_ranges_finds_the_same_whatever_leads(
    filled: ResourceStore, bounds: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Few, many and a large share of the type: on pages, in totals, and as of now."""
    monkeypatch.setattr(drivers, "FREQUENT", bounds[0])
    monkeypatch.setattr(drivers, "HANDFUL", bounds[1])
    for parameters in LISTS:
        led = found_by(filled, *parameters)
        with monkeypatch.context() as patched:
            patched.setattr(drivers, "settled", lambda store, clause, type_name, _pair: clause)
            assert found_by(filled, *parameters) == led, parameters


def found_by(store: ResourceStore, *parameters: tuple[str, str]) -> tuple[set[str], list[int | None]]:
    pages = [*paged(store, *parameters)]
    ids = [one.id for page in pages for one in page.matches]
    assert len(ids) == len(set(ids))
    then = engine.search(replace(store, at=store.clock()), asked(store, *parameters, ("_count", "50")))
    assert {one.id for one in then.matches} == set(ids)
    total = engine.search(store, asked(store, *parameters, ("_summary", "count"))).total
    return set(ids), [total, len(ids)]


def paged(store: ResourceStore, *parameters: tuple[str, str]) -> Iterator[Any]:
    cursor: str | None = None
    while True:
        more = [("_cursor", cursor)] if cursor else []
        yield (page := engine.search(store, asked(store, *parameters, ("_count", "7"), *more)))
        cursor = page.next_cursor
        if cursor is None:
            return


@pytest.mark.parametrize(
    "parameters",
    [[("value-quantity", "gt38,lt1")], [("combo-value-quantity", "gt37")], [("date", "2024-03-05,2024-03-07")],
     [("_lastUpdated", "2000,2001")], [("combo-value-quantity", "gt37"), ("code", CODE)],
     [("value-quantity", "gt37"), ("code", CODE)],
     [("_filter", "code eq none or value-quantity gt 37")], [("combo-code-value-quantity", "8867-4$gt37,x$5")]],
)  # fmt: skip
def test_rows_are_found_by_their_keys(filled: ResourceStore, parameters: list[tuple[str, str]]) -> None:
    """No statement goes through the resources of the type, however few match."""
    (phase, statement, _), *_ = pages.first_pages(filled, asked(filled, *parameters))
    assert has_led(phase.clause)
    sql = " ".join(str(statement.compile(filled.connection().engine)).split())  # type: ignore[attr-defined]
    leads = "IN (SELECT" if filled.database.dialect == "sqlite" else "any(array((SELECT"
    assert leads in sql
    assert "UNION ALL SELECT" in sql


def has_led(clause: Clause) -> bool:
    return isinstance(clause, Led) or any(has_led(part) for part in getattr(clause, "parts", ()))


def test_last_updated_alone_is_in_its_own_order(filled: ResourceStore) -> None:
    (phase, *_), *_ = pages.first_pages(filled, asked(filled, ("_lastUpdated", "gt2010")))
    assert [key.place for key in phase.keys] == ["updated"]


def test_ranges_of_one_type_stand_beside_what_contains_others(filled: ResourceStore) -> None:
    """What leads among Observations is not asked among all types."""
    for contained_type in ("container", "contained"):
        how = [("_contained", "both"), ("_containedType", contained_type), ("_count", "50")]
        for one in (("combo-value-quantity", "gt37"), ("date", "2024-03-05,2024-03-07")):
            wanted = query.parse("Observation", [("code", CODE), one, *how], now=filled.clock(), contained=True)
            assert len(engine.search(filled, wanted).matches) == (2 if one[0] != "date" else 4)


@ON_SQLITE
def test_an_id_is_looked_for_within_each_type(filled: ResourceStore) -> None:
    wanted = query.parse(None, [("_id", "o7")], base_url="", now=filled.clock())
    assert [one.id for one in engine.search(filled, wanted).matches] == ["o7"]
    (_, statement, bound), *_ = pages.first_pages(filled, wanted)
    plan = plan_of(filled, statement, bound)
    assert "(tenant=? AND type=? AND id=?)" in plan, plan


@pytest.mark.parametrize("database_kind", ["postgresql"])
@pytest.mark.parametrize("first", [("subject", "Patient/p1"), ("code", CODE)])
def test_a_range_of_many_is_asked_of_each_row_behind_a_token(
    filled: ResourceStore, first: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(drivers, "FEW", 30)
    found = asked_of(filled, first, ("value-quantity", "ge1"))
    assert [type(part) for part in found.parts] == [Token, Number]
    assert not found.parts[1].leads


@pytest.mark.parametrize("order", ["_id", "-_lastUpdated", "value-quantity", "combo-value-quantity"])
@pytest.mark.parametrize(("dates", "are_few"), [
    (["ge2024-03-18"], True), (["ge2024-03-05", "lt2024-03-07"], True), (["ge2024-03-01", "lt2024-03-28"], False),
    (["gt2024-03-01"], False),
])  # fmt: skip
def test_few_dates_lead_whatever_sorts(filled: ResourceStore, order: str, dates: list[str], are_few: bool) -> None:
    search = asked(filled, *(("date", one) for one in dates), ("_sort", order))
    found = pages.parts_of(filled, search, asked_by(filled, search))[0].phase.clause
    first = found.parts[0] if isinstance(found, Both) else found
    assert isinstance(first, Led) is are_few


@pytest.mark.parametrize("database_kind", ["postgresql"])
@pytest.mark.parametrize("code", [CODE, f"{CODE},1-1"])
def test_few_since_a_day_go_before_codes(filled: ResourceStore, code: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """No index of dates serves both ends of "since", so that the planner would read all of the codes."""
    monkeypatch.setattr(drivers, "FEW", 10)
    for since, first in (("ge2024-03-19", Led), ("ge2024-03-02", Token if code == CODE else AnyToken)):
        found = asked_of(filled, ("code", code), ("date", since))
        assert type(found.parts[0]) is first
        ids = [one.id for one in engine.search(filled, asked(filled, ("code", code), ("date", since))).matches]
        day = int(since[-2:]) - 1
        assert ids == [f"o{number}" for number in range(40) if number % 20 >= day][: len(ids)]
        assert len(ids) == min(20, 2 * (20 - day))


@pytest.mark.parametrize("database_kind", ["postgresql"])
def test_the_values_of_composites_are_asked_of_each_row_behind_a_patient(filled: ResourceStore) -> None:
    """Else all that match, of everybody, are found for the few of one."""
    found = asked_of(filled, ("subject", "Patient/p1"), ("combo-code-value-quantity", f"{CODE}$ge1"))
    numbers = [one for one in within(found) if isinstance(one, Number)]
    assert numbers
    assert not any(one.leads for one in numbers)


def within(clause: Clause) -> Iterator[Clause]:
    yield clause
    for part in getattr(clause, "parts", ()):
        yield from within(part)
