"""PostgreSQL is started anew under a running server: requests meanwhile are transient refusals, later ones answered."""

import logging

import psycopg
import pytest

from hie.jobs.worker import Worker
from tests.builders import patient

pytestmark = pytest.mark.parametrize("database_kind", ["postgresql"])


def cut(settings):
    """End every connection of the server but this one, as a restart of PostgreSQL does."""
    with psycopg.connect(settings.database_url.replace("+psycopg", ""), autocommit=True) as connection:
        connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )


@pytest.mark.parametrize("again", [1, 2])
def test_a_read_after_a_restart_is_transient_once_and_then_answered(fhir, settings, again):
    id_ = fhir.create(patient())["id"]
    for _ in range(again):
        assert fhir.get(f"Patient/{id_}").status == 200
        cut(settings)
        answer = fhir.get(f"Patient/{id_}")
        if answer.status != 200:
            answer.refused(503, "transient")
        assert fhir.get(f"Patient/{id_}").status == 200


def test_a_write_after_a_restart_is_kept_once_answered(app, fhir, settings):
    fhir.create(patient())
    cut(settings)
    statuses = [fhir.post("Patient", patient()).status for _ in range(3)]
    assert statuses[-1] == 201
    assert set(statuses) <= {201, 503}
    assert fhir.total("Patient") == 1 + statuses.count(201)


def test_records_of_reads_wait_for_the_database(app, fhir, settings):
    from tests.conformance.test_audit import records

    id_ = fhir.create(patient())["id"]
    before = len(records(app))
    cut(settings)
    statuses = [fhir.get(f"Patient/{id_}").status for _ in range(3)]
    fhir.get(f"Patient/{id_}")
    found = records(app)[: len(records(app)) - before]
    assert sorted(row["status"] for row in found if row["interaction"] == "read") == sorted([*statuses, 200])


class Turns:
    """Lets a worker go round a few times; the database is restarted before each but the first."""

    def __init__(self, settings, number):
        self.settings, self.left = settings, number

    def is_set(self):
        return self.left < 0

    def wait(self, seconds):
        """Go on at once."""
        cut(self.settings)
        self.left -= 1


def test_a_worker_outlives_a_restart_at_its_start(app, settings, caplog):
    cut(settings)
    Worker(app.extensions["hie"], "test").run(Turns(settings, 0))
    told = [(one.getMessage(), one.exc_info, one.reason) for one in caplog.records if one.levelno >= logging.ERROR]
    assert ("a model cannot be loaded", None, "psycopg.errors.AdminShutdown") in told


def test_a_worker_tells_of_a_restart_in_a_line(app, settings, caplog):
    Worker(app.extensions["hie"], "test").run(Turns(settings, 4))
    told = [(one.getMessage(), one.exc_info, one.reason) for one in caplog.records if one.levelno >= logging.ERROR]
    assert told  # a claim that only looks may find a new connection
    assert set(told) == {("jobs cannot be claimed or finished", None, "psycopg.errors.AdminShutdown")}
