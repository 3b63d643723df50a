"""Tokens that few carry lead a search, whatever they are of; on PostgreSQL common ones leave the way to the planner."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from hie.store.resources import ResourceStore
from hie.store.search import drivers, explanation, query, rare
from hie.store.search.clauses import CATEGORY, REFERENCE, STRING, Both, Token, both
from hie.store.search.range_clauses import Interval
from hie.store.statistics import Common
from hie.store.store import Store
from tests.builders import observation, patient

Bind = Callable[..., ResourceStore]
#: The type is compared in a way that no index answers.
APART = "resource.type || ''"


@pytest.fixture
def filled(store: Store, bind: Bind) -> Store:
    """300 patients of one name, of whom one has another first name."""

    def fill(inside: ResourceStore) -> None:
        for number in range(300):
            inside.create("Patient", patient("Common", "Rare" if number == 7 else "Usual"), id=f"p{number}")

    bind().transact(fill)
    if store.database.dialect == "postgresql":
        store.database.connection().exec_driver_sql("ANALYZE resource")
    return store


def sql_of(bound: ResourceStore, *parameters: tuple[str, str], type_name: str = "Patient") -> str:
    return explanation.planned(bound, query.parse(type_name, list(parameters)))[0].sql


@pytest.mark.parametrize("database_kind", ["postgresql"])
def test_a_rare_name_leads_and_a_common_one_does_not(filled: Store, bind: Bind) -> None:
    assert APART in sql_of(bind(), ("given", "rare"))
    assert APART not in sql_of(bind(), ("given", "usual"))
    assert APART in sql_of(bind(), ("given:exact", "Rare"), ("family", "common"))
    assert APART not in sql_of(bind(), ("family", "common"), ("gender", "female"))
    assert APART in sql_of(bind(), ("given:exact", "Rare,Nobody"))
    assert APART not in sql_of(bind(), ("given:exact", "Rare,Usual"))


@pytest.mark.parametrize("database_kind", ["postgresql"])
def test_a_rare_token_goes_before_dates(filled: Store, bind: Bind) -> None:
    assert 7 not in (filled.database.common_tokens() or ())
    for rank in (STRING, CATEGORY):
        found = rare.settled(bind(), both([Token(7, rank), Interval("date", "ge", 0, 1)]))
        assert isinstance(found, Both)
        assert found.parts[0] == Token(7, REFERENCE)


@pytest.mark.parametrize("database_kind", ["postgresql"])
def test_a_frequent_token_is_asked_of_rows_in_the_order_of_numbers(
    store: Store, bind: Bind, monkeypatch: pytest.MonkeyPatch
) -> None:
    bind().transact(lambda inside: [inside.create("Observation", observation(), id=f"o{n}") for n in range(300)])
    store.database.connection().exec_driver_sql("ANALYZE resource")
    by_value = ("_sort", "-value-quantity")
    asked = [("status", "final"), by_value]
    for frequent, value in ((301, "max(number_index"), (300, "number_index_1.low AS sort0")):
        monkeypatch.setattr(drivers, "FEW", frequent)
        assert value in sql_of(bind(), *asked, type_name="Observation")
        assert value in sql_of(bind(), ("status", "final,amended"), by_value, type_name="Observation")
    since = [("date", "ge2024"), ("date", "lt2025"), by_value]
    for frequent, value in ((301, "max(number_index"), (300, "number_index_1.low AS sort0")):
        monkeypatch.setattr(drivers, "FREQUENT", frequent)
        assert value in sql_of(bind(), *since, type_name="Observation")


@pytest.mark.parametrize("first_is_led", [True, False])
def test_pages_go_on_in_the_order_of_the_first_whatever_leads_then(
    bind: Bind, first_is_led: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Statistics and counts change from one page to the next: a tag of few, and dates of all."""

    def fill(inside: ResourceStore) -> None:
        for number in range(40):
            tag = {"meta": {"tag": [{"code": "rare" if number % 4 == 0 else "usual"}]}}
            day = f"2024-03-{number * 7 % 28 + 1:02d}"
            inside.create("Observation", observation(effectiveDateTime=day, **tag), id=f"o{number}")

    store = bind()
    store.transact(fill)
    if store.database.dialect == "postgresql":
        store.database.connection().exec_driver_sql("ANALYZE resource")
    seen: list[str] = []
    cursor, led = None, first_is_led
    while cursor is not None or not seen:
        with monkeypatch.context() as patched:
            if not led:
                patched.setattr(rare, "settled", lambda _store, clause: clause)
            asked = [("date", "ge2024"), ("_tag", "rare"), ("_count", "3"), *([("_cursor", cursor)] if cursor else [])]
            page = store.search(query.parse("Observation", asked, now=store.clock()))
        seen += [one.id for one in page.matches]
        cursor, led = page.next_cursor, not led
    assert sorted(seen) == sorted(f"o{number}" for number in range(0, 40, 4))


