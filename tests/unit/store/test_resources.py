"""The resource store: versions, history, references that lead somewhere, transactions that leave all or nothing."""

from __future__ import annotations

import pytest
from sqlalchemy import func, select, text

from hie.errors import BrokenReference, Gone, NotFound, PreconditionFailed, Referenced
from hie.fhir import json_format
from hie.store import reference_targets, waiting
from hie.store.check import check
from hie.store.models import DELETED, UPDATED, resource
from hie.store.resources import ResourceStore
from hie.store.store import Store
from tests.unit.store.written import Bind, content, create, delete, observation, patient, put


def test_what_is_created_is_read_as_it_was_received(bind: Bind) -> None:
    received = json_format.parse(
        b'{"resourceType":"Observation","status":"final","code":{"text":"x"},"valueQuantity":{"value":1.00},'
        b'"meta":{"tag":[{"code":"t"}],"versionId":"99"}}'
    )
    version = create(bind(), received)
    read = bind().read("Observation", version.id)
    assert read.content == version.content
    assert b'"value":1.00' in (read.content or b"")
    assert content(read)["meta"] == {
        "versionId": "1",
        "lastUpdated": content(read)["meta"]["lastUpdated"],
        "tag": [{"code": "t"}],
    }
    assert read.came_into_being is False
    assert version.came_into_being is True


def test_an_update_makes_the_next_version_and_keeps_the_last(bind: Bind) -> None:
    first = create(bind(), patient())
    second = put(bind(), first.id, patient(active=True))
    assert (second.vid, second.method, second.came_into_being) == (2, UPDATED, False)
    assert second.updated > first.updated
    assert bind().vread("Patient", first.id, 1).content == first.content
    assert bind().read("Patient", first.id).content == second.content
    with pytest.raises(NotFound):
        bind().vread("Patient", first.id, 3)


def test_an_update_that_changes_nothing_makes_no_version(bind: Bind) -> None:
    first = create(bind(), patient())
    assert put(bind(), first.id, patient()).vid == 1
    assert put(bind(), first.id, {**content(first)}).vid == 1


def test_an_update_of_the_absent_creates_it_under_the_clients_id(bind: Bind) -> None:
    version = put(bind(), "chosen.id-1", patient())
    assert (version.vid, version.came_into_being, version.method) == (1, True, UPDATED)


@pytest.mark.parametrize("expected", [1, 3], ids=["an older version", "a version that never was"])
def test_an_update_of_another_version_than_expected_is_refused(bind: Bind, expected: int) -> None:
    first = create(bind(), patient())
    put(bind(), first.id, patient(active=True))
    with pytest.raises(PreconditionFailed, match="version 2"):
        put(bind(), first.id, patient(active=False), if_match=expected)
    assert put(bind(), first.id, patient(active=False), if_match=2).vid == 3


def test_a_deleted_resource_is_gone_and_comes_back_by_update(bind: Bind) -> None:
    first = create(bind(), patient())
    gone = delete(bind(), "Patient", first.id)
    assert gone is not None
    assert (gone.vid, gone.method, gone.content) == (2, DELETED, None)
    with pytest.raises(Gone):
        bind().read("Patient", first.id)
    with pytest.raises(Gone):
        bind().vread("Patient", first.id, 2)
    assert bind().vread("Patient", first.id, 1).content == first.content
    assert delete(bind(), "Patient", first.id) is None
    back = put(bind(), first.id, patient())
    assert (back.vid, back.came_into_being) == (3, True)


def test_history_is_newest_first_and_pages_without_gap(bind: Bind) -> None:
    first = create(bind(), patient())
    for number in range(6):
        put(bind(), first.id, patient(active=bool(number % 2), birthDate=f"19{number}0-01-01"))
    delete(bind(), "Patient", first.id)
    page = bind().history("Patient", first.id, count=3)
    seen = [version.vid for version in page.versions]
    while page.next:
        page = bind().history("Patient", first.id, count=3, cursor=page.next)
        seen += [version.vid for version in page.versions]
    assert seen == [8, 7, 6, 5, 4, 3, 2, 1]
    assert page.total == 8
    since = bind().vread("Patient", first.id, 5).updated
    assert [v.vid for v in bind().history("Patient", first.id, since=since, count=10).versions] == [8, 7, 6, 5]


def test_a_reference_to_nothing_is_refused_and_nothing_is_written(bind: Bind, store: Store) -> None:
    with pytest.raises(BrokenReference, match="leads to nothing") as error:
        create(bind(), observation("Patient/nobody"))
    assert "Patient/nobody" in error.value.issues[0].diagnostics
    assert store.database.connection().execute(select(func.count()).select_from(resource)).scalar_one() == 0


def test_a_reference_inside_one_transaction_may_point_forward(bind: Bind) -> None:
    def work(inside: ResourceStore) -> None:
        inside.create("Observation", observation("Patient/later"))
        inside.update("Patient", "later", patient())

    bind().transact(work)
    assert bind().read("Patient", "later").vid == 1


