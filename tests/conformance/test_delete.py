"""delete, conditional too: https://hl7.org/fhir/R4/http.html#delete"""

from dataclasses import replace

import pytest

from hie.store import audit
from hie.store.check import check
from tests.builders import SYSTEM, bundle, encounter, entry, observation, patient, post, put


@pytest.mark.proves("interaction:delete")
def test_delete_answers_an_outcome_and_keeps_the_history(fhir):
    id_ = fhir.create(patient())["id"]
    answer = fhir.delete(f"Patient/{id_}")
    assert answer.status == 200
    assert answer.json["issue"][0]["severity"] == "information"
    assert answer.headers["ETag"] == 'W/"2"'
    fhir.get(f"Patient/{id_}").refused(410, "deleted")
    assert fhir.get(f"Patient/{id_}/_history").json["total"] == 2
    assert fhir.total("Patient") == 0


def test_delete_of_what_is_not_there_is_no_error(fhir):
    id_ = fhir.create(patient())["id"]
    fhir.delete(f"Patient/{id_}")
    for path in (f"Patient/{id_}", "Patient/never-was"):
        answer = fhir.delete(path)
        assert answer.status == 200
        assert "not there" in answer.json["issue"][0]["diagnostics"]


@pytest.mark.proves("interaction:delete", "resource:referencePolicy=enforced")
def test_what_others_refer_to_cannot_be_deleted(fhir):
    id_ = fhir.create(patient())["id"]
    referring = fhir.create(observation(f"Patient/{id_}"))["id"]
    fhir.delete(f"Patient/{id_}").refused(409, "conflict", text=f"Observation/{referring}")
    assert fhir.get(f"Patient/{id_}").status == 200
    assert fhir.delete(f"Observation/{referring}").status == 200
    assert fhir.delete(f"Patient/{id_}").status == 200


def test_if_match_guards_a_delete(fhir):
    id_ = fhir.create(patient())["id"]
    fhir.delete(f"Patient/{id_}", If_Match='W/"7"').refused(412, "conflict")
    assert fhir.get(f"Patient/{id_}").status == 200
    assert fhir.delete(f"Patient/{id_}", If_Match='W/"1"').status == 200


@pytest.mark.proves("resource:conditionalDelete=multiple")
def test_a_conditional_delete_deletes_the_one_that_matches(fhir):
    id_ = fhir.create(patient(identifier="1"))["id"]
    fhir.create(patient(identifier="2"))
    assert fhir.delete(f"Patient?identifier={SYSTEM}|1").status == 200
    fhir.get(f"Patient/{id_}").refused(410, "deleted")
    assert fhir.total("Patient") == 1


def test_a_conditional_delete_without_a_match_deletes_nothing(fhir):
    fhir.create(patient())
    answer = fhir.delete(f"Patient?identifier={SYSTEM}|9")
    assert answer.status == 200
    assert "nothing was deleted" in answer.json["issue"][0]["diagnostics"]
    assert fhir.total("Patient") == 1


def test_a_conditional_delete_of_several_or_of_everything_is_refused(fhir):
    for _ in range(2):
        fhir.create(patient("Twin"))
    fhir.delete("Patient?family=Twin").refused(412, "multiple-matches")
    fhir.delete("Patient?family=").refused(400, "invalid", "http.url")
    fhir.delete("Patient?_summary=true").refused(400, "invalid", "http.url")
    fhir.delete("Patient").refused(400, "invalid", "http.url")
    assert fhir.total("Patient") == 2


def test_a_token_without_the_scope_deletes_nothing(client, fhir):
    id_ = fhir.create(patient())["id"]
    client("system/Patient.crus").delete(f"Patient/{id_}").refused(403, "forbidden")
    assert fhir.get(f"Patient/{id_}").status == 200


# ---- several at once: https://hl7.org/fhir/R4/http.html#cdelete ------------------------------------------------------


