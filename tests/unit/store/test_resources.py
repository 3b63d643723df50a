"""The resource store under one request's grant: versions, integrity, transactions, sealed rows."""

from __future__ import annotations

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from sqlalchemy import func, select, text, update

from hie.errors import (
    BrokenReference,
    Forbidden,
    Gone,
    IntegrityFailure,
    NotFound,
    PreconditionFailed,
    Referenced,
)
from hie.fhir import json_format
from hie.store import reference_targets, waiting
from hie.store.check import check
from hie.store.models import DELETED, UPDATED, data_key, resource, resource_history
from hie.store.resources import ResourceStore
from hie.store.store import Store
from hie.store.versions import StoredVersion

Bind = Callable[..., ResourceStore]


def patient(**elements: Any) -> dict[str, Any]:
    return {"resourceType": "Patient", "name": [{"family": "Smith"}], **elements}


def observation(subject: str, **elements: Any) -> dict[str, Any]:
    code = {"coding": [{"system": "http://loinc.org", "code": "8867-4"}]}
    return {
        "resourceType": "Observation", "status": "final", "code": code, "subject": {"reference": subject}, **elements,
    }  # fmt: skip


def create(bound: ResourceStore, content: dict[str, Any], id: str | None = None) -> StoredVersion:
    return bound.transact(lambda inside: inside.create(content["resourceType"], content, id=id))


def put(bound: ResourceStore, id: str, content: dict[str, Any], **values: Any) -> StoredVersion:
    return bound.transact(lambda inside: inside.update(content["resourceType"], id, content, **values))


def delete(bound: ResourceStore, type_name: str, id: str) -> StoredVersion | None:
    return bound.transact(lambda inside: inside.delete(type_name, id))


def content(version: StoredVersion) -> dict[str, Any]:
    assert version.content is not None
    return json.loads(version.content)


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


def test_history_of_type_and_system_keeps_to_the_grant(bind: Bind) -> None:
    subject = create(bind(), patient())
    create(bind(), observation(f"Patient/{subject.id}"))
    put(bind(), subject.id, patient(active=True))
    assert [(v.type, v.vid) for v in bind().history(count=10).versions] == [
        ("Patient", 2), ("Observation", 1), ("Patient", 1),
    ]  # fmt: skip
    assert [v.type for v in bind("system/Observation.rs").history(count=10).versions] == ["Observation"]
    with pytest.raises(Forbidden):
        bind("system/Observation.rs").history("Patient", count=10)
    with pytest.raises(Forbidden):
        bind("system/Patient.cud").history(count=10)


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


def test_concurrent_updates_of_one_resource_all_count(bind: Bind, store: Store) -> None:
    first = create(bind(), patient())

    def increase(number: int) -> int:
        return put(bind(), first.id, patient(birthDate=f"2000-01-{number + 1:02d}")).vid

    with ThreadPoolExecutor(8) as pool:
        vids = sorted(pool.map(increase, range(24)))
    assert vids == list(range(2, 26))
    assert check(store).problems == []


def test_of_concurrent_updates_with_one_expected_version_one_wins(bind: Bind) -> None:
    first = create(bind(), patient())

    def attempt(number: int) -> bool:
        try:
            put(bind(), first.id, patient(birthDate=f"2000-01-{number + 1:02d}"), if_match=1)
        except PreconditionFailed:
            return False
        return True

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(attempt, range(8))) == 1


def test_concurrent_first_writes_of_one_patient_share_one_data_key(bind: Bind, store: Store) -> None:
    create(bind(), patient(), id="shared")

    def about(_: int) -> None:
        create(bind(), observation("Patient/shared"))

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(about, range(16)))
    owners = store.database.connection().execute(select(data_key.c.owner)).scalars().all()
    assert sorted(owners) == ["", "shared"]
    assert check(store).problems == []


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


@pytest.mark.parametrize(
    ("scope", "allowed"),
    [
        ("system/Patient.r", {"read"}),
        ("system/Patient.c", {"create"}),
        ("system/Patient.u", {"update"}),
        ("system/Patient.d", {"delete"}),
        ("system/Observation.cruds", set()),
        ("system/*.cruds", {"read", "create", "update", "delete"}),
    ],
)
def test_each_interaction_needs_its_letter(bind: Bind, scope: str, allowed: set[str]) -> None:
    put(bind(), "a", patient())
    actions: dict[str, Callable[[], Any]] = {
        "read": lambda: bind(scope).read("Patient", "a"),
        "create": lambda: create(bind(scope), patient()),
        "update": lambda: put(bind(scope), "a", patient(active=True)),
        "delete": lambda: delete(bind(scope), "Patient", "a"),
    }
    for name, action in actions.items():
        if name in allowed:
            action()
        else:
            with pytest.raises(Forbidden):
                action()