def test_what_is_referred_to_cannot_be_deleted_alone(bind: Bind) -> None:
    subject = create(bind(), patient())
    about = create(bind(), observation(f"Patient/{subject.id}"))
    with pytest.raises(Referenced, match=f"Observation/{about.id}"):
        delete(bind(), "Patient", subject.id)

    def both(inside: ResourceStore) -> None:
        inside.delete("Patient", subject.id)
        inside.delete("Observation", about.id)

    bind().transact(both)
    with pytest.raises(Gone):
        bind().read("Patient", subject.id)


def test_a_witness_does_not_keep_its_target_from_being_deleted(bind: Bind) -> None:
    subject = create(bind(), patient())
    agent = {"who": {"display": "somebody"}}
    create(
        bind(),
        {
            "resourceType": "Provenance", "target": [{"reference": f"Patient/{subject.id}"}],
            "recorded": "2026-01-01T00:00:00Z", "agent": [agent],
        },
    )  # fmt: skip
    assert delete(bind(), "Patient", subject.id) is not None


def test_what_a_request_holds_is_let_go_before_its_last_commit(bind: Bind, store: Store) -> None:
    seen: list[bool] = []

    def is_there() -> bool:
        with store.database.engine.connect() as another:
            return another.execute(select(func.count()).select_from(resource)).scalar_one() == 2

    def two(inside: ResourceStore) -> None:
        inside.create("Patient", patient())
        inside.create("Patient", patient())

    waiting.hold(lambda: seen.append(is_there()))
    bind().transact(two, is_last=True)
    assert (seen, is_there()) == ([False], True)
    bind().transact(two, is_last=True)
    assert seen == [False]
    waiting.hold(lambda: seen.append(True))
    bind().transact(two)
    assert seen == [False]
    waiting.let_go()


def test_a_failing_transaction_leaves_nothing(bind: Bind, store: Store) -> None:
    def work(inside: ResourceStore) -> None:
        inside.create("Patient", patient())
        inside.update("Patient", "p", patient())
        raise RuntimeError("stop")

    with pytest.raises(RuntimeError, match="stop"):
        bind().transact(work)
    assert store.database.connection().execute(select(func.count()).select_from(resource)).scalar_one() == 0
    assert check(store).problems == []


def test_jobs_appear_with_the_transaction_that_made_them(bind: Bind, store: Store) -> None:
    def fails(inside: ResourceStore) -> None:
        inside.enqueue("diagnose", {"media": "1"})
        raise RuntimeError("stop")

    with pytest.raises(RuntimeError):
        bind().transact(fails)
    assert store.jobs.claim("w", store.clock()) is None
    bind().transact(lambda inside: inside.enqueue("diagnose", {"media": "2"}))
    claimed = store.jobs.claim("w", store.clock())
    assert claimed is not None
    assert claimed.payload == {"media": "2"}
    assert store.jobs.claim("w", store.clock()) is None


def test_the_check_finds_index_rows_that_do_not_match(bind: Bind, store: Store) -> None:
    create(bind(), patient())
    assert check(store).problems == []
    statement = (
        "DELETE FROM token WHERE hash = (SELECT max(hash) FROM token)"
        if store.database.dialect == "sqlite"
        else "UPDATE resource SET tokens = tokens[2:]"
    )
    store.database.write(lambda connection: connection.execute(text(statement)))
    assert any("token index" in problem for problem in check(store).problems)


def test_a_write_outside_a_transaction_is_a_programming_error(bind: Bind) -> None:
    with pytest.raises(RuntimeError, match="transact"):
        bind().create("Patient", patient())


@pytest.mark.parametrize("database_kind", ["sqlite"])
@pytest.mark.parametrize(
    "of", [reference_targets._REFERRING_SQLITE, reference_targets._REFERRING_TO_ONE_SQLITE.statement],
    ids=["many", "one"],
)
def test_who_refers_is_looked_up_from_links_and_tokens(store, of):
    """A plan that began with the resources of the tenant made every deletion as slow as the store is large."""
    statement = of.text.replace(":places", "'[1,2]'").replace(":place", "1").replace(":tenant", "1")
    plan = [row[3] for row in store.database.connection().exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}")]
    looked_up = [step for step in plan if step.startswith("SEARCH")]
    assert [step.partition(" (")[0] for step in looked_up] == [
        "SEARCH link USING COVERING INDEX ix_reference_index_target", "SEARCH resource USING INTEGER PRIMARY KEY",
        "SEARCH token USING PRIMARY KEY", "SEARCH resource USING INTEGER PRIMARY KEY",
    ]


@pytest.mark.parametrize("number", [1, reference_targets.FEW, reference_targets.FEW + 1])
def test_of_many_or_few_targets_those_that_are_there_are_told(bind: Bind, store: Store, number: int) -> None:
    create(bind(), patient(), "there")
    create(bind(), patient(), "gone")
    bind().transact(lambda inside: inside.delete("Patient", "gone"))
    others = [("Patient", "gone"), ("Observation", "there"), *(("Encounter", f"e{n}") for n in range(number))]
    for targets in ([("Patient", "there"), *others][:number], others[:number], []):
        found = reference_targets.live(store.database.connection(), 1, targets)
        assert found == {("Patient", "there")}.intersection(targets)