@pytest.mark.proves("resource:conditionalDelete=multiple")
def test_several_matches_are_deleted_where_the_client_says_how_many(fhir):
    for number in range(3):
        fhir.create(patient("Many", identifier=str(number)))
    fhir.create(patient("Other"))
    fhir.delete("Patient?family=Many&_count=2").refused(412, "multiple-matches", "http.url", "More than 2")
    assert fhir.total("Patient") == 4
    answer = fhir.delete("Patient?family=Many&_count=3")
    assert (answer.status, fhir.total("Patient")) == (200, 1)
    assert "3 Patient resources were deleted" in answer.json["issue"][0]["diagnostics"]
    assert "nothing was deleted" in fhir.delete("Patient?family=Many&_count=3").json["issue"][0]["diagnostics"]


def test_how_many_has_a_limit_and_one_version_is_not_several(fhir):
    for _ in range(2):
        fhir.create(patient("Twin"))
    for count in ("0", "101", "x", "-1", "", "1" * 30):
        fhir.delete(f"Patient?family=Twin&_count={count}").refused(400, "invalid", "_count")
    fhir.delete("Patient?_count=5").refused(400, "invalid", "http.url")
    fhir.delete("Patient?family=Twin&_count=1&_count=9").refused(400, "invalid", "_count")
    fhir.delete("Patient?family=Twin&_count=9&_cascade=none", X_Cascade="delete").refused(
        400, "invalid", "http.X-Cascade", "X-Cascade is delete, and _cascade is 'none'; say it once.")
    fhir.delete("Patient?family=Twin&_count=5", If_Match='W/"1"').refused(412, "multiple-matches", "http.If-Match")
    assert fhir.total("Patient") == 2


def test_all_matches_or_none_are_deleted_and_under_the_grant(client, fhir):
    one = fhir.create(patient("Many"))["id"]
    fhir.create(patient("Many"))
    fhir.create(observation(f"Patient/{one}"))
    fhir.delete("Patient?family=Many&_count=9").refused(409, "conflict")
    assert fhir.total("Patient") == 2
    fhir.create(patient("Many", gender="male"))
    narrow = client("system/Patient.rs", "system/Patient.d?gender=male")
    narrow.delete("Patient?family=Many&_count=9").refused(403, "forbidden")
    seeing = client("system/Patient.ds?gender=male")
    assert seeing.delete("Patient?family=Many&_count=9").status == 200
    assert fhir.total("Patient") == 2


def test_several_are_deleted_inside_a_transaction(fhir):
    for _ in range(2):
        fhir.create(patient("Many"))
    answer = fhir.post("", bundle(entry("DELETE", "Patient?family=Many&_count=5"), post(patient("Many"))))
    assert "2 Patient resources" in answer.entries()[0]["response"]["outcome"]["issue"][0]["diagnostics"]
    assert fhir.total("Patient") == 1


# ---- cascade ---------------------------------------------------------------------------------------------------------


def chain_of_records(fhir):
    """Patient <- Encounter <- Observation <- Observation, in a circle with another Observation."""
    id_ = fhir.create(patient("Root"))["id"]
    met = fhir.create(encounter(f"Patient/{id_}"))["id"]
    first = fhir.create(observation(f"Patient/{id_}", encounter={"reference": f"Encounter/{met}"}))
    second = fhir.create(observation(hasMember=[{"reference": f"Observation/{first['id']}"}]))
    fhir.put(f"Observation/{first['id']}", {**first, "hasMember": [{"reference": f"Observation/{second['id']}"}]})
    return id_


