"""Runs over the index: $reindex, what a definition starts, and where one goes on: docs/adr/0013"""

import pytest

from hie.jobs.worker import Worker
from hie.store import custom_parameters, index_runs
from tests.builders import bundle, observation, patient, post
from tests.conformance.eyes import codes, definition, eyed


def test_a_run_that_is_killed_goes_on_where_it_was(app, fhir, clock, monkeypatch, clean, client):
    monkeypatch.setattr(index_runs, "BATCH", 3)
    for number in range(8):
        fhir.create(eyed("blue", birthDate=f"19{number + 10}-01-01"))
    fhir.create(definition())
    whole, seen = index_runs.batch, []

    def dying(connection, tenant, number, base_url):
        if len(seen) == 2:
            raise KeyboardInterrupt  # as if the process ended here
        seen.append(number)
        return whole(connection, tenant, number, base_url)

    monkeypatch.setattr(index_runs, "batch", dying)
    clock.forward(30)
    with pytest.raises(KeyboardInterrupt):
        Worker(app.extensions["hie"], "first").step()
    fhir.get("Patient?eyes=blue").refused(400, "invalid", "eyes", "still being indexed")
    assert clean()
    admin = client("admin")
    (run,) = admin.get("$reindex").json["parameter"]
    parts = {part["name"]: part for part in run["part"]}
    assert (parts["done"]["valueInteger"], parts["total"]["valueInteger"]) == (6, 8)
    assert parts["state"]["valueCode"] == "running"
    assert parts["parameter"]["part"][1] == {"name": "state", "valueCode": "indexing"}

    monkeypatch.setattr(index_runs, "batch", whole)
    clock.forward(3600)
    assert Worker(app.extensions["hie"], "second").step()
    assert fhir.total("Patient?eyes=blue") == 8
    (run,) = admin.get(f"$reindex?run={parts['number']['valueInteger']}").json["parameter"]
    parts = {part["name"]: part for part in run["part"]}
    assert (parts["done"]["valueInteger"], parts["state"]["valueCode"]) == (8, "done")
    assert clean()


@pytest.mark.proves("operation:*/$reindex")
def test_reindex_mends_what_is_missing_in_the_index(app, fhir, client, work, clean, database_kind):
    person = fhir.create(patient())["id"]
    fhir.create(observation(f"Patient/{person}"))
    admin = client("admin")

    def spoil():
        spoiling = "DELETE FROM token" if database_kind == "sqlite" else "UPDATE resource SET tokens = '{}'"
        store = app.extensions["hie"].store
        store.database.write(lambda connection: connection.exec_driver_sql(spoiling))
        store.database.write(lambda connection: connection.exec_driver_sql("DELETE FROM number_index"))
        assert not clean()

    spoil()
    started = admin.post("$reindex").json["parameter"][0]["part"]
    assert started[1] == {"name": "state", "valueCode": "waiting"}
    work()
    assert clean()
    spoil()
    assert admin.post(f"Patient/{person}/$reindex").status == 200
    assert fhir.total("Patient?family=smith") == 1
    assert admin.post("Observation/$reindex").json["parameter"][0]["part"][2]["valueCode"] == "Observation"
    work()
    assert clean()


@pytest.mark.proves("operation:*/$reindex")
@pytest.mark.parametrize("database_kind", ["sqlite"])
def test_reindex_is_for_administrators(fhir, client):
    admin = client("admin")
    fhir.post("$reindex").refused(403, "forbidden")
    fhir.get("Patient/$reindex").refused(403, "forbidden")
    admin.post("Patient/nobody/$reindex").refused(404, "not-found")
    admin.get("$reindex?run=1").refused(404, "not-found", "run")
    admin.get("$reindex?run=x").refused(400, "invalid", "run")
    admin.post("$reindex?run=1").refused(400, "invalid", "run")
    assert "parameter" not in admin.get("$reindex").json


def test_definitions_wait_while_many_runs_over_the_index_are_not_done(fhir, client, work, monkeypatch):
    monkeypatch.setattr(custom_parameters, "MOST_RUNS", 3)
    only = client("system/SearchParameter.cud")

    def numbered(number, **more):
        return definition(**{"code": f"eyes{number}", "url": f"http://example.org/{number}", **more})

    made = [only.post("SearchParameter", numbered(number)).id for number in range(3)]
    refused = only.post("SearchParameter", numbered(3))
    refused.refused(429, "throttled", "SearchParameter", "3 runs")
    assert int(refused.headers["Retry-After"]) > 0
    only.put(f"SearchParameter/{made[0]}", numbered(0, id=made[0], code="others")).refused(429, "throttled")
    fhir.post("", bundle(post(numbered(4)))).refused(429, "throttled")
    assert only.post("SearchParameter", numbered(5, status="draft")).status == 201  # it means nothing
    assert only.delete(f"SearchParameter/{made[2]}").status == 200  # taking out is never held up
    work()
    several = fhir.post("", bundle(*(post(numbered(number)) for number in range(10, 20))))
    assert several.status == 200, several.content  # one run
    work()
    assert {"eyes0", "eyes1", "eyes10", "eyes19"} <= codes(fhir)
    assert "eyes2" not in codes(fhir)
