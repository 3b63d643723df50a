"""What is changed by what this process remembers, beside another that changes the same (hie.store.recent)."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any

import pytest
from sqlalchemy import event

from hie.errors import FhirError, Forbidden, Gone, NotFound, PreconditionFailed
from hie.fhir import json_format
from hie.fhir.scopes import parse_grant
from hie.settings import Settings
from hie.store.audit import AuditEntry
from hie.store.check import check
from hie.store.postgres_writer import PostgresWriter
from hie.store.resources import ResourceStore
from hie.store.store import Store
from hie.store.versions import StoredVersion
from tests.builders import observation, patient

pytestmark = pytest.mark.parametrize("database_kind", ["postgresql"])
Bind = Callable[..., ResourceStore]


@pytest.fixture
def elsewhere(store: Store, settings: Settings, clock: Any) -> Iterator[Bind]:
    """Bind the store as another process does."""
    with closing(Store.open(settings, clock=clock)) as other:
        yield lambda *scopes: other.bind(
            parse_grant(scopes or ("system/*.cruds",)), AuditEntry(1, clock(), "elsewhere", "test", "client"))


@pytest.fixture
def asked(store: Store) -> Iterator[list[str]]:
    """Statements that this process has executed, messages apart."""
    found: list[str] = []

    def before(_c: Any, _u: Any, statement: str, *_rest: Any) -> None:
        found.append(statement)

    event.listen(store.database.engine, "before_cursor_execute", before)
    yield found
    event.remove(store.database.engine, "before_cursor_execute", before)


def put(bound: ResourceStore, content: dict[str, Any], id: str = "p", **values: Any) -> StoredVersion:
    return bound.transact(lambda inside: inside.update(content["resourceType"], id, content, **values))


def remove(bound: ResourceStore, id: str = "p", **values: Any) -> StoredVersion | None:
    return bound.transact(lambda inside: inside.delete("Patient", id, **values))


def patch(bound: ResourceStore, **changed: Any) -> StoredVersion:
    def work(inside: ResourceStore) -> StoredVersion:
        before = json_format.parse(inside.read_to_change("Patient", "p").content or b"")
        return inside.update("Patient", "p", {**before, **changed})

    return bound.transact(work)


def name_of(bound: ResourceStore) -> str:
    return json_format.parse(bound.read("Patient", "p").content or b"")["name"][0]["family"]


def test_what_was_read_or_written_just_now_is_changed_without_being_read(bind: Bind, asked: list[str]) -> None:
    put(bind(), patient())
    bind().read("Patient", "p")
    asked.clear()
    assert put(bind(), patient("Jones")).vid == 2
    assert patch(bind(), active=True).vid == 3
    assert remove(bind()).vid == 4  # type: ignore[union-attr]
    assert put(bind(), patient("Back")).vid == 5
    assert asked == []
    assert name_of(bind()) == "Back"


@pytest.fixture
def changed(bind: Bind, elsewhere: Bind) -> None:
    """Smith, and then Elsewhere, as this process does not know."""
    put(bind(), patient())
    bind().read("Patient", "p")
    assert put(elsewhere(), patient("Elsewhere")).vid == 2


@pytest.mark.usefixtures("changed")
class TestWhatAnotherChanged:
    """Everything is as if nothing had been remembered."""

    def test_is_replaced(self, bind: Bind, store: Store) -> None:
        assert put(bind(), patient("Jones")).vid == 3
        assert json_format.parse(bind().vread("Patient", "p", 2).content or b"")["name"][0]["family"] == "Elsewhere"
        assert check(store).problems == []

    def test_is_not_taken_for_what_the_same_content_would_leave(self, bind: Bind) -> None:
        assert put(bind(), patient()).vid == 3
        assert name_of(bind()) == "Smith"

    def test_is_what_the_same_content_leaves(self, bind: Bind) -> None:
        assert put(bind(), patient("Elsewhere")).vid == 2

    def test_is_known_by_its_version(self, bind: Bind) -> None:
        with pytest.raises(PreconditionFailed, match="is at version 2"):
            put(bind(), patient("Jones"), if_match=1)
        assert put(bind(), patient("Jones"), if_match=2).vid == 3

    def test_is_patched(self, bind: Bind) -> None:
        assert patch(bind(), active=True).vid == 3
        assert name_of(bind()) == "Elsewhere"

    def test_is_deleted(self, bind: Bind) -> None:
        assert remove(bind(), if_match=2).vid == 3  # type: ignore[union-attr]
        with pytest.raises(Gone):
            bind().read("Patient", "p")

    def test_may_have_been_deleted(self, bind: Bind, elsewhere: Bind) -> None:
        remove(elsewhere())
        assert remove(bind()) is None
        bind().transact(lambda inside: inside.create("Patient", patient("Other"), id="q"))
        with pytest.raises(Gone):
            patch(bind(), active=True)
        assert put(bind(), patient("Jones")).vid == 4

    def test_is_judged_by_the_grant(self, bind: Bind, elsewhere: Bind) -> None:
        """What was remembered the token may change, what is there it may not, and the other way round."""
        women, men = "system/Patient.cruds?gender=female", "system/Patient.cruds?gender=male"
        put(elsewhere(), patient("Elsewhere", gender="male"))
        with pytest.raises(Forbidden):
            put(bind(women), patient("Jones"))
        assert put(bind(men), patient("Jones", gender="male")).vid == 4

    def test_is_answered_once_with_an_audit_record(self, bind: Bind, store: Store) -> None:
        bound = bind()
        put(bound, patient("Jones"))
        assert (bound.entry.type, bound.entry.id, bound.entry.recorded) == ("Patient", "p", True)


def test_what_is_refused_is_refused_by_what_there_is(bind: Bind, elsewhere: Bind) -> None:
    put(bind(), patient(), "other")
    put(bind(), observation("Patient/other"), "o")
    remove_later = lambda: elsewhere().transact(lambda inside: inside.delete("Observation", "o"))  # noqa: E731
    with pytest.raises(FhirError, match="Observation/o"):
        remove(bind(), "other")
    remove_later()
    assert remove(bind(), "other") is not None


def test_what_follows_a_change_is_done_once(bind: Bind, elsewhere: Bind, store: Store) -> None:
    """A job, another resource and the audit record, where the first message was in vain too."""
    def work(inside: ResourceStore, name: str) -> None:
        stored = inside.update("Patient", "p", patient(name))
        inside.create("Observation", observation("Patient/p"))
        inside.enqueue("test", {"of": stored.vid})

    count = store.database.connection().exec_driver_sql
    put(bind(), patient())
    before = count("SELECT count(*) FROM audit").scalar_one()
    for number in range(6):
        name = f"N{number}"
        process = (bind, elsewhere)[number // 2 % 2]
        process().transact(lambda inside, name=name: work(inside, name))
    assert bind().read("Patient", "p").vid == 7
    assert store.jobs.counts()["ready"] == 6
    assert count("SELECT count(*) FROM resource WHERE type = 'Observation'").scalar_one() == 6
    assert count("SELECT count(*) FROM audit").scalar_one() == before + 6
    assert check(store).problems == []


def test_a_version_that_was_lost_is_told_from_another_of_its_number(bind: Bind, elsewhere: Bind, store: Store) -> None:
    """A server that takes over may lack the last commits; others go on from there, to the same numbers."""
    run = store.database.connection().exec_driver_sql
    put(bind(), patient())
    run("CREATE TEMPORARY TABLE before AS SELECT * FROM resource")
    assert put(bind(), patient("Lost")).vid == 2
    for statement in ("DELETE FROM resource_history", "DELETE FROM past_version", "DELETE FROM resource",
                      "INSERT INTO resource OVERRIDING SYSTEM VALUE SELECT * FROM before"):
        run(statement)
    assert put(elsewhere(), patient("Elsewhere")).vid == 2
    assert patch(bind(), active=True).vid == 3
    assert name_of(bind()) == "Elsewhere"


def test_what_takes_steps_begins_anew_before_they_are_taken(bind: Bind) -> None:
    reached: list[str] = []

    def cascade(inside: ResourceStore) -> None:
        reached.append("begun")
        inside.delete("Patient", "p")
        inside.referring([("Patient", "p")])
        reached.append("done")

    put(bind(), patient())
    bind().read("Patient", "p")
    bind().transact(cascade)
    assert reached == ["begun", "begun", "done"]


def test_bundles_rely_on_nothing_remembered(bind: Bind) -> None:
    runs: list[int] = []

    def several(inside: ResourceStore) -> None:
        runs.append(1)
        inside.foresee([], 2)
        inside.delete("Patient", "p")
        inside.referring([("Patient", "p")])

    put(bind(), patient())
    bind().read("Patient", "p")
    bind().transact(several)
    assert len(runs) == 1


def test_a_message_whose_end_is_unknown_is_not_sent_again(
    bind: Bind, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(bind(), patient())
    put(bind(), patient("Jones"))
    sent = []

    def lost(self: PostgresWriter, *_given: Any) -> bool:
        sent.append(1)
        raise ConnectionError("lost")

    monkeypatch.setattr(PostgresWriter, "commit_one", lost)
    with pytest.raises(ConnectionError):
        put(bind(), patient("Again"))
    assert len(sent) == 1


@pytest.mark.parametrize("seed", range(4))
def test_two_processes_that_change_the_same_do_as_one_would(
    store: Store, bind: Bind, elsewhere: Bind, clock: Any, seed: int
) -> None:
    source = random.Random(seed)
    versions: list[dict[str, Any] | None] = []
    for _ in range(120):
        clock.forward(1)
        process = source.choice((bind, elsewhere))
        now, vid = (versions[-1] if versions else None), len(versions)
        wanted = source.choice((None, None, vid, max(1, vid - 1)))
        what, new = source.choice(("put", "put", "patch", "delete", "read")), patient(source.choice("ABC"))
        fits = wanted in (None, vid if now is not None else None)
        if what == "read":
            if now is None:
                with pytest.raises((Gone, NotFound)):
                    process().read("Patient", "p")
            else:
                assert process().read("Patient", "p").vid == vid
        elif what == "patch":
            if now is None:
                with pytest.raises((Gone, NotFound)):
                    patch(process(), active=True)
                continue
            versions += [] if now.get("active") else [{**now, "active": True}]
            assert patch(process(), active=True).vid == len(versions)
        elif not fits:
            with pytest.raises(PreconditionFailed):
                put(process(), new, if_match=wanted) if what == "put" else remove(process(), if_match=wanted)
        elif what == "put":
            versions += [] if now == new else [new]
            assert put(process(), new, if_match=wanted).vid == len(versions)
        else:
            found = remove(process(), if_match=wanted)
            versions += [] if now is None else [None]
            assert (found and found.vid) == (None if now is None else len(versions))
    assert check(store).problems == []
