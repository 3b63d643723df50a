"""One audit record for every request, refused ones too, committed before the answer leaves."""

from hie.store import audit
from tests.builders import SYSTEM, bundle, patient, post


def records(app):
    store = app.extensions["hie"].store
    store.database.settle_records()
    return audit.find(store.database.connection(), store.tenants[1].audit_keys, 1, count=1000)


def test_each_request_leaves_one_record(app, fhir, nobody):
    before = len(records(app))
    id_ = fhir.create(patient())["id"]
    fhir.get(f"Patient/{id_}")
    fhir.get(f"Patient/{id_}?_format=ttl")
    fhir.get("Patient/nobody")
    fhir.get("Nothing")
    fhir.post("Patient", b"{")
    nobody.get(f"Patient/{id_}")
    fhir.get(f"Patient?identifier={SYSTEM}|1")
    fhir.delete(f"Patient/{id_}")
    nobody.get("metadata")
    found = [(row["interaction"], row["status"]) for row in reversed(records(app))][before:]
    assert found == [
        ("create", 201), ("read", 200), ("read", 406), ("read", 404), ("unknown", 404), ("create", 400), ("read", 401),
        ("search-type", 200), ("delete", 200), ("capabilities", 200),
    ]  # fmt: skip


def test_a_record_says_who_asked_for_what(app, fhir):
    id_ = fhir.post("Patient", patient(), X_Request_Id="req-1").id
    fhir.get(f"Patient/{id_}?_pretty=true", X_Request_Id="req-2")
    read, created = records(app)[:2]
    assert (created["request"], created["type"], created["id"]) == ("req-1", "Patient", id_)
    assert (read["request"], read["type"], read["id"], read["query"]) == ("req-2", "Patient", id_, "_pretty=true")
    assert read["client"] == created["client"] != ""


def test_a_transaction_is_one_record_that_names_what_it_wrote(app, fhir):
    before = len(records(app))
    fhir.post("", bundle(post(patient()), post(patient())))
    found = records(app)
    assert len(found) == before + 1
    assert (found[0]["interaction"], found[0]["status"], len(found[0]["touched"])) == ("transaction", 200, 2)


def test_a_batch_leaves_a_record_for_each_entry_and_one_for_itself(app, fhir):
    before = len(records(app))
    fhir.post("", bundle(post(patient()), post({"resourceType": "Patient", "gender": "x"}), type_="batch"))
    found = records(app)[: len(records(app)) - before]
    assert sorted((row["interaction"], row["status"]) for row in found) == [
        ("batch", 200), ("create", 201), ("create", 400)]
