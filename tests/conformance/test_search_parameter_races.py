"""Definitions of search parameters that another process does not know yet: docs/adr/0013"""

from contextlib import closing

import pytest

from hie.app import create_app
from hie.store import index_runs
from hie.store.check import check
from tests.conformance.eyes import definition, eyed, ids


@pytest.fixture
def neighbour(settings, clock):
    """Another process of the same store; here only another Application."""
    with closing(create_app(settings, clock=clock).extensions["hie"]) as application:
        yield application


def write(application, resource):
    context = application.context(interaction="create")
    return context.store.transact(lambda store: store.create(resource["resourceType"], resource)).id


def forget(application, seconds):
    """Let what a process knows be of this age."""
    application.store.tenants[1].parameters._read_again_at += seconds


def test_a_process_that_does_not_know_yet_leaves_nothing_unindexed(fhir, work, clean, neighbour):
    known = write(neighbour, eyed("blue"))
    forget(neighbour, 1000)  # it looked just now, and will not look again
    fhir.create(definition())
    unknowing = write(neighbour, eyed("blue"))
    assert clean()
    work()
    assert ids(fhir.get("Patient?eyes=blue")) == {known, unknowing}
    forget(neighbour, -2000)
    knowing = write(neighbour, eyed("blue"))
    assert ids(fhir.get("Patient?eyes=blue")) == {known, unknowing, knowing}
    assert clean()


def test_a_process_that_does_not_know_yet_leaves_nothing_of_what_it_replaces(fhir, client, work, clean, neighbour):
    deleted, changed = (write(neighbour, eyed("blue")) for _ in range(2))
    forget(neighbour, 1000)
    fhir.create(definition())
    admin = client("admin", "system/*.cruds")
    for one in (deleted, changed):  # by the new parameter, before its own run
        assert admin.post(f"Patient/{one}/$reindex").status == 200

    def unit(store):
        store.delete("Patient", deleted)
        store.update("Patient", changed, eyed("brown"))

    neighbour.context(interaction="transaction").store.transact(unit)
    forget(neighbour, -2000)
    assert clean()
    work()
    assert (ids(fhir.get("Patient?eyes=blue")), ids(fhir.get("Patient?eyes=brown"))) == (set(), {changed})
    assert clean()


def test_a_write_that_began_before_a_parameter_runs_again_with_it(fhir, clean, neighbour):
    attempts = []

    def unit(store):
        version = store.create("Patient", eyed("blue"))
        attempts.append(version.id)
        if len(attempts) == 1:
            fhir.create(definition())
            forget(neighbour, -1000)
        return version

    neighbour.context(interaction="create").store.transact(unit)
    assert len(attempts) == 2
    tokens = check(neighbour.store).counts["tokens"]
    neighbour.store.database.write(lambda connection: index_runs.one(
        connection, neighbour.store.tenants[1], "Patient", attempts[1], ""))
    assert clean()
    assert check(neighbour.store).counts["tokens"] == tokens