@pytest.mark.parametrize("ask", [{"url": "?_cascade=delete"}, {"X_Cascade": "delete"}], ids=["parameter", "header"])
def test_a_cascade_takes_along_what_refers_to_the_deleted(app, fhir, ask):
    headers = dict(ask)
    url = headers.pop("url", "")
    id_ = chain_of_records(fhir)
    fhir.create(observation())
    fhir.delete(f"Patient/{id_}").refused(409, "conflict", "Patient")
    fhir.delete(f"Patient/{id_}?_cascade=none").refused(409, "conflict", "Patient")
    fhir.delete(f"Patient/{id_}?_cascade=all").refused(400, "invalid", "_cascade")
    fhir.delete(f"Patient/{id_}", X_Cascade="all").refused(
        400, "invalid", "http.X-Cascade", "X-Cascade is 'all'; it must be delete or none.")
    answer = fhir.delete(f"Patient/{id_}{url}", **headers)
    assert answer.status == 200, answer.content
    assert "With it went 3" in answer.json["issue"][0]["diagnostics"]
    assert [fhir.total(name) for name in ("Patient", "Encounter", "Observation")] == [0, 0, 1]
    store = app.extensions["hie"].store
    record = audit.find(store.database.connection(), store.tenants[1].audit_keys, 1, interaction="delete", count=1)[0]
    assert len(record["touched"]) == 4


def test_a_cascade_is_bounded_and_needs_the_scope_for_each(app, client, fhir):
    id_ = chain_of_records(fhir)
    for scopes in (["system/Patient.rd"], ["system/Patient.rd", "system/Encounter.d"],
                   ["system/Patient.rd", "system/Encounter.d", "system/Observation.d?status=amended"]):
        answer = client(*scopes).delete(f"Patient/{id_}?_cascade=delete")
        answer.refused(403, "forbidden")
        assert "Observation" not in answer.content.decode()
        assert "Encounter" not in answer.content.decode()
    application = app.extensions["hie"]
    narrow = client("system/Patient.rd", "system/Encounter.d?status=planned", "system/Observation.d?status=amended")
    told = set()
    for most in (2, 0):  # how many there are is not told to whom some may be hidden from
        object.__setattr__(application, "settings", replace(application.settings, max_cascade_deletes=most))
        answer = narrow.delete(f"Patient/{id_}?_cascade=delete")
        answer.refused(403, "forbidden")
        told.add(answer.json["issue"][0]["diagnostics"].replace(f"than {most} ", ""))
    assert len(told) == 1
    object.__setattr__(application, "settings", replace(application.settings, max_cascade_deletes=2))
    fhir.delete(f"Patient/{id_}?_cascade=delete").refused(409, "conflict", text="More than 2")
    assert [fhir.total(name) for name in ("Patient", "Encounter", "Observation")] == [1, 1, 2]


def test_a_cascade_works_in_a_transaction_and_may_not_meet_other_changes(fhir):
    id_ = chain_of_records(fhir)
    met = fhir.get("Encounter").resources()[0]
    cascade = entry("DELETE", f"Patient/{id_}?_cascade=delete")
    fhir.post("", bundle(cascade, put({**met, "subject": None} | {"subject": {"display": "x"}}))).refused(
        400, "invalid", "Bundle.entry[1].request.url")
    assert fhir.post("", bundle(cascade)).status == 200
    assert fhir.total("Observation") == 0


def test_who_refers_is_told_only_to_whom_may_read_it(client, fhir):
    id_ = fhir.create(patient())["id"]
    referring = fhir.create(observation(f"Patient/{id_}"))["id"]
    answer = client("system/Patient.rd").delete(f"Patient/{id_}")
    answer.refused(409, "conflict", "Patient", "may not read")
    assert referring not in answer.content.decode()
    assert "Observation" not in answer.content.decode()
    client("system/*.rd").delete(f"Patient/{id_}").refused(409, "conflict", text=f"Observation/{referring}")


