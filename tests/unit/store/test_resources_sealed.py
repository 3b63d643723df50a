"""Rows are sealed by the key of their patient, and open in no other place."""

from __future__ import annotations

import pytest
from sqlalchemy import select, update

from hie.errors import IntegrityFailure
from hie.store.check import check
from hie.store.models import data_key, resource, resource_history
from hie.store.store import Store
from tests.unit.store.written import Bind, create, observation, patient, put


def test_each_patient_has_a_data_key_and_the_rest_the_tenants(bind: Bind, store: Store) -> None:
    for id_ in ("a", "b"):
        put(bind(), id_, patient())
        create(bind(), observation(f"Patient/{id_}"))
    create(bind(), {"resourceType": "Organization", "name": "Clinic"})
    rows = store.database.connection().execute(
        select(resource.c.type, data_key.c.owner).join(data_key, data_key.c.id == resource.c.data_key)
    )
    assert sorted(tuple(row) for row in rows) == [
        ("Observation", "a"), ("Observation", "b"), ("Organization", ""), ("Patient", "a"), ("Patient", "b"),
    ]  # fmt: skip


@pytest.mark.parametrize("column", ["id", "vid", "data_key", "tenant"])
def test_a_row_moved_to_another_place_fails_closed_with_an_alarm(
    bind: Bind, store: Store, column: str, caplog: pytest.LogCaptureFixture
) -> None:
    first, second = create(bind(), patient(), id="a"), create(bind(), patient(), id="b")
    sealed = select(resource.c.sealed).where(resource.c.id == "a").scalar_subquery()
    keys = select(resource.c.data_key).where(resource.c.id == "a").scalar_subquery()
    changes = {
        "id": {"sealed": sealed, "data_key": keys},
        "vid": {"vid": 2},
        "data_key": {"data_key": keys},
        "tenant": {"sealed": resource.c.sealed, "data_key": 1},
    }
    statement = update(resource).where(resource.c.id == second.id).values(**changes[column])
    store.database.write(lambda connection: connection.execute(statement))
    with pytest.raises(IntegrityFailure, match="does not open"):
        bind().read("Patient", second.id)
    assert [record.name for record in caplog.records] == ["hie.alarm"]
    assert bind().read("Patient", first.id).content == first.content
    assert any(f"Patient/{second.id}" in problem for problem in check(store).problems)


def test_an_old_version_put_in_the_place_of_the_current_one_does_not_open(bind: Bind, store: Store) -> None:
    first = create(bind(), patient(), id="a")
    put(bind(), first.id, patient(active=True))
    older = select(resource_history.c.sealed).where(resource_history.c.id == "a").scalar_subquery()
    store.database.write(lambda c: c.execute(update(resource).where(resource.c.id == "a").values(sealed=older)))
    with pytest.raises(IntegrityFailure):
        bind().read("Patient", "a")
