"""What is written of contained resources comes and goes with their containers: docs/adr/0020-contained-resources.md"""

from __future__ import annotations

from collections.abc import Callable

import pytest
from flask import Flask
from sqlalchemy import func, select

from hie.fhir.instants import instant
from hie.store import contained, unit_of_work
from hie.store.check import check
from hie.store.models import FOREVER
from tests.builders import observation, put
from tests.conformance.conftest import Fhir
from tests.conformance.contained_world import (
    PARTS,
    REPORTS,
    WORLD,
    filled,
    follow,
    pressure,
    pulse,
    report,
    store,
    urls,
)
from tests.conftest import Clock

__all__ = ["filled"]


def rows(app: Flask) -> dict[str, int]:
    store = app.extensions["hie"].store
    connection = store.database.connection()
    return {one.name: connection.execute(select(func.count()).select_from(one)).scalar_one()
            for one in contained.tables(connection)}  # fmt: skip


def test_what_contains_nothing_has_no_rows_of_contained_resources(fhir: Fhir, app: Flask) -> None:
    for _ in range(2):
        fhir.put("Observation/o", observation(id="o", value=len(rows(app))))
        fhir.put("Observation/o", observation(id="o", value=1))
    fhir.delete("Observation/o")
    assert set(rows(app).values()) == {0}


def test_contained_resources_change_with_their_container_and_pages_show_what_the_first_saw(
    filled: Fhir, client: Callable[..., Fhir], app: Flask, clock: Clock
) -> None:
    first = filled.get("Observation?_contained=true&code=8867-4&_containedType=contained&_count=1")
    containers = filled.get("Observation?_contained=true&code=8867-4&_count=1")
    chained = filled.get("MedicationRequest?medication.code=2,3&_count=1")
    then = instant(clock())
    clock.forward(10)
    store(filled, report(pressure("x", 90), id="r2"))
    store(filled, report(pulse("n", 91), id="r4"))
    assert filled.delete("MedicationRequest/q2").status == 200
    assert filled.delete("Observation/both").status == 200
    now = ["DiagnosticReport/r1#x", "DiagnosticReport/r3#x", "DiagnosticReport/r3#y", "DiagnosticReport/r4#n"]
    assert urls(filled.get("Observation?_contained=true&code=8867-4&_containedType=contained")) == now
    assert follow(filled, first) == PARTS.split()
    assert follow(filled, containers) == [*REPORTS.split(), "Observation/both"]
    assert follow(filled, chained) == ["MedicationRequest/q1", "MedicationRequest/q2"]
    asked = f"Observation?_contained=true&code=8867-4&_containedType=contained&_asOf={then}"
    assert urls(filled.get(asked)) == PARTS.split()
    assert check(app.extensions["hie"].store).problems == []
    assert client("system/*.cruds", "admin").delete("DiagnosticReport/r2/_history/1").status == 200
    assert urls(filled.get(asked)) == [one for one in PARTS.split() if "r2" not in one]
    assert check(app.extensions["hie"].store).problems == []


def test_a_transaction_that_waits_in_a_file_keeps_what_its_resources_contain(
    fhir: Fhir, app: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(unit_of_work, "MANY", 2)
    entries = [put(report(pulse("x", number), id=f"r{number}")) for number in range(5)]
    assert fhir.post("", {"resourceType": "Bundle", "type": "transaction", "entry": entries}).status == 200
    assert urls(fhir.get("Observation?_contained=true&value-quantity=gt3")) == ["DiagnosticReport/r4"]
    assert check(app.extensions["hie"].store).problems == []


def test_reindexing_writes_and_checking_compares_the_rows_of_contained_resources(
    filled: Fhir, client: Callable[..., Fhir], app: Flask
) -> None:
    here, admin = app.extensions["hie"].store, client("system/*.cruds", "admin")
    before = rows(app)
    with here.database.engine.begin() as connection:
        for table in contained.tables(connection)[1:]:
            connection.execute(table.delete())
        connection.execute(contained.contained.update().values(presence=0, tokens=None))
    assert len([one for one in check(here).problems if "of what the current version" in one]) == 8
    for type_name in ("DiagnosticReport", "Observation", "MedicationRequest", "MedicationDispense"):
        for one in (row for row in WORLD if row["resourceType"] == type_name):
            assert admin.post(f"{type_name}/{one['id']}/$reindex").status == 200
    assert check(here).problems == []
    assert rows(app) == before
    with here.database.engine.begin() as connection:
        connection.execute(contained.contained.delete())
    assert any("belong to nothing that a resource contains" in one for one in check(here).problems)


def test_checking_compares_which_transactions_wrote_and_ended_what_is_contained(fhir: Fhir, app: Flask) -> None:
    here, its = app.extensions["hie"].store, contained.contained
    for number in range(3):
        fhir.put("DiagnosticReport/r", report(pulse("x", number), id="r"))
    fhir.put("DiagnosticReport/gone", report(pulse("y", 1), id="gone"))
    assert fhir.delete("DiagnosticReport/gone").status == 200
    fhir.put("DiagnosticReport/new", report(pulse("z", 1), id="new"))
    assert check(here).problems == []
    for column, is_past, number in ((its.c.written, True, 3), (its.c.written, False, 2), (its.c.ended, True, 3),
                                    (its.c.ended, False, 2)):  # fmt: skip
        which = its.c.until < FOREVER if is_past else its.c.until == FOREVER
        with here.database.engine.begin() as connection:
            kept = connection.execute(select(its.c.key, column).where(which)).all()
            assert len(kept) == number
            connection.execute(its.update().where(which).values({column: 123_456_789}))
        when = "past versions" if is_past else "the current version"
        found = check(here).problems
        assert [one.partition(" of the resource")[0] for one in found] == [f"The index of what {when}"] * 2
        with here.database.engine.begin() as connection:
            for key, value in kept:
                connection.execute(its.update().where(its.c.key == key).values({column: value}))
    assert check(here).problems == []