def test_who_refers_is_told_though_others_do_that_the_token_may_not_read(client, fhir):
    fhir.put("Patient/1", patient(id="1"))
    for number, code in enumerate(("hidden", "shown", "hidden")):
        one = observation("Patient/1", id=f"Patient-1{number}", meta={"tag": [{"code": code}]})
        assert fhir.put(f"Observation/{one['id']}", one).status == 201
    narrow = client("system/Patient.rds", "system/Observation.r?_tag=shown")
    told = "Patient/1 cannot be deleted: Observation/Patient-11 refers to it"
    narrow.delete("Patient/1").refused(409, "conflict", "Patient", told)
    other = entry("DELETE", "Patient?_id=none")
    for url in ("Patient/1", "Patient?_id=1"):
        narrow.post("", bundle(other, entry("DELETE", url))).refused(
            409, "conflict", "Bundle.entry[1].request.url", told)
    row = narrow.post("", bundle(entry("DELETE", "Patient/1"), type_="batch")).entries()[0]["response"]
    assert row["status"].startswith("409")
    assert told in row["outcome"]["issue"][0]["diagnostics"]


# ---- delete-history: https://hl7.org/fhir/R5/http.html#delete-history ------------------------------------------------


@pytest.fixture
def admin(client):
    return client("system/*.cruds", "admin")


def three_versions(fhir):
    fhir.put("Patient/a", patient("Secret", id="a"))
    fhir.put("Patient/a", patient("Other", id="a"))
    fhir.put("Patient/a", patient("Third", id="a"))


def test_an_administrator_erases_the_superseded_versions(app, fhir, admin):
    three_versions(fhir)
    answer = admin.delete("Patient/a/_history")
    assert answer.status == 200
    assert "2 superseded versions" in answer.json["issue"][0]["diagnostics"]
    assert fhir.get("Patient/a").json["name"][0]["family"] == "Third"
    for vid in (1, 2):
        fhir.get(f"Patient/a/_history/{vid}").refused(410, "deleted", "Patient")
    for url in ("Patient/a/_history", "Patient/_history", "_history"):
        assert (fhir.get(url).json["total"], len(fhir.get(url).entries())) == (1, 1)
    assert "0 superseded versions" in admin.delete("Patient/a/_history").json["issue"][0]["diagnostics"]
    assert fhir.put("Patient/a", patient("Fourth", id="a")).vid == "4"
    store = app.extensions["hie"].store
    assert check(store).problems == []
    found = audit.find(store.database.connection(), store.tenants[1].audit_keys, 1, interaction="delete-history")
    assert [(row["status"], row["id"]) for row in found] == [(200, "a"), (200, "a")]


def test_one_version_is_erased_and_the_current_one_is_not(fhir, admin):
    three_versions(fhir)
    assert admin.delete("Patient/a/_history/1").status == 200
    assert [row["response"]["etag"] for row in fhir.get("Patient/a/_history").entries()] == ['W/"3"', 'W/"2"']
    admin.delete("Patient/a/_history/3").refused(409, "conflict", "Patient")
    for vid in (1, 9):
        admin.delete(f"Patient/a/_history/{vid}").refused(404, "not-found", "Patient")
    admin.delete("Patient/nobody/_history").refused(404, "not-found", "Patient")


def test_the_history_of_a_deleted_resource_is_erased_but_not_its_deletion(fhir, admin):
    three_versions(fhir)
    fhir.delete("Patient/a")
    assert "3 superseded" in admin.delete("Patient/a/_history").json["issue"][0]["diagnostics"]
    fhir.get("Patient/a").refused(410, "deleted")
    assert fhir.get("Patient/a/_history").json["total"] == 1


def test_erasing_history_needs_admin_and_the_right_to_delete(client, fhir):
    three_versions(fhir)
    for scopes in (["system/*.cruds"], ["admin"], ["admin", "system/Patient.crus"],
                   ["admin", "system/Patient.d?gender=male"]):
        client(*scopes, name=f"{scopes}").delete("Patient/a/_history").refused(403, "forbidden")
    fhir.post("", bundle(entry("DELETE", "Patient/a/_history"))).refused(400, "not-supported")
    assert fhir.get("Patient/a/_history").json["total"] == 3