@pytest.mark.parametrize("database_kind", ["postgresql"])
def test_what_is_past_is_left_to_the_order_of_kinds(filled: Store, bind: Bind) -> None:
    past = bind().as_of(filled.clock())
    assert APART not in sql_of(past, ("given", "rare"))


def test_the_same_is_found(filled: Store, bind: Bind) -> None:
    for asked, expected in (
        ([("given", "rare")], ["p7"]),
        ([("family", "common"), ("given", "rare")], ["p7"]),
        ([("given:exact", "Rare,Nobody"), ("gender", "female")], ["p7"]),
        ([("given", "usual"), ("_count", "2"), ("_sort", "_id")], ["p0", "p1"]),
    ):
        found = bind().search(query.parse("Patient", asked))
        assert [one.id for one in found.matches] == expected


@pytest.mark.parametrize("database_kind", ["postgresql"])
def test_without_statistics_nothing_is_known_to_be_rare(store: Store, bind: Bind) -> None:
    assert store.database.common_tokens() is None
    assert APART not in sql_of(bind(), ("given", "rare"))


@pytest.mark.parametrize("database_kind", ["postgresql"])
def test_what_is_common_is_asked_once_a_minute(
    filled: Store, bind: Bind, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [0.0]
    monkeypatch.setattr("hie.store.statistics.time.monotonic", lambda: now[0])
    common, connection = Common(), filled.database.connection()
    before = common.tokens(connection)
    assert before
    connection.exec_driver_sql("DELETE FROM resource WHERE id <> 'p7'")
    connection.exec_driver_sql("ANALYZE resource")
    now[0] = 59
    assert common.tokens(connection) == before
    now[0] = 61
    assert common.tokens(connection) != before


@pytest.mark.parametrize("database_kind", ["postgresql"])
def test_neither_order_nor_total_tells_a_token_how_much_it_does_not_see(
    store: Store, bind: Bind, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Which of two ways is taken depends on statistics of all that is stored; what is answered does not."""
    now = [0.0]
    monkeypatch.setattr("hie.store.statistics.time.monotonic", lambda: now[0])
    for number in (2, 0, 1):
        birth = f"19{number}0-01-01"
        seen = patient("Common", gender="male", birthDate=birth, deceasedDateTime=birth, id=f"m{number}")
        bind().transact(lambda inside, seen=seen: inside.create("Patient", seen, id=seen["id"]))
        taken = observation(f"Patient/m{number}", effectiveDateTime=birth)
        bind().transact(lambda inside, taken=taken, number=number: inside.create("Observation", taken, id=f"o{number}"))
    bind().transact(lambda inside: inside.update("Patient", "m2", patient("Common", gender="male", birthDate="1920")))
    searches = [("Patient", [("_lastUpdated", "ge2020")]), ("Patient", [("family", "common")]), ("Patient", []),
                ("Observation", [("date", "ge1900")]), ("Observation", [("date", "lt1920"), ("status", "final")]),
                ("Observation", [("code", "8867-4")]), (None, [("_lastUpdated", "ge2020")])]  # fmt: skip
    scopes = ("system/Patient.rs?gender=male", "system/Observation.rs?status=final")

    def answers() -> list[tuple[list[str], int | None]]:
        now[0] += 100
        bound = bind(*scopes)
        parsed = [query.parse(type_name, [*asked, ("_count", "2")]) for type_name, asked in searches]
        return [([one.id for one in page.matches], page.total) for page in map(bound.search, parsed)]

    before = answers()
    assert before[0][0] == ["m0", "m1"]
    assert before[3][0] == ["o0", "o1"]

    def hidden(inside: ResourceStore) -> None:
        for number in range(250):
            inside.create("Patient", patient("Common"), id=f"p{number}")
            inside.create("Observation", observation(f"Patient/p{number}", status="amended"), id=f"q{number}")

    bind().transact(hidden)
    store.database.connection().exec_driver_sql("ANALYZE resource")
    assert answers() == before