def test_a_granular_scope_hides_what_it_does_not_cover(bind: Bind) -> None:
    subject = create(bind(), patient())
    lab = {"category": [{"coding": [{"system": "http://x", "code": "laboratory"}]}]}
    inside = create(bind(), observation(f"Patient/{subject.id}", **lab))
    outside = create(bind(), observation(f"Patient/{subject.id}"))
    scope = "system/Observation.cruds?category=laboratory"
    assert bind(scope).read("Observation", inside.id).vid == 1
    with pytest.raises(NotFound):
        bind(scope).read("Observation", outside.id)
    with pytest.raises(NotFound):
        bind(scope).history("Observation", outside.id)
    assert [v.id for v in bind(scope).history("Observation").versions] == [inside.id]
    assert bind(scope).read_many([("Observation", inside.id), ("Observation", outside.id)]).keys() == {
        ("Observation", inside.id)
    }
    with pytest.raises(Forbidden):
        create(bind(scope), observation(f"Patient/{subject.id}"))
    with pytest.raises(Forbidden):
        put(bind(scope), inside.id, observation(f"Patient/{subject.id}"))
    with pytest.raises(Forbidden):
        delete(bind(scope), "Observation", outside.id)


@pytest.mark.parametrize("number", [1, 3, 20, 21, 100, 101])
def test_any_number_of_resources_is_read_together_under_the_grant(bind: Bind, number: int) -> None:
    def unit(inside: ResourceStore) -> None:
        for one in range(number):
            inside.create("Patient", patient(), id=f"p{one}")
            made = observation("Patient/p0") | {"status": "final" if one % 3 else "amended"}
            inside.create("Observation", made, id=f"o{one}")

    bind().transact(unit)
    ids = [*range(number), "none"]
    targets = [("Observation", f"o{one}") for one in ids] + [("Patient", f"p{one}") for one in ids]
    scopes = {"system/*.cruds": 1, "system/Observation.rs?status=final": 2, "system/Observation.rs?status=amended": 3}
    for scope, what in scopes.items():
        for _ in range(4):  # PostgreSQL's own library reads from the third time on
            found = bind(scope).read_many(targets)
            assert all((one.type, one.id) == place and one.content for place, one in found.items())
            final = [f"o{one}" for one in range(number) if one % 3]
            amended = [f"o{one}" for one in range(0, number, 3)]
            wanted = {1: {*final, *amended, *(f"p{one}" for one in range(number))}, 2: {*final}, 3: {*amended}}
            assert {one.id for one in found.values()} == wanted[what]
    assert bind().read_many([]) == {}


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


def _meanwhile(bind: Bind, work: Callable[[ResourceStore], Any]) -> Callable[[], None]:
    """Return what lets a neighbour write once, while this thread is about to."""
    left = [work]

    def act() -> None:
        if left:
            with ThreadPoolExecutor(1) as pool:
                pool.submit(bind().transact, left.pop()).result()

    return act


@pytest.mark.parametrize("neighbour", [
    lambda inside: inside.update("Patient", "p", patient(gender="male")),
    lambda inside: inside.delete("Patient", "p"),
], ids=["changed", "deleted"])  # fmt: skip
@pytest.mark.parametrize("mine", [
    lambda inside: inside.update("Patient", "p", patient(active=True)),
    lambda inside: inside.delete("Patient", "p"),
    lambda inside: (inside.read_to_change("Patient", "p"), inside.update("Patient", "p", patient(active=True)))[1],
    lambda inside: (inside.update("Patient", "p", patient(active=True)), inside.create("Patient", patient()))[0],
], ids=["update", "delete", "patch", "several"])  # fmt: skip
def test_what_a_neighbour_changed_after_it_was_read_is_not_written_over(
    store: Store, bind: Bind, mine: Callable[[ResourceStore], Any], neighbour: Callable[[ResourceStore], Any]
) -> None:
    create(bind(), patient(), id="p")
    meanwhile = _meanwhile(bind, neighbour)

    def work(inside: ResourceStore) -> Any:
        written = mine(inside)
        meanwhile()
        return written

    try:
        stored = bind().transact(work)
    except Gone:  # what was deleted is not there to be patched
        stored = None
    versions = bind().history("Patient", "p").versions
    assert [one.vid for one in versions] == ([3, 2, 1] if stored is not None else [2, 1])
    assert stored is None or stored.content == versions[0].content
    assert check(store).problems == []


def test_a_resource_that_a_neighbour_made_first_is_changed(store: Store, bind: Bind) -> None:
    create(bind(), patient(), id="other")
    meanwhile = _meanwhile(bind, lambda inside: inside.update("Patient", "p", patient()))

    def work(inside: ResourceStore) -> StoredVersion:
        stored = inside.update("Patient", "p", patient(active=True))
        meanwhile()
        return stored

    stored = bind().transact(work)
    assert (stored.vid, stored.came_into_being) == (2, False)
    assert check(store).problems == []


def test_of_two_who_name_one_version_the_second_is_refused(store: Store, bind: Bind) -> None:
    create(bind(), patient(), id="p")
    meanwhile = _meanwhile(bind, lambda inside: inside.update("Patient", "p", patient(gender="male"), if_match=1))

    def work(inside: ResourceStore) -> StoredVersion:
        stored = inside.update("Patient", "p", patient(active=True), if_match=1)
        meanwhile()
        return stored

    with pytest.raises(PreconditionFailed):
        bind().transact(work)
    assert content(bind().read("Patient", "p"))["gender"] == "male"
    assert check(store).problems == []


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
