"""What a search asks of the database: how many statements, without a searched text, and by which plan."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from sqlalchemy import event

from hie.store.resources import ResourceStore
from tests.unit.store.search.searched import LAB, filled, search

__all__ = ["filled"]


@contextmanager
def statements(store: ResourceStore) -> Iterator[list[str]]:
    seen: list[str] = []

    def listen(_c: Any, _cursor: Any, statement: str, *_rest: Any) -> None:
        seen.append(statement)

    event.listen(store.database.engine, "before_cursor_execute", listen)
    try:
        yield seen
    finally:
        event.remove(store.database.engine, "before_cursor_execute", listen)


def apart_from_looks(statements: list[str]) -> list[str]:
    """Leave out those by which PostgreSQL tells alone what it sees (hie.store.search.reading)."""
    return [one for one in statements if not one.startswith("SELECT (SELECT pg_current_snapshot()")]


@pytest.mark.parametrize(
    ("parameters", "most"),
    [
        ([("patient", "a"), ("_total", "none"), ("_count", "40")], 1),
        ([("patient", "a")], 2),
        ([("patient", "a"), ("_total", "none"), ("_include", "Observation:subject")], 2),
        ([("_sort", "date"), ("_total", "none")], 1),
        ([("category", "laboratory,vital-signs"), ("_include", "Observation:subject"),
          ("_include", "Observation:encounter"), ("_total", "none")], 2),
    ],
)  # fmt: skip
def test_a_page_of_matches_takes_a_fixed_number_of_statements(
    filled: ResourceStore, parameters: list[tuple[str, str]], most: int
) -> None:
    search(filled, "Observation", *parameters)  # data keys are in memory after this
    with statements(filled) as seen:
        page = search(filled, "Observation", *parameters)
    assert len(page.matches) >= 20
    assert len(seen) <= most, seen


def test_a_reverse_include_takes_one_statement_for_all_matches(filled: ResourceStore) -> None:
    asked = [("_revinclude", "Observation:subject"), ("_revinclude", "Encounter:subject")]
    search(filled, "Patient", *asked)
    with statements(filled) as seen:
        search(filled, "Patient", *asked)
    assert len(apart_from_looks(seen)) == 3
    assert len(seen) <= 4  # PostgreSQL is asked whether the last one, which found nothing, saw what the first saw


def test_no_statement_carries_a_searched_text(filled: ResourceStore) -> None:
    """Codes, names and birth dates go to the database as keyed hashes: neither its log nor its memory shows them."""
    seen: list[str] = []

    def listen(_c: Any, _cursor: Any, statement: str, parameters: Any, *_rest: Any) -> None:
        seen.append(re.sub(r"\d{9,}", "#", f"{statement} {parameters}"))  # a hash may hold the digits 1980

    event.listen(filled.database.engine, "before_cursor_execute", listen)
    search(filled, "Patient", ("family", "Familyname"), ("birthdate", "ge1980-05-12"), ("identifier", "urn:x|secret"))
    search(filled, "Observation", ("code", "secret-code"), ("subject", "Patient/secret"))
    search(filled, "Patient", ("name:contains", "Familyname"))
    event.remove(filled.database.engine, "before_cursor_execute", listen)
    for word in ("amilyname", "fam", "1980", "secret"):
        assert not [text for text in seen if word in text.lower().replace("family_", "")], word


@pytest.mark.parametrize("database_kind", ["sqlite"])
def test_hot_searches_on_sqlite_neither_scan_a_table_nor_sort(filled: ResourceStore) -> None:
    for parameters in (
        [("patient", "a"), ("code", "c1")], [("code", "c1")], [("patient", "a"), ("_count", "3")], [("date", "ge2024")],
        [("date", "2024-01-05"), ("_sort", "-date")], [("_sort", "-_lastUpdated")], [("_id", "o1")], [],
        [("category", LAB), ("status", "final")],
    ):  # fmt: skip
        asked = [*parameters, ("_total", "none")]
        calls: list[tuple[str, Any]] = []

        def listen(_c: Any, _cursor: Any, statement: str, values: Any, *_rest: Any, calls: Any = calls) -> None:
            calls.append((statement, values))

        event.listen(filled.database.engine, "before_cursor_execute", listen)
        search(filled, "Observation", *asked)
        event.remove(filled.database.engine, "before_cursor_execute", listen)
        for statement, values in calls:
            plan = filled.connection().exec_driver_sql("EXPLAIN QUERY PLAN " + statement, values).fetchall()
            steps = [row[-1] for row in plan]
            is_far = any("ix_resource_type_date_far" in step for step in steps)
            scans = [step for step in steps if step.startswith("SCAN") and not re.search("VIRTUAL|SCAN anon_", step)]
            assert not scans, (asked, steps)
            assert is_far or not [step for step in steps if "TEMP B-TREE" in step], (asked, steps)


@pytest.mark.parametrize("database_kind", ["sqlite"])
def test_on_sqlite_the_rarest_token_gives_the_rows_and_others_are_joined_to_it(filled: ResourceStore) -> None:
    asked = [("category", LAB), ("status", "final"), ("patient", "a")]
    for parameters in (asked, [*asked, ("_total", "accurate"), ("_count", "1")]):
        with statements(filled) as seen:
            page = search(filled, "Observation", *parameters)
        assert page.matches
        for statement in seen:
            plan = filled.connection().exec_driver_sql("EXPLAIN QUERY PLAN " + statement, (1,) * statement.count("?"))
            steps = [row[-1].partition(" USING ")[2] for row in plan if row[-1].startswith("SEARCH")]
            assert steps[:3] == [
                "PRIMARY KEY (hash=?)", "PRIMARY KEY (hash=? AND key=?)", "PRIMARY KEY (hash=? AND key=?)",
            ]  # fmt: skip


@pytest.mark.parametrize("database_kind", ["postgresql"])
def test_postgresql_plans_once_what_is_of_one_patient_and_anew_what_is_of_many(filled: ResourceStore) -> None:
    """A plan for any values is made after five executions, where it is not expected to cost more than for these."""
    for asked, once, by_tokens in (
        ([("patient", "a"), ("code", "c1")], True, True), ([("patient", "a"), ("_count", "1")], True, True),
        ([("category", LAB), ("_total", "none")], False, False), ([("patient", "a"), ("date", "ge2020")], False, True),
        ([("patient", "a"), ("_sort", "-date"), ("_total", "none")], False, True),
    ):  # fmt: skip
        with statements(filled) as seen:
            for _ in range(12):
                assert search(filled, "Observation", *asked).matches
        seen = apart_from_looks(seen)
        assert {"tokens @> (SELECT" in one for one in seen} == {once}, seen[-1]
        # no index but that of tokens: at 25,000 of a type, 1.4 ms went into reading the index of the type beside it
        apart = {"resource.tenant + 0 = " in one and "resource.type || ''" in one for one in seen}
        assert apart == {by_tokens}, seen[-1]
        assert all("LIMIT" not in one or "ORDER BY" in one for one in seen) or not once, seen[-1]
    prepared = filled.connection().exec_driver_sql(
        "SELECT generic_plans, custom_plans FROM pg_prepared_statements WHERE statement LIKE '%%tokens @> (SELECT%%'"
    ).fetchall()
    assert len(prepared) == 3  # two pages and a count
    assert all(one.generic_plans >= 4 and one.custom_plans <= 5 for one in prepared)
